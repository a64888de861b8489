package trustlist_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/trustlist"
	"github.com/sealsmith/sealsmith/issuance/trustlist/trustlisttest"
)

// world is a small Union: the Commission signs with P-256, the Netherlands with RSA, Greece
// with P-256; one authority of each for seals, and a Dutch one for time-stamps.
type world struct {
	commission, dutch, greek trustlisttest.Party
	ca, greekCA, tsa         trustlisttest.Party
	now                      time.Time
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	return &world{
		commission: trustlisttest.NewSigner(tb, "Commission", false), dutch: trustlisttest.NewSigner(tb, "Dutch supervisor", true), greek: trustlisttest.NewSigner(tb, "Greek supervisor", false),
		ca: trustlisttest.NewAuthority(tb, "Polder CA", "NL", nil), greekCA: trustlisttest.NewAuthority(tb, "Aegean CA", "GR", nil), tsa: trustlisttest.NewAuthority(tb, "Polder TSA", "NL", nil),
		now: trustlisttest.Day(tb, "2026-11-20"),
	}
}

func day(tb testing.TB, text string) time.Time { tb.Helper(); return trustlisttest.Day(tb, text) }

func (w *world) lotl(tb testing.TB) trustlisttest.List {
	tb.Helper()
	return trustlisttest.List{
		Territory: "EU", Sequence: 300, Issued: day(tb, "2026-10-01"), NextUpdate: day(tb, "2027-04-01"),
		Pointers: []trustlisttest.Pointer{
			{Territory: "EU", Signers: []trustlisttest.Party{w.commission}},
			{Territory: "NL", Signers: []trustlisttest.Party{w.dutch}},
			{Territory: "EL", Signers: []trustlisttest.Party{w.greek}},
		},
	}
}

// granted is a service for seals in good standing since 2024.
func (w *world) granted(tb testing.TB, change func(*trustlisttest.State)) trustlisttest.Service {
	tb.Helper()
	state := trustlisttest.State{Since: day(tb, "2024-01-01"), Status: "granted", Additional: []string{"ForeSeals", "ForeSignatures"}}
	if change != nil {
		change(&state)
	}
	return trustlisttest.Service{Type: trustlisttest.CA, Provider: "Polder Trust", Name: "Polder seals", Certificates: []*x509.Certificate{w.ca.Certificate}, States: []trustlisttest.State{state}}
}

func (w *world) nl(tb testing.TB, services ...trustlisttest.Service) trustlisttest.List {
	tb.Helper()
	if len(services) == 0 {
		services = []trustlisttest.Service{w.granted(tb, nil), {
			Type: trustlisttest.TSA, Provider: "Polder Trust", Name: "Polder time", Certificates: []*x509.Certificate{w.tsa.Certificate},
			States: []trustlisttest.State{{Since: day(tb, "2026-01-01"), Status: "withdrawn"}, {Since: day(tb, "2020-01-01"), Status: "granted"}},
		}, {Type: "http://uri.etsi.org/TrstSvc/Svctype/EDS/Q", Provider: "Polder Post", Name: "Mail", States: []trustlisttest.State{{Since: day(tb, "2020-01-01"), Status: "granted"}}}}
	}
	return trustlisttest.List{Territory: "NL", Sequence: 70, Issued: day(tb, "2026-11-01"), NextUpdate: day(tb, "2027-05-01"), Services: services}
}

func (w *world) el(tb testing.TB) trustlisttest.List {
	tb.Helper()
	return trustlisttest.List{Territory: "EL", Sequence: 9, Issued: day(tb, "2026-11-02"), NextUpdate: day(tb, "2027-05-02"), Services: []trustlisttest.Service{{
		Type: trustlisttest.CA, Provider: "Aegean", Name: "Seals", Certificates: []*x509.Certificate{w.greekCA.Certificate},
		States: []trustlisttest.State{{Since: day(tb, "2024-01-01"), Status: "granted", Additional: []string{"ForeSeals"}}},
	}}}
}

// imports imports files into the store's file and returns the outcomes by the name of the file.
func (w *world) imports(tb testing.TB, path string, signers []*x509.Certificate, files map[string][]byte) map[string]trustlist.Outcome {
	tb.Helper()
	r := trustlist.Request{Signers: signers, Now: func() time.Time { return w.now }}
	for name, xml := range files {
		r.Files = append(r.Files, trustlist.File{Name: name, XML: xml})
	}
	all, err := trustlist.Import(path, r)
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]trustlist.Outcome{}
	for _, o := range all {
		out[o.File] = o
	}
	return out
}

func (w *world) official() []*x509.Certificate { return []*x509.Certificate{w.commission.Certificate} }

// store imports a list of the lists and national lists that must all be right.
func (w *world) store(tb testing.TB, lists ...[]byte) (*trustlist.Store, string) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "trust-lists.json")
	files := map[string][]byte{"lotl": w.lotl(tb).Sign(tb, w.commission)}
	for i, l := range lists {
		files[string(rune('a'+i))] = l
	}
	for name, o := range w.imports(tb, path, w.official(), files) {
		if o.Err != nil {
			tb.Fatalf("%s: %v", name, o.Err)
		}
	}
	return w.load(tb, path), path
}

func (w *world) load(tb testing.TB, path string) *trustlist.Store {
	tb.Helper()
	s, err := trustlist.Load(path, func() time.Time { return w.now })
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// seal issues a seal certificate of the Dutch authority with these QCStatements.
func (w *world) seal(tb testing.TB, statements ...string) *x509.Certificate {
	tb.Helper()
	template := x509.Certificate{Subject: pkix.Name{CommonName: "Polder University eSeal", Country: []string{"NL"}}}
	if len(statements) > 0 {
		template.ExtraExtensions = []pkix.Extension{trustlisttest.QCStatements(tb, statements...)}
	}
	return w.ca.Issue(tb, template, nil)
}

// full are the claims of a certificate for qualified seals.
func full() []string {
	return []string{trustlisttest.QcCompliance, trustlisttest.QcESeal, trustlisttest.QcSSCD}
}

// refused wants a file refused with one of our errors, in words that contain others.
func refused(tb testing.TB, o trustlist.Outcome, want error, says string) {
	tb.Helper()
	if o.List != nil || !errors.Is(o.Err, want) || !strings.Contains(o.Err.Error(), says) {
		tb.Errorf("list %v, error %v; want %v with %q", o.List != nil, o.Err, want, says)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func read(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	must(tb, err)
	return string(data)
}
