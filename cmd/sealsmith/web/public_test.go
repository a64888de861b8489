package web_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/issuance/trustlist"
)

// upload posts a file to the page that checks it.
func (w *world) upload(name string, file []byte, accept string) *httptest.ResponseRecorder {
	w.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	must(w.t, err)
	_, err = part.Write(file)
	must(w.t, err)
	must(w.t, form.Close())
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, origin+"/verify", &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.Header.Set("Accept", accept)
	return w.do(r)
}

func TestPublicPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, link := w.sealed()
	got := w.get("/c/" + link)
	want(t, got, http.StatusOK)
	says(t, got, "Polder University of Technology awarded Sustainable Food Systems to Maija Meikäläinen on 20 November 2026.", "What was checked", "from the sealed bytes alone",
		"What it says", "Sealed credential", "This report as JSON")
	if !strings.Contains(got.Body.String(), `data-state="ok"`) || !strings.Contains(got.Body.String(), `href="/brand/polder.css"`) {
		t.Error("the seal or the colour is not that of the organisation")
	}
	if csp := got.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("CSP %s", csp)
	}
	report := w.get("/c/" + link + "?format=json")
	var out struct{ Verdict string }
	must(t, json.Unmarshal(report.Body.Bytes(), &out))
	if out.Verdict != "valid" || report.Header().Get("Content-Type") != "application/json" {
		t.Errorf("report %s", report.Body)
	}
	file := w.get("/c/" + link + "/credential.jsonld")
	want(t, file, http.StatusOK)
	if file.Header().Get("Content-Disposition") != "attachment; filename=Sustainable-Food-Systems.jsonld" {
		t.Errorf("Content-Disposition %q", file.Header().Get("Content-Disposition"))
	}
	for _, wrong := range []string{"/c/unknown", "/c/unknown/credential.jsonld", "/c/" + link[:len(link)-1]} {
		want(t, w.get(wrong), http.StatusNotFound)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, link := w.sealed()
	file := w.get("/c/" + link + "/credential.jsonld").Body.Bytes()

	got := w.upload("food.jsonld", file, "text/html")
	want(t, got, http.StatusOK)
	says(t, got, "File food.jsonld", "This credential is genuine.", "JAdES baseline level", "Level B-B: the seal proves who sealed what.")

	got = w.upload("food.jsonld", tampered(file), "text/html")
	want(t, got, http.StatusOK)
	says(t, got, "Do not rely on what the file says.")
	if body := got.Body.String(); !strings.Contains(body, `data-state="bad"`) || strings.Contains(body, `data-state="ok"`) {
		t.Error("a changed file does not show a broken seal")
	}

	stranger := newWorld(t) // trusts another authority
	got = stranger.upload("food.jsonld", file, "text/html")
	says(t, got, "we cannot confirm that the name on the seal is who it says", "it is not a sign of fraud by itself")
	if body := got.Body.String(); !strings.Contains(body, `data-state="warn"`) || strings.Contains(body, `data-state="bad"`) || strings.Contains(body, `class="dot bad"`) {
		t.Error("an unknown issuer must be grey, not red")
	}

	got = w.upload("letter.docx", []byte("PK\x03\x04 something"), "text/html")
	want(t, got, http.StatusOK)
	says(t, got, "There is nothing in it that we could check.")

	got = w.upload("food.jsonld", file, "application/json")
	if got.Header().Get("Content-Type") != "application/json" || !strings.Contains(got.Body.String(), `"verdict":"valid"`) {
		t.Errorf("report %s", got.Body)
	}
	raw := httptest.NewRequestWithContext(t.Context(), http.MethodPost, origin+"/verify?format=json", bytes.NewReader(file))
	raw.Header.Set("Content-Type", "application/ld+json")
	if got := w.do(raw); !strings.Contains(got.Body.String(), `"verdict":"valid"`) {
		t.Errorf("report of a bare body: %s", got.Body)
	}
}

// TestVerifySaysQualified: what the trusted lists say stands where a recogniser reads it, and
// only a yes is coloured.
func TestVerifySaysQualified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, link := w.sealed()
	event := func(state, words string) string {
		return "Qualified or not" + "</strong><span class=\"vh\">: " + state + "</span></p><p class=\"small num\">" + words
	}
	for _, c := range []struct {
		code  trustlist.Code
		state string
		good  bool
	}{
		{trustlist.CodeQualified, "holds", true},
		{trustlist.CodeAdvanced, "holds", true},
		{trustlist.CodeNotQualified, "no", false},
		{trustlist.CodeNotListed, "no", false},
		{trustlist.CodeUnknown, "not known", false},
	} {
		w.qualify = func(_ *x509.Certificate, _ []*x509.Certificate, at time.Time) trustlist.Qualification {
			if !at.Equal(noon) {
				t.Errorf("asked about %s", at)
			}
			return trustlist.Qualification{Code: c.code, Words: "The lists answer " + string(c.code) + ".", Reasons: []string{"The service stands."}}
		}
		got := w.get("/c/" + link)
		want(t, got, http.StatusOK)
		says(t, got, "This credential is genuine.", "By the trusted lists", "The service stands.")
		body, words := got.Body.String(), "The lists answer "+string(c.code)+"."
		lead := strings.Contains(body, `<p class="lead">`+words)
		marked := strings.Contains(body, event(c.state, words))
		plain := strings.Contains(body, strings.Replace(event(c.state, words), "</strong>", "", 1))
		if lead != c.good || marked != c.good || plain == c.good {
			t.Errorf("%s: in the lead %v, coloured %v, grey %v", c.code, lead, marked, plain)
		}
	}
	w.qualify = nil
	got := w.get("/c/" + link)
	says(t, got, "This credential is genuine.", "No trusted list of the EU is set up here, so nothing is said about whether the seal is a qualified one.")
	if strings.Contains(got.Body.String(), `<p class="lead">No trusted`) {
		t.Error("a missing list stands in the lead")
	}
}

func TestVerifyRefusesUploads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.upload("empty.jsonld", nil, "text/html")
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "The file is empty.")
	got = w.upload("", nil, "text/html")
	says(t, got, "No file was chosen.")
	large := make([]byte, 20<<20+1)
	got = w.upload("large.jsonld", large, "text/html")
	want(t, got, http.StatusRequestEntityTooLarge)
	says(t, got, "The file is larger than 20 MB.")
	got = w.upload("large.jsonld", large, "application/json")
	want(t, got, http.StatusRequestEntityTooLarge)
	if got.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("Content-Type %q", got.Header().Get("Content-Type"))
	}
	broken := httptest.NewRequestWithContext(t.Context(), http.MethodPost, origin+"/verify", strings.NewReader("--x\r\nbroken"))
	broken.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	want(t, w.do(broken), http.StatusUnprocessableEntity)
	cross := httptest.NewRequestWithContext(t.Context(), http.MethodPost, origin+"/verify", strings.NewReader("{}"))
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	want(t, w.do(cross), http.StatusForbidden)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want(t, w.get("/livez"), http.StatusOK)
	says(t, w.get("/readyz"), `"status":"ready"`, `"version":"test"`)
	w.parts[1].OK = false
	got := w.get("/readyz")
	want(t, got, http.StatusOK)
	says(t, got, `"status":"degraded"`)
	w.parts = []web.Component{{Name: "token", OK: false}, {Name: "database", Required: true, Words: "does not answer"}, {Name: "redis", OK: false}}
	got = w.get("/readyz")
	want(t, got, http.StatusServiceUnavailable)
	says(t, got, `"status":"unavailable"`, "does not answer")
}

func TestStaticAndBrand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front := w.get("/")
	want(t, front, http.StatusOK)
	says(t, front, "What was learned, sealed so that anyone can check it.")
	address := linked.FindStringSubmatch(front.Body.String())[1]
	css := w.get(address)
	want(t, css, http.StatusOK)
	if c := css.Header().Get("Cache-Control"); !strings.Contains(c, "immutable") || css.Header().Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("Cache-Control %q", c)
	}
	old := w.get("/static/000000000000/app.css")
	want(t, old, http.StatusOK)
	if old.Header().Get("Cache-Control") != "no-cache" {
		t.Error("an old version may be kept for ever")
	}
	want(t, w.get("/static/x/fonts/serif-latin.woff2"), http.StatusOK)
	want(t, w.get("/static/x/none.css"), http.StatusNotFound)
	want(t, w.get("/static/x/fonts"), http.StatusNotFound)
	want(t, w.get("/favicon.ico"), http.StatusOK)
	if sheet := w.get("/brand/polder.css").Body.String(); sheet != ":root{--brand:#5a2a82}\n" {
		t.Errorf("brand %q", sheet)
	}
	if sheet := w.get("/brand/fjord.css"); sheet.Code != http.StatusOK || sheet.Body.Len() != 0 {
		t.Errorf("brand %q", sheet.Body)
	}
	want(t, w.get("/brand/unknown.css"), http.StatusNotFound)
}
