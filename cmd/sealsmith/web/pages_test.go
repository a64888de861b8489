package web_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/templates"
)

// shot is one page in one state, as it is sent.
type shot struct {
	name, address string
	answer        *httptest.ResponseRecorder
}

// shots are all pages, each in every state that looks different.
func shots(t *testing.T) []shot {
	t.Helper()
	var all []shot
	add := func(name string, b browser, page string, answer *httptest.ResponseRecorder) {
		all = append(all, shot{name, b.path(page), answer})
	}
	open := func(name string, b browser, page string) { add(name, b, page, b.get(page)) }
	public := func(w *world, name, address string) { all = append(all, shot{name, address, w.get(address)}) }

	w := newWorld(t)
	public(w, "front", "/")
	public(w, "verify", "/verify")
	public(w, "problems", "/problems/")
	public(w, "problem-kind", "/problems/grades-unread")
	public(w, "not-found", "/nothing/here")
	public(w, "cookie", "/s/0192a5b4-0000-7000-8000-000000000000/learn")
	all = append(all, shot{"verify-empty", "/verify", w.upload("x.jsonld", nil, "text/html")})

	chooser := w.enter(w.polder.choosing("teacher", roleTeacher))
	version := w.polder.version
	open("pick", chooser, "pick?template="+version.TemplateID)
	open("pick-none", chooser, "pick?q=zzz")
	open("pick-unchosen", chooser, "rule")
	open("see", chooser, "see?template="+version.TemplateID)
	open("rule", chooser, "rule?template="+version.TemplateID)
	add("rule-wrong", chooser, "attach", chooser.post("attach", url.Values{"version": {version.ID}, "percent": {"500"}}))
	add("attached", chooser, "attach", chooser.post("attach", url.Values{"version": {version.ID}, "percent": {"55"}}))
	add("cancelled", chooser, "cancel", chooser.post("cancel", nil))
	odd := w.polder.choosing("teacher", roleTeacher)
	odd.DeepLinking.AcceptTypes = nil
	open("unacceptable", w.enter(odd), "pick")

	admin := w.enter(w.polder.launch("boss", roleAdmin, roleTeacher))
	open("templates", admin, "templates")
	open("new", admin, "templates/new")
	open("edit", admin, "templates/"+version.TemplateID)
	form := filled(admin.get("templates/" + version.TemplateID).Body.String())
	form.Set("title.nl", "")
	form.Set("hours", "60000")
	add("edit-wrong", admin, "templates/"+version.TemplateID, admin.post("templates/"+version.TemplateID, form))

	_, l := w.attach(w.polder, "learner-1", roleLearner)
	learner := w.enter(l)
	open("progress-none", learner, "learn")
	w.grades.set("learner-1", 48.5)
	open("progress", learner, "learn")
	w.grades.set("learner-1", 85)
	open("claim", learner, "learn")
	nameless := l
	nameless.User = lti.User{Subject: "learner-1"}
	unnamed := w.enter(nameless)
	add("claim-name", unnamed, "claim", unnamed.post("claim", url.Values{"given": {"Maija"}, "family": {""}}))
	open("claim-nameless", w.enter(nameless), "learn")
	w.grades.fail(&lti.ServiceError{Reason: lti.ReasonBusy})
	open("claim-unread", learner, "learn")
	w.grades.fail(nil)
	want(t, learner.post("claim", url.Values{"given": {"Maija"}, "family": {"Meikäläinen"}}), http.StatusSeeOther)
	open("sealing", learner, "learn")
	preview := l
	preview.Roles = []string{roleTestUser}
	open("preview", w.enter(preview), "learn")
	mentor := l
	mentor.Roles = []string{roleMentor}
	open("role", w.enter(mentor), "")

	for i, score := range []float64{91, 72.5, 54.9, 12} {
		w.grades.set(string(rune('4'+i))+"217", score)
	}
	teaching := l
	teaching.Roles, teaching.User.Subject = []string{roleTeacher, roleAdmin}, "teacher"
	teacher := w.enter(teaching)
	want(t, teacher.post("read", nil), http.StatusSeeOther)
	open("class", teacher, "class")
	w.grades.fail(&lti.ServiceError{Op: "read the results", URL: "https://moodle.polder.example/mod/lti/services.php/2/lineitems/7/results", Reason: lti.ReasonUnreachable})
	add("class-unread", teacher, "read", teacher.post("read", nil))
	w.pause()
	open("sealing-paused", learner, "learn")
	open("pick-paused", chooser, "pick")
	_, err := w.db.Exec(t.Context(), `update claims set state = 'failed' where learner = 'learner-1'`)
	must(t, err)
	open("failed", learner, "learn")

	second := newWorld(t)
	holder, link := second.sealed()
	open("credential", holder, "learn")
	public(second, "public", "/c/"+link)
	file := second.get("/c/" + link + "/credential.jsonld").Body.Bytes()
	all = append(all,
		shot{"verify-unknown", "/verify", w.upload("coastal-monitoring.jsonld", file, "text/html")},
		shot{"verify-changed", "/verify", second.upload("diploma.jsonld", tampered(file), "text/html")},
		shot{"verify-unreadable", "/verify", second.upload("letter.docx", []byte("PK\x03\x04"), "text/html")})
	second.token.away.Store(true)
	open("pdf-later", holder, "certificate.pdf")
	public(second, "pdf-later-public", "/c/"+link+"/certificate.pdf")
	second.suspend("The exam is looked at again.")
	open("credential-suspended", holder, "learn")
	public(second, "public-suspended", "/c/"+link)
	public(second, "pdf-suspended", "/c/"+link+"/certificate.pdf")
	second.revoke("The exam was another one.")
	open("credential-withdrawn", holder, "learn")
	public(second, "public-withdrawn", "/c/"+link)
	public(second, "pdf-withdrawn", "/c/"+link+"/certificate.pdf")
	all = append(all, shot{"verify-withdrawn", "/verify", second.upload("coastal-monitoring.jsonld", file, "text/html")})
	all = append(all, correctionShots(t)...)
	all = append(all, sealShots(t)...)
	all = append(all, staffShots(t)...)
	all = append(all, artefactShots(t)...)
	return append(all, connectionShots(t)...)
}

// tampered gives the sealed content another name.
func tampered(file []byte) []byte {
	return bytes.ReplaceAll(file, []byte("Maija"), []byte("Marja"))
}

var (
	linked    = regexp.MustCompile(`(?:href|src|action|formaction|data-live)="([^"]*)"`)
	inline    = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|javascript:`)
	script    = regexp.MustCompile(`(?s)<script([^>]*)>(.*?)</script>`)
	ids       = regexp.MustCompile(`\sid="([^"]+)"`)
	labelFor  = regexp.MustCompile(`<label for="([^"]+)"`)
	described = regexp.MustCompile(`aria-describedby="([^"]+)"`)
	headings  = regexp.MustCompile(`<h([1-3])[ >]`)
	headline  = regexp.MustCompile(`(?s)<title>(.*?)</title>`)
)

// TestEveryPage holds every page in every state against the rules that hold for all.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	all := shots(t)
	routes := newWorld(t).router
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			page := s.answer.Body.String()
			if !strings.HasPrefix(page, "<!doctype html>") {
				t.Fatalf("no page: %d %s", s.answer.Code, page)
			}
			noInlineCode(t, page)
			wellFormed(t, page)
			linksResolve(t, routes, s)
			framed := strings.HasPrefix(s.address, "/s/")
			if framed != strings.Contains(page, `<html lang="en" dir="ltr" data-theme="light">`) {
				t.Error("pages in the LMS, and only these, are always light")
			}
			headers(t, s.answer.Header(), framed && s.name != "cookie")
		})
	}
}

func noInlineCode(t *testing.T, page string) {
	t.Helper()
	if m := inline.FindString(page); m != "" {
		t.Errorf("inline code or style: %q", m)
	}
	for _, m := range script.FindAllStringSubmatch(page, -1) {
		if !strings.Contains(m[1], ` src="/static/`) || strings.TrimSpace(m[2]) != "" {
			t.Errorf("a script that the policy forbids: %s", m[0])
		}
	}
	if strings.Contains(page, "ZgotmplZ") || strings.Contains(page, "<no value>") || strings.Contains(page, "%!") {
		t.Error("a value did not fit its place")
	}
}

// wellFormed checks what screen readers need: one h1, no level left out, unique ids, and
// labels and descriptions that point at something.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	body := page[strings.Index(page, "<body"):]
	level, firsts := 0, 0
	for _, m := range headings.FindAllStringSubmatch(body, -1) {
		n := int(m[1][0] - '0')
		if n == 1 {
			firsts++
		}
		if n > level+1 {
			t.Errorf("h%d follows h%d", n, level)
		}
		level = n
	}
	if firsts != 1 {
		t.Errorf("%d headings h1", firsts)
	}
	known := map[string]bool{}
	for _, m := range ids.FindAllStringSubmatch(body, -1) {
		if known[m[1]] {
			t.Errorf("id %q is there twice", m[1])
		}
		known[m[1]] = true
	}
	for _, m := range labelFor.FindAllStringSubmatch(body, -1) {
		if !known[m[1]] {
			t.Errorf("a label points at nothing: %s", m[1])
		}
	}
	for _, m := range described.FindAllStringSubmatch(body, -1) {
		for id := range strings.FieldsSeq(m[1]) {
			if !known[id] {
				t.Errorf("a description points at nothing: %s", id)
			}
		}
	}
	if title := headline.FindStringSubmatch(page); title == nil || strings.TrimSpace(strings.TrimSuffix(title[1], "· Sealsmith")) == "" {
		t.Error("the page has no title")
	}
	for _, tag := range []string{"div", "section", "form", "ul", "table", "fieldset", "details", "p"} {
		n := len(regexp.MustCompile(`<`+tag+`[ >]`).FindAllString(body, -1)) - strings.Count(body, "</"+tag+">")
		if n != 0 {
			t.Errorf("%d <%s> are not closed", n, tag)
		}
	}
}

// linksResolve checks that every address on the page that is ours belongs to a route.
func linksResolve(t *testing.T, routes *mux.Router, s shot) {
	t.Helper()
	base, err := url.Parse(origin + s.address)
	must(t, err)
	for _, m := range linked.FindAllStringSubmatch(s.answer.Body.String(), -1) {
		ref, err := url.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
		must(t, err)
		if ref.Scheme == "mailto" || strings.HasPrefix(m[1], "#") {
			continue
		}
		target := base.ResolveReference(ref)
		if target.Host != base.Host {
			if !strings.HasSuffix(target.Host, ".example") {
				t.Errorf("a link leads out: %s", target)
			}
			continue
		}
		found := false
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			var match mux.RouteMatch
			r := httptest.NewRequestWithContext(t.Context(), method, target.String(), nil)
			found = found || routes.Match(r, &match) && match.MatchErr == nil && match.Route != nil
		}
		if !found && s.name != "not-found" {
			t.Errorf("a link leads nowhere: %s", target.Path)
		}
		if path.Clean(target.Path) != strings.TrimSuffix(target.Path, "/") && target.Path != "/" {
			t.Errorf("a link is not clean: %s", target.Path)
		}
	}
}

func headers(t *testing.T, h http.Header, inSession bool) {
	t.Helper()
	policy := h.Get("Content-Security-Policy")
	for _, directive := range []string{"default-src 'none'", "style-src 'self'", "script-src 'self'", "img-src 'self' data:", "font-src 'self'", "connect-src 'self'", "form-action 'self'", "base-uri 'none'"} {
		if !strings.Contains(policy, directive) {
			t.Errorf("the policy lacks %s: %s", directive, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || h.Get("X-Frame-Options") != "" {
		t.Errorf("policy %s", policy)
	}
	if inSession && !strings.Contains(policy, "frame-ancestors 'self' https://moodle.polder.example") {
		t.Errorf("the platform cannot show the page: %s", policy)
	}
	if inSession && h.Get("Cross-Origin-Opener-Policy") != "" {
		t.Error("a platform that opened a window would lose it")
	}
	for name, value := range map[string]string{"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
		if h.Get(name) != value {
			t.Errorf("%s is %q", name, h.Get(name))
		}
	}
	if len(h.Get("X-Request-Id")) != 19 || h.Get("Permissions-Policy") == "" {
		t.Error("trace id or Permissions-Policy is missing")
	}
}

// TestHostileTexts: whatever people and platforms write stays text.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	const evil = `</title><script>alert(1)</script>"'><img src=x onerror=alert(2)>{{.}}`
	w := newWorld(t)
	c := w.polder.version.Content
	c.Title = templates.Text{"en": evil, "nl": "javascript:alert(3)"}
	c.Outcomes[0].Title = templates.Text{"en": evil, "nl": evil}
	c.Quality.Title["en"] = evil
	v, err := w.templates.Save(t.Context(), w.polder.org.ID, w.polder.version.TemplateID, c, "operator")
	must(t, err)
	w.polder.version = v
	w.grades.set(evil, 85)
	_, l := w.attach(w.polder, evil, roleLearner)
	l.User.GivenName, l.User.FamilyName, l.Context.Title = evil, evil[:60], evil
	l.Presentation.ReturnURL = "javascript:alert(4)"
	learner := w.enter(l)
	unnamed := l
	unnamed.User = lti.User{Subject: evil}
	teaching := l
	teaching.Roles = []string{roleTeacher}
	choosing := w.polder.choosing(evil, roleTeacher)
	choosing.Context.Title = evil
	chooser := w.enter(choosing)
	mentor := l
	mentor.Roles = nil
	pages := map[string]*httptest.ResponseRecorder{
		"claim":   learner.get("learn"),
		"claimed": w.enter(unnamed).post("claim", url.Values{"given": {evil}, "family": {evil + evil}}),
		"class":   w.enter(teaching).get("class"),
		"pick":    chooser.get("pick"),
		"see":     chooser.get("see?template=" + v.TemplateID),
		"rule":    chooser.get("rule?template=" + v.TemplateID),
		"done":    chooser.post("attach", url.Values{"version": {v.ID}, "percent": {"55"}}),
		"edit":    w.enter(w.polder.launch("boss", roleAdmin)).get("templates/" + v.TemplateID),
		"problem": w.enter(mentor).get(""),
		"verify":  w.upload(evil, []byte(evil), "text/html"),
		"path":    w.get("/" + url.PathEscape(evil)),
	}
	for name, got := range pages {
		page := got.Body.String()
		if len(page) < 500 {
			t.Errorf("%s: no page: %s", name, page)
		}
		for _, bad := range []string{"<script>alert", "<img src=x", `href="javascript:`, `action="javascript:`} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page contains %q", name, bad)
			}
		}
	}
}

func mustList(t *testing.T, w *world) []templates.Version {
	t.Helper()
	all, err := w.templates.List(t.Context(), w.polder.org.ID)
	must(t, err)
	return all
}
