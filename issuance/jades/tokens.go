package jades

import (
	"fmt"

	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// Tokens returns the time-stamp tokens of the only seal of a file, in the order in which they
// were added: first that of the signature, then those of the archive time-stamps (TS 119 182-1
// v1.2.1, 5.3.4 and 5.3.6). Their own signatures hold; whether they cover the right bytes and
// whether their authorities are trusted is for Verify to say. The error is ErrAugment.
func Tokens(file []byte) ([]tsp.Token, error) {
	s, err := open(file)
	if err != nil {
		return nil, err
	}
	var out []tsp.Token
	for _, c := range s.components {
		if c.name != sigTst && c.name != arcTst {
			continue
		}
		list, _ := tokensOf(c.value)
		for _, der := range list {
			t, _, err := readToken(der, s.Extra)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrAugment, c.name, err)
			}
			out = append(out, t)
		}
	}
	return out, nil
}
