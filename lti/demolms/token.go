package demolms

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Scopes of the services.
const (
	agsScope          = "https://purl.imsglobal.org/spec/lti-ags/scope/"
	scopeLineItem     = agsScope + "lineitem"
	scopeLineItemRead = agsScope + "lineitem.readonly"
	scopeResult       = agsScope + "result.readonly"
	scopeScore        = agsScope + "score"
	scopeMembers      = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
	scopeNotices      = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
)

// What the token endpoint answers. Codes of RFC 6749 stand beside sentences of
// Moodle and of the library it uses.
const (
	errInvalidRequest   = refusalError("invalid_request")
	errInvalidClient    = refusalError("invalid_client")
	errInvalidScope     = refusalError("invalid_scope")
	errUnsupportedGrant = refusalError("unsupported_grant_type")
	errKidMissing       = refusalError("error/Error: kid must be provided in JWT header.")
	errExpired          = refusalError("Expired token")
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// tokenSeconds is how long an access token is good.
	tokenSeconds = 3600
	// accessTokenBytes gives the 32 hexadecimal digits of Moodle's tokens.
	accessTokenBytes = 16
	// maxAssertionSeconds is the longest life of a client assertion.
	maxAssertionSeconds = 3600

	htmlType         = "text/html; charset=utf-8"
	jsonType         = "application/json"
	formType         = "application/x-www-form-urlencoded"
	moodleTimeFormat = "2006-01-02T15:04:05-0700"

	// maintenancePage is what an LMS shows in place of everything else.
	maintenancePage = "<!DOCTYPE html><html lang=\"en\"><title>Maintenance</title><p>The site is undergoing maintenance and is currently not available.</p></html>"
	// hugeAnswer is the size of answers that are too large, in bytes.
	hugeAnswer = 10 << 20
)

func allScopes() []string {
	return []string{scopeLineItem, scopeLineItemRead, scopeResult, scopeScore, scopeMembers}
}

// gradeScopes are those among scopes that belong to the grade services.
func gradeScopes(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !strings.HasPrefix(s, agsScope) })
}

// accessToken is a bearer token of a tool.
type accessToken struct {
	clientID string
	scopes   []string
	expires  time.Time
}

// IssueToken makes an access token without the token endpoint, for tests of
// services. It grants the scopes as they are named.
func (l *LMS) IssueToken(clientID string, scopes ...string) (string, error) {
	tok, err := l.random(accessTokenBytes)
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.toolByClient(clientID); err != nil {
		return "", err
	}
	l.tokens[tok] = accessToken{clientID: clientID, scopes: scopes, expires: l.cfg.Now().Add(tokenSeconds * time.Second)}
	return tok, nil
}

// RevokeTokens forgets all access tokens, so that the next service call of a
// tool with an old one answers 401.
func (l *LMS) RevokeTokens() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.tokens)
}

// serveToken is the token endpoint (Security Framework 4.1). Every refusal is
// 400 text/html with a body that is not always JSON, as Moodle's.
func (l *LMS) serveToken(w http.ResponseWriter, r *http.Request) {
	if !l.wait(r.Context(), EndpointSlow) || l.disturbedToken(w) {
		return
	}
	t, scopes, err := l.grant(r)
	if err != nil {
		l.cfg.Logger.InfoContext(r.Context(), "access token refused", "err", err)
		refusal, ok := errors.AsType[refusalError](err)
		if !ok {
			// The tool's key set could not be had; why is for our log.
			refusal = errInvalidClient
		}
		tokenError(w, http.StatusBadRequest, refusal)
		return
	}
	tok, err := l.IssueToken(t.ClientID, scopes...)
	if err != nil {
		tokenError(w, http.StatusInternalServerError, "server_error")
		return
	}
	out := map[string]any{"access_token": tok, "token_type": "Bearer", "expires_in": tokenSeconds, "scope": strings.Join(scopes, " ")}
	for _, i := range endpointKnobs() {
		if i.change != nil && l.take(i.Knob) {
			i.change(out)
		}
	}
	raw, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		tokenError(w, http.StatusInternalServerError, "server_error")
		return
	}
	writeBody(w, http.StatusOK, htmlType, string(raw))
}

// disturbedToken applies the knobs of the token endpoint; true when the answer
// is given.
func (l *LMS) disturbedToken(w http.ResponseWriter) bool {
	switch {
	case l.take(EndpointError):
		http.Error(w, "internal error", http.StatusInternalServerError)
	case l.take(EndpointHTML):
		writeBody(w, http.StatusOK, htmlType, maintenancePage)
	case l.take(EndpointRefused):
		tokenError(w, http.StatusBadRequest, errInvalidClient)
	case l.take(EndpointBrokenJSON):
		tokenError(w, http.StatusBadRequest, errUnknownKid)
	case l.take(EndpointDenied):
		tokenError(w, http.StatusUnauthorized, errInvalidClient)
	default:
		return false
	}
	return true
}

// tokenError builds the body by hand as Moodle does; a message with quotes
// makes it something else than JSON.
func tokenError(w http.ResponseWriter, status int, refusal refusalError) {
	writeBody(w, status, htmlType, "{\n  \"error\" : \""+string(refusal)+"\"\n}")
}

// grant checks the request; the texts of its errors are what the tool reads.
func (l *LMS) grant(r *http.Request) (Tool, []string, error) {
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), formType) || r.ParseForm() != nil {
		return Tool{}, nil, errInvalidRequest
	}
	f := r.PostForm
	if f.Get("client_assertion") == "" || f.Get("client_assertion_type") == "" || f.Get("grant_type") == "" || f.Get("scope") == "" {
		return Tool{}, nil, errInvalidRequest
	}
	if f.Get("grant_type") != "client_credentials" {
		return Tool{}, nil, errUnsupportedGrant
	}
	tok, err := parseToken(f.Get("client_assertion"))
	if err != nil || f.Get("client_assertion_type") != assertionType {
		return Tool{}, nil, errInvalidRequest
	}
	l.mu.Lock()
	t, err := l.toolByClient(text(tok.claims, "sub"))
	l.mu.Unlock()
	if err != nil {
		return Tool{}, nil, errInvalidClient
	}
	scopes := l.grantable(t, strings.Fields(f.Get("scope")))
	if len(scopes) == 0 {
		return Tool{}, nil, errInvalidScope
	}
	return t, scopes, l.checkAssertion(r.Context(), tok, t)
}

// grantable keeps the scopes a tool may have and leaves the others out
// without a word.
func (l *LMS) grantable(t Tool, asked []string) []string {
	few := l.take(EndpointFewScopes)
	return slices.DeleteFunc(slices.Clone(asked), func(s string) bool {
		return !slices.Contains(t.Scopes, s) || (few && s == scopeResult)
	})
}

// checkAssertion checks a client assertion (RFC 7523 section 3). Unlike
// Moodle it insists on iss, aud and a fresh jti.
func (l *LMS) checkAssertion(ctx context.Context, tok token, t Tool) error {
	if tok.kid == "" {
		return errKidMissing
	}
	if err := l.verifyTool(ctx, t, tok); err != nil {
		return err
	}
	now := l.cfg.Now()
	c := tok.claims
	exp, hasExp := number(c, "exp")
	iat, hasIat := number(c, "iat")
	expected := t.TokenAudience
	if expected == "" {
		expected = l.cfg.Issuer + tokenPath
	}
	switch {
	case hasIat && iat > now.Unix():
		return refusalError("Cannot handle token with iat prior to " + time.Unix(iat, 0).UTC().Format(moodleTimeFormat))
	case !hasExp || exp <= now.Unix():
		return errExpired
	case !hasIat || exp-iat > maxAssertionSeconds, text(c, "iss") != t.ClientID, text(c, "jti") == "":
		return errInvalidClient
	case !slices.Contains(audience(c), expected):
		return errInvalidClient
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, until := range l.seenJTI {
		if until.Before(now) {
			delete(l.seenJTI, id)
		}
	}
	id := t.ClientID + " " + text(c, "jti")
	if _, seen := l.seenJTI[id]; seen {
		return errInvalidClient
	}
	l.seenJTI[id] = time.Unix(exp, 0).Add(time.Minute)
	return nil
}

// wait holds an answer back while a slow knob is on. It is false when the
// client has gone away meanwhile.
func (l *LMS) wait(ctx context.Context, k Knob) bool {
	d := l.delay(k)
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func writeBody(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	// A failed write means that the client has gone away; nobody is left to tell.
	_, _ = strings.NewReader(body).WriteTo(w)
}
