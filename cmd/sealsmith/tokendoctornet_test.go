package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/ceremony"
	"github.com/sealsmith/sealsmith/hsm/democa"
)

// TestDoctorAsksOutside has the doctor ask a provider that goes wrong in many ways.
func TestDoctorAsksOutside(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		faults  democa.Faults
		check   string
		outcome ceremony.Outcome
		says    string
	}{
		"good":           {democa.Faults{}, "revocation", ceremony.OK, "the issuer says good"},
		"revoked":        {democa.Faults{OCSP: democa.OCSPFaults{Revoked: true}}, "revocation", ceremony.Fail, "revoked the certificate on"},
		"unknown":        {democa.Faults{OCSP: democa.OCSPFaults{Unknown: true}}, "revocation", ceremony.Warn, "does not know"},
		"stale":          {democa.Faults{OCSP: democa.OCSPFaults{Stale: true}}, "revocation", ceremony.Warn, "out of date"},
		"try later":      {democa.Faults{OCSP: democa.OCSPFaults{TryLater: true}}, "revocation", ceremony.Warn, "OCSP: "},
		"down":           {democa.Faults{OCSP: democa.OCSPFaults{Down: true}}, "revocation", ceremony.Warn, "503"},
		"wrong signer":   {democa.Faults{OCSP: democa.OCSPFaults{WrongSigner: true}}, "revocation", ceremony.Warn, "OCSP: "},
		"stamped":        {democa.Faults{}, "time-stamps", ceremony.OK, "stamped in"},
		"TSA down":       {democa.Faults{TSA: democa.TSAFaults{Down: true}}, "time-stamps", ceremony.Fail, "503"},
		"TSA garbage":    {democa.Faults{TSA: democa.TSAFaults{Garbage: true}}, "time-stamps", ceremony.Fail, "/tsa: "},
		"TSA rejects":    {democa.Faults{TSA: democa.TSAFaults{Rejected: true}}, "time-stamps", ceremony.Fail, "/tsa: "},
		"TSA lies":       {democa.Faults{TSA: democa.TSAFaults{WrongImprint: true}}, "time-stamps", ceremony.Fail, "something else"},
		"TSA huge":       {democa.Faults{TSA: democa.TSAFaults{HugeBody: true}}, "time-stamps", ceremony.Fail, "/tsa: "},
		"clock":          {democa.Faults{}, "clock", ceremony.OK, "to about a second"},
		"clock behind":   {democa.Faults{TSA: democa.TSAFaults{Future: true}}, "clock", ceremony.Fail, "behind the time-stamp of"},
		"clock ahead":    {democa.Faults{TSA: democa.TSAFaults{Past: true}}, "clock", ceremony.Fail, "ahead of the time-stamp of"},
		"all others out": {democa.Faults{OCSP: democa.OCSPFaults{Down: true}, TSA: democa.TSAFaults{Down: true}}, "clock", ceremony.OK, "to about a second"}, // 503 has a date too
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(nil)
			defer server.Close()
			ca, err := democa.New(democa.Options{BaseURL: server.URL, Now: time.Now, Rand: rand.Reader})
			must(t, err)
			server.Config.Handler = ca.Handler()
			ca.SetFaults(test.faults)
			f := askedOf(t, ca, []*x509.Certificate{ca.Certificate()}, []string{server.URL + "/tsa"}, test.check)
			if f.Outcome != test.outcome || !strings.Contains(f.Seen, test.says) || f.Outcome != ceremony.OK && f.Do == "" {
				t.Errorf("got %+v", f)
			}
		})
	}
}

// askedOf returns one finding about a certificate that ca issued.
func askedOf(t *testing.T, ca *democa.CA, issuers []*x509.Certificate, stamps []string, check string) ceremony.Finding {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	cert, err := ca.IssueSeal(democa.Subject{Organisation: "O", CommonName: "C", OrganisationIdentifier: "NTRNL-1", Country: "NL"}, key.Public(), nil)
	must(t, err)
	anchors := x509.NewCertPool()
	for _, c := range issuers {
		anchors.AddCert(c)
	}
	findings := askOutside(t.Context(), &http.Client{Timeout: patience}, cert, issuers, stampSettings{stamps, anchors})
	return finding(t, []diagnosis{{Findings: findings}}, check)
}

// TestDoctorWithoutOutside says why nobody was asked.
func TestDoctorWithoutOutside(t *testing.T) {
	t.Parallel()
	ca, err := democa.New(democa.Options{BaseURL: "http://127.0.0.1:1", Now: time.Now, Rand: rand.Reader})
	must(t, err)
	for check, says := range map[string]string{
		"revocation": "the issuer's certificate is not here", "time-stamps": "no time-stamping authority is configured", "clock": "nobody who was asked told the time",
	} {
		if f := askedOf(t, ca, nil, nil, check); f.Outcome != ceremony.NotAsked || !strings.Contains(f.Seen, says) {
			t.Errorf("got %+v", f)
		}
	}
}
