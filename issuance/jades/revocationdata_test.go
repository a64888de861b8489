package jades_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// hierarchy is a seal certificate two steps below its root, stamped by a provider of its own.
type hierarchy struct {
	*provider
	root, middle authority
	bt           []byte
}

const listURL = "http://middle.example/crl"

func newHierarchy(tb testing.TB, change func(*x509.Certificate)) hierarchy {
	tb.Helper()
	h := hierarchy{provider: newProvider(tb), root: newAuthority(tb, "Example Root", nil)}
	h.middle = newAuthority(tb, "Example Intermediate", &h.root)
	h.leaf = h.middle.issue(tb, h.soft.key.Public(), func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{listURL}
		if change != nil {
			change(c)
		}
	})
	h.bt = h.toT(tb, h.levelB(tb))
	return h
}

// judge adds revocation data, and those about the time-stamp, and judges what comes of it.
func (h hierarchy) judge(tb testing.TB, v jades.Values) (jades.Level, []result) {
	tb.Helper()
	tsa, err := h.ca.TSACertificate(false)
	must(tb, err)
	v.Certificates = append(v.Certificates, h.middle.cert, h.root.cert, tsa, h.ca.Certificate())
	v.OCSP = append(v.OCSP, h.ocsp(tb, tsa))
	file, err := jades.AddValues(h.bt, v)
	must(tb, err)
	f, err := jades.Parse(file)
	must(tb, err)
	found := f.Verify(jades.VerifyOptions{Trust: h.root.pool(), TimestampTrust: h.pool(), At: h.now})
	return found.Proofs[0].Reached, notGood(found.Findings)
}

// responder answers in the name of an authority, with a key and certificate of its own or that
// authority's.
type responder struct {
	issuer authority
	cert   *x509.Certificate
	key    crypto.Signer
	inside bool // the certificate comes with the answer
}

func (r responder) good(tb testing.TB, c *x509.Certificate, at time.Time) []byte {
	tb.Helper()
	template := ocsp.Response{Status: ocsp.Good, SerialNumber: c.SerialNumber, ThisUpdate: at, NextUpdate: at.Add(time.Hour), IssuerHash: crypto.SHA256}
	if r.inside {
		template.Certificate = r.cert
	}
	der, err := ocsp.CreateResponse(r.issuer.cert, r.cert, template, r.key)
	must(tb, err)
	return der
}

// list is one of an authority.
func (a authority) list(tb testing.TB, at time.Time, withdrawn *x509.Certificate, extra ...pkix.Extension) []byte {
	tb.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: at, NextUpdate: at.Add(time.Hour), ExtraExtensions: extra}
	if withdrawn != nil {
		template.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: withdrawn.SerialNumber, RevocationTime: at.Add(-time.Hour)}}
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.cert, a.key)
	must(tb, err)
	return der
}

// TestWhoMayAnswer: an OCSP response counts when the authority of the certificate gave it, or
// somebody whom that very authority certified for it (RFC 6960, 4.2.2.2).
func TestWhoMayAnswer(t *testing.T) {
	t.Parallel()
	h := newHierarchy(t, nil)
	key := newEC(t, elliptic.P256())
	delegate := func(by authority, change func(*x509.Certificate)) *x509.Certificate {
		return by.issue(t, key.Public(), func(c *x509.Certificate) {
			c.Subject, c.SerialNumber = pkix.Name{CommonName: "Responder"}, big.NewInt(5)
			c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
			if change != nil {
				change(c)
			}
		})
	}
	mallory := newAuthority(t, "Example Intermediate", nil)
	certified := delegate(h.middle, nil)
	ended := delegate(h.middle, func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Hour) })
	noPurpose := delegate(h.middle, func(c *x509.Certificate) { c.ExtKeyUsage = nil })
	fromAbove := delegate(h.root, nil)
	forged := delegate(mallory, nil)
	for _, tc := range []struct {
		name string
		responder
		with []*x509.Certificate // in xVals
		good bool
	}{
		{"the authority", responder{h.middle, h.middle.cert, h.middle.key, false}, nil, true},
		{"the authority, with its certificate", responder{h.middle, h.middle.cert, h.middle.key, true}, nil, true},
		{"a delegate", responder{h.middle, certified, key, true}, nil, true},
		{"a delegate whose certificate is in xVals", responder{h.middle, certified, key, false}, []*x509.Certificate{certified}, true},
		{"a delegate whose certificate is nowhere", responder{h.middle, certified, key, false}, nil, false},
		{"a delegate that has ended", responder{h.middle, ended, key, true}, nil, false},
		{"a delegate for something else", responder{h.middle, noPurpose, key, true}, nil, false},
		{"the same in xVals", responder{h.middle, noPurpose, key, false}, []*x509.Certificate{noPurpose}, false},
		{"a delegate of the authority above", responder{h.middle, fromAbove, key, true}, nil, false},
		{"a delegate of an authority that calls itself the same", responder{h.middle, forged, key, true}, nil, false},
		{"an authority that calls itself the same", responder{mallory, mallory.cert, mallory.key, true}, nil, false},
		{"the authority, about that number of another authority", responder{h.root, h.middle.cert, h.middle.key, true}, nil, false},
		{"a delegate, about that number of another authority", responder{h.root, certified, key, true}, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			level, found := h.judge(t, jades.Values{Certificates: tc.with, OCSP: [][]byte{tc.responder.good(t, h.leaf, noon)}, CRLs: [][]byte{h.root.list(t, noon, nil)}})
			wantLevel, want := jades.LevelLT, []result(nil)
			if !tc.good {
				wantLevel, want = jades.LevelT, results(notReached, noData)
			}
			if diff := diffOf(want, found); diff != "" || level != wantLevel {
				t.Errorf("level %q, findings (-want +got):\n%s", level, diff)
			}
		})
	}
}

// TestWhatAListSpeaksOf: a list that is not complete for a certificate says nothing of it.
func TestWhatAListSpeaksOf(t *testing.T) {
	t.Parallel()
	h := newHierarchy(t, nil)
	part := func(value any) pkix.Extension {
		der, err := asn1.Marshal(value)
		must(t, err)
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: der}
	}
	type flag1 struct {
		B bool `asn1:"tag:1"`
	}
	type flag2 struct {
		B bool `asn1:"tag:2"`
	}
	type flag4 struct {
		B bool `asn1:"tag:4"`
	}
	type flag5 struct {
		B bool `asn1:"tag:5"`
	}
	type reasons struct {
		R asn1.BitString `asn1:"tag:3"`
	}
	point := func(uri string) pkix.Extension {
		name := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri)}
		inner, err := asn1.Marshal(name)
		must(t, err)
		full, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner})
		must(t, err)
		return part(struct{ P asn1.RawValue }{asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: full}})
	}
	for _, tc := range []struct {
		name  string
		extra []pkix.Extension
		good  bool
	}{
		{"all", nil, true},
		{"all, with something to know", []pkix.Extension{extension(false)}, true},
		{"with something that must be known", []pkix.Extension{extension(true)}, false},
		{"end entities", []pkix.Extension{part(flag1{true})}, true},
		{"authorities", []pkix.Extension{part(flag2{true})}, false},
		{"some reasons", []pkix.Extension{part(reasons{asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}})}, false},
		{"of other authorities too", []pkix.Extension{part(flag4{true})}, false},
		{"attribute certificates", []pkix.Extension{part(flag5{true})}, false},
		{"its place", []pkix.Extension{point(listURL)}, true},
		{"another place", []pkix.Extension{point("http://middle.example/other")}, false},
		{"changes only", []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}, false},
		{"place that cannot be read", []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{1}}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			level, found := h.judge(t, jades.Values{CRLs: [][]byte{h.middle.list(t, noon, nil, tc.extra...), h.root.list(t, noon, nil)}})
			wantLevel, want := jades.LevelLT, []result(nil)
			if !tc.good {
				wantLevel, want = jades.LevelT, results(notReached, noData)
			}
			if diff := diffOf(want, found); diff != "" || level != wantLevel {
				t.Errorf("level %q, findings (-want +got):\n%s", level, diff)
			}
		})
	}
}

// TestWithdrawnAbove: each certificate of the chain is asked about.
func TestWithdrawnAbove(t *testing.T) {
	t.Parallel()
	h := newHierarchy(t, nil)
	leaf := h.middle.list(t, noon, nil)
	level, found := h.judge(t, jades.Values{CRLs: [][]byte{leaf, h.root.list(t, noon, h.middle.cert)}})
	if diff := diffOf(results(withdrawn(jades.Failed, jades.ReasonRevokedBefore)), found); diff != "" || level != jades.LevelLT {
		t.Errorf("authority withdrawn: level %q, findings (-want +got):\n%s", level, diff)
	}
	level, found = h.judge(t, jades.Values{CRLs: [][]byte{leaf}})
	if diff := diffOf(results(notReached, noData), found); diff != "" || level != jades.LevelT {
		t.Errorf("nothing about the authority: level %q, findings (-want +got):\n%s", level, diff)
	}
	later := h.middle.list(t, noon.Add(-2*time.Hour), nil)
	level, found = h.judge(t, jades.Values{CRLs: [][]byte{later, h.middle.list(t, noon, h.leaf), h.root.list(t, noon, nil)}})
	if diff := diffOf(results(withdrawn(jades.Failed, jades.ReasonRevokedBefore)), found); diff != "" || level != jades.LevelLT {
		t.Errorf("an old list says nothing, a new one says withdrawn: level %q, findings (-want +got):\n%s", level, diff)
	}
}

// TestNeverWithdrawn: certificates for a short time say of themselves that nobody need be asked
// (EN 319 412-1, 5.2).
func TestNeverWithdrawn(t *testing.T) {
	t.Parallel()
	h := newHierarchy(t, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{0, 4, 0, 194121, 2, 1}, Value: []byte{5, 0}}}
	})
	level, found := h.judge(t, jades.Values{CRLs: [][]byte{h.root.list(t, noon, nil)}})
	if diff := diffOf(nil, found); diff != "" || level != jades.LevelLT {
		t.Errorf("level %q, findings (-want +got):\n%s", level, diff)
	}
}

// TestSaidAfterTheEnd: what an authority says of a certificate that has ended is no longer good
// news, for it may have forgotten that it had withdrawn it.
func TestSaidAfterTheEnd(t *testing.T) {
	t.Parallel()
	h := newHierarchy(t, func(c *x509.Certificate) { c.NotAfter = noon.Add(time.Hour) })
	h.now = noon.Add(2 * time.Hour)
	level, found := h.judge(t, jades.Values{CRLs: [][]byte{h.middle.list(t, h.now, nil), h.root.list(t, h.now, nil)}})
	if diff := diffOf(results(withdrawn(jades.Unknown, jades.ReasonStaleData)), found); diff != "" || level != jades.LevelLT {
		t.Errorf("level %q, findings (-want +got):\n%s", level, diff)
	}
}
