package lti_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/sealsmith/sealsmith/lti"
)

// signedBy returns the kid of a fresh deep linking response.
func (r *rig) signedBy(t *testing.T) string {
	t.Helper()
	_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), lti.Session{Launch: lti.Launch{DeepLinking: &lti.DeepLinkingSettings{}}}, lti.DeepLinkingReply{})
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
	url, jwt, err := r.tool.DeepLinkingResponse(t.Context(), stored, lti.DeepLinkingReply{Items: []lti.ContentItem{item}, Message: "done"})
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

// TestDeepLinkingReplyInFull sends everything that Deep Linking 2.0 has for an activity, and
// leaves out what is not said.
func TestDeepLinkingReplyInFull(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.launch(inDeepLinking(func(settings map[string]any) { settings["data"] = "opaque" })).session(t)
	from := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	full := lti.ContentItem{
		Type: lti.ItemResourceLink, URL: toolURL + "/lti/launch", Title: "T", Text: "t", Custom: map[string]string{"a": "b"},
		Icon: &lti.ItemImage{URL: toolURL + "/i.png", Width: 32, Height: 32}, Thumbnail: &lti.ItemImage{URL: toolURL + "/t.png"},
		Window: &lti.ItemWindow{TargetName: "w", Width: 800}, Frame: &lti.ItemFrame{Width: 600, Height: 400},
		Available: &lti.ItemPeriod{Start: from}, Submission: &lti.ItemPeriod{End: from.AddDate(0, 1, 0)},
		LineItem: &lti.ItemLineItem{
			Label: "L", ScoreMaximum: 100, ResourceID: "r", Tag: "g", GradesReleased: new(false),
			SubmissionReview: &lti.SubmissionReview{ReviewableStatus: []string{"Completed"}, Label: "Review", URL: toolURL + "/lti/launch"},
		},
	}
	bare := lti.ContentItem{Type: lti.ItemResourceLink, URL: toolURL + "/lti/launch"}
	_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), s, lti.DeepLinkingReply{
		Items: []lti.ContentItem{full, bare}, Message: "m", ErrorMessage: "em", Log: "l", ErrorLog: "el",
	})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[1])), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"msg": "m", "errormsg": "em", "log": "l", "errorlog": "el", "data": "opaque"} {
		if got[dlClaim+name] != want {
			t.Errorf("%s is %v", name, got[dlClaim+name])
		}
	}
	want := []any{
		map[string]any{
			"type": "ltiResourceLink", "url": toolURL + "/lti/launch", "title": "T", "text": "t", "custom": map[string]any{"a": "b"},
			"icon": map[string]any{"url": toolURL + "/i.png", "width": 32.0, "height": 32.0}, "thumbnail": map[string]any{"url": toolURL + "/t.png"},
			"window": map[string]any{"targetName": "w", "width": 800.0}, "iframe": map[string]any{"width": 600.0, "height": 400.0},
			"available": map[string]any{"startDateTime": "2026-12-01T08:00:00Z"}, "submission": map[string]any{"endDateTime": "2027-01-01T08:00:00Z"},
			"lineItem": map[string]any{
				"label": "L", "scoreMaximum": 100.0, "resourceId": "r", "tag": "g", "gradesReleased": false,
				"submissionReview": map[string]any{"reviewableStatus": []any{"Completed"}, "label": "Review", "url": toolURL + "/lti/launch"},
			},
		},
		map[string]any{"type": "ltiResourceLink", "url": toolURL + "/lti/launch"},
	}
	if diff := cmp.Diff(want, got[dlClaim+"content_items"]); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	full.Icon.URL = "javascript:alert(1)"
	if _, _, err := r.tool.DeepLinkingResponse(t.Context(), s, lti.DeepLinkingReply{Items: []lti.ContentItem{full}}); err == nil {
		t.Error("a picture at no address was sent")
	}
}
