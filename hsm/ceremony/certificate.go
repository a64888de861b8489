package ceremony

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"
)

// MaxCertificate is the most that ReadCertificate reads of a file, in bytes.
const MaxCertificate = 64 << 10

// ReadCertificate reads the one certificate of a file, PEM or DER. Every error is
// ErrCertificate and says what is in the file instead.
func ReadCertificate(file []byte) (*x509.Certificate, error) {
	if len(file) > MaxCertificate {
		return nil, fmt.Errorf("%w: the file has more than %d bytes", ErrCertificate, MaxCertificate)
	}
	der := file
	if bytes.Contains(file, []byte("-----BEGIN")) {
		block, rest := pem.Decode(file)
		switch {
		case block == nil:
			return nil, fmt.Errorf("%w: the PEM text is cut off or damaged; download it again", ErrCertificate)
		case block.Type != "CERTIFICATE":
			return nil, fmt.Errorf("%w: the file holds a %s, not a certificate", ErrCertificate, printable(block.Type))
		case len(bytes.TrimSpace(rest)) > 0:
			return nil, fmt.Errorf("%w: the file holds more than one certificate; keep the one of the seal, which stands first as a rule, and name the others by --trust", ErrCertificate)
		}
		der = block.Bytes
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: the file holds no certificate in PEM or DER form (%w)", ErrCertificate, err)
	}
	return cert, nil
}

// importable says why a certificate must not go onto a token, or nothing.
func importable(cert *x509.Certificate, now time.Time) string {
	switch {
	case cert.IsCA:
		return "it is the certificate of an authority (" + printable(cert.Subject.CommonName) + "); a seal needs the one that was issued to your organisation"
	case now.After(cert.NotAfter):
		return "it ended on " + cert.NotAfter.UTC().Format(longDay)
	case cert.KeyUsage != 0 && cert.KeyUsage&(x509.KeyUsageContentCommitment|x509.KeyUsageDigitalSignature) == 0:
		return "it may not be used for signatures (key usage)"
	}
	return ""
}

const longDay = "2 January 2006"

// samePublic tells whether two public keys are the same; an unknown one is nobody's.
func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && b != nil && key.Equal(b)
}

// printable keeps foreign text short and harmless in a message.
func printable(text string) string {
	const most = 80
	out := make([]rune, 0, most)
	for _, r := range text {
		if len(out) == most {
			return string(out) + "…"
		}
		if r < ' ' || r == 0x7f || r == 0x2028 || r == 0x202e {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}
