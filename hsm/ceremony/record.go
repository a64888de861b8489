package ceremony

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"time"
)

// RecordType is the typ of a record's protected header: nobody can take it for a
// credential.
const RecordType = "sealsmith-ceremony-record"

// maxRecord bounds what ReadRecord reads, in bytes.
const maxRecord = 256 << 10

// Record is what SelfTest found, for the file of the ceremony. Signed, it is a JWS in the
// flattened JSON form (RFC 7515 section 7.2.2), which any JOSE library verifies.
type Record struct {
	Who         []string          `json:"who"`  // the people at the ceremony
	When        time.Time         `json:"when"` // by this machine's clock, UTC
	Host        string            `json:"host"`
	Token       RecordToken       `json:"token"`
	Key         RecordKey         `json:"key"`
	Certificate RecordCertificate `json:"certificate"`
	Speed       Speed             `json:"speed"`
	Findings    []Finding         `json:"findings"`
}

// RecordToken names the token and its driver.
type RecordToken struct {
	Label        string `json:"label"`
	Serial       string `json:"serial"`
	Model        string `json:"model"`
	Manufacturer string `json:"manufacturer"`
	Firmware     string `json:"firmware_version"`
	Driver       string `json:"driver"`
	DriverBuild  string `json:"driver_version"`
}

// RecordKey describes the key as the token does.
type RecordKey struct {
	ID         string     `json:"id"` // hex of CKA_ID
	Type       string     `json:"type"`
	Alg        string     `json:"alg"` // RFC 7518 section 3.1
	Attributes Attributes `json:"attributes"`
}

// RecordCertificate names the certificate.
type RecordCertificate struct {
	SHA256    string    `json:"sha256"` // hex, of the DER
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"` // hex
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

// Speed is how fast signatures were made, one after the other.
type Speed struct {
	Signatures int     `json:"signatures"`
	PerSecond  float64 `json:"per_second"`
	MedianMS   float64 `json:"median_ms"`
	SlowestMS  float64 `json:"slowest_ms"`
}

// Rate is one measure of Bench.
type Rate struct {
	Asked      int     `json:"asked"`    // sessions asked for
	Sessions   int     `json:"sessions"` // sessions that the token gave
	Signatures int     `json:"signatures"`
	PerSecond  float64 `json:"per_second"`
}

func describeCertificate(cert *x509.Certificate) RecordCertificate {
	sum := sha256.Sum256(cert.Raw)
	return RecordCertificate{
		SHA256: hex.EncodeToString(sum[:]), Subject: cert.Subject.String(), Issuer: cert.Issuer.String(),
		Serial: cert.SerialNumber.Text(16), NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
	}
}

type recordHeader struct {
	Alg        string   `json:"alg"`
	Type       string   `json:"typ"`
	Thumbprint string   `json:"x5t#S256"`
	Chain      []string `json:"x5c"`
}

type signedRecord struct {
	Payload   string `json:"payload"`
	Protected string `json:"protected"`
	Signature string `json:"signature"`
}

// signRecord signs with a function that takes the JWS signing input.
func signRecord(r Record, alg string, cert *x509.Certificate, sign func([]byte) ([]byte, error)) ([]byte, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write the record: %w", err)
	}
	sum := sha256.Sum256(cert.Raw)
	header, err := json.Marshal(recordHeader{
		Alg: alg, Type: RecordType, Thumbprint: base64.RawURLEncoding.EncodeToString(sum[:]),
		Chain: []string{base64.StdEncoding.EncodeToString(cert.Raw)},
	})
	if err != nil {
		return nil, fmt.Errorf("write the record: %w", err)
	}
	signed := signedRecord{Payload: base64.RawURLEncoding.EncodeToString(payload), Protected: base64.RawURLEncoding.EncodeToString(header)}
	sig, err := sign([]byte(signed.Protected + "." + signed.Payload))
	if err != nil {
		return nil, fmt.Errorf("sign the record: %w", err)
	}
	signed.Signature = base64.RawURLEncoding.EncodeToString(sig)
	file, err := json.MarshalIndent(signed, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the record: %w", err)
	}
	return append(file, '\n'), nil
}

// ReadRecord verifies a record and returns it with the certificate whose key signed it.
// Whether that certificate is trusted is the caller's to judge. Every error is ErrRecord.
func ReadRecord(file []byte) (Record, *x509.Certificate, error) {
	r, cert, err := readRecord(file)
	if err != nil {
		return Record{}, nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, cert, nil
}

func readRecord(file []byte) (r Record, cert *x509.Certificate, err error) {
	if len(file) > maxRecord {
		return r, nil, fmt.Errorf("it has more than %d bytes", maxRecord)
	}
	var signed signedRecord
	if err := strictJSON(file, &signed); err != nil {
		return r, nil, err
	}
	var parts [3][]byte
	for i, text := range []string{signed.Protected, signed.Payload, signed.Signature} {
		if parts[i], err = base64.RawURLEncoding.Strict().DecodeString(text); err != nil {
			return r, nil, err
		}
	}
	var header recordHeader
	if err := strictJSON(parts[0], &header); err != nil {
		return r, nil, err
	}
	if header.Type != RecordType || len(header.Chain) != 1 {
		return r, nil, fmt.Errorf("typ is not %s, or x5c does not hold one certificate", RecordType)
	}
	der, err := base64.StdEncoding.Strict().DecodeString(header.Chain[0])
	if err != nil {
		return r, nil, err
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		return r, nil, err
	}
	if err := strictJSON(parts[1], &r); err != nil {
		return r, nil, err
	}
	sum := sha256.Sum256(der)
	switch {
	case header.Thumbprint != base64.RawURLEncoding.EncodeToString(sum[:]) || r.Certificate.SHA256 != hex.EncodeToString(sum[:]):
		return r, nil, fmt.Errorf("it names another certificate than the one that it carries")
	case !verifies(cert.PublicKey, header.Alg, []byte(signed.Protected+"."+signed.Payload), parts[2]):
		return r, nil, fmt.Errorf("the signature is not the key's: something was changed")
	}
	return r, cert, nil
}

// strictJSON wants one value and no member that is unknown.
func strictJSON(text []byte, to any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		return fmt.Errorf("read the JSON: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("something follows the JSON")
	}
	return nil
}

// verifies checks a signature in the form of JWS with the standard library alone: a second
// opinion on what the token made.
func verifies(pub crypto.PublicKey, alg string, input, sig []byte) bool {
	short, long := sha256.Sum256(input), sha512.Sum384(input)
	switch key := pub.(type) {
	case *rsa.PublicKey:
		if alg == "PS256" {
			return rsa.VerifyPSS(key, crypto.SHA256, short[:], sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return alg == "RS256" && rsa.VerifyPKCS1v15(key, crypto.SHA256, short[:], sig) == nil
	case *ecdsa.PublicKey:
		digest := short[:]
		if alg == "ES384" {
			digest = long[:]
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		known := alg == "ES256" && size == 32 || alg == "ES384" && size == 48
		return known && len(sig) == 2*size &&
			ecdsa.Verify(key, digest, new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:]))
	}
	return false
}
