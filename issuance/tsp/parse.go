package tsp

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"
)

// PKIStatus of RFC 3161 section 2.4.2.
const (
	statusGranted         = 0
	statusGrantedWithMods = 1
)

// ParseResponse reads a TimeStampResp, which is what an authority answers. It fails with
// ErrRefused, which says why, when there is no token in it.
func ParseResponse(der []byte) (Token, error) {
	if len(der) > MaxToken {
		return Token{}, fmt.Errorf("%w: more than %d bytes", ErrMalformed, MaxToken)
	}
	var r response
	if err := decode("TimeStampResp", der, &r); err != nil {
		return Token{}, err
	}
	if r.Status.Status != statusGranted && r.Status.Status != statusGrantedWithMods {
		return Token{}, fmt.Errorf("%w: %s", ErrRefused, r.Status.words())
	}
	if len(r.Token.FullBytes) == 0 {
		return Token{}, fmt.Errorf("%w: granted, but there is no token", ErrMalformed)
	}
	return Parse(r.Token.FullBytes)
}

// Parse reads a TimeStampToken, which is what a seal embeds. Certificates that are known
// from elsewhere may hold the signer's, for tokens that carry none. It fails with
// ErrMalformed, ErrWeak, ErrSigner, ErrSignature and ErrTime.
func Parse(der []byte, known ...*x509.Certificate) (Token, error) {
	if len(der) > MaxToken {
		return Token{}, fmt.Errorf("%w: more than %d bytes", ErrMalformed, MaxToken)
	}
	sd, err := parseSignedData(der)
	if err != nil {
		return Token{}, err
	}
	token, err := parseInfo(sd.Content.Value)
	if err != nil {
		return Token{}, err
	}
	token.Raw = bytes.Clone(der)
	if token.Certificates, err = parseCertificates(sd.Certificates); err != nil {
		return Token{}, err
	}
	s := signer{info: sd.Signers[0], content: sd.Content.Value}
	if token.Signer, err = s.find(token.Certificates, known); err != nil {
		return Token{}, err
	}
	if err := s.check(token.Signer); err != nil {
		return Token{}, err
	}
	if token.Time.Before(token.Signer.NotBefore) || token.Time.After(token.Signer.NotAfter) {
		return Token{}, fmt.Errorf("%w: %s is not in the validity of the signer's certificate, %s to %s", ErrTime,
			words(token.Time), words(token.Signer.NotBefore), words(token.Signer.NotAfter))
	}
	return token, nil
}

func words(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// parseSignedData reads the CMS around the token, RFC 5652 and RFC 3161 section 2.4.2.
func parseSignedData(der []byte) (signedData, error) {
	var outer contentInfo
	var sd signedData
	if err := decode("ContentInfo", der, &outer); err != nil {
		return sd, err
	}
	if !outer.Type.Equal(oidSignedData) {
		return sd, fmt.Errorf("%w: the content is not SignedData", ErrMalformed)
	}
	if err := decode("SignedData", outer.Content.Bytes, &sd); err != nil {
		return sd, err
	}
	switch {
	case !sd.Content.Type.Equal(oidTSTInfo):
		return sd, fmt.Errorf("%w: what is signed is not a TSTInfo", ErrMalformed)
	case sd.Version < 1 || sd.Version > 5:
		return sd, fmt.Errorf("%w: SignedData of version %d", ErrMalformed, sd.Version)
	case len(sd.Signers) != 1:
		return sd, fmt.Errorf("%w: %d signers; a time-stamp has one", ErrMalformed, len(sd.Signers))
	}
	return sd, nil
}

// parseInfo reads what was signed, RFC 3161 section 2.4.2.
func parseInfo(der []byte) (Token, error) {
	var info tstInfo
	if err := decode("TSTInfo", der, &info); err != nil {
		return Token{}, err
	}
	if info.Version != 1 || info.Serial == nil {
		return Token{}, fmt.Errorf("%w: TSTInfo of version %d", ErrMalformed, info.Version)
	}
	hash, err := hashOf(info.Imprint.Algorithm)
	if err != nil {
		return Token{}, err
	}
	if len(info.Imprint.Digest) != hash.Size() {
		return Token{}, fmt.Errorf("%w: an imprint of %d bytes for %s", ErrMalformed, len(info.Imprint.Digest), hash)
	}
	for _, e := range info.Extensions {
		if e.Critical {
			return Token{}, fmt.Errorf("%w: critical extension %s is not known", ErrMalformed, e.Id)
		}
	}
	at, err := generalizedTime(info.Time)
	if err != nil {
		return Token{}, err
	}
	accuracy, err := info.Accuracy.duration()
	return Token{
		Time: at, Policy: info.Policy, Accuracy: accuracy, SerialNumber: info.Serial, Nonce: info.Nonce,
		Hash: hash, Imprint: info.Imprint.Digest,
	}, err
}

func (a accuracy) duration() (time.Duration, error) {
	const most = 24 * 60 * 60
	if a.Seconds < 0 || a.Seconds > most || a.Millis < 0 || a.Millis > 999 || a.Micros < 0 || a.Micros > 999 {
		return 0, fmt.Errorf("%w: accuracy %d s, %d ms, %d µs", ErrMalformed, a.Seconds, a.Millis, a.Micros)
	}
	return time.Duration(a.Seconds)*time.Second + time.Duration(a.Millis)*time.Millisecond + time.Duration(a.Micros)*time.Microsecond, nil
}

// Bounds of what one token may cost: far more than any chain is long, and longer than the keys of
// any authority. A million bits of RSA would fit into a token and take minutes.
const (
	maxCertificates = 32
	maxRSA          = 8192
)

// parseCertificates reads the set of certificates. Other kinds than X.509 are refused:
// nothing of them is needed.
func parseCertificates(set asn1.RawValue) ([]*x509.Certificate, error) {
	if len(set.FullBytes) > 0 && !set.IsCompound {
		return nil, fmt.Errorf("%w: the certificates are not a set", ErrMalformed)
	}
	var out []*x509.Certificate
	for rest := set.Bytes; len(rest) > 0; {
		var one asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &one); err != nil {
			return nil, fmt.Errorf("%w: certificates: %w", ErrMalformed, err)
		}
		cert, err := x509.ParseCertificate(one.FullBytes)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate: %w", ErrMalformed, err)
		}
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSA {
			return nil, fmt.Errorf("%w: certificate: a key of %d bits", ErrMalformed, key.N.BitLen())
		}
		if out = append(out, cert); len(out) > maxCertificates {
			return nil, fmt.Errorf("%w: more than %d certificates", ErrMalformed, maxCertificates)
		}
	}
	return out, nil
}

// failures are the bits of PKIFailureInfo that RFC 3161 section 2.4.2 knows.
var failures = map[int]string{
	0:  "badAlg: it does not know SHA-256",
	2:  "badRequest: it does not allow this request; is the account, or its number of time-stamps, used up?",
	5:  "badDataFormat: it cannot read the request",
	14: "timeNotAvailable: its clock fails; try again later",
	15: "unacceptedPolicy: it does not give time-stamps under the configured policy",
	16: "unacceptedExtension",
	17: "addInfoNotAvailable",
	25: "systemFailure: try again later",
}

// words says why the authority refused, its own text included, as far as it is one line
// of letters.
func (s statusInfo) words() string {
	said := []string{fmt.Sprintf("PKIStatus %d", s.Status)}
	for bit := range s.Failure.BitLength {
		if s.Failure.At(bit) == 0 {
			continue
		}
		failure, ok := failures[bit]
		if !ok {
			failure = fmt.Sprintf("failure %d", bit)
		}
		said = append(said, failure)
	}
	if len(s.Text) > 0 {
		said = append(said, fmt.Sprintf("%.200q", s.Text[0].Bytes))
	}
	return strings.Join(said, ", ")
}
