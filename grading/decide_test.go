package grading_test

import (
	"database/sql"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/templates"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	none := sql.NullFloat64{}
	score := func(f float64) sql.NullFloat64 { return sql.NullFloat64{Float64: f, Valid: true} }
	tests := []struct {
		name     string
		need     float64
		score    sql.NullFloat64
		maximum  float64
		complete bool
		code     string
		percent  float64
		sentence string
	}{
		{"no score", 55, none, 100, false, grading.BecauseNoScore, 0, "There is no score yet. At least 55 % is asked."},
		{"zero is a score", 55, score(0), 100, false, grading.BecauseBelow, 0, "Your score is 0 %; at least 55 % is asked. 55 % is missing."},
		{"below", 55, score(40), 100, false, grading.BecauseBelow, 40, "Your score is 40 %; at least 55 % is asked. 15 % is missing."},
		{"just below does not read as reached", 55, score(54.99), 100, false, grading.BecauseBelow, 54.9, "Your score is 54.9 %; at least 55 % is asked. 0.1 % is missing."},
		{"exactly", 55, score(55), 100, true, grading.BecauseReached, 55, "Your score is 55 %. At least 55 % is asked."},
		{"exactly, where the division is not exact", 55, score(5.5), 10, true, grading.BecauseReached, 55, "Your score is 55 %. At least 55 % is asked."},
		{"another maximum", 70, score(14), 20, true, grading.BecauseReached, 70, "Your score is 70 %. At least 70 % is asked."},
		{"a third", 33.3, score(1), 3, true, grading.BecauseReached, 33.3, "Your score is 33.3 %. At least 33.3 % is asked."},
		{"bonus points count", 100, score(110), 100, true, grading.BecauseReached, 110, "Your score is 110 %. At least 100 % is asked."},
		{"negative", 10, score(-5), 100, false, grading.BecauseBelow, -5, "Your score is -5 %; at least 10 % is asked. 15 % is missing."},
		{"maximum zero is no score", 55, score(80), 0, false, grading.BecauseNoScore, 0, "There is no score yet. At least 55 % is asked."},
		{"negative maximum is no score", 55, score(80), -100, false, grading.BecauseNoScore, 0, "There is no score yet. At least 55 % is asked."},
		{"infinite maximum is no score", 55, score(80), math.Inf(1), false, grading.BecauseNoScore, 0, "There is no score yet. At least 55 % is asked."},
		{"a maximum that is no number is no score", 55, score(80), math.NaN(), false, grading.BecauseNoScore, 0, "There is no score yet. At least 55 % is asked."},
		{"a score that is no number is no score", 55, score(math.NaN()), 100, false, grading.BecauseNoScore, 0, "There is no score yet. At least 55 % is asked."},
		{"an infinite score is no score", 55, score(math.Inf(1)), 100, false, grading.BecauseNoScore, 0, "There is no score yet. At least 55 % is asked."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := grading.Decide(templates.Rule{MinPercent: test.need}, grading.Evidence{Score: test.score, Maximum: test.maximum})
			want := grading.Decision{Complete: test.complete, Reasons: []grading.Reason{{Code: test.code, Percent: test.percent, Need: test.need}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if s := got.Reasons[0].Sentence(); s != test.sentence {
				t.Errorf("sentence %q, want %q", s, test.sentence)
			}
		})
	}
}

// FuzzDecide: a completion always has a finite score that reaches the rule, and more
// points never undo a completion.
func FuzzDecide(f *testing.F) {
	f.Add(55.0, 54.99, 100.0)
	f.Add(55.0, 5.5, 10.0)
	f.Add(100.0, 1e308, 1e-308)
	f.Fuzz(func(t *testing.T, need, points, maximum float64) {
		if !(need > 0 && need <= 100) {
			return // not a rule that Attach accepts
		}
		decide := func(p float64) grading.Decision {
			return grading.Decide(templates.Rule{MinPercent: need}, grading.Evidence{Score: sql.NullFloat64{Float64: p, Valid: true}, Maximum: maximum})
		}
		d := decide(points)
		if len(d.Reasons) != 1 {
			t.Fatalf("reasons: %v", d.Reasons)
		}
		if d.Complete != (d.Reasons[0].Code == grading.BecauseReached) {
			t.Errorf("complete %v for the reason %q", d.Complete, d.Reasons[0].Code)
		}
		if more := math.Nextafter(points, math.Inf(1)); d.Complete && !math.IsInf(more, 0) && !decide(more).Complete {
			t.Errorf("%v of %v completes, %v does not", points, maximum, more)
		}
	})
}
