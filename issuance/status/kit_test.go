package status_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/status"
)

var noon = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

const uri = "https://seal.polder.example/status/lists/7/token"

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func wantErr(tb testing.TB, err, want error, code string) {
	tb.Helper()
	if !errors.Is(err, want) || status.Code(err) != code {
		tb.Errorf("got %v (%s), want %v (%s)", err, status.Code(err), want, code)
	}
}

// mint is an authority and a key with its certificate, in memory.
type mint struct {
	root, leaf *x509.Certificate
	key        crypto.Signer
	alg        string
	spoil      bool // signs what is wrong
}

func newMint(tb testing.TB, alg string) *mint {
	tb.Helper()
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(tb, err)
	m := &mint{alg: alg}
	m.root = certificate(tb, &x509.Certificate{Subject: pkix.Name{CommonName: "Example Authority"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}, nil, ca.Public(), ca)
	if alg == "ES256" {
		m.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		m.key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	check(tb, err)
	m.leaf = certificate(tb, &x509.Certificate{Subject: pkix.Name{CommonName: "Polder eSeal"}, KeyUsage: x509.KeyUsageContentCommitment}, m.root, m.key.Public(), ca)
	return m
}

func certificate(tb testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	tb.Helper()
	template.SerialNumber, template.BasicConstraintsValid = big.NewInt(7), true
	template.NotBefore, template.NotAfter = noon.AddDate(-1, 0, 0), noon.AddDate(1, 0, 0)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	check(tb, err)
	c, err := x509.ParseCertificate(der)
	check(tb, err)
	return c
}

// Sign implements jades.Signer.
func (m *mint) Sign(_ context.Context, _ string, input ...[]byte) ([]byte, error) {
	if m.spoil {
		input = append([][]byte{[]byte("x")}, input...)
	}
	digest := sha256.Sum256(bytes.Join(input, nil))
	switch key := m.key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
	case *rsa.PrivateKey:
		if m.alg == "PS256" {
			return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	}
	return nil, errors.New("no such key")
}

func (m *mint) terms() status.Terms {
	return status.Terms{
		Key: jades.Key{ID: "seal", Alg: m.alg, Chain: []*x509.Certificate{m.leaf, m.root}},
		At:  noon, Until: noon.Add(48 * time.Hour), TTL: 15 * time.Minute,
	}
}

func (m *mint) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(m.root)
	return p
}

// jws signs any header and claims.
func (m *mint) jws(tb testing.TB, header, claims string) []byte {
	tb.Helper()
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := m.Sign(tb.Context(), "", []byte(input))
	check(tb, err)
	return []byte(input + "." + base64.RawURLEncoding.EncodeToString(signature))
}

// header is one that fits the mint, with further members.
func (m *mint) header(typ, more string) string {
	return `{"alg":"` + m.alg + `","typ":"` + typ + `","x5c":["` + base64.StdEncoding.EncodeToString(m.leaf.Raw) + `"]` + more + `}`
}

// members are header and claims of a compact JWS.
func members(tb testing.TB, text []byte) (header, claims map[string]any) {
	tb.Helper()
	parts := strings.Split(string(text), ".")
	if len(parts) != 3 {
		tb.Fatalf("%d parts", len(parts))
	}
	for i, to := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		check(tb, err)
		check(tb, json.Unmarshal(raw, to))
	}
	return header, claims
}

func array(tb testing.TB, values map[int]status.Value) *status.Array {
	tb.Helper()
	a := status.NewArray(0)
	for i, v := range values {
		check(tb, a.Set(i, v))
	}
	return a
}
