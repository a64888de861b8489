package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/demolms"
)

// TestPlatformsCheck: a connection that works passes; each thing that is broken is named
// with what to do.
func TestPlatformsCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	id := strings.Fields(strings.Split(succeed(t, r.settings, "platforms", "list"), "\n")[1])[0]
	check := func(code int, arguments ...string) string {
		t.Helper()
		got, out, trouble := sealsmith(t, r.settings, append([]string{"platforms", "check", id}, arguments...)...)
		if got != code {
			t.Errorf("exit %d, want %d: %s%s", got, code, out, trouble)
		}
		return out
	}
	var findings []lti.Finding
	must(t, json.Unmarshal([]byte(check(0, "--json")), &findings))
	states := map[string]lti.Health{}
	for _, f := range findings {
		states[f.Check] = f.State
	}
	for name, want := range map[string]lti.Health{"connection": lti.Healthy, "key set": lti.Healthy, "clock": lti.Healthy, "token to read grades": lti.Healthy, "hello-world notice": lti.Skipped} {
		if states[name] != want {
			t.Errorf("%s is %q, want %q: %+v", name, states[name], want, findings)
		}
	}
	for _, test := range []struct {
		knob demolms.Knob
		code int
		says string
	}{
		{demolms.JWKSHTML, 1, "HTML"},
		{demolms.EndpointDenied, 1, "Compare client id, token URL"},
		{demolms.EndpointFewScopes, 1, "not granted: grades cannot be read"},
	} {
		must(t, r.lms.Set(test.knob, demolms.On))
		if out := check(test.code); !strings.Contains(out, test.says) {
			t.Errorf("%s: no %q in %s", test.knob, test.says, out)
		}
		r.lms.Reset()
	}
}

// TestPlatformsCheckGreeting: where notices are offered, the check has one sent, and waits
// for it to arrive at the server.
func TestPlatformsCheckGreeting(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tool := r.lms.Tools()[0]
	tool.Scopes = append(tool.Scopes, lti.ScopeNoticeHandlers)
	must(t, r.lms.AddTool(tool))
	r.serve(t)
	r.attach(t)
	if status, text := r.opens(t, "teacher", ""); status != 200 {
		t.Fatalf("the teacher's page: %d %s", status, text)
	}
	eventually(t, func() string {
		if r.count(t, "notice_handlers where heard_at is not null") == 0 {
			return "no notice was heard"
		}
		return ""
	})
	id := strings.Fields(strings.Split(succeed(t, r.settings, "platforms", "list"), "\n")[1])[0]
	if out := succeed(t, r.settings, "platforms", "check", id); !strings.Contains(out, "it came") {
		t.Errorf("the greeting did not come: %s", out)
	}
	must(t, r.lms.Set(demolms.NoticesNotDelivered, demolms.On))
	if out := succeed(t, r.settings, "platforms", "check", id); !strings.Contains(out, "Make sure that the platform's server can reach") {
		t.Errorf("undelivered: %s", out)
	}
	// A course copy is told by a notice: its draft is there before anybody has launched.
	r.lms.Reset()
	copied, err := r.lms.CopyCourse("2")
	must(t, err)
	r.lms.Flush()
	eventually(t, func() string {
		if r.count(t, "attachments where state = 'draft' and context_id = '"+copied.ID+"'") != 1 {
			return "no draft"
		}
		return ""
	})
}
