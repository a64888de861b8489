package main

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

// trace is what a page says for the helpdesk.
var trace = regexp.MustCompile(`Trace [0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}`)

// opens opens the activity as a learner whose platform may misbehave, and returns what the
// learner gets.
func (r *rig) opens(t *testing.T, user string, fault demolms.Knob) (status int, text string) {
	t.Helper()
	b := r.journey.browser
	must(t, r.journey.as(t.Context(), user, r.journey.activity+url.QueryEscape("?fault="+string(fault))))
	must(t, b.frame(t.Context()))
	// A refusal is an error of the walk and a page at once.
	if err := r.journey.settle(t.Context()); err != nil && b.status < http.StatusBadRequest {
		t.Fatal(err)
	}
	return b.status, b.text()
}

// TestLaunchFaults opens the activity while the platform breaks one rule of the launch.
func TestLaunchFaults(t *testing.T) { //nolint:tparallel // one person opens the activity again and again
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.attach(t)
	if status, text := r.opens(t, journeyLearner, ""); status != http.StatusOK {
		t.Fatalf("a good launch: %d: %s", status, text)
	}
	const (
		again  = "Go back to the course and open the activity again."
		askLMS = "Ask the administrator of your learning platform to check the settings of this tool."
	)
	for _, test := range []struct {
		fault  demolms.Knob
		status int
		code   string
		says   string
	}{
		{demolms.LoginNoIssuer, 400, "login-no-issuer", "The login carries no issuer"},
		{demolms.LoginWrongIssuer, 400, "platform-unknown", "This learning platform is not registered here."},
		{demolms.LoginNoHint, 400, "login-no-hint", "The login carries no login_hint."},
		{demolms.LoginLTI11, 400, "lti-1-1", "This link was made for LTI 1.1"},
		{demolms.LoginForeignTarget, 0, "", ""}, // the signed target is right: a good launch
		{demolms.LoginNoClientID, 0, "", ""},    // legal while the issuer has one registration
		{demolms.LoginWrongDeploy, 401, "deployment-mismatch", "another deployment than the id_token"},

		{demolms.ResponseLTI11, 400, "lti-1-1", "This link was made for LTI 1.1"},
		{demolms.ResponseTwoTokens, 400, "parameter-duplicate", "A parameter was sent twice."},
		{demolms.ResponseNoToken, 400, "id-token-missing", "sent no id_token"},
		{demolms.ResponseNoState, 401, "state-missing", again},
		{demolms.ResponseAlteredState, 401, "state-unknown", "This login is not known here any more."},
		{demolms.ResponseError, 401, "platform-error", "did not confirm who you are"},
		{demolms.ResponseErrorMarkup, 401, "platform-error", "did not confirm who you are"},

		{demolms.TokenNoKid, 401, "kid-missing", "does not name its key"},
		{demolms.TokenWrongKid, 401, "kid-unknown", "is not in the platform's key set"},
		{demolms.TokenAlgNone, 400, "token-not-compact", "is not a compact JWS"}, // its third part is empty
		{demolms.TokenHS256, 401, "alg-not-allowed", "must be signed with RS256"},
		{demolms.TokenOtherKey, 401, "signature", "The signature of the id_token is not valid."},
		{demolms.TokenTampered, 401, "signature", "The signature of the id_token is not valid."},
		{demolms.TokenCrit, 401, "header-critical", "an extension this tool does not know"},
		{demolms.TokenType, 401, "header-type", "another kind than an id_token"},
		{demolms.TokenJSON, 400, "token-not-compact", "is not a compact JWS"},

		{demolms.TokenWrongIss, 401, "issuer-mismatch", "comes from another learning platform"},
		{demolms.TokenWrongAud, 401, "audience-mismatch", "is made for another client id"},
		{demolms.TokenAudStranger, 401, "azp-missing", "names several audiences"},
		{demolms.TokenWrongAzp, 401, "azp-mismatch", "authorises another client"},
		{demolms.TokenExpired, 401, "expired", "This launch has expired."},
		{demolms.TokenNoExp, 401, "exp-missing", askLMS},
		{demolms.TokenIatFuture, 401, "iat-future", "comes from the future"},
		{demolms.TokenIatOld, 401, "iat-old", again},
		{demolms.TokenFarExp, 401, "lifetime", askLMS},
		{demolms.TokenNoNonce, 401, "nonce-missing", "has no nonce"},
		{demolms.TokenWrongNonce, 401, "nonce-mismatch", "belongs to another login"},
		{demolms.TokenNoSub, 401, "subject-missing", "anonymous launches are not possible"},
		{demolms.TokenNoNames, 0, "", ""}, // legal

		{demolms.TokenWrongDeployment, 401, "deployment-mismatch", "another deployment than the id_token"},
		{demolms.TokenNoDeployment, 401, "deployment-missing", "names no deployment"},
		{demolms.TokenWrongVersion, 401, "version-mismatch", "LTI version 1.3.0"},
		{demolms.TokenNoMessageType, 401, "message-type-missing", askLMS},
		{demolms.TokenUnknownMessageType, 401, "message-type-unknown", askLMS},
		{demolms.TokenNoRoles, 401, "roles-missing", "has no list of roles"},
		{demolms.TokenNoLTI, 401, "not-lti", "carries no LTI claims"},
		{demolms.TokenNoResourceLink, 401, "resource-link-missing", askLMS},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			before := r.count(t, "sessions")
			status, text := r.opens(t, journeyLearner, test.fault)
			if test.code == "" { // the launch is good
				if status != http.StatusOK {
					t.Errorf("status %d: %s", status, text)
				}
				return
			}
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if !strings.Contains(text, "Your LMS could not bring you in") || !strings.Contains(text, test.says) || !strings.Contains(text, "launch "+test.code) {
				t.Errorf("want %q and %q in: %s", test.says, test.code, text)
			}
			if !trace.MatchString(text) {
				t.Errorf("no trace for the helpdesk in: %s", text)
			}
			r.wants(t, before, "sessions")
		})
	}
	r.wants(t, 0, "claims")
	if status, text := r.opens(t, journeyLearner, ""); status != http.StatusOK {
		t.Errorf("a good launch afterwards: %d: %s", status, text)
	}
}

// TestLaunchReplayed posts a launch that was used already: for the browser that used it a
// double click, for every other one nothing.
func TestLaunchReplayed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.attach(t)
	if status, text := r.opens(t, journeyLearner, ""); status != http.StatusOK {
		t.Fatalf("a good launch: %d: %s", status, text)
	}
	sessions := r.count(t, "sessions")
	if status, text := r.opens(t, journeyLearner, demolms.ResponseReplay); status != http.StatusOK {
		t.Errorf("a double click: %d: %s", status, text)
	}
	r.journey.browser = newBrowser()
	status, text := r.opens(t, journeyLearner, demolms.ResponseReplay)
	if status != http.StatusUnauthorized || !strings.Contains(text, "This launch was used already.") || !trace.MatchString(text) {
		t.Errorf("a replay: %d: %s", status, text)
	}
	r.wants(t, sessions, "sessions")
}

// TestLaunchAddressInBrowser is a person who bookmarks, or a scanner that tries.
func TestLaunchAddressInBrowser(t *testing.T) { //nolint:tparallel // the rows are counted afterwards
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	for _, test := range []struct {
		name, path string
		status     int
		says       string
	}{
		{"launch", "/lti/launch", 405, "This address only works when the learning platform calls it."},
		{"login", "/lti/login", 400, "The login carries no issuer"},
		{"foreign issuer", "/lti/login?iss=https://stranger.example&login_hint=1&target_link_uri=" + r.url + "/lti/launch", 400, "This learning platform is not registered here."},
		{"a session of nobody", "/s/01a20b3f-92dc-7ced-a691-ce6b162a7bd9/learn", 401, "One more click"},
		{"nothing there", "/wp-login.php", 404, "There is nothing at this address"},
		{"no such credential", "/c/0123456789abcdef0123456789abcdef", 404, "There is nothing at this address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBrowser()
			if err := b.open(t.Context(), r.url+test.path); err == nil {
				t.Errorf("answered %d", b.status)
			}
			if b.status != test.status || !strings.Contains(b.text(), test.says) || !trace.MatchString(b.text()) {
				t.Errorf("status %d, want %d and %q: %s", b.status, test.status, test.says, b.text())
			}
		})
	}
	r.wants(t, 0, "sessions")
}

const unreadWords = "Your grade could not be read just now."

// TestGradeServiceFaults opens the activity while the platform does not tell the grades.
// What was decided stands, and who has no decision is told so.
func TestGradeServiceFaults(t *testing.T) { //nolint:tparallel // they share the platform that misbehaves
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.attach(t)
	r.step(t, r.journey.gradeLow)
	r.step(t, r.journey.tooLow)
	r.step(t, r.journey.gradeHigh) // which the server does not hear of yet
	evidence, decisions := r.count(t, "evidence"), r.count(t, "decisions")
	for _, test := range []struct {
		fault demolms.Knob
		says  string
	}{
		{demolms.ResultsError, "The learning platform is busy or under maintenance."},
		{demolms.ResultsHTML, "The learning platform answered something that is not a grade service."},
		{demolms.ResultsGarbage, "The learning platform answered something that is not a grade service."},
		{demolms.ResultsForbidden, "The learning platform does not allow this tool to read here."},
		{demolms.ResultsHuge, "The learning platform answered with more than a course can hold."},
		{demolms.ResultsSlow, "The learning platform does not answer at the moment."},
		{demolms.ResultsBusy, "The learning platform is busy or under maintenance."}, // last: we are asked to wait
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			defer r.lms.Reset()
			for _, learner := range []struct{ user, standing string }{
				{journeyLearner, "Your score is 40 %. At least 55 % is asked; 15 % is missing."},
				{"jan", "At least 55 % is asked"},
			} {
				must(t, r.lms.Set(test.fault, demolms.On))
				status, text := r.opens(t, learner.user, "")
				if status != http.StatusOK {
					t.Errorf("%s: status %d", learner.user, status)
				}
				for _, want := range []string{unreadWords, test.says, learner.standing} {
					if !strings.Contains(text, want) {
						t.Errorf("%s: no %q in: %s", learner.user, want, text)
					}
				}
			}
			r.wants(t, evidence, "evidence")
			r.wants(t, decisions, "decisions")
			r.wants(t, 0, "claims")
		})
	}
	// Until the second is over that the platform asked for, it is not called.
	eventually(t, func() string {
		if _, text := r.opens(t, "jan", ""); strings.Contains(text, unreadWords) {
			return "grades are still not read"
		}
		return ""
	})
	// A token that was withdrawn is fetched anew: nobody notices.
	must(t, r.lms.Set(demolms.ResultsDenied, demolms.Once))
	r.step(t, r.journey.canClaim)
}

// TestAccessAndKeyFaults opens the activity on a server that knows neither keys nor access
// token of the platform yet.
func TestAccessAndKeyFaults(t *testing.T) { //nolint:tparallel // they share the platform that misbehaves
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.attach(t)
	for _, test := range []struct {
		fault  demolms.Knob
		status int
		says   []string
	}{
		{demolms.EndpointError, 200, []string{unreadWords, "busy or under maintenance"}},
		{demolms.EndpointHTML, 200, []string{unreadWords}},
		{demolms.EndpointDenied, 200, []string{unreadWords, "refused the key of this tool"}},
		{demolms.EndpointFewScopes, 200, []string{unreadWords, "does not allow this tool to use its grade service"}},
		{demolms.JWKSError, 503, []string{"keys-unavailable", "Wait half a minute"}},
		{demolms.JWKSHTML, 503, []string{"keys-unavailable"}},
		{demolms.JWKSHuge, 503, []string{"keys-unavailable"}},
		{demolms.JWKSSlow, 503, []string{"keys-unavailable"}},
		{demolms.JWKSEmpty, 503, []string{"keys-unavailable"}},
		{demolms.JWKSOtherKeys, 401, []string{"kid-unknown"}},
		{demolms.JWKSNoAlg, 200, []string{"You have no score yet."}},
		{demolms.JWKSMixed, 200, []string{"You have no score yet."}},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			r.server.end(t, syscall.SIGTERM)
			must(t, r.lms.Set(test.fault, demolms.On)) // before the server asks by itself
			defer r.lms.Reset()
			r.serve(t)
			before := r.count(t, "sessions")
			status, text := r.opens(t, journeyLearner, "")
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			for _, want := range test.says {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in: %s", want, text)
				}
			}
			if status != http.StatusOK {
				r.wants(t, before, "sessions")
				if !trace.MatchString(text) {
					t.Errorf("no trace in: %s", text)
				}
			}
		})
	}
}
