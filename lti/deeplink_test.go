package lti_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/sealsmith/sealsmith/lti"
)

// signedBy returns the kid of a fresh deep linking response.
func (r *rig) signedBy(t *testing.T) string {
	t.Helper()
	_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), lti.Session{Launch: lti.Launch{DeepLinking: &lti.DeepLinkingSettings{}}}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ KID string }
	if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[0])), &header); err != nil {
		t.Fatal(err)
	}
	return header.KID
}

// openResponse checks the signature against the published keys and returns the claims.
func (r *rig) openResponse(t *testing.T, jwt string) map[string]json.RawMessage {
	t.Helper()
	o := r.do(httptest.NewRequest(http.MethodGet, toolURL+"/lti/jwks", nil))
	payload, err := jws.Verify([]byte(jwt), jws.WithKeySet(must(jwk.Parse(o.rec.Body.Bytes()))))
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestDeepLinkingResponse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	data := `"opaque \u00fc \"quoted\" <&> é"`
	a := r.login(nil)
	m := r.claims(a)
	inDeepLinking(set("data", "DATA"))(m)
	payload := strings.Replace(string(must(json.Marshal(m))), `"DATA"`, data, 1)
	s := r.deliver(a, signRaw(`{"alg":"RS256","kid":"k1"}`, []byte(payload), platformKey())).session(t)
	stored, _, err := r.store.Session(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	item := lti.ContentItem{
		Type: lti.ItemResourceLink, URL: toolURL + "/lti/launch", Title: "Data <literacy>", Custom: map[string]string{"attachment": "a-1"},
		LineItem: &lti.ItemLineItem{Label: "Badge", ScoreMaximum: 100, ResourceID: "a-1", Tag: "sealsmith"},
	}
	url, jwt, err := r.tool.DeepLinkingResponse(t.Context(), stored, []lti.ContentItem{item}, "done")
	if err != nil {
		t.Fatal(err)
	}
	if url != issuer+"/return" {
		t.Errorf("returns to %s", url)
	}
	claims := r.openResponse(t, jwt)
	if got := string(claims[dlClaim+"data"]); got != data { // D11
		t.Errorf("data came back as %s, want %s", got, data)
	}
	nonce := claims["nonce"]
	delete(claims, "nonce")
	delete(claims, dlClaim+"data")
	want := map[string]string{
		"iss": `"client-1"`, "aud": `"https://lms.example.edu"`, "iat": "1795510800", "exp": "1795511100",
		claim + "message_type": `"LtiDeepLinkingResponse"`, claim + "version": `"1.3.0"`, claim + "deployment_id": `"1"`,
		dlClaim + "msg": `"done"`,
		dlClaim + "content_items": `[{"type":"ltiResourceLink","url":"https://tool.example.edu/lti/launch","title":"Data <literacy>",` +
			`"custom":{"attachment":"a-1"},"lineItem":{"label":"Badge","scoreMaximum":100,"resourceId":"a-1","tag":"sealsmith"}}]`,
	}
	got := map[string]string{}
	for name, raw := range claims {
		got[name] = string(raw)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if len(nonce) < 20 {
		t.Errorf("nonce is %s", nonce)
	}
}
