package revocation_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sealsmith/sealsmith/issuance/revocation"
)

// fuzzed is an issuer that has the same key in all processes that take part, and the time
// at which it speaks.
func fuzzed(f *testing.F) (issuer authority, leaf *x509.Certificate, at time.Time) {
	f.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	must(f, err)
	issuer = authorityOf(f, "issuer", key)
	return issuer, issuer.issue(f, nil).cert, time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
}

// FuzzOCSP changes answers: what is accepted was signed, so it says one of the things that
// were signed.
func FuzzOCSP(f *testing.F) {
	issuer, leaf, at := fuzzed(f)
	fine := good(leaf)
	fine.ThisUpdate, fine.NextUpdate = at, at.Add(time.Hour)
	revoked := fine
	revoked.Status, revoked.RevokedAt = ocsp.Revoked, at
	said := map[revocation.Statement]bool{}
	for _, seed := range [][]byte{
		answer(f, issuer, issuer, fine), answer(f, issuer, issuer.responder(f, nil), revoked), ocsp.TryLaterErrorResponse,
	} {
		f.Add(seed)
		for _, s := range (revocation.Evidence{OCSP: [][]byte{seed}}).Statements(leaf, issuer.cert) {
			said[s] = true
		}
	}
	if len(said) != 2 {
		f.Fatalf("%d statements", len(said))
	}
	fuzzStatements(f, leaf, issuer.cert, said, func(b []byte) revocation.Evidence { return revocation.Evidence{OCSP: [][]byte{b}} })
}

// FuzzList does the same with lists.
func FuzzList(f *testing.F) {
	issuer, leaf, at := fuzzed(f)
	said := map[revocation.Statement]bool{}
	for _, change := range []func(*tbsList){
		func(*tbsList) {},
		func(l *tbsList) {
			l.Revoked = []listEntry{{Serial: big.NewInt(1), At: at}, {Serial: leaf.SerialNumber, At: at}}
		},
		extension(idDistribution, true, scope{OnlyUsers: true}),
	} {
		seed := issuer.listing(f, func(l *tbsList) {
			l.This, l.Next = at, at.Add(time.Hour)
			change(l)
		})
		f.Add(seed)
		for _, s := range (revocation.Evidence{CRLs: [][]byte{seed}}).Statements(leaf, issuer.cert) {
			said[s] = true
		}
	}
	if len(said) != 2 {
		f.Fatalf("%d statements", len(said))
	}
	fuzzStatements(f, leaf, issuer.cert, said, func(b []byte) revocation.Evidence { return revocation.Evidence{CRLs: [][]byte{b}} })
}

func fuzzStatements(f *testing.F, leaf, issuer *x509.Certificate, said map[revocation.Statement]bool, of func([]byte) revocation.Evidence) {
	f.Helper()
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range of(b).Statements(leaf, issuer) {
			if !said[s] {
				t.Fatalf("%s says %+v", hex.EncodeToString(b), s)
			}
		}
	})
}
