// Package grading answers one question: a grade arrived; does it complete something?
//
// An Attachment joins an activity of a course to a template version and its rule. A
// Source (one sub-package each) reads what the platform knows and returns Observations;
// each becomes a row of Evidence, kept as received. Decide is pure: rule and evidence in,
// Decision with reasons out. A decision that completes something and the claim it opens
// are written in one transaction, through the Claims interface that issuance implements.
//
// The package deliberately does not know what is issued, nor how a platform is asked. It
// never writes to a grade: a score posted to a calculated column would override the
// teacher's formula for good (house rule 5).
//
// It fails with ErrNotFound, and with SourceError when the platform could not be read:
// then nothing is decided, the attachment keeps the reason in words, and the next reading
// tries again. An older decision stays as it was.
package grading
