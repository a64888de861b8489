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

func TestDeepLinkingCancel(t *testing.T) { // D14
	t.Parallel()
	r := newRig(t)
	s := r.launch(inDeepLinking(func(map[string]any) {})).session(t)
	_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), s, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	claims := r.openResponse(t, jwt)
	if got := string(claims[dlClaim+"content_items"]); got != "[]" {
		t.Errorf("content_items is %s, want []", got)
	}
	for _, name := range []string{dlClaim + "data", dlClaim + "msg", "sub", "azp"} { // D10, D20
		if raw, ok := claims[name]; ok {
			t.Errorf("%s is sent: %s", name, raw)
		}
	}
	if strings.Contains(string(claims["iat"]), ".") {
		t.Errorf("iat is %s", claims["iat"])
	}
}

func TestDeepLinkingItems(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	item := lti.ContentItem{Type: lti.ItemResourceLink, URL: toolURL + "/lti/launch"}
	graded := item
	graded.LineItem = &lti.ItemLineItem{ScoreMaximum: 100}
	for _, tt := range []struct {
		name     string
		settings *lti.DeepLinkingSettings
		items    []lti.ContentItem
		code     string
	}{
		{"not deep linking", nil, nil, lti.CodeNotDeepLinking},
		{"D4 type not accepted", &lti.DeepLinkingSettings{AcceptTypes: []string{"file"}}, []lti.ContentItem{item}, lti.CodeItemType},
		{"D5 asset processor only", &lti.DeepLinkingSettings{AcceptTypes: []string{"ltiAssetProcessor"}}, []lti.ContentItem{item}, lti.CodeItemType},
		{"D7 two, nothing said", &lti.DeepLinkingSettings{AcceptTypes: []string{item.Type}}, []lti.ContentItem{item, item}, lti.CodeItemCount},
		{"two, one accepted", &lti.DeepLinkingSettings{AcceptTypes: []string{item.Type}, AcceptMultiple: new(false)}, []lti.ContentItem{item, item}, lti.CodeItemCount},
		{"two accepted", &lti.DeepLinkingSettings{AcceptTypes: []string{item.Type}, AcceptMultiple: new(true)}, []lti.ContentItem{item, item}, ""},
		{"D18 no url", &lti.DeepLinkingSettings{AcceptTypes: []string{item.Type}}, []lti.ContentItem{{Type: item.Type}}, lti.CodeItemInvalid},
		{"D19 maximum 0", &lti.DeepLinkingSettings{AcceptTypes: []string{item.Type}}, []lti.ContentItem{{Type: item.Type, URL: item.URL, LineItem: &lti.ItemLineItem{}}}, lti.CodeItemInvalid},
		{"line item", &lti.DeepLinkingSettings{AcceptTypes: []string{item.Type}}, []lti.ContentItem{graded}, ""},
	} {
		s := lti.Session{Launch: lti.Launch{DeepLinking: tt.settings, MessageType: lti.MessageResourceLink}}
		_, _, err := r.tool.DeepLinkingResponse(t.Context(), s, tt.items, "")
		got := ""
		if err != nil {
			got = outcome{problem: err}.check(t).Code
		}
		if got != tt.code {
			t.Errorf("%s: got %q (%v), want %q", tt.name, got, err, tt.code)
		}
	}
}

func TestDeepLinkingWithoutLineItem(t *testing.T) { // D9
	t.Parallel()
	r := newRig(t)
	s := lti.Session{Launch: lti.Launch{DeepLinking: &lti.DeepLinkingSettings{AcceptTypes: []string{lti.ItemResourceLink}, AcceptLineItem: new(false)}}}
	items := []lti.ContentItem{{Type: lti.ItemResourceLink, URL: toolURL, LineItem: &lti.ItemLineItem{ScoreMaximum: 1}}}
	_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), s, items, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(r.openResponse(t, jwt)[dlClaim+"content_items"]); strings.Contains(got, "lineItem") {
		t.Errorf("sent %s", got)
	}
	if items[0].LineItem == nil {
		t.Error("the caller's item was changed")
	}
}
