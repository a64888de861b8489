package lti

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Media types of AGS 2.0. Moodle compares the Accept header as a whole and answers 400 to
// anything else, a list included: exactly one is sent, without parameters.
const (
	mediaLineItem  = "application/vnd.ims.lis.v2.lineitem+json"
	mediaLineItems = "application/vnd.ims.lis.v2.lineitemcontainer+json"
	mediaResults   = "application/vnd.ims.lis.v2.resultcontainer+json"
)

func (s *Services) listLineItems(ctx context.Context, r Registration, address string, f LineItemFilter) ([]LineItem, error) {
	query := url.Values{}
	for name, value := range map[string]string{"resource_link_id": f.ResourceLinkID, "resource_id": f.ResourceID, "tag": f.Tag} {
		if value != "" {
			query.Set(name, value)
		}
	}
	const op = "list the line items"
	address, err := extend(address, "", query)
	if err != nil {
		return nil, &ServiceError{Op: op, URL: show(address), Reason: ReasonAddress, err: err}
	}
	var items []LineItem
	c := call{op: op, method: http.MethodGet, address: address, accept: mediaLineItems, limit: pageMaxBytes}
	err = s.withLineItemScope(func(scope string) error {
		items = nil
		return s.pages(ctx, r, scope, c, func(a answer) (int, error) {
			rows, err := readRows(a)
			if err != nil {
				return 0, err
			}
			for _, raw := range rows {
				item, err := readLineItem(raw)
				if err != nil {
					return 0, a.fail(ReasonAnswer, err)
				}
				if f.keeps(item) {
					items = append(items, item)
				}
			}
			return len(rows), nil
		})
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// keeps applies the filter again: it is optional for a platform to heed it. A member that
// the platform leaves out of its answer cannot be compared.
func (f LineItemFilter) keeps(i LineItem) bool {
	return (f.ResourceLinkID == "" || i.ResourceLinkID == "" || f.ResourceLinkID == i.ResourceLinkID) &&
		(f.ResourceID == "" || f.ResourceID == i.ResourceID) &&
		(f.Tag == "" || f.Tag == i.Tag)
}

// withLineItemScope reads with the lesser scope, and with the full one where a platform
// grants only that.
func (s *Services) withLineItemScope(read func(scope string) error) error {
	err := read(ScopeLineItemReadOnly)
	if refused, ok := errors.AsType[*ServiceError](err); ok &&
		(refused.Reason == ReasonTokenRefused || refused.Reason == ReasonScopeNotGranted) {
		if second := read(ScopeLineItem); second == nil {
			return nil
		}
	}
	return err
}

func (s *Services) readLineItem(ctx context.Context, r Registration, address string) (LineItem, error) {
	c := call{op: "read the line item", method: http.MethodGet, address: address, accept: mediaLineItem, limit: pageMaxBytes}
	var item LineItem
	err := s.withLineItemScope(func(scope string) error {
		a, err := s.authorized(ctx, r, scope, c)
		if err != nil {
			return err
		}
		if item, err = readLineItem(a.body); err != nil {
			return a.fail(ReasonAnswer, err)
		}
		return nil
	})
	if err == nil && item.ID == "" {
		item.ID = address
	}
	return item, err
}

func (s *Services) createLineItem(ctx context.Context, r Registration, address string, item LineItem) (LineItem, error) {
	const op = "create a line item"
	if strings.TrimSpace(item.Label) == "" || !(item.ScoreMaximum > 0) || math.IsInf(item.ScoreMaximum, 0) {
		return LineItem{}, fmt.Errorf("%s: it needs a label and a maximum above 0", op)
	}
	item.ID = ""
	body, err := marshal(item)
	if err != nil {
		return LineItem{}, err
	}
	a, err := s.authorized(ctx, r, ScopeLineItem, call{
		op: op, method: http.MethodPost, address: address,
		accept: mediaLineItem, contentType: mediaLineItem, body: body, limit: pageMaxBytes,
	})
	if err != nil {
		return LineItem{}, err
	}
	created, err := readLineItem(a.body)
	if err != nil && len(a.body) > 0 {
		return LineItem{}, a.fail(ReasonAnswer, err)
	}
	if created.ID == "" {
		created.ID = a.header.Get("Location")
	}
	if created.ID == "" {
		return LineItem{}, a.fail(ReasonAnswer, errors.New("the new line item has no id"))
	}
	return created, nil
}

func (s *Services) listResults(ctx context.Context, r Registration, lineItem, userID string) ([]Result, error) {
	const op = "read the results"
	query := url.Values{}
	if userID != "" {
		query.Set("user_id", userID)
	}
	// Never a limit: Moodle's results page fails with one.
	address, err := extend(lineItem, "/results", query)
	if err != nil {
		return nil, &ServiceError{Op: op, URL: show(lineItem), Reason: ReasonAddress, err: err}
	}
	var results []Result
	index := map[string]int{}
	c := call{op: op, method: http.MethodGet, address: address, accept: mediaResults, limit: pageMaxBytes}
	err = s.pages(ctx, r, ScopeResultReadOnly, c, func(a answer) (int, error) {
		rows, err := readRows(a)
		if err != nil {
			return 0, err
		}
		for _, raw := range rows {
			row, err := readResult(raw)
			if err != nil {
				return 0, a.fail(ReasonAnswer, err)
			}
			if userID != "" && row.UserID != userID {
				continue
			}
			if at, twice := index[row.UserID]; !twice {
				index[row.UserID] = len(results)
				results = append(results, row)
			} else if !row.Timestamp.Before(results[at].Timestamp) {
				results[at] = row
			}
		}
		return len(rows), nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// extend appends a sub-path before the query and parameters after it, and leaves both as
// they are otherwise: line item addresses carry queries (AGS 2.0, section 3.2).
func extend(address, subPath string, more url.Values) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return address, err
	}
	if subPath != "" {
		if u.RawPath != "" {
			u.RawPath += subPath
		}
		u.Path += subPath
	}
	if len(more) > 0 {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += more.Encode()
	}
	return u.String(), nil
}

func readRows(a answer) ([]json.RawMessage, error) {
	var rows []json.RawMessage
	if err := json.Unmarshal(a.body, &rows); err != nil {
		return nil, a.fail(ReasonAnswer, errors.New("the answer is not a list"))
	}
	return rows, nil
}

func readLineItem(raw []byte) (LineItem, error) {
	o, err := parseObject(raw)
	if err != nil {
		return LineItem{}, fmt.Errorf("line item: %w", err)
	}
	item := LineItem{ID: o.url("id"), Label: o.plain("label")}
	item.ResourceID, _ = o.text("resourceId")
	item.Tag, _ = o.text("tag")
	item.ResourceLinkID = o.textOrNumber("resourceLinkId")
	if maximum, is := o.lenientNumber("scoreMaximum"); is == present {
		item.ScoreMaximum = maximum
	}
	return item, nil
}

// readResult reads one row (AGS 2.0, section 3.3.4). A row without a user is a broken
// answer; a row whose numbers make no sense is kept, refused, so that somebody sees it.
func readResult(raw json.RawMessage) (Result, error) {
	o, err := parseObject(raw)
	if err != nil {
		return Result{}, fmt.Errorf("result: %w", err)
	}
	r := Result{UserID: o.textOrNumber("userId"), Maximum: 1, Raw: raw}
	if r.UserID == "" {
		return Result{}, errors.New("result: it names no user")
	}
	r.ID, _ = o.text("id")
	r.Comment, _ = o.text("comment")
	if stamp, is := o.text("timestamp"); is == present {
		if at, err := time.Parse(time.RFC3339, stamp); err == nil {
			r.Timestamp = at.UTC()
		}
	}
	maximum, is := o.lenientNumber("resultMaximum")
	switch {
	case is == wrongType || is == present && maximum <= 0:
		r.Refused = "the maximum is not a number above 0"
	case is == present:
		r.Maximum = maximum
	}
	score, is := o.lenientNumber("resultScore")
	switch {
	case is == wrongType:
		r.Refused = "the score is not a number"
	case is == present && score < 0:
		r.Refused = "the score is negative"
	case is == present && r.Refused == "":
		r.Score = &score
	}
	return r, nil
}

// lenientNumber also takes a number written as text; an empty text is absent.
func (o object) lenientNumber(name string) (float64, presence) {
	s, is := o.text(name)
	if is != present {
		return o.number(name)
	}
	if s = strings.TrimSpace(s); s == "" {
		return 0, absent
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, wrongType
	}
	return f, present
}

// textOrNumber returns an id that some platforms write as a number.
func (o object) textOrNumber(name string) string {
	if s, is := o.text(name); is == present {
		return s
	}
	if raw, ok := o.raw(name); ok {
		if _, is := o.number(name); is == present {
			return string(raw)
		}
	}
	return ""
}
