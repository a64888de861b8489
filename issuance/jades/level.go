package jades

import (
	"crypto/x509"
	"slices"
	"time"
)

// Level is a JAdES baseline level (TS 119 182-1 v1.2.1, 6.1).
type Level string

// The levels, each one holding those before it. LevelNone is a seal that keeps the rules of no level.
const (
	LevelNone Level = ""
	LevelB    Level = "B-B"   // signed; the time is a claim
	LevelT    Level = "B-T"   // and a time-stamp proves that it existed
	LevelLT   Level = "B-LT"  // and everything needed to judge it later came along
	LevelLTA  Level = "B-LTA" // and an archive time-stamp protects all of that
)

// Timestamp is one time-stamp token of a seal, as it was judged.
type Timestamp struct {
	// Kind is adoTst (of the content, before sealing), sigTst (of the signature) or arcTst (of
	// everything before it in the file).
	Kind string
	// Time is when the authority says it saw the bytes, UTC; zero when the token cannot be read.
	Time time.Time
	// Authority is the name on the certificate that signed the token, Certificate that certificate;
	// empty and nil when the token cannot be read.
	Authority   string
	Certificate *x509.Certificate
	// Outcome and Reason are those of the Finding about it.
	Outcome Outcome
	Reason  Reason
}

// Proof is what Verify found out about one signature besides its findings.
type Proof struct {
	// Claimed is the level that the parts in the file would make if all of them were good, Reached
	// the one that they make: bytes, order and completeness are right. Whether anybody trusted
	// vouches for the authorities behind it is said by the findings, not by the level.
	Claimed, Reached Level
	// ProvenAt is the best-signature-time (EN 319 102-1, 5.5): the earliest time at which the
	// signature existed for certain, by a good time-stamp; zero without one.
	ProvenAt time.Time
	// Timestamps in the order in which they were made.
	Timestamps []Timestamp
	// Chain leads from the seal certificate to a trusted one, both included; nil when there is none.
	Chain []*x509.Certificate
}

// Verification is the result of Verify.
type Verification struct {
	Findings []Finding
	// Proofs has one element for each of File.Signatures, in the same order.
	Proofs []Proof
}

// claimedLevel is the level that the unsigned parts would make if all of them were good.
func (s Signature) claimedLevel() Level {
	values := (s.carries(xVals) && s.carries(rVals)) || s.carries(tstVD) || s.carries(anyValData)
	switch {
	case s.carries(sigTst) && values && s.carries(arcTst):
		return LevelLTA
	case s.carries(sigTst) && values:
		return LevelLT
	case s.carries(sigTst):
		return LevelT
	}
	return LevelB
}

// references are parts of the older, extended forms, which no baseline level allows (TS 119 182-1, 6.3).
var references = []string{"xRefs", "rRefs", "axRefs", "arRefs", "sigRTst", "rfsTst"}

// reached is the level that the parts do make. complete says that revocation data are there for
// every certificate that needs them.
func (e *examination) reached(complete bool) Level {
	has := func(kind string) bool {
		return slices.ContainsFunc(e.stamps, func(s stampState) bool { return s.kind == kind })
	}
	sound := func(kind string) bool {
		return has(kind) && !slices.ContainsFunc(e.stamps, func(s stampState) bool { return s.kind == kind && !s.intact })
	}
	switch {
	case e.sig.has(PartHeader) || e.sig.has(PartLevel) || e.sig.Leaf() == nil || !e.fits:
		return LevelNone
	case !sound(sigTst):
		return LevelB
	case !complete || slices.ContainsFunc(references, e.sig.carries):
		return LevelT
	case !sound(arcTst):
		return LevelLT
	}
	return LevelLTA
}
