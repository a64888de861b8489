package ceremony

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Subject is whom an eSeal certificate is asked for.
type Subject struct {
	CommonName   string // CN: what people see, for example "Havenstad College eSeal"
	Organisation string // O: the legal name
	Identifier   string // organizationIdentifier 2.5.4.97, for example NTRNL-12345678 (EN 319 412-1 section 5.1.4)
	Country      string // C: two letters, ISO 3166-1
}

var (
	oidOrganizationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}

	countryForm    = regexp.MustCompile(`^[A-Z]{2}$`)
	identifierForm = regexp.MustCompile(`^(?:(?:VAT|NTR|PSD|LEI)[A-Z]{2}|[A-Z]{2}:[A-Z]{2})-[\x21-\x7e]+$`)
)

// Check refuses what a CA would refuse or, worse, certify: RFC 5280 appendix A.1 bounds the
// names to 64 characters. Every error is ErrSubject.
func (s Subject) Check() error {
	const most = 64
	for name, value := range map[string]string{"common name": s.CommonName, "organisation": s.Organisation} {
		switch {
		case strings.TrimSpace(value) == "":
			return fmt.Errorf("%w: the %s is missing", ErrSubject, name)
		case value != strings.TrimSpace(value):
			return fmt.Errorf("%w: the %s begins or ends with a space", ErrSubject, name)
		case !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }):
			return fmt.Errorf("%w: the %s has characters that cannot be seen", ErrSubject, name)
		case utf8.RuneCountInString(value) > most:
			return fmt.Errorf("%w: the %s is longer than %d characters", ErrSubject, name, most)
		}
	}
	switch {
	case !countryForm.MatchString(s.Country):
		return fmt.Errorf("%w: the country must be two capital letters (ISO 3166-1), for example NL", ErrSubject)
	case len(s.Identifier) > most || !identifierForm.MatchString(s.Identifier):
		return fmt.Errorf("%w: the organisation identifier must be like NTRNL-12345678, VATNL-… or LEIXG-… (EN 319 412-1)", ErrSubject)
	}
	return nil
}

func (s Subject) template(algorithm x509.SignatureAlgorithm) *x509.CertificateRequest {
	return &x509.CertificateRequest{
		Subject: pkix.Name{
			CommonName: s.CommonName, Organization: []string{s.Organisation}, Country: []string{s.Country},
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidOrganizationIdentifier, Value: s.Identifier}},
		},
		SignatureAlgorithm: algorithm,
	}
}
