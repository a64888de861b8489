// Package issuance turns a completion into a claim, a claim into a sealed credential, and
// a sealed file into an answer for whoever asks whether it is genuine.
//
// A claim is a row that walks through states (see State); each step is a compare-and-swap
// on that row, so a step that is asked for twice happens once. The row is the truth: the
// queue carries ids only, may be emptied at any time and is refilled by the sweeper.
//
// Sealing goes: lease the row, build the payload, check it, store it as the intent, write
// the audit trail, sign, verify, store. The key signs a Checked value only, which Check
// alone can make and which is spent by one signature. A worker that dies anywhere leaves
// either nothing or an intent; the next one continues with the same id, the same time and
// the same bytes, so a claim never becomes two credentials.
//
// What is sealed can be withdrawn, for a time or for good (Desk.Suspend, Desk.Revoke). That
// changes no byte of it: it changes what Desk.Standing and Desk.Ask tell whoever asks. Where two
// people have to agree, or many credentials are meant, that is an Order, which whoever finds it
// carries out (Desk.Tend). Staff find credentials by Desk.Search.
//
// The package deliberately does not know LTI launches, pages or PKCS#11: it is given a
// decided completion, a confirmed name and a Sealer. Formats live in sub-packages: elm
// (European Learning Model), jades (the seal).
//
// It fails with ErrNotFound, ErrNotComplete, ErrState, ErrName and ErrReason towards people, and
// orders with ErrSecondPerson, ErrSamePerson, ErrNobody, ErrCount and ErrSelection; the
// worker keeps what went wrong in the claim (last_error, in words) and tries again with
// increasing distance; what cannot succeed by trying again becomes `failed`.
package issuance
