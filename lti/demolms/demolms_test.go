package demolms_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

const (
	client  = "sealsmith-client"
	claimNS = "https://purl.imsglobal.org/spec/lti/claim/"
	agsNS   = "https://purl.imsglobal.org/spec/lti-ags/scope/"
	nrps    = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
	dlNS    = "https://purl.imsglobal.org/spec/lti-dl/claim/"
)

// platformKey and toolKey are shared: making keys is what takes time.
var platformKey = sync.OnceValue(newKey)

var toolKey = sync.OnceValue(newKey)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// clock can be moved by a test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is an LMS, a stub tool and a browser.
type bench struct {
	*demolms.LMS
	t       *testing.T
	clock   *clock
	browser *http.Client
	tool    *httptest.Server
}

func setup(t *testing.T) *bench {
	t.Helper()
	return setupWith(t, func(*demolms.Config) {})
}

func setupWith(t *testing.T, change func(*demolms.Config)) *bench {
	t.Helper()
	b := &bench{t: t, clock: &clock{now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}}
	b.tool = httptest.NewServer(stub())
	t.Cleanup(b.tool.Close)

	server := httptest.NewUnstartedServer(nil)
	cfg := demolms.Config{
		Issuer: "http://" + server.Listener.Addr().String(), Now: b.clock.Now, Key: platformKey(),
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), HTTP: b.tool.Client(),
		Tools: []demolms.Tool{{
			ClientID: client, Name: "Sealsmith", LoginURL: b.tool.URL + "/login", LaunchURL: b.tool.URL + "/launch",
			JWKSURL: b.tool.URL + "/jwks",
		}},
	}
	change(&cfg)
	var err error
	if b.LMS, err = demolms.New(cfg); err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = b.Handler()
	server.Start()
	t.Cleanup(server.Close)
	b.browser = newBrowser(t)
	return b
}

func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

// stub is the part of a tool that the platform calls: its keys.
func stub() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		key := toolKey()
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "kid": "tool-key", "alg": "RS256", "use": "sig",
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	return mux
}

// answer is a response with its body read.
type answer struct {
	Status int
	Header http.Header
	Body   string
	URL    *url.URL
}

func (b *bench) do(c *http.Client, method, address, body string, headers ...string) answer {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.Issuer() + address
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(raw), resp.Request.URL}
}

func (b *bench) get(path string) answer {
	b.t.Helper()
	return b.do(b.browser, http.MethodGet, path, "")
}

func (b *bench) post(path string, form url.Values) answer {
	b.t.Helper()
	return b.do(b.browser, http.MethodPost, path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

var (
	formAction = regexp.MustCompile(`<form data-submit method="post" action="([^"]*)"`)
	formField  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	entities   = strings.NewReplacer("&amp;", "&", "&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">", "&#43;", "+")
)

// form reads an auto-submitting page.
func (b *bench) form(a answer) (string, url.Values) {
	b.t.Helper()
	action := formAction.FindStringSubmatch(a.Body)
	if action == nil {
		b.t.Fatalf("no form in the page (status %d):\n%s", a.Status, a.Body)
	}
	fields := url.Values{}
	for _, m := range formField.FindAllStringSubmatch(a.Body, -1) {
		fields.Add(entities.Replace(m[1]), entities.Replace(m[2]))
	}
	return entities.Replace(action[1]), fields
}

// begin opens a launch page and returns the login initiation.
func (b *bench) begin(path string) (string, url.Values) {
	b.t.Helper()
	return b.form(b.get(path))
}

// authRequest is what a well-behaved tool sends after an initiation.
func (b *bench) authRequest(initiation url.Values) url.Values {
	q := url.Values{
		"scope": {"openid"}, "response_type": {"id_token"}, "response_mode": {"form_post"}, "prompt": {"none"},
		"client_id": {client}, "redirect_uri": {b.tool.URL + "/launch"}, "login_hint": {initiation.Get("login_hint")},
		"state": {"the-state"}, "nonce": {"the-nonce"},
	}
	if initiation.Has("lti_message_hint") {
		q.Set("lti_message_hint", initiation.Get("lti_message_hint"))
	}
	return q
}

func (b *bench) auth(q url.Values) answer {
	b.t.Helper()
	auth, _, _ := b.URLs()
	return b.do(b.browser, http.MethodGet, auth+"?"+q.Encode(), "")
}

// launch goes the whole way and returns what is posted to the tool.
func (b *bench) launch(path string) (string, url.Values) {
	b.t.Helper()
	_, initiation := b.begin(path)
	return b.form(b.auth(b.authRequest(initiation)))
}

// place puts an activity with a graded column into course 2.
func (b *bench) place() (demolms.Activity, demolms.LineItem) {
	b.t.Helper()
	a, err := b.Place("2", client, demolms.ContentItem{
		Type: "ltiResourceLink", Title: "Food systems record", Text: "What you have shown", Custom: map[string]string{"Attachment": "a-1", "links": "$ResourceLink.id.history"},
		LineItem: &demolms.ItemLineItem{ScoreMaximum: 100, ResourceID: "a-1", Tag: "sealsmith"},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	items := b.LineItems("2")
	return a, items[len(items)-1]
}

// verified checks a token with the platform's published keys.
func (b *bench) verified(compact string) map[string]any {
	b.t.Helper()
	_, _, address := b.URLs()
	set, err := jwk.Parse([]byte(b.do(http.DefaultClient, http.MethodGet, address, "").Body))
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := jwt.Parse([]byte(compact), jwt.WithKeySet(set), jwt.WithClock(jwt.ClockFunc(b.clock.Now))); err != nil {
		b.t.Fatalf("token does not verify: %v", err)
	}
	return payload(b.t, compact)
}

func payload(t *testing.T, compact string) map[string]any { t.Helper(); return part(t, compact, 1) }

func part(t *testing.T, compact string, n int) map[string]any {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("not a compact token: %.80s", compact)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// toolToken is a token signed by the tool.
func (b *bench) toolToken(claims map[string]any, kid string, key *rsa.PrivateKey) string {
	b.t.Helper()
	raw, err := json.Marshal(claims)
	if err != nil {
		b.t.Fatal(err)
	}
	headers := jws.NewHeaders()
	if kid != "" {
		if err := headers.Set(jws.KeyIDKey, kid); err != nil {
			b.t.Fatal(err)
		}
	}
	signed, err := jws.Sign(raw, jws.WithKey(jwa.RS256, key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(signed)
}
