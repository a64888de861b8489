package issuance_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ocsp"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// prover is a trust service provider with a clock that a test turns, and a mint whose seal
// certificate is of it.
type prover struct {
	mint
	ca     *democa.CA
	now    time.Time
	client *tsp.Client
}

func newProver(tb testing.TB) *prover {
	tb.Helper()
	p := &prover{mint: newMint(tb, nil), now: sealedAt}
	server := httptest.NewServer(nil)
	tb.Cleanup(server.Close)
	var err error
	p.ca, err = democa.New(democa.Options{BaseURL: server.URL, Now: func() time.Time { return p.now }, Rand: rand.Reader})
	check(tb, err)
	server.Config.Handler = p.ca.Handler()
	p.leaf, err = p.ca.IssueSeal(democa.Subject{
		Organisation: "Polder University of Technology (fictional)", CommonName: "Polder eSeal", OrganisationIdentifier: "NTRNL-12345678", Country: "NL",
	}, p.key.Public(), nil)
	check(tb, err)
	p.authority = p.ca.Certificate()
	p.client = &tsp.Client{
		Authorities: []tsp.Authority{{URL: server.URL + "/tsa"}}, HTTP: server.Client(), Now: func() time.Time { return p.now }, Anchors: p.pool(),
	}
	return p
}

// record is one that is issued now.
func (p *prover) record(tb testing.TB) []byte {
	tb.Helper()
	return payload(tb, func(m map[string]any) { m["issued"] = p.now.Format(time.RFC3339) })
}

// sealT seals and stamps now.
func (p *prover) sealT(tb testing.TB) []byte {
	tb.Helper()
	file := p.seal(tb, p.record(tb), p.now)
	imprint, err := jades.SignatureImprint(file)
	check(tb, err)
	token, err := p.client.Stamp(tb.Context(), imprint)
	check(tb, err)
	file, err = jades.AddTimestamp(file, token.Raw)
	check(tb, err)
	return file
}

// complete adds what the provider says now of the seal certificate, and of its authority too.
func (p *prover) complete(tb testing.TB, file []byte, authorityToo bool) []byte {
	tb.Helper()
	tsa, err := p.ca.TSACertificate(false)
	check(tb, err)
	values := jades.Values{Certificates: []*x509.Certificate{p.authority, tsa}, OCSP: [][]byte{p.status(tb, p.leaf)}}
	if authorityToo {
		values.OCSP = append(values.OCSP, p.status(tb, tsa))
	}
	file, err = jades.AddValues(file, values)
	check(tb, err)
	return file
}

func (p *prover) archive(tb testing.TB, file []byte) []byte {
	tb.Helper()
	imprint, err := jades.ArchiveImprint(file)
	check(tb, err)
	token, err := p.client.Stamp(tb.Context(), imprint)
	check(tb, err)
	file, err = jades.AddArchive(file, token.Raw)
	check(tb, err)
	return file
}

func (p *prover) status(tb testing.TB, c *x509.Certificate) []byte {
	tb.Helper()
	request, err := ocsp.CreateRequest(c, p.authority, nil)
	check(tb, err)
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, c.OCSPServer[0], bytes.NewReader(request))
	check(tb, err)
	r.Header.Set("Content-Type", "application/ocsp-request")
	answer, err := p.client.HTTP.Do(r)
	check(tb, err)
	defer func() { check(tb, answer.Body.Close()) }()
	out, err := io.ReadAll(answer.Body)
	check(tb, err)
	return out
}

// leveled is one report about a file with proofs.
type leveled struct {
	name    string
	file    []byte
	opts    issuance.VerifyOptions
	want    []string // verdict, and what is not "ok fine" or of every file
	level   string   // claimed and reached
	proven  bool
	saying  string // in the words about the level
	tellers string // outcomes of the time-stamps
}

func checkLeveled(t *testing.T, cases []leveled) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := issuance.Verify(tc.file, tc.opts)
			wholeReport(t, r)
			var got []string
			for i, line := range outcomes(r) {
				if i == 0 || (!strings.HasSuffix(line, " ok fine") && !strings.HasPrefix(line, "revocation ") && line != "dates ok no_expiry") {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			var tellers []string
			for _, s := range r.Level.Timestamps {
				tellers = append(tellers, s.Kind+" "+string(s.Outcome))
				if s.Words == "" || s.Authority == "" || strings.Contains(s.Words, "%") {
					t.Errorf("time-stamp without words: %+v", s)
				}
			}
			if diff := cmp.Diff(tc.tellers, strings.Join(tellers, ", ")); diff != "" {
				t.Errorf("time-stamps (-want +got):\n%s", diff)
			}
			if l := r.Level; l.Claimed+" "+l.Reached != tc.level || l.ProvenAt.IsZero() == tc.proven || !strings.Contains(l.Words, tc.saying) || strings.Contains(l.Words, "%") {
				t.Errorf("level %+v", l)
			}
		})
	}
}

func TestVerifyLevels(t *testing.T) {
	t.Parallel()
	p, somebody := newProver(t), newProver(t)
	p.now = sealedAt.AddDate(1, 0, 0)
	p.ca.SetBaseURL(p.base()) // an authority that lasts a year longer than the seal certificate
	b := p.seal(t, p.record(t), p.now)
	bt := p.sealT(t)
	lt := p.complete(t, bt, true)
	lta := p.archive(t, lt)
	half := p.complete(t, bt, false)
	old, err := jades.Seal(t.Context(), p, jades.Key{ID: "seal", Alg: "ES256", Chain: []*x509.Certificate{p.leaf}, LegacySigT: true}, p.record(t), p.now)
	check(t, err)
	now := issuance.VerifyOptions{Trust: p.pool(), Now: p.now}
	later := issuance.VerifyOptions{Trust: p.pool(), Now: p.now.AddDate(1, 6, 0)}
	muchLater := issuance.VerifyOptions{Trust: p.pool(), Now: p.now.AddDate(3, 0, 0)}
	split := issuance.VerifyOptions{Trust: p.pool(), TimestampTrust: somebody.pool(), Now: p.now}
	splitLater := issuance.VerifyOptions{Trust: p.pool(), TimestampTrust: somebody.pool(), Now: later.Now}
	fine, ended := []string{"valid genuine"}, []string{"not-valid expired_since", "certificate unknown expired_since"}
	proven := []string{"valid genuine", "certificate ok expired_since_proven"}
	with := func(list []string, more string) []string { return append(slices.Clip(list), more) }
	checkLeveled(t, []leveled{
		{"B-B", b, now, fine, "B-B B-B", false, "Only the issuer says when", ""},
		{"sealed by older rules", old, now, with(fine, "seal ok legacy_time"), "B-B B-B", false, "B-B", ""},
		{"B-T", bt, now, fine, "B-T B-T", true, "A time-stamp proves that the seal existed on 20 November 2027", "sigTst ok"},
		{"B-LT", lt, now, fine, "B-LT B-LT", true, "nobody needs to be asked", "sigTst ok"},
		{"B-LTA", lta, now, fine, "B-LTA B-LTA", true, "for many years", "sigTst ok, arcTst ok"},
		{"B-LTA, authority unknown", lta, split, with(fine, "timestamps unknown timestamp_unknown_authority"), "B-LTA B-LTA", false, "cannot be confirmed here", "sigTst unknown, arcTst unknown"},
		{"no answer about the authority", half, now, with(fine, "timestamps unknown level_not_reached"), "B-LT B-T", true, "made up as level B-LT", "sigTst ok"},
		{"B-T, ended since", bt, later, proven, "B-T B-T", true, "B-T", "sigTst ok"},
		{"B-LTA, ended since", lta, later, proven, "B-LTA B-LTA", true, "B-LTA", "sigTst ok, arcTst ok"},
		{"B-B, ended since", b, later, ended, "B-B B-B", false, "", ""},
		{"B-LTA, ended since, authority unknown", lta, splitLater, with(ended, "timestamps unknown timestamp_unknown_authority"), "B-LTA B-LTA", false, "", "sigTst unknown, arcTst unknown"},
		{"B-LTA, never renewed", lta, muchLater, with(ended, "timestamps unknown timestamp_authority_expired"), "B-LTA B-LTA", false, "", "sigTst unknown, arcTst unknown"},
	})
}

// base is where the provider is reached.
func (p *prover) base() string { return strings.TrimSuffix(p.leaf.OCSPServer[0], "/ocsp") }

func TestVerifyWithdrawn(t *testing.T) {
	t.Parallel()
	p, somebody := newProver(t), newProver(t)
	bt := p.sealT(t)
	check(t, p.ca.Revoke(p.leaf.SerialNumber, sealedAt.Add(time.Hour), 1))
	p.now = sealedAt.Add(2 * time.Hour)
	after := p.complete(t, bt, true)
	before := p.complete(t, p.sealT(t), true) // sealed two hours later all the same
	q := newProver(t)
	qt := q.sealT(t)
	q.ca.SetFaults(democa.Faults{OCSP: democa.OCSPFaults{Unknown: true}})
	unknown := q.complete(t, qt, true)
	now := issuance.VerifyOptions{Trust: p.pool(), Now: p.now}
	split := issuance.VerifyOptions{Trust: p.pool(), TimestampTrust: somebody.pool(), Now: p.now}
	checkLeveled(t, []leveled{
		{"after sealing", after, now, []string{"valid genuine", "certificate ok revoked_since"}, "B-LT B-LT", true, "B-LT", "sigTst ok"},
		{"before sealing", before, now, []string{"not-valid revoked_before_sealing", "certificate failed revoked_before_sealing"}, "B-LT B-LT", true, "B-LT", "sigTst ok"},
		{"not proven", after, split, []string{"not-valid revoked_unproven", "certificate unknown revoked_unproven", "timestamps unknown timestamp_unknown_authority"}, "B-LT B-LT", false, "", "sigTst unknown"},
		{"nothing said about it", unknown, issuance.VerifyOptions{Trust: q.pool(), Now: q.now}, []string{"valid genuine", "timestamps unknown level_not_reached"}, "B-LT B-T", true, "B-LT", "sigTst ok"},
	})
}

// TestVerifyFalseTimestamp: what was added beside a good seal and is false makes nothing better,
// and is told.
func TestVerifyFalseTimestamp(t *testing.T) {
	t.Parallel()
	p := newProver(t)
	lta := p.archive(t, p.complete(t, p.sealT(t), true))
	var file struct {
		Payload    string           `json:"payload"`
		Signatures []map[string]any `json:"signatures"`
	}
	check(t, json.Unmarshal(lta, &file))
	header := file.Signatures[0]["header"].(map[string]any)
	list := header["etsiU"].([]any)
	header["etsiU"] = append(list[1:3:3], list[0], list[3])
	changed, err := json.Marshal(file)
	check(t, err)
	r := issuance.Verify(changed, issuance.VerifyOptions{Trust: p.pool(), Now: p.now})
	wholeReport(t, r)
	if !r.Failed() || r.Reason != "timestamp_covers_other_bytes" || r.Level.Reached != "B-LT" || !strings.Contains(r.Headline, "The record is unchanged") {
		t.Errorf("%v: %s; level %+v", outcomes(r), r.Headline, r.Level)
	}
	for _, c := range r.Checks[:6] {
		if c.Outcome != issuance.OutcomeOK {
			t.Errorf("%s: %s", c.ID, c.Words)
		}
	}
}

// TestLevelAsJSON: the names that programs read.
func TestLevelAsJSON(t *testing.T) {
	t.Parallel()
	p := newProver(t)
	raw, err := json.Marshal(issuance.Verify(p.archive(t, p.complete(t, p.sealT(t), true)), issuance.VerifyOptions{Trust: p.pool(), Now: p.now}))
	check(t, err)
	var got struct {
		Level struct {
			Claimed    string    `json:"claimed"`
			Reached    string    `json:"reached"`
			Words      string    `json:"words"`
			ProvenAt   time.Time `json:"proven_at"`
			Timestamps []struct {
				Kind, Authority, Outcome string
				Time                     time.Time
			} `json:"timestamps"`
		} `json:"level"`
	}
	check(t, json.Unmarshal(raw, &got))
	l := got.Level
	if l.Claimed != "B-LTA" || l.Reached != "B-LTA" || l.Words == "" || !l.ProvenAt.Equal(sealedAt) || len(l.Timestamps) != 2 ||
		l.Timestamps[1].Kind != "arcTst" || l.Timestamps[1].Outcome != "ok" || !l.Timestamps[1].Time.Equal(sealedAt) || l.Timestamps[1].Authority == "" {
		t.Errorf("level %+v", l)
	}
}
