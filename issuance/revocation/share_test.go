package revocation_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance/revocation"
)

func (p provider) collect(tb testing.TB, since time.Time) revocation.Evidence {
	tb.Helper()
	e, err := p.collector.Collect(tb.Context(), p.chain, since)
	must(tb, err)
	must(tb, p.status(e))
	return e
}

// TestShared asks once for all credentials, and again in time.
func TestShared(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	begin := p.clock.now()
	for range 100 {
		p.collect(t, time.Time{})
		p.collect(t, begin)
	}
	if n := p.asked.of("/ocsp"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	p.clock.pass(53 * time.Minute) // of 60 that the answer counts
	p.collect(t, time.Time{})
	if n := p.asked.of("/ocsp"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	p.clock.pass(2 * time.Minute)
	if e := p.collect(t, time.Time{}); p.asked.of("/ocsp") != 2 || !e.Oldest.Equal(p.clock.now()) {
		t.Error("not asked again before the answer ends")
	}
}

// TestSince gets answers that are younger than a time-stamp, but does not ask for each.
func TestSince(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.collect(t, time.Time{})
	for range 600 { // ten credentials a second
		p.clock.pass(100 * time.Millisecond)
		e, err := p.collector.Collect(t.Context(), p.chain, p.clock.now())
		must(t, err)
		if age := p.clock.now().Sub(e.Oldest); age > 11*time.Second {
			t.Fatalf("an answer of %s ago", age)
		}
	}
	if n := p.asked.of("/ocsp"); n < 6 || n > 7 {
		t.Errorf("asked %d times in a minute", n)
	}
	p.clock.pass(10 * time.Second)
	e := p.collect(t, p.clock.now())
	p.clock.pass(11 * time.Second)
	asked := p.asked.of("/ocsp")
	p.collect(t, e.Oldest.Add(999*time.Millisecond)) // answers have no fractions of seconds
	if n := p.asked.of("/ocsp"); n != asked {
		t.Error("asked again for something newer than within that second")
	}
}

// TestMadeInAdvance asks a responder that cannot give anything newer once in ten minutes.
func TestMadeInAdvance(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := good(s.leaf)
	r.ThisUpdate, r.NextUpdate = wallClock().Add(-time.Hour), wallClock().Add(24*time.Hour)
	s.site.put(bytesOf(answer(t, s.issuer, s.issuer, r)))
	clock := &watch{at: wallClock()}
	c := s.site.collector()
	c.Now = clock.now
	for range 40 {
		e, err := c.Collect(t.Context(), []*x509.Certificate{s.leaf, s.issuer.cert}, clock.now())
		must(t, err)
		if !e.Oldest.Equal(r.ThisUpdate) {
			t.Fatalf("of %s", e.Oldest)
		}
		clock.pass(30 * time.Second)
	}
	if n := s.site.asked.of("/ocsp"); n != 2 {
		t.Errorf("asked %d times in 20 minutes", n)
	}
}

// TestOutage lives on what is held, as long as it counts, and forgets the outage after it.
func TestOutage(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	first := p.collect(t, time.Time{})
	down := democa.Faults{OCSP: democa.OCSPFaults{Down: true}, CRL: democa.CRLFaults{Down: true}}
	p.ca.SetFaults(down)
	p.clock.pass(55 * time.Minute)
	if e := p.collect(t, p.clock.now()); !e.Oldest.Equal(first.Oldest) {
		t.Error("not what is held")
	}
	p.clock.pass(6 * time.Minute)
	_, err := p.collector.Collect(t.Context(), p.chain, time.Time{})
	if !errors.Is(err, revocation.ErrUnreachable) {
		t.Fatalf("with data that do not count any more: %v", err)
	}
	p.ca.SetFaults(democa.Faults{CRL: democa.CRLFaults{Down: true}})
	if e := p.collect(t, time.Time{}); len(e.OCSP) != 1 || !e.Oldest.Equal(p.clock.now()) {
		t.Error("the error was held")
	}
}

// TestLieIsNotHeld keeps a good answer when bad ones come after it.
func TestLieIsNotHeld(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]struct {
		faults democa.OCSPFaults
		want   error
	}{
		"wrong signer": {democa.OCSPFaults{WrongSigner: true}, revocation.ErrSignature},
		"stale":        {democa.OCSPFaults{Stale: true}, revocation.ErrStale},
		"unknown":      {democa.OCSPFaults{Unknown: true}, revocation.ErrUnknown},
		"try later":    {democa.OCSPFaults{TryLater: true}, revocation.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			faults := democa.Faults{OCSP: lie.faults, CRL: democa.CRLFaults{Down: true}}
			p.ca.SetFaults(faults)
			if _, err := p.collector.Collect(t.Context(), p.chain, time.Time{}); !errors.Is(err, lie.want) || !errors.Is(err, revocation.ErrUnreachable) {
				t.Fatalf("got %v", err)
			}
			p.ca.SetFaults(democa.Faults{})
			p.clock.pass(time.Minute)
			first := p.collect(t, time.Time{})
			p.ca.SetFaults(faults)
			p.clock.pass(time.Minute)
			if e := p.collect(t, p.clock.now()); !e.Oldest.Equal(first.Oldest) {
				t.Error("not the good answer")
			}
			if e := p.collect(t, time.Time{}); len(e.OCSP) != 1 {
				t.Error("the good answer is gone")
			}
		})
	}
}

// TestRest asks a responder that failed second for a minute, and lists once for all
// certificates.
func TestRest(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.ca.SetFaults(democa.Faults{OCSP: democa.OCSPFaults{Down: true}})
	for range 5 {
		if e := p.collect(t, time.Time{}); len(e.CRLs) != 1 {
			t.Error("not the list")
		}
	}
	if p.asked.of("/ocsp") != 1 || p.asked.of("/crl") != 1 {
		t.Errorf("asked OCSP %d times, for the list %d times", p.asked.of("/ocsp"), p.asked.of("/crl"))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	second, err := p.ca.IssueSeal(democa.Subject{Organisation: "Other", CommonName: "Other", OrganisationIdentifier: "NTRNL-1", Country: "NL"}, key.Public(), nil)
	must(t, err)
	e, err := p.collector.Collect(t.Context(), []*x509.Certificate{second, p.chain[1]}, time.Time{})
	must(t, err)
	if p.asked.of("/crl") != 1 || len(e.CRLs) != 1 {
		t.Error("the list is not shared")
	}
	p.ca.SetFaults(democa.Faults{})
	p.clock.pass(time.Minute)
	if e := p.collect(t, time.Time{}); len(e.OCSP) != 1 || len(e.CRLs) != 0 {
		t.Error("OCSP is not asked again")
	}
}

// TestStaleList needs one of the present.
func TestStaleList(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.ca.SetFaults(democa.Faults{OCSP: democa.OCSPFaults{Down: true}, CRL: democa.CRLFaults{Stale: true}})
	if _, err := p.collector.Collect(t.Context(), p.chain, time.Time{}); !errors.Is(err, revocation.ErrStale) || !errors.Is(err, revocation.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

// TestAtOnce has many ask at the same time, of whom some leave: one request answers them.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	der := answer(t, s.issuer, s.issuer, good(s.leaf))
	arrived, goOn := make(chan struct{}), make(chan struct{})
	s.site.put(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived) // panics when there is a second request
		<-goOn
		_, _ = w.Write(der)
	})
	c := s.site.collector()
	chain := []*x509.Certificate{s.leaf, s.issuer.cert}
	ctx, leave := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	gone := make(chan error, 1)
	go func() {
		_, err := c.Collect(ctx, chain, time.Time{})
		gone <- err
	}()
	<-arrived
	leave() // the one whose request it is
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for range 50 {
		wait.Go(func() {
			e, err := c.Collect(t.Context(), chain, time.Time{})
			if err != nil || len(e.OCSP) != 1 {
				t.Errorf("got %v", err)
			}
		})
	}
	close(goOn)
	wait.Wait()
	if n := s.site.asked.of("/ocsp"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func BenchmarkCollectHeld(b *testing.B) {
	p := newProvider(b)
	p.collect(b, time.Time{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.collector.Collect(b.Context(), p.chain, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStatus(b *testing.B) {
	p := newProvider(b)
	e := p.collect(b, time.Time{})
	b.ReportAllocs()
	for b.Loop() {
		if err := p.status(e); err != nil {
			b.Fatal(err)
		}
	}
}
