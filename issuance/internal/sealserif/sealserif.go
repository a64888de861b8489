// Package sealserif holds the serif of certificates, for the page image and for the PDF: a
// subset of Source Serif 4 Semibold with Latin, Greek and Cyrillic letters, renamed "Seal
// Serif" as its licence asks (SIL OFL 1.1, OFL.txt beside it).
//
// It knows bytes only: who draws parses them. It cannot fail.
package sealserif

import _ "embed"

// TTF is the font as a TrueType file. It must not be changed.
//
//go:embed seal-serif-semibold.ttf
var TTF []byte
