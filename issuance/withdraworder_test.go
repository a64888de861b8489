package issuance_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/queuetest"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

const (
	anna = "operator:anna"
	boss = "lms:r-polder:boss"
)

// twoPeople makes the rule that revoking takes two.
func (o *office) twoPeople(tb testing.TB, needed bool) {
	tb.Helper()
	check(tb, o.templates.SetSecondPerson(tb.Context(), o.org.ID, needed, "operator"))
}

// ask is an order about these credentials.
func (o *office) ask(ids ...string) issuance.Ask {
	return issuance.Ask{
		Selection: issuance.Selection{OrganisationID: o.org.ID, IDs: ids}, Reason: issuance.ReasonInError, Words: " The  course was another. ", By: anna, Expect: len(ids),
	}
}

// seed adds n credentials as they are in the rows, one second apart, without sealing them.
func (o *office) seed(tb testing.TB, n int) []string {
	tb.Helper()
	d := o.grade(tb, "seed", 80)
	ids := make([]string, n)
	check(tb, o.db.InTx(tb.Context(), func(tx *sqldb.Tx) error {
		for i := range n {
			ids[i] = uuid.NewString()
			claim, at := uuid.Must(uuid.NewV7()).String(), o.clock.Now().Add(time.Duration(i)*time.Second)
			_, err := tx.Exec(tb.Context(), `insert into claims (id, organisation_id, attachment_id, decision_id, version_id, registration_id, learner, state,
				given_name, family_name, attempts, not_before, lease_token, last_error, created_at, updated_at)
				values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, '', '', ?, ?)`,
				claim, o.org.ID, o.attachment.ID, d.ID, o.version.ID, "r-polder", "seed-"+claim, issuance.Sealed, fmt.Sprintf("Given%d", i%7), "Family"+fmt.Sprint(i), at, at, at)
			if err != nil {
				return err
			}
			_, err = tx.Exec(tb.Context(), `insert into credentials (id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, sealed_at, link, created_at)
				values (?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?)`, ids[i], o.org.ID, claim, at, []byte("{}"), "", []byte("{}"), at, claim, at)
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return ids
}

func (o *office) order1(tb testing.TB, id string) issuance.Order {
	tb.Helper()
	r, err := o.desk.Order(tb.Context(), o.org.ID, id)
	check(tb, err)
	return r
}

// TestOrderStates walks all pairs: only what is asked moves, and what the desk does is what
// the table says.
func TestOrderStates(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.twoPeople(t, true)
		acts := map[issuance.OrderState]func(id string) error{
			issuance.OrderConfirmed: func(id string) error { _, err := o.desk.ConfirmOrder(t.Context(), o.org.ID, id, boss); return err },
			issuance.OrderDeclined:  func(id string) error { _, err := o.desk.DeclineOrder(t.Context(), o.org.ID, id, boss); return err },
			issuance.OrderWithdrawn: func(id string) error { _, err := o.desk.WithdrawOrder(t.Context(), o.org.ID, id, anna); return err },
			issuance.OrderExpired: func(id string) error {
				_, err := o.db.Exec(t.Context(), `update withdrawal_requests set expires_at = ? where id = ?`, o.clock.Now(), id)
				return errors.Join(err, o.desk.TendOnce(t.Context()))
			},
		}
		states := issuance.OrderStates()
		ids := o.seed(t, len(states)*len(states))
		for i, from := range states {
			for j, to := range states {
				act := acts[to]
				if act == nil {
					if from.May(to) {
						t.Errorf("%s may become %s, which nobody does", from, to)
					}
					continue
				}
				r, err := o.desk.AskRevoke(t.Context(), o.ask(ids[i*len(states)+j]))
				check(t, err)
				if r.State != issuance.OrderAsked || !r.Second || r.Total != 1 || r.Words != "The course was another." {
					t.Fatalf("%+v", r)
				}
				if from != issuance.OrderAsked {
					check(t, acts[from](r.ID))
				}
				err = act(r.ID)
				want := from
				switch {
				case from.May(to):
					check(t, err)
					want = to
				case to != issuance.OrderExpired: // that passes by what is decided
					wantRefused(t, err, "does not wait any more")
				}
				if got := o.order1(t, r.ID); got.State != want || want != issuance.OrderAsked && got.DecidedAt.IsZero() {
					t.Errorf("%s to %s: it is %+v", from, to, got)
				}
			}
		}
	})
}

// TestSecondPerson: one asks, another confirms, and both are kept.
func TestSecondPerson(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, cred := o.held(t, "noor")
		o.twoPeople(t, true)
		_, err := o.desk.Revoke(t.Context(), o.order(cred))
		wantErr(t, err, issuance.ErrSecondPerson)
		for _, by := range []string{"", issuance.Operator} {
			a := o.ask(cred.ID)
			a.By = by
			_, err := o.desk.AskRevoke(t.Context(), a)
			wantErr(t, err, issuance.ErrNobody)
		}
		r, err := o.desk.AskRevoke(t.Context(), o.ask(cred.ID))
		check(t, err)
		if n, err := o.desk.OrdersWaiting(t.Context(), o.org.ID); err != nil || n != 1 {
			t.Errorf("%d wait (%v)", n, err)
		}
		_, err = o.desk.AskRevoke(t.Context(), o.ask(cred.ID))
		wantRefused(t, err, "it waits for a second person")
		o.wantStanding(t, cred, issuance.StandsInForce, o.clock.Now())
		_, err = o.desk.CarryOut(t.Context(), o.org.ID, r.ID) // nobody has confirmed it
		check(t, err)
		o.wantStanding(t, cred, issuance.StandsInForce, o.clock.Now())
		_, err = o.desk.ConfirmOrder(t.Context(), o.org.ID, r.ID, anna)
		wantErr(t, err, issuance.ErrSamePerson)
		_, err = o.desk.DeclineOrder(t.Context(), o.org.ID, r.ID, anna)
		wantErr(t, err, issuance.ErrSamePerson)
		_, err = o.desk.WithdrawOrder(t.Context(), o.org.ID, r.ID, boss)
		wantErr(t, err, issuance.ErrSamePerson)
		_, err = o.desk.ConfirmOrder(t.Context(), o.org.ID, r.ID, issuance.Operator)
		wantErr(t, err, issuance.ErrNobody)
		other, _, _ := o.open(t, "fjord")
		_, err = o.desk.ConfirmOrder(t.Context(), other.ID, r.ID, boss)
		wantErr(t, err, issuance.ErrNotFound)

		// Suspending and reinstating wait for nobody.
		_, err = o.desk.Suspend(t.Context(), o.order(cred))
		check(t, err)
		o.clock.add(time.Hour)
		_, err = o.desk.ConfirmOrder(t.Context(), o.org.ID, r.ID, boss)
		check(t, err)
		o.clock.add(time.Minute)
		check(t, o.desk.TendOnce(t.Context()))
		o.wantStanding(t, cred, issuance.StandsRevoked, o.clock.Now())
		r = o.order1(t, r.ID)
		if r.Revoked != 1 || r.Left() != 0 || r.DecidedBy != boss || !r.DecidedAt.Equal(o.clock.Now().Add(-time.Minute)) || !r.DoneAt.Equal(o.clock.Now()) {
			t.Errorf("%+v", r)
		}
		all, err := o.desk.Withdrawals(t.Context(), o.org.ID, cred.ID)
		check(t, err)
		if last := all[len(all)-1]; last.By != anna || last.Second != boss || last.RequestID != r.ID || last.Words != "The course was another." {
			t.Errorf("%+v", last)
		}
		for action, subject := range map[string]string{"revocation asked": r.ID, "revocation confirmed": r.ID, "revocation done": r.ID, "credential revoked": c.ID} {
			if n := o.audits(t, action, subject); n != 1 {
				t.Errorf("%s: %d lines in the audit trail", action, n)
			}
		}
		_, err = o.desk.AskRevoke(t.Context(), o.ask(cred.ID))
		wantRefused(t, err, "it is revoked since")
	})
}

// TestOneVersionAsksForTwo: the rule of the version that a credential was sealed on counts,
// and one such credential among many makes all of them wait.
func TestOneVersionAsksForTwo(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, before := o.held(t, "before")
		content := o.version.Content
		content.SecondPerson = true
		strict, err := o.templates.Save(t.Context(), o.org.ID, o.version.TemplateID, content, "operator")
		check(t, err)
		_, under := o.held(t, "under")
		_, err = o.db.Exec(t.Context(), `update claims set version_id = ? where learner = 'under'`, strict.ID)
		check(t, err)
		_, err = o.db.Exec(t.Context(), `update credential_listing set version_id = ? where credential_id = ?`, strict.ID, under.ID)
		check(t, err)
		_, err = o.desk.Revoke(t.Context(), o.order(under))
		wantErr(t, err, issuance.ErrSecondPerson)
		p, err := o.desk.Preview(t.Context(), issuance.Selection{OrganisationID: o.org.ID, AttachmentID: o.attachment.ID}, 5)
		check(t, err)
		if p.Total != 2 || !p.Second || len(p.Sample) != 2 {
			t.Errorf("%+v", p)
		}
		r, err := o.desk.AskRevoke(t.Context(), o.ask(before.ID, under.ID))
		check(t, err)
		if r.State != issuance.OrderAsked {
			t.Errorf("it is %s", r.State)
		}
		_, err = o.desk.Revoke(t.Context(), o.order(before))
		check(t, err)
		_, err = o.desk.ConfirmOrder(t.Context(), o.org.ID, r.ID, boss)
		check(t, err)
		r, err = o.desk.CarryOut(t.Context(), o.org.ID, r.ID)
		check(t, err)
		if r.Revoked != 1 || r.Already != 1 || r.Failed != 0 {
			t.Errorf("%+v", r)
		}
		items, err := o.desk.OrderItems(t.Context(), o.org.ID, r.ID, 10)
		check(t, err)
		if len(items) != 2 || items[0].CredentialID != before.ID || items[0].Outcome != issuance.ItemAlready || !strings.Contains(items[0].Cause, "it is revoked since") {
			t.Errorf("%+v", items)
		}
	})
}

// TestOrderDecidedAtOnce: of many who decide at once one does, and many who carry out at once
// revoke each credential once.
func TestOrderDecidedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.twoPeople(t, true)
		ids := o.seed(t, 120)
		r, err := o.desk.AskRevoke(t.Context(), o.ask(ids...))
		check(t, err)
		const many = 6
		errs := make([]error, many)
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() {
				by := fmt.Sprintf("lms:r-polder:%d", i)
				if i%2 == 0 {
					_, errs[i] = o.desk.ConfirmOrder(t.Context(), o.org.ID, r.ID, by)
				} else {
					_, errs[i] = o.desk.DeclineOrder(t.Context(), o.org.ID, r.ID, by)
				}
			})
		}
		all.Wait()
		done := 0
		for i, err := range errs {
			if err != nil {
				wantErr(t, err, issuance.ErrState)
				continue
			}
			done++
			want := issuance.OrderConfirmed
			if i%2 == 1 {
				want = issuance.OrderDeclined
			}
			if got := o.order1(t, r.ID); got.State != want || got.DecidedBy != fmt.Sprintf("lms:r-polder:%d", i) {
				t.Errorf("%+v", got)
			}
		}
		if done != 1 {
			t.Errorf("%d have decided", done)
		}
		// The decision may have been no: ask again, and carry out at once.
		if o.order1(t, r.ID).State == issuance.OrderDeclined {
			r, err = o.desk.AskRevoke(t.Context(), o.ask(ids...))
			check(t, err)
			_, err = o.desk.ConfirmOrder(t.Context(), o.org.ID, r.ID, boss)
			check(t, err)
		}
		for i := range many {
			all.Go(func() { _, errs[i] = o.desk.CarryOut(t.Context(), o.org.ID, r.ID) })
		}
		all.Wait()
		check(t, errors.Join(errs...))
		o.wantOrderDone(t, r.ID, len(ids))
	})
}

// wantOrderDone wants every credential of the order revoked once.
func (o *office) wantOrderDone(tb testing.TB, id string, n int) {
	tb.Helper()
	if r := o.order1(tb, id); r.Revoked != n || r.Left() != 0 || r.DoneAt.IsZero() {
		tb.Errorf("%+v", r)
	}
	for _, count := range []string{
		`select count(*) from claims where state = 'revoked'`, `select count(*) from withdrawals where kind = 'revoked' and number = 1`, `select count(*) from withdrawals`,
		`select count(distinct subject) from audit where action = 'credential revoked'`, `select count(*) from audit where action = 'credential revoked'`,
		`select count(*) from credential_listing where standing = 'revoked'`,
	} {
		var got int
		check(tb, o.db.Get(tb.Context(), &got, count))
		if got != n {
			tb.Errorf("%s: %d, want %d", count, got, n)
		}
	}
}

// TestBulkGoesOnAfterAKill revokes 1,000, is killed in the middle of a transaction, over and
// over, and comes to the same end.
func TestBulkGoesOnAfterAKill(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ids := o.seed(t, 1000)
		r, err := o.desk.AskRevoke(t.Context(), o.ask(ids...))
		check(t, err)
		if r.State != issuance.OrderConfirmed || r.Second || r.DecidedBy != anna || !r.Running() || r.Left() != 1000 {
			t.Fatalf("%+v", r)
		}
		kills := 0
		for after := 7; o.order1(t, r.ID).Running(); after += 97 {
			ctx, kill := context.WithCancel(t.Context())
			asked := 0
			mortal := issuance.NewDesk(o.db, new(queuetest.Memory), func() time.Time {
				if asked++; asked == after {
					kill()
				}
				return o.clock.Now()
			}, slog.New(slog.DiscardHandler))
			before := o.order1(t, r.ID)
			_, err := mortal.CarryOut(ctx, o.org.ID, r.ID)
			kill()
			if err != nil {
				kills++
				now := o.order1(t, r.ID)
				if now.Revoked < before.Revoked || now.Revoked%50 != 0 {
					t.Errorf("killed after %d, %d before: half a transaction was kept", now.Revoked, before.Revoked)
				}
			}
		}
		if kills < 3 {
			t.Errorf("killed %d times only", kills)
		}
		o.wantOrderDone(t, r.ID, len(ids))
		check(t, o.desk.TendOnce(t.Context()))
		o.wantOrderDone(t, r.ID, len(ids))
	})
}

// TestSelection: what is meant is counted, and nothing else is done.
func TestSelection(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ids := o.seed(t, 12)
		start := o.clock.Now()
		other, _, attachment := o.open(t, "fjord")
		mine := func(s issuance.Selection) issuance.Selection { s.OrganisationID = o.org.ID; return s }
		for name, c := range map[string]struct {
			selection issuance.Selection
			want      int
		}{
			"ids":               {mine(issuance.Selection{IDs: append([]string{"nobody", ids[0]}, ids[:3]...)}), 3},
			"activity":          {mine(issuance.Selection{AttachmentID: o.attachment.ID}), 12},
			"version":           {mine(issuance.Selection{VersionID: o.version.ID}), 12},
			"another's":         {mine(issuance.Selection{AttachmentID: attachment.ID}), 0},
			"time":              {mine(issuance.Selection{SealedFrom: start.Add(2 * time.Second), SealedUntil: start.Add(5 * time.Second)}), 3},
			"all at once":       {mine(issuance.Selection{IDs: ids[:6], AttachmentID: o.attachment.ID, VersionID: o.version.ID, SealedFrom: start.Add(4 * time.Second)}), 2},
			"from another":      {issuance.Selection{OrganisationID: other.ID, IDs: ids}, 0},
			"another's version": {issuance.Selection{OrganisationID: other.ID, VersionID: o.version.ID}, 0},
		} {
			p, err := o.desk.Preview(t.Context(), c.selection, 2)
			check(t, err)
			if p.Total != c.want || p.Second || len(p.Sample) != min(c.want, 2) {
				t.Errorf("%s: %+v", name, p)
			}
			a := issuance.Ask{Selection: c.selection, Reason: issuance.ReasonInError, By: anna, Expect: c.want + 1}
			_, err = o.desk.AskRevoke(t.Context(), a)
			wantErr(t, err, issuance.ErrCount)
		}
		_, err := o.desk.Preview(t.Context(), mine(issuance.Selection{}), 2)
		wantErr(t, err, issuance.ErrSelection)
		_, err = o.desk.AskRevoke(t.Context(), o.ask())
		wantErr(t, err, issuance.ErrSelection)
		bad := o.ask(ids[0])
		bad.Reason = "dislike"
		_, err = o.desk.AskRevoke(t.Context(), bad)
		wantErr(t, err, issuance.ErrReason)
		_, err = o.desk.AskRevoke(t.Context(), issuance.Ask{Selection: mine(issuance.Selection{AttachmentID: "none"}), Reason: issuance.ReasonInError, By: anna})
		wantRefused(t, err, "there is no credential to revoke")
		var n int
		check(t, o.db.Get(t.Context(), &n, `select count(*) from withdrawal_requests`))
		if n != 0 {
			t.Errorf("%d orders are left of what was refused", n)
		}

		// What is revoked, or comes later, is not among them; what is replaced meanwhile fails.
		_, err = o.desk.Revoke(t.Context(), issuance.Withdrawal{OrganisationID: o.org.ID, CredentialID: ids[0], Reason: issuance.ReasonInError, By: anna})
		check(t, err)
		a := issuance.Ask{Selection: mine(issuance.Selection{AttachmentID: o.attachment.ID}), Reason: issuance.ReasonInError, By: anna, Expect: 11}
		r, err := o.desk.AskRevoke(t.Context(), a)
		check(t, err)
		_, _ = o.held(t, "later")
		_, err = o.db.Exec(t.Context(), `update credentials set replaced_by = id, replaced_at = ? where id = ?`, sqldb.UTC(o.clock.Now()), ids[1])
		check(t, err)
		r, err = o.desk.CarryOut(t.Context(), o.org.ID, r.ID)
		check(t, err)
		if r.Revoked != 10 || r.Failed != 1 || r.Selection.AttachmentID != o.attachment.ID {
			t.Errorf("%+v", r)
		}
		items, err := o.desk.OrderItems(t.Context(), o.org.ID, r.ID, 1)
		check(t, err)
		if len(items) != 1 || items[0].CredentialID != ids[1] || !strings.Contains(items[0].Cause, "it is replaced") {
			t.Errorf("%+v", items)
		}
		if items, err := o.desk.OrderItems(t.Context(), other.ID, r.ID, 1); err != nil || len(items) != 0 {
			t.Errorf("another organisation reads %+v (%v)", items, err)
		}
	})
}

// TestOrderExpires: nobody decides after thirty days, whether it was written down or not.
func TestOrderExpires(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, cred := o.held(t, "noor")
		o.twoPeople(t, true)
		r, err := o.desk.AskRevoke(t.Context(), o.ask(cred.ID))
		check(t, err)
		o.clock.add(issuance.OrderPatience - time.Second)
		check(t, o.desk.TendOnce(t.Context()))
		if got, err := o.desk.Orders(t.Context(), o.org.ID, true, 5); err != nil || len(got) != 1 || got[0].State != issuance.OrderAsked {
			t.Errorf("%+v (%v)", got, err)
		}
		o.clock.add(time.Second)
		if got := o.order1(t, r.ID); got.State != issuance.OrderExpired {
			t.Errorf("it is %s", got.State)
		}
		_, err = o.desk.ConfirmOrder(t.Context(), o.org.ID, r.ID, boss)
		wantRefused(t, err, "expired")
		if n, err := o.desk.OrdersWaiting(t.Context(), o.org.ID); err != nil || n != 0 {
			t.Errorf("%d wait (%v)", n, err)
		}
		for range 2 {
			check(t, o.desk.TendOnce(t.Context()))
		}
		if n := o.audits(t, "revocation expired", r.ID); n != 1 {
			t.Errorf("%d lines in the audit trail", n)
		}
		if got, err := o.desk.Orders(t.Context(), o.org.ID, false, 5); err != nil || len(got) != 1 || got[0].State != issuance.OrderExpired || got[0].DecidedBy != "" {
			t.Errorf("%+v (%v)", got, err)
		}
		_, err = o.desk.AskRevoke(t.Context(), o.ask(cred.ID))
		check(t, err)
	})
}

// TestOrderWhileSealing: what is being sealed is not among what an order is about.
func TestOrderWhileSealing(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		tried := 0
		o.token.set(func(s *softToken) {
			s.before = func() {
				tried++
				intent, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
				check(t, err)
				_, err = o.desk.AskRevoke(t.Context(), o.ask(intent.ID))
				wantRefused(t, err, "it is not sealed yet")
				a := o.ask()
				a.Selection.AttachmentID = o.attachment.ID
				_, err = o.desk.AskRevoke(t.Context(), a)
				wantRefused(t, err, "there is no credential to revoke")
			}
		})
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		cred := o.sealed(t, c)
		if tried != 1 {
			t.Errorf("tried %d times", tried)
		}
		r, err := o.desk.AskRevoke(t.Context(), o.ask(cred.ID))
		check(t, err)
		r, err = o.desk.CarryOut(t.Context(), o.org.ID, r.ID)
		check(t, err)
		if r.Revoked != 1 {
			t.Errorf("%+v", r)
		}
		o.wantState(t, c, issuance.Revoked)
	})
}

// TestAskAtOnce: of many who ask for the same credential one does.
func TestAskAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, cred := o.held(t, "noor")
		o.twoPeople(t, true)
		const many = 6
		errs := make([]error, many)
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() { _, errs[i] = o.desk.AskRevoke(t.Context(), o.ask(cred.ID)) })
		}
		all.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
				continue
			}
			wantRefused(t, err, "it waits for a second person")
		}
		if n, err := o.desk.OrdersWaiting(t.Context(), o.org.ID); err != nil || n != 1 || done != 1 {
			t.Errorf("%d asked, %d wait (%v)", done, n, err)
		}
	})
}
