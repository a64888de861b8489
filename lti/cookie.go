package lti

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	stateCookie      = "sealsmith-st-"
	sessionCookie    = "sealsmith-s-"
	provenCookie     = "sealsmith-kept"
	provenLife       = 30 * 24 * time.Hour
	statePrefix      = 8  // characters of the state in the cookie's name: one cookie per attempt
	maxSessions      = 12 // session cookies kept in one browser; headers have an end
	secretBytes      = 32
	maxCookieToCheck = 128
)

// cookieJar names and sets the cookies. All are Secure, HttpOnly, SameSite=None and
// Partitioned: in a frame of the platform no other cookie comes back with the POST of the
// launch. A partitioned and an unpartitioned cookie of the same name are never set side
// by side. On https the names begin with __Host-, which ties them to this origin; on this
// computer over http browsers refuse that prefix, and development does without.
type cookieJar struct{ prefix string }

func newCookieJar(public *url.URL) cookieJar {
	if public.Scheme == "https" {
		return cookieJar{prefix: "__Host-"}
	}
	return cookieJar{}
}

func (c cookieJar) stateName(state string) string {
	return c.prefix + stateCookie + state[:min(statePrefix, len(state))]
}

func (c cookieJar) sessionName(id string) string { return c.prefix + sessionCookie + id }

func (c cookieJar) set(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124 wants SameSite Lax or Strict, with which no launch in a frame works.
		Name:        name,
		Value:       value,
		Path:        "/",
		MaxAge:      int(life / time.Second),
		Secure:      true,
		HttpOnly:    true,
		SameSite:    http.SameSiteNoneMode,
		Partitioned: true,
	})
}

func (c cookieJar) expire(w http.ResponseWriter, name string) {
	c.set(w, name, "", -time.Second)
}

// holds reports whether r carries a cookie of that name whose value hashes to hash.
func (c cookieJar) holds(r *http.Request, name, hash string) bool {
	for _, cookie := range r.CookiesNamed(name) {
		if len(cookie.Value) <= maxCookieToCheck && same(digest(cookie.Value), hash) {
			return true
		}
	}
	return false
}

// prove leaves a mark that cookies come back in this place; it is no secret and says
// nothing about anybody.
func (c cookieJar) prove(w http.ResponseWriter) { c.set(w, c.prefix+provenCookie, "1", provenLife) }

// proven reports whether cookies have come back in this place before.
func (c cookieJar) proven(r *http.Request) bool {
	return len(r.CookiesNamed(c.prefix+provenCookie)) > 0
}

// expireOldest drops the oldest session cookies when the browser carries more than
// maxSessions. Session ids begin with their time, so the oldest come first.
func (c cookieJar) expireOldest(w http.ResponseWriter, r *http.Request) {
	var names []string
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, c.prefix+sessionCookie) {
			names = append(names, cookie.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for i := 0; i < len(names)-maxSessions; i++ {
		c.expire(w, names[i])
	}
}

// digest is how secrets are stored: hex SHA-256. They are random and long, so a slow hash
// would gain nothing.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
