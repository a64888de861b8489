package jades

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// moments are the times at which the seal certificate may have been good: now, and when that
// fails for age, the time that a time-stamp proves, else the time that the seal claims.
func (e *examination) moments() []time.Time {
	out := []time.Time{e.opts.At}
	if at, _ := e.best(); !at.Equal(e.opts.At) {
		out = append(out, at)
	}
	return out
}

// chained builds a path from the certificate to trust; age has its own finding, see validity.
func (e *examination) chained() Finding {
	out := Finding{Part: PartChain, Outcome: Unknown}
	if e.opts.Trust == nil {
		out.Reason, out.Words = ReasonNoTrust, "no certificates were given that vouch for others"
		return out
	}
	var err error
	aged := false
	for _, at := range e.moments() {
		var chains [][]*x509.Certificate
		chains, err = e.path(at)
		if err == nil {
			e.chain = chains[0]
			break
		}
		if !isAge(err) {
			break
		}
		aged = true
	}
	switch invalid, ok := errors.AsType[x509.CertificateInvalidError](err); {
	case err == nil && aged && !e.proven.IsZero():
		out.Outcome, out.Reason, out.Words = OK, ReasonFine, "a trusted certificate vouched for it at the time that a time-stamp proves"
	case err == nil && aged:
		out.Outcome, out.Reason, out.Words = OK, ReasonFine, "a trusted certificate vouched for it at the claimed time of sealing"
	case err == nil:
		out.Outcome, out.Reason, out.Words = OK, ReasonFine, "a trusted certificate vouches for it"
	case ok && invalid.Reason == x509.Expired:
		out.Reason, out.Words = ReasonChainExpired, "a certificate on the way to a trusted one is out of its time"
	case ok:
		out.Outcome, out.Reason, out.Words = Failed, ReasonChainBroken, "the chain breaks a rule of its authority: "+err.Error()
	default:
		out.Reason, out.Words = ReasonUnknownIssuer, "no trusted certificate vouches for "+e.sig.Leaf().Issuer.String()
	}
	return out
}

func (e *examination) path(at time.Time) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range e.between {
		between.AddCert(c)
	}
	return e.sig.Leaf().Verify(x509.VerifyOptions{
		Roots:         e.opts.Trust,
		Intermediates: between,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
}

func isAge(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// validity holds the time of sealing and the present against the dates of the certificate.
// Level B proves no time: after the end of the certificate nobody can say from the file alone
// that it was sealed before. A good time-stamp can.
func (e *examination) validity() Finding {
	leaf, at := e.sig.Leaf(), e.opts.At
	from, to := leaf.NotBefore.UTC(), leaf.NotAfter.UTC()
	set := func(o Outcome, r Reason, format string, args ...any) Finding {
		return Finding{Part: PartValidity, Outcome: o, Reason: r, Words: fmt.Sprintf(format, args...)}
	}
	sealed, proven := e.sig.SealedAt, e.proven
	switch {
	case at.Before(from):
		return set(Failed, ReasonNotYetValid, "the certificate begins on %s", stamp(from))
	case sealed.IsZero():
		return set(Unknown, ReasonNoTime, "the seal claims no time that can be read")
	case sealed.After(at.Add(skew)):
		return set(Failed, ReasonSealedInFuture, "the claimed time of sealing %s lies in the future", stamp(sealed))
	case sealed.Before(from):
		return set(Failed, ReasonSealedBefore, "sealed on %s, the certificate begins on %s", stamp(sealed), stamp(from))
	case !proven.IsZero() && proven.Before(from):
		return set(Failed, ReasonSealedBefore, "the seal existed on %s, the certificate begins on %s", stamp(proven), stamp(from))
	case sealed.After(to):
		return set(Failed, ReasonExpiredBefore, "sealed on %s, the certificate ended on %s", stamp(sealed), stamp(to))
	case at.After(to) && !proven.IsZero() && !proven.After(to):
		return set(OK, ReasonExpiredProven, "the certificate ended on %s; a time-stamp proves that the seal existed before, on %s", stamp(to), stamp(proven))
	case at.After(to):
		return set(Unknown, ReasonExpiredSince, "the certificate ended on %s; sealed before, on %s, as it says itself", stamp(to), stamp(sealed))
	}
	return set(OK, ReasonFine, "valid from %s to %s, sealed on %s", stamp(from), stamp(to), stamp(sealed))
}

// maxTries is how many signatures of certificates and revocation data are checked for one seal. A
// seal with its proofs needs about ten; crypto/x509 has a bound of its own.
const maxTries = 400

// spend counts signatures that are going to be checked; false says that it was enough, and that
// no further one fits.
func (e *examination) spend(n int) bool {
	e.tries += n
	return e.tries <= maxTries
}

// pair is a certificate and who may have issued it.
type pair struct {
	c, issuer *x509.Certificate
	fits      bool
}

// issued says whether the key of issuer signed c. Each signature is checked once.
func (e *examination) issued(c, issuer *x509.Certificate) bool {
	if !bytes.Equal(issuer.RawSubject, c.RawIssuer) {
		return false
	}
	for _, p := range e.pairs {
		if p.c.Equal(c) && p.issuer.Equal(issuer) {
			return p.fits
		}
	}
	fits := e.spend(1) && c.CheckSignatureFrom(issuer) == nil
	e.pairs = append(e.pairs, pair{c, issuer, fits})
	return fits
}

// climb orders certs into a chain above c by names and signatures, without asking for trust or
// age. It ends with a self-signed certificate or where nothing fits any more.
func (e *examination) climb(c *x509.Certificate, certs []*x509.Certificate) []*x509.Certificate {
	out := []*x509.Certificate{c}
	for len(out) <= maxChain && !selfSigned(c) {
		i := slices.IndexFunc(certs, func(above *x509.Certificate) bool { return e.issued(c, above) })
		if i < 0 || slices.Contains(out, certs[i]) {
			break
		}
		c = certs[i]
		out = append(out, c)
	}
	return out
}
