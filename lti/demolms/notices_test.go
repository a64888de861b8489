package demolms_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

const (
	pnsPath    = "/mod/lti/services.php/pns?type_id=1"
	helloType  = "LtiHelloWorldNotice"
	copyType   = "LtiContextCopyNotice"
	noticeName = claimNS + "notice"
)

// inbox receives notices on the tool's host.
type inbox struct {
	mu     sync.Mutex
	bodies []string
}

func (i *inbox) take() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := i.bodies
	i.bodies = nil
	return out
}

// noticed is a bench whose tool may have notices and receives them.
func (b *bench) noticed() *inbox {
	b.t.Helper()
	box := &inbox{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/notices" {
			stub().ServeHTTP(w, r)
			return
		}
		raw, _ := io.ReadAll(r.Body)
		box.mu.Lock()
		box.bodies = append(box.bodies, string(raw))
		box.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	}))
	b.t.Cleanup(server.Close)
	tool := b.Tools()[0]
	tool.RedirectURIs = []string{server.URL + "/launch"}
	tool.Scopes = append(tool.Scopes, pns)
	if err := b.AddTool(tool); err != nil {
		b.t.Fatal(err)
	}
	for _, kind := range []string{helloType, copyType} {
		if got := b.handle(kind, server.URL+"/notices"); got.Status != http.StatusOK {
			b.t.Fatalf("%s: %d %s", kind, got.Status, got.Body)
		}
	}
	return box
}

func (b *bench) handle(kind, address string) answer {
	b.t.Helper()
	raw, _ := json.Marshal(map[string]string{"notice_type": kind, "handler": address})
	got := b.serviceAs(client, []string{pns}, http.MethodPut, pnsPath, string(raw), "Content-Type", "application/json")
	b.Flush()
	return got
}

// jwts are the notices of one delivery.
func jwts(t *testing.T, body string) []string {
	t.Helper()
	var envelope struct{ Notices []struct{ JWT string } }
	if err := json.Unmarshal([]byte(body), &envelope); err != nil {
		t.Fatalf("%v: %.100s", err, body)
	}
	var out []string
	for _, n := range envelope.Notices {
		out = append(out, n.JWT)
	}
	return out
}

func TestNotices(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	token, err := b.SignLaunch("teacher", a.ID, "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if payload(t, token)[claimNS+"platformnotificationservice"] != nil {
		t.Error("notices are offered to a tool without the scope")
	}
	box := b.noticed()
	if token, err = b.SignLaunch("teacher", a.ID, "n", nil); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"service_versions": []any{"1.0"}, "platform_notification_service_url": b.Issuer() + pnsPath,
		"scope": []any{pns}, "notice_types_supported": []any{helloType, copyType},
	}
	if diff := cmp.Diff(want, payload(t, token)[claimNS+"platformnotificationservice"]); diff != "" {
		t.Errorf("claim (-want +got):\n%s", diff)
	}
	bodies := box.take()
	if len(bodies) != 1 {
		t.Fatalf("%d deliveries after subscribing, want the hello", len(bodies))
	}
	c := b.verified(jwts(t, bodies[0])[0])
	notice, _ := c[noticeName].(map[string]any)
	if notice["type"] != helloType || len(notice["id"].(string)) != 36 || notice["timestamp"] != "2026-11-24T09:00:00Z" {
		t.Errorf("notice %v", notice)
	}
	if c["iss"] != b.Issuer() || c["aud"] != client || c["azp"] != client || c[claimNS+"deployment_id"] != "1" || c[claimNS+"version"] != "1.3.0" || c["nonce"] == "" || c["sub"] != nil {
		t.Errorf("claims %v", c)
	}
	course, err := b.CopyCourse("2")
	if err != nil {
		t.Fatal(err)
	}
	b.Flush()
	bodies = box.take()
	if len(bodies) != 1 {
		t.Fatalf("%d deliveries after the copy", len(bodies))
	}
	c = b.verified(jwts(t, bodies[0])[0])
	context, _ := c[claimNS+"context"].(map[string]any)
	if context["id"] != course.ID || !equalJSON(c[claimNS+"origin_contexts"], []string{"2"}) {
		t.Errorf("copy notice %v", c)
	}
}

func TestNoticeHandlers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	box := b.noticed()
	get := func() map[string]any {
		return decode[map[string]any](t, b.serviceAs(client, []string{pns}, http.MethodGet, pnsPath, "", "Accept", "application/json"))
	}
	got := get()
	handlers, _ := got["notice_handlers"].([]any)
	if got["client_id"] != client || got["deployment_id"] != "1" || len(handlers) != 2 {
		t.Errorf("handlers %v", got)
	}
	for name, raw := range map[string]string{
		"other host": `{"notice_type":"LtiHelloWorldNotice","handler":"https://elsewhere.example/notices"}`,
		"no type":    `{"handler":""}`, "other type": `{"notice_type":"LtiSomethingElse","handler":""}`, "not JSON": `x`,
	} {
		if got := b.serviceAs(client, []string{pns}, http.MethodPut, pnsPath, raw, "Content-Type", "application/json"); got.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got.Status)
		}
	}
	if got := b.service(http.MethodGet, pnsPath, ""); got.Status != http.StatusUnauthorized {
		t.Errorf("without the scope: %d", got.Status)
	}
	b.handle(copyType, "")
	if handlers, _ := get()["notice_handlers"].([]any); !strings.Contains(mustJSON(t, handlers[1]), `"handler":""`) {
		t.Errorf("after unregistering: %v", handlers)
	}
	box.take()
	if _, err := b.CopyCourse("2"); err != nil {
		t.Fatal(err)
	}
	b.Flush()
	if got := box.take(); len(got) != 0 {
		t.Errorf("a notice nobody asked for: %v", got)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// copied turns a knob, copies course 2 and checks what is delivered.
func copied(check func(t *testing.T, b *bench, bodies []string)) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		b.place()
		box := b.noticed()
		box.take()
		turn(t, b, k)
		if _, err := b.CopyCourse("2"); err != nil {
			t.Fatal(err)
		}
		b.Flush()
		check(t, b, box.take())
	}
}

// noticeClaim checks one claim of the only notice delivered.
func noticeClaim(check func(c map[string]any) bool) knobTest {
	return copied(func(t *testing.T, b *bench, bodies []string) {
		t.Helper()
		if len(bodies) != 1 {
			t.Fatalf("%d deliveries", len(bodies))
		}
		if c := b.verified(jwts(t, bodies[0])[0]); !check(c) {
			t.Errorf("claims %v", c)
		}
	})
}

func noticeOf(c map[string]any) map[string]any {
	n, _ := c[noticeName].(map[string]any)
	return n
}

func noticeTests() map[demolms.Knob]knobTest {
	return map[demolms.Knob]knobTest{
		demolms.NoticesUnknownType:   noticeClaim(func(c map[string]any) bool { return noticeOf(c)["type"] == "LtiSomethingElseNotice" }),
		demolms.NoticesWrongDeploy:   noticeClaim(func(c map[string]any) bool { return c[claimNS+"deployment_id"] == "no-such-deployment" }),
		demolms.NoticesMessageType:   noticeClaim(func(c map[string]any) bool { return c[claimNS+"message_type"] == "LtiResourceLinkRequest" }),
		demolms.NoticesForeignOrigin: noticeClaim(func(c map[string]any) bool { return equalJSON(c[claimNS+"origin_contexts"], []string{"3"}) }),
		demolms.NoticesUnknownOrigin: noticeClaim(func(c map[string]any) bool {
			return equalJSON(c[claimNS+"origin_contexts"], []string{"no-such-course"})
		}),
		demolms.NoticesIDToken: noticeClaim(func(c map[string]any) bool {
			return c[noticeName] == nil && c["sub"] == "7" && c[claimNS+"message_type"] == "LtiResourceLinkRequest"
		}),
		demolms.NoticesBadSignature: copied(func(t *testing.T, b *bench, bodies []string) {
			t.Helper()
			tokens := jwts(t, bodies[0])
			if len(tokens) != 2 || b.signature(tokens[0]) == nil || b.signature(tokens[1]) != nil {
				t.Errorf("%d notices", len(tokens))
			}
			if noticeOf(payload(t, tokens[0]))["id"] == noticeOf(payload(t, tokens[1]))["id"] {
				t.Error("the forged notice has the id of the good one")
			}
		}),
		demolms.NoticesReplayed: copied(func(t *testing.T, b *bench, bodies []string) {
			t.Helper()
			if len(bodies) != 2 {
				t.Fatalf("%d deliveries", len(bodies))
			}
			first, second := b.verified(jwts(t, bodies[0])[0]), b.verified(jwts(t, bodies[1])[0])
			if noticeOf(first)["id"] != noticeOf(second)["id"] {
				t.Error("the second delivery has another id")
			}
		}),
		demolms.NoticesNotJSON: copied(func(t *testing.T, _ *bench, bodies []string) {
			t.Helper()
			if len(bodies) != 1 || json.Valid([]byte(bodies[0])) {
				t.Errorf("bodies %v", bodies)
			}
		}),
		demolms.NoticesHuge: copied(func(t *testing.T, _ *bench, bodies []string) {
			t.Helper()
			if len(bodies) != 1 || len(bodies[0]) < 1<<20 {
				t.Errorf("%d deliveries", len(bodies))
			}
		}),
		demolms.NoticesNotDelivered: copied(func(t *testing.T, _ *bench, bodies []string) {
			t.Helper()
			if len(bodies) != 0 {
				t.Errorf("bodies %v", bodies)
			}
		}),
		demolms.NoticesNumberClientID: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			b.noticed()
			turn(t, b, k)
			got := decode[map[string]any](t, b.serviceAs(client, []string{pns}, http.MethodGet, pnsPath, ""))
			if got["client_id"] != 10000000000042.0 {
				t.Errorf("client id %v", got["client_id"])
			}
		},
	}
}
