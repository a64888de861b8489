package lti_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

func TestNoticeHandlers(t *testing.T) {
	t.Parallel()
	const body = `{"client_id":10000000000123,"deployment_id":"1:abc","notice_handlers":[{"notice_type":"LtiContextCopyNotice","handler":"https://tool.example.edu/lti/notices"},{"notice_type":"LtiHelloWorldNotice","handler":""}]}`
	p, s, reg := newScript(t, newClock(start), reply{body: body}, reply{body: body}, reply{status: "204 No Content"})
	url := issuer + "/notices?d=1"
	got, err := s.NoticeHandlers(t.Context(), reg, url)
	want := lti.NoticeHandlers{ClientID: "10000000000123", DeploymentID: "1:abc", Handlers: []lti.NoticeHandler{
		{Type: "LtiContextCopyNotice", Handler: toolURL + "/lti/notices"}, {Type: "LtiHelloWorldNotice"},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("got %v (-want +got):\n%s", err, diff)
	}
	if got.Handler("LtiContextCopyNotice") != toolURL+"/lti/notices" || got.Handler("Other") != "" {
		t.Error("Handler finds another")
	}
	if _, err := s.PutNoticeHandler(t.Context(), reg, url, "LtiContextCopyNotice", toolURL+"/lti/notices"); err != nil {
		t.Error(err)
	}
	if _, err := s.PutNoticeHandler(t.Context(), reg, url, "LtiContextCopyNotice", ""); err != nil {
		t.Error(err)
	}
	wantSent := []sent{
		{"GET /notices?d=1", "application/json", "", "Bearer token-1", ""},
		{"PUT /notices?d=1", "application/json", "application/json", "Bearer token-1", `{"handler":"https://tool.example.edu/lti/notices","notice_type":"LtiContextCopyNotice"}`},
		{"PUT /notices?d=1", "application/json", "application/json", "Bearer token-1", `{"handler":"","notice_type":"LtiContextCopyNotice"}`},
	}
	if diff := cmp.Diff(wantSent, p.requests, cmp.AllowUnexported(sent{})); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestNoticeHandlerAnswers(t *testing.T) {
	t.Parallel()
	p, s, reg := newScript(t, newClock(start))
	for _, tt := range []struct {
		name  string
		reply reply
		want  string
	}{
		{"none yet", reply{body: `{"client_id":"c","notice_handlers":null}`}, ""},
		{"HTML", reply{body: `<html>`}, lti.ReasonAnswer},
		{"no list", reply{body: `{"notice_handlers":{}}`}, lti.ReasonAnswer},
		{"odd row", reply{body: `{"notice_handlers":["x"]}`}, lti.ReasonAnswer},
		{"nothing to read", reply{}, lti.ReasonAnswer},
		{"another domain", reply{status: "400 Bad Request", body: `{"error":"handler must match the tool domain"}`}, lti.ReasonRejected},
		{"switched off", reply{status: "404 Not Found"}, lti.ReasonGone},
	} {
		p.start(&reg, tt.name, tt.reply)
		_, err := s.NoticeHandlers(t.Context(), reg, issuer+"/notices")
		if got := reasonOf(t, err); got != tt.want {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	for _, bad := range [][2]string{{"", toolURL}, {"LtiHelloWorldNotice", "http://tool.example.edu/"}} {
		if _, err := s.PutNoticeHandler(t.Context(), reg, issuer+"/notices", bad[0], bad[1]); err == nil {
			t.Errorf("put %q", bad)
		}
	}
}
