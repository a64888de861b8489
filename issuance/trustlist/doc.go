// Package trustlist reads the trusted lists of the European Union (ETSI TS 119 612) from
// files and answers two questions from them, offline: which certification and time-stamp
// authorities are trust anchors, and is a seal a qualified one (ETSI TS 119 615, in the
// small).
//
// The Commission publishes a list of the lists (LOTL). It names, for each country, the
// certificates that may sign the national list (TL); a national list names the trust
// services, their status now and before, and what their certificates are for. So trust runs
// from the certificates in the Official Journal, which the operator gives, to the list of the
// lists, to a national list, to the authority that issued the seal certificate.
//
// Nothing is believed before its signature is checked. A file is first looked through for
// what could hurt (document type, size, depth); then the one signature under the root is
// checked with exactly the certificates that may sign this list; then the list is read from
// the bytes that the signature covers, and from no others, so an element that is moved
// or wrapped counts for nothing. The canonical form comes from goxmldsig. Its Validate is not
// used: it stops after a thousand elements, and takes ECDSA values only as ASN.1, where XML
// signatures have them as r and s (RFC 4051).
//
// What the package does not know: where lists are published (the operator fetches them),
// whether a seal is intact, whether a certificate is revoked, and whether the time that it is
// asked about is proven. The signing time that a list claims (XAdES) is not used.
//
// How it fails: a list that is refused changes nothing, and the refusal says why and what to
// do. A list that is out of date stays in use, and every answer from it says so. What the
// package does not understand makes an answer Unknown, never better than it is.
// Whoever can write the store's file decides whom this machine trusts: keep it as safe as the
// programs.
package trustlist
