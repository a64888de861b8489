package jades

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// standing is what the revocation data in a file say about one certificate.
type standing struct {
	found   bool      // something whose signature holds speaks about it
	good    bool      // and says it was not withdrawn at the time asked for
	revoked time.Time // when it was withdrawn, by the earliest that says so; zero when it was not
	newest  time.Time // of what was found
}

// mark is one statement: at was is known; until when nothing newer was to be expected.
type mark struct {
	at, until, revoked time.Time
}

// standing asks all data about c, a certificate of issuer, for the time at. What is said after
// the end of c does not count as good: authorities forget certificates that have ended.
func (e *examination) standing(c, issuer *x509.Certificate, at time.Time) standing {
	var out standing
	for _, m := range e.marks(c, issuer) {
		if m.at.After(e.opts.At.Add(skew)) {
			continue // from the future
		}
		out.found = true
		if m.at.After(out.newest) {
			out.newest = m.at
		}
		if !m.revoked.IsZero() {
			if out.revoked.IsZero() || m.revoked.Before(out.revoked) {
				out.revoked = m.revoked
			}
			continue
		}
		current := !m.at.Add(skew).Before(at) || m.until.After(at)
		out.good = out.good || (current && !m.at.After(c.NotAfter))
	}
	return out
}

// said keeps what was found out about one certificate, for that costs signature checks.
type said struct {
	c, issuer *x509.Certificate
	marks     []mark
}

func (e *examination) marks(c, issuer *x509.Certificate) []mark {
	for _, s := range e.said {
		if s.c.Equal(c) && s.issuer.Equal(issuer) {
			return s.marks
		}
	}
	out := slices.Concat(e.answers(c, issuer), e.listed(c, issuer))
	e.said = append(e.said, said{c, issuer, out})
	return out
}

// answers are the OCSP responses about c: signed by issuer, or by a responder that issuer
// certified for this and that was in its time (RFC 6960, 4.2.2.2).
func (e *examination) answers(c, issuer *x509.Certificate) []mark {
	var out []mark
	for _, der := range e.ocsp {
		if !e.spend() {
			break
		}
		r, err := ocsp.ParseResponseForCert(der, c, nil)
		if err != nil || r.Status == ocsp.Unknown || !names(r, issuer) || !e.answered(r, issuer) {
			continue
		}
		m := mark{at: r.ThisUpdate, until: r.NextUpdate}
		if r.Status == ocsp.Revoked {
			m.revoked = r.RevokedAt
		}
		out = append(out, m)
	}
	return out
}

// answered says whether issuer, or a responder for it, signed r. The library has compared the
// signature with a certificate that came inside.
func (e *examination) answered(r *ocsp.Response, issuer *x509.Certificate) bool {
	if inside := r.Certificate; inside != nil {
		return sameKey(inside, issuer) || e.delegated(inside, r, issuer)
	}
	if r.CheckSignatureFrom(issuer) == nil {
		return true
	}
	return slices.ContainsFunc(e.certs, func(c *x509.Certificate) bool {
		return e.delegated(c, r, issuer) && e.spend() && r.CheckSignatureFrom(c) == nil
	})
}

// delegated says whether issuer certified c to answer for it at the time of r.
func (e *examination) delegated(c *x509.Certificate, r *ocsp.Response, issuer *x509.Certificate) bool {
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) && within(c, r.ProducedAt) && e.issued(c, issuer)
}

func sameKey(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

func within(c *x509.Certificate, at time.Time) bool {
	return !at.Before(c.NotBefore) && !at.After(c.NotAfter)
}

// listed are the lists (RFC 5280, 5) of issuer that speak about c.
func (e *examination) listed(c, issuer *x509.Certificate) []mark {
	if e.lists == nil && len(e.sig.values.CRLs) > 0 {
		e.lists = []*x509.RevocationList{}
		for _, der := range e.sig.values.CRLs {
			if list, err := x509.ParseRevocationList(der); err == nil {
				e.lists = append(e.lists, list)
			}
		}
	}
	var out []mark
	for _, list := range e.lists {
		if !bytes.Equal(list.RawIssuer, issuer.RawSubject) || !speaksOf(list, c) || !e.spend() || list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		m := mark{at: list.ThisUpdate, until: list.NextUpdate}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
				m.revoked = entry.RevocationTime
			}
		}
		out = append(out, m)
	}
	return out
}

// distribution is the extension issuingDistributionPoint (RFC 5280, 5.2.5).
type distribution struct {
	Point      asn1.RawValue  `asn1:"optional,tag:0"`
	OnlyUsers  bool           `asn1:"optional,tag:1"`
	OnlyCAs    bool           `asn1:"optional,tag:2"`
	Reasons    asn1.BitString `asn1:"optional,tag:3"`
	Indirect   bool           `asn1:"optional,tag:4"`
	Attributes bool           `asn1:"optional,tag:5"`
}

// speaksOf says whether a list is complete for certificates like c: no delta, not for some
// reasons only, not the part of another distribution point.
func speaksOf(list *x509.RevocationList, c *x509.Certificate) bool {
	for _, ext := range list.Extensions {
		switch {
		case ext.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 28}):
			var d distribution
			if rest, err := asn1.Unmarshal(ext.Value, &d); err != nil || len(rest) > 0 {
				return false
			}
			if d.Indirect || d.Attributes || d.Reasons.BitLength > 0 || (d.OnlyUsers && c.IsCA) || (d.OnlyCAs && !c.IsCA) {
				return false
			}
			named := func(uri string) bool {
				name, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri)}) // the whole name, not a part of another
				return err == nil && bytes.Contains(d.Point.FullBytes, name)
			}
			if len(d.Point.FullBytes) > 0 && !slices.ContainsFunc(c.CRLDistributionPoints, named) {
				return false
			}
		case ext.Critical:
			return false
		}
	}
	return true
}

// shortLived says whether the certificate asks not to be asked about: validity assured for a
// short term (EN 319 412-1, 5.2), or a responder without check (RFC 6960, 4.2.2.2.1).
func shortLived(c *x509.Certificate) bool {
	for _, ext := range c.Extensions {
		if ext.Id.Equal(asn1.ObjectIdentifier{0, 4, 0, 194121, 2, 1}) || ext.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}) {
			return true
		}
	}
	return false
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
		if !shortLived(c) && !e.standing(c, s.chain[i+1], s.token.Time).found {
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
	if shortLived(c) {
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
