package issuance_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/trustlist"
	"github.com/sealsmith/sealsmith/issuance/trustlist/trustlisttest"
)

// listed imports lists on which the authority of a mint stands: granted, and since 10 November
// 2026 in another state when one is named.
func listed(tb testing.TB, m mint, status string) *trustlist.Store {
	tb.Helper()
	return listedSince(tb, m, status, trustlisttest.Day(tb, "2026-11-10"))
}

func listedSince(tb testing.TB, m mint, status string, since time.Time) *trustlist.Store {
	tb.Helper()
	commission, dutch := trustlisttest.NewSigner(tb, "Commission", false), trustlisttest.NewSigner(tb, "Dutch", false)
	issued, next := trustlisttest.Day(tb, "2026-11-01"), trustlisttest.Day(tb, "2028-05-01")
	states := []trustlisttest.State{{Since: trustlisttest.Day(tb, "2024-01-01"), Status: "granted", Additional: []string{"ForeSeals"}}}
	if status != "granted" {
		states = append([]trustlisttest.State{{Since: since, Status: status}}, states...)
	}
	lotl := trustlisttest.List{Territory: "EU", Sequence: 1, Issued: issued, NextUpdate: next, Pointers: []trustlisttest.Pointer{{Territory: "NL", Signers: []trustlisttest.Party{dutch}}}}
	nl := trustlisttest.List{Territory: "NL", Sequence: 1, Issued: issued, NextUpdate: next, Services: []trustlisttest.Service{{
		Type: trustlisttest.CA, Provider: "Polder Trust", Name: "Polder seals", Certificates: []*x509.Certificate{m.authority}, States: states,
	}}}
	path, now := filepath.Join(tb.TempDir(), "lists"), func() time.Time { return sealedAt }
	out, err := trustlist.Import(path, trustlist.Request{
		Signers: []*x509.Certificate{commission.Certificate}, Now: now,
		Files: []trustlist.File{{Name: "lotl", XML: lotl.Sign(tb, commission)}, {Name: "nl", XML: nl.Sign(tb, dutch)}},
	})
	check(tb, err)
	for _, o := range out {
		check(tb, o.Err)
	}
	store, err := trustlist.Load(path, now)
	check(tb, err)
	return store
}

func anchors(s *trustlist.Store, at time.Time) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range s.Anchors(at) {
		pool.AddCert(c)
	}
	return pool
}

func TestQualification(t *testing.T) {
	t.Parallel()
	claiming := func(ids ...string) mint {
		return newMint(t, func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, trustlisttest.QCStatements(t, ids...))
		})
	}
	full := claiming(trustlisttest.QcCompliance, trustlisttest.QcESeal, trustlisttest.QcSSCD)
	advanced := claiming(trustlisttest.QcCompliance, trustlisttest.QcESeal)
	plain := newMint(t, nil)
	now := sealedAt.Add(time.Hour)
	granted := listed(t, full, "granted")
	for name, c := range map[string]struct {
		mint    mint
		lists   *trustlist.Store
		change  func([]byte) []byte
		now     time.Time
		verdict issuance.Verdict
		code    trustlist.Code
		words   string
	}{
		"qualified":     {full, granted, nil, now, issuance.VerdictValid, trustlist.CodeQualified, "This is a qualified electronic seal according to the trusted list of the Netherlands of 1 November 2026."},
		"advanced":      {advanced, listed(t, advanced, "granted"), nil, now, issuance.VerdictValid, trustlist.CodeAdvanced, "This is an advanced electronic seal based on a qualified certificate"},
		"not qualified": {plain, listed(t, plain, "granted"), nil, now, issuance.VerdictValid, trustlist.CodeNotQualified, "This is not a qualified electronic seal according to the trusted list of the Netherlands"},
		"withdrawn":     {full, listed(t, full, "withdrawn"), nil, now, issuance.VerdictNotValid, trustlist.CodeNotQualified, "This is not a qualified electronic seal"},
		"not listed":    {plain, granted, nil, now, issuance.VerdictNotValid, trustlist.CodeUnknown, "names no country"},
		"changed": {full, granted, func(file []byte) []byte {
			return bytes.Replace(file, []byte(`"signature":"`), []byte(`"signature":"AAAA`), 1)
		}, now, issuance.VerdictNotValid, trustlist.CodeUnknown, "they say nothing about a seal that does not hold"},
		"ended":   {full, granted, nil, sealedAt.AddDate(1, 0, 1), issuance.VerdictNotValid, trustlist.CodeUnknown, "the seal itself could not be confirmed"},
		"no list": {full, nil, nil, now, issuance.VerdictNotValid, trustlist.CodeUnknown, "No trusted list of the EU is set up here"},
	} {
		opts := issuance.VerifyOptions{Now: c.now}
		if c.lists != nil {
			opts.Trust, opts.Qualify = anchors(c.lists, c.now), c.lists.Qualify
		}
		file := c.mint.seal(t, payload(t, nil), sealedAt)
		if c.change != nil {
			file = c.change(file)
		}
		r := issuance.Verify(file, opts)
		wholeReport(t, r)
		if r.Qualification == nil {
			t.Fatalf("%s: no qualification", name)
		}
		if q := r.Qualification; r.Verdict != c.verdict || q.Code != c.code || !strings.Contains(q.Words, c.words) {
			t.Errorf("%s: %s (%s), %s %q %q", name, r.Verdict, r.Reason, q.Code, q.Words, q.Reasons)
		}
		text, err := json.Marshal(r)
		check(t, err)
		if !strings.Contains(string(text), `"qualification":{"code":"`+string(c.code)) {
			t.Errorf("%s: report %s", name, text)
		}
	}
	if r := issuance.Verify([]byte("{}"), issuance.VerifyOptions{Now: now}); r.Qualification != nil {
		t.Errorf("of a file that cannot be read: %+v", r.Qualification)
	}
}

// TestQualifyIsAskedAboutNow: what a seal says of its own time proves nothing, so the time
// that counts is now; and all certificates of the seal come along.
func TestQualifyIsAskedAboutNow(t *testing.T) {
	t.Parallel()
	m := newMint(t, nil)
	now := sealedAt.Add(30 * 24 * time.Hour)
	asked := 0
	issuance.Verify(m.seal(t, payload(t, nil), sealedAt), issuance.VerifyOptions{Trust: m.pool(), Now: now, Qualify: func(leaf *x509.Certificate, chain []*x509.Certificate, at time.Time) trustlist.Qualification {
		asked++
		if !leaf.Equal(m.leaf) || !at.Equal(now) || !slices.ContainsFunc(chain, m.authority.Equal) {
			t.Errorf("asked about %s with %d certificates at %s", leaf.Subject, len(chain), at)
		}
		return trustlist.Qualification{}
	}})
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// TestQualifiedThen: a time-stamp proves that the seal is older than the end of its authority,
// so both its trust and its qualification are those of then. Without proof they are not.
func TestQualifiedThen(t *testing.T) {
	t.Parallel()
	p := newProver(t)
	plain, stamped := p.seal(t, p.record(t), p.now), p.sealT(t)
	for _, c := range []struct {
		name    string
		file    []byte
		ended   time.Duration // of the authority, after sealing
		trustAt bool
		verdict issuance.Verdict
		code    trustlist.Code
	}{
		{"stamped before the end", stamped, 10 * 24 * time.Hour, true, issuance.VerdictValid, trustlist.CodeAdvanced},
		{"stamped after the end", stamped, -24 * time.Hour, true, issuance.VerdictNotValid, trustlist.CodeNotQualified},
		{"not stamped", plain, 10 * 24 * time.Hour, true, issuance.VerdictNotValid, trustlist.CodeNotQualified},
		{"nothing known of then", stamped, 10 * 24 * time.Hour, false, issuance.VerdictNotValid, trustlist.CodeUnknown},
	} {
		lists := listedSince(t, p.mint, "withdrawn", sealedAt.Add(c.ended))
		now := sealedAt.Add(30 * 24 * time.Hour)
		opts := issuance.VerifyOptions{Trust: anchors(lists, now), TimestampTrust: p.pool(), Qualify: lists.Qualify, Now: now}
		if c.trustAt {
			opts.TrustAt = func(at time.Time) *x509.CertPool { return anchors(lists, at) }
		}
		r := issuance.Verify(c.file, opts)
		if q := r.Qualification; r.Verdict != c.verdict || q.Code != c.code {
			t.Errorf("%s: %s %s, %s %q %q", c.name, r.Verdict, r.Reason, q.Code, q.Words, q.Reasons)
		}
	}
}
