package hsm_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/hsm"
)

// withQC is a certificate with a QCStatements extension of these bytes.
func withQC(der []byte) *x509.Certificate {
	return &x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}, Value: der}}}
}

func fromHex(text string) []byte {
	der, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return der
}

// Statements of ETSI EN 319 412-5, in DER.
const (
	qcCompliance = "3008" + "0606" + "04008e460101"
	qcSSCD       = "3008" + "0606" + "04008e460104"
	qcTypeESeal  = "3013" + "0606" + "04008e460106" + "3009" + "0607" + "04008e46010602"
	qcTypeESign  = "3013" + "0606" + "04008e460106" + "3009" + "0607" + "04008e46010601"
	qcTypeBoth   = "301c" + "0606" + "04008e460106" + "3012" + "0607" + "04008e46010601" + "0607" + "04008e46010602"
	qcTypeEmpty  = "300a" + "0606" + "04008e460106" + "3000"
	qcTypeNoInfo = "3008" + "0606" + "04008e460106"
	qcTypeText   = "300d" + "0606" + "04008e460106" + "0c03616263"
	qcRetention  = "300b" + "0606" + "04008e460103" + "02010f"
	qcLimit      = "3015" + "0606" + "04008e460102" + "300b" + "1303455552" + "020101" + "020100"
)

// sequence wraps statements of less than 128 bytes.
func sequence(statements ...string) []byte {
	var body []byte
	for _, statement := range statements {
		body = append(body, fromHex(statement)...)
	}
	return append([]byte{0x30, byte(len(body))}, body...)
}

func TestInspectSealQCStatements(t *testing.T) {
	t.Parallel()
	type claims struct{ Compliance, SSCD, ESeal bool }
	tests := []struct {
		name string
		der  []byte
		want claims
	}{
		{"qualified seal in a device", sequence(qcCompliance, qcSSCD, qcTypeESeal), claims{true, true, true}},
		{"qualified seal", sequence(qcCompliance, qcTypeESeal), claims{true, false, true}},
		{"other statements between", sequence(qcLimit, qcCompliance, qcRetention, qcTypeESeal), claims{true, false, true}},
		{"both types", sequence(qcCompliance, qcTypeBoth), claims{true, false, true}},
		{"a signature, not a seal", sequence(qcCompliance, qcSSCD, qcTypeESign), claims{true, true, false}},
		{"no type", sequence(qcCompliance), claims{true, false, false}},
		{"type without a list", sequence(qcCompliance, qcTypeNoInfo), claims{true, false, false}},
		{"type with an empty list", sequence(qcCompliance, qcTypeEmpty), claims{true, false, false}},
		{"type with a text", sequence(qcCompliance, qcTypeText), claims{true, false, false}},
		{"no statements", sequence(), claims{}},
		{"nothing", nil, claims{}},
		{"not DER", []byte("qualified"), claims{}},
		{"cut off", sequence(qcCompliance, qcTypeESeal)[:12], claims{}},
		{"something behind", append(sequence(qcCompliance, qcTypeESeal), 0x05, 0x00), claims{}},
		{"not a sequence", fromHex("0606" + "04008e460101"), claims{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			facts := hsm.InspectSeal(withQC(test.der))
			if diff := cmp.Diff(test.want, claims{facts.QcCompliance, facts.QcSSCD, facts.QcTypeESeal}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInspectSealSubject(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("CET", 3600))
	cert := &x509.Certificate{
		Subject: pkix.Name{
			CommonName: "Seal", Organization: []string{"College", "Second"}, Country: []string{"NL"},
			Names: []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: 42}, // not a text: skipped
				{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "NTRNL-12345678"},
			},
		},
		NotBefore: from, NotAfter: from.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageContentCommitment | x509.KeyUsageDigitalSignature,
	}
	want := hsm.SealFacts{
		Organisation: "College", CommonName: "Seal", OrganisationIdentifier: "NTRNL-12345678", Country: "NL",
		NotBefore: from.UTC(), NotAfter: from.AddDate(2, 0, 0).UTC(), ContentCommitment: true,
	}
	if diff := cmp.Diff(want, hsm.InspectSeal(cert)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(hsm.SealFacts{}, hsm.InspectSeal(nil)); diff != "" {
		t.Error(diff)
	}
	empty := hsm.InspectSeal(&x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature})
	if diff := cmp.Diff(hsm.SealFacts{}, empty); diff != "" {
		t.Error(diff)
	}
}

// No bytes make InspectSeal claim more than one parse of them supports, or crash.
func FuzzQCStatements(f *testing.F) {
	for _, seed := range [][]byte{
		sequence(qcCompliance, qcSSCD, qcTypeESeal), sequence(qcTypeBoth), sequence(qcTypeNoInfo), sequence(qcLimit, qcRetention), sequence(), {0x30, 0x80},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		facts := hsm.InspectSeal(withQC(der))
		var raw []asn1.RawValue
		rest, err := asn1.Unmarshal(der, &raw)
		if (err != nil || len(rest) > 0) && (facts.QcCompliance || facts.QcSSCD || facts.QcTypeESeal) {
			t.Fatalf("claims %+v out of what is no sequence", facts)
		}
	})
}
