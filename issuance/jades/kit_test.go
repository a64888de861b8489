package jades_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// noon is when everything in these tests happens.
var noon = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

const content = `{"id":"urn:credential:1","title":{"en":"Sustainable Food Systems <&>","fi":"Kestävät \u2028 ruoka"},"score":8.5}`

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// softKey seals with a key in memory, in the form that a token gives.
type softKey struct {
	key crypto.Signer
	alg string
}

func (k softKey) Sign(_ context.Context, _ string, input ...[]byte) ([]byte, error) {
	hash := crypto.SHA256
	if k.alg == "ES384" {
		hash = crypto.SHA384
	}
	h := hash.New()
	h.Write(bytes.Join(input, nil))
	digest := h.Sum(nil)
	switch key := k.key.(type) {
	case *rsa.PrivateKey:
		if k.alg == "PS256" {
			return rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, key, hash, digest)
	case *ecdsa.PrivateKey:
		der, err := ecdsa.SignASN1(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &rs); err != nil {
			return nil, err
		}
		n := (key.Params().BitSize + 7) / 8
		return append(rs.R.FillBytes(make([]byte, n)), rs.S.FillBytes(make([]byte, n))...), nil
	}
	return nil, fmt.Errorf("no such key %T", k.key)
}

// The RSA keys are made once: they cost a second each.
var (
	rsa2048 = sync.OnceValue(func() *rsa.PrivateKey { return makeRSA(2048) })
	rsa1024 = sync.OnceValue(func() *rsa.PrivateKey { return makeRSA(1024) })
)

func makeRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func newEC(tb testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	must(tb, err)
	return k
}

// authority is a certificate authority in memory.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(tb testing.TB, name string, parent *authority) authority {
	tb.Helper()
	a := authority{key: newEC(tb, elliptic.P256())}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: noon.AddDate(-5, 0, 0), NotAfter: noon.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	issuer := authority{key: a.key, cert: template}
	if parent != nil {
		issuer = *parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.cert, a.key.Public(), issuer.key)
	must(tb, err)
	a.cert, err = x509.ParseCertificate(der)
	must(tb, err)
	return a
}

func (a authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// issue makes a seal certificate for public; change may spoil it.
func (a authority) issue(tb testing.TB, public crypto.PublicKey, change func(*x509.Certificate)) *x509.Certificate {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{
			CommonName: "Example Seal", Organization: []string{"Example University"}, Country: []string{"NL"},
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "NTRNL-12345678"}},
		},
		NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageContentCommitment, BasicConstraintsValid: true,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	must(tb, err)
	c, err := x509.ParseCertificate(der)
	must(tb, err)
	return c
}

// sealer is a key, its certificate and the authority behind it.
type sealer struct {
	root authority
	soft softKey
	key  jades.Key
}

func newSealer(tb testing.TB, alg string) sealer {
	tb.Helper()
	var signer crypto.Signer
	switch alg {
	case "RS256", "PS256":
		signer = rsa2048()
	case "ES256":
		signer = newEC(tb, elliptic.P256())
	case "ES384":
		signer = newEC(tb, elliptic.P384())
	}
	root := newAuthority(tb, "Example Root", nil)
	return sealer{
		root: root, soft: softKey{signer, alg},
		key: jades.Key{ID: "seal", Alg: alg, Chain: []*x509.Certificate{root.issue(tb, signer.Public(), nil)}},
	}
}

func (s sealer) seal(tb testing.TB, payload string) []byte {
	tb.Helper()
	file, err := jades.Seal(tb.Context(), s.soft, s.key, []byte(payload), noon)
	must(tb, err)
	return file
}

// selfSigned is a certificate that the key of s made for itself.
func selfSigned(tb testing.TB, s sealer) *x509.Certificate {
	tb.Helper()
	template := *s.key.Chain[0]
	template.Raw, template.Issuer = nil, template.Subject
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, s.soft.key.Public(), s.soft.key)
	must(tb, err)
	c, err := x509.ParseCertificate(der)
	must(tb, err)
	return c
}

// extension is one that nobody knows.
func extension(critical bool) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: critical, Value: []byte{5, 0}}
}

// childOf is a certificate for the key of s which that same key signed in the name of parent.
func childOf(tb testing.TB, s sealer, parent *x509.Certificate) *x509.Certificate {
	tb.Helper()
	template := *s.key.Chain[0]
	template.Raw, template.SerialNumber = nil, big.NewInt(99)
	template.Subject = pkix.Name{CommonName: "Child"}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, s.soft.key.Public(), s.soft.key)
	must(tb, err)
	c, err := x509.ParseCertificate(der)
	must(tb, err)
	return c
}

// options trusts one pool for seals and time-stamps.
func options(trust *x509.CertPool, at time.Time) jades.VerifyOptions {
	return jades.VerifyOptions{Trust: trust, At: at}
}
