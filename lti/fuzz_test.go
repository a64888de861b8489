package lti_test

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti"
)

// in returns the rig for use inside a fuzz target, where only t may be used.
func (r *rig) in(t *testing.T) *rig {
	return &rig{
		tb: t, tool: r.tool, router: r.router, db: r.db, store: r.store, clock: r.clock, reg: r.reg, jwks: r.jwks, public: r.public, keyID: r.keyID,
	}
}

// roundTrip is a platform without a network, which goes the same way each time, as the
// fuzzer needs. It returns body and Link header.
type roundTrip func(r *http.Request) (body, link string)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	body, link := f(r)
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Request: r,
		Header: http.Header{"Link": {link}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// checkOutcome holds for every answer of the tool: it entered, or it refused with a known
// code and a client's status; and a refusal leaves no session behind.
func checkOutcome(t *testing.T, r *rig, o outcome, sessionsBefore int) {
	t.Helper()
	sessions := countSessions(t, r)
	if o.entered != nil {
		l := o.entered.Launch
		if l.User.Subject == "" || len(l.User.Subject) > 255 || l.DeploymentID == "" || l.RegistrationID != r.reg.ID {
			t.Errorf("entered with %s", must(json.Marshal(l)))
		}
		if (l.DeepLinking != nil) != (l.MessageType == lti.MessageDeepLinking) || (l.ResourceLink.ID != "") != (l.MessageType == lti.MessageResourceLink) {
			t.Errorf("message %s with %s", l.MessageType, must(json.Marshal(l)))
		}
		if strings.ContainsAny(l.User.Name+l.User.Email, "\x00\r\n\u202e") {
			t.Errorf("name %q, e-mail %q", l.User.Name, l.User.Email)
		}
		return
	}
	refused := o.check(t)
	if !slices.Contains(lti.Codes(), refused.Code) || refused.Status < 400 || refused.Status > 499 {
		t.Errorf("refused with %v, status %d", refused, refused.Status)
	}
	if len([]rune(refused.Expected)) > 200 || len([]rune(refused.Received)) > 200 {
		t.Errorf("a long refusal: %v", refused)
	}
	if sessions != sessionsBefore {
		t.Errorf("a refusal left %d sessions, before it were %d", sessions, sessionsBefore)
	}
}

func countSessions(t *testing.T, r *rig) int {
	t.Helper()
	var n int
	if err := r.db.Get(t.Context(), &n, `select count(*) from sessions`); err != nil {
		t.Fatal(err)
	}
	return n
}

// FuzzIDToken signs whatever claims and headers come and plays the launch. NONCE in the
// claims stands for the right nonce.
func FuzzIDToken(f *testing.F) {
	r := newRig(f)
	header := `{"alg":"RS256","kid":"k1","typ":"JWT"}`
	base := r.claims(attempt{nonce: "NONCE"})
	f.Add(header, string(must(json.Marshal(base))))
	inDeepLinking(set("data", "x"))(base)
	f.Add(header, string(must(json.Marshal(base))))
	for _, capture := range []string{"launch-student", "launch-admin", "deeplink-single-request", "launch-submission-review"} {
		c := readCapture[struct {
			Payload json.RawMessage `json:"id_token_payload"`
			Header  json.RawMessage `json:"id_token_header"`
		}](f, capture)
		f.Add(string(c.Header), string(c.Payload))
	}
	for _, row := range headerCases() {
		if row.header != "" {
			f.Add(row.header, `{"sub":"7"}`)
		}
	}
	f.Fuzz(func(t *testing.T, header, claims string) {
		r := r.in(t)
		a := r.login(nil)
		before := countSessions(t, r)
		token := signRaw(header, []byte(strings.ReplaceAll(claims, "NONCE", a.nonce)), platformKey())
		checkOutcome(t, r, r.deliver(a, token), before)
	})
}

// FuzzLaunchForm posts whatever body comes to login and launch, with the cookies of an
// open login. STATE and TOKEN stand for the right values.
func FuzzLaunchForm(f *testing.F) {
	r := newRig(f)
	const kind = "application/x-www-form-urlencoded"
	f.Add("id_token=TOKEN&state=STATE", kind)
	f.Add("id_token=TOKEN&state=STATE&state=x", kind+"; charset=UTF-8")
	f.Add("error=login_required&error_description=%3Cb%3E&state=STATE", kind)
	f.Add("oauth_consumer_key=k&lti_message_type=basic-lti-launch-request", kind)
	f.Add(r.loginForm().Encode(), kind)
	f.Add(`{"id_token":"TOKEN"}`, "application/json")
	f.Add("id_token=%zz&state=;", kind)
	f.Fuzz(func(t *testing.T, body, contentType string) {
		r := r.in(t)
		a := r.login(nil)
		before := countSessions(t, r)
		token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
		body = strings.NewReplacer("TOKEN", token, "STATE", a.state).Replace(body)
		for _, path := range []string{"/lti/launch", "/lti/login"} {
			req := httptest.NewRequest(http.MethodPost, toolURL+path, strings.NewReader(body))
			req.Header["Content-Type"] = []string{contentType}
			for _, c := range a.cookies {
				req.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
			}
			o := r.do(req)
			if path == "/lti/login" && o.rec.Code == http.StatusFound {
				location := must(url.Parse(o.rec.Header().Get("Location")))
				if !strings.HasPrefix(location.String(), issuer+"/auth?tenant=7&") {
					t.Errorf("redirects to %s", location)
				}
				continue
			}
			checkOutcome(t, r, o, before)
			before = countSessions(t, r)
		}
	})
}

// FuzzResults answers with whatever body and Link header come.
func FuzzResults(f *testing.F) {
	var body, link string
	platform := func(r *http.Request) (string, string) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			return `{"access_token":"t"}`, ""
		}
		return body, link
	}
	s, err := lti.NewServices(lti.ServiceDeps{
		Keys: newRig(f).store, HTTP: anyPlatform(&http.Client{Transport: roundTrip(platform)}),
		Now: newClock(start).Now, Rand: rand.Reader, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	reg := lti.Registration{ID: "reg-1", ClientID: clientID, TokenURL: issuer + "/token"}
	for _, capture := range []string{"ags-results-list", "ags-results-user_id-filter", "ags-results-calculated-item"} {
		f.Add(string(readCapture[exchange](f, capture).Response.JSON), "")
	}
	f.Add(`[]`, readCapture[exchange](f, "ags-lineitems-list-limit2-page1").Response.Headers["link"])
	f.Add(`[{"userId":"7","resultScore":"85","resultMaximum":0}]`, `</item/results>; rel="next"`)
	f.Add(`[{"userId":7,"resultScore":null}]`, `<https://evil.example/>; rel=next`)
	f.Add(`[{"userId":"7","resultScore":1e999}`, `<;>,<>;rel="next",,`)
	f.Fuzz(func(t *testing.T, b, l string) {
		body, link = b, l
		results, err := s.Results(t.Context(), reg, issuer+"/item", "")
		if err != nil {
			serviceError(t, err)
			return
		}
		seen := map[string]bool{}
		for _, r := range results {
			switch {
			case r.UserID == "" || seen[r.UserID]:
				t.Errorf("user %q is missing or there twice", r.UserID)
			case !(r.Maximum > 0) || math.IsInf(r.Maximum, 0):
				t.Errorf("maximum %v", r.Maximum)
			case r.Score != nil && (!(*r.Score >= 0) || math.IsInf(*r.Score, 0) || r.Refused != ""):
				t.Errorf("score %v, refused %q", *r.Score, r.Refused)
			case !json.Valid(r.Raw):
				t.Errorf("raw %s", r.Raw)
			}
			seen[r.UserID] = true
		}
	})
}
