package lti

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// Page is one of the few pages that this package needs between login and launch. What it
// looks like is the caller's.
type Page struct {
	Kind PageKind
	// Action is where the form goes, and Fields are its hidden fields, in order.
	Action string
	Fields []Field
	// Storage is set for PageStore and PageRecall.
	Storage *StorageCall
	// Organisation and registration the page belongs to.
	Registration Registration
}

// Field is a hidden field of a form.
type Field struct{ Name, Value string }

// PageKind tells the pages apart.
type PageKind string

const (
	// PageWindow has one button that posts Fields to Action in a new window: in the
	// frame cookies do not work, and the platform offers no storage.
	PageWindow PageKind = "window"
	// PageStore puts a secret into platform storage by script, then goes on to
	// Storage.Next. If that fails it becomes PageWindow.
	PageStore PageKind = "store"
	// PageRecall reads the secret back by script into the field "secret" and posts the form
	// to Action in the same frame. If that fails it says so, with a way to start again.
	PageRecall PageKind = "recall"
	// PageOpen has one button that posts Fields to Action in a new window: the launch has
	// been accepted, but the frame keeps no cookie for the session.
	PageOpen PageKind = "open"
)

// StorageCall is what a script needs for platform storage (Client Side postMessages 0.1 and
// Platform Storage 0.1).
type StorageCall struct {
	Target string // "_parent", the name of a frame, or empty: ask the platform's capabilities
	Origin string // the only origin to which the secret may be sent and from which answers count
	Key    string
	Value  string // PageStore only
	Next   string // PageStore only: where to go afterwards
}

// continueAddress is the second step of a login in a frame: by then the browser has either
// kept the cookie or not.
func (t *Tool) continueAddress(r *http.Request, p loginParameters, st loginState) string {
	q := url.Values{"state": {st.text}, "at": {r.URL.Path}}
	maps.Copy(q, p.form)
	return t.origin + "/lti/continue?" + q.Encode()
}

// resume goes on with a login whose cookie came back, and looks for another way where it
// did not: platform storage if the platform has it, else a new window. No check is left
// out on any of these ways.
func (t *Tool) resume(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	tr := t.newTrace(r, TraceLogin)
	reg, p, st, err := t.resumed(w, r, tr)
	if err != nil {
		t.refused(w, r, tr, err)
		return
	}
	location, err := t.authRequest(reg, p, st)
	if err != nil {
		t.refused(w, r, tr, err)
		return
	}
	if t.cookies.holds(r, t.cookies.stateName(st.text), digest(t.secret.browser(st))) {
		t.cookies.prove(w)
		http.Redirect(w, r, location, http.StatusFound) //nolint:gosec // G710: the authorization endpoint of a registration
		return
	}
	page := Page{Kind: PageWindow, Action: t.loginPath(r), Registration: reg, Fields: fields(p.form)}
	if st.storage != "" || reg.Quirks().Storage {
		page.Kind = PageStore
		page.Storage = &StorageCall{
			Target: st.storage, Origin: webOrigin(reg.AuthURL), Key: storageKey(st), Value: t.secret.stored(st), Next: location,
		}
	}
	t.deps.Page(w, r, page)
}

func (t *Tool) resumed(w http.ResponseWriter, r *http.Request, tr *Trace) (Registration, loginParameters, loginState, error) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		return Registration{}, loginParameters{}, loginState{}, refuse(CodeMethod, "GET", r.Method)
	}
	p, err := readLogin(w, r)
	if err != nil {
		return Registration{}, p, loginState{}, err
	}
	st, reg, err := t.openState(r.Context(), r.Form.Get("state"), tr)
	if err != nil {
		return Registration{}, p, st, err
	}
	return reg, p, st, nil
}

// loginPath is the login address from which the continued login came, as far as it is one.
func (t *Tool) loginPath(r *http.Request) string {
	at := r.URL.Query().Get("at")
	if loginPaths.MatchString(at) {
		return t.origin + at
	}
	return t.origin + "/lti/login"
}

func fields(form url.Values) []Field {
	var all []Field
	for _, name := range loginNames {
		// A window of its own has no platform around it that could store anything.
		if form.Has(name) && name != "lti_storage_target" {
			all = append(all, Field{name, form.Get(name)})
		}
	}
	return all
}

func storageKey(st loginState) string { return "sealsmith_" + st.text[:24] }

// webOrigin is what a browser calls the origin of an address.
func webOrigin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// recall asks the browser for the secret in platform storage. The token has passed every
// other check by now; it goes along, because nothing was stored here.
func (t *Tool) recall(w http.ResponseWriter, r *http.Request, l received) {
	target := l.state.storage
	if t := r.PostForm.Get("lti_storage_target"); target == "" && storageTarget.MatchString(t) {
		target = t
	}
	t.deps.Page(w, r, Page{
		Kind: PageRecall, Action: t.origin + "/lti/confirm", Registration: l.registration,
		Fields:  []Field{{"id_token", l.token.compact}, {"state", l.state.text}},
		Storage: &StorageCall{Target: target, Origin: webOrigin(l.registration.AuthURL), Key: storageKey(l.state)},
	})
}

// confirm receives what recall's page found. The secret is compared here, on the server;
// it has 256 bits, so guessing needs no counter.
func (t *Tool) confirm(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	if !t.onlyPost(w, r) {
		return
	}
	tr := t.newTrace(r, TraceLaunch)
	reg, s, secret, err := t.confirmed(w, r, tr)
	if err != nil {
		t.refused(w, r, tr, err)
		return
	}
	tr.Browser = BrowserStorage
	t.deps.Trace(*tr)
	// The frame has refused one cookie already: the session goes on in a window, where
	// cookies are ours. The secret is in the body of a form, never in an address.
	t.deps.Page(w, r, Page{
		Kind: PageOpen, Action: t.origin + "/lti/open",
		Fields: []Field{{"session", s.ID}, {"secret", secret}}, Registration: reg,
	})
}

func (t *Tool) confirmed(w http.ResponseWriter, r *http.Request, tr *Trace) (Registration, Session, string, error) {
	l, err := t.receive(w, r, tr)
	if err != nil {
		return Registration{}, Session{}, "", err
	}
	if !same(r.PostForm.Get("secret"), t.secret.stored(l.state)) {
		return Registration{}, Session{}, "", refuse(CodeStateNotBound, "", "")
	}
	launch, err := t.check(r.Context(), l, tr)
	if err != nil {
		return Registration{}, Session{}, "", err
	}
	s, secret, err := t.openSession(r.Context(), l.state, launch)
	if errors.Is(err, ErrSpent) {
		err = refuse(CodeReplay, "", "")
	}
	return l.registration, s, secret, err
}

// openWindow takes the session of a frame without cookies over into a window.
func (t *Tool) openWindow(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	if !t.onlyPost(w, r) {
		return
	}
	s, err := t.opened(w, r)
	if err != nil {
		t.deps.Problem(w, r, err)
		return
	}
	t.cookies.set(w, t.cookies.sessionName(s.ID), r.PostForm.Get("secret"), SessionLifetime)
	t.deps.Enter(w, r, s)
}

func (t *Tool) opened(w http.ResponseWriter, r *http.Request) (Session, error) {
	if err := readForm(w, r); err != nil {
		return Session{}, err
	}
	s, hash, err := t.session(r.Context(), r.PostForm.Get("session"))
	if err != nil {
		return Session{}, err
	}
	if !same(digest(r.PostForm.Get("secret")), hash) || t.deps.Now().Sub(s.CreatedAt) > stateLifetime {
		return Session{}, ErrNoSession
	}
	return s, nil
}

// onlyPost answers other methods at an address that platforms post to.
func (t *Tool) onlyPost(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodPost {
		return true
	}
	w.Header().Set("Allow", http.MethodPost)
	refused := refuse(CodeMethod, "POST", r.Method)
	if slices.Contains([]string{http.MethodGet, http.MethodHead}, r.Method) {
		refused = refuse(CodeLaunchByGET, "POST", r.Method).because(ErrLaunchByGET)
	}
	t.deps.Problem(w, r, refused)
	return false
}
