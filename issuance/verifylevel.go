package issuance

import (
	"fmt"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// LevelReport says what the file carries besides the seal to prove it later: its JAdES baseline
// level (TS 119 182-1 v1.2.1, 6.1) and its time-stamps.
type LevelReport struct {
	// Claimed is the level that the parts in the file would make if all of them were good, Reached
	// the one that they make: B-B, B-T, B-LT or B-LTA, "" for none. Whether anybody trusted vouches
	// for the authorities behind it is said by the checks.
	Claimed string `json:"claimed"`
	Reached string `json:"reached"`
	// Words say in a sentence or two what that is worth.
	Words string `json:"words"`
	// ProvenAt is the earliest time at which the seal existed for certain, by a time-stamp whose
	// authority is trusted; zero without one.
	ProvenAt   time.Time         `json:"proven_at,omitzero"`
	Timestamps []TimestampReport `json:"timestamps,omitempty"`
}

// TimestampReport is one time-stamp in the file.
type TimestampReport struct {
	// Kind is adoTst (of the record, before sealing), sigTst (of the seal) or arcTst (of
	// everything that stands before it in the file).
	Kind string `json:"kind"`
	// Time is when the authority says it saw the bytes; zero when the time-stamp cannot be read.
	Time      time.Time `json:"time,omitzero"`
	Authority string    `json:"authority,omitempty"`
	Outcome   Outcome   `json:"outcome"`
	Reason    string    `json:"reason"`
	Words     string    `json:"words"`
}

// proof is what was found out about the only seal that is judged in full.
func (e *examination) proof() jades.Proof {
	if len(e.proofs) == 0 {
		return jades.Proof{}
	}
	return e.proofs[0]
}

func (e *examination) level() *LevelReport {
	p := e.proof()
	out := &LevelReport{Claimed: string(p.Claimed), Reached: string(p.Reached), ProvenAt: p.ProvenAt, Words: e.worth()}
	for _, s := range p.Timestamps {
		t := TimestampReport{Kind: s.Kind, Time: s.Time, Authority: s.Authority, Outcome: Outcome(s.Outcome), Reason: string(s.Reason)}
		t.Words = checkWords["timestamps."+t.Reason]
		if s.Outcome == jades.OK {
			t.Words = fmt.Sprintf("%s confirms that it existed on %s.", s.Authority, moment(s.Time))
		}
		out.Timestamps = append(out.Timestamps, t)
	}
	return out
}

// worth says what the level means for somebody who keeps the file.
func (e *examination) worth() string {
	p := e.proof()
	if p.Reached == jades.LevelNone {
		return levelWords[""]
	}
	words := levelWords[string(p.Reached)]
	switch {
	case p.Reached == jades.LevelB:
	case p.ProvenAt.IsZero():
		words = levelWords["unproven"] + " " + words
	default:
		words = fmt.Sprintf(levelWords["proven"], moment(p.ProvenAt)) + " " + words
	}
	if p.Claimed != p.Reached {
		words += fmt.Sprintf(" "+levelWords["claimed"], p.Claimed)
	}
	return words
}

// lacking are the reasons that say of revocation data that they do not say enough. That is no
// fault of the certificate, and a file without any such data has none of it: they belong to the
// level.
var lacking = []jades.Reason{jades.ReasonNoRevocationData, jades.ReasonStaleData}

// belongs says whether a finding is one for the check of that id.
func belongs(f jades.Finding, id string) bool {
	return f.Part != jades.PartRevocation || slices.Contains(lacking, f.Reason) == (id == "timestamps")
}

// timestamps says what the time-stamps and what came with them prove; false when the file has
// nothing of the kind.
func (e *examination) timestamps() (Answer, bool) {
	c := e.gather("timestamps", jades.PartTimestamps, jades.PartRevocation)
	if c.Outcome == OutcomeOK {
		c.Words = e.worth()
	}
	p := e.proof()
	return c, len(c.Details) > 0 || len(p.Timestamps) > 0
}
