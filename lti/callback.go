package lti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// received is an authentication response whose form is right and whose state is ours.
// Its token is not yet to be trusted.
type received struct {
	token        idToken
	state        loginState
	registration Registration
}

// launch receives the authentication response (Security Framework 1.0, section 5.1.1.3).
// Nothing is written before the last check has passed, and the session's primary key is
// what spends the state.
func (t *Tool) launch(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	if !t.onlyPost(w, r) {
		return
	}
	tr := t.newTrace(r, TraceLaunch)
	l, err := t.receive(w, r, tr)
	if err != nil {
		t.refused(w, r, tr, err)
		return
	}
	if !t.ofThisBrowser(r, l.state) {
		t.otherwise(w, r, l, tr)
		return
	}
	s, err := t.accept(w, r, l, tr)
	if err != nil {
		t.refused(w, r, tr, err)
		return
	}
	tr.Browser = BrowserCookie
	t.deps.Trace(*tr)
	t.deps.Enter(w, r, s)
}

// ofThisBrowser reports whether the browser that brings the token is the one that began
// the login. Without that anybody could sign others in under their own account.
func (t *Tool) ofThisBrowser(r *http.Request, st loginState) bool {
	return t.cookies.holds(r, t.cookies.stateName(st.text), digest(t.secret.browser(st)))
}

// accept checks the token and opens the session.
func (t *Tool) accept(w http.ResponseWriter, r *http.Request, l received, tr *Trace) (Session, error) {
	launch, err := t.check(r.Context(), l, tr)
	if err != nil {
		return Session{}, err
	}
	s, secret, err := t.openSession(r.Context(), l.state, launch)
	if errors.Is(err, ErrSpent) { // two requests at the same moment
		return t.repeated(r, l.state)
	}
	if err != nil {
		return Session{}, err
	}
	t.cookies.set(w, t.cookies.sessionName(s.ID), secret, SessionLifetime)
	t.cookies.expire(w, t.cookies.stateName(l.state.text))
	t.cookies.prove(w)
	t.cookies.expireOldest(w, r)
	return s, nil
}

// otherwise goes on with a response that came without its cookie: a POST that is repeated
// in the browser that holds the session already, a login whose secret is in platform
// storage, or a refusal.
func (t *Tool) otherwise(w http.ResponseWriter, r *http.Request, l received, tr *Trace) {
	s, err := t.repeated(r, l.state)
	if err == nil {
		t.deps.Enter(w, r, s)
		return
	}
	if refused, ok := errors.AsType[*CheckError](err); !ok || refused.Code != CodeReplay {
		t.refused(w, r, tr, err)
		return
	}
	foreign := len(r.CookiesNamed(t.cookies.stateName(l.state.text))) > 0
	switch {
	case t.spent(r.Context(), l.state):
	case foreign:
		err = refuse(CodeStateNotBound, "", "")
	case l.state.storage != "" || r.PostForm.Has("lti_storage_target") || l.registration.Quirks().Storage:
		if _, err = t.check(r.Context(), l, tr); err == nil {
			t.recall(w, r, l)
			return
		}
	default:
		err = refuse(CodeCookieLost, "", "").because(ErrCookieLost)
	}
	t.refused(w, r, tr, err)
}

// spent reports whether the state became a session, whoever has it.
func (t *Tool) spent(ctx context.Context, st loginState) bool {
	_, _, err := t.session(ctx, st.session())
	return err == nil
}

// repeated answers a second POST with a spent state: a double click or the back button
// when this browser holds the session that the first one opened, and a replay otherwise.
func (t *Tool) repeated(r *http.Request, st loginState) (Session, error) {
	s, err := t.Session(r, st.session())
	if errors.Is(err, ErrNoSession) {
		return Session{}, refuse(CodeReplay, "", "")
	}
	return s, err
}

// receive reads the form and opens the state.
func (t *Tool) receive(w http.ResponseWriter, r *http.Request, tr *Trace) (received, error) {
	if err := readForm(w, r); err != nil {
		return received{}, err
	}
	form := r.PostForm
	if err := refuseLTI11(form); err != nil {
		return received{}, err
	}
	for _, name := range []string{"id_token", "state", "error"} {
		if len(form[name]) > 1 {
			return received{}, refuse(CodeDuplicateParameter, "one "+name, "")
		}
	}
	if form.Get("error") != "" {
		return received{}, t.platformError(r.Context(), form, tr)
	}
	if form.Get("id_token") == "" {
		return received{}, refuse(CodeTokenMissing, "id_token", "")
	}
	if form.Get("state") == "" {
		return received{}, refuse(CodeStateMissing, "state", "")
	}
	st, reg, err := t.openState(r.Context(), form.Get("state"), tr)
	if err != nil {
		return received{}, err
	}
	token, err := parseToken(form.Get("id_token"), reg)
	tr.read(token)
	if err != nil {
		return received{}, err
	}
	return received{token: token, state: st, registration: reg}, nil
}

// platformError reports an authentication error response (OpenID Connect Core 1.0,
// section 3.1.2.6). Without a signed token it opens nothing, and spends nothing.
func (t *Tool) platformError(ctx context.Context, form url.Values, tr *Trace) error {
	if _, _, err := t.openState(ctx, form.Get("state"), tr); err != nil {
		if _, refused := errors.AsType[*CheckError](err); !refused {
			return err
		}
	}
	said := form.Get("error")
	if d := form.Get("error_description"); d != "" {
		said += ": " + d
	}
	return refuse(CodePlatformError, "", said)
}

// openState returns the login state behind the parameter with its registration, which may
// be used.
func (t *Tool) openState(ctx context.Context, text string, tr *Trace) (loginState, Registration, error) {
	st, err := t.secret.open(text, t.deps.Now())
	expired := errors.Is(err, errStateExpired)
	if err != nil && !expired {
		return st, Registration{}, refuse(CodeStateUnknown, "", mask(text))
	}
	reg, err := t.deps.Store.RegistrationByKey(ctx, st.registration)
	if errors.Is(err, ErrNotFound) {
		return st, reg, refuse(CodeStateUnknown, "", mask(text))
	}
	if err != nil {
		return st, reg, fmt.Errorf("find the registration of a login: %w", err)
	}
	tr.of(reg)
	if expired {
		return st, reg, refuse(CodeStateExpired, "", "")
	}
	return st, reg, checkStatus(reg)
}
