package status

import "errors"

// Errors of reading. Each says why nothing can be told about a credential.
var (
	// ErrRetrieval is for a list that could not be had. This package fetches nothing, so only
	// callers return it.
	ErrRetrieval = errors.New("the status list could not be had")
	// ErrVerification is for a list whose signature does not fit, that nobody trusted has signed,
	// or that is another one than the one asked for.
	ErrVerification = errors.New("the status list could not be verified")
	// ErrExpired is for a list that does not count any more, or not yet. It is ErrVerification, too.
	ErrExpired = errors.New("the status list is not of this time")
	// ErrLength is for a list that is too short to hide in (W3C: 131,072 entries at least).
	ErrLength = errors.New("the status list is shorter than the specification allows")
	// ErrRange is for an index that is not in the list.
	ErrRange = errors.New("the index is not in the status list")
	// ErrMalformed is for a list that does not keep to the form of its specification.
	ErrMalformed = errors.New("the status list is malformed")
)

// Code returns the name that Bitstring Status List v1.0, 3.5 and VC Data Model 2.0, 7.1 have for an
// error of this package, as in STATUS_VERIFICATION_ERROR; "" for other errors.
func Code(err error) string {
	for _, known := range []struct {
		err  error
		code string
	}{
		{ErrRetrieval, "STATUS_RETRIEVAL_ERROR"},
		{ErrLength, "STATUS_LIST_LENGTH_ERROR"},
		{ErrRange, "RANGE_ERROR"},
		{ErrMalformed, "MALFORMED_VALUE_ERROR"},
		{ErrVerification, "STATUS_VERIFICATION_ERROR"},
		{ErrExpired, "STATUS_VERIFICATION_ERROR"},
	} {
		if errors.Is(err, known.err) {
			return known.code
		}
	}
	return ""
}
