// Package jades is the container of a sealed credential: it puts a seal around finished
// bytes and reads sealed files of any issuer. The form is the one in which European Digital
// Credentials travel: a JWS in general JSON serialization (RFC 7515, 7.2.1) whose content is
// not base64url-encoded (RFC 7797, "b64": false), signed at JAdES baseline level B (ETSI
// TS 119 182-1 v1.2.1, 6.3) with the claimed time of sealing in "iat".
//
//	{"payload":"<the credential as a JSON string>","signatures":[{"protected":"…","signature":"…"}]}
//
// What is signed is protected + "." + the raw bytes of the content, so one changed space
// breaks the seal. Seal therefore serialises everything once, keeps those bytes, and checks
// the finished file with the certificate before it hands it out.
//
// Parse is for files that strangers upload. It has a limit on size, depth and count for
// everything, refuses members that stand twice (two readers would read two things), bytes
// that are not UTF-8, and whatever follows the end. A file it cannot read ends in an
// *UnreadableError, which is ErrUnreadable and one finer sentinel, and carries a sentence
// for the person who chose the file. A file it can read may still be false in every respect:
// that is what Verify says, one Finding per part, each with a stable Reason.
//
// A sealed file grows without losing a byte: AddTimestamp, AddValues and AddArchive put a
// time-stamp of the signature (level T), certificates and revocation data (LT) and a time-stamp
// over all of that (LTA) into etsiU of the unprotected header, one element at a time, and read
// the result as a stranger would. They take what others have fetched and refuse what would be
// wrong in the file (ErrAugment, ErrToken). Verify judges it: each time-stamp from the last one
// backwards, the seal certificate at the time that they prove, and whether it was withdrawn by
// then. Nothing that was added can make a seal fit, and whoever can change a file can take it all
// away: a file is never better than what is still in it.
//
// The package deliberately does not know what a credential is or what a qualified certificate
// is, and asks nobody whether a seal was withdrawn since. It does not fetch anything, reads no
// clock, and never takes a key from a place that the seal does not cover. Signatures of the
// compact and the flattened form are refused with a sentence: no wallet for these credentials
// reads them.
package jades
