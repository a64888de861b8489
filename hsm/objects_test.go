//go:build cgo

package hsm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

type tokenMade = demotoken.Made

// onToken changes a token as an operator would, logged in, while no Token uses it.
func onToken(t *testing.T, made tokenMade, change func(*cryptoki.Session, *pkcs11.Ctx) error) {
	t.Helper()
	pin, err := os.ReadFile(made.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	onSession(t, made, func(s *cryptoki.Session, c *pkcs11.Ctx) error {
		if err := c.Login(s.Handle, pkcs11.CKU_USER, string(pin)); err != nil {
			return err
		}
		return change(s, c)
	})
}

// must returns the only object of a class.
func must(t *testing.T, s *cryptoki.Session, class uint) pkcs11.ObjectHandle {
	t.Helper()
	found, err := s.Find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, class))
	if err != nil || len(found) != 1 {
		t.Fatalf("%d objects: %v", len(found), err)
	}
	return found[0]
}

// onSession changes a token in a writing session; beside a Token it is logged in.
func onSession(t *testing.T, made tokenMade, change func(*cryptoki.Session, *pkcs11.Ctx) error) {
	t.Helper()
	module, err := cryptoki.Open(lab.module, "", "")
	if err != nil {
		t.Fatal(err)
	}
	slots, err := module.Slots(module.Epoch())
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		info, err := module.Token(module.Epoch(), slot)
		if err != nil {
			t.Fatal(err)
		}
		if info.Label != made.Label {
			continue
		}
		s, err := module.OpenSession(module.Epoch(), slot, pkcs11.CKF_RW_SESSION)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Do(func(c *pkcs11.Ctx) error { return change(s, c) }); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no token %s", made.Label)
}

func generateEC(t *testing.T, c *pkcs11.Ctx, h pkcs11.SessionHandle, id []byte, extra ...*pkcs11.Attribute) *ecdsa.PublicKey {
	t.Helper()
	private := append([]*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false), pkcs11.NewAttribute(pkcs11.CKA_ID, id),
	}, extra...)
	public, _, err := c.GenerateKeyPair(h, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)},
		[]*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_ID, id),
			pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}),
		}, private)
	if err != nil {
		t.Fatal(err)
	}
	attrs, err := c.GetAttributeValue(h, public, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil)})
	if err != nil {
		t.Fatal(err)
	}
	var point []byte
	if _, err := asn1.Unmarshal(attrs[0].Value, &point); err != nil {
		t.Fatal(err)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// certChange changes the template of a certificate before it is issued.
type certChange struct{ change func(*x509.Certificate) }

// selfIssued makes a certificate for a key that is on a token, from a CA of the moment.
func selfIssued(t *testing.T, pub crypto.PublicKey, with certChange) []byte {
	t.Helper()
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test seal"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageContentCommitment, BasicConstraintsValid: true,
	}
	if with.change != nil {
		with.change(template)
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, pub, ca)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func importCert(c *pkcs11.Ctx, h pkcs11.SessionHandle, der, id []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return err
	}
	_, err = c.CreateObject(h, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE), pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE, cert.Raw), pkcs11.NewAttribute(pkcs11.CKA_SUBJECT, cert.RawSubject),
		pkcs11.NewAttribute(pkcs11.CKA_ISSUER, cert.RawIssuer), pkcs11.NewAttribute(pkcs11.CKA_SERIAL_NUMBER, serial),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id),
	})
	return err
}

// destroy removes all objects of a class.
func destroy(s *cryptoki.Session, c *pkcs11.Ctx, class uint) error {
	found, err := s.Find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, class))
	if err != nil {
		return err
	}
	for _, object := range found {
		if err := c.DestroyObject(s.Handle, object); err != nil {
			return err
		}
	}
	return nil
}

// uri changes the URI of a token.
func uri(t *testing.T, made tokenMade, change func(*hsm.URI)) string {
	t.Helper()
	u, err := hsm.ParseURI(made.TokenURI)
	if err != nil {
		t.Fatal(err)
	}
	change(&u)
	return u.Unredacted()
}

func uriWithID(t *testing.T, made tokenMade, id []byte) string {
	t.Helper()
	return uri(t, made, func(u *hsm.URI) { u.ID = id })
}
