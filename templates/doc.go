// Package templates holds the micro-credential as it is promised: what a learner will be
// able to do, the workload, the level, how it is assessed and assured, what earns it, and
// which organisation awards it. Everything that Annex I of the Council Recommendation of
// 16 June 2022 (2022/C 243/02) asks of a micro-credential, mandatory and optional, has
// one field of Content.
//
// A template belongs to one organisation and consists of numbered versions. A version is
// never edited: saving a changed form makes the next number, and whatever was decided or
// sealed on an older version keeps that version for ever.
//
// The package deliberately does not know learners, grades, LTI or files to be sealed. It
// reads code lists from vocab and ships realistic templates in starter.
//
// It fails with ErrNotFound (also for rows of another organisation: the two are not told
// apart), with ErrDuplicate, and with Problems, a list of sentences each naming the field
// and what to write there.
package templates
