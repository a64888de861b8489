// Package lti is the tool side of LTI 1.3 Advantage: the login a platform starts, the
// launch it answers with, the session that follows, the answer to a deep linking request,
// and the calls of a platform's services: line items, results, scores, members, and
// handlers of notices. Scores are wanted first and sent by a queue (ScoreQueue), which
// goes on after a restart and sees when a teacher has decided otherwise.
//
// A launch is two requests of the browser. /lti/login (Security Framework 1.0, section
// 5.1.1.1) makes a state, which is a signed value and no row, and sends the browser to the
// platform; /lti/launch (5.1.1.3) receives the signed id_token, checks it in a fixed order,
// creates the session, whose primary key the state can be used for once, and hands over to
// Deps.Enter. Nothing is written before the last check has passed: a refused launch leaves
// the login as it was, so nobody can burn another person's by posting garbage, and a reload
// works after the platform's keys were out of reach for a moment. In frames where browsers
// keep no cookie the way leads through platform storage or a new window; see frame.go.
// Every login and launch leaves a Trace for the administrators of the tool.
//
// The checks are stricter than the JOSE library underneath: compact form only, RS256 only
// unless a registration allows more,
// a kid, a modulus of 2048 bits, no critical or key-carrying header, no duplicate members,
// exp and iat present and bounded, the nonce that belongs to this state, a browser that
// holds this state's cookie, a deployment that is registered.
//
// A platform may also register itself (LTI Dynamic Registration 1.0): Registrar answers the
// address of an invitation, reads what the platform says of itself, adds the tool there, and
// hands over what came of it; for platforms that cannot, AllInstructions says what goes into
// which field.
//
// The package deliberately does not know what the tool is for, how pages look, or how
// people decide anything: it reports who came from where with which roles. It does not
// create users and never links accounts. It stores hashes of secrets, never the secrets.
//
// Refusals are *CheckError with a stable code, an HTTP status and a sentence that says
// what to do; Codes lists all codes. Trouble with a platform's services is *ServiceError.
// Everything else that can go wrong (the database, randomness) comes as a wrapped error
// and means the server, not the request.
package lti
