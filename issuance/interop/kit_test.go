//go:build cgo

// Package interop_test has sealed files of every kind judged by programs that share no line
// with Sealsmith: DSS of the European Commission, two JOSE libraries, OpenSSL and poppler.
// Every file must pass in each judge that can read it, and each spoiled copy of it must fail.
//
// It runs by `make interop`, which sets SEALSMITH_INTEROP to the folder of the compiled judge
// (testdata/interop/target), or to "none" where there is no Maven: DSS is then left out.
package interop_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/revocation"
	"github.com/sealsmith/sealsmith/issuance/tsp"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/starter"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// count says how many files a judge saw; one that saw none has judged nothing.
func count(tb testing.TB, passed, refused int) {
	tb.Helper()
	tb.Logf("%d passed, %d refused", passed, refused)
	if passed == 0 || refused == 0 {
		tb.Error("nothing was judged")
	}
}

// provider is the demo CA on a server. It lives in the present: judges ask no other clock.
type provider struct {
	ca     *democa.CA
	server *httptest.Server
	dir    string // of everything that the judges read
	anchor string // PEM file of the CA
	crl    string // DER file of its list
	tsa    [2]*tsp.Client
	status *revocation.Collector
}

func newProvider(tb testing.TB) *provider {
	tb.Helper()
	ca, err := democa.New(democa.Options{Now: time.Now, Rand: rand.Reader})
	must(tb, err)
	p := &provider{ca: ca, server: httptest.NewServer(ca.Handler()), dir: tb.TempDir()}
	tb.Cleanup(p.server.Close)
	ca.SetBaseURL(p.server.URL)
	p.anchor = p.write(tb, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate().Raw}))
	p.crl = p.write(tb, "ca.crl", p.list(tb))
	anchors := x509.NewCertPool()
	anchors.AddCert(ca.Certificate())
	p.status = &revocation.Collector{HTTP: p.server.Client(), Now: time.Now}
	for i, path := range []string{"/tsa", "/tsa2"} {
		p.tsa[i] = &tsp.Client{
			Authorities: []tsp.Authority{{URL: p.server.URL + path, Policy: democa.Policy}},
			HTTP:        p.server.Client(), Rand: rand.Reader, Now: time.Now, Anchors: anchors,
		}
	}
	return p
}

func (p *provider) path(name string) string { return filepath.Join(p.dir, name) }

// write makes a file for the judges and returns its path.
func (p *provider) write(tb testing.TB, name string, content []byte) string {
	tb.Helper()
	path := p.path(name)
	must(tb, os.WriteFile(path, content, 0o600))
	return path
}

// list fetches the list of revoked certificates.
func (p *provider) list(tb testing.TB) []byte {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, p.server.URL+"/crl", nil)
	must(tb, err)
	answer, err := p.server.Client().Do(request)
	must(tb, err)
	defer answer.Body.Close()
	der, err := io.ReadAll(answer.Body)
	must(tb, err)
	if answer.StatusCode != http.StatusOK {
		tb.Fatalf("the list of revoked certificates: %s", answer.Status)
	}
	return der
}

// stamp asks the first or the second authority.
func (p *provider) stamp(tb testing.TB, second bool, data []byte) tsp.Token {
	tb.Helper()
	client := p.tsa[0]
	if second {
		client = p.tsa[1]
	}
	token, err := client.Stamp(tb.Context(), data)
	must(tb, err)
	return token
}

// mandate says who seals for whom.
type mandate struct {
	name    string
	subject democa.Subject
}

// mandates are both ways: the organisation that awards seals by itself, or its alliance does.
func mandates() []mandate {
	return []mandate{
		{"own", democa.Subject{
			Organisation: "Polder University of Technology", CommonName: "Polder University of Technology eSeal",
			OrganisationIdentifier: "NTRNL-12345678", Country: "NL",
		}},
		{"mandate", democa.Subject{
			Organisation: "Alliance of Challenge-driven Universities AISBL", CommonName: "ACU AISBL eSeal",
			OrganisationIdentifier: "NTRBE-0123456789", Country: "BE",
		}},
	}
}

// kind is a sort of key and what the token makes with it.
type kind struct{ name, key, alg, more string }

// kinds are all of them, or one when the tests are to be short.
func kinds() []kind {
	if testing.Short() {
		return []kind{{"es256", "p256", "ES256", ""}}
	}
	return []kind{
		{"rs256-2048", "rsa2048", "RS256", ""},
		{"rs256-3072", "rsa3072", "RS256", ""},
		{"rs256-4096", "rsa4096", "RS256", ""},
		{"ps256", "rsa2048", "PS256", "&x-algorithm=PS256"},
		{"es256", "p256", "ES256", ""},
		{"es384", "p384", "ES384", ""},
	}
}

// sealer is one key on a token of its own, with content that its owner may seal.
type sealer struct {
	kind    kind
	mandate mandate
	made    demotoken.Made
	token   *hsm.Token
	key     hsm.Key
	payload []byte
	at      time.Time
}

func (s sealer) name() string { return s.kind.name + "." + s.mandate.name }

// sealers makes a SoftHSM token for every kind of key and both mandates.
func (p *provider) sealers(tb testing.TB) []sealer {
	tb.Helper()
	renderer, err := elm.NewRenderer()
	must(tb, err)
	guard := hsm.NewSQLGuard(sqldbtest.SQLite(tb), time.Now)
	tokens := tb.TempDir()
	var all []sealer
	for _, k := range kinds() {
		for _, m := range mandates() {
			made, err := demotoken.Make(tb.Context(), demotoken.Options{
				Dir: tokens, Label: k.name + "-" + m.name, CA: p.ca, KeyType: k.key, Now: time.Now, Rand: rand.Reader,
				Organisation: m.subject.Organisation, CommonName: m.subject.CommonName,
				OrganisationIdentifier: m.subject.OrganisationIdentifier, Country: m.subject.Country,
			})
			must(tb, err)
			token, err := hsm.New(hsm.Config{
				URI: made.TokenURI + k.more, Guard: guard, PINSecret: []byte("0123456789abcdef"), Host: "test", Now: time.Now,
			})
			must(tb, err)
			token.Start(tb.Context())
			tb.Cleanup(func() { must(tb, token.Close()) })
			key, err := token.Key(tb.Context())
			must(tb, err)
			if key.Alg != k.alg {
				tb.Fatalf("%s signs with %s", k.name, key.Alg)
			}
			s := sealer{kind: k, mandate: m, made: made, token: token, key: key, at: time.Now().UTC().Truncate(time.Second)}
			s.payload = content(tb, renderer, hsm.InspectSeal(key.Chain[0]), s.at)
			all = append(all, s)
		}
	}
	return all
}

// content is a credential as the server builds it, with the real picture of its page.
func content(tb testing.TB, renderer *elm.Renderer, issuer hsm.SealFacts, at time.Time) []byte {
	tb.Helper()
	starters, err := starter.All()
	must(tb, err)
	in := elm.Input{
		CredentialID: "7d1c9a54-3f0e-4f57-9b1c-0d4a6a2f7e11", Number: "PUT-2026-000123", IssuedAt: at, AwardedAt: at.Add(-time.Hour),
		Issuer: issuer,
		Awarding: templates.Organisation{
			ID: "o-1", Slug: "polder", Name: templates.Text{"en": "Polder University of Technology"},
			Country: "NL", Identifier: "NTRNL-12345678", Registration: "12345678", Address: "Dijkweg 1, 1234 AB Polderstad",
			Homepage: "https://polder-university.example/", Email: "microcredentials@polder-university.example", Brand: "#1d4b73",
		},
		Version: templates.Version{ID: "v-1", Number: 1, Content: starters[0].Content},
		Learner: elm.Learner{GivenName: "Κωνσταντίνος", FamilyName: `O'Brien & "Söhne" \`, Email: "k@example.org", Identifier: "8c1f"},
		Score:   85, Maximum: 100, VerifyURL: "https://seal.polder-university.example/c/7KQ4M2XD91TB",
	}
	picture, err := renderer.Page(in, "en")
	must(tb, err)
	payload, err := elm.Build(in, elm.Page{Language: "en", PNG: picture})
	must(tb, err)
	must(tb, elm.Check(payload, in))
	return payload
}
