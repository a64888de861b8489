package lti

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sealsmith/sealsmith/lti/fetch"
)

const (
	pageMaxBytes = 4 << 20
	maxPages     = 500
	maxRows      = 50_000
	maxWait      = 24 * 60 * 60 // seconds of Retry-After that are believed
)

// call is one request to a platform.
type call struct {
	op, method, address string
	accept, contentType string
	bearer              string
	body                []byte
	limit               int64
}

// answer is a complete reply, whatever its status.
type answer struct {
	call   call
	status int
	reason string // of the status line: Moodle puts its explanation there
	header http.Header
	body   []byte
}

// send performs c. The error is a *ServiceError, or that of a cancelled ctx inside one.
func (s *Services) send(ctx context.Context, r Registration, c call) (answer, error) {
	if err := validateURL("the address", c.address); err != nil {
		return answer{}, &ServiceError{Op: c.op, URL: show(c.address), Reason: ReasonAddress, err: err}
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.address, bytes.NewReader(c.body))
	if err != nil {
		return answer{}, &ServiceError{Op: c.op, URL: show(c.address), Reason: ReasonAddress, err: err}
	}
	req.Header.Set("Accept", c.accept)
	if c.contentType != "" {
		req.Header.Set("Content-Type", c.contentType)
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	res, err := s.deps.HTTP(r).Do(req)
	if err != nil {
		reason := ReasonUnreachable
		if errors.Is(err, fetch.ErrBlocked) {
			reason = ReasonAddress
		}
		return answer{}, &ServiceError{Op: c.op, URL: c.address, Reason: reason, err: err}
	}
	defer res.Body.Close()
	a := answer{call: c, status: res.StatusCode, header: res.Header}
	a.reason = strings.TrimSpace(strings.TrimPrefix(res.Status, strconv.Itoa(res.StatusCode)))
	if a.body, err = fetch.Read(res.Body, c.limit); err != nil {
		reason := ReasonUnreachable
		if errors.Is(err, fetch.ErrTooLarge) {
			reason = ReasonTooLarge
		}
		return answer{}, &ServiceError{Op: c.op, URL: c.address, Status: res.StatusCode, Reason: reason, err: err}
	}
	return a, nil
}

// authorized performs c with a token for scope. A token that is refused is dropped and
// one new one is tried, because platforms forget tokens before their time.
func (s *Services) authorized(ctx context.Context, r Registration, scope string, c call) (answer, error) {
	for attempt := 0; ; attempt++ {
		bearer, err := s.token(ctx, r, scope)
		if err != nil {
			return answer{}, err
		}
		c.bearer = bearer
		a, err := s.send(ctx, r, c)
		if err != nil {
			return answer{}, err
		}
		switch {
		case a.status >= 200 && a.status < 300:
			return a, nil
		case a.status == http.StatusUnauthorized && attempt == 0:
			s.tokens.drop(keyOf(r, []string{scope}), bearer)
		default:
			return answer{}, a.refusal()
		}
	}
}

// refusal turns an answer that is no success into an error.
func (a answer) refusal() *ServiceError {
	reason := ReasonRejected
	switch {
	case a.status == http.StatusUnauthorized:
		reason = ReasonUnauthorized
	case a.status == http.StatusForbidden:
		reason = ReasonForbidden
	case a.status == http.StatusNotFound || a.status == http.StatusGone:
		reason = ReasonGone
	case a.status == http.StatusTooManyRequests || a.status == http.StatusRequestTimeout || a.status >= 500:
		reason = ReasonBusy
	case a.status < 400:
		reason = ReasonAnswer
	}
	return a.fail(reason, nil)
}

func (a answer) fail(reason string, err error) *ServiceError {
	e := a.withoutBody(reason, err)
	e.Body = a.excerpt()
	return e
}

// withoutBody is for answers whose body may hold a token.
func (a answer) withoutBody(reason string, err error) *ServiceError {
	e := &ServiceError{Op: a.call.op, URL: a.call.address, Status: a.status, Reason: reason, err: err}
	if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && wait > 0 {
		e.RetryAfter = min(wait, maxWait)
	}
	return e
}

// excerpt returns what the platform said: the beginning of the body, or the reason phrase
// where the body says nothing.
func (a answer) excerpt() string {
	body := strings.TrimSpace(string(a.body[:min(len(a.body), 4*shownLength)]))
	if body == "" || body == "[]" || body == "{}" {
		body = a.reason
	}
	return show(body)
}

// pages reads the list at address, page after page, and calls each with one page's body.
// The next page has to be on the same host, or the token would go elsewhere; each returns
// how many rows it took.
func (s *Services) pages(ctx context.Context, r Registration, scope string, c call, each func(answer) (int, error)) error {
	first, err := url.Parse(c.address)
	if err != nil {
		return &ServiceError{Op: c.op, URL: show(c.address), Reason: ReasonAddress, err: err}
	}
	seen := map[string]bool{}
	rows := 0
	for c.address != "" && !seen[c.address] {
		seen[c.address] = true
		a, err := s.authorized(ctx, r, scope, c)
		if err != nil {
			return err
		}
		n, err := each(a)
		if err != nil {
			return err
		}
		if rows += n; rows > maxRows || len(seen) > maxPages {
			return a.withoutBody(ReasonTooLarge, fmt.Errorf("%d rows on %d pages", rows, len(seen)))
		}
		if c.address, err = nextPage(first, a); err != nil {
			return err
		}
	}
	return nil
}

// nextPage returns the address of the page after a, or nothing.
func nextPage(first *url.URL, a answer) (string, error) {
	link := relNext(a.header.Values("Link"))
	if link == "" {
		return "", nil
	}
	here, err := url.Parse(a.call.address)
	if err != nil {
		return "", a.withoutBody(ReasonAddress, err)
	}
	next, err := here.Parse(link)
	if err != nil {
		return "", a.withoutBody(ReasonAnswer, fmt.Errorf("next page: %w", err))
	}
	if next.User != nil || origin(next) != origin(first) {
		return "", a.withoutBody(ReasonForeignPage, fmt.Errorf("from %s to %s", first.Host, show(next.Host)))
	}
	return next.String(), nil
}
