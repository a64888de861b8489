package lti_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// Section 5: the claims of OpenID Connect.

const malformedStatus = "400, not 401: a code has one status, and what has the wrong type is malformed"

func at(d time.Duration) int64 { return start.Add(d).Unix() }

func partyCases() []caseRow {
	foreign, missing, mismatch := lti.CodeAudienceUntrusted, lti.CodeAZPMissing, lti.CodeAZPMismatch
	parties := func(aud any, azp string) func(map[string]any) {
		return func(m map[string]any) {
			if m["aud"] = aud; azp != "" {
				m["azp"] = azp
			}
		}
	}
	trusting := lti.Settings{TrustedAudiences: []string{"other"}, TrustedAZP: []string{"azp-of-blackboard"}}
	return []caseRow{
		{number: "C1", input: "other iss", code: lti.CodeIssuerMismatch, status: 401, claims: set("iss", "https://other.example.edu")},
		{number: "C1", input: "no iss", code: lti.CodeIssuerMismatch, status: 401, claims: drop("iss")},
		{number: "C1", input: "iss is a number", code: lti.CodeIssuerMismatch, status: 401, claims: set("iss", 5)},
		{number: "C1", input: "iss in capitals", code: lti.CodeIssuerMismatch, status: 401, claims: set("iss", strings.ToUpper(issuer))},
		{number: "C1", input: "iss with a slash more", code: lti.CodeIssuerSlash, status: 401, claims: set("iss", issuer+"/")},
		{number: "C2", input: "other aud", code: lti.CodeAudienceMismatch, status: 401, claims: set("aud", "12345")},
		{number: "C2", input: "aud in capitals", code: lti.CodeAudienceMismatch, status: 401, claims: set("aud", strings.ToUpper(clientID))},
		{number: "C3", input: "aud is an empty list", code: lti.CodeAudienceMismatch, status: 401, claims: set("aud", []string{}), jwxTakes: true},
		{number: "C3", input: "no aud", code: lti.CodeAudienceMismatch, status: 401, claims: drop("aud"), jwxTakes: true},
		{number: "C4", input: "two aud without azp", code: missing, status: 401, claims: set("aud", []string{clientID, "other"}), jwxTakes: true},
		{number: "C4", input: "the other is trusted, and yet no azp", settings: trusting, code: missing, status: 401, claims: set("aud", []string{clientID, "other"})},
		{number: "C5", input: "two aud, one a stranger", code: foreign, status: 401, claims: parties([]string{"other", clientID}, clientID)},
		{number: "C5", input: "ours first, then a stranger", code: foreign, status: 401, claims: parties([]string{clientID, "other"}, clientID)},
		{number: "C5", input: "the other is trusted, ours last", settings: trusting, claims: parties([]string{"other", clientID}, clientID), understood: anyLaunch},
		{number: "C5", input: "the other is trusted, ours first", settings: trusting, claims: parties([]string{clientID, "other"}, clientID), understood: anyLaunch},
		{number: "C5", input: "one aud, in a list", claims: set("aud", []string{clientID}), understood: anyLaunch},
		{number: "C6", input: "azp of another client", code: mismatch, status: 401, claims: parties(clientID, "other")},
		{number: "C6", input: "azp is empty", code: mismatch, status: 401, claims: set("azp", "")},
		{number: "C6", input: "azp is a number", code: mismatch, status: 401, claims: set("azp", 1)},
		{number: "C6", input: "azp that an administrator trusts", settings: trusting, claims: parties(clientID, "azp-of-blackboard"), understood: anyLaunch},
		{number: "C7", input: "aud is a number", code: lti.CodeTokenMalformed, status: 400, decided: malformedStatus, claims: set("aud", 7)},
		{number: "C7", input: "aud is an object", code: lti.CodeTokenMalformed, status: 400, decided: malformedStatus, claims: set("aud", map[string]any{"a": clientID})},
	}
}

func timeCases() []caseRow {
	mal := lti.CodeTokenMalformed
	between := func(iat, exp time.Duration) func(map[string]any) {
		return func(m map[string]any) { m["iat"], m["exp"] = at(iat), at(exp) }
	}
	return []caseRow{
		{number: "C8", input: "exp ten minutes ago", code: lti.CodeExpired, status: 401, claims: between(-11*time.Minute, -10*time.Minute)},
		{number: "C8", input: "exp a minute ago, to the second", code: lti.CodeExpired, status: 401, claims: set("exp", at(-time.Minute))},
		{number: "C9", input: "exp 30 seconds ago", claims: between(-90*time.Second, -30*time.Second), understood: anyLaunch},
		{number: "C9", input: "exp two minutes ago, where an administrator allows three", settings: lti.Settings{ClockSkew: 180}, claims: between(-3*time.Minute, -2*time.Minute), understood: anyLaunch},
		{number: "C10", input: "no exp", code: lti.CodeExpMissing, status: 401, claims: drop("exp"), jwxTakes: true},
		{number: "C10", input: "exp is null", code: lti.CodeExpMissing, status: 401, claims: set("exp", nil)},
		{number: "C11", input: "exp is text", code: mal, status: 400, decided: malformedStatus, claims: set("exp", fmt.Sprint(at(time.Minute))), jwxTakes: true},
		{number: "C11", input: "exp is too large for a time", code: mal, status: 400, claims: set("exp", json.RawMessage("1e300"))},
		{number: "C11", input: "exp is too large for a number", code: mal, status: 400, claims: set("exp", json.RawMessage("1e999"))},
		{number: "C11", input: "iat is text", code: mal, status: 400, claims: set("iat", fmt.Sprint(at(0))), jwxTakes: true},
		{number: "C12", input: "exp in the year 2200", code: lti.CodeLifetime, status: 401, claims: set("exp", 7258118400), jwxTakes: true},
		{number: "C12", input: "exp in a day and a second", code: lti.CodeLifetime, status: 401, claims: set("exp", at(24*time.Hour+time.Second))},
		{number: "C12", input: "exp in a day", claims: set("exp", at(24*time.Hour)), understood: anyLaunch},
		{number: "C12", input: "exp before iat", code: lti.CodeLifetime, status: 401, claims: between(0, -30*time.Second)},
		{number: "C13", input: "no iat", code: lti.CodeIATMissing, status: 401, claims: drop("iat"), jwxTakes: true},
		{number: "C13", input: "iat is null", code: lti.CodeIATMissing, status: 401, claims: set("iat", nil)},
		{number: "C14", input: "iat 0.2 seconds ahead", claims: set("iat", float64(at(0))+0.2), understood: anyLaunch},
		{number: "C14", input: "iat 60 seconds ahead", claims: between(time.Minute, 2*time.Minute), understood: anyLaunch},
		{number: "C15", input: "iat ten minutes ahead", code: lti.CodeIATFuture, status: 401, claims: between(10*time.Minute, 11*time.Minute), traced: func(tr lti.Trace) bool { return *tr.ClockAhead == 600 }},
		{number: "C15", input: "iat 61 seconds ahead", code: lti.CodeIATFuture, status: 401, claims: between(61*time.Second, 2*time.Minute)},
		{number: "C16", input: "iat a day ago", code: lti.CodeIATOld, status: 401, claims: between(-23*time.Hour, time.Minute), jwxTakes: true},
		{number: "C16", input: "iat of 1970", code: lti.CodeIATOld, status: 401, claims: set("iat", 1), jwxTakes: true},
		{number: "C16", input: "iat before 1970", code: lti.CodeIATOld, status: 401, claims: set("iat", -5)},
		{number: "C16", input: "iat twelve minutes ago", code: lti.CodeIATOld, status: 401, claims: set("iat", at(-12*time.Minute))},
		{number: "C17", input: "iat with a fraction", claims: set("iat", float64(start.Unix())+0.25), understood: func(l lti.Launch) bool { return l.IssuedAt.Equal(start) }},
		{number: "C18", input: "nbf ahead", code: lti.CodeNotBefore, status: 401, claims: set("nbf", at(5*time.Minute))},
		{number: "C18", input: "nbf is text", code: mal, status: 400, claims: set("nbf", "soon")},
		{number: "C18", input: "nbf 30 seconds ahead", claims: set("nbf", at(30*time.Second)), understood: anyLaunch},
		{number: "C19", input: "no nonce", code: lti.CodeNonceMissing, status: 401, claims: drop("nonce"), jwxTakes: true},
		{number: "C19", input: "empty nonce", code: lti.CodeNonceMissing, status: 401, claims: set("nonce", "")},
		{number: "C20", input: "nonce of nobody", code: lti.CodeNonceMismatch, status: 401, claims: set("nonce", "made-up-made-up-made-up"), jwxTakes: true},
		{number: "C21", input: "nonce of another open login", play: otherNonce, code: lti.CodeNonceMismatch, status: 401},
		{number: "C21", input: "the state as nonce", play: stateAsNonce, code: lti.CodeNonceMismatch, status: 401},
		{number: "C22", input: "a used token with the state of a new login", play: oldToken, code: lti.CodeNonceMismatch, status: 401},
		{number: "C23", input: "nonce is null", code: lti.CodeNonceMissing, status: 401, claims: set("nonce", nil)},
		{number: "C23", input: "nonce is a number", code: lti.CodeNonceMissing, status: 401, claims: set("nonce", 12)},
		{number: "C23", input: "nonce is a list", code: lti.CodeNonceMissing, status: 401, claims: func(m map[string]any) { m["nonce"] = []any{m["nonce"]} }},
	}
}

func subjectCases() []caseRow {
	const anonymous = "always refused, no switch: a tool that keeps what a person did has nothing to show to nobody"
	subject := func(want string) func(lti.Launch) bool {
		return func(l lti.Launch) bool { return l.User.Subject == want }
	}
	return []caseRow{
		{number: "C24", input: "no sub", code: lti.CodeSubjectMissing, status: 401, decided: anonymous, claims: drop("sub"), jwxTakes: true},
		{number: "C24", input: "SUB in place of sub", code: lti.CodeSubjectMissing, status: 401, body: replaceBody(`"sub"`, `"SUB"`)},
		{number: "C24", input: "sub is null", code: lti.CodeSubjectMissing, status: 401, claims: set("sub", nil)},
		{number: "C24", input: "sub is a number", code: lti.CodeTokenMalformed, status: 400, claims: set("sub", 7)},
		{number: "C25", input: "empty sub", code: lti.CodeSubjectMissing, status: 401, decided: anonymous, claims: set("sub", "")},
		{number: "C26", input: "sub of 256 characters", code: lti.CodeSubjectLength, status: 401, claims: set("sub", long)},
		{number: "C26", input: "sub of 200 umlauts, 400 bytes", code: lti.CodeSubjectLength, status: 401, claims: set("sub", strings.Repeat("ü", 200))},
		{number: "C26", input: "sub of 255 characters", claims: set("sub", long[1:]), understood: subject(long[1:])},
		{number: "C27", input: "sub with U+0000", code: lti.CodeSubjectCharacters, status: 401, claims: set("sub", "a\x00b")},
		{number: "C27", input: "sub with a line break", code: lti.CodeSubjectCharacters, status: 401, claims: set("sub", "a\nb")},
		{number: "C27", input: "sub with spaces and umlauts", claims: set("sub", "jörg müller"), understood: subject("jörg müller")},
		{number: "C27", input: "sub is SQL", claims: set("sub", "'; drop table sessions; --"), understood: subject("'; drop table sessions; --")},
		{number: "C28", input: "the same sub of another iss", play: sameSubject("https://second.example.edu", clientID, "1", false)},
		{number: "C29", input: "the same sub of another client id of the same iss", play: sameSubject(issuer, "client-2", "1", false)},
		{number: "C29", input: "the same sub in another deployment", play: sameSubject(issuer, clientID, "2", true)},
		{number: "C30", input: "the same e-mail address, another iss", decided: "there are no accounts to be linked: a person is registration and subject, and an address finds nobody", elsewhere: []string{"issuance TestTenancy"}},
		{number: "C31", input: "unknown claims", claims: set("https://example.edu/claim", map[string]any{"deep": []int{1}}), understood: anyLaunch},
		{number: "C31", input: "claims of LTI nobody has defined", claims: set(claim+"sub", 7), understood: subject("user-7")},
		{number: "C32", input: "context is text", claims: set(claim+"context", "x"), understood: func(l lti.Launch) bool { return l.Context.ID == "" }, traced: ignores("context")},
		{number: "C32", input: "custom is a list", claims: set(claim+"custom", []string{}), understood: func(l lti.Launch) bool { return len(l.Custom) == 0 }, traced: ignores("custom")},
		{number: "C32", input: "lis is null, name is a number", claims: func(m map[string]any) { m[claim+"lis"], m["name"] = nil, 7 }, understood: func(l lti.Launch) bool { return l.User.Name == "" }, traced: ignores("name")},
		{number: "C32", input: "tool_platform and launch_presentation are lists", claims: func(m map[string]any) {
			m[claim+"tool_platform"], m[claim+"launch_presentation"] = []int{}, []int{}
		}, understood: func(l lti.Launch) bool { return l.Platform == lti.Platform{} }, traced: ignores("launch_presentation")},
	}
}

// ignores looks for a claim that nobody could use.
func ignores(words string) func(lti.Trace) bool {
	return func(tr lti.Trace) bool { return strings.Contains(strings.Join(tr.Ignored, " "), words) }
}

// afterwards delivers a wrong token, and then the right one of the same login.
func (r *rig) afterwards(t *testing.T, a attempt, wrong string) played {
	t.Helper()
	o := r.deliver(a, wrong)
	r.deliver(a, r.token(a)).session(t)
	return played{outcome: o, login: a}
}

func otherNonce(t *testing.T, r *rig) played {
	t.Helper()
	a, other := r.login(nil), r.login(nil)
	return r.afterwards(t, a, r.token(other))
}

func stateAsNonce(t *testing.T, r *rig) played {
	t.Helper()
	a := r.login(nil)
	return r.afterwards(t, a, r.token(attempt{nonce: a.state}))
}

func oldToken(t *testing.T, r *rig) played {
	t.Helper()
	used := r.login(nil)
	token := r.token(used)
	r.deliver(used, token).session(t)
	return r.afterwards(t, r.login(nil), token)
}

// sameSubject launches the same subject twice; same says whether that is one person.
func sameSubject(iss, client, deployment string, same bool) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		first := r.launch(nil).session(t).Launch
		other := r.reg
		other.ID, other.Issuer, other.ClientID = "", iss, client
		if _, err := r.store.AddRegistration(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		a := r.login(url.Values{"iss": {iss}, "client_id": {client}})
		m := r.claims(a)
		m["iss"], m["aud"], m[claim+"deployment_id"] = iss, client, deployment
		second := r.deliver(a, sign(m, map[string]any{"kid": "k1"}, platformKey())).session(t).Launch
		if one := first.RegistrationID == second.RegistrationID; one != same || first.User.Subject != second.User.Subject {
			t.Errorf("the registrations are %q and %q", first.RegistrationID, second.RegistrationID)
		}
		return played{}
	}
}
