package demolms_test

import (
	"crypto/rsa"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

// selection begins content selection as the teacher and returns where the
// tool has to answer to.
func (b *bench) selection(query string) (map[string]any, string) {
	b.t.Helper()
	b.get("/as/teacher")
	_, response := b.launch("/course/2/select/1" + query)
	claims := b.verified(response.Get("id_token"))
	settings, _ := claims[dlNS+"deep_linking_settings"].(map[string]any)
	address, _ := settings["deep_link_return_url"].(string)
	return claims, address
}

// answerClaims are those of a good deep linking response.
func (b *bench) answerClaims(items ...any) map[string]any {
	now := b.clock.Now().Unix()
	if items == nil {
		items = []any{}
	}
	return map[string]any{
		"iss": client, "aud": b.Issuer(), "iat": now, "exp": now + 300, "nonce": "n1",
		claimNS + "message_type": "LtiDeepLinkingResponse", claimNS + "version": "1.3.0", claimNS + "deployment_id": "1",
		dlNS + "content_items": items,
	}
}

func (b *bench) answer(address string, claims map[string]any) answer {
	b.t.Helper()
	return b.post(address, url.Values{"JWT": {b.toolToken(claims, "tool-key", toolKey())}})
}

func contentItem(title string) map[string]any {
	return map[string]any{
		"type": "ltiResourceLink", "title": title, "text": "About " + title, "custom": map[string]any{"attachment": "a-9"},
		"lineItem": map[string]any{"label": "Dropped", "scoreMaximum": 100, "resourceId": "a-9", "tag": "sealsmith"},
	}
}

var leaveLink = regexp.MustCompile(`data-leave target="_top" href="([^"]*)"`)

func (b *bench) leave(a answer) string {
	b.t.Helper()
	m := leaveLink.FindStringSubmatch(a.Body)
	if m == nil {
		b.t.Fatalf("the frame is not left (status %d):\n%s", a.Status, a.Body)
	}
	return entities.Replace(m[1])
}

func TestDeepLinkingRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	claims, address := b.selection("")
	if claims[claimNS+"message_type"] != "LtiDeepLinkingRequest" || claims[claimNS+"resource_link"] != nil {
		t.Errorf("claims %v", claims)
	}
	settings, _ := claims[dlNS+"deep_linking_settings"].(map[string]any)
	delete(settings, "deep_link_return_url")
	want := map[string]any{
		"accept_types": []any{"ltiResourceLink"}, "accept_presentation_document_targets": []any{"frame", "iframe", "window"},
		"accept_copy_advice": false, "accept_multiple": true, "accept_unsigned": false, "auto_create": false, "can_confirm": false,
		"title": "Sealsmith", "text": "",
	}
	if diff := cmp.Diff(want, settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(address, b.Issuer()+"/deeplink/return?course=2&id=1&sesskey=") {
		t.Errorf("return address %s", address)
	}
}

func TestOneItemFillsTheForm(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, address := b.selection("")
	form := b.get(b.leave(b.answer(address, b.answerClaims(contentItem("Protein transition")))))
	for _, want := range []string{`value="Protein transition"`, "About Protein transition", "<dd>100</dd>", "a-9"} {
		if !strings.Contains(form.Body, want) {
			t.Errorf("the form lacks %s:\n%s", want, form.Body)
		}
	}
	if n := len(b.Activities("2")); n != 0 {
		t.Fatalf("%d activities before Save", n)
	}
	fields := url.Values{"draft": {"1"}, "title": {"Renamed"}, "text": {"New text"}}
	saved := b.post("/course/2/activities", fields)
	if !strings.Contains(saved.Body, "The activity was added.") || !strings.Contains(saved.Body, "Renamed") {
		t.Errorf("course page after Save:\n%s", saved.Body)
	}
	a := b.Activities("2")
	items := b.LineItems("2")
	if len(a) != 1 || a[0].Title != "Renamed" || a[0].Custom["attachment"] != "a-9" || len(items) != 1 {
		t.Fatalf("saved %+v %+v", a, items)
	}
	want := demolms.LineItem{ID: items[0].ID, Course: "2", ClientID: client, Label: "Renamed", Max: 100, ResourceID: "a-9", Tag: "sealsmith", Activity: a[0].ID}
	if diff := cmp.Diff(want, items[0]); diff != "" {
		t.Errorf("line item (-want +got):\n%s", diff)
	}
	if again := b.post("/course/2/activities", fields); again.Status != http.StatusConflict || len(b.Activities("2")) != 1 {
		t.Errorf("saved twice: %d", again.Status)
	}
}

func TestSeveralItemsAreSavedTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, address := b.selection("")
	link := map[string]any{"type": "link", "title": "Plain link", "url": "https://example.test/info"}
	file := map[string]any{"type": "file", "title": "Not kept", "url": "https://example.test/file"}
	next := b.leave(b.answer(address, b.answerClaims(contentItem("A"), contentItem("B"), link, file)))
	if page := b.get(next); !strings.Contains(page.Body, "The following items") || strings.Contains(page.Body, "Not kept") {
		t.Errorf("summary:\n%s", page.Body)
	}
	b.post("/course/2/activities", url.Values{"draft": {"1"}})
	if a := b.Activities("2"); len(a) != 3 || a[2].URL != "https://example.test/info" || len(b.LineItems("2")) != 2 {
		t.Errorf("saved %+v", a)
	}
}

func TestEmptySelectionChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, address := b.selection("")
	page := b.get(b.leave(b.answer(address, b.answerClaims())))
	if !strings.Contains(page.Body, "Nothing was selected.") || len(b.Activities("2")) != 0 {
		t.Errorf("page:\n%s", page.Body)
	}
}

func TestDeepLinkResponseFromAnotherSiteIsReposted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, address := b.selection("")
	known := b.browser
	b.browser = newBrowser(t)
	action, fields := b.form(b.answer(address, b.answerClaims(contentItem("A"))))
	b.browser = known
	if fields.Get("repost") != "1" || b.Issuer()+action != address {
		t.Fatalf("reposts %v to %s", fields, action)
	}
	b.leave(b.post(action, fields))
}

func TestDeepLinkRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, address := b.selection("")
	tests := []struct {
		name   string
		change func(map[string]any)
		kid    string
		key    func() *rsa.PrivateKey
	}{
		{name: "iss", change: func(c map[string]any) { c["iss"] = "other" }},
		{name: "aud", change: func(c map[string]any) { c["aud"] = "https://other.example" }},
		{name: "aud a number", change: func(c map[string]any) { c["aud"] = 7 }},
		{name: "expired", change: func(c map[string]any) { c["exp"] = b.clock.Now().Unix() }},
		{name: "no exp", change: func(c map[string]any) { delete(c, "exp") }},
		{name: "future iat", change: func(c map[string]any) { c["iat"] = b.clock.Now().Unix() + 5 }},
		{name: "no nonce", change: func(c map[string]any) { delete(c, "nonce") }},
		{name: "message type", change: func(c map[string]any) { c[claimNS+"message_type"] = "LtiDeepLinkingRequest" }},
		{name: "version", change: func(c map[string]any) { c[claimNS+"version"] = "1.1" }},
		{name: "deployment", change: func(c map[string]any) { c[claimNS+"deployment_id"] = "2" }},
		{name: "items not a list", change: func(c map[string]any) { c[dlNS+"content_items"] = "x" }},
		{name: "unknown kid", kid: "other-key"},
		{name: "other key", key: platformKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			claims := maps.Clone(b.answerClaims(contentItem("A")))
			if tt.change != nil {
				tt.change(claims)
			}
			kid, key := "tool-key", toolKey
			if tt.kid != "" {
				kid = tt.kid
			}
			if tt.key != nil {
				key = tt.key
			}
			if got := b.post(address, url.Values{"JWT": {b.toolToken(claims, kid, key())}}); got.Status != http.StatusBadRequest {
				t.Errorf("status %d:\n%s", got.Status, got.Body)
			}
		})
	}
	for name, form := range map[string]url.Values{"no token": {}, "not a token": {"JWT": {"x.y"}}, "part is not base64": {"JWT": {"!.!.!"}}} {
		if got := b.post(address, form); got.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got.Status)
		}
	}
	if got := b.answer(address+"x", b.answerClaims()); got.Status != http.StatusForbidden {
		t.Errorf("wrong sesskey: %d", got.Status)
	}
	if got := b.answer(strings.Replace(address, "course=2", "course=99", 1), b.answerClaims()); got.Status != http.StatusBadRequest {
		t.Errorf("unknown course: %d", got.Status)
	}
}

func TestLearnersCannotAdd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.get("/as/maija")
	for _, path := range []string{"/course/2/add", "/course/2/select/1", "/course/2/gradebook", "/admin/tool"} {
		if got := b.get(path); got.Status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.Status)
		}
	}
	if got := b.post("/course/2/activities", url.Values{"draft": {"1"}}); got.Status != http.StatusForbidden {
		t.Errorf("save: %d", got.Status)
	}
}
