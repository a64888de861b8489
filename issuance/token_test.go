//go:build cgo

package issuance_test

import (
	"crypto/rand"
	"sync"
	"testing"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// TestRealToken seals on SoftHSM through PKCS#11: what is tested with a token in memory
// holds on one that is none of ours. It is the only test of the package that uses
// SoftHSM, which knows one folder per process.
func TestRealToken(t *testing.T) {
	o := newOffice(t, sqldbtest.SQLite(t))
	made, err := demotoken.Make(t.Context(), demotoken.Options{
		Dir: t.TempDir(), KeyType: "p256", Organisation: "Polder University of Technology",
		OrganisationIdentifier: "NTRNL-12345678", Country: "NL", Now: o.clock.Now, Rand: rand.Reader,
	})
	check(t, err)
	token, err := hsm.New(hsm.Config{
		URI: made.TokenURI, Sessions: 2, Guard: hsm.NewSQLGuard(o.db, o.clock.Now), PINSecret: []byte("0123456789abcdef"),
		Host: "test", Now: o.clock.Now,
	})
	check(t, err)
	token.Start(t.Context())
	o.token.mint.authority = made.CA
	w := o.worker(t)
	w.Sealer = hsm.NewPool(o.clock.Now, token)

	all := o.claims(t, 6)
	var both sync.WaitGroup
	for half := range 2 {
		both.Go(func() {
			for i := half; i < len(all); i += 2 {
				if err := w.Seal(t.Context(), all[i].ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	o.count(t, all)
	if h := token.Health(); h.Signed < 6 || h.State != hsm.StateReady {
		t.Errorf("health %+v", h)
	}

	late := o.claim(t, "late")
	check(t, token.Close())
	wantErr(t, w.Seal(t.Context(), late.ID), hsm.ErrPaused)
	if got := o.wantState(t, late, issuance.Queued); got.Attempts != 0 {
		t.Errorf("claim %+v", got)
	}
}
