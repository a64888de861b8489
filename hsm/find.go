//go:build cgo

package hsm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// finder looks for the one key that seals: a private key and a certificate of it.
type finder struct {
	session    *cryptoki.Session
	uri        URI
	mechanisms []uint
	chain      []*x509.Certificate
	now        time.Time
	// prove signs with a candidate; it adds the PIN where the key wants one per signature.
	prove func(k *sealKey, input []byte) error
}

// candidate is a private key as the token describes it.
type candidate struct {
	object  pkcs11.ObjectHandle
	id      []byte
	kind    uint
	modulus []byte // RSA only, nil when the token does not tell
	always  bool
}

type storedCert struct {
	id   []byte
	cert *x509.Certificate
}

// find returns the one key whose certificate it proved by a signature. Errors are
// *stateError, or the module's.
func (f *finder) find() (*sealKey, error) {
	certs, err := f.certificates()
	if err != nil {
		return nil, err
	}
	keys, err := f.privateKeys()
	if err != nil {
		return nil, err
	}
	if problem := f.missing(certs, keys); problem != "" {
		return nil, &stateError{StateKeyMissing, problem}
	}
	var good []*sealKey
	refused := "no certificate on the token belongs to the private key; import the certificate that was issued for it"
	for _, key := range keys {
		found, problem, err := f.certificateOf(key, certs)
		switch {
		case err != nil:
			return nil, err
		case found != nil:
			good = append(good, found)
		case problem != "":
			refused = problem
		}
	}
	switch len(good) {
	case 0:
		return nil, &stateError{StateCertInvalid, refused}
	case 1:
		good[0].describe(certs, f.now)
		return good[0], nil
	}
	return nil, &stateError{StateKeyMissing, fmt.Sprintf("%d keys on the token can seal; name one in the token's URI by id=", len(good))}
}

func (f *finder) missing(certs []storedCert, keys []candidate) string {
	wanted := ""
	if len(f.uri.ID) > 0 {
		wanted = " with id=" + escapeAll(f.uri.ID)
	}
	if f.uri.Object != "" {
		wanted += " with label " + f.uri.Object
	}
	switch {
	case len(keys) == 0:
		return "the token holds no private key" + wanted + " that may sign; check id= and object= of the token's URI"
	case len(certs) == 0:
		return "the token holds no certificate; import the seal certificate"
	}
	return ""
}

func (f *finder) certificates() ([]storedCert, error) {
	objects, err := f.session.Find(
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE),
		pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509))
	if err != nil {
		return nil, err
	}
	var certs []storedCert
	for _, object := range objects {
		der, err := f.session.Attribute(object, pkcs11.CKA_VALUE)
		if err != nil {
			return nil, err
		}
		id, err := f.session.Attribute(object, pkcs11.CKA_ID)
		if err != nil {
			return nil, err
		}
		// Tokens come with certificates of other times and uses; one that does not
		// parse is none of ours.
		if cert, err := x509.ParseCertificate(der); err == nil && !cert.IsCA {
			certs = append(certs, storedCert{id, cert})
		}
	}
	return certs, nil
}

func (f *finder) privateKeys() ([]candidate, error) {
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
	}
	if len(f.uri.ID) > 0 {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, f.uri.ID))
	}
	if f.uri.Object != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, f.uri.Object))
	}
	objects, err := f.session.Find(template...)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		// After a lost login the token shows no private key and no error.
		if in, err := f.session.LoggedIn(); err != nil || !in {
			return nil, cmpError(err, pkcs11.Error(pkcs11.CKR_USER_NOT_LOGGED_IN))
		}
	}
	keys := make([]candidate, 0, len(objects))
	for _, object := range objects {
		key, err := f.describe(object)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func cmpError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func (f *finder) describe(object pkcs11.ObjectHandle) (key candidate, err error) {
	key.object = object
	if key.id, err = f.session.Attribute(object, pkcs11.CKA_ID); err != nil {
		return key, err
	}
	kind, err := f.session.Attribute(object, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return key, err
	}
	key.kind = ulong(kind)
	if key.kind == pkcs11.CKK_RSA {
		if key.modulus, err = f.session.Attribute(object, pkcs11.CKA_MODULUS); err != nil {
			return key, err
		}
	}
	key.always, err = f.session.True(object, pkcs11.CKA_ALWAYS_AUTHENTICATE)
	return key, err
}

// ulong reads a CK_ULONG, which comes in the machine's byte order and width.
func ulong(b []byte) uint {
	switch len(b) {
	case 8:
		return uint(binary.NativeEndian.Uint64(b))
	case 4:
		return uint(binary.NativeEndian.Uint32(b))
	}
	return ^uint(0)
}

// couldBe tells whether a certificate may belong to a key, as far as attributes tell.
func (c candidate) couldBe(cert *x509.Certificate) bool {
	switch pub := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return c.kind == pkcs11.CKK_RSA && (c.modulus == nil || bytes.Equal(bytes.TrimLeft(c.modulus, "\x00"), pub.N.Bytes()))
	case *ecdsa.PublicKey:
		return c.kind == pkcs11.CKK_EC
	}
	return false
}

// certificateOf pairs a key with its certificate: by CKA_ID first, then, because ids can
// be empty or all zero, with any other; a signature decides. Of several valid ones the
// newest wins. The string says why there is none.
func (f *finder) certificateOf(key candidate, certs []storedCert) (*sealKey, string, error) {
	certs = slices.DeleteFunc(slices.Clone(certs), func(c storedCert) bool { return !key.couldBe(c.cert) })
	slices.SortStableFunc(certs, func(a, b storedCert) int {
		if same := bytes.Equal(a.id, key.id); same != bytes.Equal(b.id, key.id) {
			if same {
				return -1
			}
			return 1
		}
		return b.cert.NotBefore.Compare(a.cert.NotBefore)
	})
	problem := ""
	for _, c := range certs {
		if bad := f.uri.problem(c.cert, f.now); bad != "" {
			problem = bad
			continue
		}
		found, bad, err := f.pair(key, c.cert)
		if err != nil || found != nil {
			return found, "", err
		}
		problem = bad
	}
	return nil, problem, nil
}

func (f *finder) pair(key candidate, cert *x509.Certificate) (*sealKey, string, error) {
	how, problem := schemeFor(cert.PublicKey, f.uri.Algorithm, f.mechanisms)
	if problem != "" {
		return nil, problem, nil
	}
	found := &sealKey{Key: newKey(cert, how.alg, f.chain), scheme: how, object: key.object}
	if key.always {
		found.pin = pin{} // filled by prove: the key wants a login per signature
	}
	// The text can never be the beginning of a JWS, so the proof is worth nothing else.
	nonce := make([]byte, 32)
	_, _ = rand.Read(nonce) // never fails
	switch err := f.prove(found, slices.Concat([]byte("sealsmith-hsm-selftest\x00"), nonce)); {
	case err == nil:
	case errors.Is(err, ErrSignature):
		return nil, "the certificate " + cert.Subject.CommonName + " on the token belongs to another key; import the certificate that was issued for this key", nil
	default:
		return nil, "", err
	}
	if problem := chainProblem(found.Chain); problem != "" {
		return nil, problem, nil
	}
	return found, "", nil
}
