package lti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

const stateLength = 43 // characters of 32 bytes in base64url

// launch receives the authentication response (Security Framework 1.0, section 5.1.1.3).
// The state is spent only by openSession, in the transaction that creates the session:
// whatever fails before that leaves nothing changed.
func (t *Tool) launch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		refused := refuse(CodeMethod, "POST", r.Method)
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			refused = refuse(CodeLaunchByGET, "POST", r.Method).because(ErrLaunchByGET)
		}
		t.deps.Problem(w, r, refused)
		return
	}
	s, err := t.receive(w, r)
	if err != nil {
		if refused, ok := errors.AsType[*CheckError](err); ok && refused.Code == CodeKeysUnavailable {
			w.Header().Set("Retry-After", "30")
		}
		t.deps.Problem(w, r, err)
		return
	}
	t.deps.Enter(w, r, s)
}

func (t *Tool) receive(w http.ResponseWriter, r *http.Request) (Session, error) {
	idToken, state, err := readLaunch(w, r)
	if err != nil {
		return Session{}, err
	}
	token, err := parseToken(idToken)
	if err != nil {
		return Session{}, err
	}
	st, err := t.findState(r.Context(), state)
	if err != nil {
		return Session{}, err
	}
	if !st.UsedAt.IsZero() {
		return t.repeated(r, st)
	}
	if err := t.checkBrowser(r, st, state); err != nil {
		return Session{}, named(err, st)
	}
	launch, err := t.check(r.Context(), token, st)
	if err != nil {
		return Session{}, named(err, st)
	}
	s, err := t.openSession(r.Context(), w, st.StateHash, launch)
	if errors.Is(err, ErrSpent) {
		return Session{}, named(refuse(CodeReplay, "", ""), st)
	}
	if err != nil {
		return Session{}, err
	}
	t.cookies.expire(w, t.cookies.stateName(state))
	t.cookies.expireOldest(w, r)
	return s, nil
}

// named adds the registration to a refusal, for the log.
func named(err error, st LoginState) error {
	if refused, ok := errors.AsType[*CheckError](err); ok {
		refused.RegistrationID = st.Registration.ID
	}
	return err
}

// readLaunch returns id_token and state of the form, or refuses.
func readLaunch(w http.ResponseWriter, r *http.Request) (idToken, state string, err error) {
	if err := readForm(w, r); err != nil {
		return "", "", err
	}
	form := r.PostForm
	if err := refuseLTI11(form); err != nil {
		return "", "", err
	}
	for _, name := range []string{"id_token", "state", "error"} {
		if len(form[name]) > 1 {
			return "", "", refuse(CodeDuplicateParameter, "one "+name, "")
		}
	}
	switch {
	case form.Get("error") != "":
		return "", "", platformError(form)
	case form.Get("id_token") == "":
		return "", "", refuse(CodeTokenMissing, "id_token", "")
	case form.Get("state") == "":
		return "", "", refuse(CodeStateMissing, "state", "")
	}
	return form.Get("id_token"), form.Get("state"), nil
}

// platformError reports an authentication error response (OpenID Connect Core 1.0,
// section 3.1.2.6). Its state stays unspent: without a signed token it opens nothing.
func platformError(form url.Values) error {
	received := form.Get("error")
	if d := form.Get("error_description"); d != "" {
		received += ": " + d
	}
	return refuse(CodePlatformError, "", received)
}

// findState returns the login state behind the parameter, spent or not, but not expired.
func (t *Tool) findState(ctx context.Context, state string) (LoginState, error) {
	if len(state) != stateLength || !base64URL(state) {
		return LoginState{}, refuse(CodeStateUnknown, "", "")
	}
	st, err := t.deps.Store.State(ctx, digest(state))
	if errors.Is(err, ErrNotFound) {
		return LoginState{}, refuse(CodeStateUnknown, "", mask(state))
	}
	if err != nil {
		return LoginState{}, fmt.Errorf("find the login state: %w", err)
	}
	if !t.deps.Now().Before(st.ExpiresAt) {
		return LoginState{}, named(refuse(CodeStateExpired, "", ""), st)
	}
	return st, nil
}

// repeated answers a second POST with a spent state: a double click or the back button
// when this browser holds the session that the first one opened, and a replay otherwise.
func (t *Tool) repeated(r *http.Request, st LoginState) (Session, error) {
	s, err := t.Session(r, sessionID(st.UsedAt, st.StateHash))
	if errors.Is(err, ErrNoSession) {
		return Session{}, named(refuse(CodeReplay, "", ""), st)
	}
	return s, err
}

// checkBrowser makes sure that the browser that brings the token is the one that began
// the login. Without that anybody could sign others in under their own account.
func (t *Tool) checkBrowser(r *http.Request, st LoginState, state string) error {
	right, present := t.cookies.holds(r, t.cookies.stateName(state), st.BrowserHash)
	switch {
	case right:
		return nil
	case present:
		return refuse(CodeStateNotBound, "", "")
	}
	return refuse(CodeCookieLost, "", "").because(ErrCookieLost)
}
