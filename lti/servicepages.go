package lti

import (
	"context"
	"errors"
	"fmt"
	"net/url"
)

const (
	maxPages = 500
	maxRows  = 50_000
)

var (
	// errTooMany is found in the error for a list with more rows or pages than is read.
	errTooMany = errors.New("too many rows or pages")
	// errEnough ends a list without being an error.
	errEnough = errors.New("enough")
)

// pages reads the list at c.address, page after page, and calls each with every answer;
// each returns how many rows it took. It reports whether the platform led back to a page
// that was read already. The next page has to be on the same host, or the token would go
// elsewhere.
func (s *Services) pages(ctx context.Context, r Registration, scopes []string, c call, each func(answer) (int, error)) (looped bool, err error) {
	first, err := url.Parse(c.address)
	if err != nil {
		return false, &ServiceError{Op: c.op, URL: show(c.address), Reason: ReasonAddress, err: err}
	}
	seen := map[string]bool{}
	rows := 0
	for c.address != "" {
		if seen[c.address] {
			return true, nil
		}
		seen[c.address] = true
		a, err := s.authorized(ctx, r, scopes, c)
		if err != nil {
			return false, err
		}
		n, err := each(a)
		if errors.Is(err, errEnough) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if rows += n; rows > maxRows || len(seen) > maxPages {
			return false, a.withoutBody(ReasonTooLarge, fmt.Errorf("%w: %d rows on %d pages", errTooMany, rows, len(seen)))
		}
		if c.address, err = nextPage(first, a); err != nil {
			return false, err
		}
	}
	return false, nil
}

// nextPage returns the address of the page after a, or nothing.
func nextPage(first *url.URL, a answer) (string, error) {
	link := related(a.header.Values("Link"), "next")
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
