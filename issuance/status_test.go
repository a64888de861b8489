package issuance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/status"
)

var publicURL = &url.URL{Scheme: "https", Host: "seal.polder.example"}

func (o *office) signer() *issuance.StatusSigner {
	return &issuance.StatusSigner{
		DB: o.db, Templates: o.templates, Sealer: func(string) issuance.Sealer { return o.token }, PublicURL: publicURL,
		Lease: time.Minute, Every: time.Second, Now: o.clock.Now, Logger: slog.New(slog.DiscardHandler),
	}
}

// signs runs the signer once and returns how many signatures it made.
func (o *office) signs(tb testing.TB) int {
	tb.Helper()
	before := o.token.count()
	_, err := o.signer().RunOnce(tb.Context())
	check(tb, err)
	return o.token.count() - before
}

func (o *office) place(tb testing.TB, cred issuance.Credential) issuance.StatusPlace {
	tb.Helper()
	p, err := o.desk.Place(tb.Context(), cred.ID)
	check(tb, err)
	return p
}

// listed reads what all signed lists say of a credential, as a stranger does.
func (o *office) listed(tb testing.TB, cred issuance.Credential) status.Value {
	tb.Helper()
	p := o.place(tb, cred)
	var value status.Value
	for _, kind := range issuance.StatusKinds() {
		s, err := o.desk.SignedStatus(tb.Context(), p.ListID, kind)
		check(tb, err)
		opts := status.Options{URI: issuance.StatusAddress(publicURL, p.ListID, kind), Trust: o.token.mint.pool(), At: o.clock.Now()}
		if kind == issuance.StatusToken {
			l, err := status.ReadToken(s.File, opts)
			check(tb, err)
			value, err = l.At(p.Index)
			check(tb, err)
		}
	}
	for kind, want := range map[issuance.StatusKind]status.Value{issuance.StatusRevocation: status.Invalid, issuance.StatusSuspension: status.Suspended} {
		s, err := o.desk.SignedStatus(tb.Context(), p.ListID, kind)
		check(tb, err)
		l, err := status.ReadBitstring(s.File, status.Options{
			URI: issuance.StatusAddress(publicURL, p.ListID, kind), Purpose: string(kind), Trust: o.token.mint.pool(), At: o.clock.Now(),
		})
		check(tb, err)
		bit, err := l.At(p.Index)
		check(tb, err)
		if (bit == 1) != (value == want) {
			tb.Errorf("%s says %d, the token list %d", kind, bit, value)
		}
	}
	return value
}

func (o *office) wantListed(tb testing.TB, cred issuance.Credential, want status.Value) {
	tb.Helper()
	if got := o.listed(tb, cred); got != want {
		tb.Errorf("the lists say %d, want %d", got, want)
	}
}

// TestStatusLists follows credentials through the lists.
func TestStatusLists(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, first := o.held(t, "first")
		_, second := o.held(t, "second")
		p := o.place(t, first)
		if q := o.place(t, second); p.ListID != q.ListID || p.Index == q.Index || p.Index < 0 || p.Index >= status.MinEntries {
			t.Errorf("places %+v and %+v", p, q)
		}
		_, err := o.desk.SignedStatus(t.Context(), p.ListID, issuance.StatusToken)
		wantErr(t, err, issuance.ErrListUnsigned)
		if n := o.signs(t); n != 4 {
			t.Errorf("%d signatures for a new list", n)
		}
		o.wantListed(t, first, status.Valid)

		// Many withdrawals give one signature of what has changed.
		_, err = o.desk.Suspend(t.Context(), o.order(first))
		check(t, err)
		_, err = o.desk.Revoke(t.Context(), o.order(second))
		check(t, err)
		if n := o.signs(t); n != 0 {
			t.Errorf("%d signatures a moment after the last ones", n)
		}
		o.wantListed(t, first, status.Valid) // what is served is what was signed
		o.clock.add(31 * time.Second)
		if n := o.signs(t); n != 3 {
			t.Errorf("%d signatures after two withdrawals", n)
		}
		o.wantListed(t, first, status.Suspended)
		o.wantListed(t, second, status.Invalid)
		o.clock.add(31 * time.Second)
		if n := o.signs(t); n != 0 {
			t.Errorf("%d signatures although nothing has changed", n)
		}

		// Only what says something else is signed.
		_, err = o.desk.Reinstate(t.Context(), o.order(first))
		check(t, err)
		if n := o.signs(t); n != 2 {
			t.Errorf("%d signatures after one was reinstated", n)
		}
		o.wantListed(t, first, status.Valid)
		o.wantListed(t, second, status.Invalid)
		o.clock.add(31 * time.Second)
		_, err = o.desk.Suspend(t.Context(), o.order(first))
		check(t, err)
		_, err = o.desk.Revoke(t.Context(), o.order(first))
		check(t, err)
		o.signs(t)
		o.wantListed(t, first, status.Invalid)
		if n := o.audits(t, "status list signed", p.ListID); n < 9 {
			t.Errorf("%d lines in the audit trail", n)
		}
	})
}

// TestStatusSchedule: lists are signed long before they run out, and served until they do.
func TestStatusSchedule(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, cred := o.held(t, "noor")
		p := o.place(t, cred)
		o.signs(t)
		start, total := o.clock.Now(), 0
		for o.clock.Now().Sub(start) < 47*time.Hour {
			o.clock.add(10 * time.Minute)
			total += o.signs(t)
			o.wantListed(t, cred, status.Valid)
		}
		// Four texts, each every twelve hours or a little later; the index once more, with its first entry.
		if total != 13 {
			t.Errorf("%d signatures in two days", total)
		}
		check(t, o.indexed(t, p, cred))

		o.token.set(func(s *softToken) { s.paused = true })
		signed, err := o.desk.SignedStatus(t.Context(), p.ListID, issuance.StatusToken)
		check(t, err)
		_, err = o.desk.Revoke(t.Context(), o.order(cred))
		check(t, err)
		for now := o.clock.Now(); now.Before(signed.ExpiresAt); now = o.clock.Now() {
			if n := o.signs(t); n != 0 {
				t.Fatal("a token that is away has signed")
			}
			again, err := o.desk.SignedStatus(t.Context(), p.ListID, issuance.StatusToken)
			check(t, err)
			if !bytes.Equal(again.File, signed.File) {
				t.Fatal("another list than the last one is served")
			}
			h, err := o.desk.StatusHealth(t.Context(), o.org.ID)
			check(t, err)
			if h.OK() || h.Behind != 1 || h.Expired != 0 || !strings.Contains(h.Words(), "one does not tell of the last withdrawals yet") || !strings.Contains(h.Words(), "not plugged in") {
				t.Fatalf("%+v: %s", h, h.Words())
			}
			o.clock.add(3 * time.Hour)
		}
		_, err = o.desk.SignedStatus(t.Context(), p.ListID, issuance.StatusToken)
		wantErr(t, err, issuance.ErrListUnsigned)
		h, err := o.desk.StatusHealth(t.Context(), "")
		check(t, err)
		if h.Expired != 1 || h.Until.Valid || !strings.Contains(h.Words(), "one is of no use") {
			t.Errorf("%+v: %s", h, h.Words())
		}
		o.token.set(func(s *softToken) { s.paused = false })
		o.clock.add(31 * time.Second)
		o.signs(t)
		o.wantListed(t, cred, status.Invalid)
		if h, err := o.desk.StatusHealth(t.Context(), o.org.ID); err != nil || !h.OK() || h.Behind != 0 || strings.Contains(h.Words(), "waits") {
			t.Errorf("%+v (%v)", h, err)
		}
	})
}

// indexed says whether the signed index leads from the credential to its place.
func (o *office) indexed(tb testing.TB, p issuance.StatusPlace, cred issuance.Credential) error {
	tb.Helper()
	all, err := o.desk.SignedStatuses(tb.Context(), o.org.ID, p.ListID)
	check(tb, err)
	x, err := status.ReadIndex(all[issuance.StatusIndex].File, status.Options{URI: issuance.StatusAddress(publicURL, p.ListID, issuance.StatusToken), Trust: o.token.mint.pool(), At: o.clock.Now()})
	check(tb, err)
	id := "urn:credential:" + cred.ID
	var only status.Places
	only.Add(id, p.Index)
	index, found, err := x.Find(id, status.NewIndex(&only).Shards()[""])
	if err == nil && (!found || index != p.Index) {
		err = fmt.Errorf("the index leads to %d %t, not to %d", index, found, p.Index)
	}
	return err
}

// TestStatusBackfill: what was sealed without a place gets one, with the value that fits.
func TestStatusBackfill(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		var creds []issuance.Credential
		for i := range 5 {
			_, cred := o.held(t, fmt.Sprint("learner-", i))
			creds = append(creds, cred)
		}
		for _, statement := range []string{`delete from status_entries`, `delete from status_lists`} {
			_, err := o.db.Exec(t.Context(), statement)
			check(t, err)
		}
		_, err := o.desk.Revoke(t.Context(), o.order(creds[1]))
		check(t, err)
		_, err = o.desk.Suspend(t.Context(), o.order(creds[2]))
		check(t, err)
		_, err = o.db.Exec(t.Context(), `update credentials set replaced_by = ?, replaced_at = ? where id = ?`, creds[0].ID, o.clock.Now(), creds[3].ID)
		check(t, err)
		_, err = o.desk.Suspend(t.Context(), o.order(creds[4]))
		check(t, err)
		_, err = o.desk.Reinstate(t.Context(), o.order(creds[4]))
		check(t, err)
		_, err = o.desk.Place(t.Context(), creds[0].ID)
		wantErr(t, err, issuance.ErrNotFound)

		var both sync.WaitGroup // two processes do it at once
		for range 2 {
			both.Go(func() {
				if err := o.signer().Fill(t.Context(), time.Time{}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		o.signs(t)
		for i, want := range []status.Value{status.Valid, status.Invalid, status.Suspended, status.Invalid, status.Valid} {
			o.wantListed(t, creds[i], want)
			if n := o.audits(t, "credential placed in a status list", creds[i].ClaimID); n != 1 {
				t.Errorf("%d lines in the audit trail", n)
			}
		}
		before := o.place(t, creds[0])
		check(t, o.signer().Fill(t.Context(), time.Time{}))
		if o.place(t, creds[0]) != before {
			t.Error("a place has changed")
		}
	})
}

// TestStatusClocks: a clock that is an hour ahead or behind delays nothing by more than a moment.
func TestStatusClocks(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, cred := o.held(t, "noor")
		o.signs(t)
		for _, jump := range []time.Duration{time.Hour, -time.Hour, -time.Hour, time.Hour} {
			o.clock.add(jump)
			_, err := o.desk.Suspend(t.Context(), o.order(cred))
			check(t, err)
			o.clock.add(31 * time.Second)
			o.signs(t)
			o.wantListed(t, cred, status.Suspended)
			_, err = o.desk.Reinstate(t.Context(), o.order(cred))
			check(t, err)
			o.clock.add(31 * time.Second)
			o.signs(t)
			o.wantListed(t, cred, status.Valid)
		}
	})
}

// TestStatusFillsWhatIsNew: what a server of the release before seals beside this one gets its
// place, too.
func TestStatusFillsWhatIsNew(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, old := o.held(t, "old")
		o.clock.add(time.Hour)
		since := o.clock.Now()
		_, cred := o.held(t, "new")
		_, err := o.db.Exec(t.Context(), `delete from status_entries`)
		check(t, err)
		check(t, o.signer().Fill(t.Context(), since))
		o.place(t, cred)
		_, err = o.desk.Place(t.Context(), old.ID)
		wantErr(t, err, issuance.ErrNotFound)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { o.signer().Run(ctx) })
		for { // a start looks at all
			if _, err := o.desk.Place(t.Context(), old.ID); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		stop()
		running.Wait()
	})
}

// TestReplacedIsInvalid: whoever replaces a credential need not know of lists.
func TestReplacedIsInvalid(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, cred := o.held(t, "noor")
		_, next := o.held(t, "again")
		o.signs(t)
		_, err := o.db.Exec(t.Context(), `update credentials set replaced_by = ?, replaced_at = ? where id = ?`, next.ID, o.clock.Now(), cred.ID)
		check(t, err)
		o.clock.add(31 * time.Second)
		o.signs(t)
		o.wantListed(t, cred, status.Invalid)
		o.wantListed(t, next, status.Valid)
	})
}

// TestStatusOfCorrections: the corrected credential has a place of its own, and stands as its
// predecessor did; that one is invalid.
func TestStatusOfCorrections(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, old := o.held(t, "noor")
		o.signs(t)
		o.corrected(t, c, noora)
		_, err := o.desk.Suspend(t.Context(), o.order(old))
		check(t, err)
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		next := o.all(t, c, 2)[0]
		if o.place(t, old) == o.place(t, next) {
			t.Error("both have one place")
		}
		o.clock.add(31 * time.Second)
		o.signs(t)
		o.wantListed(t, old, status.Invalid)
		o.wantListed(t, next, status.Suspended)
		_, err = o.desk.Reinstate(t.Context(), o.order(next))
		check(t, err)
		o.clock.add(31 * time.Second)
		o.signs(t)
		o.wantListed(t, old, status.Invalid)
		o.wantListed(t, next, status.Valid)
		_, err = o.desk.Revoke(t.Context(), o.order(next))
		check(t, err)
		o.clock.add(31 * time.Second)
		o.signs(t)
		o.wantListed(t, next, status.Invalid)
	})
}

// TestStatusOfOrganisations: each has its lists, signed by its own key.
func TestStatusOfOrganisations(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, ours := o.held(t, "ours")
		back := o.swap(t, "delta")
		_, theirs := o.held(t, "theirs")
		delta := o.org
		back()
		if o.place(t, ours).ListID == o.place(t, theirs).ListID {
			t.Error("two organisations share a list")
		}
		own := &softToken{mint: newMint(t, nameOwner("Delta University", "NTRNL-87654321", "NL"))}
		s := o.signer()
		s.Sealer = func(slug string) issuance.Sealer {
			if slug == "delta" {
				return own
			}
			return o.token
		}
		own.set(func(s *softToken) { s.paused = true })
		_, err := s.RunOnce(t.Context())
		check(t, err)
		o.wantListed(t, ours, status.Valid)
		for organisation, ok := range map[string]bool{o.org.ID: true, delta.ID: false, "": false} {
			if h, err := o.desk.StatusHealth(t.Context(), organisation); err != nil || h.OK() != ok {
				t.Errorf("%q: %s (%v)", organisation, h.Words(), err)
			}
		}
		own.set(func(s *softToken) { s.paused = false })
		o.clock.add(31 * time.Second)
		_, err = s.RunOnce(t.Context())
		check(t, err)
		signed, err := o.desk.SignedStatus(t.Context(), o.place(t, theirs).ListID, issuance.StatusToken)
		check(t, err)
		l, err := status.ReadToken(signed.File, status.Options{Trust: own.mint.pool(), At: o.clock.Now()})
		check(t, err)
		if !l.Chain[0].Equal(own.mint.leaf) {
			t.Error("signed by somebody else")
		}
		lists, err := o.desk.StatusLists(t.Context(), delta.ID)
		check(t, err)
		if len(lists) != 1 || lists[0].Given != 1 || lists[0].Number != 1 || lists[0].Entries != status.MinEntries || lists[0].Behind != 0 || lists[0].LastError != "" {
			t.Errorf("%+v", lists)
		}
		if all, err := o.desk.SignedStatuses(t.Context(), o.org.ID, lists[0].ID); err != nil || len(all) != 0 {
			t.Errorf("another organisation reads %d (%v)", len(all), err)
		}
	})
}

// TestStatusCrash: killed before and after each signature, the next one goes on; what is served is
// whole at every moment.
func TestStatusCrash(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, cred := o.held(t, "noor")
		o.signs(t)
		died := errors.New("killed")
		want := status.Valid
		for _, step := range []string{"sign revocation", "store revocation", "sign suspension", "store token", "sign token", ""} {
			o.clock.add(2 * time.Minute)
			if step == "" || want == status.Suspended {
				_, err := o.desk.Reinstate(t.Context(), o.order(cred))
				check(t, err)
				want = status.Valid
			} else {
				_, err := o.desk.Suspend(t.Context(), o.order(cred))
				check(t, err)
				want = status.Suspended
			}
			s := o.signer()
			hit := false
			s.Step = func(name string) error {
				if name == step {
					hit = true
					return died
				}
				return nil
			}
			_, err := s.RunOnce(t.Context())
			check(t, err)
			if !hit && strings.HasSuffix(step, "token") {
				t.Errorf("nothing died at %q", step)
			}
			o.signs(t) // the lease holds: nobody else works on it
			o.clock.add(61 * time.Second)
			o.signs(t)
			o.wantListed(t, cred, want)
		}
	})
}

// TestStatusAtOnce: of many signers one works on a list, also when its lease ends in the middle.
func TestStatusAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, cred := o.held(t, "noor")
		p := o.place(t, cred)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if _, err := o.signer().RunOnce(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := o.audits(t, "status list signed", p.ListID); n != 4 {
			t.Errorf("%d signatures were stored", n)
		}
		o.clock.add(time.Minute)
		_, err := o.desk.Revoke(t.Context(), o.order(cred))
		check(t, err)
		slow := o.signer()
		late := false
		slow.Step = func(name string) error {
			if name == "store token" && !late {
				late = true
				o.clock.add(2 * time.Minute) // it slept; another one takes over
				o.signs(t)
			}
			return nil
		}
		_, err = slow.RunOnce(t.Context())
		check(t, err)
		o.wantListed(t, cred, status.Invalid)
		if !late {
			t.Error("it was not slow")
		}
		lists, err := o.desk.StatusLists(t.Context(), o.org.ID)
		check(t, err)
		if lists[0].Behind != 0 || lists[0].Revoked != 1 {
			t.Errorf("%+v", lists)
		}
	})
}
