package revocation_test

import (
	"crypto"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sealsmith/sealsmith/issuance/revocation"
)

// stage is an issuer, and a certificate of it that names an OCSP responder only.
type stage struct {
	issuer authority
	leaf   *x509.Certificate
	site   *site
}

func newStage(tb testing.TB) stage {
	tb.Helper()
	s := stage{issuer: newAuthority(tb, "issuer"), site: newSite(tb, http.NotFound)}
	s.leaf = s.issuer.issue(tb, func(c *x509.Certificate) { c.OCSPServer = []string{s.site.url("/ocsp")} }).cert
	return s
}

func (s stage) collect(tb testing.TB, c *revocation.Collector) (revocation.Evidence, error) {
	tb.Helper()
	return c.Collect(tb.Context(), []*x509.Certificate{s.leaf, s.issuer.cert}, time.Time{})
}

// TestOCSPAnswers goes through who may sign an answer and what it may say.
func TestOCSPAnswers(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	tests := map[string]struct {
		make func(*testing.T, stage) []byte
		want error
	}{
		"by the issuer": {func(t *testing.T, s stage) []byte { return answer(t, s.issuer, s.issuer, good(s.leaf)) }, nil},
		"by a responder": {func(t *testing.T, s stage) []byte {
			return answer(t, s.issuer, s.issuer.responder(t, nil), good(s.leaf))
		}, nil},
		"by the issuer, whose certificate is in it": {func(t *testing.T, s stage) []byte {
			return withCertificates(t, answer(t, s.issuer, s.issuer, good(s.leaf)), s.issuer.responder(t, nil).cert, s.issuer.cert)
		}, nil},
		"by a responder under the name of the issuer": {func(t *testing.T, s stage) []byte {
			signer := s.issuer.responder(t, nil)
			r := good(s.leaf)
			r.Certificate = signer.cert
			return answer(t, s.issuer, authority{signer.key, s.issuer.cert}, r)
		}, nil},
		"without nextUpdate": {func(t *testing.T, s stage) []byte {
			r := good(s.leaf)
			r.NextUpdate = time.Time{}
			return answer(t, s.issuer, s.issuer, r)
		}, nil},
		"named by SHA-256": {func(t *testing.T, s stage) []byte {
			r := good(s.leaf)
			r.IssuerHash = crypto.SHA256
			return answer(t, s.issuer, s.issuer, r)
		}, nil},
		"unknown": {func(t *testing.T, s stage) []byte {
			r := good(s.leaf)
			r.Status = ocsp.Unknown
			return answer(t, s.issuer, s.issuer, r)
		}, revocation.ErrUnknown},
		"unauthorized": {func(*testing.T, stage) []byte { return ocsp.UnauthorizedErrorResponse }, revocation.ErrUnknown},
		"try later":    {func(*testing.T, stage) []byte { return ocsp.TryLaterErrorResponse }, revocation.ErrUnreachable},
		"stale": {func(t *testing.T, s stage) []byte {
			r := good(s.leaf)
			r.ThisUpdate, r.NextUpdate = wallClock().Add(-day), wallClock().Add(-time.Hour)
			return answer(t, s.issuer, s.issuer, r)
		}, revocation.ErrStale},
		"old without nextUpdate": {func(t *testing.T, s stage) []byte {
			r := good(s.leaf)
			r.ThisUpdate, r.NextUpdate = wallClock().Add(-2*day), time.Time{}
			return answer(t, s.issuer, s.issuer, r)
		}, revocation.ErrStale},
		"from the future": {func(t *testing.T, s stage) []byte {
			r := good(s.leaf)
			r.ThisUpdate, r.NextUpdate = wallClock().Add(time.Hour), wallClock().Add(day)
			return answer(t, s.issuer, s.issuer, r)
		}, revocation.ErrStale},
		"ends before it begins": {func(t *testing.T, s stage) []byte {
			r := good(s.leaf)
			r.NextUpdate = r.ThisUpdate.Add(-time.Hour)
			return answer(t, s.issuer, s.issuer, r)
		}, revocation.ErrMalformed},
		"another serial number": {func(t *testing.T, s stage) []byte {
			r := good(s.leaf)
			r.SerialNumber = big.NewInt(1)
			return answer(t, s.issuer, s.issuer, r)
		}, revocation.ErrMalformed},
		"of another issuer's certificate": {func(t *testing.T, s stage) []byte {
			return answer(t, newAuthority(t, "other"), s.issuer, good(s.leaf))
		}, revocation.ErrUnknown},
		"of an issuer of the same name with another key": {func(t *testing.T, s stage) []byte {
			return answer(t, newAuthority(t, "issuer"), s.issuer, good(s.leaf))
		}, revocation.ErrUnknown},
		"of an issuer of another name with the same key": {func(t *testing.T, s stage) []byte {
			return answer(t, authorityOf(t, "other", s.issuer.key), s.issuer, good(s.leaf))
		}, revocation.ErrUnknown},
		"by a stranger": {func(t *testing.T, s stage) []byte {
			stranger := newAuthority(t, "issuer")
			return answer(t, s.issuer, authority{stranger.key, s.issuer.cert}, good(s.leaf))
		}, revocation.ErrSignature},
		"by the certificate in question": {func(t *testing.T, s stage) []byte {
			return answer(t, s.issuer, s.issuer.issue(t, nil), good(s.leaf))
		}, revocation.ErrSignature},
		"by a responder without the purpose": {func(t *testing.T, s stage) []byte {
			return answer(t, s.issuer, s.issuer.responder(t, func(c *x509.Certificate) {
				c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageAny}
			}), good(s.leaf))
		}, revocation.ErrSignature},
		"by a responder that may not sign": {func(t *testing.T, s stage) []byte {
			return answer(t, s.issuer, s.issuer.responder(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), good(s.leaf))
		}, revocation.ErrSignature},
		"by the responder of another issuer": {func(t *testing.T, s stage) []byte {
			return answer(t, s.issuer, newAuthority(t, "other").responder(t, nil), good(s.leaf))
		}, revocation.ErrSignature},
		"by the responder of another issuer of the same name": {func(t *testing.T, s stage) []byte {
			return answer(t, s.issuer, newAuthority(t, "issuer").responder(t, nil), good(s.leaf))
		}, revocation.ErrSignature},
		"by an expired responder": {func(t *testing.T, s stage) []byte {
			return answer(t, s.issuer, s.issuer.responder(t, func(c *x509.Certificate) { c.NotAfter = wallClock().Add(-time.Hour) }), good(s.leaf))
		}, revocation.ErrSignature},
		"by a responder of tomorrow": {func(t *testing.T, s stage) []byte {
			return answer(t, s.issuer, s.issuer.responder(t, func(c *x509.Certificate) { c.NotBefore = wallClock().Add(30 * time.Minute) }), good(s.leaf))
		}, revocation.ErrSignature},
		"with a changed signature": {func(t *testing.T, s stage) []byte {
			der := answer(t, s.issuer, s.issuer, good(s.leaf))
			der[len(der)-1] ^= 1
			return der
		}, revocation.ErrSignature},
		"with a byte too many": {func(t *testing.T, s stage) []byte {
			return append(answer(t, s.issuer, s.issuer, good(s.leaf)), 0)
		}, revocation.ErrMalformed},
		"garbage": {func(*testing.T, stage) []byte { return []byte("<html>") }, revocation.ErrMalformed},
		"nothing": {func(*testing.T, stage) []byte { return nil }, revocation.ErrMalformed},
		"huge":    {func(*testing.T, stage) []byte { return make([]byte, 1<<20) }, revocation.ErrMalformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.site.put(bytesOf(test.make(t, s)))
			e, err := s.collect(t, s.site.collector())
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if test.want == nil {
				must(t, e.Status(s.leaf, s.issuer.cert, time.Now()))
			} else if len(e.OCSP) > 0 || !strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("evidence, or an error without the host: %v", err)
			}
		})
	}
}

// TestResponderInTime needs the responder's certificate to be valid when it answers, and
// when the answer comes.
func TestResponderInTime(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ends := wallClock().Add(10 * time.Minute)
	der := answer(t, s.issuer, s.issuer.responder(t, func(c *x509.Certificate) { c.NotAfter = ends }), good(s.leaf))
	s.site.put(bytesOf(der))
	for in, want := range map[time.Duration]error{-time.Minute: nil, time.Minute: revocation.ErrSignature} {
		c := s.site.collector()
		c.Now = func() time.Time { return ends.Add(in) }
		if _, err := s.collect(t, c); !errors.Is(err, want) {
			t.Errorf("%s after the end: %v", in, err)
		}
	}
	must(t, revocation.Evidence{OCSP: [][]byte{der}}.Status(s.leaf, s.issuer.cert, ends.Add(time.Minute)))
	expired := answer(t, s.issuer, s.issuer.responder(t, func(c *x509.Certificate) { c.NotAfter = wallClock().Add(-time.Hour) }), good(s.leaf))
	if err := (revocation.Evidence{OCSP: [][]byte{expired}}).Status(s.leaf, s.issuer.cert, time.Now()); !errors.Is(err, revocation.ErrUnknown) {
		t.Errorf("an answer of an expired responder: %v", err)
	}
}

// TestOCSPTruncated cuts an answer at every byte: none of that is evidence.
func TestOCSPTruncated(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	whole := answer(t, s.issuer, s.issuer.responder(t, nil), good(s.leaf))
	for n := range whole {
		e := revocation.Evidence{OCSP: [][]byte{whole[:n]}}
		if got := e.Statements(s.leaf, s.issuer.cert); len(got) > 0 {
			t.Fatalf("the first %d bytes say %+v", n, got)
		}
	}
	if got := (revocation.Evidence{OCSP: [][]byte{whole}}).Statements(s.leaf, s.issuer.cert); len(got) != 1 {
		t.Fatal("the whole says nothing")
	}
}

// TestOCSPFlipped changes every byte of an answer: what still counts as evidence says the
// same as before, because the changed byte is not signed.
func TestOCSPFlipped(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	whole := answer(t, s.issuer, s.issuer, good(s.leaf))
	want := revocation.Evidence{OCSP: [][]byte{whole}}.Statements(s.leaf, s.issuer.cert)
	accepted := 0
	for n := range whole {
		changed := append([]byte(nil), whole...)
		changed[n] ^= 0x55
		for _, got := range (revocation.Evidence{OCSP: [][]byte{changed}}).Statements(s.leaf, s.issuer.cert) {
			if accepted++; got != want[0] {
				t.Errorf("byte %d: %+v", n, got)
			}
		}
	}
	if accepted > 4 {
		t.Errorf("%d of %d changed answers are accepted", accepted, len(whole))
	}
}

// TestOCSPManyCertificates has the responder's certificate not in the first place.
func TestOCSPManyCertificates(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	signer := s.issuer.responder(t, nil)
	der := withCertificates(t, answer(t, s.issuer, signer, good(s.leaf)), s.issuer.cert, signer.cert)
	s.site.put(bytesOf(der))
	e, err := s.collect(t, s.site.collector())
	must(t, err)
	if len(e.Certificates) != 1 || !e.Certificates[0].Equal(signer.cert) {
		t.Error("not the responder's certificate")
	}
	// Without any it is found among those known.
	bare := withCertificates(t, der)
	e.OCSP = [][]byte{bare}
	must(t, e.Status(s.leaf, s.issuer.cert, time.Now()))
	e.Certificates = nil
	if err := e.Status(s.leaf, s.issuer.cert, time.Now()); !errors.Is(err, revocation.ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

// TestResponderWithoutNoCheck asks about the responder, too, by list.
func TestResponderWithoutNoCheck(t *testing.T) {
	t.Parallel()
	revoke := func(l *tbsList) {
		l.Revoked = []listEntry{{Serial: big.NewInt(99), At: wallClock().Add(-time.Hour)}}
	}
	tests := map[string]struct {
		list func(*testing.T, stage) []byte
		want error
	}{
		"good":    {func(t *testing.T, s stage) []byte { return s.issuer.listing(t, nil) }, nil},
		"revoked": {func(t *testing.T, s stage) []byte { return s.issuer.listing(t, revoke) }, revocation.ErrSignature},
		"no list": {func(*testing.T, stage) []byte { return nil }, revocation.ErrMalformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			der := answer(t, s.issuer, s.issuer.responder(t, func(c *x509.Certificate) {
				c.ExtraExtensions, c.CRLDistributionPoints = nil, []string{s.site.url("/crl")}
			}), good(s.leaf))
			list := test.list(t, s)
			s.site.put(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/crl" {
					_, _ = w.Write(list)
				} else {
					_, _ = w.Write(der)
				}
			})
			e, err := s.collect(t, s.site.collector())
			var revoked *revocation.RevokedError
			if !errors.Is(err, test.want) || errors.As(err, &revoked) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil && (len(e.OCSP) != 1 || len(e.CRLs) != 1 || len(e.Certificates) != 1) {
				t.Errorf("evidence: %d OCSP, %d CRLs, %d certificates", len(e.OCSP), len(e.CRLs), len(e.Certificates))
			}
		})
	}
	t.Run("names no list", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.site.put(bytesOf(answer(t, s.issuer, s.issuer.responder(t, func(c *x509.Certificate) { c.ExtraExtensions = nil }), good(s.leaf))))
		e, err := s.collect(t, s.site.collector())
		must(t, err)
		if len(e.CRLs) != 0 || len(e.Certificates) != 1 {
			t.Errorf("evidence: %d CRLs, %d certificates", len(e.CRLs), len(e.Certificates))
		}
	})
}
