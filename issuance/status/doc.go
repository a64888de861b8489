// Package status is the artefact format of status lists: long arrays in which each credential
// has a place, signed as a whole, so that whoever checks one credential fetches what everybody
// fetches and the issuer does not learn which credential was looked at.
//
// One Array is written in two encodings, which count bits from opposite ends:
//
//   - W3C Bitstring Status List v1.0 (Recommendation of 15 May 2025): a Verifiable Credential with
//     one bit per entry and purpose, index 0 at the most significant bit, GZIP, multibase
//     base64url; secured as a compact JWS, media type application/vc+jwt (VC-JOSE-COSE).
//   - IETF Token Status List (draft-ietf-oauth-status-list, text of April 2026): a JWT of type
//     statuslist+jwt with two bits per entry, index 0 at the least significant bits, ZLIB;
//     0 valid, 1 invalid, 2 suspended.
//
// A third artefact is ours: the index, a signed table of hashes of credential ids and their places,
// for credentials of formats that have no member for a place (European Digital Credentials).
//
// ReadBitstring and ReadToken are for lists of any issuer and of hostile origin: everything has a
// limit, JSON is strict, and nothing is said about a credential unless the signature fits. Whom
// to trust is told by whoever calls, with Options.Trust or by looking at List.Chain.
//
// The package deliberately does not know credentials, databases, addresses and clocks: it fetches
// nothing and keeps nothing. It fails with ErrVerification, ErrLength, ErrRange, ErrMalformed and
// ErrExpired; Code gives the name that the specification has for each.
package status
