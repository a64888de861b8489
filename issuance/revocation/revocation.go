// Package revocation asks issuers whether certificates were revoked, and keeps their
// answers as evidence that a seal can carry.
//
// Collector.Collect gets, for each certificate of a chain, an OCSP answer (RFC 6960) or,
// when there is none, a certificate list (RFC 5280 section 5). It accepts only what it
// could prove to somebody else later: signed by the issuer or by a responder which that
// issuer certified for this, about exactly this certificate, and of the present. Answers
// are shared: sealing ten thousand credentials with one certificate asks a few times.
// Evidence holds the answers in DER; Evidence.Status reads them again and says whether a
// certificate was good at a time. That a certificate is revoked is therefore not a failure
// of Collect, but the result of Status: who collects must ask Status, too.
//
// The package does not know what is sealed, does not build chains (its input is a chain
// that somebody verified), trusts nobody by itself and reads no clock and no network but
// those it was given. It does not look at delta lists, at lists for some reasons only and
// at indirect lists: these never prove that a certificate is good. It does not ask about
// certificates that say that nobody needs to, see ShortLived.
//
// It fails with the sentinels below, one for each cause, joined when several sources were
// asked. The texts say what an operator can do, and name hosts, never whole addresses.
package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Why there is no evidence, or none that says that a certificate is good.
var (
	// ErrConfig is for a Collector that cannot work, and for a chain that is none.
	ErrConfig = errors.New("revocation cannot be looked up")
	// ErrNoSource is for a certificate that names no address for OCSP or lists.
	ErrNoSource = errors.New("the certificate names no address by http where its issuer says whether it was revoked; seals with it stay at level B-T")
	// ErrUnreachable is for a source that does not answer, or with an error.
	ErrUnreachable = errors.New("the source of revocation data cannot be reached")
	// ErrMalformed is for bytes that are no OCSP answer or list, or one of a kind that
	// proves nothing here.
	ErrMalformed = errors.New("not revocation data in the form of RFC 6960 or RFC 5280")
	// ErrSignature is for data that neither the issuer signed nor who may answer for it.
	ErrSignature = errors.New("the revocation data are not signed by the issuer of the certificate or for it; a forgery, or a mistake of the issuer")
	// ErrStale is for data that are not of the time asked for.
	ErrStale = errors.New("the revocation data are not of the right time")
	// ErrUnknown is for an issuer that does not know the certificate, and for data that do
	// not speak about it.
	ErrUnknown = errors.New("the revocation data do not say whether the certificate was revoked; new certificates take hours to be known, ask the issuer if it lasts")
)

// RevokedError says that a certificate was revoked at or before the time asked for.
type RevokedError struct {
	Certificate string    // the common name of its subject; all of the subject when it has none
	Serial      *big.Int  // its serial number
	At          time.Time // when it was revoked, UTC
	Reason      int       // CRLReason, RFC 5280 section 5.3.1; 0 is unspecified
}

// Error says what happened and what to do.
func (e *RevokedError) Error() string {
	return fmt.Sprintf("the certificate of %q (serial number %x) was revoked on %s, reason %s; stop issuing with it and ask its issuer why",
		e.Certificate, e.Serial, words(e.At), reason(e.Reason))
}

// reason names a CRLReason.
func reason(r int) string {
	names := []string{
		"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation",
		"certificateHold", "7", "removeFromCRL", "privilegeWithdrawn", "aACompromise",
	}
	if r < 0 || r >= len(names) {
		return fmt.Sprint(r)
	}
	return names[r]
}

// skew is how far an issuer's clock and others may be apart; package jades allows as much.
const skew = 5 * time.Minute

// Evidence is a set of revocation data, each there once. The zero value is empty. The bytes
// are shared with others who asked about the same certificates: do not change them.
type Evidence struct {
	// OCSP are OCSP responses (RFC 6960 section 4.2.1), CRLs certificate lists (RFC 5280
	// section 5.1); DER.
	OCSP, CRLs [][]byte
	// Certificates are those of responders; the chains are not among them.
	Certificates []*x509.Certificate
	// Oldest is the earliest thisUpdate, NextUpdate the earliest nextUpdate of all that
	// Collect put in; zero for none.
	Oldest, NextUpdate time.Time
}

// Merge joins sets. It changes none of them.
func (e Evidence) Merge(others ...Evidence) Evidence {
	out := Evidence{}
	for _, from := range append([]Evidence{e}, others...) {
		out.OCSP = united(out.OCSP, from.OCSP, bytes.Equal)
		out.CRLs = united(out.CRLs, from.CRLs, bytes.Equal)
		out.Certificates = united(out.Certificates, from.Certificates, (*x509.Certificate).Equal)
		out.Oldest = earlier(out.Oldest, from.Oldest)
		out.NextUpdate = earlier(out.NextUpdate, from.NextUpdate)
	}
	return out
}

func united[T any](to, from []T, same func(T, T) bool) []T {
	for _, one := range from {
		if !slices.ContainsFunc(to, func(o T) bool { return same(o, one) }) {
			to = append(to, one)
		}
	}
	return to
}

// earlier is the earlier of two times, where zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// Statement is what one OCSP answer or list says about a certificate.
type Statement struct {
	At      time.Time // thisUpdate: when this was known
	Until   time.Time // nextUpdate: until when nothing newer is to be expected; zero when not said
	Revoked time.Time // when the certificate was revoked; zero when it was not
	Reason  int       // CRLReason of RFC 5280 section 5.3.1, when it was revoked
	Unknown bool      // the responder does not know the certificate
}

// Statements are those of all the data that speak about a certificate and are signed by its
// issuer or for it, in the order OCSP, lists. Data that do not speak about it, or whose
// signature is wrong, say nothing. Whether a statement is of the right time is for the
// caller to judge; Status does.
func (e Evidence) Statements(cert, issuer *x509.Certificate) []Statement {
	var out []Statement
	for _, der := range e.OCSP {
		if a, err := readOCSP(der, cert, issuer, e.Certificates); err == nil {
			out = append(out, a.Statement)
		}
	}
	for _, der := range e.CRLs {
		l, err := readList(der)
		if err != nil || l.signedBy(issuer) != nil {
			continue
		}
		if s, err := l.about(cert); err == nil {
			out = append(out, s)
		}
	}
	return out
}

// Status says whether a certificate of an issuer was good at a time: nil when something was
// known at that time or later, or something known earlier counted until after it, and
// nothing says that it was revoked by then. It fails with a *RevokedError, with ErrUnknown
// when nothing in the evidence speaks about the certificate, and with ErrStale when what
// does is too old. Short-lived certificates are good.
func (e Evidence) Status(cert, issuer *x509.Certificate, at time.Time) error {
	switch {
	case cert == nil || issuer == nil:
		return fmt.Errorf("%w: a certificate and its issuer's are needed", ErrConfig)
	case ShortLived(cert):
		return nil
	}
	var newest time.Time
	var revoked *Statement
	good := false
	statements := e.Statements(cert, issuer)
	for i, s := range statements {
		switch {
		case s.Unknown:
			continue
		case !s.Revoked.IsZero() && !s.Revoked.After(at):
			if revoked == nil || s.Revoked.Before(revoked.Revoked) {
				revoked = &statements[i]
			}
		}
		if s.At.After(newest) {
			newest = s.At
		}
		good = good || !s.At.Add(skew).Before(at) || s.Until.After(at)
	}
	switch {
	case revoked != nil:
		return &RevokedError{Certificate: name(cert), Serial: cert.SerialNumber, At: revoked.Revoked.UTC(), Reason: revoked.Reason}
	case newest.IsZero():
		return fmt.Errorf("%q: %w", name(cert), ErrUnknown)
	case !good:
		return fmt.Errorf("%q: %w: they are of %s, too old for %s; collect them anew", name(cert), ErrStale, words(newest), words(at))
	}
	return nil
}

// ShortLived says whether a certificate asks not to be asked about: it is made for a time
// so short that it is never revoked (validity assured, short term: EN 319 412-1 section
// 5.2), or it is that of an OCSP responder with id-pkix-ocsp-nocheck (RFC 6960 section
// 4.2.2.2.1).
func ShortLived(c *x509.Certificate) bool {
	responder := slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning)
	for _, e := range c.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{0, 4, 0, 194121, 2, 1}) ||
			(responder && e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5})) {
			return true
		}
	}
	return false
}

// name is what people call a certificate.
func name(c *x509.Certificate) string {
	if c.Subject.CommonName != "" {
		return c.Subject.CommonName
	}
	return c.Subject.String()
}

func words(t time.Time) string { return t.UTC().Format(time.RFC3339) }
