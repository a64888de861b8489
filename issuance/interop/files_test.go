//go:build cgo

package interop_test

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/pdf"
	"github.com/sealsmith/sealsmith/issuance/revocation"
)

// The levels as DSS names them.
const (
	jadesNone = "JSON_NOT_ETSI"
	jadesB    = "JAdES_BASELINE_B"
	jadesT    = "JAdES_BASELINE_T"
	jadesLT   = "JAdES_BASELINE_LT"
	jadesLTA  = "JAdES_BASELINE_LTA"
	padesB    = "PAdES_BASELINE_B"
	padesT    = "PAdES_BASELINE_T"
)

// sealed is a file for the judges.
type sealed struct {
	name   string
	level  string // that it must have
	sealer sealer
	bytes  []byte
	stamps int // time-stamps in it
	// renewed: the last time-stamp is of the second authority.
	renewed bool
}

// json tells a credential from its PDF.
func (s sealed) json() bool { return strings.HasSuffix(s.name, ".jsonld") }

// kind is the end of the name, without key and mandate.
func (s sealed) kind() string { return strings.TrimPrefix(s.name, s.sealer.name()+".") }

// lasting says whether everything needed to judge the seal is in the file.
func (s sealed) lasting() bool { return s.level == jadesLT || s.level == jadesLTA }

// ladder climbs all levels with one seal, each file made of the one before.
func (p *provider) ladder(tb testing.TB, s sealer) []sealed {
	tb.Helper()
	key := jades.Key{ID: s.key.ID, Alg: s.key.Alg, Chain: s.key.Chain}
	b, err := jades.Seal(tb.Context(), s.token, key, s.payload, s.at)
	must(tb, err)
	t := p.stamped(tb, b)
	lt, err := jades.AddValues(t, p.values(tb, s.key.Chain[0], p.authority(tb, false)))
	must(tb, err)
	lta := p.archived(tb, lt, false)
	again, err := jades.AddValues(lta, p.values(tb, p.authority(tb, false)))
	must(tb, err)
	again = p.archived(tb, again, true)
	return []sealed{
		{s.name() + ".b.jsonld", jadesB, s, b, 0, false},
		{s.name() + ".t.jsonld", jadesT, s, t, 1, false},
		{s.name() + ".lt.jsonld", jadesLT, s, lt, 1, false},
		{s.name() + ".lta.jsonld", jadesLTA, s, lta, 2, false},
		{s.name() + ".lta2.jsonld", jadesLTA, s, again, 3, true},
	}
}

func (p *provider) stamped(tb testing.TB, file []byte) []byte {
	tb.Helper()
	imprint, err := jades.SignatureImprint(file)
	must(tb, err)
	out, err := jades.AddTimestamp(file, p.stamp(tb, false, imprint).Raw)
	must(tb, err)
	return out
}

func (p *provider) archived(tb testing.TB, file []byte, second bool) []byte {
	tb.Helper()
	imprint, err := jades.ArchiveImprint(file)
	must(tb, err)
	out, err := jades.AddArchive(file, p.stamp(tb, second, imprint).Raw)
	must(tb, err)
	return out
}

func (p *provider) authority(tb testing.TB, second bool) *x509.Certificate {
	tb.Helper()
	cert, err := p.ca.TSACertificate(second)
	must(tb, err)
	return cert
}

// values are what is needed to judge certificates of the demo CA later, as the server collects it.
func (p *provider) values(tb testing.TB, certs ...*x509.Certificate) jades.Values {
	tb.Helper()
	var found revocation.Evidence
	for _, c := range certs {
		e, err := p.status.Collect(tb.Context(), []*x509.Certificate{c, p.ca.Certificate()}, time.Now())
		must(tb, err)
		found = found.Merge(e)
	}
	return jades.Values{
		Certificates: slices.Concat(certs, []*x509.Certificate{p.ca.Certificate()}, found.Certificates),
		OCSP:         found.OCSP, CRLs: found.CRLs,
	}
}

// legacy seals with sigT, of which DSS says that no baseline level has it.
func (p *provider) legacy(tb testing.TB, s sealer) []sealed {
	tb.Helper()
	key := jades.Key{ID: s.key.ID, Alg: s.key.Alg, Chain: s.key.Chain, LegacySigT: true}
	b, err := jades.Seal(tb.Context(), s.token, key, s.payload, s.at)
	must(tb, err)
	return []sealed{
		{s.name() + ".sigt.jsonld", jadesNone, s, b, 0, false},
		{s.name() + ".sigt-t.jsonld", jadesNone, s, p.stamped(tb, b), 1, false},
	}
}

// papers are the PDFs of a credential.
func (p *provider) papers(tb testing.TB, printer *pdf.Printer, s sealer) []sealed {
	tb.Helper()
	found, err := elm.Read(s.payload)
	must(tb, err)
	plain, err := printer.Certificate(found, s.payload)
	must(tb, err)
	b, err := pdf.Seal(tb.Context(), s.token, s.key, plain, pdf.Options{At: s.at})
	must(tb, err)
	t, err := pdf.Seal(tb.Context(), s.token, s.key, plain, pdf.Options{At: s.at, Stamp: func(ctx context.Context, data ...[]byte) ([]byte, error) {
		token, err := p.tsa[0].Stamp(ctx, data...)
		return token.Raw, err
	}})
	must(tb, err)
	return []sealed{{s.name() + ".b.pdf", padesB, s, b, 0, false}, {s.name() + ".t.pdf", padesT, s, t, 1, false}}
}
