package revocation_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sealsmith/sealsmith/issuance/revocation"
)

// TestStatus asks evidence of one time about others.
func TestStatus(t *testing.T) {
	t.Parallel()
	issuer := newAuthority(t, "issuer")
	leaf := issuer.issue(t, nil).cert
	now := wallClock()
	at := func(this, next time.Duration) []byte {
		r := good(leaf)
		r.ThisUpdate, r.NextUpdate = now.Add(this), now.Add(next)
		return answer(t, issuer, issuer, r)
	}
	revoked := func(when time.Duration) []byte {
		r := good(leaf)
		r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, now.Add(when), ocsp.Superseded
		return answer(t, issuer, issuer, r)
	}
	unknown := good(leaf)
	unknown.Status = ocsp.Unknown
	list := issuer.listing(t, func(l *tbsList) {
		l.Revoked = []listEntry{{Serial: leaf.SerialNumber, At: now.Add(-2 * time.Hour)}}
	})
	for name, test := range map[string]struct {
		evidence revocation.Evidence
		at       time.Duration
		want     error
		revoked  bool
	}{
		"nothing":                       {want: revocation.ErrUnknown},
		"unknown":                       {evidence: revocation.Evidence{OCSP: [][]byte{answer(t, issuer, issuer, unknown)}}, want: revocation.ErrUnknown},
		"garbage":                       {evidence: revocation.Evidence{OCSP: [][]byte{{0}}, CRLs: [][]byte{{0}}}, want: revocation.ErrUnknown},
		"of now":                        {evidence: revocation.Evidence{OCSP: [][]byte{at(0, time.Hour)}}},
		"of now, asked about the past":  {evidence: revocation.Evidence{OCSP: [][]byte{at(0, time.Hour)}}, at: -24 * time.Hour},
		"counts still":                  {evidence: revocation.Evidence{OCSP: [][]byte{at(-time.Hour, time.Hour)}}, at: 30 * time.Minute},
		"within the clocks' reach":      {evidence: revocation.Evidence{OCSP: [][]byte{at(-10*time.Minute, -9*time.Minute)}}, at: -6 * time.Minute},
		"counts no more":                {evidence: revocation.Evidence{OCSP: [][]byte{at(-time.Hour, -30*time.Minute)}}, want: revocation.ErrStale},
		"old, and a newer one":          {evidence: revocation.Evidence{OCSP: [][]byte{at(-time.Hour, -30*time.Minute), at(0, time.Hour)}}},
		"revoked":                       {evidence: revocation.Evidence{OCSP: [][]byte{revoked(-time.Hour)}}, revoked: true},
		"revoked at that second":        {evidence: revocation.Evidence{OCSP: [][]byte{revoked(-time.Hour)}}, at: -time.Hour, revoked: true},
		"revoked afterwards":            {evidence: revocation.Evidence{OCSP: [][]byte{revoked(-time.Hour)}}, at: -time.Hour - time.Second},
		"revoked, and good before":      {evidence: revocation.Evidence{OCSP: [][]byte{at(-3*time.Hour, time.Hour), revoked(-time.Hour)}}, revoked: true},
		"revoked by list, good by OCSP": {evidence: revocation.Evidence{OCSP: [][]byte{at(0, time.Hour)}, CRLs: [][]byte{list}}, revoked: true},
		"revoked twice":                 {evidence: revocation.Evidence{OCSP: [][]byte{revoked(-time.Hour)}, CRLs: [][]byte{list}}, at: -90 * time.Minute, revoked: true},
	} {
		err := test.evidence.Status(leaf, issuer.cert, now.Add(test.at))
		if _, revoked := errors.AsType[*revocation.RevokedError](err); revoked != test.revoked {
			t.Errorf("%s: got %v", name, err)
		}
		if !test.revoked && !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	var got *revocation.RevokedError
	err := revocation.Evidence{OCSP: [][]byte{revoked(-time.Hour)}, CRLs: [][]byte{list}}.Status(leaf, issuer.cert, now)
	if !errors.As(err, &got) || !got.At.Equal(now.Add(-2*time.Hour)) || got.Reason != 0 {
		t.Errorf("not the earliest: %v", err)
	}
	if err := (revocation.Evidence{}).Status(nil, nil, now); !errors.Is(err, revocation.ErrConfig) {
		t.Errorf("without certificates: %v", err)
	}
	other := newAuthority(t, "issuer")
	if err := (revocation.Evidence{OCSP: [][]byte{revoked(-time.Hour)}, CRLs: [][]byte{list}}).Status(leaf, other.cert, now); !errors.Is(err, revocation.ErrUnknown) {
		t.Errorf("for another issuer of the same name: %v", err)
	}
}

func TestRevokedWords(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	for reason, word := range map[int]string{0: "unspecified", 1: "keyCompromise", 6: "certificateHold", 10: "aACompromise", 11: "11", -1: "-1"} {
		err := revocation.RevokedError{Certificate: "Demo College", Serial: big.NewInt(0x1a2b), At: at, Reason: reason}
		if got := err.Error(); !strings.Contains(got, `"Demo College" (serial number 1a2b) was revoked on 2026-03-02T12:00:00Z, reason `+word+";") {
			t.Error(got)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	one := p.collect(t, time.Time{})
	p.clock.pass(time.Minute)
	two := p.collect(t, p.clock.now())
	list := revocation.Evidence{CRLs: [][]byte{{1}, {2}, {1}}}
	all := one.Merge(two, one, list, list)
	if len(all.OCSP) != 2 || len(all.CRLs) != 2 || len(all.Certificates) != 1 || !all.Oldest.Equal(one.Oldest) || !all.NextUpdate.Equal(one.NextUpdate) {
		t.Errorf("%d OCSP, %d CRLs, %d certificates, %s to %s", len(all.OCSP), len(all.CRLs), len(all.Certificates), all.Oldest, all.NextUpdate)
	}
	if len(one.OCSP) != 1 || len(one.CRLs) != 0 || len(list.CRLs) != 3 {
		t.Error("a set was changed")
	}
}

func TestShortLived(t *testing.T) {
	t.Parallel()
	issuer := newAuthority(t, "issuer")
	assured := pkix.Extension{Id: asn1.ObjectIdentifier{0, 4, 0, 194121, 2, 1}, Value: asn1.NullBytes}
	noCheck := pkix.Extension{Id: oidNoCheck, Value: asn1.NullBytes}
	with := func(e ...pkix.Extension) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtraExtensions = e }
	}
	for name, test := range map[string]struct {
		cert *x509.Certificate
		want bool
	}{
		"an ordinary one":                  {issuer.issue(t, nil).cert, false},
		"validity assured, short term":     {issuer.issue(t, with(assured)).cert, true},
		"a responder without check":        {issuer.responder(t, nil).cert, true},
		"a responder with check":           {issuer.responder(t, with()).cert, false},
		"no check, but not of a responder": {issuer.issue(t, with(noCheck)).cert, false},
	} {
		if got := revocation.ShortLived(test.cert); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
		if !test.want {
			continue
		}
		must(t, revocation.Evidence{}.Status(test.cert, issuer.cert, time.Now()))
		e, err := (&revocation.Collector{HTTP: newSite(t, nil).server.Client(), Now: time.Now}).Collect(t.Context(), []*x509.Certificate{test.cert, issuer.cert}, time.Time{})
		must(t, err)
		if len(e.OCSP)+len(e.CRLs) > 0 {
			t.Errorf("%s: asked about", name)
		}
	}
}

// TestIntermediate collects about each certificate below the anchor.
func TestIntermediate(t *testing.T) {
	t.Parallel()
	site := newSite(t, nil)
	root := newAuthority(t, "root")
	middle := root.issue(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = "middle", true, true
		c.KeyUsage, c.CRLDistributionPoints = x509.KeyUsageCertSign|x509.KeyUsageCRLSign, []string{site.url("/root.crl")}
	})
	leaf := middle.issue(t, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{site.url("/middle.crl")} })
	lists := map[string][]byte{"/root.crl": root.listing(t, nil), "/middle.crl": middle.listing(t, nil)}
	site.put(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(lists[r.URL.Path]) })
	chain := []*x509.Certificate{leaf.cert, middle.cert, root.cert}
	e, err := site.collector().Collect(t.Context(), chain, time.Time{})
	must(t, err)
	if len(e.CRLs) != 2 {
		t.Errorf("%d lists", len(e.CRLs))
	}
	for i := range chain[:2] {
		must(t, e.Status(chain[i], chain[i+1], time.Now()))
	}
	lists["/root.crl"] = middle.listing(t, nil)
	if _, err := site.collector().Collect(t.Context(), chain, time.Time{}); !errors.Is(err, revocation.ErrSignature) || !strings.Contains(err.Error(), `"middle"`) {
		t.Errorf("got %v", err)
	}
}
