package issuance_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/jades"
)

// sealedAt is three hours after the payload of testdata/jades was issued.
var sealedAt = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// mint is an authority, a seal certificate and its key, all in memory.
type mint struct {
	authority *x509.Certificate
	leaf      *x509.Certificate
	key       *ecdsa.PrivateKey
}

func newMint(tb testing.TB, change func(*x509.Certificate)) mint {
	tb.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(tb, err)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example Authority"},
		NotBefore: sealedAt.AddDate(-5, 0, 0), NotAfter: sealedAt.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	m := mint{authority: sign(tb, root, root, rootKey, rootKey)}
	m.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(tb, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{
			CommonName: "Polder University of Technology eSeal", Country: []string{"NL"},
			Organization: []string{"Polder University of Technology (fictional)"},
			ExtraNames:   []pkix.AttributeTypeAndValue{identifier("NTRNL-12345678")},
		},
		NotBefore: sealedAt.AddDate(-1, 0, 0), NotAfter: sealedAt.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageContentCommitment, BasicConstraintsValid: true,
	}
	if change != nil {
		change(leaf)
	}
	m.leaf = sign(tb, leaf, m.authority, m.key, rootKey)
	return m
}

func identifier(s string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: s}
}

func sign(tb testing.TB, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	check(tb, err)
	c, err := x509.ParseCertificate(der)
	check(tb, err)
	return c
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Sign implements jades.Signer.
func (m mint) Sign(_ context.Context, _ string, input ...[]byte) ([]byte, error) {
	digest := sha256.Sum256(bytes.Join(input, nil))
	r, s, err := ecdsa.Sign(rand.Reader, m.key, digest[:])
	if err != nil {
		return nil, err
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
}

func (m mint) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(m.authority)
	return p
}

func (m mint) seal(tb testing.TB, payload []byte, at time.Time) []byte {
	tb.Helper()
	file, err := jades.Seal(tb.Context(), m, jades.Key{ID: "seal", Alg: "ES256", Chain: []*x509.Certificate{m.leaf}}, payload, at)
	check(tb, err)
	return file
}

// payload is a whole micro-credential, changed as the test likes.
func payload(tb testing.TB, change func(map[string]any)) []byte {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "jades", "payload.json"))
	check(tb, err)
	if change == nil {
		return raw
	}
	var members map[string]any
	check(tb, json.Unmarshal(raw, &members))
	change(members)
	raw, err = json.Marshal(members)
	check(tb, err)
	return raw
}

// outcomes is a report in one line per check.
func outcomes(r issuance.Report) []string {
	out := []string{string(r.Verdict) + " " + r.Reason}
	for _, c := range r.Checks {
		out = append(out, c.ID+" "+string(c.Outcome)+" "+c.Reason)
	}
	return out
}

// wholeReport wants every check to speak, and no half-filled sentence.
func wholeReport(tb testing.TB, r issuance.Report) {
	tb.Helper()
	if r.Headline == "" || len(r.SHA256) != 64 || r.CheckedAt.IsZero() {
		tb.Errorf("incomplete report: %+v", r)
	}
	if r.Verdict == issuance.VerdictNotValid && r.Next == "" {
		tb.Errorf("%q says nothing about what to do", r.Headline)
	}
	for _, c := range r.Checks {
		if c.Words == "" || c.Title == "" || c.Reason == "" || strings.Contains(c.Words, "%") {
			tb.Errorf("check %s has no full sentence: %+v", c.ID, c)
		}
	}
	for _, banned := range []string{"invalid", "payload", "jades", "signature", "%!", "tampered"} {
		if strings.Contains(strings.ToLower(r.Headline+r.Next), banned) {
			tb.Errorf("headline %q %q uses %q", r.Headline, r.Next, banned)
		}
	}
}

func TestVerifyGenuine(t *testing.T) {
	t.Parallel()
	m := newMint(t, nil)
	r := issuance.Verify(m.seal(t, payload(t, nil), sealedAt), issuance.VerifyOptions{Trust: m.pool(), Now: sealedAt.Add(time.Hour)})
	wholeReport(t, r)
	want := []string{
		"valid genuine", "format ok fine", "seal ok fine", "certificate ok fine", "issuer ok fine",
		"dates ok no_expiry", "content ok fine", "revocation not-checked " + r.Checks[6].Reason,
	}
	if diff := cmp.Diff(want, outcomes(r)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if r.Content == nil || r.Content.Learner != "Noor van den Berg" || r.Seal.OrganisationIdentifier != "NTRNL-12345678" || r.Failed() {
		t.Errorf("content %+v, seal %+v", r.Content, r.Seal)
	}
}

// refusal is one file that is not valid, with its reason and the one or two checks that tell.
type refusal struct {
	name   string
	mint   mint
	change func(map[string]any)
	at     time.Time // of sealing, sealedAt when zero
	now    time.Time // an hour after sealing when zero
	reason string
	want   []string
	failed bool
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	m := newMint(t, nil)
	set := func(name string, value any) func(map[string]any) {
		return func(p map[string]any) { p[name] = value }
	}
	drop := func(name string) func(map[string]any) { return func(p map[string]any) { delete(p, name) } }
	issuer := func(change func(issuer, eidas map[string]any)) func(map[string]any) {
		return func(p map[string]any) {
			i := p["issuer"].(map[string]any)
			change(i, i["eIDASIdentifier"].(map[string]any))
		}
	}
	subject := func(names ...string) func(map[string]any) {
		return func(p map[string]any) {
			for _, n := range names {
				delete(p["credentialSubject"].(map[string]any), n)
			}
		}
	}
	named := newMint(t, func(c *x509.Certificate) { c.Subject.Organization = []string{"Polder College"} })
	numbered := newMint(t, func(c *x509.Certificate) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{identifier("NTRNL-99999999")}
	})
	anonymous := newMint(t, func(c *x509.Certificate) { c.Subject.ExtraNames = nil })
	abroad := newMint(t, func(c *x509.Certificate) { c.Subject.Country = []string{"BE"} })
	for _, tc := range []refusal{
		{name: "issuer name differs", mint: named, reason: "name_differs", want: []string{"issuer failed name_differs"}, failed: true},
		{name: "issuer number differs", mint: numbered, reason: "identifier_differs", want: []string{"issuer failed identifier_differs"}, failed: true},
		{name: "issuer country differs", mint: abroad, reason: "country_differs", want: []string{"issuer failed country_differs"}, failed: true},
		{name: "certificate without number", mint: anonymous, reason: "no_identifier", want: []string{"issuer unknown no_identifier"}},
		{name: "issuer without number", mint: m, change: issuer(func(i, _ map[string]any) { delete(i, "eIDASIdentifier") }), reason: "no_identifier", want: []string{"issuer unknown no_identifier"}},
		{name: "issuer in another language only", mint: m, change: issuer(func(i, _ map[string]any) { i["legalName"] = map[string]any{"en": "Another University"} }), reason: "name_differs", want: []string{"issuer failed name_differs"}, failed: true},
		{name: "issued tomorrow", mint: m, change: set("issued", "2026-11-21T14:00:00Z"), reason: "issued_in_future", want: []string{"dates failed issued_in_future"}, failed: true},
		{name: "issued before the certificate", mint: m, change: set("issued", "2020-01-01T00:00:00Z"), reason: "outside_certificate", want: []string{"dates failed outside_certificate"}, failed: true},
		{name: "issued a week after sealing", mint: m, change: set("issued", "2026-11-27T00:00:00Z"), now: sealedAt.AddDate(0, 1, 0), reason: "dated_after_seal", want: []string{"dates failed dated_after_seal"}, failed: true},
		{name: "dated two months back", mint: m, change: set("issued", "2026-09-20T00:00:00Z"), reason: "sealed_long_after", want: []string{"dates unknown sealed_long_after"}},
		{name: "expired", mint: m, change: set("validUntil", "2026-12-01T00:00:00Z"), now: sealedAt.AddDate(0, 2, 0), reason: "expired", want: []string{"dates failed expired"}, failed: true},
		{name: "expired by the other member", mint: m, change: set("expirationDate", "2026-12-01T00:00:00Z"), now: sealedAt.AddDate(0, 2, 0), reason: "expired", want: []string{"dates failed expired"}, failed: true},
		{name: "the earlier end counts", mint: m, change: func(p map[string]any) {
			p["validUntil"], p["expirationDate"] = "2030-01-01T00:00:00Z", "2026-12-01T00:00:00Z"
		}, now: sealedAt.AddDate(0, 2, 0), reason: "expired", want: []string{"dates failed expired"}, failed: true},
		{name: "end that cannot be read", mint: m, change: set("validUntil", "2026-12-01"), reason: "date_unread", want: []string{"dates unknown date_unread"}},
		{name: "end that is a list", mint: m, change: set("expirationDate", []string{"2026-12-01T00:00:00Z"}), reason: "date_unread", want: []string{"dates unknown date_unread"}},
		{name: "not in force yet", mint: m, change: set("validFrom", "2027-01-01T00:00:00Z"), reason: "not_in_force", want: []string{"dates failed not_in_force"}, failed: true},
		{name: "no date of issue", mint: m, change: func(p map[string]any) { delete(p, "issued"); delete(p, "issuanceDate") }, reason: "no_issue_date", want: []string{"dates failed no_issue_date"}, failed: true},
		{name: "no learner", mint: m, change: subject("fullName", "givenName", "familyName"), reason: "no_learner", want: []string{"content failed no_learner"}, failed: true},
		{name: "no profile", mint: m, change: drop("credentialProfiles"), reason: "no_profile", want: []string{"format failed no_profile"}, failed: true},
		{name: "schema of somebody else", mint: m, change: set("credentialSchema", map[string]any{"id": "https://example.org/schema"}), reason: "no_profile", want: []string{"format failed no_profile"}, failed: true},
		{name: "another model", mint: m, change: set("@context", "https://www.w3.org/2018/credentials/v1"), reason: "other_model", want: []string{"format unknown other_model"}},
		{name: "no credential", mint: m, change: set("type", "Invoice"), reason: "not_a_credential", want: []string{"format failed not_a_credential", "issuer not-checked not_reliable", "dates not-checked not_reliable", "content not-checked not_reliable"}, failed: true},
		{name: "certificate ended since", mint: m, now: sealedAt.AddDate(2, 0, 0), reason: "expired_since", want: []string{"certificate unknown expired_since"}},
		{name: "sealed in the future", mint: m, at: sealedAt.AddDate(0, 1, 0), now: sealedAt, reason: "sealed_in_future", want: []string{"certificate failed sealed_in_future"}, failed: true},
		{name: "status is not read", mint: m, change: set("credentialStatus", map[string]any{"id": "https://example.org/status/1"}), reason: "genuine"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			checkRefusal(t, tc)
		})
	}
}

func checkRefusal(t *testing.T, tc refusal) {
	t.Helper()
	at, now := tc.at, tc.now
	if at.IsZero() {
		at = sealedAt
	}
	if now.IsZero() {
		now = at.Add(time.Hour)
	}
	r := issuance.Verify(tc.mint.seal(t, payload(t, tc.change), at), issuance.VerifyOptions{Trust: tc.mint.pool(), Now: now})
	wholeReport(t, r)
	var got []string
	for _, line := range outcomes(r)[1:] {
		if !strings.Contains(line, " ok ") && !strings.HasPrefix(line, "revocation") {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(tc.want, got); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	if r.Reason != tc.reason || r.Failed() != tc.failed || (r.Verdict == issuance.VerdictValid) != (tc.reason == "genuine") {
		t.Errorf("verdict %s, reason %s, failed %v: %s", r.Verdict, r.Reason, r.Failed(), r.Headline)
	}
}

func TestVerifyUnknownIssuerIsNotFailed(t *testing.T) {
	t.Parallel()
	m, stranger := newMint(t, nil), newMint(t, nil)
	file := m.seal(t, payload(t, nil), sealedAt)
	for _, tc := range []struct {
		name   string
		trust  *x509.CertPool
		reason string
	}{
		{"nobody trusted", nil, "no_trust"},
		{"somebody else trusted", stranger.pool(), "unknown_issuer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := issuance.Verify(file, issuance.VerifyOptions{Trust: tc.trust, Now: sealedAt})
			wholeReport(t, r)
			if r.Verdict != issuance.VerdictNotValid || r.Failed() || r.Reason != tc.reason || !strings.HasPrefix(r.Headline, "Issuer not known here") {
				t.Errorf("verdict %s, reason %s: %s", r.Verdict, r.Reason, r.Headline)
			}
		})
	}
}

func TestVerifyChangedFile(t *testing.T) {
	t.Parallel()
	m := newMint(t, nil)
	file := strings.Replace(string(m.seal(t, payload(t, nil), sealedAt)), "Noor van den Berg", "Noor van der Berg", 1)
	for _, trust := range []*x509.CertPool{m.pool(), nil} {
		r := issuance.Verify([]byte(file), issuance.VerifyOptions{Trust: trust, Now: sealedAt})
		wholeReport(t, r)
		if r.Reason != "changed" || r.Headline != "This file was changed after sealing." || !r.Failed() {
			t.Errorf("reason %s: %s", r.Reason, r.Headline)
		}
		for _, c := range r.Checks[3:6] {
			if c.Outcome != issuance.OutcomeNotChecked {
				t.Errorf("%s of a changed file: %+v", c.ID, c)
			}
		}
	}
}

func TestVerifyUnreadable(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, file, reason, words string }{
		{"empty", "", "empty", "This file is empty."},
		{"PDF", "%PDF-1.7", "other_format", "This is a PDF, not a credential file."},
		{"mark in front", "\xef\xbb\xbf{}", "not_text", "saved again by another program"},
		{"no seal", string(payload(t, nil)), "not_sealed", "unsealed credential"},
		{"cut", `{"payload":"{}","signatures":[{`, "malformed", "damaged"},
		{"large", strings.Repeat(" ", jades.MaxFile+1), "too_large", "too large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := issuance.Verify([]byte(tc.file), issuance.VerifyOptions{Now: sealedAt})
			wholeReport(t, r)
			if r.Verdict != issuance.VerdictUnreadable || r.Reason != tc.reason || !strings.Contains(r.Checks[0].Words, tc.words) {
				t.Errorf("verdict %s, reason %s: %+v", r.Verdict, r.Reason, r.Checks)
			}
		})
	}
}

// TestVerifyOfficialSamples reads what the European Commission sealed in 2023: unchanged,
// from somebody who is not known here.
func TestVerifyOfficialSamples(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Sample-MC-Annex1-signed.jsonld", "Sample-CertOfPart-signed.jsonld"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := os.ReadFile(filepath.Join("..", "testdata", "jades", "official", name))
			check(t, err)
			r := issuance.Verify(file, issuance.VerifyOptions{Now: sealedAt})
			wholeReport(t, r)
			if l := r.Level; l.Claimed != "B-LTA" || l.Reached != "B-LTA" || len(l.Timestamps) != 3 || !l.ProvenAt.IsZero() {
				t.Errorf("level %+v", l)
			}
			got := strings.Join(outcomes(r), "; ")
			for _, want := range []string{"not-valid no_trust", "format ok fine", "seal ok fine", "certificate unknown no_trust", "issuer ok fine", "dates ok", "content ok", "timestamps unknown timestamp_unknown_authority"} {
				if !strings.Contains(got, want) {
					t.Errorf("want %q in %s", want, got)
				}
			}
			details := strings.Join(r.Checks[2].Details, " ")
			if !strings.Contains(r.Checks[2].Words, "valid until 10 May 2025. That day has passed.") || !strings.Contains(details, "ended on 2025-05-10") || !strings.Contains(r.Seal.Kind, "advanced seal with a qualified certificate") {
				t.Errorf("seal %+v, details %s", r.Seal, details)
			}
		})
	}
}

func TestReportAsJSON(t *testing.T) {
	t.Parallel()
	m := newMint(t, nil)
	raw, err := json.Marshal(issuance.Verify(m.seal(t, payload(t, nil), sealedAt), issuance.VerifyOptions{Trust: m.pool(), Now: sealedAt}))
	check(t, err)
	var got struct {
		Verdict string `json:"verdict"`
		Checks  []struct {
			ID      string `json:"id"`
			Outcome string `json:"outcome"`
		} `json:"checks"`
		Content struct {
			Learner  string `json:"learner"`
			Elements []struct {
				Key       string   `json:"key"`
				Values    []string `json:"values"`
				Mandatory bool     `json:"mandatory"`
			} `json:"elements"`
		} `json:"content"`
		Seal map[string]any `json:"seal"`
	}
	check(t, json.Unmarshal(raw, &got))
	if got.Verdict != "valid" || got.Checks[0].ID != "format" || got.Content.Learner != "Noor van den Berg" ||
		len(got.Content.Elements) == 0 || got.Seal["organisation_identifier"] != "NTRNL-12345678" {
		t.Errorf("report: %s", raw)
	}
	if upper := regexp.MustCompile(`"[a-z_]*[A-Z]\w*":`).Find(raw); upper != nil {
		t.Errorf("member %s is not in snake case", upper)
	}
	if strings.Contains(string(raw), "iVBOR") {
		t.Error("the pictures are in the report")
	}
}

func BenchmarkVerify(b *testing.B) {
	m := newMint(b, nil)
	file := m.seal(b, payload(b, nil), sealedAt)
	opts := issuance.VerifyOptions{Trust: m.pool(), Now: sealedAt}
	b.ReportAllocs()
	for b.Loop() {
		if r := issuance.Verify(file, opts); r.Verdict != issuance.VerdictValid {
			b.Fatal(r.Headline)
		}
	}
}
