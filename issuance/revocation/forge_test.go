package revocation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sealsmith/sealsmith/issuance/revocation"
)

// The library that makes OCSP answers takes producedAt from the wall clock.
func wallClock() time.Time { return time.Now().UTC().Truncate(time.Second) }

var oidNoCheck = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}

// authority is a CA that signs whatever a test wants.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(tb testing.TB, name string) authority {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	return authorityOf(tb, name, key)
}

func authorityOf(tb testing.TB, name string, key *ecdsa.PrivateKey) authority {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: wallClock().Add(-90 * 24 * time.Hour), NotAfter: wallClock().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(tb, err)
	cert, err := x509.ParseCertificate(der)
	must(tb, err)
	return authority{key, cert}
}

// issue makes a certificate, which change may change before.
func (a authority) issue(tb testing.TB, change func(*x509.Certificate)) authority {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "somebody"},
		NotBefore: wallClock().Add(-30 * 24 * time.Hour), NotAfter: wallClock().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	must(tb, err)
	cert, err := x509.ParseCertificate(der)
	must(tb, err)
	return authority{key, cert}
}

// responder makes a delegated OCSP responder of serial number 99.
func (a authority) responder(tb testing.TB, change func(*x509.Certificate)) authority {
	tb.Helper()
	return a.issue(tb, func(c *x509.Certificate) {
		c.SerialNumber, c.Subject.CommonName = big.NewInt(99), "responder"
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		c.ExtraExtensions = []pkix.Extension{{Id: oidNoCheck, Value: asn1.NullBytes}}
		if change != nil {
			change(c)
		}
	})
}

// good is what an honest responder says.
func good(cert *x509.Certificate) ocsp.Response {
	return ocsp.Response{Status: ocsp.Good, SerialNumber: cert.SerialNumber, ThisUpdate: wallClock(), NextUpdate: wallClock().Add(time.Hour)}
}

// answer signs an OCSP answer; the signer's certificate is in it unless it is the issuer.
func answer(tb testing.TB, issuer, signer authority, r ocsp.Response) []byte {
	tb.Helper()
	if signer.cert != issuer.cert && r.Certificate == nil {
		r.Certificate = signer.cert
	}
	der, err := ocsp.CreateResponse(issuer.cert, signer.cert, r, signer.key)
	must(tb, err)
	return der
}

// The structure of a list, to make what x509 would not.
type (
	tbsList struct {
		Version    int `asn1:"optional,omitempty"`
		Algorithm  pkix.AlgorithmIdentifier
		Issuer     asn1.RawValue
		This       time.Time
		Next       time.Time        `asn1:"optional"`
		Revoked    []listEntry      `asn1:"optional,omitempty"`
		Bulk       asn1.RawValue    `asn1:"optional"` // instead of Revoked
		Extensions []pkix.Extension `asn1:"explicit,tag:0,optional,omitempty"`
	}
	listEntry struct {
		Serial     *big.Int
		At         time.Time
		Extensions []pkix.Extension `asn1:"optional,omitempty"`
	}
	signedList struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
)

// listing signs a list, which change may change before.
func (a authority) listing(tb testing.TB, change func(*tbsList)) []byte {
	tb.Helper()
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
	key, err := asn1.Marshal(struct {
		ID []byte `asn1:"tag:0"`
	}{a.cert.SubjectKeyId})
	must(tb, err)
	list := tbsList{
		Version: 1, Algorithm: algorithm, Issuer: asn1.RawValue{FullBytes: a.cert.RawSubject},
		This: wallClock().Add(-time.Hour), Next: wallClock().Add(time.Hour),
		Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Value: key}, {Id: asn1.ObjectIdentifier{2, 5, 29, 20}, Value: []byte{2, 1, 7}}},
	}
	if change != nil {
		change(&list)
	}
	tbs, err := asn1.Marshal(list)
	must(tb, err)
	sum := sha256.Sum256(tbs)
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	must(tb, err)
	der, err := asn1.Marshal(signedList{asn1.RawValue{FullBytes: tbs}, algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	must(tb, err)
	return der
}

func extension(id []int, critical bool, value any) func(*tbsList) {
	return func(l *tbsList) {
		der, err := asn1.Marshal(value)
		if err != nil {
			panic(err) // of the test's own making
		}
		l.Extensions = append(l.Extensions, pkix.Extension{Id: id, Critical: critical, Value: der})
	}
}

// site serves what a test puts there.
type site struct {
	server *httptest.Server
	serve  atomic.Pointer[http.HandlerFunc]
	asked  counter
}

func newSite(tb testing.TB, h http.HandlerFunc) *site {
	tb.Helper()
	s := new(site)
	s.put(h)
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.add(r.URL.Path)
		(*s.serve.Load())(w, r)
	}))
	tb.Cleanup(s.server.Close)
	return s
}

func (s *site) put(h http.HandlerFunc) { s.serve.Store(&h) }

func (s *site) url(path string) string { return s.server.URL + path }

func (s *site) collector() *revocation.Collector {
	return &revocation.Collector{HTTP: s.server.Client(), Now: time.Now, Timeout: time.Minute}
}

func bytesOf(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
}

// withCertificates replaces the certificates in an OCSP answer, which are not signed.
func withCertificates(tb testing.TB, der []byte, certs ...*x509.Certificate) []byte {
	tb.Helper()
	var outer struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type  asn1.ObjectIdentifier
			Value []byte
		} `asn1:"explicit,tag:0"`
	}
	var basic struct {
		Data, Algorithm, Signature asn1.RawValue
		Certificates               []asn1.RawValue `asn1:"explicit,tag:0,optional,omitempty"`
	}
	_, err := asn1.Unmarshal(der, &outer)
	must(tb, err)
	_, err = asn1.Unmarshal(outer.Bytes.Value, &basic)
	must(tb, err)
	basic.Certificates = nil
	for _, c := range certs {
		basic.Certificates = append(basic.Certificates, asn1.RawValue{FullBytes: c.Raw})
	}
	outer.Bytes.Value, err = asn1.Marshal(basic)
	must(tb, err)
	der, err = asn1.Marshal(outer)
	must(tb, err)
	return der
}
