package jades_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance/jades"
)

// verdict is what is compared when somebody meddles with a file.
type verdict struct {
	good     bool // no finding that is not OK
	reached  jades.Level
	provenAt time.Time
}

func verdictOf(file []byte, o jades.VerifyOptions) (verdict, error) {
	f, err := jades.Parse(file)
	if err != nil {
		return verdict{}, err
	}
	v := f.Verify(o)
	return verdict{notGood(v.Findings) == nil, v.Proofs[0].Reached, v.Proofs[0].ProvenAt}, nil
}

// rank orders levels.
func rank(l jades.Level) int {
	return slices.Index([]jades.Level{jades.LevelNone, jades.LevelB, jades.LevelT, jades.LevelLT, jades.LevelLTA}, l)
}

// better says whether v promises anything that the honest file did not.
func (v verdict) better(honest verdict) bool {
	return rank(v.reached) > rank(honest.reached) || (v.good && !honest.good) ||
		(!v.provenAt.IsZero() && (honest.provenAt.IsZero() || v.provenAt.Before(honest.provenAt)))
}

// TestEveryByteOfEtsiU changes each byte of what was added to a good file of level B-LTA, one at
// a time, and some of one whose certificate was withdrawn, of one whose authorities have ended and
// of one that nobody vouches for. Nothing of it makes a better file, and what an archive
// time-stamp covers cannot change at all without being noticed. Under the race detector, which
// makes this five times slower and has nothing to find in it, some bytes of the good file will do.
func TestEveryByteOfEtsiU(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.later(time.Hour)
	b := p.levelB(t)
	lta := p.toLTA(t, p.toLT(t, p.toT(t, b)))
	must(t, p.ca.Revoke(p.leaf.SerialNumber, p.now.Add(-time.Minute), 1))
	bad := p.toLTA(t, p.toLT(t, p.toT(t, b)))
	for name, tc := range map[string]struct {
		file []byte
		opts jades.VerifyOptions
		step int
	}{
		"good":      {lta, p.trusting(), everyByte},
		"withdrawn": {bad, p.trusting(), 29},
		"ended":     {lta, options(p.pool(), p.now.Add(3*year)), 29},
		"unknown":   {lta, options(nil, p.now), 29},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			meddle(t, tc.file, tc.opts, tc.step)
		})
	}
}

func meddle(t *testing.T, file []byte, o jades.VerifyOptions, step int) {
	t.Helper()
	honest, err := verdictOf(file, o)
	must(t, err)
	from := bytes.Index(file, []byte(`"etsiU":[`)) + len(`"etsiU":[`) // without the name there is no etsiU but level B
	to := from + bytes.Index(file[from:], []byte("]"))
	archive := bytes.Index(file, []byte(rawURL([]byte(`{"arcT`))))
	if from < 0 || archive < from || to < archive {
		t.Fatalf("etsiU at %d, arcTst at %d, end at %d", from, archive, to)
	}
	for i := from; i < to; i += step {
		spoiled := bytes.Clone(file)
		spoiled[i] ^= 1
		got, err := verdictOf(spoiled, o)
		if err != nil {
			if !errors.Is(err, jades.ErrUnreadable) {
				t.Fatalf("byte %d: %v", i, err)
			}
			continue
		}
		if got.better(honest) {
			t.Fatalf("byte %d, %q for %q: %+v is better than %+v", i, spoiled[i], file[i], got, honest)
		}
		if i < archive && (got.good || got.reached == jades.LevelLTA) {
			t.Fatalf("byte %d, %q for %q: not noticed: %+v", i, spoiled[i], file[i], got)
		}
	}
}

// TestCutAtEveryLevel: a file that ends early, wherever, is damaged and not something else.
func TestCutAtEveryLevel(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	b := p.levelB(t)
	bt := p.toT(t, b)
	lt := p.toLT(t, bt)
	lta := p.toLTA(t, lt)
	for name, file := range map[string][]byte{"B-B": b, "B-T": bt, "B-LT": lt, "B-LTA": lta, "B-LTA twice": p.toLTA(t, p.toLT(t, lta))} {
		for n := 1; n < len(file); n += 1 + n/200 {
			// Half a letter at the end is no UTF-8.
			if _, err := jades.Parse(file[:n]); !errors.Is(err, jades.ErrMalformed) && !errors.Is(err, jades.ErrNotText) {
				t.Errorf("%s cut after %d bytes: %v", name, n, err)
			}
		}
	}
}

// TestHostileEtsiU: what is too much, too deep or stands twice ends in a refusal or a finding.
func TestHostileEtsiU(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	lta := p.toLTA(t, p.toLT(t, p.toT(t, p.levelB(t))))
	parts := etsiU(t, lta)
	with := func(elements ...string) []byte { return withEtsiU(t, lta, elements...) }
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	token := p.stamp(t, []byte("x"))
	tooMuch := tokenElement("sigTst", make([]byte, 300<<10))
	for _, tc := range []struct {
		name    string
		file    []byte
		reached jades.Level
		want    result
	}{
		{"a member twice in an element", with(rawURL([]byte(`{"sigTst":{},"sigTst":{}}`))), jades.LevelB, result{jades.PartTimestamps, jades.NotChecked, jades.ReasonTimestampsUnread}},
		{"10,000 levels in an element", with(rawURL([]byte(`{"sigTst":` + deep + `}`))), jades.LevelB, result{jades.PartTimestamps, jades.NotChecked, jades.ReasonTimestampsUnread}},
		{"65 elements", with(strings.Split(strings.Repeat(parts[0]+" ", 65)[:65*len(parts[0])+64], " ")...), jades.LevelB, result{jades.PartTimestamps, jades.NotChecked, jades.ReasonTimestampsUnread}},
		{"17 time-stamps", with(strings.Split(strings.Repeat(parts[0]+" ", 17)[:17*len(parts[0])+16], " ")...), jades.LevelB, stamps(jades.Unknown, jades.ReasonTimestampForm)},
		{"five tokens in one", with(tokenElement("arcTst", token, token, token, token, token)), jades.LevelB, stamps(jades.Failed, jades.ReasonTimestampUnread)},
		{"token of 300 kB", with(tooMuch), jades.LevelB, stamps(jades.Failed, jades.ReasonTimestampUnread)},
		{"100 certificates", with(parts[0], element("xVals", "["+strings.Repeat(`{"x509Cert":{"val":"`+std(p.leaf.Raw)+`"}},`, 99)+`{"x509Cert":{"val":"`+std(p.leaf.Raw)+`"}}]`), parts[2]), jades.LevelLT, result{jades.PartTimestamps, jades.NotChecked, jades.ReasonTimestampsUnread}},
		{"9 MB of answers", with(parts[0], parts[1], element("rVals", `{"ocspVals":[{"val":"`+std(make([]byte, 9<<20))+`"}]}`)), jades.LevelT, result{jades.PartTimestamps, jades.NotChecked, jades.ReasonTimestampsUnread}},
		{"answers that are no list", with(parts[0], parts[1], element("rVals", `{"ocspVals":{"val":""}}`)), jades.LevelT, result{jades.PartTimestamps, jades.NotChecked, jades.ReasonTimestampsUnread}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := jades.Parse(tc.file)
			must(t, err)
			v := f.Verify(p.trusting())
			found := notGood(v.Findings)
			if v.Proofs[0].Reached != tc.reached || !slices.Contains(found, tc.want) {
				t.Errorf("reached %q, findings %v, want %v", v.Proofs[0].Reached, found, tc.want)
			}
		})
	}
	for name, file := range map[string]string{
		"etsiU twice":         strings.Replace(string(lta), `"etsiU":[`, `"etsiU":[],"etsiU":[`, 1),
		"header twice":        strings.Replace(string(lta), `"header":{`, `"header":{},"header":{`, 1),
		"10,000 levels":       strings.Replace(string(lta), `"etsiU":[`, `"etsiU":[`+deep+`,`, 1),
		"50 MB of time-stamp": strings.Replace(string(lta), `"etsiU":[`, `"etsiU":["`+strings.Repeat("QUJD", 50<<18)+`",`, 1),
		"50 MB of space":      strings.Replace(string(lta), `"etsiU":[`, `"etsiU":[`+strings.Repeat(" ", 50<<20), 1),
	} {
		if _, err := jades.Parse([]byte(file)); !errors.Is(err, jades.ErrMalformed) && !errors.Is(err, jades.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSeveralSealsWithLevels: each seal has a level of its own, and two together stay unjudged.
func TestSeveralSealsWithLevels(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	lta := p.toLTA(t, p.toLT(t, p.toT(t, p.levelB(t))))
	w := wireOf(t, lta).Signatures[0]
	part := func(header string) string {
		return fmt.Sprintf(`{"protected":"%s"%s,"signature":"%s"}`, w.Protected, header, w.Signature)
	}
	list := `,"header":{"etsiU":["` + strings.Join(etsiU(t, lta), `","`) + `"]}`
	f, err := jades.Parse(general(content, part(list), part("")))
	must(t, err)
	v := f.Verify(p.trusting())
	if v.Proofs[0].Reached != jades.LevelLTA || v.Proofs[1].Reached != jades.LevelB {
		t.Errorf("reached %q and %q", v.Proofs[0].Reached, v.Proofs[1].Reached)
	}
	if diff := diffOf(results(result{jades.PartCount, jades.Unknown, jades.ReasonSeveral}), notGood(v.Findings)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if _, err := jades.ArchiveImprint(general(content, part(list), part(""))); !errors.Is(err, jades.ErrAugment) {
		t.Errorf("two seals can be archived: %v", err)
	}
}

// TestKeysThatTakeMinutes: a certificate whose key is so long that one signature of it would keep
// a reader busy is not used, wherever it stands. These are short of what a file could hold.
func TestKeysThatTakeMinutes(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	n := new(big.Int).SetBit(big.NewInt(1), 32<<10, 1)
	huge, err := p.ca.IssueSeal(democa.Subject{Organisation: "Slow", CommonName: "Slow", OrganisationIdentifier: "NTRNL-1", Country: "NL"}, &rsa.PublicKey{N: n, E: 65537}, nil)
	must(t, err)
	values := p.values(t)
	answer, err := ocsp.CreateResponse(p.ca.Certificate(), huge, ocsp.Response{
		Status: ocsp.Good, SerialNumber: p.leaf.SerialNumber, ThisUpdate: p.now, NextUpdate: p.now.Add(time.Hour), Certificate: huge, IssuerHash: crypto.SHA256,
	}, p.soft.key)
	must(t, err)
	bt := p.toT(t, p.levelB(t))
	slow, err := jades.AddValues(bt, jades.Values{Certificates: values.Certificates, OCSP: [][]byte{answer, values.OCSP[1]}})
	must(t, err)
	first := etsiU(t, bt)[0]
	xVals := element("xVals", `[{"x509Cert":{"val":"`+std(huge.Raw)+`"}}]`)
	s := p.sealer()
	s.key.Chain = []*x509.Certificate{p.leaf, huge}
	badCert := result{jades.PartCertificate, jades.Failed, jades.ReasonBadCertificate}
	checkJudged(t, []judged{
		{"in xVals", withEtsiU(t, bt, first, xVals), p.trusting(), jades.LevelT, jades.LevelT, results(result{jades.PartTimestamps, jades.NotChecked, jades.ReasonTimestampsUnread})},
		{"in an OCSP response", slow, p.trusting(), jades.LevelLT, jades.LevelT, results(notReached, noData)},
		{"in x5c", s.forge(t, s.header(nil), content, ""), p.trusting(), jades.LevelB, jades.LevelNone, results(noKey, badCert, noChain, noDates)},
	})
	if _, err := jades.AddValues(bt, jades.Values{Certificates: []*x509.Certificate{huge}, OCSP: values.OCSP}); !errors.Is(err, jades.ErrAugment) {
		t.Errorf("it was added: %v", err)
	}
}
