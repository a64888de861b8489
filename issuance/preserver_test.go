package issuance_test

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/revocation"
	"github.com/sealsmith/sealsmith/issuance/tsp"
	"github.com/sealsmith/sealsmith/templates"
)

// archive is an office whose seal certificate comes from a trust service provider that can be
// asked, with what adds proofs.
type archive struct {
	*office
	ca        *democa.CA
	preserver *issuance.Preserver
}

func newArchive(t *testing.T, o *office) archive {
	t.Helper()
	server := httptest.NewServer(nil)
	t.Cleanup(server.Close)
	ca, err := democa.New(democa.Options{BaseURL: server.URL, Now: o.clock.Now, Rand: rand.Reader})
	check(t, err)
	server.Config.Handler = ca.Handler()
	o.token.mint.leaf, err = ca.IssueSeal(democa.Subject{
		Organisation: "Polder University of Technology (fictional)", CommonName: "Polder eSeal", OrganisationIdentifier: "NTRNL-12345678", Country: "NL",
	}, o.token.mint.key.Public(), nil)
	check(t, err)
	o.token.mint.authority = ca.Certificate()
	trust := o.token.mint.pool()
	return archive{o, ca, &issuance.Preserver{
		DB:     o.db,
		Stamps: &tsp.Client{Authorities: []tsp.Authority{{URL: server.URL + "/tsa"}, {URL: server.URL + "/tsa2"}}, HTTP: server.Client(), Now: o.clock.Now, Anchors: trust},
		Status: &revocation.Collector{HTTP: server.Client(), Now: o.clock.Now},
		Trust:  trust, StampTrust: trust, Parallel: 2, Lease: 3 * time.Minute, Every: time.Second, Now: o.clock.Now, Logger: slog.New(slog.DiscardHandler),
	}}
}

// seal seals for a learner, to be proven up to a level.
func (a archive) seal(t *testing.T, learner string, goal templates.SealLevel) (issuance.Claim, issuance.Credential) {
	t.Helper()
	w := a.worker(t)
	w.Level = goal
	c := a.claim(t, learner)
	check(t, w.Seal(t.Context(), c.ID))
	return c, a.sealed(t, c)
}

// run works on what is due.
func (a archive) run(t *testing.T) {
	t.Helper()
	_, err := a.preserver.RunOnce(t.Context())
	check(t, err)
}

// waiting wants so many credentials that have not reached their goal.
func (a archive) waiting(t *testing.T, want int) issuance.ProofLoad {
	t.Helper()
	load, err := a.desk.Proofs(t.Context(), a.org.ID)
	check(t, err)
	if load.Waiting != want {
		t.Errorf("%d wait (%s), want %d", load.Waiting, load.LastError, want)
	}
	return load
}

// reached wants a credential that is genuine at its level, and has the same seal as before.
func (a archive) reached(t *testing.T, c issuance.Claim, before []byte, want templates.SealLevel) []byte {
	t.Helper()
	cred := a.sealed(t, c)
	old, err := jades.Parse(before)
	check(t, err)
	file, err := jades.Parse(cred.Sealed)
	check(t, err)
	was, err := jades.SignatureImprint(before)
	check(t, err)
	is, err := jades.SignatureImprint(cred.Sealed)
	check(t, err)
	if string(old.Payload) != string(file.Payload) || string(was) != string(is) {
		t.Error("content or seal have changed")
	}
	proof := file.Verify(jades.VerifyOptions{Trust: a.preserver.Trust, TimestampTrust: a.preserver.StampTrust, At: a.clock.Now()}).Proofs[0]
	if cred.Level != want || string(proof.Reached) != "B-"+string(want) {
		t.Errorf("the row says %s, the file is %s, want %s", cred.Level, proof.Reached, want)
	}
	return cred.Sealed
}

func TestPreserve(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		a := newArchive(t, o)
		before, claims := map[templates.SealLevel][]byte{}, map[templates.SealLevel]issuance.Claim{}
		for _, goal := range templates.SealLevels() {
			c, cred := a.seal(t, "learner-"+string(goal), goal)
			claims[goal], before[goal] = c, cred.Sealed
		}
		a.waiting(t, 3)
		a.run(t)
		a.waiting(t, 0)
		for goal, c := range claims {
			a.reached(t, c, before[goal], goal)
		}
		cred := a.sealed(t, claims[templates.SealLTA])
		if n := a.audits(t, "proof added", cred.ID); n != 3 {
			t.Errorf("%d lines of audit", n)
		}
		a.clock.add(300 * 24 * time.Hour)
		if n, err := a.preserver.RunOnce(t.Context()); err != nil || n != 0 {
			t.Errorf("%d were looked at again (%v)", n, err)
		}
	})
}

// Before the certificate of the authority ends, and then again, another time-stamp goes over
// everything; after the certificate of the seal has ended too, the credential is still genuine.
func TestRenew(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		a := newArchive(t, o)
		c, cred := a.seal(t, "learner", templates.SealLTA)
		a.run(t)
		file := a.reached(t, c, cred.Sealed, templates.SealLTA)
		for round := range 3 {
			a.clock.add(democa.Validity - 80*24*time.Hour)
			a.ca.SetBaseURL(a.base()) // the provider has new services by then
			a.run(t)
			longer := a.reached(t, c, cred.Sealed, templates.SealLTA)
			if len(longer) <= len(file) {
				var why string
				check(t, a.db.Get(t.Context(), &why, `select last_error from credential_proofs`))
				t.Fatalf("round %d: nothing was added: %s", round, why)
			}
			file = longer
		}
	})
}

// base is the address of the provider.
func (a archive) base() string {
	return strings.TrimSuffix(a.preserver.Stamps.(*tsp.Client).Authorities[0].URL, "/tsa")
}

// What an authority does wrong is told in words and tried again; what is sealed stays genuine,
// and whatever was reached is kept.
func TestPreserveTrouble(t *testing.T) {
	t.Parallel()
	down := democa.TSAFaults{Down: true}
	for name, test := range map[string]struct {
		faults democa.Faults
		level  templates.SealLevel // that is reached all the same
		says   string
	}{
		"no authority":      {democa.Faults{TSA: down, TSA2: down}, templates.SealB, "503"},
		"lies about time":   {democa.Faults{TSA: democa.TSAFaults{Future: true}, TSA2: democa.TSAFaults{Past: true}}, templates.SealB, "clock"},
		"other bytes":       {democa.Faults{TSA: democa.TSAFaults{WrongImprint: true}, TSA2: down}, templates.SealB, "imprint"},
		"other request":     {democa.Faults{TSA: democa.TSAFaults{WrongNonce: true}, TSA2: down}, templates.SealB, "nonce"},
		"second is there":   {democa.Faults{TSA: democa.TSAFaults{Garbage: true}}, templates.SealLTA, ""},
		"nobody says good":  {democa.Faults{OCSP: democa.OCSPFaults{Down: true}, CRL: democa.CRLFaults{Down: true}}, templates.SealT, "revocation data of the seal"},
		"list instead":      {democa.Faults{OCSP: democa.OCSPFaults{Down: true}}, templates.SealLTA, ""},
		"answers are stale": {democa.Faults{OCSP: democa.OCSPFaults{Stale: true}, CRL: democa.CRLFaults{Stale: true}}, templates.SealT, "revocation data of the seal"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				a := newArchive(t, o)
				c, cred := a.seal(t, "learner", templates.SealLTA)
				a.ca.SetFaults(test.faults)
				a.run(t)
				a.reached(t, c, cred.Sealed, test.level)
				if test.level == templates.SealLTA {
					a.waiting(t, 0)
					return
				}
				if load := a.waiting(t, 1); !strings.Contains(load.LastError, test.says) {
					t.Errorf("it says %q, not %q", load.LastError, test.says)
				}
				if n, err := a.preserver.RunOnce(t.Context()); err != nil || n != 0 {
					t.Errorf("%d are tried again at once (%v)", n, err)
				}
				a.ca.SetFaults(democa.Faults{})
				a.clock.add(2 * time.Hour)
				a.run(t)
				if load := a.waiting(t, 0); load.LastError != "" {
					t.Errorf("it still says %q", load.LastError)
				}
				a.reached(t, c, cred.Sealed, templates.SealLTA)
			})
		})
	}
}

// A certificate that was withdrawn before the time-stamp must not look proven.
func TestPreserveRevoked(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		a := newArchive(t, o)
		c, cred := a.seal(t, "learner", templates.SealLTA)
		check(t, a.ca.Revoke(a.token.mint.leaf.SerialNumber, a.clock.Now().Add(-time.Minute), 1))
		a.run(t)
		if load := a.waiting(t, 1); !strings.Contains(load.LastError, "was revoked on") {
			t.Errorf("it says %q", load.LastError)
		}
		a.reached(t, c, cred.Sealed, templates.SealT)
	})
}

// Killed before any stage is stored, the next process goes on with that stage when the lease
// of the dead one has ended.
func TestPreserverKilled(t *testing.T) {
	t.Parallel()
	for _, at := range []templates.SealLevel{templates.SealT, templates.SealLT, templates.SealLTA} {
		t.Run(string(at), func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				a := newArchive(t, o)
				c, cred := a.seal(t, "learner", templates.SealLTA)
				a.preserver.Step = func(level templates.SealLevel) error {
					if level == at {
						return errors.New("killed")
					}
					return nil
				}
				if err := a.preserver.Preserve(t.Context(), cred.ID); err == nil {
					t.Fatal("was not killed")
				}
				a.preserver.Step = nil
				a.clock.add(time.Minute)
				a.run(t)
				a.waiting(t, 1) // the lease holds
				a.clock.add(a.preserver.Lease)
				a.run(t)
				a.waiting(t, 0)
				a.reached(t, c, cred.Sealed, templates.SealLTA)
				if n := a.audits(t, "proof added", cred.ID); n != 3 {
					t.Errorf("%d stages were stored", n)
				}
			})
		})
	}
}

// Four that look at the same rows add each proof once.
func TestPreserversAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		a := newArchive(t, o)
		const n = 12
		var ids []string
		for i := range n {
			_, cred := a.seal(t, "learner-"+string(rune('a'+i)), templates.SealLTA)
			ids = append(ids, cred.ID)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if _, err := a.preserver.RunOnce(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		a.waiting(t, 0)
		for _, id := range ids {
			if n := a.audits(t, "proof added", id); n != 3 {
				t.Errorf("%d stages were stored", n)
			}
		}
	})
}

// Without a trusted certificate, and none that came with the seal, the operator is told what
// to name.
func TestPreserveWithoutTrust(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		a := newArchive(t, o)
		_, _ = a.seal(t, "learner", templates.SealLTA)
		a.preserver.Trust = nil
		a.run(t)
		if load := a.waiting(t, 1); !strings.Contains(load.LastError, "SEALSMITH_TRUST") {
			t.Errorf("it says %q", load.LastError)
		}
		a.preserver.Trust = x509.NewCertPool()
		a.clock.add(time.Hour)
		a.run(t)
		if load := a.waiting(t, 1); !strings.Contains(load.LastError, "complete SEALSMITH_TRUST") {
			t.Errorf("it says %q", load.LastError)
		}
	})
}

// TestPreserveWithdrawn: no time-stamp is bought for what was revoked or replaced, also when
// that happens between two of them; what is suspended may come back, and gets its own.
func TestPreserveWithdrawn(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		a := newArchive(t, o)
		level := func(cred issuance.Credential) (have, goal templates.SealLevel) {
			t.Helper()
			now, err := o.desk.Credential(t.Context(), o.org.ID, cred.ClaimID)
			check(t, err)
			return now.Level, now.Goal
		}
		revoke := func(cred issuance.Credential) {
			t.Helper()
			_, err := o.desk.Revoke(t.Context(), o.order(cred))
			check(t, err)
		}
		_, before := a.seal(t, "before", templates.SealLTA)
		revoke(before)
		_, suspended := a.seal(t, "suspended", templates.SealLTA)
		_, err := o.desk.Suspend(t.Context(), o.order(suspended))
		check(t, err)
		for range 2 {
			check(t, a.preserver.Preserve(t.Context(), before.ID))
		}
		check(t, a.preserver.Preserve(t.Context(), suspended.ID))
		if have, goal := level(before); have != templates.SealB || goal != templates.SealB {
			t.Errorf("revoked: %s of %s", have, goal)
		}
		if have, _ := level(suspended); have != templates.SealLTA {
			t.Errorf("suspended: %s", have)
		}
		if n := o.audits(t, "proofs ended", before.ID); n != 1 {
			t.Errorf("%d lines in the audit trail", n)
		}

		_, between := a.seal(t, "between", templates.SealLTA)
		a.preserver.Step = func(level templates.SealLevel) error {
			if level == templates.SealT {
				revoke(between)
			}
			return nil
		}
		check(t, a.preserver.Preserve(t.Context(), between.ID))
		if have, goal := level(between); have != templates.SealT || goal != templates.SealT {
			t.Errorf("revoked between: %s of %s", have, goal)
		}
		if load, err := o.desk.Proofs(t.Context(), o.org.ID); err != nil || load.Waiting != 0 {
			t.Errorf("%+v (%v)", load, err)
		}
		_, err = o.desk.RetryProofs(t.Context(), o.org.ID, "operator")
		check(t, err)
		if n, err := a.preserver.RunOnce(t.Context()); err != nil || n != 0 {
			t.Errorf("%d are due (%v)", n, err)
		}
	})
}
