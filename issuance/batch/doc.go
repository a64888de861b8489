// Package batch does to many learners of a course what is done to one: it awards to all
// who have finished, or takes over a file of results, with a report about everybody.
//
// A batch begins as a draft: the dry run. Its rows say who would get something and who not,
// each with the reason, and its digest is a hash over all of them. A person confirms what
// was shown by that digest; nothing happens before. From then on a loop works through the
// rows, a page at a time in one transaction: the row's outcome, the evidence and decision
// of an import, and the claim are written together or not at all, so a process that dies
// leaves whole pages behind and the next one goes on. Each row is a compare-and-swap, so
// that it happens once, however many processes are at it. Claims wait for the token in a
// line of their own (claims.batch_id), so that nobody waits behind a batch; pauses are
// those of the queue.
//
// A batch never gives a credential to who did not finish: each claim is awarded on the
// decision that stands at that moment, not on the one that was shown. Names come from the
// platform, or from the file; who has none is left out, and can still claim by themselves.
// Names leave the rows as soon as the claim has them or the batch ends.
//
// The package deliberately does not know LTI, pages or how a file is read: it is given
// people and rows. Sealing is the worker's.
//
// It fails with ErrNotFound, ErrState, ErrDigest, ErrEmpty and ErrOrder towards people. A
// page that could not be written is kept in the batch in words and tried again; a row that
// is in the way alone is set aside with the cause.
package batch
