package demolms

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// postedScore is a score of a tool (AGS 2.0 section 3.4). The user id may be a
// number, as Moodle accepts it.
type postedScore struct {
	UserID           any      `json:"userId"`
	ScoreGiven       *float64 `json:"scoreGiven"`
	ScoreMaximum     *float64 `json:"scoreMaximum"`
	ActivityProgress string   `json:"activityProgress"`
	GradingProgress  string   `json:"gradingProgress"`
	Timestamp        string   `json:"timestamp"`
	Comment          string   `json:"comment"`
}

func (s postedScore) user() string {
	switch id := s.UserID.(type) {
	case string:
		return id
	case float64:
		return strconv.FormatFloat(id, 'f', -1, 64)
	default:
		return ""
	}
}

// scoreRefused has an empty list for a body: Moodle puts the reason into the
// HTTP reason phrase, where few clients look.
func scoreRefused(status int, phrase string) reply {
	return reply{status: status, kind: typeScore, body: "[]", phrase: phrase}
}

// postScore stores a score. Only FullyGraded counts, anything else is
// accepted and empties the grade; a grade typed by the teacher stays.
func (l *LMS) postScore(r serviceRequest) reply {
	i, no := l.item(r)
	if i == nil {
		return no
	}
	incorrect := "Incorrect score received" + string(r.body)
	var s postedScore
	if err := json.Unmarshal(r.body, &s); err != nil {
		return scoreRefused(http.StatusBadRequest, incorrect)
	}
	at, err := parseTime(s.Timestamp)
	if err != nil || s.ActivityProgress == "" || s.GradingProgress == "" ||
		(s.ScoreGiven != nil && (*s.ScoreGiven < 0 || s.ScoreMaximum == nil || *s.ScoreMaximum <= 0)) {
		return scoreRefused(http.StatusBadRequest, incorrect)
	}
	u, err := l.user(s.user())
	if err != nil || u.ID != s.user() || u.Role != Learner {
		return scoreRefused(http.StatusBadRequest, incorrect)
	}
	g := l.data.Grades[i.ID][u.ID]
	if !g.At.IsZero() && g.At.Unix() >= at.Unix() {
		return scoreRefused(http.StatusConflict, fmt.Sprintf("Refusing score with an earlier timestamp for item %d and user %s", i.ID, u.ID))
	}
	if !g.Overridden {
		g = Grade{At: at.UTC(), Comment: s.Comment}
		if s.ScoreGiven != nil && s.GradingProgress == "FullyGraded" {
			g.Score = new(min(rounded(*s.ScoreGiven*i.Max / *s.ScoreMaximum), i.Max))
		}
		l.putGrade(i.ID, u.ID, g)
	}
	return reply{status: http.StatusOK, kind: typeScore}
}

// rounded keeps five decimals, as Moodle's grade tables do.
func rounded(score float64) float64 { return math.Round(score*1e5) / 1e5 }

// parseTime takes what Moodle takes: ISO 8601 with any zone, or none.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05-0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Parse("2006-01-02T15:04:05", s)
}

// result is one row of the results service (AGS 2.0 section 3.3).
type result struct {
	ID            string  `json:"id"`
	UserID        string  `json:"userId"`
	ResultScore   float64 `json:"resultScore"`
	ResultMaximum float64 `json:"resultMaximum"`
	Comment       string  `json:"comment,omitempty"`
	ScoreOf       string  `json:"scoreOf"`
	Timestamp     string  `json:"timestamp"`
}

// resultTime is how Moodle writes the time of a grade.
const resultTime = "2006-01-02T15:04:05+00:00"

// listResults shows who has a grade. Asking for pages breaks it, as in Moodle.
func (l *LMS) listResults(r serviceRequest) reply {
	i, no := l.item(r)
	if i == nil {
		return no
	}
	paged := l.knobs[PageResults] != Off
	if r.query.Get("limit") != "" && !paged {
		return reply{status: http.StatusNotFound, kind: "text/html", body: "<!DOCTYPE html><title>Error</title><p>Call to a member function out() on null</p>"}
	}
	rows := []any{}
	if l.takeLocked(ResultsOdd) != Off {
		rows = oddResults(l.lineItemURL(*i))
	}
	twice := l.takeLocked(ResultsTwice) != Off
	for _, u := range l.data.Users {
		g := l.grade(*i, u.ID)
		if g.Score == nil || (r.query.Get("user_id") != "" && r.query.Get("user_id") != u.ID) {
			continue
		}
		row := result{
			ID:     l.itemURL(*i, "/results") + "&user_id=" + url.QueryEscape(u.ID),
			UserID: u.ID, ResultScore: *g.Score, ResultMaximum: i.Max, Comment: g.Comment,
			ScoreOf: l.lineItemURL(*i), Timestamp: g.At.UTC().Format(resultTime),
		}
		rows = append(rows, row)
		if twice {
			row.ResultScore, row.Timestamp = row.ResultScore/2, g.At.Add(-time.Hour).UTC().Format(resultTime)
			rows = append(rows, row)
		}
	}
	e := l.extent(r.query, len(rows), PageResults)
	answer := encoded(http.StatusOK, typeResults, rows[e.from:e.to])
	answer.link = l.next(r, e)
	return answer
}

func oddResults(item string) []any {
	row := func(user any, score, maximum any) map[string]any {
		return map[string]any{"id": item + "#odd", "scoreOf": item, "userId": user, "resultScore": score, "resultMaximum": maximum}
	}
	rows := []any{row("424240", -5, 100), row("424241", "85", 100), row("424242", 3, 0), row("424243", nil, 100)}
	return append(rows, map[string]any{"id": item + "#odd", "scoreOf": item, "resultScore": 80, "resultMaximum": 100})
}
