package demolms

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"slices"
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
func scoreRefused(status int) reply { return reply{status: status, kind: typeScore, body: "[]"} }

// postScore stores a score. Only FullyGraded counts, anything else is
// accepted and empties the grade; a grade typed by the teacher stays.
func (l *LMS) postScore(r serviceRequest) reply {
	i, no := l.item(r)
	if i == nil {
		return no
	}
	var s postedScore
	if err := json.Unmarshal(r.body, &s); err != nil {
		return scoreRefused(http.StatusBadRequest)
	}
	at, err := parseTime(s.Timestamp)
	if err != nil || s.ActivityProgress == "" || s.GradingProgress == "" ||
		(s.ScoreGiven != nil && (*s.ScoreGiven < 0 || s.ScoreMaximum == nil || *s.ScoreMaximum <= 0)) {
		return scoreRefused(http.StatusBadRequest)
	}
	u, err := l.user(s.user())
	if err != nil || u.ID != s.user() || u.Role != Learner {
		return scoreRefused(http.StatusBadRequest)
	}
	g := l.data.Grades[i.ID][u.ID]
	if !g.At.IsZero() && g.At.Unix() >= at.Unix() {
		return scoreRefused(http.StatusConflict)
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

// listResults shows who has a grade. Asking for pages breaks it, as in Moodle.
func (l *LMS) listResults(r serviceRequest) reply {
	i, no := l.item(r)
	if i == nil {
		return no
	}
	if r.query.Get("limit") != "" {
		return reply{status: http.StatusNotFound, kind: "text/html", body: "<!DOCTYPE html><title>Error</title><p>Call to a member function out() on null</p>"}
	}
	rows := []any{}
	if l.takeLocked(ResultsOdd) != Off {
		rows = oddResults(l.lineItemURL(*i))
	}
	for _, u := range l.data.Users {
		g := l.data.Grades[i.ID][u.ID]
		if g.Score == nil || (r.query.Get("user_id") != "" && r.query.Get("user_id") != u.ID) {
			continue
		}
		rows = append(rows, result{
			ID:     l.itemURL(*i, "/results") + "&user_id=" + url.QueryEscape(u.ID),
			UserID: u.ID, ResultScore: *g.Score, ResultMaximum: i.Max, Comment: g.Comment,
			ScoreOf: l.lineItemURL(*i), Timestamp: g.At.UTC().Format("2006-01-02T15:04:05+00:00"),
		})
	}
	return encoded(http.StatusOK, typeResults, rows)
}

func oddResults(item string) []any {
	row := func(user any, score, maximum any) map[string]any {
		return map[string]any{"id": item + "#odd", "scoreOf": item, "userId": user, "resultScore": score, "resultMaximum": maximum}
	}
	rows := []any{row("424240", -5, 100), row("424241", "85", 100), row("424242", 3, 0), row("424243", nil, 100)}
	return append(rows, map[string]any{"id": item + "#odd", "scoreOf": item, "resultScore": 80, "resultMaximum": 100})
}

func (l *LMS) membersURL(course string, t Tool) string {
	return l.cfg.Issuer + servicesPath + "CourseSection/" + course + "/bindings/" + url.PathEscape(t.DeploymentID) + "/memberships"
}

// member is one row of the membership list (NRPS 2.0 section 2.2). Roles are
// short names here although launches carry full addresses.
type member struct {
	Status     string           `json:"status"`
	Roles      []string         `json:"roles"`
	Message    []map[string]any `json:"message,omitempty"`
	UserID     string           `json:"user_id"`
	SourcedID  string           `json:"lis_person_sourcedid"`
	Name       string           `json:"name,omitempty"`
	GivenName  string           `json:"given_name,omitempty"`
	FamilyName string           `json:"family_name,omitempty"`
	Email      string           `json:"email,omitempty"`
	Username   string           `json:"ext_user_username,omitempty"`
}

// listMembers shows teachers and active learners; administrators are enrolled
// nowhere and suspended members are left out.
func (l *LMS) listMembers(r serviceRequest) reply {
	c, err := l.course(r.course)
	if err != nil {
		return refused(http.StatusNotFound, "Not Found: Course %s doesn't exist", r.course)
	}
	rlid := r.query.Get("rlid")
	if rlid != "" && !l.ownLink(r, rlid) {
		return refused(http.StatusNotFound, "Not Found: LTI link %s doesn't exist", rlid)
	}
	members := []member{}
	for _, u := range l.data.Users {
		if m, ok := l.member(u, r.tool, rlid); ok && roleMatches(m, r.query.Get("role")) {
			members = append(members, m)
		}
	}
	if l.takeLocked(MembersEmpty) != Off {
		members = []member{}
	}
	from, to, limit := page(r.query, len(members))
	answer := encoded(http.StatusOK, typeMembers, map[string]any{
		"id":      l.membersURL(c.ID, r.tool),
		"context": map[string]any{"id": c.ID, "label": c.Label, "title": c.Title}, "members": members[from:to],
	})
	if limit > 0 && to < len(members) {
		answer.link = "<" + l.membersURL(c.ID, r.tool) + "?limit=" + strconv.Itoa(limit) + "&from=" + strconv.Itoa(to) + `>; rel="next"`
	}
	return answer
}

func (l *LMS) member(u User, t Tool, rlid string) (member, bool) {
	if u.Role == Admin || u.Suspended {
		return member{}, false
	}
	m := member{Status: "Active", Roles: []string{"Learner"}, UserID: u.ID, SourcedID: u.IDNumber}
	if u.Role == Teacher {
		m.Roles = []string{"Instructor"}
	}
	if !t.HideNames {
		m.Name, m.GivenName, m.FamilyName, m.Email, m.Username = u.Name(), u.Given, u.Family, u.Email, u.Username
	}
	if rlid != "" {
		m.Message = []map[string]any{{claimMessageType: messageLaunch}}
	}
	return m, true
}

// roleMatches takes the short name and the full address of a role.
func roleMatches(m member, role string) bool {
	const membership = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
	return role == "" || slices.ContainsFunc(m.Roles, func(short string) bool { return role == short || role == membership+short })
}
