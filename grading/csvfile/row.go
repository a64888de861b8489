package csvfile

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// rounded is what a spreadsheet makes of a long number: 2.01812E+11.
var rounded = regexp.MustCompile(`^\d[.,]\d+[eE]\+?\d+$`)

// maxWord is the longest name, id or address that is looked at, in letters.
const maxWord = 250

// who finds the learner of a row. What the columns say must lead to one and the same.
func (r *rows) who(row *Row, cells []string) {
	h := r.header
	id, email, number := h.cell(cells, colLearner), h.cell(cells, colEmail), h.cell(cells, colNumber)
	for c, word := range map[column]string{colLearner: id, colNumber: number} {
		if rounded.MatchString(word) {
			row.Shown = cut(word)
			row.trouble(TroubleNobody, c, "“"+cut(word)+"” is a number that the spreadsheet has rounded. Format the column as text and export again.")
			return
		}
	}
	found, named := map[string]bool{}, column("")
	miss := false
	for _, try := range []struct {
		col  column
		word string
		hits []string
	}{
		{colLearner, id, r.find.subjects(id)},
		{colEmail, email, r.find.byEmail[strings.ToLower(email)]},
		{colNumber, number, r.find.byNumber[strings.ToLower(number)]},
	} {
		if try.word == "" {
			continue
		}
		if row.Shown == "" {
			row.Shown, named = cut(try.word), try.col
		}
		if len(try.hits) > 1 {
			row.trouble(TroubleSeveral, try.col, fmt.Sprintf("%d learners of the course have “%s”. Name this one by the learner id.", len(try.hits), cut(try.word)))
			return
		}
		miss = miss || len(try.hits) == 0
		for _, s := range try.hits {
			found[s] = true
		}
	}
	if named == "" {
		row.trouble(TroubleNobody, colLearner, "The row names nobody. Write the learner id, the e-mail address or the student number.")
		return
	}
	r.settle(row, named, found, miss)
}

// settle says whom the columns have found; named is the first of them that has something.
func (r *rows) settle(row *Row, named column, found map[string]bool, miss bool) {
	switch {
	case len(found) > 1:
		row.trouble(TroubleSeveral, named, "The columns name different learners. Correct one of them or leave it empty.")
	case len(found) == 0 && r.find.people.Why != "":
		row.trouble(TroubleNobody, named, "“"+row.Shown+"” is not known here, and the platform does not tell who is in the course. The learner has to open the activity once, or the platform has to share names and roles.")
	case len(found) == 0:
		row.trouble(TroubleNobody, named, "No learner of the course is “"+row.Shown+"”. Correct it, or enrol the learner.")
	default:
		for s := range found {
			row.Learner = s
		}
		if miss {
			row.Remark = "Only one of the columns was recognised."
		}
	}
}

func (l lookup) subjects(id string) []string {
	if _, ok := l.people.Find(id); ok && id != "" {
		return []string{id}
	}
	return nil
}

func (row *Row) trouble(code string, c column, words string) {
	if row.Trouble == nil {
		row.Trouble = &Trouble{Code: code, Column: string(c), Words: words}
	}
}

func cut(s string) string {
	if utf8.RuneCountInString(s) > maxWord {
		return string([]rune(s)[:maxWord]) + "…"
	}
	return s
}

// values reads everything else of a row.
func (r *rows) values(row *Row, cells []string) {
	r.name(row, cells)
	h := r.header
	score, percent, ok := figure(h.cell(cells, colScore))
	if !ok {
		row.trouble(TroubleValue, colScore, fmt.Sprintf("“%s” is no number. Write the result in figures, for example 85 or 85,5.", cut(h.cell(cells, colScore))))
	}
	maximum := r.options.Maximum
	if maximum == 0 || percent || h.percent {
		maximum = 100
	}
	if word := h.cell(cells, colMaximum); word != "" && !percent {
		if maximum, _, ok = figure(word); !ok || maximum == 0 {
			row.trouble(TroubleValue, colMaximum, fmt.Sprintf("“%s” is no maximum. Write the most that can be reached, for example 100.", cut(word)))
		}
	}
	if row.Trouble == nil && score > 2*maximum {
		row.trouble(TroubleValue, colScore, fmt.Sprintf("%s is more than twice the maximum, %s. Look whether the columns are right.", plain(score), plain(maximum)))
	}
	when := r.when(row, h.cell(cells, colDate))
	proof := h.cell(cells, colEvidence)
	if utf8.RuneCountInString(proof) > 500 {
		row.trouble(TroubleValue, colEvidence, "The evidence is longer than 500 letters. Write an address or a few words.")
	}
	if u, err := url.Parse(proof); strings.Contains(proof, "://") && (err != nil || u.Host == "") {
		row.trouble(TroubleValue, colEvidence, "The address of the evidence cannot be read. Write one that begins with https://.")
	}
	if row.Trouble != nil {
		return
	}
	row.Score, row.Maximum = score, maximum
	row.Raw, _ = json.Marshal(record{File: r.table.SHA256, Line: row.Line, Learner: row.Learner, Score: h.cell(cells, colScore), Maximum: maximum, Date: when, Evidence: proof})
}

// record is what is kept of a row: enough to explain the decision and to find the line in
// the file. Marshalling it cannot fail.
type record struct {
	File     string  `json:"file_sha256"`
	Line     int     `json:"line"`
	Learner  string  `json:"learner"`
	Score    string  `json:"score"` // as written
	Maximum  float64 `json:"maximum"`
	Date     string  `json:"date,omitempty"`
	Evidence string  `json:"evidence,omitempty"`
}

// name takes the platform's name of a learner, and that of the file where the platform
// tells none.
func (r *rows) name(row *Row, cells []string) {
	h := r.header
	given, family, whole := h.cell(cells, colGiven), h.cell(cells, colFamily), h.cell(cells, colName)
	if family == "" {
		given, family = "", strings.TrimSpace(given+" "+whole)
		if whole != "" {
			family = whole
		}
	}
	known, _ := r.find.people.Find(row.Learner)
	if known.Family == "" {
		row.Given, row.Family = given, family
		return
	}
	row.Given, row.Family = known.Given, known.Family
	if file := strings.TrimSpace(given + " " + family); file != "" && !sameWords(file, known.Given+" "+known.Family) {
		row.Remark = strings.TrimSpace(row.Remark + " The file has another name, “" + cut(file) + "”.")
	}
}

// sameWords compares two names without regard to order, case and commas: "Berg, Noor" is
// "Noor Berg".
func sameWords(a, b string) bool {
	words := func(s string) map[string]int {
		n := map[string]int{}
		for w := range strings.FieldsSeq(strings.ToLower(strings.ReplaceAll(s, ",", " "))) {
			n[w]++
		}
		return n
	}
	x, y := words(a), words(b)
	if len(x) != len(y) {
		return false
	}
	for w, n := range x {
		if y[w] != n {
			return false
		}
	}
	return true
}

// figure reads a number as people write it: 85, 85.5, 85,5, 1.234,5, 85 %, 17/20 is none.
func figure(s string) (f float64, percent, ok bool) {
	s, percent = strings.CutSuffix(s, "%")
	s = strings.ReplaceAll(strings.TrimSpace(s), " ", "")
	if dot, comma := strings.LastIndexByte(s, '.'), strings.LastIndexByte(s, ','); dot >= 0 && comma >= 0 {
		if dot > comma { // 1,234.5
			s = strings.ReplaceAll(s, ",", "")
		} else { // 1.234,5
			s = strings.ReplaceAll(s, ".", "")
		}
	}
	if strings.Trim(s, "0123456789.,") != "" { // no 0x10, Inf, 1e5 or -3
		return 0, percent, false
	}
	f, err := strconv.ParseFloat(strings.Replace(s, ",", ".", 1), 64)
	return f, percent, err == nil && !math.IsInf(f, 0) && f <= 1e9
}

func plain(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// when reads a date that can be read in one way only, and returns it as 2006-01-02.
func (r *rows) when(row *Row, s string) string {
	if s == "" {
		return ""
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2.1.2006", "2.1.2006 15:04"} {
		at, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if at.After(r.options.Now.Add(24*time.Hour)) || at.Year() < 1990 {
			row.trouble(TroubleValue, colDate, fmt.Sprintf("%s cannot be the day of a result. Correct it or leave it empty.", cut(s)))
		}
		return at.Format(time.DateOnly)
	}
	row.trouble(TroubleValue, colDate, fmt.Sprintf("“%s” can be read in more than one way or in none. Write dates as 2026-11-28.", cut(s)))
	return ""
}
