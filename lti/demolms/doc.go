// Package demolms is a small learning management system that speaks LTI 1.3
// Advantage as a platform. It is what `sealsmith demo` shows people, what the
// end-to-end tests click through and what package tests use as the other side
// of a launch. It is a peer, not a fake: it shares no code with package lti,
// so a mistake made on one side is not repeated on the other.
//
// It imitates Moodle 4.5 as far as a tool can notice: POST login initiation
// with a one-use lti_message_hint bound to the browser session, id_tokens that
// live 60 seconds, states and nonces that are cleaned as text, exact matching
// of media types, service errors in Moodle's JSON or in the reason phrase, a
// token endpoint that answers JSON as text/html, line item addresses with a
// type_id query, pages of line items linked in typographic quotes, a list of
// results that breaks when asked for pages, a registration that leaves the
// tool pending and drops half of what it was told. Where Moodle is laxer than
// the specifications (it checks neither aud nor jti of a client assertion),
// this one is strict, because a tool has to get them right anyway.
//
// It knows launches, content selection, submission review and data privacy
// launches; dynamic registration ([LMS.RegistrationURL], [LMS.Activate]); the
// grade services with calculated columns ([LMS.SetFormula]) and the membership
// service; copies of courses ([LMS.CopyCourse]) and the variables by which a
// tool recognises them; the claim that leads over from LTI 1.1. Two things it
// can do that Moodle cannot, each off until it is asked for: platform storage
// ([Config].Storage) and notices (a tool with the scope for them; [LMS.Flush]
// waits for their delivery).
//
// One LMS value is one institution: its people, courses, tools and keys.
// Several may run in one process; their cookies do not collide.
//
// Wrong behaviour is a product feature here: each [Knob] makes the platform
// break one rule, for one launch (?fault=NAME on a launch address, or
// [Launch].Faults), or for all that follows ([LMS.Set], or the /knobs page).
// [Knobs] lists them with one sentence each, and with the numbers of the bad
// inputs they stand for. Some knobs are legal and only unlike Moodle.
//
// What it deliberately does not know: passwords (anybody may act as anybody),
// enrolment per course (everybody is in every course, copies included), groups,
// grade scales, tool settings, asset processors, the encryption of anything,
// and https. A knob cannot make it answer late in a launch or show a wrong
// certificate. It must only ever listen on a loopback address.
//
// It fails in two ways. The Go API returns errors, [ErrNotFound] and
// [ErrUnknownKnob] among them. Over HTTP it answers as Moodle would, which
// means an HTML page in the browser for most mistakes of a tool, and never a
// redirect to an address that is not registered, unless a knob wants one. A
// notice that cannot be delivered is logged and not sent again.
//
// Specifications: LTI Core 1.3, Security Framework 1.0 section 5, Deep Linking
// 2.0, Assignment and Grade Services 2.0, Names and Role Provisioning 2.0,
// Dynamic Registration 1.0, Client Side postMessages and postMessage Storage
// 1.0, Platform Notification Service 1.0, LTI 1.3 migration.
package demolms
