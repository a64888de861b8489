package demolms

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrNotFound says that a user, course, activity, line item or tool that was
// named does not exist in this LMS. Errors wrap it with what was looked for.
var ErrNotFound = errors.New("not found")

// Tool is one external tool as an LMS administrator would register it by
// hand, including the choices Moodle offers about scopes and privacy.
type Tool struct {
	// ClientID identifies the tool; required and unique in an LMS.
	ClientID string
	// DeploymentID is Moodle's type id; "1", "2", … in order when left empty.
	DeploymentID string
	// Name is shown to teachers.
	Name string
	// LoginURL receives the login initiation (POST).
	LoginURL string
	// LaunchURL is the target link of activities without an address of
	// their own, and always an accepted redirect address.
	LaunchURL string
	// DeepLinkURL is the target link of content selection; LaunchURL when
	// empty.
	DeepLinkURL string
	// RedirectURIs are further addresses to which an id_token may be posted.
	// They are compared byte for byte.
	RedirectURIs []string
	// JWKSURL is where the tool publishes its keys.
	JWKSURL string
	// TokenAudience is the aud a client assertion must carry; the address of
	// the token endpoint when empty. (Brightspace wants another one.)
	TokenAudience string
	// Scopes are the service scopes granted; nil grants the five of the grade
	// and membership services. Notices are granted only when named.
	Scopes []string
	// HideNames leaves names and mail addresses out of launches and
	// membership lists, as Moodle's privacy setting "never" does.
	HideNames bool
	// Custom are parameters sent in each launch of the tool.
	Custom map[string]string
	// LTI11Key and LTI11Secret are those the tool was used with before LTI
	// 1.3; launches then carry the migration claim. LTI11Users maps ids of
	// people to the ids they had.
	LTI11Key, LTI11Secret string
	LTI11Users            map[string]string
	// Domain, Description and LogoURL come with a dynamic registration and are
	// given back by it.
	Domain, Description, LogoURL string
	// Pending tools registered themselves and wait for an administrator.
	Pending bool
}

// Config is what an LMS needs from outside. Issuer and Now are required.
type Config struct {
	// Issuer is the public address of the LMS without a slash at the end,
	// for example http://127.0.0.1:4001.
	Issuer string
	// Site says which people and courses exist on the first start;
	// PolderSite() when it is empty.
	Site Site
	// Tools are the registered tools; more can follow by AddTool.
	Tools []Tool
	// Storage offers platform storage to the tools in frames; none when empty.
	Storage Storage
	// StateFile keeps courses, activities, grades, people and the signing
	// key in one JSON file, so that a restart goes on from the same data.
	// Empty keeps everything in memory.
	StateFile string
	// Key signs id_tokens; a 2048 bit key is made when it is nil. A key in
	// StateFile wins. Tests share one key because making them is slow.
	Key *rsa.PrivateKey
	// Now is the clock. Required.
	Now func() time.Time
	// Rand makes session ids and tokens; crypto/rand.Reader when nil.
	Rand io.Reader
	// Logger receives one line per refused request; discarded when nil.
	Logger *slog.Logger
	// HTTP fetches the tools' key sets; a client with 10 s timeout when nil.
	HTTP *http.Client
}

// LMS is one institution's learning management system. Its methods may be
// called from several goroutines.
type LMS struct {
	cfg     Config
	handler http.Handler
	pages   *pageSet
	// table is Knobs(), made once.
	table []KnobInfo

	mu       sync.Mutex
	data     state
	tools    []Tool
	knobs    map[Knob]Value
	sessions map[string]*session
	tokens   map[string]accessToken
	seenJTI  map[string]time.Time
	toolKeys map[string]keySet
	lastPost map[string]posting
	// lastAnswer is the last deep linking response of each tool.
	lastAnswer map[string]string
	key        *rsa.PrivateKey
	otherKey   *rsa.PrivateKey
	// weakKey and curveKey are published once a knob has signed with them.
	weakKey  *rsa.PrivateKey
	curveKey *ecdsa.PrivateKey
	// audience is the authorization_server of the last configuration served.
	audience string
	// deliveries are the notices under way.
	deliveries sync.WaitGroup
}

// New makes an LMS, from its state file when there is one. It answers
// requests through Handler; it does not listen by itself.
func New(cfg Config) (*LMS, error) {
	if cfg.Now == nil {
		return nil, errors.New("demolms: Config.Now is missing")
	}
	u, err := url.Parse(cfg.Issuer)
	if err != nil || u.Host == "" || strings.HasSuffix(cfg.Issuer, "/") {
		return nil, fmt.Errorf("demolms: issuer %q is not an address without trailing slash", cfg.Issuer)
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	if cfg.Site.Name == "" {
		cfg.Site = PolderSite()
	}
	l := &LMS{
		cfg: cfg, table: Knobs(), knobs: map[Knob]Value{}, sessions: map[string]*session{},
		tokens: map[string]accessToken{}, seenJTI: map[string]time.Time{},
		toolKeys: map[string]keySet{}, lastPost: map[string]posting{}, lastAnswer: map[string]string{},
	}
	if err := l.loadState(); err != nil {
		return nil, err
	}
	for _, t := range cfg.Tools {
		if err := l.AddTool(t); err != nil {
			return nil, err
		}
	}
	for _, t := range slices.Clone(l.data.Tools) {
		if _, err := l.toolByClient(t.ClientID); err != nil {
			l.keepRegistered(t)
		}
	}
	if l.pages, err = parsePages(); err != nil {
		return nil, err
	}
	l.handler = l.routes()
	return l, l.Save()
}

// Handler serves the pages, the LTI endpoints and the services.
func (l *LMS) Handler() http.Handler { return l.handler }

// Issuer is the iss of every id_token.
func (l *LMS) Issuer() string { return l.cfg.Issuer }

// Name is the name of the institution.
func (l *LMS) Name() string { return l.cfg.Site.Name }

// URLs are the addresses a tool needs to register this platform: the
// authentication endpoint, the token endpoint and the key set.
func (l *LMS) URLs() (auth, token, jwks string) {
	return l.cfg.Issuer + authPath, l.cfg.Issuer + tokenPath, l.cfg.Issuer + jwksPath
}

// AddTool registers a tool, or replaces the one with the same client id. It
// completes DeploymentID and DeepLinkURL when they are empty.
func (l *LMS) AddTool(t Tool) error {
	if t.ClientID == "" || t.LoginURL == "" || t.LaunchURL == "" {
		return errors.New("demolms: a tool needs a client id, a login and a launch address")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.tools, func(o Tool) bool { return o.ClientID == t.ClientID })
	if i < 0 {
		i = len(l.tools)
		l.tools = append(l.tools, Tool{})
	}
	t.DeploymentID = cmp.Or(t.DeploymentID, l.tools[i].DeploymentID)
	if t.DeploymentID == "" {
		t.DeploymentID = l.freeType(i + 1)
	}
	if t.Name == "" {
		t.Name = t.ClientID
	}
	if t.DeepLinkURL == "" {
		t.DeepLinkURL = t.LaunchURL
	}
	if t.Scopes == nil {
		t.Scopes = allScopes()
	}
	l.tools[i] = t
	delete(l.toolKeys, t.ClientID)
	return nil
}

// Tools are the registered tools, in the order of registration.
func (l *LMS) Tools() []Tool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.tools)
}

// toolByClient finds a tool; the caller holds the lock.
func (l *LMS) toolByClient(clientID string) (Tool, error) {
	for _, t := range l.tools {
		if t.ClientID == clientID {
			return t, nil
		}
	}
	return Tool{}, fmt.Errorf("tool with client id %q: %w", clientID, ErrNotFound)
}

// toolByType finds a tool by its deployment id, Moodle's type id; the caller
// holds the lock.
func (l *LMS) toolByType(id string) (Tool, error) {
	for _, t := range l.tools {
		if t.DeploymentID == id {
			return t, nil
		}
	}
	return Tool{}, fmt.Errorf("tool type %q: %w", id, ErrNotFound)
}

// accepts tells whether an id_token may be posted to uri.
func (t Tool) accepts(uri string) bool {
	return uri == t.LaunchURL || slices.Contains(t.RedirectURIs, uri)
}

// random returns n random bytes in hexadecimal.
func (l *LMS) random(n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(l.cfg.Rand, b); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	return hex.EncodeToString(b), nil
}
