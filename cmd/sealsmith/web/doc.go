// Package web is everything people look at: the pages inside the LMS for teachers,
// learners and administrators, and the public pages on which anybody checks a credential.
//
// One file per action holds its handler and, beside it, the struct its page is rendered
// from. Pages are html/template files, embedded, with one partial per component of the
// design; style sheets, fonts and line work are embedded too, and nothing is loaded from
// elsewhere. Every page works without scripts. All sentences are in the templates, those
// of problems in lang/en.json.
//
// A page inside the LMS lives under /s/<session id>/. The id is no secret, the cookie is;
// every handler there gets a visit, made from the session by one wrapper, and every
// wrapper names the role it is for: an address that was guessed opens nothing. What
// belongs to another organisation or platform does not exist here (404).
//
// A credential is verified on the spot by the same code as the command line has, from the
// sealed bytes alone; what somebody uploads is read in memory and forgotten.
//
// The package deliberately knows no SQL, signs nothing and decides nothing about grades.
// A teacher who has switched to the role of a student cannot be told from a student: the
// platform sends the same message.
//
// Errors end in Problem, which looks them up in one table (problem.go): a page for people,
// an RFC 9457 document for programs, and for what the table does not know status 500 with
// a fixed text and the trace id under which the log has the rest.
package web
