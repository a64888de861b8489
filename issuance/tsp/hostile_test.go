package tsp_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// TestKeyThatTakesMinutes: a key that is so long that one signature of it would keep a reader busy
// does not get as far as being checked.
func TestKeyThatTakesMinutes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good, err := r.client.Stamp(t.Context(), []byte("data"))
	must(t, err)
	subject := democa.Subject{Organisation: "Slow", CommonName: "Slow", OrganisationIdentifier: "NTRNL-1", Country: "NL"}
	same, err := r.ca.IssueSeal(subject, good.Signer.PublicKey, nil)
	must(t, err)
	huge, err := r.ca.IssueSeal(subject, &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 32<<10, 1), E: 65537}, nil)
	must(t, err)
	if _, err := tsp.Parse(carrying(t, good.Raw, same)); err != nil {
		t.Errorf("one certificate more: %v", err)
	}
	if _, err := tsp.Parse(carrying(t, good.Raw, huge)); !errors.Is(err, tsp.ErrMalformed) || !strings.Contains(err.Error(), "32769 bits") {
		t.Errorf("a huge key: %v", err)
	}
}

// carrying puts one more certificate into a token, which its signature does not cover.
func carrying(tb testing.TB, token []byte, cert *x509.Certificate) []byte {
	tb.Helper()
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	_, err := asn1.Unmarshal(token, &outer)
	must(tb, err)
	var signed struct {
		Version          int
		Digests, Content asn1.RawValue
		Certificates     asn1.RawValue
		Signers          asn1.RawValue
	}
	_, err = asn1.Unmarshal(outer.Content.Bytes, &signed)
	must(tb, err)
	signed.Certificates.FullBytes, signed.Certificates.Bytes = nil, slices.Concat(signed.Certificates.Bytes, cert.Raw)
	inner, err := asn1.Marshal(signed)
	must(tb, err)
	outer.Content = asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner}
	der, err := asn1.Marshal(outer)
	must(tb, err)
	return der
}
