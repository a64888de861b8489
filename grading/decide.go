package grading

import (
	"math"
	"strconv"

	"github.com/sealsmith/sealsmith/templates"
)

// Reason is one cause of a decision. Code is stable and chooses the sentence; the
// figures fill it in. Percentages are rounded down to one decimal, so that 54.99 never
// reads as 55.
type Reason struct {
	Code    string  `json:"code"` // one of the Because… constants
	Percent float64 `json:"percent,omitempty"`
	Need    float64 `json:"need"`
}

// Codes of reasons.
const (
	BecauseReached = "score-reached" // the score reaches what is asked
	BecauseBelow   = "score-below"   // there is a score, and it is lower
	BecauseNoScore = "score-missing" // there is no score yet
)

// Decision says whether the evidence completes the rule, and why.
type Decision struct {
	Complete bool
	Reasons  []Reason
}

// Decide applies rule to evidence. It is pure: the same input gives the same decision.
// A score above the maximum counts as it is (bonus points); a maximum that is not
// positive, or figures that are not finite, count as no score.
func Decide(rule templates.Rule, e Evidence) Decision {
	if !e.Score.Valid || !(e.Maximum > 0) || math.IsInf(e.Maximum, 0) || math.IsNaN(e.Score.Float64) || math.IsInf(e.Score.Float64, 0) {
		return Decision{Reasons: []Reason{{Code: BecauseNoScore, Need: rule.MinPercent}}}
	}
	// Compared by multiplication: 5.5 of 10 must reach 55 % although 5.5/10*100 need not be 55 exactly.
	complete := e.Score.Float64*100 >= rule.MinPercent*e.Maximum
	reason := Reason{Code: BecauseBelow, Percent: percent(e.Score.Float64, e.Maximum), Need: rule.MinPercent}
	if complete {
		reason.Code = BecauseReached
	}
	return Decision{Complete: complete, Reasons: []Reason{reason}}
}

func percent(score, maximum float64) float64 {
	return math.Floor(math.Round(score*100/maximum*1e6)/1e5) / 10
}

// Sentence says the reason in English, to the learner.
func (r Reason) Sentence() string {
	need := number(r.Need)
	switch r.Code {
	case BecauseReached:
		return "Your score is " + number(r.Percent) + " %. At least " + need + " % is asked."
	case BecauseBelow:
		return "Your score is " + number(r.Percent) + " %; at least " + need + " % is asked. " + number(math.Round((r.Need-r.Percent)*10)/10) + " % is missing."
	default:
		return "There is no score yet. At least " + need + " % is asked."
	}
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
