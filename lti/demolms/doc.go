// Package demolms is a small learning management system that speaks LTI 1.3
// Advantage as a platform. It is what `sealsmith demo` shows people, what the
// end-to-end tests click through and what package tests use as the other side
// of a launch. It is a peer, not a fake: it shares no code with package lti,
// so a mistake made on one side is not repeated on the other.
//
// It imitates Moodle 4.5 as far as a tool can notice: POST login initiation
// with a one-use lti_message_hint bound to the browser session, id_tokens that
// live 60 seconds, states and nonces that are cleaned as text, exact matching
// of media types, service errors in Moodle's JSON, a token endpoint that
// answers JSON as text/html, line item addresses with a type_id query, a list
// of results that breaks when asked for pages. Where Moodle is laxer than the
// specifications (it checks neither aud nor jti of a client assertion), this
// one is strict, because a tool has to get them right anyway.
//
// One LMS value is one institution: its people, courses, tools and keys.
// Several may run in one process; their cookies do not collide.
//
// Wrong behaviour is a product feature here: each [Knob] makes the platform
// break one rule, for one launch (?fault=NAME on a launch address, or
// [Launch].Faults), or for all that follows ([LMS.Set], or the /knobs page).
// [Knobs] lists them with one sentence each.
//
// What it deliberately does not know: passwords (anybody may act as anybody),
// dynamic registration, groups, grade scales, calculated grades, platform
// storage (Moodle has none either) and https. It must only ever listen on a
// loopback address.
//
// It fails in two ways. The Go API returns errors, [ErrNotFound] and
// [ErrUnknownKnob] among them. Over HTTP it answers as Moodle would, which
// means an HTML page in the browser for most mistakes of a tool, and never a
// redirect to an address that is not registered.
//
// Specifications: LTI Core 1.3, Security Framework 1.0 section 5, Deep Linking
// 2.0, Assignment and Grade Services 2.0, Names and Role Provisioning 2.0.
package demolms
