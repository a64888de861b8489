package lti_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// Section 10: platform storage, and notices.

func storageCases() []caseRow {
	inBrowser := []string{"cmd/sealsmith TestBrowserStorageFaults"}
	const script = "the script of the page decides it (cmd/sealsmith/web/static/storage.js), and only a browser can play it"
	return []caseRow{
		{number: "P1", input: "an answer of another origin", decided: script, elsewhere: inBrowser},
		{number: "P2", input: "an answer to another message", decided: script, elsewhere: inBrowser},
		{number: "P3", input: "another value", play: confirmedWith("another"), code: lti.CodeStateNotBound, status: 401, elsewhere: []string{". TestPlatformStorage"}},
		{number: "P3", input: "no value", play: confirmedWith(""), code: lti.CodeStateNotBound, status: 401},
		{number: "P3", input: "undefined", play: confirmedWith("undefined"), code: lti.CodeStateNotBound, status: 401},
		{number: "P3", input: "the value of another login", play: confirmedWithOther, code: lti.CodeStateNotBound, status: 401},
		{number: "P3", input: "the right value and a wrong token", play: confirmedWrongToken, code: lti.CodeNonceMismatch, status: 401, elsewhere: []string{". TestStorageChecksEverythingElse"}},
		{number: "P3", input: "confirmed by GET", play: otherMethod(http.MethodGet, "/lti/confirm", "POST"), code: lti.CodeLaunchByGET, status: 405},
		{number: "P3", input: "confirmed twice", play: confirmedTwice, code: lti.CodeReplay, status: 401},
		{number: "P4", input: "no answer", decided: script, elsewhere: inBrowser},
		{number: "P5", input: "storage_exhaustion", decided: script, elsewhere: inBrowser},
		{number: "P6", input: "a wrong secret, six times", play: sixTimesWrong, decided: "not counted: the secret has 256 bits, and a counter would let others end the login"},
		{number: "P7", input: "parked for two minutes", play: parked(2*time.Minute + time.Second), code: lti.CodeExpired, status: 401, decided: "nothing is parked here: the token goes along, and its own end counts"},
		{number: "P7", input: "parked for ten minutes", play: parked(10 * time.Minute), code: lti.CodeStateExpired, status: 401},
		{number: "P7", input: "the window, opened eleven minutes later", play: windowLate},
		{number: "P8", input: "an embedder that is not the platform", play: onlyToPlatform, elsewhere: inBrowser},
	}
}

func (r *rig) confirm(a attempt, token, secret string) outcome {
	return r.post("/lti/confirm", url.Values{"id_token": {token}, "state": {a.state}, "secret": {secret}})
}

// afterConfirm confirms wrongly, then rightly.
func (r *rig) afterConfirm(t *testing.T, a attempt, put *lti.StorageCall, wrong func(token string) outcome) played {
	t.Helper()
	token := r.token(a)
	before := r.written(t)
	o := wrong(token)
	if r.written(t) != before {
		t.Errorf("written: %s, before %s", r.written(t), before)
	}
	if right := r.confirm(a, token, put.Value); right.page == nil || right.page.Kind != lti.PageOpen {
		t.Errorf("afterwards the right one got %v", right.problem)
	}
	return played{outcome: o, login: a, right: put.Value}
}

func confirmedWith(secret string) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		a, put := r.stored("_parent")
		return r.afterConfirm(t, a, put, func(token string) outcome { return r.confirm(a, token, secret) })
	}
}

func confirmedWithOther(t *testing.T, r *rig) played {
	t.Helper()
	a, put := r.stored("_parent")
	_, other := r.stored("_parent")
	return r.afterConfirm(t, a, put, func(token string) outcome { return r.confirm(a, token, other.Value) })
}

func confirmedWrongToken(t *testing.T, r *rig) played {
	t.Helper()
	a, put := r.stored("_parent")
	bad := r.token(attempt{nonce: "another"})
	return r.afterConfirm(t, a, put, func(string) outcome { return r.confirm(a, bad, put.Value) })
}

func confirmedTwice(t *testing.T, r *rig) played {
	t.Helper()
	a, put := r.stored("_parent")
	token := r.token(a)
	if o := r.confirm(a, token, put.Value); o.page == nil {
		t.Fatal(o.problem)
	}
	return played{outcome: r.confirm(a, token, put.Value), login: a}
}

func sixTimesWrong(t *testing.T, r *rig) played {
	t.Helper()
	a, put := r.stored("_parent")
	token := r.token(a)
	for i := range 6 {
		r.confirm(a, token, fmt.Sprint("guess-", i)).expect(t, "a guess", lti.CodeStateNotBound)
	}
	if o := r.confirm(a, token, put.Value); o.page == nil || o.page.Kind != lti.PageOpen {
		t.Errorf("the right one got %v", o.problem)
	}
	return played{}
}

func parked(d time.Duration) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		a, put := r.stored("_parent")
		token := r.token(a)
		if o := r.deliver(a, token); o.page == nil || o.page.Kind != lti.PageRecall {
			t.Fatal(o.problem)
		}
		r.clock.advance(d)
		return played{outcome: r.confirm(a, token, put.Value), login: a}
	}
}

func windowLate(t *testing.T, r *rig) played {
	t.Helper()
	a, put := r.stored("_parent")
	page := r.confirm(a, r.token(a), put.Value).page
	form := url.Values{}
	for _, f := range page.Fields {
		form.Set(f.Name, f.Value)
	}
	r.clock.advance(11 * time.Minute)
	if o := r.post("/lti/open", form); o.entered != nil || o.problem == nil {
		t.Errorf("opened: %v", o.entered)
	}
	return played{}
}

// onlyToPlatform: the secret is for the origin of the registered endpoint, whatever the
// page around says it is.
func onlyToPlatform(t *testing.T, r *rig) played {
	t.Helper()
	form := r.loginForm()
	form.Set("lti_storage_target", "_parent")
	form.Set("target_link_uri", "https://evil.example/")
	o := r.follow(r.inFrame("/lti/login", form))
	if o.page == nil || o.page.Storage.Origin != issuer {
		t.Errorf("got %+v, %v", o.page, o.problem)
	}
	return played{outcome: o}
}

// Notices. A bad one is dropped: the answer is 202 whatever was in it.

func (r *rig) notify(tokens ...string) outcome {
	list := []map[string]string{}
	for _, token := range tokens {
		list = append(list, map[string]string{"jwt": token})
	}
	return r.by(http.MethodPost, "/lti/notices", "application/json", string(must(json.Marshal(map[string]any{"notices": list}))))
}

// noticeBase is a notice of a copied course.
func (r *rig) noticeBase(id string) map[string]any {
	now := r.clock.Now().Unix()
	return map[string]any{
		"iss": r.reg.Issuer, "aud": r.reg.ClientID, "azp": r.reg.ClientID, "iat": now, "exp": now + 60, "nonce": "n",
		claim + "version": "1.3.0", claim + "deployment_id": "1",
		claim + "notice":          map[string]any{"id": id, "type": lti.NoticeContextCopy, "timestamp": "2026-11-24T09:00:00Z"},
		claim + "context":         map[string]any{"id": "course-2", "title": "Again"},
		claim + "origin_contexts": []string{"course-1"},
	}
}

func (r *rig) noticeToken(m map[string]any) string {
	return sign(m, map[string]any{"kid": "k1"}, platformKey())
}

func (c caseRow) noticeClaims(r *rig) map[string]any {
	m := r.noticeBase("n-" + c.input)
	c.notice(m)
	return m
}

// checkNotice: a code is what the trace says of a dropped one; traced or not, 202.
func (c caseRow) checkNotice(t *testing.T, r *rig, o outcome, dealt int) {
	t.Helper()
	if o.rec.Code != http.StatusAccepted || o.problem != nil {
		t.Errorf("got %d, %v", o.rec.Code, o.problem)
	}
	if c.code == "" {
		if dealt != 1 {
			t.Errorf("%d notices were dealt with, want 1", dealt)
		}
		return
	}
	if dealt != 0 {
		t.Errorf("a bad notice was dealt with")
	}
	if c.code == lti.CodePlatformUnknown || c.code == lti.CodeTokenForm && c.token != nil {
		return // of nobody: it is not traced
	}
	if tr := r.lastTrace(); tr.Code != c.code || tr.Status != c.status || tr.Kind != lti.TraceNotice {
		t.Errorf("traced %s (%d) as %s, want %s (%d)", tr.Code, tr.Status, tr.Kind, c.code, c.status)
	}
}

func noticeCases() []caseRow {
	about := func(member string, value any) func(map[string]any) {
		return func(m map[string]any) {
			notice := maps.Clone(m[claim+"notice"].(map[string]any))
			notice[member] = value
			m[claim+"notice"] = notice
		}
	}
	same := func(map[string]any) {}
	form := func(input, kind, body string) caseRow {
		return caseRow{number: "N1", input: input, code: lti.CodeNoticeForm, status: 400, play: noticeBody(kind, body)}
	}
	dropped := func(number, input, code string, status int, change func(map[string]any)) caseRow {
		return caseRow{number: number, input: input, code: code, status: status, notice: change}
	}
	copies := []string{"grading TestNoticeOfACopy"}
	return []caseRow{
		form("no JSON", "application/json", "notices"),
		form("a list", "application/json", "[]"),
		form("no notices", "application/json", "{}"),
		form("notices is null", "application/json", `{"notices":null}`),
		form("notices is text", "application/json", `{"notices":"x"}`),
		form("jwt is a number", "application/json", `{"notices":[{"jwt":7}]}`),
		form("a form", formType, "notices=x"),
		form("no content type", "", `{"notices":[]}`),
		{number: "N1", input: "GET", code: lti.CodeMethod, status: 405, play: otherMethod(http.MethodGet, "/lti/notices", "POST")},
		{number: "N1", input: "no notice in the list", play: emptyNotices},
		{number: "N2", input: "signed by another key", code: lti.CodeSignature, status: 401, notice: same, key: otherKey()},
		{number: "N2", input: "unknown kid", code: lti.CodeKIDUnknown, status: 401, notice: same, header: `{"alg":"RS256","kid":"k9"}`},
		{number: "N2", input: "HS256", code: lti.CodeAlg, status: 401, notice: same, token: hs256([]byte(clientID))},
		{number: "N2", input: "no token", code: lti.CodeTokenForm, status: 400, notice: same, token: func(string) string { return "x" }},
		dropped("N2", "expired", lti.CodeExpired, 401, set("exp", at(-2*time.Minute))),
		dropped("N2", "azp of another", lti.CodeAZPMismatch, 401, set("azp", "other")),
		dropped("N2", "unknown platform", lti.CodePlatformUnknown, 400, set("iss", "https://evil.example")),
		dropped("N2", "platform with U+0000", lti.CodePlatformUnknown, 400, set("iss", issuer+"\x00")),
		{number: "N2", input: "bad ones among good ones", play: goodAndBad},
		{number: "N3", input: "the same id again", play: noticeTwice},
		dropped("N4", "unknown deployment", lti.CodeDeploymentUnknown, 403, set(claim+"deployment_id", "3")),
		dropped("N4", "no deployment", lti.CodeDeploymentUnknown, 403, drop(claim+"deployment_id")),
		{number: "N5", input: "unknown type", notice: about("type", "LtiSomethingNotice"), decided: "handed on and noted as seen; the caller deals with the types it knows"},
		dropped("N5", "no type", lti.CodeNoticeClaim, 401, about("type", "")),
		dropped("N5", "an id that nobody can keep", lti.CodeNoticeClaim, 401, about("id", "a\x00b")),
		dropped("N6", "a launch in place of a notice", lti.CodeNoticeClaim, 401, func(m map[string]any) {
			delete(m, claim+"notice")
			m[claim+"message_type"] = lti.MessageResourceLink
		}),
		dropped("N6", "a launch that is a notice, too", lti.CodeNoticeClaim, 401, set(claim+"message_type", lti.MessageResourceLink)),
		{number: "N6", input: "a notice in place of a launch", play: noticeAsToken(false), code: lti.CodeNonceMismatch, status: 401},
		{number: "N6", input: "a notice with the nonce of a login", play: noticeAsToken(true), code: lti.CodeMessageTypeMissing, status: 401},
		{number: "N7", input: "101 notices", play: manyNotices, code: lti.CodeTooLarge, status: 413},
		{number: "N7", input: "more than 1 MiB", play: noticeBody("application/json", `{"notices":[],"x":"`+strings.Repeat("x", 1<<20)+`"}`), code: lti.CodeTooLarge, status: 413},
		{number: "N7", input: "a flood", elsewhere: []string{". TestNoticeFlood", ". FuzzNotice"}},
		{number: "N8", input: "a copy out of another deployment", elsewhere: copies},
		{number: "N9", input: "a copy of an unknown course", elsewhere: copies},
		{number: "N9", input: "a copy of itself, and of courses without id", notice: set(claim+"origin_contexts", []string{"", "course-2", long, "a\x00b", "course-9"})},
	}
}

func noticeBody(kind, body string) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		before := r.written(t)
		o := r.by(http.MethodPost, "/lti/notices", kind, body)
		if r.written(t) != before || len(r.notices) != 0 {
			t.Errorf("%d notices dealt with, written %s", len(r.notices), r.written(t))
		}
		return played{outcome: o}
	}
}

func emptyNotices(t *testing.T, r *rig) played {
	t.Helper()
	o := r.notify()
	if o.rec.Code != http.StatusAccepted {
		t.Errorf("got %d", o.rec.Code)
	}
	return played{outcome: o}
}

func goodAndBad(t *testing.T, r *rig) played {
	t.Helper()
	good := func(id string) string { return r.noticeToken(r.noticeBase(id)) }
	bad := signRaw(`{"alg":"RS256","kid":"k1"}`, must(json.Marshal(r.noticeBase("x"))), otherKey())
	o := r.notify(bad, good("a"), "", "e30.e30.e30", good("b"), bad)
	if o.rec.Code != http.StatusAccepted || len(r.notices) != 2 || r.notices[0].ID != "a" || r.notices[1].ID != "b" {
		t.Errorf("got %d, dealt with %+v", o.rec.Code, r.notices)
	}
	return played{outcome: o}
}

func noticeTwice(t *testing.T, r *rig) played {
	t.Helper()
	token := r.noticeToken(r.noticeBase("a"))
	o := r.notify(token, token)
	r.notify(token)
	if o.rec.Code != http.StatusAccepted || len(r.notices) != 1 {
		t.Errorf("got %d, dealt with %+v", o.rec.Code, r.notices)
	}
	return played{outcome: o}
}

func noticeAsToken(withNonce bool) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		a := r.login(nil)
		m := r.noticeBase("a")
		if withNonce {
			m["nonce"] = a.nonce
		}
		return r.afterwards(t, a, r.noticeToken(m))
	}
}

func manyNotices(t *testing.T, r *rig) played {
	t.Helper()
	tokens := make([]string, 101)
	for i := range tokens {
		tokens[i] = "e30.e30.e30"
	}
	return played{outcome: r.notify(tokens...)}
}
