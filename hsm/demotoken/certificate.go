package demotoken

import (
	"crypto"
	"crypto/x509"

	"github.com/sealsmith/sealsmith/hsm/democa"
)

// issue lets the CA issue the eSeal certificate for pub. Without a CA in the options it
// makes one and forgets its key.
func issue(o Options, pub crypto.PublicKey, keyID []byte) (ca, seal *x509.Certificate, err error) {
	issuer := o.CA
	if issuer == nil {
		issuer, err = democa.New(democa.Options{Country: o.Country, Now: o.Now, Rand: o.Rand})
		if err != nil {
			return nil, nil, err
		}
	}
	seal, err = issuer.IssueSeal(democa.Subject{
		Organisation: o.Organisation, CommonName: o.CommonName,
		OrganisationIdentifier: o.OrganisationIdentifier, Country: o.Country,
	}, pub, keyID)
	return issuer.Certificate(), seal, err
}
