package jades

import (
	"crypto/x509"
	"errors"

	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// readToken reads a token whose signer's certificate may also stand among known, and says which
// reason a finding has when it cannot be accepted.
func readToken(der []byte, known []*x509.Certificate) (tsp.Token, Reason, error) {
	t, err := tsp.Parse(der, known...)
	switch {
	case err == nil:
		return t, ReasonFine, nil
	case errors.Is(err, tsp.ErrWeak):
		return tsp.Token{}, ReasonTimestampWeak, err
	case errors.Is(err, tsp.ErrTime):
		return tsp.Token{}, ReasonTimestampOutside, err
	case errors.Is(err, tsp.ErrSigner):
		return tsp.Token{}, ReasonTimestampSigner, err
	case errors.Is(err, tsp.ErrSignature):
		return tsp.Token{}, ReasonTimestampForged, err
	}
	return tsp.Token{}, ReasonTimestampUnread, err
}
