package jades

import (
	"fmt"
	"slices"
)

// prepare gathers what came along with the seal and judges its time-stamps.
func (e *examination) prepare() {
	e.certs = slices.Concat(e.sig.Chain, e.sig.values.Certificates)
	e.between = slices.DeleteFunc(slices.Clone(e.certs), selfSigned)
	e.evidence = e.evidenceOf(e.sig.values)
	e.collect()
	e.judge()
}

// added are the findings about everything that was added after sealing, with the level that
// comes out of it. The chain of the seal is known by now.
func (e *examination) added(proof *Proof) []Finding {
	out := e.report(proof)
	found, complete := e.withdrawn(proof.Claimed)
	proof.Reached = e.reached(complete)
	out = append(out, found...)
	if proof.Claimed == LevelB && len(e.stamps) == 0 {
		return out
	}
	level := Finding{Part: PartTimestamps, Outcome: OK, Reason: ReasonFine, Words: fmt.Sprintf("JAdES baseline level %s", proof.Reached)}
	if proof.Claimed != proof.Reached && proof.Reached != LevelNone {
		level.Outcome, level.Reason = Unknown, ReasonLevelNotReached
		level.Words = fmt.Sprintf("made up as JAdES baseline level %s, reaches %s", proof.Claimed, proof.Reached)
		if slices.ContainsFunc(e.stamps, func(s stampState) bool { return s.outcome == Failed }) {
			level.Outcome = Failed
		}
	}
	if proof.Reached == LevelNone {
		return out // the reason is a finding of its own
	}
	return append(out, level)
}
