package trustlist_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/trustlist"
	"github.com/sealsmith/sealsmith/issuance/trustlist/trustlisttest"
)

// allSeals are criteria that every certificate with the key usage of seals meets.
const allSeals = `<e:CriteriaList assert="all"><e:KeyUsage><e:KeyUsageBit name="nonRepudiation">true</e:KeyUsageBit></e:KeyUsage></e:CriteriaList>`

// TestQualifyClaims: what certificate and list say together.
func TestQualifyClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const (
		compliance, seal, sign, device, otherLaw = trustlisttest.QcCompliance, trustlisttest.QcESeal, trustlisttest.QcESign, trustlisttest.QcSSCD, trustlisttest.QcOtherLaw
		qualified, advanced, not, unknown        = trustlist.CodeQualified, trustlist.CodeAdvanced, trustlist.CodeNotQualified, trustlist.CodeUnknown
	)
	for _, c := range []struct {
		claims []string
		names  string // qualifiers of the list, for all seals
		want   trustlist.Code
		says   string
	}{
		{[]string{compliance, seal, device}, "", qualified, "its key is in a qualified device"},
		{[]string{compliance, seal}, "", advanced, "Nothing says that its key"},
		{[]string{compliance, sign, device}, "", not, "not for seals"},
		{[]string{compliance, device}, "", not, "not for seals"},
		{[]string{seal, device}, "", not, "does not say that it is a qualified one"},
		{nil, "", not, "does not say that it is a qualified one"},
		{[]string{compliance, seal, device, otherLaw}, "", not, "outside the European Union"},

		{[]string{compliance, seal}, "QCWithQSCD", qualified, "The list says that the keys"},
		{[]string{compliance, seal}, "QCWithSSCD", qualified, "The list says that the keys"},
		{[]string{compliance, seal}, "QCQSCDManagedOnBehalf", qualified, "The list says that the keys"},
		{[]string{compliance, seal, device}, "QCNoQSCD", advanced, "not in a qualified device"},
		{[]string{compliance, seal, device}, "QCNoSSCD", advanced, "not in a qualified device"},
		{[]string{compliance, seal, device}, "QCQSCDStatusAsInCert", qualified, "its key is in a qualified device"},
		{[]string{compliance, seal}, "QCSSCDStatusAsInCert", advanced, ""},
		{[]string{compliance, seal, device}, "QCForLegalPerson", qualified, ""},
		{[]string{compliance, seal, device}, "QCForESeal", qualified, ""},
		{[]string{compliance, device}, "QCForESeal", qualified, "The list says that such certificates are qualified ones"},
		{[]string{compliance, seal, device}, "QCForESig", not, "for something else than seals"},
		{[]string{compliance, seal, device}, "QCForWSA", not, "for something else than seals"},
		{[]string{seal, device}, "QCStatement", qualified, "The list says that such certificates are qualified ones"},
		{nil, "QCStatement QCForESeal QCWithQSCD", qualified, ""},
		{nil, "QCStatement QCWithQSCD", not, "not for seals"},
		{[]string{compliance, seal, device}, "NotQualified", not, "such certificates are not qualified"},

		{[]string{compliance, seal, device}, "NotQualified QCStatement", unknown, "contradicts itself"},
		{[]string{compliance, seal, device}, "QCWithQSCD QCNoQSCD", unknown, "contradicts itself"},
		{[]string{compliance, seal, device}, "QCForESeal QCForESig", unknown, "contradicts itself"},
		{[]string{compliance, seal, device}, "QCForMoonBase", unknown, "QCForMoonBase"},
	} {
		service := w.granted(t, func(s *trustlisttest.State) {
			if c.names != "" {
				s.Extensions = trustlisttest.Qualification(allSeals, strings.Fields(c.names)...)
			}
		})
		s, _ := w.store(t, w.nl(t, service).Sign(t, w.dutch))
		q := s.Qualify(w.seal(t, c.claims...), nil, w.now)
		if q.Code != c.want || !strings.Contains(strings.Join(q.Reasons, " "), c.says) {
			t.Errorf("%v %q: %s %q, want %s with %q", c.claims, c.names, q.Code, q.Reasons, c.want, c.says)
		}
		if q.Territory != "NL" || !strings.Contains(q.Words, "the trusted list of the Netherlands of 1 November 2026") || !q.At.Equal(w.now) {
			t.Errorf("%v %q: %+v", c.claims, c.names, q)
		}
	}
}

// TestQualifyTimes: the service must have stood when the certificate was issued (1 January
// 2025) and at the time that is asked about.
func TestQualifyTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	leaf := w.seal(t, full()...)
	state := func(since, status string, additional ...string) trustlisttest.State {
		return trustlisttest.State{Since: day(t, since), Status: status, Additional: additional}
	}
	for name, c := range map[string]struct {
		states []trustlisttest.State
		at     string
		want   trustlist.Code
		says   string
	}{
		"granted":                     {[]trustlisttest.State{state("2024-01-01", "granted", "ForeSeals")}, "2026-11-20", trustlist.CodeQualified, "was in good standing on 20 November 2026"},
		"withdrawn since":             {[]trustlisttest.State{state("2026-06-01", "withdrawn"), state("2024-01-01", "granted", "ForeSeals")}, "2026-11-20", trustlist.CodeNotQualified, "status “withdrawn” on 20 November 2026, since 1 June 2026"},
		"sealed before withdrawal":    {[]trustlisttest.State{state("2026-06-01", "withdrawn"), state("2024-01-01", "granted", "ForeSeals")}, "2026-05-31", trustlist.CodeQualified, "31 May 2026"},
		"on the day of withdrawal":    {[]trustlisttest.State{state("2026-06-01", "withdrawn"), state("2024-01-01", "granted", "ForeSeals")}, "2026-06-01", trustlist.CodeNotQualified, ""},
		"granted after issue":         {[]trustlisttest.State{state("2025-06-01", "granted", "ForeSeals")}, "2026-11-20", trustlist.CodeNotQualified, "not on the list yet on 1 January 2025"},
		"withdrawn at issue":          {[]trustlisttest.State{state("2025-06-01", "granted", "ForeSeals"), state("2024-01-01", "withdrawn")}, "2026-11-20", trustlist.CodeNotQualified, "It counts what the certificate was when it was issued"},
		"history after the present":   {[]trustlisttest.State{state("2024-01-01", "granted", "ForeSeals"), state("2026-06-01", "withdrawn")}, "2026-11-20", trustlist.CodeUnknown, "a state that cannot be read"},
		"present before the history":  {[]trustlisttest.State{state("2024-01-01", "withdrawn"), state("2026-06-01", "granted", "ForeSeals")}, "2026-11-20", trustlist.CodeUnknown, "a state that cannot be read"},
		"history in any order":        {[]trustlisttest.State{state("2026-06-01", "withdrawn"), state("2023-01-01", "withdrawn"), state("2024-01-01", "granted", "ForeSeals")}, "2026-05-31", trustlist.CodeQualified, ""},
		"not for seals":               {[]trustlisttest.State{state("2024-01-01", "granted", "ForeSignatures")}, "2026-11-20", trustlist.CodeNotQualified, "not for certificates of seals"},
		"for seals only since":        {[]trustlisttest.State{state("2026-01-01", "granted", "ForeSeals"), state("2024-01-01", "granted", "ForeSignatures")}, "2026-11-20", trustlist.CodeNotQualified, "not for certificates of seals"},
		"says nothing of purposes":    {[]trustlisttest.State{state("2024-01-01", "granted")}, "2026-11-20", trustlist.CodeNotQualified, "not for certificates of seals"},
		"words before eIDAS":          {[]trustlisttest.State{state("2024-01-01", "undersupervision", "ForeSeals")}, "2026-11-20", trustlist.CodeNotQualified, "undersupervision"},
		"national level":              {[]trustlisttest.State{state("2024-01-01", "recognisedatnationallevel", "ForeSeals")}, "2026-11-20", trustlist.CodeNotQualified, "recognisedatnationallevel"},
		"of another type before":      {[]trustlisttest.State{state("2026-01-01", "granted", "ForeSeals"), {Since: day(t, "2024-01-01"), Status: "granted", Additional: []string{"ForeSeals"}, Type: "http://uri.etsi.org/TrstSvc/Svctype/CA/PKC"}}, "2026-11-20", trustlist.CodeNotQualified, "ofanothertype"},
		"critical and not understood": {[]trustlisttest.State{{Since: day(t, "2024-01-01"), Status: "granted", Additional: []string{"ForeSeals"}, Extensions: `<Extension Critical="true"><z:Moon xmlns:z="urn:z"></z:Moon></Extension>`}}, "2026-11-20", trustlist.CodeUnknown, "critical extension Moon"},
		"not critical":                {[]trustlisttest.State{{Since: day(t, "2024-01-01"), Status: "granted", Additional: []string{"ForeSeals"}, Extensions: `<Extension Critical="false"><z:Moon xmlns:z="urn:z"></z:Moon></Extension>`}}, "2026-11-20", trustlist.CodeQualified, ""},
		"unknown when issued":         {[]trustlisttest.State{state("2025-06-01", "granted", "ForeSeals"), {Since: day(t, "2024-01-01"), Status: "granted", Additional: []string{"ForeSeals"}, Extensions: `<Extension Critical="true"><z:Moon xmlns:z="urn:z"></z:Moon></Extension>`}}, "2026-11-20", trustlist.CodeUnknown, "when it was issued"},
		"unknown, then withdrawn":     {[]trustlisttest.State{state("2025-06-01", "withdrawn"), {Since: day(t, "2024-01-01"), Status: "granted", Additional: []string{"ForeSeals"}, Extensions: `<Extension Critical="true"><z:Moon xmlns:z="urn:z"></z:Moon></Extension>`}}, "2026-11-20", trustlist.CodeNotQualified, "withdrawn"},
	} {
		service := w.granted(t, nil)
		service.States = c.states
		s, _ := w.store(t, w.nl(t, service).Sign(t, w.dutch))
		q := s.Qualify(leaf, nil, day(t, c.at))
		if q.Code != c.want || !strings.Contains(strings.Join(q.Reasons, " "), c.says) {
			t.Errorf("%s: %s %q, want %s with %q", name, q.Code, q.Reasons, c.want, c.says)
		}
		standing := c.states[0].Status == "granted" && (len(c.states) == 1 || c.states[0].Since.After(c.states[1].Since))
		standing = standing && len(c.states[0].Additional) > 0 && !strings.Contains(c.states[0].Extensions, `"true"`)
		if got := len(s.Anchors(w.now)); (got == 1) != standing {
			t.Errorf("%s: %d anchors", name, got)
		}
	}
}

// TestUnreadableState: a state whose date cannot be read makes the service unknown.
func TestUnreadableState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list := w.nl(t, w.granted(t, nil))
	xml := strings.Replace(list.XML(), "<StatusStartingTime>2024-01-01T00:00:00Z", "<StatusStartingTime>then", 1)
	s, _ := w.store(t, trustlisttest.SignXML(t, xml, "", w.dutch))
	if q := s.Qualify(w.seal(t, full()...), nil, w.now); q.Code != trustlist.CodeUnknown || len(s.List("NL").Notes) != 1 {
		t.Errorf("%+v, notes %v", q, s.List("NL").Notes)
	}
	if len(s.Anchors(w.now)) != 0 {
		t.Error("a service whose state is not known vouches for seals")
	}
	before := w.granted(t, nil)
	before.States = append([]trustlisttest.State{{Since: day(t, "2026-06-01"), Status: "withdrawn"}}, before.States...)
	xml = strings.Replace(w.nl(t, before).XML(), "<StatusStartingTime>2026-06-01T00:00:00Z", "<StatusStartingTime>lately", 1)
	s, _ = w.store(t, trustlisttest.SignXML(t, xml, "", w.dutch))
	if q := s.Qualify(w.seal(t, full()...), nil, w.now); q.Code != trustlist.CodeUnknown || len(s.Anchors(w.now)) != 0 {
		t.Errorf("withdrawn at a time that cannot be read: %+v", q)
	}
	xml = strings.Replace(list.XML(), "2024-01-01T00:00:00Z", "2024-01-01T02:00:00", 1) // without a zone it is UTC
	s, _ = w.store(t, trustlisttest.SignXML(t, xml, "", w.dutch))
	if p := s.List("NL").Services[0].Periods[0]; !p.Since.Equal(day(t, "2024-01-01").Add(2 * time.Hour)) {
		t.Errorf("since %v", p.Since)
	}
}

// TestTakenOver: an authority that another provider took over stands on the list twice.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	leaf := w.seal(t, full()...)
	old, next := w.granted(t, nil), w.granted(t, nil)
	old.Provider, next.Provider = "Old Trust", "New Trust"
	old.States = []trustlisttest.State{{
		Since: day(t, "2026-01-01"), Status: "withdrawn",
		Extensions: `<Extension Critical="true"><t:TakenOverBy xmlns:t="http://uri.etsi.org/02231/v2/additionaltypes#"><t:TSPName>New Trust</t:TSPName></t:TakenOverBy></Extension>`,
	}, old.States[0]}
	next.States[0].Since = day(t, "2026-01-01")
	s, _ := w.store(t, w.nl(t, old, next).Sign(t, w.dutch))
	q := s.Qualify(leaf, nil, w.now)
	if q.Code != trustlist.CodeQualified || !strings.Contains(strings.Join(q.Reasons, " "), "New Trust") {
		t.Errorf("%+v", q)
	}
	if q := s.Qualify(leaf, nil, day(t, "2025-06-01")); q.Code != trustlist.CodeQualified || !strings.Contains(strings.Join(q.Reasons, " "), "Old Trust") {
		t.Errorf("before: %+v", q)
	}
	// Two entries that stand and say different things: nobody can say which counts.
	next.States[0].Since = day(t, "2024-01-01")
	next.States[0].Extensions = trustlisttest.Qualification(allSeals, "NotQualified")
	s, _ = w.store(t, w.nl(t, next, w.granted(t, nil)).Sign(t, w.dutch))
	if q := s.Qualify(leaf, nil, w.now); q.Code != trustlist.CodeUnknown || !strings.Contains(strings.Join(q.Reasons, " "), "contradict themselves") {
		t.Errorf("contradiction: %+v", q)
	}
}

// TestChains: the service may be the root above, known by certificate or by its key's name.
func TestChains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	middle := trustlisttest.NewAuthority(t, "Polder Issuing CA", "NL", &w.ca)
	impostor := trustlisttest.NewAuthority(t, "Polder CA", "NL", nil) // the name of the other one
	template := x509.Certificate{Subject: pkix.Name{CommonName: "Polder University eSeal"}, ExtraExtensions: []pkix.Extension{trustlisttest.QCStatements(t, full()...)}}
	below, forged, direct := middle.Issue(t, template, nil), impostor.Issue(t, template, nil), w.ca.Issue(t, template, nil)
	byKey := w.granted(t, nil)
	byKey.Certificates, byKey.SKI = nil, w.ca.Certificate.SubjectKeyId
	unread := w.granted(t, nil)
	unread.Certificates, unread.Raw = nil, append([]byte("no certificate but the name "), w.ca.Certificate.RawSubject...)
	broken := w.granted(t, nil)
	broken.Certificates, broken.Raw = nil, []byte("something else")
	certificates := func(all ...*x509.Certificate) []*x509.Certificate { return all }
	for name, c := range map[string]struct {
		service trustlisttest.Service
		leaf    *x509.Certificate
		chain   []*x509.Certificate
		want    trustlist.Code
	}{
		"direct":                  {w.granted(t, nil), direct, nil, trustlist.CodeQualified},
		"direct, with itself":     {w.granted(t, nil), direct, certificates(direct, w.ca.Certificate), trustlist.CodeQualified},
		"below":                   {w.granted(t, nil), below, certificates(below, middle.Certificate), trustlist.CodeQualified},
		"below, mixed":            {w.granted(t, nil), below, certificates(impostor.Certificate, middle.Certificate, w.greekCA.Certificate), trustlist.CodeQualified},
		"below, without between":  {w.granted(t, nil), below, nil, trustlist.CodeNotListed},
		"the name alone":          {w.granted(t, nil), forged, certificates(impostor.Certificate), trustlist.CodeNotListed},
		"by key":                  {byKey, direct, certificates(w.ca.Certificate), trustlist.CodeQualified},
		"by key, below":           {byKey, below, certificates(middle.Certificate, w.ca.Certificate), trustlist.CodeQualified},
		"by key, nothing to see":  {byKey, direct, nil, trustlist.CodeUnknown},
		"by key, an impostor":     {byKey, forged, certificates(impostor.Certificate), trustlist.CodeNotListed},
		"certificate not read":    {unread, direct, nil, trustlist.CodeUnknown},
		"another one not read":    {broken, direct, nil, trustlist.CodeNotListed},
		"the authority is itself": {w.granted(t, nil), w.ca.Certificate, nil, trustlist.CodeNotQualified},
	} {
		s, _ := w.store(t, w.nl(t, c.service).Sign(t, w.dutch))
		if q := s.Qualify(c.leaf, c.chain, w.now); q.Code != c.want || q.Words == "" {
			t.Errorf("%s: %s %q %q, want %s", name, q.Code, q.Words, q.Reasons, c.want)
		}
	}
}

// TestNotListed: not being on a list says something only where the list is here.
func TestNotListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	issued := func(country string) *x509.Certificate {
		ca := trustlisttest.NewAuthority(t, "Some CA", country, nil)
		if country == "" {
			ca.Certificate.RawSubject = nil
			ca.Certificate.Subject = pkix.Name{CommonName: "Some CA"}
		}
		return ca.Issue(t, x509.Certificate{ExtraExtensions: []pkix.Extension{trustlisttest.QCStatements(t, full()...)}}, nil)
	}
	s, _ := w.store(t, w.nl(t).Sign(t, w.dutch))
	for _, c := range []struct {
		country string
		want    trustlist.Code
		words   string
	}{
		{"NL", trustlist.CodeNotListed, "The authority behind this seal is not on the trusted list of the Netherlands of 1 November 2026"},
		{"GR", trustlist.CodeUnknown, "the trusted list of Greece is not here"},
		{"US", trustlist.CodeNotListed, "it is from US, which has none"},
		{"", trustlist.CodeUnknown, "names no country"},
	} {
		if q := s.Qualify(issued(c.country), nil, w.now); q.Code != c.want || !strings.Contains(q.Words, c.words) {
			t.Errorf("%s: %s %q, want %s %q", c.country, q.Code, q.Words, c.want, c.words)
		}
	}
	if q := s.Qualify(nil, nil, w.now); q.Code != trustlist.CodeUnknown || q.Words == "" {
		t.Errorf("no certificate: %+v", q)
	}
	empty, err := trustlist.Load("/nonexistent/trust-lists.json", func() time.Time { return w.now })
	must(t, err)
	if q := empty.Qualify(issued("NL"), nil, w.now); q.Code != trustlist.CodeUnknown || !strings.Contains(q.Words, "No trusted list of the EU is set up here") {
		t.Errorf("empty: %+v", q)
	}
}

// TestStaleLists: a list that ran out answers for the time before, and says so.
func TestStaleLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	leaf := w.seal(t, full()...)
	s, _ := w.store(t, w.nl(t).Sign(t, w.dutch))
	other := trustlisttest.NewAuthority(t, "Other CA", "NL", nil).Issue(t, x509.Certificate{}, nil)
	closed := w.nl(t)
	closed.NextUpdate = time.Time{}
	open, _ := w.store(t, closed.Sign(t, w.dutch))
	for _, c := range []struct {
		name    string
		now, at string
		want    trustlist.Code
		words   string
		says    string
	}{
		{"fresh", "2026-11-20", "2026-11-20", trustlist.CodeQualified, "This is a qualified electronic seal", "in a qualified device"},
		{"the LOTL ran out", "2027-04-15", "2027-04-15", trustlist.CodeUnknown, "the list of the lists of 1 October 2026 ran out on 1 April 2027", "What the list says: This is a qualified electronic seal"},
		{"both ran out", "2027-06-01", "2027-06-01", trustlist.CodeUnknown, "the trusted list of the Netherlands of 1 November 2026 ran out on 1 May 2027", "sealsmith trust import"},
		{"proven before", "2027-06-01", "2026-12-01", trustlist.CodeQualified, "This is a qualified electronic seal", "since then the trusted list of the Netherlands of 1 November 2026 ran out, on 1 May 2027"},
	} {
		w.now = day(t, c.now)
		q := s.Qualify(leaf, nil, day(t, c.at))
		if q.Code != c.want || !strings.Contains(q.Words, c.words) || !strings.Contains(strings.Join(q.Reasons, " "), c.says) {
			t.Errorf("%s: %s %q %q", c.name, q.Code, q.Words, q.Reasons)
		}
	}
	if len(s.Anchors(w.now)) != 1 {
		t.Error("a stale list has no anchors")
	}
	if q := s.Qualify(other, nil, w.now); q.Code != trustlist.CodeUnknown {
		t.Errorf("not on a stale list: %+v", q)
	}
	if q := open.Qualify(leaf, nil, w.now); q.Code != trustlist.CodeUnknown || !strings.Contains(q.Words, "list of the lists") {
		t.Errorf("closed list: %+v", q)
	}
}

// TestStatementsThatAreNone: QCStatements that do not parse claim nothing.
func TestStatementsThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, _ := w.store(t, w.nl(t).Sign(t, w.dutch))
	leaf := w.ca.Issue(t, x509.Certificate{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}, Value: []byte{0x30, 0x80}}}}, nil)
	if q := s.Qualify(leaf, nil, w.now); q.Code != trustlist.CodeNotQualified {
		t.Errorf("%+v", q)
	}
}
