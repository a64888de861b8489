package lti_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// Section 7: deep linking, the request and our answer.

func inDeepLinking(change func(settings map[string]any)) func(map[string]any) {
	return func(m map[string]any) {
		deepLinking(m)
		settings, ok := m[dlClaim+"deep_linking_settings"].(map[string]any)
		if !ok {
			panic("no settings")
		}
		change(settings)
	}
}

func deepLinkCases() []caseRow {
	settings, address := lti.CodeDeepLinkingSettings, lti.CodeDeepLinkingReturnURL
	returns := func(number, input, to string) caseRow {
		return caseRow{number: number, input: input, code: address, status: 401, claims: inDeepLinking(set("deep_link_return_url", to))}
	}
	returned := func(to string) func(lti.Launch) bool {
		return func(l lti.Launch) bool { return l.DeepLinking.ReturnURL == to }
	}
	item := lti.ContentItem{Type: lti.ItemResourceLink, URL: toolURL + "/lti/launch", Title: "A"}
	graded := func(maximum float64) lti.ContentItem {
		i := item
		i.LineItem = &lti.ItemLineItem{ScoreMaximum: maximum}
		return i
	}
	addressed := func(to string) lti.ContentItem { i := item; i.URL = to; return i }
	types := func(list ...string) func(map[string]any) { return set("accept_types", list) }
	nothing := func(map[string]any) {}
	const opened = "the request is accepted and a page says so, with a way back without items; what is refused is an item in the answer"
	return []caseRow{
		{number: "D1", input: "no settings", code: settings, status: 401, claims: func(m map[string]any) {
			deepLinking(m)
			delete(m, dlClaim+"deep_linking_settings")
		}},
		{number: "D1", input: "settings are text", code: settings, status: 401, claims: func(m map[string]any) {
			deepLinking(m)
			m[dlClaim+"deep_linking_settings"] = "x"
		}},
		{number: "D1", input: "settings without accepted types", code: settings, status: 401, claims: inDeepLinking(drop("accept_types"))},
		{number: "D1", input: "accepted types are text", code: settings, status: 401, claims: inDeepLinking(set("accept_types", "ltiResourceLink"))},
		{number: "D2", input: "no return URL", code: address, status: 401, claims: inDeepLinking(drop("deep_link_return_url"))},
		{number: "D2", input: "return URL is a number", code: address, status: 401, claims: inDeepLinking(set("deep_link_return_url", 7))},
		returns("D3", "return URL is a script", "javascript:alert(1)"),
		returns("D3", "return URL is data", "data:text/html,x"),
		returns("D3", "return URL by http", "http://lms.example.edu/return"),
		returns("D3", "return URL on another host", "https://evil.example/return"),
		returns("D3", "return URL on a host below", "https://x.lms.example.edu/return"),
		returns("D3", "return URL with a user name", "https://lms.example.edu@evil.example/return"),
		{number: "D3", input: "a host that an administrator has added", settings: lti.Settings{Hosts: []string{".cdn.example"}}, claims: inDeepLinking(set("deep_link_return_url", "https://a.cdn.example/return")), understood: returned("https://a.cdn.example/return")},
		{number: "D3", input: "the host of tool_platform.url", claims: func(m map[string]any) {
			inDeepLinking(set("deep_link_return_url", "https://www.example.edu/return"))(m)
			m[claim+"tool_platform"] = map[string]any{"guid": "g", "url": "https://www.example.edu"}
		}, understood: returned("https://www.example.edu/return")},
		{number: "D4", input: "files only", play: answered(types("file"), item), code: lti.CodeItemType, status: 422, decided: opened, elsewhere: []string{"cmd/sealsmith/web TestPlatformsThatTakeNoActivity"}},
		{number: "D5", input: "asset processors only", play: answered(types("ltiAssetProcessor"), item), code: lti.CodeItemType, status: 422, decided: opened},
		{number: "D6", input: "unknown accepted types", claims: inDeepLinking(types("x", "ltiResourceLink")), understood: func(l lti.Launch) bool { return len(l.DeepLinking.AcceptTypes) == 2 }},
		{number: "D7", input: "two items, nothing said about how many", play: answered(drop("accept_multiple"), item, item), code: lti.CodeItemCount, status: 422},
		{number: "D7", input: "two items, one accepted", play: answered(set("accept_multiple", false), item, item), code: lti.CodeItemCount, status: 422},
		{number: "D7", input: "two items accepted", play: answered(set("accept_multiple", true), item, item)},
		{number: "D8", input: "accept_multiple is text", claims: inDeepLinking(set("accept_multiple", "true")), understood: func(l lti.Launch) bool { return *l.DeepLinking.AcceptMultiple }},
		{number: "D8", input: "accept_multiple is a number", play: answered(set("accept_multiple", 1), item, item), code: lti.CodeItemCount, status: 422},
		{number: "D9", input: "no line items", play: noLineItem},
		{number: "D9", input: "nothing said about line items", claims: inDeepLinking(drop("accept_lineitem")), understood: func(l lti.Launch) bool { return l.DeepLinking.AcceptLineItem == nil }},
		{number: "D10", input: "no data", play: cancelled, elsewhere: []string{". TestDeepLinkingResponse"}},
		{number: "D11", input: "data of 60 KB, with quotes and umlauts", play: sameData},
		{number: "D12", input: "a learner who would choose", claims: func(m map[string]any) {
			deepLinking(m)
			m[claim+"roles"] = []string{memberRole + "Learner"}
		}, understood: func(l lti.Launch) bool { return !l.IsTeacher() }, decided: "the launch is good, every page of choosing answers 403", elsewhere: []string{"cmd/sealsmith/web TestRoles"}},
		{number: "D13", input: "two hours later", play: twoHoursLater},
		{number: "D14", input: "cancelled", play: cancelled, elsewhere: []string{"cmd/sealsmith/web TestAttach"}},
		{number: "D15", input: "sent by another session, or another site", elsewhere: []string{"cmd/sealsmith/web TestSessionNeedsItsCookie", "cmd/sealsmith/web TestVerifyRefusesUploads"}},
		{number: "D15", input: "in a session that is no deep linking", play: notDeepLinking, code: lti.CodeNotDeepLinking, status: 409},
		{number: "D16", input: "answered twice", play: answeredTwice},
		{number: "D17", input: "title with </script>", elsewhere: []string{"cmd/sealsmith/web TestHostileTexts"}},
		{number: "D18", input: "item without url", play: answered(nothing, addressed("")), code: lti.CodeItemInvalid, status: 422},
		{number: "D18", input: "item with a relative url", play: answered(nothing, addressed("/lti/launch")), code: lti.CodeItemInvalid, status: 422},
		{number: "D18", input: "item with a script for url", play: answered(nothing, addressed("javascript:alert(1)")), code: lti.CodeItemInvalid, status: 422},
		{number: "D19", input: "maximum 0", play: answered(nothing, graded(0)), code: lti.CodeItemInvalid, status: 422},
		{number: "D19", input: "maximum below 0", play: answered(nothing, graded(-1)), code: lti.CodeItemInvalid, status: 422},
		{number: "D19", input: "maximum NaN", play: answered(nothing, graded(math.NaN())), code: lti.CodeItemInvalid, status: 422},
		{number: "D19", input: "maximum 100", play: answered(nothing, graded(100))},
		{number: "D20", input: "kid, whole iat, no azp in the answer", play: cancelled},
		{number: "D21", input: "our own answer as id_token", play: ownAnswer, code: lti.CodeIssuerMismatch, status: 401},
		{number: "D21", input: "the same claims, signed by the platform", code: lti.CodeIssuerMismatch, status: 401, claims: func(m map[string]any) { m["iss"], m["aud"] = clientID, issuer }},
	}
}

// choosing opens a deep linking session.
func (r *rig) choosing(t *testing.T, change func(settings map[string]any)) lti.Session {
	t.Helper()
	return r.launch(inDeepLinking(change)).session(t)
}

func answered(change func(settings map[string]any), items ...lti.ContentItem) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), r.choosing(t, change), lti.DeepLinkingReply{Items: items})
		if err == nil {
			var sent []json.RawMessage
			if err := json.Unmarshal(r.openResponse(t, jwt)[dlClaim+"content_items"], &sent); err != nil || len(sent) != len(items) {
				t.Errorf("sent %s, %v", sent, err)
			}
		}
		return played{outcome: outcome{problem: err}}
	}
}

func noLineItem(t *testing.T, r *rig) played {
	t.Helper()
	items := []lti.ContentItem{{Type: lti.ItemResourceLink, URL: toolURL, LineItem: &lti.ItemLineItem{ScoreMaximum: 1}}}
	_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), r.choosing(t, set("accept_lineitem", false)), lti.DeepLinkingReply{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(r.openResponse(t, jwt)[dlClaim+"content_items"]); strings.Contains(got, "lineItem") {
		t.Errorf("sent %s", got)
	}
	if items[0].LineItem == nil {
		t.Error("the caller's item was changed")
	}
	return played{}
}

// cancelled looks at an answer without items: it is sent, and holds no more than it must.
func cancelled(t *testing.T, r *rig) played {
	t.Helper()
	_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), r.choosing(t, drop("data")), lti.DeepLinkingReply{})
	if err != nil {
		t.Fatal(err)
	}
	claims := r.openResponse(t, jwt)
	if got := string(claims[dlClaim+"content_items"]); got != "[]" {
		t.Errorf("content_items is %s, want []", got)
	}
	for _, name := range []string{dlClaim + "data", dlClaim + "msg", "sub", "azp"} {
		if raw, ok := claims[name]; ok {
			t.Errorf("%s is sent: %s", name, raw)
		}
	}
	if strings.Contains(string(claims["iat"]), ".") || r.signedBy(t) == "" {
		t.Errorf("iat is %s, kid %q", claims["iat"], r.signedBy(t))
	}
	return played{}
}

func sameData(t *testing.T, r *rig) played {
	t.Helper()
	data := `"\u00fc é \"<&>' ` + strings.Repeat("Ä\\/", 20<<10) + `"`
	a := r.login(nil)
	m := r.claims(a)
	inDeepLinking(set("data", json.RawMessage(`"DATA"`)))(m)
	payload := strings.Replace(string(must(json.Marshal(m))), `"DATA"`, data, 1)
	s := r.deliver(a, signRaw(`{"alg":"RS256","kid":"k1"}`, []byte(payload), platformKey())).session(t)
	stored, _, err := r.store.Session(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), stored, lti.DeepLinkingReply{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(r.openResponse(t, jwt)[dlClaim+"data"]); got != data || len(data) < 60<<10 {
		t.Errorf("%d bytes of data came back as %d", len(data), len(got))
	}
	return played{}
}

func twoHoursLater(t *testing.T, r *rig) played {
	t.Helper()
	s := r.choosing(t, func(map[string]any) {})
	r.clock.advance(2 * time.Hour)
	_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), s, lti.DeepLinkingReply{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(r.openResponse(t, jwt)["iat"]), must(json.Marshal(at(2*time.Hour))); got != string(want) {
		t.Errorf("iat is %s, want %s", got, want)
	}
	return played{}
}

func answeredTwice(t *testing.T, r *rig) played {
	t.Helper()
	s := r.choosing(t, func(map[string]any) {})
	r.signedBy(t) // makes the first key
	before := r.written(t)
	seen := map[string]bool{}
	for range 2 {
		_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), s, lti.DeepLinkingReply{})
		if err != nil {
			t.Fatal(err)
		}
		seen[string(r.openResponse(t, jwt)["nonce"])] = true
	}
	if len(seen) != 2 || r.written(t) != before {
		t.Errorf("%d nonces, written %s", len(seen), r.written(t))
	}
	return played{}
}

func notDeepLinking(t *testing.T, r *rig) played {
	t.Helper()
	_, _, err := r.tool.DeepLinkingResponse(t.Context(), r.launch(nil).session(t), lti.DeepLinkingReply{})
	return played{outcome: outcome{problem: err}}
}

func ownAnswer(t *testing.T, r *rig) played {
	t.Helper()
	_, jwt, err := r.tool.DeepLinkingResponse(t.Context(), r.choosing(t, func(map[string]any) {}), lti.DeepLinkingReply{})
	if err != nil {
		t.Fatal(err)
	}
	return r.afterwards(t, r.login(nil), jwt)
}
