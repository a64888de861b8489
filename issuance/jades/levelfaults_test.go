package jades_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance/jades"
)

// stamps and withdrawn are results that many cases share.
func stamps(o jades.Outcome, r jades.Reason) result { return result{jades.PartTimestamps, o, r} }

func withdrawn(o jades.Outcome, r jades.Reason) result {
	return result{jades.PartRevocation, o, r}
}

var (
	notReached = stamps(jades.Unknown, jades.ReasonLevelNotReached)
	missed     = stamps(jades.Failed, jades.ReasonLevelNotReached) // for something that is false
	noData     = withdrawn(jades.Unknown, jades.ReasonNoRevocationData)
)

// TestTimeRunsOut: what a seal of each level is worth when certificates have ended.
func TestTimeRunsOut(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.later(year) // the seal certificate has one year left, the time-stamping authority two
	b := p.levelB(t)
	bt := p.toT(t, b)
	lta := p.toLTA(t, p.toLT(t, bt))
	p.later(year + year/2) // the authority has half a year left, and a new one two years
	again := p.toLTA(t, p.toLT(t, lta))
	at := func(d time.Duration) jades.VerifyOptions { return options(p.pool(), noon.Add(d)) }
	expired := result{jades.PartValidity, jades.Unknown, jades.ReasonExpiredSince}
	ended := stamps(jades.Unknown, jades.ReasonTimestampExpired)
	sealEnded, authorityEnded, bothEnded := 2*year+year/4, 3*year+year/4, 5*year
	checkJudged(t, []judged{
		{"B-B, seal certificate ended", b, at(sealEnded), jades.LevelB, jades.LevelB, results(expired)},
		{"B-T, seal certificate ended", bt, at(sealEnded), jades.LevelT, jades.LevelT, nil},
		{"B-LTA, seal certificate ended", lta, at(sealEnded), jades.LevelLTA, jades.LevelLTA, nil},
		{"B-T, authority ended", bt, at(authorityEnded), jades.LevelT, jades.LevelT, results(expired, ended)},
		{"B-LTA, authority ended", lta, at(authorityEnded), jades.LevelLTA, jades.LevelLTA, results(expired, ended, ended)},
		{"stamped again, first authority ended", again, at(authorityEnded), jades.LevelLTA, jades.LevelLTA, nil},
		{"stamped again, all ended", again, at(bothEnded), jades.LevelLTA, jades.LevelLTA, results(expired, ended, ended, ended)},
	})
	f, err := jades.Parse(bt)
	must(t, err)
	v := f.Verify(at(sealEnded))
	proven := false
	for _, x := range v.Findings {
		proven = proven || x.Reason == jades.ReasonExpiredProven && x.Outcome == jades.OK && x.Part == jades.PartValidity
	}
	if !proven || !v.Proofs[0].ProvenAt.Equal(noon.Add(year)) {
		t.Errorf("proven at %s, findings %+v", v.Proofs[0].ProvenAt, v.Findings)
	}
}

// TestTrustInTime: who vouches for time-stamps may be another than who vouches for seals.
func TestTrustInTime(t *testing.T) {
	t.Parallel()
	p, somebody := newProvider(t), newProvider(t)
	bt := p.toT(t, p.levelB(t))
	lta := p.toLTA(t, p.toLT(t, bt))
	unknown := stamps(jades.Unknown, jades.ReasonTimestampAuthority)
	both := jades.VerifyOptions{Trust: p.pool(), TimestampTrust: p.pool(), At: p.now}
	split := jades.VerifyOptions{Trust: p.pool(), TimestampTrust: somebody.pool(), At: p.now}
	nobody := result{jades.PartChain, jades.Unknown, jades.ReasonNoTrust}
	checkJudged(t, []judged{
		{"B-T, both", bt, both, jades.LevelT, jades.LevelT, nil},
		{"B-T, authority unknown", bt, split, jades.LevelT, jades.LevelT, results(unknown)},
		{"B-LTA, authority unknown", lta, split, jades.LevelLTA, jades.LevelLTA, results(unknown, unknown)},
		{"B-LTA, nobody trusted", lta, options(nil, p.now), jades.LevelLTA, jades.LevelLTA, results(nobody, unknown, unknown)},
		{"B-LTA, seal unknown", lta, options(somebody.pool(), p.now), jades.LevelLTA, jades.LevelLTA, results(stranger, unknown, unknown)},
	})
	f, err := jades.Parse(lta)
	must(t, err)
	if at := f.Verify(split).Proofs[0].ProvenAt; !at.IsZero() {
		t.Errorf("an unknown authority proves %s", at)
	}
}

// TestWithdrawn: the certificate of the seal is withdrawn before or after the seal was made.
func TestWithdrawn(t *testing.T) {
	t.Parallel()
	made := func(t *testing.T, revoke time.Duration) (*provider, []byte) {
		t.Helper()
		p := newProvider(t)
		p.later(time.Hour)
		b := p.levelB(t)
		bt := p.toT(t, b)
		must(t, p.ca.Revoke(p.leaf.SerialNumber, p.now.Add(revoke), 1))
		p.later(2 * time.Hour)
		return p, p.toLT(t, bt)
	}
	p, before := made(t, -time.Minute)
	q, after := made(t, time.Minute)
	unproven := withEtsiU(t, after, etsiU(t, after)[1:]...)
	checkJudged(t, []judged{
		{"before", before, p.trusting(), jades.LevelLT, jades.LevelLT, results(withdrawn(jades.Failed, jades.ReasonRevokedBefore))},
		{"before, archived", p.toLTA(t, before), p.trusting(), jades.LevelLTA, jades.LevelLTA, results(withdrawn(jades.Failed, jades.ReasonRevokedBefore))},
		{"after", after, q.trusting(), jades.LevelLT, jades.LevelLT, nil},
		{"after, without a time-stamp", unproven, q.trusting(), jades.LevelB, jades.LevelB, results(withdrawn(jades.Unknown, jades.ReasonRevokedUnproven))},
		{
			"after, authority of the time-stamp not trusted", after,
			jades.VerifyOptions{Trust: q.pool(), TimestampTrust: p.pool(), At: q.now},
			jades.LevelLT, jades.LevelLT, results(stamps(jades.Unknown, jades.ReasonTimestampAuthority), withdrawn(jades.Unknown, jades.ReasonRevokedUnproven)),
		},
	})
	f, err := jades.Parse(after)
	must(t, err)
	since := false
	for _, x := range f.Verify(q.trusting()).Findings {
		since = since || x.Reason == jades.ReasonRevokedSince && x.Outcome == jades.OK
	}
	if !since {
		t.Error("nothing said of the withdrawal after sealing")
	}
	list, err := jades.AddValues(q.toT(t, q.levelB(t)), jades.Values{Certificates: q.values(t).Certificates, CRLs: [][]byte{q.crl(t)}})
	must(t, err)
	checkJudged(t, []judged{{"before, by CRL", list, q.trusting(), jades.LevelLT, jades.LevelLT, results(withdrawn(jades.Failed, jades.ReasonRevokedBefore))}})
}

// TestAuthorityWithdrawn: the certificate of the time-stamping authority is withdrawn.
func TestAuthorityWithdrawn(t *testing.T) {
	t.Parallel()
	made := func(t *testing.T, revoke time.Duration) (*provider, []byte) {
		t.Helper()
		p := newProvider(t)
		p.later(time.Hour)
		bt := p.toT(t, p.levelB(t))
		tsa, err := p.ca.TSACertificate(false)
		must(t, err)
		must(t, p.ca.Revoke(tsa.SerialNumber, p.now.Add(revoke), 1))
		p.later(2 * time.Hour)
		return p, p.toLT(t, bt)
	}
	p, before := made(t, -time.Minute)
	q, after := made(t, time.Minute)
	q.ca.SetBaseURL("http://ca.example") // a new authority archives
	archived := q.toLTA(t, after)
	checkJudged(t, []judged{
		{"before", before, p.trusting(), jades.LevelLT, jades.LevelLT, results(stamps(jades.Failed, jades.ReasonTimestampRevoked))},
		{"after", after, q.trusting(), jades.LevelLT, jades.LevelLT, results(stamps(jades.Unknown, jades.ReasonTimestampRevoked))},
		{"after, archived too late by another", archived, q.trusting(), jades.LevelLTA, jades.LevelLTA, results(stamps(jades.Unknown, jades.ReasonTimestampRevoked))},
	})
}

// TestArchivedBeforeWithdrawal: an archive time-stamp saves the first one from what happens to
// its authority later.
func TestArchivedBeforeWithdrawal(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	lt := p.toLT(t, p.toT(t, p.levelB(t)))
	first, err := p.ca.TSACertificate(false)
	must(t, err)
	p.later(time.Hour)
	p.ca.SetBaseURL("http://ca.example")
	lta := p.toLTA(t, lt)
	must(t, p.ca.Revoke(first.SerialNumber, p.now.Add(time.Hour), 1))
	p.later(2 * time.Hour)
	values := p.values(t)
	values.OCSP = append(values.OCSP, p.ocsp(t, first))
	again, err := jades.AddValues(lta, values)
	must(t, err)
	checkJudged(t, []judged{{"archived in time", p.toLTA(t, again), p.trusting(), jades.LevelLTA, jades.LevelLTA, nil}})
}

// TestRevocationDataFaults: what does not speak about the certificates is no revocation data.
func TestRevocationDataFaults(t *testing.T) {
	t.Parallel()
	under := func(t *testing.T, f democa.OCSPFaults) (*provider, []byte) {
		t.Helper()
		p := newProvider(t)
		_ = p.values(t) // so that the responder's certificate is older than stale answers
		p.later(40 * 24 * time.Hour)
		bt := p.toT(t, p.levelB(t))
		p.later(time.Minute)
		p.ca.SetFaults(democa.Faults{OCSP: f})
		return p, p.toLT(t, bt)
	}
	p, unknown := under(t, democa.OCSPFaults{Unknown: true})
	q, stale := under(t, democa.OCSPFaults{Stale: true})
	r, wrong := under(t, democa.OCSPFaults{WrongSigner: true})
	stranger := newProvider(t)
	foreign := stranger.values(t)
	foreign.OCSP = append(foreign.OCSP, stranger.ocsp(t, p.leaf))
	other, err := jades.AddValues(withEtsiU(t, unknown, etsiU(t, unknown)[0]), foreign)
	must(t, err)
	p.ca.SetFaults(democa.Faults{})
	p.later(time.Hour)
	early := p.values(t)
	ahead, err := jades.AddValues(withEtsiU(t, unknown, etsiU(t, unknown)[0]), early)
	must(t, err)
	authorityOnly := early
	authorityOnly.OCSP = early.OCSP[1:]
	half, err := jades.AddValues(withEtsiU(t, unknown, etsiU(t, unknown)[0]), authorityOnly)
	must(t, err)
	sealOnly := early
	sealOnly.OCSP = early.OCSP[:1]
	otherHalf, err := jades.AddValues(withEtsiU(t, unknown, etsiU(t, unknown)[0]), sealOnly)
	must(t, err)
	noAuthorityData := withdrawn(jades.NotChecked, jades.ReasonNoRevocationData)
	checkJudged(t, []judged{
		{"responder knows nothing", unknown, p.trusting(), jades.LevelLT, jades.LevelT, results(notReached, noData, noAuthorityData)},
		{"answers of last month", stale, q.trusting(), jades.LevelLT, jades.LevelLT, results(withdrawn(jades.Unknown, jades.ReasonStaleData))},
		{"responder may not", wrong, r.trusting(), jades.LevelLT, jades.LevelT, results(notReached, noData, noAuthorityData)},
		{"answers of somebody else", other, p.trusting(), jades.LevelLT, jades.LevelT, results(notReached, noData, noAuthorityData)},
		{"answers from the future", ahead, options(p.pool(), p.now.Add(-30*time.Minute)), jades.LevelLT, jades.LevelT, results(notReached, noData, noAuthorityData)},
		{"about the authority only", half, p.trusting(), jades.LevelLT, jades.LevelT, results(notReached, noData)},
		{
			"about the seal only, nobody trusted", otherHalf, options(nil, p.now), jades.LevelLT, jades.LevelLT,
			results(result{jades.PartChain, jades.Unknown, jades.ReasonNoTrust}, stamps(jades.Unknown, jades.ReasonTimestampAuthority)),
		},
		{
			"about the authority only, nobody trusted", half, options(nil, p.now), jades.LevelLT, jades.LevelT,
			results(result{jades.PartChain, jades.Unknown, jades.ReasonNoTrust}, stamps(jades.Unknown, jades.ReasonTimestampAuthority), notReached, noData),
		},
		{"about the seal only", otherHalf, p.trusting(), jades.LevelLT, jades.LevelT, results(notReached, noAuthorityData)},
	})
}

// TestTimestampFaults puts time-stamps where they do not belong.
func TestTimestampFaults(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	b := p.levelB(t)
	imprint, err := jades.SignatureImprint(b)
	must(t, err)
	good, other := p.stamp(t, imprint), p.stamp(t, []byte("other bytes"))
	p.later(time.Hour)
	lta := p.toLTA(t, p.toLT(t, p.toT(t, b)))
	parts := etsiU(t, lta) // sigTst, xVals, rVals, arcTst
	p.later(time.Hour)
	again := p.toLTA(t, p.toLT(t, lta))
	late := newProvider(t)
	late.now = noon.Add(3 * year)
	late.ca.SetBaseURL("http://ca.example")
	afterExpiry := late.stamp(t, imprint)
	with := func(elements ...string) []byte { return withEtsiU(t, b, elements...) }
	lt := withEtsiU(t, b, parts[:3]...)
	covered, err := jades.ArchiveImprint(lt)
	must(t, err)
	yesterday := newProvider(t) // its clock is an hour behind that of the first time-stamp
	early := withEtsiU(t, b, append(slices.Clip(parts[:3]), tokenElement("arcTst", yesterday.stamp(t, covered)))...)
	trust := p.trusting()
	trust.TimestampTrust = p.pool()
	trust.TimestampTrust.AddCert(yesterday.ca.Certificate())
	s := p.sealer()
	ahead := s.forge(t, s.header(map[string]string{"iat": "1795186800"}), content, "") // three hours after noon
	aheadImprint, err := jades.SignatureImprint(ahead)
	must(t, err)
	otherBytes := stamps(jades.Failed, jades.ReasonTimestampOther)
	unread := stamps(jades.Failed, jades.ReasonTimestampUnread)
	three := p.trusting()
	three.At = noon.Add(3*year + year/4)
	three.TimestampTrust = late.pool()
	expired := result{jades.PartValidity, jades.Unknown, jades.ReasonExpiredSince}
	checkJudged(t, []judged{
		{"good", with(tokenElement("sigTst", good)), trust, jades.LevelT, jades.LevelT, nil},
		{"over other bytes", with(tokenElement("sigTst", other)), trust, jades.LevelT, jades.LevelB, results(otherBytes, missed)},
		{"two tokens in one", with(tokenElement("sigTst", good, good)), trust, jades.LevelT, jades.LevelB, results(stamps(jades.Failed, jades.ReasonTimestampSeveral), missed)},
		{"two time-stamps", with(tokenElement("sigTst", good), tokenElement("sigTst", good)), trust, jades.LevelT, jades.LevelT, nil},
		{"one good, one bad", with(tokenElement("sigTst", good), tokenElement("sigTst", other)), trust, jades.LevelT, jades.LevelB, results(otherBytes, missed)},
		{"no token", with(element("sigTst", `{"tstTokens":[]}`)), trust, jades.LevelT, jades.LevelB, results(unread, missed)},
		{"no list", with(element("sigTst", `[]`)), trust, jades.LevelT, jades.LevelB, results(unread, missed)},
		{"garbage", with(tokenElement("sigTst", []byte("garbage"))), trust, jades.LevelT, jades.LevelB, results(unread, missed)},
		{"a byte behind the token", with(tokenElement("sigTst", append(slices.Clip(good), 0))), trust, jades.LevelT, jades.LevelB, results(unread, missed)},
		{"a forged signature", with(tokenElement("sigTst", append(slices.Clone(good[:len(good)-1]), good[len(good)-1]^1))), trust, jades.LevelT, jades.LevelB, results(stamps(jades.Failed, jades.ReasonTimestampForged), missed)},
		{"older than what it covers", early, trust, jades.LevelLTA, jades.LevelB, results(stamps(jades.Failed, jades.ReasonTimestampOrder), missed)},
		{"cut token", with(tokenElement("sigTst", good[:len(good)-1])), trust, jades.LevelT, jades.LevelB, results(unread, missed)},
		{"an archive time-stamp as sigTst", with(tokenElement("sigTst", good), parts[1], parts[2], strings.Replace(parts[3], rawURL([]byte(`{"arcT`)), rawURL([]byte(`{"sigT`)), 1)), trust, jades.LevelLT, jades.LevelB, results(otherBytes, missed)},
		{"after the end of the certificate", with(tokenElement("sigTst", afterExpiry)), three, jades.LevelT, jades.LevelB, results(expired, stamps(jades.Failed, jades.ReasonTimestampAfterExpiry), missed)},
		{"before the claimed time", withEtsiU(t, ahead, tokenElement("sigTst", p.stamp(t, aheadImprint))), options(p.pool(), noon.Add(4*time.Hour)), jades.LevelT, jades.LevelT, results(stamps(jades.Failed, jades.ReasonTimestampBeforeClaim))},
		{"archive first", with(parts[3], parts[0], parts[1], parts[2]), trust, jades.LevelLTA, jades.LevelLT, results(otherBytes, missed)},
		{"values swapped", with(parts[0], parts[2], parts[1], parts[3]), trust, jades.LevelLTA, jades.LevelLT, results(otherBytes, missed)},
		{"values left out", with(parts[0], parts[3]), trust, jades.LevelT, jades.LevelT, results(otherBytes)},
		{"something put between", with(parts[0], element("x", "1"), parts[1], parts[2], parts[3]), trust, jades.LevelLTA, jades.LevelLT, results(otherBytes, missed)},
		{"something added behind", with(append(parts[:4:4], element("x", "1"))...), trust, jades.LevelLTA, jades.LevelLTA, nil},
		{"second archive first", with(swapped(etsiU(t, again), 3, 5)...), trust, jades.LevelLTA, jades.LevelLT, results(otherBytes, otherBytes, missed)},
		{"archive of something unnamed", with(parts[0], parts[1], parts[2], element("arcTst", `{"timeStamped":"previousArcTst","tstTokens":[{"val":"`+std(good)+`"}]}`)), trust, jades.LevelLTA, jades.LevelLT, results(stamps(jades.Unknown, jades.ReasonTimestampForm), notReached)},
		{"references", with(append(parts[:3:3], element("xRefs", `[]`))...), trust, jades.LevelLT, jades.LevelT, results(notReached)},
	})
}

func swapped(list []string, i, j int) []string {
	out := append([]string{}, list...)
	out[i], out[j] = out[j], out[i]
	return out
}

// TestClearElements: elements that are not base64url-encoded are read, and an archive time-stamp
// over them is not judged, for their bytes are not defined.
func TestClearElements(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := p.sealer()
	protected, sig := s.sign(t, s.header(nil), content)
	token := p.stamp(t, []byte(sig))
	archive := p.stamp(t, []byte("anything"))
	file := func(elements string) []byte {
		return general(content, `{"protected":"`+protected+`","header":{"etsiU":[`+elements+`]},"signature":"`+sig+`"}`)
	}
	first := `{"sigTst":{"tstTokens":[{"val":"` + std(token) + `"}]}}`
	checkJudged(t, []judged{
		{"B-T", file(first), p.trusting(), jades.LevelT, jades.LevelT, nil},
		{"archive", file(first + `,"` + tokenElement("arcTst", archive) + `"`), p.trusting(), jades.LevelT, jades.LevelT, results(stamps(jades.Unknown, jades.ReasonTimestampForm))},
	})
}
