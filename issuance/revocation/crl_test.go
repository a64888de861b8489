package revocation_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/revocation"
)

// Extensions of RFC 5280 section 5.2.
var (
	idDelta        = []int{2, 5, 29, 27}
	idDistribution = []int{2, 5, 29, 28}
	idStrange      = []int{1, 3, 6, 1, 4, 1, 99999, 1}
)

// scope is issuingDistributionPoint.
type scope struct {
	Point      asn1.RawValue  `asn1:"optional"`
	OnlyUsers  bool           `asn1:"optional,tag:1"`
	OnlyCAs    bool           `asn1:"optional,tag:2"`
	Reasons    asn1.BitString `asn1:"optional,tag:3"`
	Indirect   bool           `asn1:"optional,tag:4"`
	Attributes bool           `asn1:"optional,tag:5"`
}

// point is [0] DistributionPointName: fullName [0]: uniformResourceIdentifier [6].
func point(uris ...string) asn1.RawValue {
	wrap := func(tag int, compound bool, content []byte) []byte {
		der, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: compound, Bytes: content})
		if err != nil {
			panic(err) // of the test's own making
		}
		return der
	}
	var names []byte
	for _, uri := range uris {
		names = append(names, wrap(6, false, []byte(uri))...)
	}
	return asn1.RawValue{FullBytes: wrap(0, true, wrap(0, true, names))}
}

func newListStage(tb testing.TB, isCA bool) stage {
	tb.Helper()
	s := stage{issuer: newAuthority(tb, "issuer"), site: newSite(tb, http.NotFound)}
	s.leaf = s.issuer.issue(tb, func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{"ldap://directory.example/cn=list", s.site.url("/crl")}
		c.IsCA, c.BasicConstraintsValid = isCA, true
	}).cert
	return s
}

// TestLists goes through what a list may be and what it must be to count.
func TestLists(t *testing.T) {
	t.Parallel()
	revokedUser := listEntry{Serial: big.NewInt(4711), At: wallClock().Add(-time.Hour)}
	tests := map[string]struct {
		isCA   bool
		change func(stage) func(*tbsList)
		want   error // of Collect
		status error // of Status
	}{
		"good": {},
		"others are revoked": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) { l.Revoked = []listEntry{{Serial: big.NewInt(4712), At: wallClock()}} }
		}},
		"of its distribution point": {change: func(s stage) func(*tbsList) {
			return extension(idDistribution, true, scope{Point: point("http://elsewhere.example/", s.site.url("/crl"))})
		}},
		"of another distribution point": {change: func(s stage) func(*tbsList) {
			return extension(idDistribution, true, scope{Point: point(s.site.url("/crl") + "2")})
		}, want: revocation.ErrUnknown},
		"of a part of its distribution point's address": {change: func(s stage) func(*tbsList) {
			return extension(idDistribution, true, scope{Point: point(s.site.url("/"))})
		}, want: revocation.ErrUnknown},
		"of users, about a user": {change: func(stage) func(*tbsList) { return extension(idDistribution, true, scope{OnlyUsers: true}) }},
		"of CAs, about a CA":     {isCA: true, change: func(stage) func(*tbsList) { return extension(idDistribution, true, scope{OnlyCAs: true}) }},
		"of CAs, about a user": {change: func(stage) func(*tbsList) {
			return extension(idDistribution, true, scope{OnlyCAs: true})
		}, want: revocation.ErrUnknown},
		"of users, about a CA": {isCA: true, change: func(stage) func(*tbsList) {
			return extension(idDistribution, true, scope{OnlyUsers: true})
		}, want: revocation.ErrUnknown},
		"for some reasons": {change: func(stage) func(*tbsList) {
			return extension(idDistribution, true, scope{Reasons: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}})
		}, want: revocation.ErrUnknown},
		"indirect": {change: func(stage) func(*tbsList) {
			return extension(idDistribution, true, scope{Indirect: true})
		}, want: revocation.ErrUnknown},
		"of attribute certificates": {change: func(stage) func(*tbsList) {
			return extension(idDistribution, true, scope{Attributes: true})
		}, want: revocation.ErrUnknown},
		"unreadable scope": {change: func(stage) func(*tbsList) { return extension(idDistribution, true, 7) }, want: revocation.ErrMalformed},
		"delta":            {change: func(stage) func(*tbsList) { return extension(idDelta, true, 7) }, want: revocation.ErrMalformed},
		"delta, not critical": {change: func(stage) func(*tbsList) {
			return extension(idDelta, false, 7)
		}, want: revocation.ErrMalformed},
		"strange critical extension": {change: func(stage) func(*tbsList) { return extension(idStrange, true, 7) }, want: revocation.ErrMalformed},
		"strange extension":          {change: func(stage) func(*tbsList) { return extension(idStrange, false, 7) }},
		"critical extension of an entry": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) {
				l.Revoked = []listEntry{{big.NewInt(1), wallClock(), []pkix.Extension{{Id: idStrange, Critical: true, Value: []byte{5, 0}}}}}
			}
		}, want: revocation.ErrMalformed},
		"critical reason of an entry": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) {
				l.Revoked = []listEntry{{big.NewInt(1), wallClock(), []pkix.Extension{{Id: []int{2, 5, 29, 21}, Critical: true, Value: []byte{0x0a, 1, 1}}}}}
			}
		}},
		"extension of an entry": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) {
				l.Revoked = []listEntry{{big.NewInt(1), wallClock(), []pkix.Extension{{Id: idStrange, Value: []byte{5, 0}}}}}
			}
		}},
		"unreadable reason": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) {
				l.Revoked = []listEntry{{big.NewInt(1), wallClock(), []pkix.Extension{{Id: []int{2, 5, 29, 21}, Value: []byte{5, 0}}}}}
			}
		}, want: revocation.ErrMalformed},
		"revoked": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) { l.Revoked = []listEntry{{Serial: big.NewInt(1), At: wallClock()}, revokedUser} }
		}, status: &revocation.RevokedError{}},
		"stale": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) { l.Next = wallClock().Add(-time.Minute) }
		}, want: revocation.ErrStale},
		"from the future": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) { l.This = wallClock().Add(30 * time.Minute) }
		}, want: revocation.ErrStale},
		"without nextUpdate": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) { l.Next = time.Time{} }
		}, want: revocation.ErrMalformed},
		"version 1": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) { l.Version, l.Extensions = 0, nil }
		}, want: revocation.ErrMalformed},
		"of another issuer": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) {
				name, _ := asn1.Marshal(pkix.Name{CommonName: "other"}.ToRDNSequence())
				l.Issuer = asn1.RawValue{FullBytes: name}
			}
		}, want: revocation.ErrSignature},
		"for another key of the issuer": {change: func(stage) func(*tbsList) {
			return func(l *tbsList) { l.Extensions[0].Value = []byte{0x30, 3, 0x80, 1, 7} }
		}, want: revocation.ErrSignature},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newListStage(t, test.isCA)
			var change func(*tbsList)
			if test.change != nil {
				change = test.change(s)
			}
			s.site.put(bytesOf(s.issuer.listing(t, change)))
			e, err := s.collect(t, s.site.collector())
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if test.want != nil {
				return
			}
			err = e.Status(s.leaf, s.issuer.cert, time.Now())
			var revoked *revocation.RevokedError
			if errors.As(err, &revoked) != (test.status != nil) || (test.status == nil && err != nil) {
				t.Errorf("status %v", err)
			}
		})
	}
}

func TestListsOfOthers(t *testing.T) {
	t.Parallel()
	s := newListStage(t, false)
	stranger := newAuthority(t, "issuer")
	whole := s.issuer.listing(t, nil)
	changed := bytes.Clone(whole)
	changed[len(changed)-1] ^= 1
	pem := []byte("-----BEGIN X509 CRL-----")
	for name, test := range map[string]struct {
		body []byte
		want error
	}{
		"of the same name, with its own key": {stranger.listing(t, nil), revocation.ErrSignature},
		"of the same name, our key claimed":  {authority{stranger.key, s.issuer.cert}.listing(t, nil), revocation.ErrSignature},
		"with a changed signature":           {changed, revocation.ErrSignature},
		"with a byte too many":               {append(bytes.Clone(whole), 0), revocation.ErrMalformed},
		"as text":                            {pem, revocation.ErrMalformed},
		"nothing":                            {nil, revocation.ErrMalformed},
	} {
		s.site.put(bytesOf(test.body))
		if _, err := s.collect(t, s.site.collector()); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

// TestTooLong reads no further than it must.
func TestTooLong(t *testing.T) {
	t.Parallel()
	s := newListStage(t, false)
	whole := s.issuer.listing(t, nil)
	s.site.put(bytesOf(append(whole, make([]byte, revocation.MaxList)...)))
	_, err := s.collect(t, s.site.collector())
	if !errors.Is(err, revocation.ErrMalformed) || !strings.Contains(err.Error(), "more than 8388608 bytes") {
		t.Errorf("got %v", err)
	}
}

// TestHeldListOfOthers does not take a list that is held for a certificate that it does not
// speak of, in an outage, too.
func TestHeldListOfOthers(t *testing.T) {
	t.Parallel()
	s, ca := newListStage(t, false), newListStage(t, true)
	s.site.put(bytesOf(s.issuer.listing(t, extension(idDistribution, true, scope{OnlyUsers: true}))))
	other := s.issuer.issue(t, func(c *x509.Certificate) {
		c.CRLDistributionPoints, c.IsCA, c.BasicConstraintsValid = s.leaf.CRLDistributionPoints, true, true
	})
	clock := &watch{at: wallClock()}
	c := s.site.collector()
	c.Now = clock.now
	_, err := s.collect(t, c)
	must(t, err)
	ca.issuer, ca.leaf = s.issuer, other.cert
	if _, err := ca.collect(t, c); !errors.Is(err, revocation.ErrUnknown) {
		t.Errorf("while it is held: %v", err)
	}
	s.site.put(http.NotFound)
	clock.pass(55 * time.Minute)
	if _, err := ca.collect(t, c); !errors.Is(err, revocation.ErrUnreachable) {
		t.Errorf("in an outage: %v", err)
	}
	e, err := s.collect(t, c)
	must(t, err)
	must(t, e.Status(s.leaf, s.issuer.cert, clock.now()))
}

// TestListTruncated cuts a list at every byte: none of that is evidence.
func TestListTruncated(t *testing.T) {
	t.Parallel()
	s := newListStage(t, false)
	whole := s.issuer.listing(t, func(l *tbsList) {
		l.Revoked = []listEntry{{Serial: big.NewInt(1), At: wallClock()}, {Serial: big.NewInt(4711), At: wallClock()}}
	})
	for n := range whole {
		e := revocation.Evidence{CRLs: [][]byte{whole[:n]}}
		if got := e.Statements(s.leaf, s.issuer.cert); len(got) > 0 {
			t.Fatalf("the first %d bytes say %+v", n, got)
		}
	}
	if got := (revocation.Evidence{CRLs: [][]byte{whole}}).Statements(s.leaf, s.issuer.cert); len(got) != 1 || got[0].Revoked.IsZero() {
		t.Fatal("the whole says nothing")
	}
}

// TestListFlipped changes every byte of a list: none that counts says something else.
func TestListFlipped(t *testing.T) {
	t.Parallel()
	s := newListStage(t, false)
	whole := s.issuer.listing(t, func(l *tbsList) {
		reason := []pkix.Extension{{Id: []int{2, 5, 29, 21}, Value: []byte{0x0a, 1, 1}}}
		l.Revoked = []listEntry{{big.NewInt(1), wallClock(), reason}, {Serial: big.NewInt(4711), At: wallClock()}}
		extension(idDistribution, true, scope{Point: point(s.site.url("/crl"))})(l)
	})
	for n := range whole {
		for _, with := range []byte{0x01, 0x15, 0xff} {
			changed := bytes.Clone(whole)
			changed[n] ^= with
			if got := (revocation.Evidence{CRLs: [][]byte{changed}}).Statements(s.leaf, s.issuer.cert); len(got) > 0 {
				t.Errorf("byte %d changed by %x says %+v", n, with, got)
			}
		}
	}
}

// bigList has so many entries that it is about as big as a list may be.
func bigList(tb testing.TB, a authority) ([]byte, int) {
	tb.Helper()
	const n = 200_000
	first, err := asn1.Marshal(listEntry{serialOf(0), wallClock(), []pkix.Extension{{Id: []int{2, 5, 29, 21}, Value: []byte{0x0a, 1, 1}}}})
	must(tb, err)
	all := bytes.Repeat(first, n)
	for i := range n {
		serialOf(i).FillBytes(all[i*len(first)+4:][:8]) // behind the headers of SEQUENCE and INTEGER
	}
	return a.listing(tb, func(l *tbsList) { l.Bulk = asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: all} }), n
}

// serialOf are serial numbers of eight bytes.
func serialOf(i int) *big.Int {
	return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 60), big.NewInt(int64(i)))
}

// TestBigList reads a list of many megabytes without a value for each entry. It is not
// parallel, for AllocsPerRun.
func TestBigList(t *testing.T) {
	a := newAuthority(t, "issuer")
	der, n := bigList(t, a)
	if len(der) < 7<<20 || len(der) > revocation.MaxList {
		t.Fatalf("%d bytes", len(der))
	}
	last := a.issue(t, func(c *x509.Certificate) {
		c.SerialNumber = serialOf(n - 1)
	})
	e := revocation.Evidence{CRLs: [][]byte{der}}
	var got []revocation.Statement
	allocations := testing.AllocsPerRun(1, func() { got = e.Statements(last.cert, a.cert) })
	if len(got) != 1 || got[0].Reason != 1 || got[0].Revoked.IsZero() {
		t.Fatalf("got %+v", got)
	}
	if allocations > float64(n)/100 {
		t.Errorf("%.0f allocations for %d entries", allocations, n)
	}
}

func BenchmarkBigList(b *testing.B) {
	a := newAuthority(b, "issuer")
	der, _ := bigList(b, a)
	leaf := a.issue(b, nil)
	e := revocation.Evidence{CRLs: [][]byte{der}}
	b.SetBytes(int64(len(der)))
	b.ReportAllocs()
	for b.Loop() {
		if got := e.Statements(leaf.cert, a.cert); len(got) != 1 {
			b.Fatal("says nothing")
		}
	}
}
