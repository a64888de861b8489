package demolms

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// errFormula says that a calculation cannot be read or cannot work.
var errFormula = errors.New("calculation not understood")

var (
	formulaForm = regexp.MustCompile(`^=\s*(average|sum|max|min)\((.+)\)$`)
	formulaTerm = regexp.MustCompile(`^\[\[gi([0-9]+)\]\](?:\s*\*\s*([0-9]+(?:\.[0-9]+)?))?$`)
	formulaItem = regexp.MustCompile(`\[\[gi([0-9]+)\]\]`)
)

// term is one grade in a calculation, times a factor.
type term struct {
	item   int
	factor float64
}

// parseFormula reads a calculation such as =average([[gi2]],[[gi3]]*2), where
// the number is that of a line item: the part of Moodle's language a demo
// needs.
func parseFormula(s string) (op string, terms []term, err error) {
	m := formulaForm.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return "", nil, fmt.Errorf("%q: %w", s, errFormula)
	}
	for part := range strings.SplitSeq(m[2], ",") {
		t := formulaTerm.FindStringSubmatch(strings.TrimSpace(part))
		if t == nil {
			return "", nil, fmt.Errorf("%q in %q: %w", part, s, errFormula)
		}
		item, err := strconv.Atoi(t[1])
		if err != nil {
			return "", nil, fmt.Errorf("%q in %q: %w", part, s, errFormula)
		}
		factor := 1.0
		if t[2] != "" {
			if factor, err = strconv.ParseFloat(t[2], 64); err != nil {
				return "", nil, fmt.Errorf("%q in %q: %w", part, s, errFormula)
			}
		}
		terms = append(terms, term{item, factor})
	}
	return m[1], terms, nil
}

// SetFormula lets a line item be calculated from others of its course, for
// example =average([[gi2]],[[gi3]]*2); an empty formula ends it. The grade of a
// learner is calculated at each reading, until somebody types one or the tool
// posts a score: that stays, as in Moodle.
func (l *LMS) SetFormula(lineItem int, formula string) error {
	l.mu.Lock()
	err := l.setFormula(lineItem, formula)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.Save()
}

func (l *LMS) setFormula(id int, formula string) error {
	i, err := l.lineItem(id)
	if err != nil {
		return err
	}
	if formula = strings.TrimSpace(formula); formula != "" {
		if err := l.checkFormula(*i, formula, nil); err != nil {
			return err
		}
	}
	i.Formula = formula
	return nil
}

// checkFormula finds items of other courses and calculations that go round in
// a circle.
func (l *LMS) checkFormula(i LineItem, formula string, above []int) error {
	above = append(slices.Clone(above), i.ID)
	_, terms, err := parseFormula(formula)
	if err != nil {
		return err
	}
	for _, t := range terms {
		source, err := l.lineItem(t.item)
		if err != nil {
			return err
		}
		if source.Course != i.Course {
			return fmt.Errorf("line item %d is of another course: %w", source.ID, errFormula)
		}
		if slices.Contains(above, source.ID) {
			return fmt.Errorf("line item %d depends on itself: %w", source.ID, errFormula)
		}
		if source.Formula != "" {
			if err := l.checkFormula(*source, source.Formula, above); err != nil {
				return err
			}
		}
	}
	return nil
}

// grade is what a cell of the gradebook shows: what was stored, or what the
// calculation gives. The caller holds the lock.
func (l *LMS) grade(i LineItem, user string) Grade {
	g, stored := l.data.Grades[i.ID][user]
	if stored || i.Formula == "" {
		return g
	}
	op, terms, err := parseFormula(i.Formula)
	if err != nil {
		return Grade{}
	}
	var values []float64
	var latest time.Time
	for _, t := range terms {
		// A grade that is missing counts as nothing, as in Moodle.
		value := 0.0
		if source, err := l.lineItem(t.item); err == nil {
			if g := l.grade(*source, user); g.Score != nil {
				value = *g.Score * t.factor
				if g.At.After(latest) {
					latest = g.At
				}
			}
		}
		values = append(values, value)
	}
	if latest.IsZero() {
		return Grade{}
	}
	return Grade{Score: new(min(rounded(calculate(op, values)), i.Max)), At: latest}
}

func calculate(op string, values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	switch op {
	case "average":
		return sum / float64(len(values))
	case "max":
		return slices.Max(values)
	case "min":
		return slices.Min(values)
	default:
		return sum
	}
}

// remap points a calculation at the copies of its line items.
func remap(formula string, ids map[int]int) string {
	return formulaItem.ReplaceAllStringFunc(formula, func(s string) string {
		n, err := strconv.Atoi(formulaItem.FindStringSubmatch(s)[1])
		if err != nil || ids[n] == 0 {
			return s
		}
		return "[[gi" + strconv.Itoa(ids[n]) + "]]"
	})
}
