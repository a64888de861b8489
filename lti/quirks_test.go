package lti_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

// quirkEffects is what a row of the table of products does to calls and launches.
type quirkEffects struct {
	Audience     string         // of token requests
	ResultsQuery string         // when all results are read
	MembersQuery string         // when 1000 members a page are asked for
	Stamp        time.Duration  // from a score to the next, sent within the same second
	Extra        map[string]any // in a score
	Hosts        []string       // beside those of the registration's addresses
	AsksFirst    bool           // new deployments wait for an administrator
	Storage      bool
	NoDeepLinks  bool
	DropsLabel   bool
}

// quirkTests holds one test per row, with a word of its source. What is not named is as the
// specifications say.
var quirkTests = map[string]struct {
	source string
	want   quirkEffects
}{
	// mod_lti/service/gradebookservices: scores.php compares seconds; results.php calls out() on null with a limit.
	"moodle": {"on the wire", quirkEffects{Stamp: time.Second, DropsLabel: true}},
	"canvas": {"Canvas API documentation", quirkEffects{
		ResultsQuery: "limit=100", MembersQuery: "limit=50", AsksFirst: true,
		Hosts: []string{"sso.canvaslms.com", "school.instructure.com"},
		Extra: map[string]any{"https://canvas.instructure.com/lti/submission": map[string]any{"new_submission": false}},
	}},
	"desire2learn": {"hypothesis/lms", quirkEffects{
		Audience: "https://api.brightspace.com/auth/token", ResultsQuery: "limit=100",
		Hosts: []string{"auth.brightspace.com", "school.desire2learn.com"},
	}},
	"blackboardlearn": {"Anthology documentation", quirkEffects{
		ResultsQuery: "limit=100", AsksFirst: true, Storage: true,
		Hosts: []string{"developer.blackboard.com", "developer.anthology.com"},
	}},
	"sakai":     {"Sakai Plus documentation", quirkEffects{ResultsQuery: "limit=100"}},
	"ilias":     {"ILIAS README", quirkEffects{ResultsQuery: "limit=100", NoDeepLinks: true}},
	"open-edx":  {"xblock-lti-consumer", quirkEffects{ResultsQuery: "limit=100"}},
	"schoology": {"Schoology documentation", quirkEffects{ResultsQuery: "limit=100", MembersQuery: "limit=100", AsksFirst: true, Hosts: []string{"lti-service.svc.schoology.com"}}},
	"":          {"", quirkEffects{}}, // a product nobody knows
}

// TestQuirks measures the effects of every row, so that no row is there for nothing, and
// fails for a row that nobody has written down here.
func TestQuirks(t *testing.T) {
	t.Parallel()
	families := map[string]bool{"": true}
	for _, q := range lti.PlatformFamilies() {
		families[q.Family] = true
		test, ok := quirkTests[q.Family]
		if !ok {
			t.Errorf("%s has no test", q.Family)
		}
		if q.Name == "" || !strings.Contains(q.Source, test.source) {
			t.Errorf("%s: name %q, source %q without %q", q.Family, q.Name, q.Source, test.source)
		}
	}
	p, s, reg := newScript(t, newClock(start))
	for family, test := range quirkTests {
		if !families[family] {
			t.Errorf("%s is not in the table", family)
		}
		reg.ProductFamily = family
		want := test.want
		if want.Audience == "" {
			want.Audience = reg.TokenURL
		}
		if want.MembersQuery == "" {
			want.MembersQuery = "limit=1000"
		}
		if want.Stamp == 0 {
			want.Stamp = time.Millisecond
		}
		got := measure(t, p, s, reg)
		for _, host := range want.Hosts {
			if keepsHost(t, p, s, reg, host) {
				got.Hosts = append(got.Hosts, host)
			}
		}
		if keepsHost(t, p, s, reg, "evil.example") {
			t.Errorf("%q: a foreign host is kept", family)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", family, diff)
		}
	}
}

// measure plays the calls on which rows of the table have an effect.
func measure(t *testing.T, p *script, s *lti.Services, reg lti.Registration) quirkEffects {
	t.Helper()
	p.start(&reg, "quirks of "+reg.ProductFamily, reply{body: `[]`}, reply{body: `{"members":[]}`}, reply{}, reply{})
	if _, err := s.Results(t.Context(), reg, issuer+"/item", ""); err != nil {
		t.Error(err)
	}
	if _, err := s.Members(t.Context(), reg, issuer+"/members", lti.MemberQuery{Limit: 1000}); err != nil {
		t.Error(err)
	}
	first, err := s.PostScore(t.Context(), reg, issuer+"/item", full(1), time.Time{})
	if err != nil {
		t.Error(err)
	}
	second, err := s.PostScore(t.Context(), reg, issuer+"/item", full(2), first)
	if err != nil {
		t.Error(err)
	}
	query := func(i int) string {
		_, q, _ := strings.Cut(p.lines()[i], "?")
		return q
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(p.requests[2].body), &body); err != nil {
		t.Error(err)
	}
	maps.DeleteFunc(body, func(name string, _ any) bool { return !strings.HasPrefix(name, "https://") })
	if len(body) == 0 {
		body = nil
	}
	q := reg.Quirks()
	return quirkEffects{
		Audience: p.audience, ResultsQuery: query(0), MembersQuery: query(1), Stamp: second.Sub(first), Extra: body,
		AsksFirst: asksFirst(t, reg.ProductFamily), Storage: q.Storage, NoDeepLinks: q.NoDeepLinking, DropsLabel: q.DropsLabel,
	}
}

// keepsHost reports whether a column that the platform names on the host is kept.
func keepsHost(t *testing.T, p *script, s *lti.Services, reg lti.Registration, host string) bool {
	t.Helper()
	id := "https://" + host + "/items/1"
	p.start(&reg, reg.ProductFamily+" on "+host, reply{body: `{"id":"` + id + `","label":"A"}`})
	item, err := s.LineItem(t.Context(), reg, issuer+"/item")
	if err != nil {
		t.Error(err)
	}
	return item.ID == id
}

// asksFirst reports whether a launch from a new deployment has to wait.
func asksFirst(t *testing.T, family string) bool {
	t.Helper()
	r := newRigAt(t, toolURL, lti.Registration{Issuer: issuer, ClientID: clientID, ProductFamily: family, Deployments: []string{"1"}})
	if _, err := r.db.Exec(t.Context(), `update registrations set settings = '{}'`); err != nil { // without the exception of the rig
		t.Fatal(err)
	}
	o := r.launch(func(m map[string]any) { m[claim+"deployment_id"] = "99" })
	return o.entered == nil
}

// TestCloudsAreKnownByIssuer: a customer cannot make a shared issuer look like their own.
func TestCloudsAreKnownByIssuer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ issuer, family, want string }{
		{"https://canvas.instructure.com", "moodle", "canvas"},
		{"https://CANVAS.test.instructure.com", "", "canvas"},
		{"https://blackboard.com", "", "blackboardlearn"},
		{"https://schoology.schoology.com", "x", "schoology"},
		{"https://school.brightspace.com", "", "desire2learn"},
		{"https://school.brightspace.com.evil.example", "", ""},
		{"https://moodle.example.edu", "Moodle", "moodle"},
		{"https://lms.example.edu", "BlackBoard", "blackboardlearn"},
		{"https://lms.example.edu", "d2l", "desire2learn"},
		{"https://lms.example.edu", "openedx", "open-edx"},
	} {
		if got := (lti.Registration{Issuer: tt.issuer, ProductFamily: tt.family}).Quirks().Family; got != tt.want {
			t.Errorf("%s, %q: got %q, want %q", tt.issuer, tt.family, got, tt.want)
		}
	}
	own := lti.Registration{TokenURL: "https://lms.example.edu/token", ProductFamily: "desire2learn", TokenAudience: "https://own.example.edu"}
	p, s, _ := newScript(t, newClock(start), reply{body: `[]`})
	if _, err := s.Results(t.Context(), own, "https://lms.example.edu/item", "7"); err != nil || p.audience != "https://own.example.edu" {
		t.Errorf("audience %q (%v), want the registration's own", p.audience, err)
	}
}
