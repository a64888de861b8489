// Package pdf is the certificate for people who want paper: a PDF that shows what a sealed
// credential says, carries the sealed record as an attachment, and has an electronic seal of
// its own.
//
// A Printer draws it from what elm.Read found in the sealed payload and from nothing else:
// one A4 page with the elements of Annex I, number, dates and a QR code, and further pages
// when there is much to say. Text can be searched and copied. The same credential gives the
// same bytes: the date is the one of issue, and ids are hashes.
//
// Seal adds a PAdES baseline signature (ETSI EN 319 142-1 v1.2.1) as an incremental update:
// level B-B, or B-T with a time-stamp, for RS256, PS256, ES256 and ES384. The CMS structure
// is written here, because the signed attributes must be exactly three and libraries add
// signing-time, which PAdES forbids. Check reads the finished file again; Seal returns
// nothing that did not pass it.
//
// The package deliberately does not know claims, organisations, tokens or where files are
// kept, trusts no certificate, and judges no foreign PDF: Check reads what Seal wrote. The
// file is not tagged and claims no conformance to PDF/A or PDF/UA; the accessible form of a
// credential is its public page.
//
// It fails with ErrContent for what cannot be shown, ErrKey before a signature is asked for,
// ErrStamp when no time-stamp could be had, and ErrBadSignature for a seal that does not fit
// the bytes. Letters that no font here has are no failure: a box stands for them and a
// sentence says so; a learner's name with such letters is not shown in part, the page then
// says that it stands in the attached file.
package pdf
