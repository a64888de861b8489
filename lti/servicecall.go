package lti

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/lti/fetch"
)

const pageMaxBytes = 4 << 20

// call is one request to a platform.
type call struct {
	op, method, address string
	accept, contentType string
	bearer              string
	body                []byte
	limit               int64
	// stream, if set, reads the body of a success in place of its being kept. It may be
	// called again for the next page.
	stream func(body io.Reader) error
}

// answer is a complete reply, whatever its status.
type answer struct {
	call   call
	at     time.Time
	status int
	reason string // of the status line: Moodle puts its explanation there
	header http.Header
	body   []byte
}

func (a answer) success() bool { return a.status >= 200 && a.status < 300 }

// send performs c, unless the host has asked to be left alone for a while. The error is a
// *ServiceError, or that of a cancelled ctx inside one.
func (s *Services) send(ctx context.Context, r Registration, c call) (answer, error) {
	if err := validateURL("the address", c.address); err != nil {
		return answer{}, &ServiceError{Op: c.op, URL: show(c.address), Reason: ReasonAddress, err: err}
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.address, bytes.NewReader(c.body))
	if err != nil {
		return answer{}, &ServiceError{Op: c.op, URL: show(c.address), Reason: ReasonAddress, err: err}
	}
	host := pauseKey{r.ID, strings.ToLower(req.URL.Host)}
	now := s.deps.Now()
	if until, waiting := s.pauses.get(host, now); waiting {
		return answer{}, &ServiceError{Op: c.op, URL: c.address, Reason: ReasonBusy, RetryAt: until, err: errPaused}
	}
	c.prepare(req.Header)
	res, err := s.deps.HTTP(r).Do(req)
	if err != nil {
		reason := ReasonUnreachable
		if errors.Is(err, fetch.ErrBlocked) {
			reason = ReasonAddress
		}
		return answer{}, &ServiceError{Op: c.op, URL: c.address, Reason: reason, err: err}
	}
	defer res.Body.Close()
	a := answer{call: c, at: now, status: res.StatusCode, header: res.Header}
	a.reason = strings.TrimSpace(strings.TrimPrefix(res.Status, strconv.Itoa(res.StatusCode)))
	if err := a.read(res.Body); err != nil {
		return answer{}, err
	}
	if !a.success() {
		if refused := a.refusal(); refused.Reason == ReasonBusy && !refused.RetryAt.IsZero() {
			s.pauses.put(host, refused.RetryAt, now)
		}
	}
	return a, nil
}

func (c call) prepare(h http.Header) {
	if c.accept != "" {
		h.Set("Accept", c.accept)
	}
	if c.contentType != "" {
		h.Set("Content-Type", c.contentType)
	}
	if c.bearer != "" {
		h.Set("Authorization", "Bearer "+c.bearer)
	}
}

// read takes the body, whole or as a stream.
func (a *answer) read(body io.Reader) error {
	if a.success() && a.call.stream != nil {
		bounded := &boundedReader{from: body, left: a.call.limit}
		err := a.call.stream(bounded)
		switch {
		case err == nil:
			return nil
		case bounded.err == nil: // everything arrived, and is not what it should be
			return a.withoutBody(ReasonAnswer, err)
		}
		return a.unread(bounded.err)
	}
	limit := a.call.limit
	if a.call.stream != nil { // a refusal is short
		limit = pageMaxBytes
	}
	var err error
	if a.body, err = fetch.Read(body, limit); err != nil {
		return a.unread(err)
	}
	return nil
}

func (a *answer) unread(err error) *ServiceError {
	reason := ReasonUnreachable
	if errors.Is(err, fetch.ErrTooLarge) {
		reason = ReasonTooLarge
	}
	return &ServiceError{Op: a.call.op, URL: a.call.address, Status: a.status, Reason: reason, err: err}
}

// boundedReader fails above its limit, and keeps the error that was not the end.
type boundedReader struct {
	from io.Reader
	left int64
	err  error
}

// Read implements io.Reader.
func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		n, err = 0, fetch.ErrTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// authorized performs c with a token for scopes, of which the first is needed and the
// others are asked along, because a later call needs them. A token that is refused is
// dropped and one new one is tried, because platforms forget tokens before their time.
func (s *Services) authorized(ctx context.Context, r Registration, scopes []string, c call) (answer, error) {
	for attempt := 0; ; attempt++ {
		bearer, err := s.token(ctx, r, scopes)
		if err != nil {
			return answer{}, err
		}
		c.bearer = bearer.value
		a, err := s.send(ctx, r, c)
		if err != nil {
			return answer{}, err
		}
		switch {
		case a.success():
			return a, nil
		case a.status == http.StatusUnauthorized && attempt == 0:
			s.tokens.drop(bearer)
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
	case a.status == http.StatusForbidden && a.says("above_response_limit"): // Open edX
		reason = ReasonAboveLimit
	case a.status == http.StatusForbidden && a.says("rate limit exceeded"): // older Canvas
		reason = ReasonBusy
	case a.status == http.StatusForbidden:
		reason = ReasonForbidden
	case a.status == http.StatusNotFound || a.status == http.StatusGone:
		reason = ReasonGone
	case a.status == http.StatusConflict:
		reason = ReasonConflict
	case a.status == http.StatusTooManyRequests || a.status == http.StatusRequestTimeout || a.status >= 500:
		reason = ReasonBusy
	case a.status < 400:
		reason = ReasonAnswer
	}
	return a.fail(reason, nil)
}

// says reports whether the status line or the beginning of the body holds the words, which
// are in lower case.
func (a answer) says(words string) bool {
	return strings.Contains(strings.ToLower(a.reason), words) ||
		bytes.Contains(bytes.ToLower(a.body[:min(len(a.body), 4<<10)]), []byte(words))
}

func (a answer) fail(reason string, err error) *ServiceError {
	e := a.withoutBody(reason, err)
	e.Body = a.excerpt()
	return e
}

// withoutBody is for answers whose body may hold a token.
func (a answer) withoutBody(reason string, err error) *ServiceError {
	return &ServiceError{
		Op: a.call.op, URL: a.call.address, Status: a.status, Reason: reason,
		Phrase: a.phrase(), RetryAt: retryAt(a.header.Get("Retry-After"), a.at), err: err,
	}
}

// phrase returns the reason phrase where it says more than the status. Moodle appends what
// it received, people's scores and all: that is cut off.
func (a answer) phrase() string {
	said, _, _ := strings.Cut(a.reason, "{")
	if said = strings.TrimSpace(said); strings.EqualFold(said, http.StatusText(a.status)) || strings.EqualFold(said, "OK") {
		return ""
	}
	return show(said)
}

// excerpt returns the beginning of what the platform said.
func (a answer) excerpt() string {
	body := strings.TrimSpace(string(a.body[:min(len(a.body), 4*shownLength)]))
	if body == "[]" || body == "{}" {
		return ""
	}
	return show(body)
}

// isPage reports whether a success carries a page for people: a platform under maintenance
// answers 200 with HTML, and then nothing was done.
func (a answer) isPage() bool {
	body := bytes.TrimLeft(a.body, "\ufeff \t\r\n")
	html := strings.HasPrefix(strings.ToLower(a.header.Get("Content-Type")), "text/html")
	return len(body) > 0 && (body[0] == '<' || html && !json.Valid(body))
}

const maxWait = 24 * time.Hour // of Retry-After that is believed

// retryAt reads a Retry-After header (RFC 9110, section 10.2.3): seconds, or a date. It
// returns zero for one that names no time to come.
func retryAt(value string, now time.Time) time.Time {
	value = strings.TrimSpace(value)
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		wait = maxWait
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(now)
	}
	if wait <= 0 {
		return time.Time{}
	}
	return now.Add(min(wait, maxWait))
}

// foreign reports whether an address that a platform named in an answer leads elsewhere:
// the token must not go there.
func (a answer) foreign(r Registration, to *url.URL) bool {
	from, err := url.Parse(a.call.address)
	if err != nil || to.User != nil {
		return true
	}
	ours := origin(to) == origin(from) || secureOrLoopback(to) && r.ownsHost(to.Hostname())
	return !ours
}

// named returns an address that the answer names, made absolute; nothing when it is none,
// or foreign.
func (a answer) named(r Registration, address string) string {
	from, err := url.Parse(a.call.address)
	if err != nil || address == "" {
		return ""
	}
	to, err := from.Parse(address)
	if err != nil || validateURL("the address", to.String()) != nil || a.foreign(r, to) {
		return ""
	}
	if u, err := url.Parse(address); err == nil && u.IsAbs() {
		return address // as the platform writes it
	}
	return to.String()
}
