package jades_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// year is one in which no certificate of the provider ends by accident: those have two.
const year = 365 * 24 * time.Hour

// provider is a trust service provider with a clock that a test turns, and one organisation
// that seals with a certificate of it.
type provider struct {
	ca     *democa.CA
	now    time.Time
	client *tsp.Client
	soft   softKey
	leaf   *x509.Certificate
}

// direct hands requests to a handler without a network.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, r)
	return rec.Result(), nil
}

func newProvider(tb testing.TB) *provider {
	tb.Helper()
	p := &provider{now: noon}
	var err error
	p.ca, err = democa.New(democa.Options{Now: func() time.Time { return p.now }, Rand: rand.Reader, BaseURL: "http://ca.example"})
	must(tb, err)
	p.client = &tsp.Client{
		Authorities: []tsp.Authority{{URL: "http://ca.example/tsa"}}, HTTP: &http.Client{Transport: direct{p.ca.Handler()}},
		Now: func() time.Time { return p.now }, Anchors: p.pool(),
	}
	p.soft = softKey{newEC(tb, elliptic.P256()), "ES256"}
	p.leaf, err = p.ca.IssueSeal(democa.Subject{
		Organisation: "Example University", CommonName: "Example Seal", OrganisationIdentifier: "NTRNL-12345678", Country: "NL",
	}, p.soft.key.Public(), nil)
	must(tb, err)
	return p
}

func (p *provider) pool() *x509.CertPool {
	out := x509.NewCertPool()
	out.AddCert(p.ca.Certificate())
	return out
}

// later turns the clock, and gives the services new certificates when the old ones are half over.
func (p *provider) later(d time.Duration) {
	p.now = p.now.Add(d)
	if d >= year {
		p.ca.SetBaseURL("http://ca.example")
	}
}

// sealer lets the forges of forge_test.go make seals with the certificate of the provider.
func (p *provider) sealer() sealer {
	return sealer{soft: p.soft, key: jades.Key{ID: "seal", Alg: "ES256", Chain: []*x509.Certificate{p.leaf}}}
}

// levelB seals now.
func (p *provider) levelB(tb testing.TB) []byte {
	tb.Helper()
	file, err := jades.Seal(tb.Context(), p.soft, p.sealer().key, []byte(content), p.now)
	must(tb, err)
	return file
}

// stamp is a token over data.
func (p *provider) stamp(tb testing.TB, data []byte) []byte {
	tb.Helper()
	token, err := p.client.Stamp(tb.Context(), data)
	must(tb, err)
	return token.Raw
}

// toT stamps the signature.
func (p *provider) toT(tb testing.TB, file []byte) []byte {
	tb.Helper()
	imprint, err := jades.SignatureImprint(file)
	must(tb, err)
	out, err := jades.AddTimestamp(file, p.stamp(tb, imprint))
	must(tb, err)
	return out
}

// toLT adds what the provider says of the certificates now.
func (p *provider) toLT(tb testing.TB, file []byte) []byte {
	tb.Helper()
	out, err := jades.AddValues(file, p.values(tb))
	must(tb, err)
	return out
}

// toLTA adds an archive time-stamp.
func (p *provider) toLTA(tb testing.TB, file []byte) []byte {
	tb.Helper()
	imprint, err := jades.ArchiveImprint(file)
	must(tb, err)
	out, err := jades.AddArchive(file, p.stamp(tb, imprint))
	must(tb, err)
	return out
}

// values asks the OCSP responder about the seal and its time-stamping authority.
func (p *provider) values(tb testing.TB) jades.Values {
	tb.Helper()
	tsa, err := p.ca.TSACertificate(false)
	must(tb, err)
	seal, authority := p.ocsp(tb, p.leaf), p.ocsp(tb, tsa)
	response, err := ocsp.ParseResponse(seal, nil)
	must(tb, err)
	return jades.Values{
		Certificates: []*x509.Certificate{p.ca.Certificate(), tsa, response.Certificate},
		OCSP:         [][]byte{seal, authority},
	}
}

func (p *provider) ocsp(tb testing.TB, c *x509.Certificate) []byte {
	tb.Helper()
	request, err := ocsp.CreateRequest(c, p.ca.Certificate(), &ocsp.RequestOptions{Hash: crypto.SHA1})
	must(tb, err)
	return p.ask(tb, http.MethodPost, "/ocsp", request)
}

func (p *provider) crl(tb testing.TB) []byte {
	tb.Helper()
	return p.ask(tb, http.MethodGet, "/crl", nil)
}

func (p *provider) ask(tb testing.TB, method, path string, body []byte) []byte {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), method, "http://ca.example"+path, bytes.NewReader(body))
	must(tb, err)
	request.Header.Set("Content-Type", "application/ocsp-request")
	answer, err := p.client.HTTP.Do(request)
	must(tb, err)
	defer func() { must(tb, answer.Body.Close()) }()
	out, err := io.ReadAll(answer.Body)
	must(tb, err)
	if answer.StatusCode != http.StatusOK {
		tb.Fatalf("%s: %s", path, out)
	}
	return out
}

// trusting are options under which everything of the provider is trusted.
func (p *provider) trusting() jades.VerifyOptions { return options(p.pool(), p.now) }

// element is one of etsiU with a value in JSON.
func element(name, value string) string { return rawURL([]byte(`{"` + name + `":` + value + `}`)) }

func tokenElement(name string, tokens ...[]byte) string {
	var list []string
	for _, der := range tokens {
		list = append(list, `{"val":"`+std(der)+`"}`)
	}
	return element(name, `{"tstTokens":[`+strings.Join(list, ",")+`]}`)
}

// etsiU are the elements of the first seal as they stand in the file.
func etsiU(tb testing.TB, file []byte) []string {
	tb.Helper()
	raw, err := json.Marshal(wireOf(tb, file).Signatures[0].Header["etsiU"])
	must(tb, err)
	var out []string
	must(tb, json.Unmarshal(raw, &out))
	return out
}

// withEtsiU is the file with other elements.
func withEtsiU(tb testing.TB, file []byte, elements ...string) []byte {
	tb.Helper()
	w := wireOf(tb, file)
	list, err := json.Marshal(elements)
	must(tb, err)
	s := w.Signatures[0]
	return general(w.Payload, `{"protected":"`+s.Protected+`","header":{"etsiU":`+string(list)+`},"signature":"`+s.Signature+`"}`)
}

// judged is what a test of levels compares.
type judged struct {
	name    string
	file    []byte
	opts    jades.VerifyOptions
	claimed jades.Level
	reached jades.Level
	want    []result // findings that are not OK
}

func checkJudged(t *testing.T, cases []judged) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := jades.Parse(tc.file)
			must(t, err)
			v := f.Verify(tc.opts)
			if diff := diffOf(tc.want, notGood(v.Findings)); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%+v", diff, v.Findings)
			}
			if p := v.Proofs[0]; p.Claimed != tc.claimed || p.Reached != tc.reached {
				t.Errorf("claimed %q, reached %q, want %q and %q", p.Claimed, p.Reached, tc.claimed, tc.reached)
			}
		})
	}
}
