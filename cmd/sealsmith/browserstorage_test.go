package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

// strict are the browsers in which the tool keeps no cookie at all in a frame.
func strict() map[string]func(*testing.T) *screen {
	return map[string]func(*testing.T) *screen{
		"chromium": func(t *testing.T) *screen { return newChrome(t, toolInFrames) },
		"firefox":  func(t *testing.T) *screen { return newFirefox(t, blockThirdParties) },
	}
}

// TestBrowserWithoutCookies opens the tool where neither cookies nor platform storage are:
// the ways lead through a window of its own, back into the LMS's dialog for a teacher.
func TestBrowserWithoutCookies(t *testing.T) {
	t.Parallel()
	for name, start := range strict() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.serve(t)
			s := start(t)
			s.teacherChoosesInWindow(r, "")
			s.opensActivity(r, "")
			s.reads(inFrame, "One more click")
			if asked := s.asked(); strings.Contains(asked, "/mod/lti/auth.php") {
				t.Errorf("the platform was asked before the click:\n%s", asked)
			}
			s.picture("learner-one-more-click")
			s.click(inFrame, "Open in a new window")
			s.reads(inWindow, "You have no score yet.")
			s.reads(inFrame, "It is open in another window")
			var again bool // the LMS would not answer a second time
			s.ask(inFrame, `document.querySelector("[data-once]").checkVisibility()`, &again)
			if again {
				t.Error("the button is still there")
			}
			s.picture("learner-elsewhere")
			s.pictureOf(inWindow, "learner-window")
			s.calm()
		})
	}
}

// teacherChoosesInWindow ends in the LMS's own window, where the new activity is saved.
func (s *screen) teacherChoosesInWindow(r *rig, fault demolms.Knob) {
	s.t.Helper()
	s.open(r.lms.Issuer() + "/as/teacher?next=" + url.QueryEscape("/course/2/add?select=1&fault="+string(fault)))
	if fault == "" {
		s.click(inFrame, "Open in a new window")
	} else {
		s.click(inFrame, "Go on in a new window")
	}
	s.click(inWindow, journeyTitle)
	s.click(inWindow, "Continue")
	s.reads(inWindow, "How do we know that a learner has finished?")
	s.pictureOf(inWindow, "teacher-window")
	s.click(inWindow, "Add to my course")
	s.reads(inPage, "New activity")
	eventually(s.t, func() string {
		var there bool
		if s.engine.eval(inWindow, "true", &there) == nil {
			return "the window is still open"
		}
		return ""
	})
	s.click(inPage, "Save")
	s.reads(inPage, "The activity was added.")
	s.calm()
}

// opensActivity shows the newest activity to a learner.
func (s *screen) opensActivity(r *rig, fault demolms.Knob) {
	s.t.Helper()
	all := r.lms.Activities("2")
	s.asked()
	s.open(r.lms.Issuer() + "/as/maija?next=" + url.QueryEscape("/activity/"+all[len(all)-1].ID+"?fault="+string(fault)))
}

func (s *screen) asked() string {
	s.t.Helper()
	asked, err := s.engine.addresses()
	must(s.t, err)
	return asked
}

// TestBrowserStorage opens the tool where no cookies are, and the LMS keeps the secret.
func TestBrowserStorage(t *testing.T) {
	t.Parallel()
	for name, start := range strict() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			_, err := r.db.Exec(t.Context(), "update registrations set product_family = 'blackboardlearn'") // which does not announce it
			must(t, err)
			r.serve(t)
			r.attach(t)
			s := start(t)
			for _, fault := range []demolms.Knob{demolms.StorageAround, demolms.StorageBeside, demolms.StorageOldSubjects, demolms.StorageCapabilitiesOnly} {
				s.opensActivity(r, fault)
				s.reads(inFrame, "You are in. One more click.")
				s.picture(string(fault))
				secret := s.field("secret")
				s.click(inFrame, "Go on in a new window")
				s.reads(inWindow, "You have no score yet.")
				if fault == demolms.StorageAround {
					s.pictureOf(inWindow, "learner-window")
				}
				if fault == demolms.StorageAround || fault == demolms.StorageCapabilitiesOnly {
					s.notInAddresses(r, secret)
				}
				s.calm()
				must(t, s.engine.shut())
			}
			s.teacherChoosesInWindow(r, demolms.StorageAround)
		})
	}
}

// field is the value of a hidden field in the frame.
func (s *screen) field(name string) string {
	s.t.Helper()
	var value string
	s.ask(inFrame, "document.querySelector('[name="+name+"]').value", &value)
	if len(value) < 43 {
		s.t.Errorf("the field %s is %q", name, value)
	}
	return value
}

var loginStates = regexp.MustCompile(`[?&]state=([A-Za-z0-9_-]{24})`)

// notInAddresses fails when an address has the secret of the session, or the one that the
// LMS keeps for the login.
func (s *screen) notInAddresses(r *rig, session string) {
	s.t.Helper()
	asked := s.asked()
	state := loginStates.FindStringSubmatch(asked)
	if state == nil {
		s.t.Fatalf("no address has a state:\n%s", asked)
	}
	var posted bool
	s.ask(inFrame, fmt.Sprintf(`(() => {
		window.addEventListener("message", e => { document.body.dataset.kept = e.data.value; });
		window.parent.postMessage({subject: "lti.get_data", message_id: "1", key: "sealsmith_" + %q}, %q);
		return true;
	})()`, state[1], r.lms.Issuer()), &posted)
	var kept string
	eventually(s.t, func() string {
		err := s.engine.eval(inFrame, `document.body.dataset.kept ?? ""`, &kept)
		if err != nil || kept == "" {
			return fmt.Sprintf("the LMS gives nothing back: %v", err)
		}
		return ""
	})
	if len(kept) != 43 || kept == session {
		s.t.Errorf("the LMS keeps %q", kept)
	}
	for _, secret := range []string{session, kept} {
		if strings.Contains(asked, secret) {
			s.t.Errorf("%s stands in an address:\n%s", secret, asked)
		}
	}
}

// TestBrowserStorageFaults opens the tool where the storage of the LMS is broken, or belongs
// to somebody else.
func TestBrowserStorageFaults(t *testing.T) {
	t.Parallel()
	for name, start := range strict() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.serve(t)
			r.attach(t)
			s := start(t)
			for _, fault := range []demolms.Knob{
				demolms.StorageSilent, demolms.StoragePutError, demolms.StorageWrongID, demolms.StorageOtherSource, demolms.StorageBadTarget, // P1, P2, P4, P5, L16
			} {
				s.opensActivity(r, fault)
				s.reads(inFrame, "One more click", "Open in a new window")
				if asked := s.asked(); strings.Contains(asked, "/mod/lti/auth.php") {
					t.Errorf("%s: the platform was asked before the click:\n%s", fault, asked)
				}
			}
			s.click(inFrame, "Open in a new window")
			s.reads(inWindow, "You have no score yet.")
			s.calm()
			before := r.count(t, "sessions")
			s.opensActivity(r, demolms.StorageGetOther) // P3
			s.reads(inFrame, "Your LMS could not bring you in", "launch state-not-bound")
			s.picture("another-secret")
			s.calm("401")
			r.wants(t, before, "sessions")
			s.strangers(r) // P8
		})
	}
}

// strangers show the tool in frames of their own, and answer all its messages.
func (s *screen) strangers(r *rig) {
	s.t.Helper()
	lure := stranger(s.t, r)
	auth, token, jwks := r.lms.URLs()
	s.open(lure + "/?iss=" + url.QueryEscape(r.lms.Issuer()))
	s.reads(inPage, "heard: hello")
	var text string
	if err := s.engine.eval(inFrame, "document.body.innerText", &text); err == nil && strings.Contains(text, "One m") {
		s.t.Errorf("a stranger's frame shows: %s", text)
	}
	if asked := s.asked(); !strings.Contains(asked, r.url+"/lti/continue?") {
		s.t.Errorf("the stranger's frame asked for\n%s", asked)
	}
	s.calm("frame-ancestors")

	// A platform may show us without being the one that keeps secrets.
	succeed(s.t, r.settings, "platforms", "add", "--issuer", lure, "--client-id", "sealsmith", "--auth-url", auth, "--token-url", token, "--jwks-url", jwks, "--deployment", "1")
	s.open(lure + "/?iss=" + url.QueryEscape(lure))
	s.reads(inFrame, "One more click")
	s.ask(inPage, "document.body.innerText", &text)
	if strings.TrimSpace(text) != "heard: hello" {
		s.t.Errorf("the stranger got to know: %s", text)
	}
	s.calm("postMessage")
}

// stranger is a page around the tool's login that listens, and answers that it has stored.
func stranger(t *testing.T, r *rig) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		login := url.Values{
			"iss": {q.URL.Query().Get("iss")}, "client_id": {"sealsmith"}, "login_hint": {"1"}, "target_link_uri": {r.url + "/lti/launch"}, "lti_storage_target": {"_parent"},
		}
		fmt.Fprintf(w, `<!DOCTYPE html><link rel="icon" href="data:,"><script>
			addEventListener("message", e => {
				document.body.append("heard: " + (e.data.hello ?? JSON.stringify(e.data)));
				if (e.source !== window) e.source.postMessage({...e.data, subject: e.data.subject + ".response"}, e.origin);
			});
			addEventListener("load", () => postMessage({hello: "hello"}));
		</script><body><iframe src=%q></iframe>`, r.url+"/lti/login?"+login.Encode())
	}))
	t.Cleanup(server.Close)
	return server.URL
}
