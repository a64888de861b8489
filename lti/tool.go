package lti

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

// SessionLifetime is how long a session lasts after its launch: a working day, so that a
// page left open over lunch still works.
const SessionLifetime = 8 * time.Hour

// Deps is what a Tool needs. All fields are required.
type Deps struct {
	PublicURL *url.URL // origin of the tool as browsers see it: https, or http on this computer
	Store     Store    // ltistore.New
	// HTTP is the client for calls to a registration's platform: fetch.Clients, bounded in
	// time and addresses.
	HTTP func(Registration) *http.Client
	// Secret is 32 bytes that all processes of one installation share: login states are
	// made and recognised with it.
	Secret []byte
	Now    func() time.Time
	Rand   io.Reader // crypto/rand.Reader
	Logger *slog.Logger
	// TraceID is the id under which a request is known to the person who made it.
	TraceID func(ctx context.Context) string
	// Trace receives one record per login or launch that belongs to a registration. It must
	// not block: ltistore.Traces keeps the newest.
	Trace func(Trace)
	// Notices remembers which notices have come: ltistore.New.
	Notices NoticeStore
	// Notice deals with a notice of a platform. It may be called a second time for the same
	// notice when the server went down in between.
	Notice func(ctx context.Context, r Registration, n Notice) error
	// Page shows one of the pages between login and launch.
	Page func(w http.ResponseWriter, r *http.Request, p Page)
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
	origin   string // of the tool
	redirect string // redirect_uri, exactly as it is registered
	secret   stateSecret
	cookies  cookieJar
	nonceOf  func(loginState) string
	platform *platformKeys
	keys     *keyring
}

// New checks deps and returns a Tool. It reads nothing and starts nothing.
func New(deps Deps) (*Tool, error) {
	if deps.Store == nil || deps.HTTP == nil || deps.Now == nil || deps.Rand == nil ||
		deps.Logger == nil || deps.Enter == nil || deps.Problem == nil || deps.TraceID == nil || deps.Trace == nil || deps.Page == nil ||
		deps.Notices == nil || deps.Notice == nil ||
		len(deps.Secret) < 32 {
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
		origin:   u.Scheme + "://" + u.Host,
		redirect: u.Scheme + "://" + u.Host + "/lti/launch",
		secret:   stateSecret(deps.Secret),
		cookies:  newCookieJar(u),
		nonceOf:  stateSecret(deps.Secret).nonce,
		platform: newPlatformKeys(deps.HTTP, deps.Now, deps.Logger),
		keys:     newKeyring(deps.Store, deps.Now, deps.Rand),
	}, nil
}

// loginPaths are the addresses of login.
var loginPaths = regexp.MustCompile(`^/lti/login(/[A-Za-z0-9_-]{1,64})?$`)

// Mount adds the endpoints to r, all below /lti/.
func (t *Tool) Mount(r *mux.Router) {
	r.HandleFunc("/lti/login", t.login)
	r.HandleFunc("/lti/login/{key}", t.login)
	r.HandleFunc("/lti/continue", t.resume)
	r.HandleFunc("/lti/launch", t.launch)
	r.HandleFunc("/lti/confirm", t.confirm)
	r.HandleFunc("/lti/open", t.openWindow)
	r.HandleFunc("/lti/notices", t.notices)
	r.HandleFunc("/lti/jwks", t.jwks)
}
