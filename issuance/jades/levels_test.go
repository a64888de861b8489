package jades_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

func diffOf(want, got []result) string { return cmp.Diff(want, got) }

// TestLevels makes each level of the one before and has each judged.
func TestLevels(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	b := p.levelB(t)
	p.later(time.Minute)
	bt := p.toT(t, b)
	lt := p.toLT(t, bt)
	lta := p.toLTA(t, lt)
	p.later(year)
	values, err := jades.AddValues(lta, p.values(t))
	must(t, err)
	again := p.toLTA(t, values)
	checkJudged(t, []judged{
		{"B-B", b, p.trusting(), jades.LevelB, jades.LevelB, nil},
		{"B-T", bt, p.trusting(), jades.LevelT, jades.LevelT, nil},
		{"B-LT", lt, p.trusting(), jades.LevelLT, jades.LevelLT, nil},
		{"B-LTA", lta, p.trusting(), jades.LevelLTA, jades.LevelLTA, nil},
		{"B-LTA with more values", values, p.trusting(), jades.LevelLTA, jades.LevelLTA, nil},
		{"B-LTA stamped again", again, p.trusting(), jades.LevelLTA, jades.LevelLTA, nil},
	})
	for _, file := range [][]byte{bt, lt, lta, values, again} {
		checkAdded(t, b, file)
	}
	f, err := jades.Parse(again)
	must(t, err)
	if diff := cmp.Diff([]string{"sigTst", "xVals", "rVals", "arcTst", "tstVD", "arcTst"}, f.Signatures[0].Unsigned); diff != "" {
		t.Errorf("etsiU (-want +got):\n%s", diff)
	}
	tokens, err := jades.Tokens(again)
	must(t, err)
	if len(tokens) != 3 || !tokens[0].Covers([]byte(wireOf(t, b).Signatures[0].Signature)) || !tokens[2].Time.Equal(p.now) {
		t.Errorf("tokens %+v", tokens)
	}
	if _, err := jades.Tokens([]byte("x")); !errors.Is(err, jades.ErrAugment) {
		t.Errorf("tokens of no file: %v", err)
	}
	proof := f.Verify(p.trusting()).Proofs[0]
	if !proof.ProvenAt.Equal(noon.Add(time.Minute)) || len(proof.Chain) != 2 {
		t.Errorf("proven at %s, chain of %d", proof.ProvenAt, len(proof.Chain))
	}
	var stamps []string
	for _, s := range proof.Timestamps {
		stamps = append(stamps, s.Kind+" "+s.Time.Format(time.RFC3339)+" "+s.Authority+" "+string(s.Outcome))
	}
	want := []string{
		"sigTst 2026-11-20T12:01:00Z Sealsmith demo time-stamping authority ok",
		"arcTst 2026-11-20T12:01:00Z Sealsmith demo time-stamping authority ok",
		"arcTst 2027-11-20T12:01:00Z Sealsmith demo time-stamping authority ok",
	}
	if diff := cmp.Diff(want, stamps); diff != "" {
		t.Errorf("time-stamps (-want +got):\n%s", diff)
	}
}

// TestRenewedForYears: each renewal adds answers and one more authority, and all of them count.
func TestRenewedForYears(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	file := p.toLTA(t, p.toLT(t, p.toT(t, p.levelB(t))))
	for range 14 {
		p.later(year / 2)
		file = p.toLT(t, file)
		p.ca.SetBaseURL("http://ca.example") // the next authority
		file = p.toLTA(t, file)
	}
	checkJudged(t, []judged{{"after seven years", file, p.trusting(), jades.LevelLTA, jades.LevelLTA, nil}})
}

// checkAdded wants every byte of before in after, with one piece put in between.
func checkAdded(t *testing.T, before, after []byte) {
	t.Helper()
	front := 0
	for front < len(before) && before[front] == after[front] {
		front++
	}
	if back := before[front:]; !bytes.HasSuffix(after, back) || len(after) <= len(before) {
		t.Errorf("not the old file with one piece added: %.80s ... at %d", after, front)
	}
}

// TestAddKeepsTheFile: whatever white space, order and other members a file has, what stood
// there stands there afterwards.
func TestAddKeepsTheFile(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := p.sealer()
	protected, sig := s.sign(t, s.header(nil), content)
	quoted := strings.ReplaceAll(quote(content), "ä", `\u00e4`)
	for _, tc := range []struct{ name, file string }{
		{"no header", `{"payload":` + quoted + `,"signatures":[{"protected":"` + protected + `","signature":"` + sig + `"}]}`},
		{"header empty", `{"payload":` + quoted + `,"signatures":[{"header":{},"protected":"` + protected + `","signature":"` + sig + `"}]}`},
		{"header with kid", `{"signatures" : [ {"signature":"` + sig + `", "header" : { "kid" : "x" } ,"protected":"` + protected + `"}],` + "\n" + ` "payload":` + quoted + ` }` + "\n"},
		{"etsiU empty", `{"payload":` + quoted + `,"signatures":[{"protected":"` + protected + `","header":{"etsiU":[ ]},"signature":"` + sig + `"}]}`},
		{"names escaped", `{"note":"outside","p\u0061yload":` + quoted + `,"signatures":[{"protected":"` + protected + `","he\u0061der":{"a":[1,{"etsiU":[]}],"etsi\u0055":[]},"signature":"` + sig + `"}]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := []byte(tc.file)
			for _, add := range []func(testing.TB, []byte) []byte{p.toT, p.toLT, p.toLTA, p.toLT, p.toLTA} {
				next := add(t, file)
				checkAdded(t, file, next)
				file = next
			}
			f, err := jades.Parse(file)
			must(t, err)
			v := f.Verify(p.trusting())
			if bad := notGood(v.Findings); bad != nil || v.Proofs[0].Reached != jades.LevelLTA {
				t.Errorf("level %q, findings %v", v.Proofs[0].Reached, bad)
			}
		})
	}
}

// TestArchiveImprint composes by hand what an archive time-stamp covers.
func TestArchiveImprint(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	for name, file := range map[string][]byte{
		"as it is":  p.toLT(t, p.toT(t, p.levelB(t))),
		"base64url": p.toLT(t, p.toT(t, p.encoded(t))),
	} {
		w := wireOf(t, file)
		s := w.Signatures[0]
		want := w.Payload + "." + s.Protected + "." + s.Signature + "." + strings.Join(etsiU(t, file), "")
		got, err := jades.ArchiveImprint(file)
		must(t, err)
		if string(got) != want {
			t.Errorf("%s: covered %q\nwant %q", name, got, want)
		}
		imprint, err := jades.SignatureImprint(file)
		must(t, err)
		if string(imprint) != s.Signature {
			t.Errorf("%s: sigTst covers %q", name, imprint)
		}
		lta := p.toLTA(t, file)
		again, err := jades.ArchiveImprint(lta)
		must(t, err)
		if string(again) != want+etsiU(t, lta)[3] {
			t.Errorf("%s: the second covers %q", name, again)
		}
	}
}

// encoded is a seal whose content is base64url-encoded, as others make them.
func (p *provider) encoded(tb testing.TB) []byte {
	tb.Helper()
	s := p.sealer()
	protected, sig := s.sign(tb, s.header(map[string]string{"b64": "", "crit": ""}), rawURL([]byte(content)))
	return general(rawURL([]byte(content)), `{"protected":"`+protected+`","signature":"`+sig+`"}`)
}

// TestLevelsOfEncodedContent: the same with b64 true.
func TestLevelsOfEncodedContent(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	bt := p.toT(t, p.encoded(t))
	lt := p.toLT(t, bt)
	checkJudged(t, []judged{
		{"B-T", bt, p.trusting(), jades.LevelT, jades.LevelT, nil},
		{"B-LT", lt, p.trusting(), jades.LevelLT, jades.LevelLT, nil},
		{"B-LTA", p.toLTA(t, lt), p.trusting(), jades.LevelLTA, jades.LevelLTA, nil},
	})
}

// TestLevelsOfLegacyTime: a seal that says its time by the older rules grows as well.
func TestLevelsOfLegacyTime(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	key := p.sealer().key
	key.LegacySigT = true
	file, err := jades.Seal(t.Context(), p.soft, key, []byte(content), p.now)
	must(t, err)
	checkJudged(t, []judged{{"B-LTA", p.toLTA(t, p.toLT(t, p.toT(t, file))), p.trusting(), jades.LevelLTA, jades.LevelLTA, nil}})
}

// TestLevelsNeedTheHeader: no time-stamp makes a level of a seal that breaks the rules of level B.
func TestLevelsNeedTheHeader(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := p.sealer()
	var cases []judged
	for _, tc := range []struct {
		name, member, value string
		want                result
	}{
		{"crit missing", "crit", "", result{jades.PartHeader, jades.Failed, jades.ReasonB64NotCritical}},
		{"crit names alg", "crit", `["b64","alg"]`, badCrit},
		{"crit demands the unknown", "crit", `["b64","exp"]`, badCrit},
		{"no time", "iat", "", notBaseline},
		{"no thumbprint", "x5t#S256", "", notBaseline},
	} {
		file := s.forge(t, s.header(map[string]string{tc.member: tc.value}), content, "")
		sig := wireOf(t, file).Signatures[0].Signature
		want := results(tc.want)
		if tc.member == "iat" {
			want = results(noTime, notBaseline)
		}
		cases = append(cases, judged{tc.name, withEtsiU(t, file, tokenElement("sigTst", p.stamp(t, []byte(sig)))), p.trusting(), jades.LevelT, jades.LevelNone, want})
	}
	checkJudged(t, cases)
}

// TestLevelsByList: a list of withdrawn certificates does as well as OCSP answers.
func TestLevelsByList(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	bt := p.toT(t, p.levelB(t))
	lt, err := jades.AddValues(bt, jades.Values{Certificates: []*x509.Certificate{p.ca.Certificate()}, CRLs: [][]byte{p.crl(t)}})
	must(t, err)
	checkJudged(t, []judged{{"B-LT by CRL", lt, p.trusting(), jades.LevelLT, jades.LevelLT, nil}})
}

// TestAugmentRefuses: what would be wrong in the file does not get there.
func TestAugmentRefuses(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	b := p.levelB(t)
	imprint, err := jades.SignatureImprint(b)
	must(t, err)
	early := p.stamp(t, imprint)
	p.later(time.Hour)
	bt := p.toT(t, b)
	lt := p.toLT(t, bt)
	p.later(time.Hour)
	lta := p.toLTA(t, lt)
	values := p.values(t)
	p.later(3 * year)
	late := p.stamp(t, imprint)
	archive, err := jades.ArchiveImprint(lt)
	must(t, err)
	past := newProvider(t)
	past.now = noon.Add(-time.Hour / 2)
	before := past.stamp(t, archive)
	stranger := newProvider(t)
	other := stranger.stamp(t, []byte("other bytes"))
	s := p.sealer()
	part := func(alg string) string {
		protected, sig := s.sign(t, s.header(map[string]string{"alg": alg}), content)
		return `{"protected":"` + protected + `","signature":"` + sig + `"}`
	}
	two := general(content, part(`"ES256"`), part(`"ES256"`))
	ahead := s.forge(t, s.header(map[string]string{"iat": "1795186800"}), content, "") // three hours after noon
	aheadImprint, err := jades.SignatureImprint(ahead)
	must(t, err)
	past.now = noon
	aheadToken := past.stamp(t, aheadImprint)
	values.CRLs = [][]byte{bytes.Repeat([]byte{1}, 9<<20)}
	for _, tc := range []struct {
		name string
		do   func() ([]byte, error)
		want error
		text string
	}{
		{"not a file", func() ([]byte, error) { return jades.AddTimestamp([]byte("x"), early) }, jades.ErrAugment, "plain text"},
		{"changed file", func() ([]byte, error) {
			return jades.AddTimestamp(bytes.Replace(b, []byte("8.5"), []byte("9.5"), 1), early)
		}, jades.ErrAugment, "fits other bytes"},
		{"two seals", func() ([]byte, error) { return jades.AddTimestamp(two, early) }, jades.ErrAugment, "2 seals"},
		{"header against the rules", func() ([]byte, error) {
			return jades.AddTimestamp(s.forge(t, s.header(map[string]string{"crit": ""}), content, ""), early)
		}, jades.ErrAugment, "crit"},
		{"second sigTst", func() ([]byte, error) { return jades.AddTimestamp(bt, early) }, jades.ErrAugment, "sigTst already"},
		{"no token", func() ([]byte, error) { return jades.AddTimestamp(b, []byte{0x30, 0}) }, jades.ErrToken, "RFC 3161"},
		{"token of other bytes", func() ([]byte, error) { return jades.AddTimestamp(b, other) }, jades.ErrToken, "other bytes"},
		{"token after the certificate", func() ([]byte, error) { return jades.AddTimestamp(b, late) }, jades.ErrToken, "after the end"},
		{"token before the sealing", func() ([]byte, error) { return jades.AddTimestamp(ahead, aheadToken) }, jades.ErrToken, "before the sealing"},
		{"huge token", func() ([]byte, error) { return jades.AddTimestamp(b, make([]byte, 1<<20)) }, jades.ErrToken, "bytes"},
		{"values before the time-stamp", func() ([]byte, error) { return jades.AddValues(b, values) }, jades.ErrAugment, "more certificates or revocation data"},
		{"values without a time-stamp", func() ([]byte, error) { return jades.AddValues(b, jades.Values{OCSP: values.OCSP}) }, jades.ErrAugment, "no time-stamp yet"},
		{"no values", func() ([]byte, error) { return jades.AddValues(bt, jades.Values{OCSP: values.OCSP}) }, jades.ErrAugment, "are missing"},
		{"values twice", func() ([]byte, error) {
			return jades.AddValues(lt, jades.Values{Certificates: values.Certificates, OCSP: values.OCSP})
		}, jades.ErrAugment, "already"},
		{"no values for an archive", func() ([]byte, error) { return jades.AddValues(lta, jades.Values{}) }, jades.ErrAugment, "are missing"},
		{"archive without values", func() ([]byte, error) { return jades.AddArchive(bt, early) }, jades.ErrAugment, "xVals must be there"},
		{"archive of other bytes", func() ([]byte, error) { return jades.AddArchive(lt, early) }, jades.ErrToken, "other bytes"},
		{"archive before what it protects", func() ([]byte, error) { return jades.AddArchive(lt, before) }, jades.ErrToken, "before that of sigTst"},
		{"element in the clear", func() ([]byte, error) {
			return jades.AddTimestamp(s.forge(t, s.header(nil), content, `,"header":{"etsiU":[{"x":1}]}`), early)
		}, jades.ErrAugment, "not base64url-encoded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out, err := tc.do()
			if out != nil || !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%d bytes, error %v; want %q", len(out), err, tc.text)
			}
		})
	}
}
