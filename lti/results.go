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

const mediaResults = "application/vnd.ims.lis.v2.resultcontainer+json" // as exact as those of line items

// Result is one learner's result in one line item (AGS 2.0, section 3.3).
type Result struct {
	ID      string
	UserID  string   // equals User.Subject of a launch
	Score   *float64 // nil: not graded
	Maximum float64  // > 0; 1 when the platform names none
	// Comment is what the platform sent, markup and all: escape it.
	Comment   string
	Timestamp time.Time // zero when absent or unreadable
	// Refused says why the row cannot be used ("the score is negative"); Score is then nil.
	Refused string
	Raw     json.RawMessage // the row as received
}

// Results returns the results of the line item at lineItemURL: of one user, or of all
// when userID is empty. Users without a grade are often left out by the platform. When a
// user appears twice, the later row counts. It returns all pages or an error, never a part.
func (s *Services) Results(ctx context.Context, r Registration, lineItemURL, userID string) ([]Result, error) {
	return s.listResults(ctx, r, lineItemURL, userID, []string{ScopeResultReadOnly})
}

func (s *Services) listResults(ctx context.Context, r Registration, lineItem, userID string, scopes []string) ([]Result, error) {
	const op = "read the results"
	query := url.Values{}
	if userID != "" {
		query.Set("user_id", userID)
	}
	if userID == "" && r.Quirks().ResultsLimit { // Moodle's results page fails with a limit
		query.Set("limit", strconv.Itoa(resultsPage))
	}
	address, err := extend(lineItem, "/results", query)
	if err != nil {
		return nil, &ServiceError{Op: op, URL: show(lineItem), Reason: ReasonAddress, err: err}
	}
	var results []Result
	index := map[string]int{}
	c := call{op: op, method: http.MethodGet, address: address, accept: mediaResults, limit: pageMaxBytes}
	_, err = s.pages(ctx, r, scopes, c, func(a answer) (int, error) {
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

const resultsPage = 100 // rows; the usual page of Canvas is 10

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
	r.Timestamp = o.moment("timestamp")
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
