package revocation

import (
	"bytes"
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
	produced  time.Time
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
	out := ocspAnswer{
		Statement: Statement{At: r.ThisUpdate, Until: r.NextUpdate, Unknown: r.Status == ocsp.Unknown},
		produced:  r.ProducedAt,
	}
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
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &key); err != nil {
		return fmt.Errorf("%w: the issuer's key: %w", ErrConfig, err)
	}
	if !r.IssuerHash.Available() {
		return fmt.Errorf("%w: OCSP: the digest of the issuer's name is not supported", ErrMalformed)
	}
	sum := func(b []byte) []byte {
		h := r.IssuerHash.New()
		h.Write(b) // never fails
		return h.Sum(nil)
	}
	name, own := sum(issuer.RawSubject), sum(key.Key.RightAlign())
	var first *certID // which the library read
	for i := range data.Responses {
		if id := &data.Responses[i].ID; id.Serial.Cmp(cert.SerialNumber) == 0 {
			first = id
			break
		}
	}
	if first == nil || !bytes.Equal(first.NameHash, name) || !bytes.Equal(first.KeyHash, own) {
		return fmt.Errorf("%w: the OCSP answer is about a certificate of another issuer", ErrUnknown)
	}
	return nil
}

// answered finds who signed: the issuer, or a responder that it certified for this and that
// was in its time (RFC 6960 section 4.2.2.2), which is returned.
func answered(r *ocsp.Response, basic basicResponse, issuer *x509.Certificate, known []*x509.Certificate) (*x509.Certificate, error) {
	if r.CheckSignatureFrom(issuer) == nil {
		return nil, nil //nolint:nilnil // the issuer itself, who is known
	}
	const most = 8
	candidates := known
	if len(basic.Certificates) > 0 {
		candidates = nil
	}
	for _, raw := range basic.Certificates[:min(len(basic.Certificates), most)] {
		if c, err := x509.ParseCertificate(raw.FullBytes); err == nil {
			candidates = append(candidates, c)
		}
	}
	why := errors.New("its signer's certificate is not in it")
	for _, c := range candidates {
		if err := r.CheckSignatureFrom(c); err != nil {
			why = fmt.Errorf("OCSP: %w", err)
			continue
		}
		if err := mayAnswer(c, issuer, r.ProducedAt); err != nil {
			return nil, fmt.Errorf("%w: the OCSP responder %q %w", ErrSignature, c.Subject.String(), err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("%w: %w", ErrSignature, why)
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
