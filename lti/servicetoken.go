package lti

import (
	"bytes"
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
	assertionType     = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// tokenCache keeps access tokens in memory, per registration and scope.
type tokenCache struct {
	mu     *sync.Mutex
	tokens map[tokenKey]accessToken
}

// tokenKey holds all that a token depends on: a registration that was changed asks anew.
type tokenKey struct{ registration, clientID, tokenURL, audience, scope string }

type accessToken struct {
	value string
	until time.Time
}

func newTokenCache() tokenCache {
	return tokenCache{mu: &sync.Mutex{}, tokens: map[tokenKey]accessToken{}}
}

func (c tokenCache) get(k tokenKey, now time.Time) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.tokens[k]
	return t.value, ok && now.Before(t.until)
}

func (c tokenCache) put(k tokenKey, t accessToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[k] = t
}

// drop forgets a token that was refused, unless a younger one has taken its place.
func (c tokenCache) drop(k tokenKey, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens[k].value == value {
		delete(c.tokens, k)
	}
}

func keyOf(r Registration, scopes []string) tokenKey {
	sorted := slices.Sorted(slices.Values(scopes))
	return tokenKey{r.ID, r.ClientID, r.TokenURL, r.audience(), strings.Join(sorted, " ")}
}

// token returns an access token (Security Framework 1.0, section 4.1), cached or new.
func (s *Services) token(ctx context.Context, r Registration, scope string) (string, error) {
	key := keyOf(r, []string{scope})
	if value, ok := s.tokens.get(key, s.deps.Now()); ok {
		return value, nil
	}
	name := strings.Join([]string{key.registration, key.clientID, key.tokenURL, key.audience, key.scope}, "\x00")
	done := s.flight.DoChan(name, func() (any, error) {
		if value, ok := s.tokens.get(key, s.deps.Now()); ok {
			return value, nil
		}
		// Others wait for this answer: it must not end with the first caller.
		t, err := s.requestToken(context.WithoutCancel(ctx), r, scope)
		if err != nil {
			return "", err
		}
		s.tokens.put(key, t)
		return t.value, nil
	})
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("wait for an access token: %w", ctx.Err())
	case res := <-done:
		if res.Err != nil {
			return "", res.Err
		}
		value, ok := res.Val.(string)
		if !ok {
			return "", errors.New("the request for an access token came to nothing")
		}
		return value, nil
	}
}

func (s *Services) requestToken(ctx context.Context, r Registration, scope string) (accessToken, error) {
	assertion, err := s.assertion(ctx, r)
	if err != nil {
		return accessToken{}, err
	}
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_assertion_type": {assertionType},
		"client_assertion":      {assertion},
		"scope":                 {scope},
	}
	now := s.deps.Now()
	answer, err := s.send(ctx, r, call{
		op: "ask for an access token", method: http.MethodPost, address: r.TokenURL,
		accept: "application/json", contentType: "application/x-www-form-urlencoded",
		body: []byte(form.Encode()), limit: tokenMaxBytes,
	})
	if err != nil {
		return accessToken{}, err
	}
	if answer.status != http.StatusOK && answer.status != http.StatusCreated {
		return accessToken{}, answer.tokenRefusal()
	}
	return readToken(answer, scope, now)
}

// tokenRefusal tells a platform that does not let the tool use its services from one that
// does not know the tool (RFC 6749, section 5.2): other people mend it.
func (a answer) tokenRefusal() *ServiceError {
	refused := a.refusal()
	switch {
	case refused.Reason == ReasonBusy:
	case bytes.Contains(a.body, []byte(`"invalid_scope"`)): // Moodle's answers are not always JSON
		refused.Reason = ReasonScopeNotGranted
	default:
		refused.Reason = ReasonTokenRefused
	}
	return refused
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
func readToken(a answer, scope string, now time.Time) (accessToken, error) {
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
	// Without scope in the answer all that was asked for is granted (RFC 6749, section 5.1).
	if granted, is := o.text("scope"); is == present && !slices.Contains(strings.Fields(granted), scope) {
		return accessToken{}, a.withoutBody(ReasonScopeNotGranted, fmt.Errorf("asked for %s, granted %q", scope, show(granted)))
	}
	life := tokenLife(o)
	return accessToken{value: value, until: now.Add(max(life-tokenEarly, life/2))}, nil
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
