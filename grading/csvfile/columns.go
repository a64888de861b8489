package csvfile

import (
	"fmt"
	"slices"
	"strings"
)

// column is what a column of a file is for.
type column string

const (
	colLearner  column = "learner id"
	colEmail    column = "e-mail"
	colNumber   column = "student number"
	colGiven    column = "given name"
	colFamily   column = "family name"
	colName     column = "name"
	colScore    column = "score"
	colMaximum  column = "maximum"
	colDate     column = "date"
	colEvidence column = "evidence"
)

// columnOf knows the headers that people and platforms write: our own words first, then
// those of exports of Moodle, Canvas, Open edX, Coursera and Brightspace.
func columnOf(header string) (column, bool) {
	key := strings.NewReplacer(" ", "", "_", "", "-", "", ".", "", "#", "").Replace(strings.ToLower(strings.TrimSpace(header)))
	switch key {
	case "learner", "learnerid", "userid", "lmsuserid", "ltiuserid", "sub", "ltisub":
		return colLearner, true
	case "email", "mail", "emailaddress", "emailadresse":
		return colEmail, true
	case "username", "login", "studentnumber", "studentid", "idnumber", "sisuserid", "sisid", "sourcedid", "orgdefinedid", "matriculation", "matrikelnummer", "number":
		return colNumber, true
	case "givenname", "firstname", "vorname", "voornaam", "prénom":
		return colGiven, true
	case "familyname", "lastname", "surname", "nachname", "achternaam", "nom":
		return colFamily, true
	case "name", "fullname", "student":
		return colName, true
	case "score", "grade", "points", "result", "finalscore", "percent", "percentage", "coursegrade",
		"coursetotal(real)", "coursetotal(percentage)", "punkte", "note", "cijfer":
		return colScore, true
	case "maximum", "max", "maxscore", "outof", "pointspossible":
		return colMaximum, true
	case "date", "completed", "completedat", "completiondate", "datum":
		return colDate, true
	case "evidence", "evidenceurl", "url", "link":
		return colEvidence, true
	}
	return "", false
}

// header is the first line, understood.
type header struct {
	at      map[column]int
	cells   int
	percent bool     // the header of the score says that it is in per cent
	ignored []string // headers of columns that are not read
}

func newHeader(cells []string) (header, error) {
	h := header{at: map[column]int{}, cells: len(cells)}
	for i, cell := range cells {
		c, ok := columnOf(tidy(cell))
		if !ok {
			if s := tidy(cell); s != "" {
				h.ignored = append(h.ignored, s)
			}
			continue
		}
		if before, twice := h.at[c]; twice {
			return h, refuse(fmt.Sprintf("Two columns could be the %s: “%s” and “%s”. Remove one of them or give it another header.", c, tidy(cells[before]), tidy(cell)))
		}
		h.at[c] = i
		h.percent = h.percent || c == colScore && strings.Contains(strings.ToLower(cell), "percent")
	}
	if !slices.ContainsFunc([]column{colLearner, colEmail, colNumber}, h.has) {
		return h, refuse("No column says who is meant. The first line has to name one “learner id”, “e-mail” or “student number”.")
	}
	if !h.has(colScore) {
		return h, refuse("No column has the results. The first line has to name one “score”.")
	}
	return h, nil
}

func (h header) has(c column) bool {
	_, ok := h.at[c]
	return ok
}

// cell is what a row has in a column; empty when it has none.
func (h header) cell(cells []string, c column) string {
	i, ok := h.at[c]
	if !ok || i >= len(cells) {
		return ""
	}
	return tidy(cells[i])
}

// tidy takes away what spreadsheets put around a value: spaces of all kinds, the apostrophe
// that keeps a number a text, and ="…" that does the same.
func tidy(s string) string {
	s = strings.TrimSpace(strings.NewReplacer("\u00a0", " ", "\u202f", " ", "\ufeff", "", "\u200b", "").Replace(s))
	if inner, ok := strings.CutPrefix(s, `="`); ok && strings.HasSuffix(inner, `"`) {
		s = strings.TrimSuffix(inner, `"`)
	}
	return strings.TrimSpace(strings.TrimPrefix(s, "'"))
}
