package lti

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

// SessionLifetime is how long a session lasts after its launch: a working day, so that a
// page left open over lunch still works.
const SessionLifetime = 8 * time.Hour

// Deps is what a Tool needs. All fields are required.
type Deps struct {
	PublicURL *url.URL     // origin of the tool as browsers see it: https, or http on this computer
	Store     Store        // ltistore.New
	HTTP      *http.Client // fetch.New: bounded in time and addresses
	Now       func() time.Time
	Rand      io.Reader // crypto/rand.Reader
	Logger    *slog.Logger
	// Enter is called once the session is stored and its cookie is set on w. It redirects
	// with 303 to the page that fits the launch. It may be called a second time for the
	// same session, when the browser repeats its POST.
	Enter func(w http.ResponseWriter, r *http.Request, s Session)
	// Problem answers a request that failed. err is a *CheckError with its status, or
	// an error of the server. It also writes the one log line about it.
	Problem func(w http.ResponseWriter, r *http.Request, err error)
}

// Tool serves the endpoints of an LTI tool. It is safe for concurrent use.
type Tool struct {
	deps     Deps
	redirect string // redirect_uri, exactly as it is registered
	cookies  cookieJar
	platform *platformKeys
	keys     *keyring
}

// New checks deps and returns a Tool. It reads nothing and starts nothing.
func New(deps Deps) (*Tool, error) {
	if deps.Store == nil || deps.HTTP == nil || deps.Now == nil || deps.Rand == nil ||
		deps.Logger == nil || deps.Enter == nil || deps.Problem == nil {
		return nil, errors.New("lti: every field of Deps is required")
	}
	u := deps.PublicURL
	if u == nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, errors.New("the public URL must be an origin such as https://tool.example.edu")
	}
	if !secureOrLoopback(u) {
		return nil, fmt.Errorf("the public URL %s must begin with https:// (http:// is possible on this computer only)", u)
	}
	return &Tool{
		deps:     deps,
		redirect: u.Scheme + "://" + u.Host + "/lti/launch",
		cookies:  newCookieJar(u),
		platform: newPlatformKeys(deps.HTTP, deps.Now, deps.Logger),
		keys:     newKeyring(deps.Store, deps.Now, deps.Rand),
	}, nil
}

// Mount adds the endpoints /lti/login, /lti/launch and /lti/jwks to r.
func (t *Tool) Mount(r *mux.Router) {
	r.HandleFunc("/lti/login", t.login)
	r.HandleFunc("/lti/launch", t.launch)
	r.HandleFunc("/lti/jwks", t.jwks)
}

// jwks publishes the tool's public keys. Platforms keep them for a while, therefore a new
// key has to be published before it is used.
func (t *Tool) jwks(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		t.deps.Problem(w, r, refuse(CodeMethod, "GET", r.Method))
		return
	}
	set, err := t.keys.public(r.Context())
	if err != nil {
		t.deps.Problem(w, r, fmt.Errorf("publish the tool keys: %w", err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(set); err != nil {
		t.deps.Logger.DebugContext(r.Context(), "client left before the key set was written", "err", err)
	}
}
