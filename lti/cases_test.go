package lti_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/sealsmith/sealsmith/lti"
)

// caseRow is one row of the list of bad, and odd but valid, inputs: what comes in, played
// over HTTP as platforms and browsers send it, and what has to come of it. A number of the
// list may have several rows. Without a code the input is accepted.
//
// After a refusal nothing is written, and a login that it came with is as good as before:
// the right token still works.
type caseRow struct {
	number, input string
	status        int
	code          string

	// An ordinary message with something changed. Alone, login, notice and keys are a login,
	// a notice, and a launch while the platform serves this key set.
	login    func(f url.Values)
	notice   func(m map[string]any)
	keys     func() []byte
	settings lti.Settings                              // of the registration
	claims   func(m map[string]any)                    // of the id_token
	body     func(good []byte) []byte                  // the same as bytes
	header   string                                    // of the token, as JSON; empty: RS256 with the right kid
	key      *rsa.PrivateKey                           // signs instead of the platform's
	token    func(good string) string                  // the whole of it
	answer   func(f url.Values)                        // the form that the platform posts
	cookies  func(right []*http.Cookie) []*http.Cookie // of the browser
	play     func(t *testing.T, r *rig) played         // or all by hand, with a rig of its own

	understood func(l lti.Launch) bool // an accepted launch
	asks       func(q url.Values) bool // what an accepted login asks the platform
	traced     func(tr lti.Trace) bool // what administrators see of it
	jwxTakes   bool                    // and yet the library alone takes the token
	decided    string                  // where it differs from the list, or is not played: why
	elsewhere  []string                // "folder TestName" that plays it, too, or in its place
}

// played is what came of an input; with the login and its right token, if it had one.
type played struct {
	outcome
	login attempt
	right string
}

func caseRows() []caseRow {
	return slices.Concat(loginCases(), answerCases(), tokenFormCases(), headerCases(), keySetCases(), keyReadingCases(),
		partyCases(), timeCases(), subjectCases(), messageCases(), roleCases(), optionalCases(), placeCases(),
		deepLinkCases(), storageCases(), noticeCases())
}

func TestCases(t *testing.T) {
	t.Parallel()
	sections := map[byte][]caseRow{}
	for _, c := range caseRows() {
		sections[c.number[0]] = append(sections[c.number[0]], c)
	}
	for section, rows := range sections {
		t.Run(string(section), func(t *testing.T) {
			t.Parallel()
			shared := newRig(t) // one after the other: what is written is counted
			for _, c := range rows {
				t.Run(c.number+" "+c.input, func(t *testing.T) { c.run(t, shared) })
			}
		})
	}
}

func (c caseRow) run(t *testing.T, shared *rig) {
	t.Helper()
	r := shared
	r.tb = t
	if c.play != nil || c.keys != nil || !isZero(c.settings) {
		r = newRigAt(t, toolURL, lti.Registration{Issuer: issuer, ClientID: clientID, Deployments: []string{"1", "2"}, Settings: c.settings})
	}
	before, dealt := r.written(t), len(r.notices)
	var p played
	switch {
	case c.play != nil:
		p = c.play(t, r)
	case c.login != nil && c.claims == nil:
		form := r.loginForm()
		c.login(form)
		p = played{outcome: r.post("/lti/login", form)}
	case c.notice != nil:
		p = played{outcome: r.notify(c.sign(t, r, c.noticeClaims(r)))}
	case !c.isPlayed():
		t.Logf("%s %s", c.decided, strings.Join(c.elsewhere, ", "))
		return
	default:
		p = c.launch(t, r)
	}
	switch {
	case c.notice != nil:
		c.checkNotice(t, r, p.outcome, len(r.notices)-dealt)
	case c.code != "":
		c.checkRefusal(t, p)
	default:
		c.checkAccepted(t, r, p)
	}
	if c.traced != nil && !c.traced(r.lastTrace()) {
		t.Errorf("the trace is %+v", r.lastTrace())
	}
	if c.code == "" || c.play != nil {
		return
	}
	if after := r.written(t); after != before && c.code != lti.CodeDeploymentUnknown { // which is noted
		t.Errorf("the refusal wrote something: before %s, after %s", before, after)
	}
	c.checkNotBurnt(t, r, p)
}

// isPlayed reports whether there is something to play.
func (c caseRow) isPlayed() bool {
	return c.login != nil || c.notice != nil || c.keys != nil || c.claims != nil || c.body != nil || c.header != "" || c.key != nil ||
		c.token != nil || c.answer != nil || c.cookies != nil || c.play != nil || c.understood != nil || !isZero(c.settings)
}

func isZero(s lti.Settings) bool { return string(must(json.Marshal(s))) == "{}" }

// launch logs in and delivers.
func (c caseRow) launch(t *testing.T, r *rig) played {
	t.Helper()
	form := url.Values{}
	if c.login != nil {
		c.login(form)
	}
	a := r.login(form)
	m := r.claims(a)
	p := played{login: a, right: r.rightToken(m, "k1", form)}
	if c.keys != nil {
		r.jwks.serve(http.StatusOK, c.keys())
		p.right = r.rightToken(m, "repaired", form)
	}
	if c.claims != nil {
		c.claims(m)
	}
	answer := url.Values{"id_token": {c.sign(t, r, m)}, "state": {a.state}}
	if c.answer != nil {
		c.answer(answer)
	}
	cookies := a.cookies
	if c.cookies != nil {
		cookies = c.cookies(cookies)
	}
	p.outcome = r.post("/lti/launch", answer, cookies...)
	return p
}

// rightToken is what the platform should have sent for the login.
func (r *rig) rightToken(m map[string]any, kid string, login url.Values) string {
	m = maps.Clone(m)
	if login.Has("lti_deployment_id") {
		m[claim+"deployment_id"] = login.Get("lti_deployment_id")
	}
	return sign(m, map[string]any{"kid": kid}, platformKey())
}

// sign makes the token of the row.
func (c caseRow) sign(t *testing.T, r *rig, m map[string]any) string {
	t.Helper()
	payload := must(json.Marshal(m))
	if c.body != nil {
		payload = c.body(payload)
	}
	header, key := `{"alg":"RS256","kid":"k1"}`, platformKey()
	if c.header != "" {
		header = c.header
	}
	if c.key != nil {
		key = c.key
	}
	token := signRaw(header, payload, key)
	if c.token != nil {
		token = c.token(token)
	}
	if c.jwxTakes {
		checkJWXTakes(t, r, token)
	}
	return token
}

// checkJWXTakes holds what jwx v2 does by itself: if a later version no longer takes the
// token, the check of ours is not the only one, and the row says less than it seems.
func checkJWXTakes(t *testing.T, r *rig, token string) {
	t.Helper()
	r.jwks.mu.Lock()
	set := must(jwk.Parse(r.jwks.body))
	r.jwks.mu.Unlock()
	if _, err := jwt.Parse([]byte(token), jwt.WithKeySet(set, jws.WithInferAlgorithmFromKey(true)), jwt.WithClock(jwt.ClockFunc(r.clock.Now))); err != nil {
		t.Errorf("jwx alone refuses it, too: %v", err)
	}
}

func (c caseRow) checkRefusal(t *testing.T, p played) {
	t.Helper()
	refused := p.check(t)
	if refused.Code != c.code || refused.Status != c.status || p.rec != nil && p.rec.Code != c.status {
		t.Errorf("got %s (%d), want %s (%d): %v", refused.Code, refused.Status, c.code, c.status, refused)
	}
	if refused.Advice == "" {
		t.Error("the refusal gives no advice")
	}
	told := refused.Error() + refused.Advice + refused.Hint
	for _, secret := range []string{p.login.nonce, p.login.state, p.right} {
		if secret != "" && strings.Contains(told, secret) {
			t.Errorf("the refusal tells a secret: %v", refused)
		}
	}
	if p.rec == nil {
		return
	}
	if again := p.rec.Header().Get("Retry-After"); (again == "30") != (c.status == http.StatusServiceUnavailable) {
		t.Errorf("Retry-After is %q", again)
	}
	if p.rec.Header().Get("Location") != "" || len(p.rec.Result().Cookies()) != 0 {
		t.Errorf("refused, and yet %v", p.rec.Header())
	}
}

func (c caseRow) checkAccepted(t *testing.T, r *rig, p played) {
	t.Helper()
	if c.status != 0 && p.rec.Code != c.status {
		t.Errorf("got status %d, want %d", p.rec.Code, c.status)
	}
	if c.play == nil && c.login != nil && c.claims == nil {
		location := p.rec.Header().Get("Location")
		if p.rec.Code != http.StatusFound || !strings.HasPrefix(location, issuer+"/auth?tenant=7&") {
			t.Fatalf("the login got %d to %q: %v", p.rec.Code, location, p.problem)
		}
		if q := must(url.Parse(location)).Query(); c.asks != nil && !c.asks(q) {
			t.Errorf("the platform is asked %v", q)
		}
		return
	}
	if c.play != nil && c.understood == nil { // it has looked by itself
		return
	}
	s := p.session(t)
	if c.understood != nil && !c.understood(s.Launch) {
		t.Errorf("understood %s", must(json.Marshal(s.Launch)))
	}
	if stored, _, err := r.store.Session(t.Context(), s.ID); err != nil || stored.Launch.User.Subject != s.Launch.User.Subject {
		t.Errorf("the session is not stored: %v", err)
	}
}

// checkNotBurnt delivers the right token after a refusal.
func (c caseRow) checkNotBurnt(t *testing.T, r *rig, p played) {
	t.Helper()
	if p.right == "" {
		return
	}
	if c.keys != nil { // the platform is repaired
		r.jwks.serve(http.StatusOK, publicSet(publicKey("repaired", platformKey(), nil)))
		r.clock.advance(lti.KeysRefetch)
	}
	if o := r.deliver(p.login, p.right); o.entered == nil {
		t.Errorf("after the refusal the right token got %d: %v", o.rec.Code, o.problem)
	}
}

// written counts the rows of what a refusal must leave alone.
func (r *rig) written(t *testing.T) string {
	t.Helper()
	var counts []string
	for _, table := range []string{"sessions", "deployments", "notices", "launch_traces", "audit", "registrations"} {
		var n int
		if err := r.db.Get(t.Context(), &n, "select count(*) from "+table); err != nil {
			t.Fatal(err)
		}
		counts = append(counts, fmt.Sprint(table, "=", n))
	}
	return strings.Join(counts, " ")
}

// listed is how many cases each section of the list has.
var listed = []struct {
	letter  string
	cases   int
	where   string // test that plays the section; empty: TestCases
	against string // why nobody does
}{
	{letter: "L", cases: 22},
	{letter: "E", cases: 22},
	{letter: "J", cases: 34},
	{letter: "K", cases: 11},
	{letter: "C", cases: 32},
	{letter: "M", cases: 48},
	{letter: "D", cases: 21},
	{letter: "P", cases: 8},
	{letter: "N", cases: 9},
	{letter: "S", cases: 30, where: ". TestServiceCases"},
	{letter: "R", cases: 28, where: ". TestRegistrationCases"},
	{letter: "O", cases: 15, against: "grades are read from the platform; nothing of ours receives them"},
}

// TestEveryCaseHasARow ticks the list off: each number has a row, each row says how it is
// played or why not, and the tests that it names exist.
func TestEveryCaseHasARow(t *testing.T) {
	t.Parallel()
	want, total := map[string]bool{}, 0
	for _, s := range listed {
		total += s.cases
		for n := 1; n <= s.cases; n++ {
			want[fmt.Sprint(s.letter, n)] = true
		}
		if s.where != "" && !testExists(t, s.where) {
			t.Errorf("section %s: there is no %s", s.letter, s.where)
		}
	}
	if total != 280 {
		t.Errorf("%d cases, want 280", total)
	}
	rows, refusals, against := map[string]int{}, 0, 0
	for _, c := range caseRows() {
		rows[c.number]++
		if !want[c.number] {
			t.Errorf("%s %s is not in the list", c.number, c.input)
		}
		if !c.isPlayed() {
			against++
			if c.decided == "" && len(c.elsewhere) == 0 {
				t.Errorf("%s %s is neither played nor decided", c.number, c.input)
			}
		}
		if c.isPlayed() && c.code != "" {
			refusals++
		}
		for _, name := range c.elsewhere {
			if !testExists(t, name) {
				t.Errorf("%s %s: there is no %s", c.number, c.input, name)
			}
		}
	}
	all := 0
	for _, s := range listed {
		for n := 1; n <= s.cases && s.where == "" && s.against == ""; n++ {
			number := fmt.Sprint(s.letter, n)
			all += rows[number]
			if rows[number] == 0 {
				t.Errorf("%s has no row", number)
			}
		}
	}
	t.Logf("%d rows: %d refusals, %d accepted, %d not played here", all, refusals, all-refusals-against, against)
	if 2*refusals <= all-against {
		t.Errorf("%d refusals of %d rows: more refusals than acceptances are wanted", refusals, all-against)
	}
	t.Run("list", func(t *testing.T) {
		t.Parallel()
		compareList(t, want)
	})
}

var listedNumber = regexp.MustCompile(`(?m)^\| ([A-Z]\d+) \|`)

// compareList compares with the list itself, which is kept beside the repository.
func compareList(t *testing.T, want map[string]bool) {
	t.Helper()
	list, err := os.ReadFile(filepath.Join("..", "..", "shared", "facts", "lti-bad-input.md"))
	if err != nil {
		t.Skip("SKIPPED: the list is not beside the repository: ", err)
	}
	found := map[string]bool{}
	for _, m := range listedNumber.FindAllStringSubmatch(string(list), -1) {
		found[m[1]] = true
		if !want[m[1]] {
			t.Errorf("%s is in the list and not here", m[1])
		}
	}
	for number := range want {
		if !found[number] {
			t.Errorf("%s is not in the list", number)
		}
	}
}

// testExists looks for "folder TestName" in the files of that folder of the repository;
// "." is this one.
func testExists(t *testing.T, where string) bool {
	t.Helper()
	folder, name, _ := strings.Cut(where, " ")
	pattern := filepath.Join("..", folder, "*_test.go")
	if folder == "." {
		pattern = "*_test.go"
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.Contains(string(must(os.ReadFile(file))), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

// What rows change.

func set(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

func drop(names ...string) func(map[string]any) {
	return func(m map[string]any) {
		for _, n := range names {
			delete(m, n)
		}
	}
}

func param(name string, values ...string) func(url.Values) {
	return func(f url.Values) { f[name] = values }
}

func without(name string) func(url.Values) { return func(f url.Values) { f.Del(name) } }

func replaceBody(old, with string) func([]byte) []byte {
	return func(good []byte) []byte {
		if !strings.Contains(string(good), old) {
			panic(old + " is not in the claims")
		}
		return []byte(strings.Replace(string(good), old, with, 1))
	}
}

func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// by plays a request of any method.
func (r *rig) by(method, path, contentType, body string) outcome {
	req := httptest.NewRequest(method, r.public+path, strings.NewReader(body))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return r.do(req)
}

// expect checks an outcome inside a case that is played by hand.
func (o outcome) expect(t *testing.T, what, code string) {
	t.Helper()
	switch got := o.problem; {
	case code == "" && got != nil:
		t.Errorf("%s: %v", what, got)
	case code != "" && o.check(t).Code != code:
		t.Errorf("%s: got %v, want %s", what, got, code)
	}
}

var long = strings.Repeat("x", 256)
