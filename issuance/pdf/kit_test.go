package pdf_test

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
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/pdf"
)

// noon is when everything in these tests happens.
var noon = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// softKey seals with a key in memory, in the form that a token gives.
type softKey struct {
	key    crypto.Signer
	alg    string
	signed int
}

func (k *softKey) Sign(_ context.Context, _ string, input ...[]byte) ([]byte, error) {
	k.signed++
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
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		n := (key.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, n)), s.FillBytes(make([]byte, n))...), nil
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

func newAuthority(tb testing.TB) authority {
	tb.Helper()
	a := authority{key: newEC(tb, elliptic.P256())}
	a.cert = a.issue(tb, a.key.Public(), func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "Example Root"}
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	})
	return a
}

// issue makes a seal certificate for public; change may make it another.
func (a authority) issue(tb testing.TB, public crypto.PublicKey, change func(*x509.Certificate)) *x509.Certificate {
	tb.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(tb, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{
			CommonName: "Polder University eSeal", Organization: []string{"Polder University of Technology"}, Country: []string{"NL"},
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "NTRNL-12345678"}},
		},
		NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(5, 0, 0), KeyUsage: x509.KeyUsageContentCommitment,
	}
	if change != nil {
		change(template)
	}
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	must(tb, err)
	c, err := x509.ParseCertificate(der)
	must(tb, err)
	return c
}

// sealer is a key, its certificate and the authority behind it.
type sealer struct {
	root authority
	soft *softKey
	key  hsm.Key
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
	root := newAuthority(tb)
	return sealer{
		root: root, soft: &softKey{key: signer, alg: alg},
		key: hsm.Key{ID: "seal", Alg: alg, Chain: []*x509.Certificate{root.issue(tb, signer.Public(), nil), root.cert}},
	}
}

// library is held while the library for time-stamps works: it counts in a variable of its package.
var library sync.Mutex

// stamp is a time-stamping authority in memory under the root of s.
func (s sealer) stamp(tb testing.TB) pdf.Stamp {
	tb.Helper()
	key := newEC(tb, elliptic.P256())
	cert := s.root.issue(tb, key.Public(), func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "Example TSA", Country: []string{"NL"}}
		c.KeyUsage = x509.KeyUsageDigitalSignature
		usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
		must(tb, err)
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
	})
	return func(_ context.Context, data ...[]byte) ([]byte, error) {
		h := crypto.SHA256.New()
		for _, d := range data {
			h.Write(d)
		}
		library.Lock()
		defer library.Unlock()
		response, err := (&timestamp.Timestamp{
			HashAlgorithm: crypto.SHA256, HashedMessage: h.Sum(nil), Time: noon.Add(time.Minute), Policy: asn1.ObjectIdentifier{1, 2, 3, 4},
			SerialNumber: big.NewInt(7), AddTSACertificate: true, Certificates: []*x509.Certificate{s.root.cert},
		}).CreateResponseWithOpts(cert, key, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		ts, err := timestamp.ParseResponse(response)
		if err != nil {
			return nil, err
		}
		return ts.RawToken, nil
	}
}

var printer = sync.OnceValues(pdf.NewPrinter)

// record is a golden payload; Certificate does not look into what it attaches.
func record(tb testing.TB, name string) ([]byte, elm.Content) {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "elm", name+".golden.jsonld"))
	must(tb, err)
	c, err := elm.Read(b)
	must(tb, err)
	return b, c
}

func certificate(tb testing.TB, c elm.Content, record []byte) []byte {
	tb.Helper()
	p, err := printer()
	must(tb, err)
	out, err := p.Certificate(c, record)
	must(tb, err)
	return out
}

// plain is an unsealed certificate.
func plain(tb testing.TB) []byte {
	tb.Helper()
	b, c := record(tb, "food-own")
	return certificate(tb, c, b)
}

func (s sealer) seal(tb testing.TB, file []byte, stamp pdf.Stamp) []byte {
	tb.Helper()
	out, err := pdf.Seal(tb.Context(), s.soft, s.key, file, pdf.Options{At: noon, Stamp: stamp})
	must(tb, err)
	return out
}

// program returns the path of a program; one that is missing skips the test, or fails it
// where everything is installed.
func program(tb testing.TB, name, debian string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	missing := fmt.Sprintf("%s is not installed: apt-get install %s", name, debian)
	if os.Getenv("CI") == "true" {
		tb.Fatal(missing)
	}
	tb.Skip("SKIPPED: " + missing)
	return ""
}

// run starts a program and returns what it says, and its error.
func run(tb testing.TB, path string, args ...string) (string, error) {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), path, args...).CombinedOutput()
	return string(out), err
}

func save(tb testing.TB, data []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "certificate.pdf")
	must(tb, os.WriteFile(path, data, 0o600))
	return path
}

// store is an NSS database that trusts the root of s, for pdfsig.
func (s sealer) store(tb testing.TB) string {
	tb.Helper()
	certutil, dir := program(tb, "certutil", "libnss3-tools"), tb.TempDir()
	root := filepath.Join(dir, "root.pem")
	must(tb, os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.root.cert.Raw}), 0o600))
	for _, args := range [][]string{{"-N", "-d", dir, "--empty-password"}, {"-A", "-d", dir, "-n", "root", "-t", "CT,C,C", "-i", root}} {
		if out, err := run(tb, certutil, args...); err != nil {
			tb.Fatalf("certutil %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

// pdftext is what a reader can copy out of the file.
func pdftext(tb testing.TB, file []byte) string {
	tb.Helper()
	out, err := run(tb, program(tb, "pdftotext", "poppler-utils"), "-layout", save(tb, file), "-")
	if err != nil {
		tb.Fatalf("pdftotext: %v\n%s", err, out)
	}
	return string(bytes.TrimSpace([]byte(out)))
}
