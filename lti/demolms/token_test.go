package demolms_test

import (
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

func (b *bench) assertion() map[string]any {
	now := b.clock.Now().Unix()
	_, token, _ := b.URLs()
	return map[string]any{"iss": client, "sub": client, "aud": token, "iat": now, "exp": now + 60, "jti": "jti-1"}
}

func tokenForm(assertion string, scopes ...string) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion": {assertion}, "scope": {strings.Join(scopes, " ")},
	}
}

func (b *bench) requestToken(scopes ...string) answer {
	b.t.Helper()
	return b.post("/mod/lti/token.php", tokenForm(b.toolToken(b.assertion(), "tool-key", toolKey()), scopes...))
}

func TestTokenGrantsASubset(t *testing.T) {
	t.Parallel()
	b := setupWith(t, func(c *demolms.Config) { c.Tools[0].Scopes = []string{agsNS + "result.readonly", agsNS + "score"} })
	got := b.requestToken(agsNS+"result.readonly", agsNS+"lineitem", "https://example.test/unknown")
	if got.Status != http.StatusOK || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("status %d, type %s: %s", got.Status, got.Header.Get("Content-Type"), got.Body)
	}
	token := decode[map[string]any](t, got)
	if token["scope"] != agsNS+"result.readonly" || token["token_type"] != "Bearer" || token["expires_in"] != 3600.0 {
		t.Errorf("token %v", token)
	}
	_, item := b.place()
	value, _ := token["access_token"].(string)
	if got := b.do(http.DefaultClient, http.MethodGet, below(item, "/results"), "", "Authorization", "Bearer "+value); got.Status != http.StatusOK {
		t.Errorf("results with the token: %d", got.Status)
	}
}

func TestTokenAudienceCanBeConfigured(t *testing.T) {
	t.Parallel()
	b := setupWith(t, func(c *demolms.Config) { c.Tools[0].TokenAudience = "https://api.example/auth/token" })
	if got := b.requestToken(nrps); got.Status != http.StatusBadRequest {
		t.Errorf("default audience: %d", got.Status)
	}
	claims := b.assertion()
	claims["aud"] = []string{"https://api.example/auth/token"}
	if got := b.post("/mod/lti/token.php", tokenForm(b.toolToken(claims, "tool-key", toolKey()), nrps)); got.Status != http.StatusOK {
		t.Errorf("configured audience: %d %s", got.Status, got.Body)
	}
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tests := []struct {
		name   string
		claims func(map[string]any)
		form   func(url.Values)
		kid    string
		key    func() *rsa.PrivateKey
		want   string
	}{
		{name: "no assertion", form: func(f url.Values) { f.Del("client_assertion") }, want: "invalid_request"},
		{name: "no scope", form: func(f url.Values) { f.Del("scope") }, want: "invalid_request"},
		{name: "assertion type", form: func(f url.Values) { f.Set("client_assertion_type", "x") }, want: "invalid_request"},
		{name: "not a token", form: func(f url.Values) { f.Set("client_assertion", "abc") }, want: "invalid_request"},
		{name: "grant type", form: func(f url.Values) { f.Set("grant_type", "password") }, want: "unsupported_grant_type"},
		{name: "scope unknown", form: func(f url.Values) { f.Set("scope", "x") }, want: "invalid_scope"},
		{name: "client unknown", claims: func(c map[string]any) { c["sub"] = "nobody" }, want: "invalid_client"},
		{name: "iss is not the client", claims: func(c map[string]any) { c["iss"] = "nobody" }, want: "invalid_client"},
		{name: "aud", claims: func(c map[string]any) { c["aud"] = "https://other.example" }, want: "invalid_client"},
		{name: "no aud", claims: func(c map[string]any) { delete(c, "aud") }, want: "invalid_client"},
		{name: "no jti", claims: func(c map[string]any) { delete(c, "jti") }, want: "invalid_client"},
		{name: "no iat", claims: func(c map[string]any) { delete(c, "iat") }, want: "invalid_client"},
		{name: "lives too long", claims: func(c map[string]any) { c["exp"] = b.clock.Now().Unix() + 7200 }, want: "invalid_client"},
		{name: "expired", claims: func(c map[string]any) { c["exp"] = b.clock.Now().Unix() }, want: "Expired token"},
		{name: "no exp", claims: func(c map[string]any) { delete(c, "exp") }, want: "Expired token"},
		{name: "future iat", claims: func(c map[string]any) { c["iat"] = b.clock.Now().Unix() + 2 }, want: "Cannot handle token with iat prior to 2026-11-24T09:00:02+0000"},
		{name: "no kid", kid: "-", want: "error/Error: kid must be provided in JWT header."},
		{name: "unknown kid", kid: "other", want: `"kid" invalid, unable to lookup correct key`},
		{name: "other key", key: platformKey, want: "Signature verification failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			claims := b.assertion()
			if tt.claims != nil {
				tt.claims(claims)
			}
			kid, key := "tool-key", toolKey
			if tt.kid != "" {
				kid = strings.Trim(tt.kid, "-")
			}
			if tt.key != nil {
				key = tt.key
			}
			form := tokenForm(b.toolToken(claims, kid, key()), nrps)
			if tt.form != nil {
				tt.form(form)
			}
			got := b.post("/mod/lti/token.php", form)
			if want := "{\n  \"error\" : \"" + tt.want + "\"\n}"; got.Status != http.StatusBadRequest || got.Body != want || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("status %d, body %s, want %s", got.Status, got.Body, want)
			}
		})
	}
	raw, err := json.Marshal(map[string]string{"grant_type": "client_credentials"})
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]answer{
		"GET":  b.get("/mod/lti/token.php"),
		"JSON": b.do(http.DefaultClient, http.MethodPost, "/mod/lti/token.php", string(raw), "Content-Type", "application/json"),
	} {
		if got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "invalid_request") {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
}

func TestAssertionIsSpentOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if got := b.requestToken(nrps); got.Status != http.StatusOK {
		t.Fatalf("first: %d %s", got.Status, got.Body)
	}
	if got := b.requestToken(nrps); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "invalid_client") {
		t.Errorf("replay: %d %s", got.Status, got.Body)
	}
	b.clock.Add(10 * time.Minute)
	if got := b.requestToken(nrps); got.Status != http.StatusOK {
		t.Errorf("the id is not forgotten after it expired: %d", got.Status)
	}
}

func TestToolWithoutKeySetGetsNoToken(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/nothing", "/login"} {
		b := setup(t)
		if err := b.AddTool(demolms.Tool{ClientID: client, LoginURL: b.tool.URL + "/login", LaunchURL: b.tool.URL + "/launch", JWKSURL: b.tool.URL + path}); err != nil {
			t.Fatal(err)
		}
		if got := b.requestToken(nrps); got.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", path, got.Status)
		}
	}
}

func TestKeySetHasNoCacheHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.get("/mod/lti/certs.php")
	if got.Header.Get("Cache-Control") != "" || got.Header.Get("Expires") != "" {
		t.Errorf("headers %v", got.Header)
	}
	keys := decode[struct{ Keys []map[string]any }](t, got).Keys
	if len(keys) != 1 || keys[0]["alg"] != "RS256" || keys[0]["use"] != "sig" || keys[0]["kid"] == "" || keys[0]["d"] != nil {
		t.Errorf("keys %v", keys)
	}
}
