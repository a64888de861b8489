package revocation

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // G505: RFC 6960 names responders by SHA-1; the signature does not depend on it
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// ocspAnswer is an OCSP response whose signature holds.
type ocspAnswer struct {
	Statement
	responder *x509.Certificate // nil when the issuer signed by itself
}

// The structures of RFC 6960 section 4.2.1, as far as they are read here.
type (
	response struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type  asn1.ObjectIdentifier
			Value []byte
		} `asn1:"explicit,tag:0,optional"`
	}
	basicResponse struct {
		Data, Algorithm, Signature asn1.RawValue
		Certificates               []asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	responseData struct {
		Version   int `asn1:"optional,default:0,explicit,tag:0"`
		Responder asn1.RawValue
		Produced  time.Time `asn1:"generalized"`
		Responses []struct{ ID certID }
	}
	certID struct {
		Hash              pkix.AlgorithmIdentifier
		NameHash, KeyHash []byte
		Serial            *big.Int
	}
)

// readOCSP reads an OCSP response about a certificate of an issuer, and proves who signed
// it. Its time is not judged. Known certificates may hold the responder's, for answers that
// carry none.
func readOCSP(der []byte, cert, issuer *x509.Certificate, known []*x509.Certificate) (ocspAnswer, error) {
	r, basic, err := parseOCSP(der, cert)
	if err != nil {
		return ocspAnswer{}, err
	}
	if err := checkIDs(basic.Data.FullBytes, r, cert, issuer); err != nil {
		return ocspAnswer{}, err
	}
	out := ocspAnswer{Statement: Statement{At: r.ThisUpdate, Until: r.NextUpdate, Unknown: r.Status == ocsp.Unknown}}
	if r.Status == ocsp.Revoked {
		if out.Revoked, out.Reason = r.RevokedAt, r.RevocationReason; out.Revoked.IsZero() {
			return ocspAnswer{}, fmt.Errorf("%w: an OCSP answer without a status", ErrMalformed)
		}
	}
	out.responder, err = answered(r, basic, issuer, known)
	return out, err
}

// parseOCSP reads the form. The library tries the first certificate in the answer alone and
// does not say why it failed, so it gets to see none, and answered tries them all.
func parseOCSP(der []byte, cert *x509.Certificate) (*ocsp.Response, basicResponse, error) {
	malformed := func(err error) (*ocsp.Response, basicResponse, error) {
		return nil, basicResponse{}, fmt.Errorf("%w: OCSP: %w", ErrMalformed, err)
	}
	var outer response
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 {
		return malformed(errors.Join(err, tooMany(rest)))
	}
	switch status := ocsp.ResponseStatus(outer.Status); status {
	case ocsp.Success:
	case ocsp.Unauthorized: // RFC 5019 section 2.2.3: it has no answer about this certificate
		return nil, basicResponse{}, fmt.Errorf("%w: OCSP status %s", ErrUnknown, status)
	default:
		return nil, basicResponse{}, fmt.Errorf("%w: OCSP status %s; try again later", ErrUnreachable, status)
	}
	var basic basicResponse
	if rest, err := asn1.Unmarshal(outer.Bytes.Value, &basic); err != nil || len(rest) > 0 {
		return malformed(errors.Join(err, tooMany(rest)))
	}
	certificates := basic.Certificates
	basic.Certificates = nil
	bare, err := asn1.Marshal(basic)
	if err != nil {
		return malformed(err)
	}
	outer.Bytes.Value = bare
	if bare, err = asn1.Marshal(outer); err != nil {
		return malformed(err)
	}
	r, err := ocsp.ParseResponseForCert(bare, cert, nil)
	if err != nil {
		return malformed(err)
	}
	basic.Certificates = certificates
	return r, basic, nil
}

func tooMany(rest []byte) error {
	if len(rest) == 0 {
		return nil
	}
	return fmt.Errorf("%d bytes too many", len(rest))
}

// checkIDs makes sure that what the answer says of this serial number it says of this
// issuer's certificate: the library compares serial numbers alone.
func checkIDs(der []byte, r *ocsp.Response, cert, issuer *x509.Certificate) error {
	var data responseData
	if _, err := asn1.Unmarshal(der, &data); err != nil {
		return fmt.Errorf("%w: OCSP: %w", ErrMalformed, err)
	}
	key, err := keyOf(issuer)
	if err != nil {
		return err
	}
	if !r.IssuerHash.Available() {
		return fmt.Errorf("%w: OCSP: the digest of the issuer's name is not supported", ErrMalformed)
	}
	sum := func(b []byte) []byte {
		h := r.IssuerHash.New()
		h.Write(b) // never fails
		return h.Sum(nil)
	}
	subject, own := sum(issuer.RawSubject), sum(key)
	var first *certID // which the library read
	for i := range data.Responses {
		if id := &data.Responses[i].ID; id.Serial.Cmp(cert.SerialNumber) == 0 {
			first = id
			break
		}
	}
	if first == nil || !bytes.Equal(first.NameHash, subject) || !bytes.Equal(first.KeyHash, own) {
		return fmt.Errorf("%w: the OCSP answer is about a certificate of another issuer", ErrUnknown)
	}
	return nil
}

// answered finds who signed: the issuer, or a responder that it certified for this and that
// was in its time (RFC 6960 section 4.2.2.2), which is returned.
func answered(r *ocsp.Response, basic basicResponse, issuer *x509.Certificate, known []*x509.Certificate) (*x509.Certificate, error) {
	const most = 8
	candidates := []*x509.Certificate{issuer}
	if len(basic.Certificates) == 0 {
		candidates = append(candidates, known...)
	}
	for _, raw := range basic.Certificates[:min(len(basic.Certificates), most)] {
		if c, err := x509.ParseCertificate(raw.FullBytes); err == nil {
			candidates = append(candidates, c)
		}
	}
	// The name in the answer only says whom to try first: names can be written in more ways than one.
	slices.SortStableFunc(candidates, func(a, b *x509.Certificate) int { return strangeness(r, a) - strangeness(r, b) })
	var why error
	for _, c := range candidates {
		if err := r.CheckSignatureFrom(c); err != nil {
			if why == nil {
				why = err
			}
			continue
		}
		if bytes.Equal(c.RawSubject, issuer.RawSubject) && bytes.Equal(c.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo) {
			return nil, nil //nolint:nilnil // the issuer itself, who is known
		}
		if err := mayAnswer(c, issuer, r.ProducedAt); err != nil {
			return nil, fmt.Errorf("%w: the OCSP responder %q %w", ErrSignature, name(c), err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("%w: OCSP: %w", ErrSignature, why)
}

// strangeness is 0 for whom the answer names as its signer (ResponderID), else 1.
func strangeness(r *ocsp.Response, c *x509.Certificate) int {
	switch {
	case len(r.ResponderKeyHash) > 0:
		if key, err := keyOf(c); err == nil {
			if sum := sha1.Sum(key); bytes.Equal(sum[:], r.ResponderKeyHash) { //nolint:gosec // G401: see the import
				return 0
			}
		}
	case bytes.Equal(r.RawResponderName, c.RawSubject):
		return 0
	}
	return 1
}

// keyOf is the public key without its algorithm, which certID and ResponderID hash.
func keyOf(c *x509.Certificate) ([]byte, error) {
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &key); err != nil {
		return nil, fmt.Errorf("%w: the key of %q: %w", ErrConfig, name(c), err)
	}
	return key.Key.RightAlign(), nil
}

// mayAnswer says what a responder lacks.
func mayAnswer(c, issuer *x509.Certificate, at time.Time) error {
	switch {
	case !bytes.Equal(c.RawIssuer, issuer.RawSubject) || c.CheckSignatureFrom(issuer) != nil:
		return errors.New("has its certificate from another issuer")
	case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("may not sign OCSP answers (extendedKeyUsage)")
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("may not sign (keyUsage)")
	case !within(c, at):
		return errors.New("answered outside the time of its certificate")
	}
	return nil
}

func within(c *x509.Certificate, at time.Time) bool {
	return !at.Before(c.NotBefore) && !at.After(c.NotAfter)
}
