// Package elm writes and reads what is inside a European Digital Credential: the payload in
// the European Learning Model (ELM 3, application profile EDC, JSON-LD), and the picture of
// the certificate that the payload must carry.
//
// Build turns one Input into the exact bytes to be sealed. They follow the shapes "Generic,
// full" 1.1.0 of 2023-06-05; when the organisation that awards is not the one that seals,
// the evidence of a mandate and the profile "issued by mandate" are added. The issuer is
// taken from the seal certificate and never from a form, because Europass compares the two.
// The same Input gives the same bytes: no clock, no randomness, members and languages in a
// fixed order. Texts carry <, > and & as they are; JSON needs no escape for them.
//
// A Renderer draws the page. What is the same for all learners of a template version is
// drawn and compressed once; the personal boxes are drawn and spliced in per learner.
//
// Check is the guard before the seal: it applies the cardinalities and classes of the
// official shapes, written out by hand, to the finished bytes, and compares them with the
// Input. Read is for verifiers: it finds the elements of Annex I of the Council
// Recommendation 2022/C 243/02 in our own files and in those of other issuers, whether they
// write single values or arrays.
//
// The package deliberately does not know signatures (package jades does), claims, states,
// or where bytes are kept. It validates no template: what reaches Build has passed
// templates.Content.Validate.
//
// It fails with Problems, sentences that name the path, when an Input or a payload is not
// fit to be sealed, and with ErrNotCredential when what is read is no credential at all. A
// name with letters that no font here has is no failure: the page then says that the name
// stands in the sealed file.
package elm
