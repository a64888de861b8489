package lti

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	assertionLifetime = 120 // seconds
	assertionBackdate = 5   // seconds: Moodle has no leeway for iat
	tokenEarly        = time.Minute
	tokenDefaultLife  = 300 * time.Second
	tokenMinLife      = 30 * time.Second
	tokenMaxLife      = 24 * time.Hour
	tokenMaxBytes     = 64 << 10
	refusalLife       = time.Minute // how long a refusal is believed without asking again
	assertionType     = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// tokenCache keeps access tokens, and refusals, in memory per registration and scopes.
type tokenCache struct {
	mu     *sync.Mutex
	tokens map[tokenKey]accessToken
}

// tokenKey holds all that a token depends on: a registration that was changed asks anew.
type tokenKey struct{ registration, clientID, tokenURL, audience, scopes string }

// accessToken is what the platform gave, or why it gave nothing.
type accessToken struct {
	key     tokenKey
	value   string
	granted []string // nil: all that was asked for
	refused *ServiceError
	until   time.Time
}

// grants reports whether the token serves for the scope. Without scope in the answer all
// that was asked for is granted (RFC 6749, section 5.1).
func (t accessToken) grants(scope string) bool {
	return t.refused == nil && (t.granted == nil || slices.Contains(t.granted, scope))
}

func newTokenCache() tokenCache {
	return tokenCache{mu: &sync.Mutex{}, tokens: map[tokenKey]accessToken{}}
}

func (c tokenCache) get(k tokenKey, now time.Time) (accessToken, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.tokens[k]
	return t, ok && now.Before(t.until)
}

func (c tokenCache) put(t accessToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[t.key] = t
}

// drop forgets a token that was refused, unless a younger one has taken its place.
func (c tokenCache) drop(t accessToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens[t.key].value == t.value {
		delete(c.tokens, t.key)
	}
}

func keyOf(r Registration, scopes []string) tokenKey {
	sorted := slices.Compact(slices.Sorted(slices.Values(scopes)))
	return tokenKey{r.ID, r.ClientID, r.TokenURL, r.audience(), strings.Join(sorted, " ")}
}

// token returns an access token (Security Framework 1.0, section 4.1), cached or new, that
// serves for the first of scopes. Where a platform does not give all of them at once, the
// first is asked for alone.
func (s *Services) token(ctx context.Context, r Registration, scopes []string) (accessToken, error) {
	if t, known := s.tokens.get(keyOf(r, nil), s.deps.Now()); known {
		return accessToken{}, t.refused // the tool's key was refused a moment ago, whatever the scope
	}
	t, err := s.sharedToken(ctx, r, scopes)
	switch {
	case err != nil:
		return accessToken{}, err
	case t.grants(scopes[0]):
		return t, nil
	case len(scopes) > 1:
		return s.token(ctx, r, scopes[:1])
	case t.refused != nil:
		return accessToken{}, t.refused
	}
	return accessToken{}, &ServiceError{
		Op: askForAccess, URL: r.TokenURL, Status: http.StatusOK, Reason: ReasonScopeNotGranted,
		err: fmt.Errorf("asked for %s, granted %q", scopes[0], show(strings.Join(t.granted, " "))),
	}
}

// sharedToken asks once for many callers.
func (s *Services) sharedToken(ctx context.Context, r Registration, scopes []string) (accessToken, error) {
	key := keyOf(r, scopes)
	if t, ok := s.tokens.get(key, s.deps.Now()); ok {
		return t, nil
	}
	name := strings.Join([]string{key.registration, key.clientID, key.tokenURL, key.audience, key.scopes}, "\x00")
	done := s.flight.DoChan(name, func() (any, error) {
		if t, ok := s.tokens.get(key, s.deps.Now()); ok {
			return t, nil
		}
		// Others wait for this answer: it must not end with the first caller.
		t, err := s.requestToken(context.WithoutCancel(ctx), r, key)
		if err == nil {
			s.tokens.put(t)
		}
		return t, err
	})
	select {
	case <-ctx.Done():
		return accessToken{}, fmt.Errorf("wait for an access token: %w", ctx.Err())
	case res := <-done:
		t, ok := res.Val.(accessToken)
		if res.Err == nil && !ok {
			return t, errors.New("the request for an access token came to nothing")
		}
		return t, res.Err
	}
}

const askForAccess = "ask for an access token"

func (s *Services) requestToken(ctx context.Context, r Registration, key tokenKey) (accessToken, error) {
	assertion, err := s.assertion(ctx, r)
	if err != nil {
		return accessToken{}, err
	}
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_assertion_type": {assertionType},
		"client_assertion":      {assertion},
		"scope":                 {key.scopes},
	}
	now := s.deps.Now()
	answer, err := s.send(ctx, r, call{
		op: askForAccess, method: http.MethodPost, address: r.TokenURL,
		accept: "application/json", contentType: "application/x-www-form-urlencoded",
		body: []byte(form.Encode()), limit: tokenMaxBytes,
	})
	if err != nil {
		return accessToken{}, err
	}
	if answer.status == http.StatusOK || answer.status == http.StatusCreated {
		return readToken(answer, key, now)
	}
	refused := answer.tokenRefusal()
	switch {
	case refused.Reason == ReasonScopeNotGranted:
		return accessToken{key: key, refused: refused, until: now.Add(refusalLife)}, nil
	case refused.Reason == ReasonTokenRefused && !answer.blamesRequest():
		s.tokens.put(accessToken{key: keyOf(r, nil), refused: refused, until: now.Add(refusalLife)})
	}
	return accessToken{}, refused
}

// tokenRefusal tells a platform that does not let the tool use its services from one that
// does not know the tool (RFC 6749, section 5.2): other people mend it.
func (a answer) tokenRefusal() *ServiceError {
	refused := a.refusal()
	switch {
	case refused.Reason == ReasonBusy:
	case a.says(`"invalid_scope"`): // Moodle's answers are not always JSON
		refused.Reason = ReasonScopeNotGranted
	default:
		refused.Reason = ReasonTokenRefused
	}
	return refused
}

// blamesRequest reports whether the refusal is about this request rather than about the
// tool's key. Anything else is about the key, Moodle's `""kid" invalid"` included.
func (a answer) blamesRequest() bool {
	return a.says(`"invalid_request"`) || a.says(`"unauthorized_client"`) || a.says(`"unsupported_grant_type"`)
}

// assertion signs the tool's proof of identity (Security Framework 1.0, section 4.1.1).
func (s *Services) assertion(ctx context.Context, r Registration) (string, error) {
	jti, err := randomText(s.deps.Rand, 16)
	if err != nil {
		return "", fmt.Errorf("make a token id: %w", err)
	}
	now := s.deps.Now().Unix()
	signed, err := s.keys.sign(ctx, map[string]any{
		"iss": r.ClientID,
		"sub": r.ClientID,
		"aud": r.audience(),
		"iat": now - assertionBackdate,
		"exp": now + assertionLifetime,
		"jti": jti,
	})
	if err != nil {
		return "", fmt.Errorf("sign the token request: %w", err)
	}
	return signed, nil
}

// readToken reads a token answer. Its Content-Type is not looked at: Moodle says text/html.
func readToken(a answer, key tokenKey, now time.Time) (accessToken, error) {
	o, err := parseObject(a.body)
	if err != nil {
		return accessToken{}, a.fail(ReasonAnswer, err)
	}
	value, is := o.text("access_token")
	if is != present || value == "" || strings.ContainsFunc(value, notTokenCharacter) {
		return accessToken{}, a.withoutBody(ReasonAnswer, errors.New("no access_token"))
	}
	if kind, is := o.text("token_type"); is == wrongType || is == present && !strings.EqualFold(kind, "Bearer") {
		return accessToken{}, a.withoutBody(ReasonAnswer, errors.New("the token is not of type Bearer"))
	}
	life := tokenLife(o)
	t := accessToken{key: key, value: value, until: now.Add(max(life-tokenEarly, life/2))}
	if granted, is := o.text("scope"); is == present {
		t.granted = strings.Fields(granted)
		missing := func(scope string) bool { return !slices.Contains(t.granted, scope) }
		if slices.ContainsFunc(strings.Fields(key.scopes), missing) {
			t.until = minTime(t.until, now.Add(refusalLife)) // an administrator may be granting it right now
		}
	}
	return t, nil
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// notTokenCharacter keeps line breaks and the like out of the Authorization header.
func notTokenCharacter(r rune) bool { return r <= ' ' || r > '~' }

// tokenLife reads expires_in as number or text, within bounds.
func tokenLife(o object) time.Duration {
	seconds, is := o.number("expires_in")
	if text, isText := o.text("expires_in"); isText == present {
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			seconds, is = f, present
		}
	}
	if is != present || math.IsNaN(seconds) || seconds <= 0 {
		return tokenDefaultLife
	}
	seconds = min(seconds, tokenMaxLife.Seconds())
	return max(time.Duration(seconds*float64(time.Second)), tokenMinLife)
}
