package jades

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/issuance/revocation"
)

// standing is what the revocation data in a file say about one certificate.
type standing struct {
	found   bool      // something whose signature holds speaks about it
	good    bool      // and says it was not withdrawn at the time asked for
	revoked time.Time // when it was withdrawn, by the earliest that says so; zero when it was not
	newest  time.Time // of what was found
}

// standing asks all data about c, a certificate of issuer, for the time at. What is said after
// the end of c does not count as good: authorities forget certificates that have ended.
func (e *examination) standing(c, issuer *x509.Certificate, at time.Time) standing {
	var out standing
	for _, s := range e.statements(c, issuer) {
		if s.Unknown || s.At.After(e.opts.At.Add(skew)) {
			continue // says nothing, or comes from the future
		}
		out.found = true
		if s.At.After(out.newest) {
			out.newest = s.At
		}
		if !s.Revoked.IsZero() {
			if out.revoked.IsZero() || s.Revoked.Before(out.revoked) {
				out.revoked = s.Revoked
			}
			continue
		}
		current := !s.At.Add(skew).Before(at) || s.Until.After(at)
		out.good = out.good || (current && !s.At.After(c.NotAfter))
	}
	return out
}

// said keeps what was found out about one certificate, for that costs signature checks.
type said struct {
	c, issuer  *x509.Certificate
	statements []revocation.Statement
}

// statements are what the data in the file say of c and prove, whenever that was.
func (e *examination) statements(c, issuer *x509.Certificate) []revocation.Statement {
	for _, s := range e.said {
		if s.c.Equal(c) && s.issuer.Equal(issuer) {
			return s.statements
		}
	}
	var out []revocation.Statement
	if about := e.evidence.about(c, issuer); e.spend(len(about.OCSP) + len(about.CRLs)) {
		out = about.Statements(c, issuer)
	}
	e.said = append(e.said, said{c, issuer, out})
	return out
}

func within(c *x509.Certificate, at time.Time) bool {
	return !at.Before(c.NotBefore) && !at.After(c.NotAfter)
}

// revoked says when c was withdrawn, if that was before by.
func (e *examination) revoked(c, issuer *x509.Certificate, by time.Time) (time.Time, bool) {
	s := e.standing(c, issuer, by)
	return s.revoked, !s.revoked.IsZero() && !s.revoked.After(by)
}

// best is the time for which the seal certificate must have been good, and whether it is proven.
func (e *examination) best() (time.Time, bool) {
	switch {
	case !e.proven.IsZero() && !e.proven.After(e.sig.Leaf().NotAfter):
		return e.proven, true
	case !e.sig.SealedAt.IsZero() && !e.sig.SealedAt.After(e.opts.At):
		return e.sig.SealedAt, false
	}
	return e.opts.At, false
}

// withdrawn says whether the seal certificate and those above it were withdrawn, by the data
// in the file, and whether these data are complete: one statement for each certificate below an
// anchor, of the seal and of the authorities of its sigTst. Where nobody is trusted nobody can say
// which certificate is the anchor; then one about the seal certificate will do.
func (e *examination) withdrawn(claimed Level) (found []Finding, complete bool) {
	if len(e.sig.values.OCSP)+len(e.sig.values.CRLs) == 0 && claimed != LevelLT && claimed != LevelLTA {
		return nil, false
	}
	chain := e.chain
	if chain == nil {
		chain = e.climb(e.sig.Leaf(), e.certs)
	}
	complete = true
	for i, c := range chain {
		if i == len(chain)-1 && (e.chain != nil || selfSigned(c)) {
			continue // an anchor vouches for itself
		}
		var issuer *x509.Certificate
		if i+1 < len(chain) {
			issuer = chain[i+1]
		}
		f, known := e.withdrawal(c, issuer)
		if i > 0 && e.chain == nil && f.Reason == ReasonNoRevocationData {
			continue
		}
		complete = complete && known
		if i == 0 || f.Outcome != OK {
			found = append(found, f)
		}
	}
	for _, s := range e.stamps {
		if s.kind == sigTst && s.intact && !e.known(s) {
			complete = false
			found = append(found, Finding{
				Part: PartRevocation, Outcome: NotChecked, Reason: ReasonNoRevocationData,
				Words: "the file has no revocation data for the authority of its time-stamp, " + authority(s.token.Signer),
			})
		}
	}
	return found, complete
}

// known says whether something speaks about each certificate below the anchor of a time-stamp's
// authority.
func (e *examination) known(s stampState) bool {
	for i, c := range s.chain[:max(len(s.chain)-1, 0)] {
		if !revocation.ShortLived(c) && !e.standing(c, s.chain[i+1], s.token.Time).found {
			return false
		}
	}
	return true
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// withdrawal judges one certificate of the chain of the seal.
func (e *examination) withdrawal(c, issuer *x509.Certificate) (f Finding, known bool) {
	set := func(o Outcome, r Reason, format string, args ...any) {
		f = Finding{Part: PartRevocation, Outcome: o, Reason: r, Words: c.Subject.String() + ": " + fmt.Sprintf(format, args...)}
	}
	if revocation.ShortLived(c) {
		set(OK, ReasonFine, "is made for so short a time that it is never withdrawn")
		return f, true
	}
	at, proven := e.best()
	var s standing
	if issuer != nil {
		s = e.standing(c, issuer, at)
	}
	switch {
	case !s.found:
		set(Unknown, ReasonNoRevocationData, "the file has no revocation data about it")
	case !s.revoked.IsZero() && !s.revoked.After(at):
		set(Failed, ReasonRevokedBefore, "withdrawn on %s, before the sealing on %s", stamp(s.revoked), stamp(at))
	case !s.revoked.IsZero() && proven:
		set(OK, ReasonRevokedSince, "withdrawn on %s; a time-stamp proves that the seal existed before, on %s", stamp(s.revoked), stamp(at))
	case !s.revoked.IsZero():
		set(Unknown, ReasonRevokedUnproven, "withdrawn on %s; the seal says it was made before, on %s, and no time-stamp proves it", stamp(s.revoked), stamp(at))
	case !s.good:
		set(Unknown, ReasonStaleData, "what the file has about it is of %s and says nothing about a seal of %s", stamp(s.newest), stamp(at))
	default:
		set(OK, ReasonFine, "not withdrawn, by data of %s", stamp(s.newest))
	}
	return f, s.found
}
