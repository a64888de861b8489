package issuance_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/templates"
)

// swap lets the office work for another organisation, and returns what takes it back.
func (o *office) swap(t *testing.T, slug string) (back func()) {
	t.Helper()
	org, version, attachment := o.org, o.version, o.attachment
	o.org, o.version, o.attachment = o.open(t, slug)
	return func() { o.org, o.version, o.attachment = org, version, attachment }
}

// A token that is away pauses its own organisation and nobody else, whichever it is.
func TestOwnTokens(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		own := &softToken{mint: newMint(t, nameOwner("Delta University", "NTRNL-87654321", "NL"))}
		w := o.worker(t)
		w.Own = map[string]issuance.Sealer{"delta": own}
		polder := o.claim(t, "polder-1")
		back := o.swap(t, "delta")
		delta := o.claim(t, "delta-1")
		back()

		for _, away := range []*softToken{own, o.token} {
			away.set(func(s *softToken) { s.paused = true })
			o.queue.Lose()
			check(t, w.SweepOnce(t.Context()))
			jobs, err := o.queue.Next(t.Context(), 10, 0)
			check(t, err)
			want := polder.ID
			if away == o.token {
				want = delta.ID
			}
			if len(jobs) != 1 || jobs[0].ID != want {
				t.Errorf("the sweeper offers %v, want only %s", jobs, want)
			}
			away.set(func(s *softToken) { s.paused = false })
		}
		own.set(func(s *softToken) { s.paused = true })
		check(t, w.Seal(t.Context(), polder.ID))
		o.sealed(t, polder)
		if w.Seal(t.Context(), delta.ID) == nil {
			t.Error("sealed by a token that is away, or by somebody else's")
		}
		if got := o.wantState(t, delta, issuance.Queued); got.Attempts != 0 {
			t.Errorf("claim %+v", got)
		}
		own.set(func(s *softToken) { s.paused = false })
		check(t, w.Seal(t.Context(), delta.ID))
		o.wantState(t, delta, issuance.Sealed)
		if own.count() != 1 || o.token.count() != 1 {
			t.Errorf("%d and %d signatures", own.count(), o.token.count())
		}

		own.set(func(s *softToken) { s.paused = true })
		o.token.set(func(s *softToken) { s.paused = true })
		o.claim(t, "polder-2")
		o.queue.Lose()
		check(t, w.SweepOnce(t.Context()))
		if jobs, err := o.queue.Next(t.Context(), 10, 0); err != nil || len(jobs) != 0 {
			t.Errorf("with all tokens away the sweeper offers %v (%v)", jobs, err)
		}
	})
}

// The level that a credential is to reach is kept with it when it is sealed.
func TestGoal(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		w := o.worker(t)
		goals := func() (n int) {
			check(t, o.db.Get(t.Context(), &n, `select count(*) from credential_proofs`))
			return n
		}
		seal := func(learner string) templates.SealLevel {
			c := o.claim(t, learner)
			check(t, w.Seal(t.Context(), c.ID))
			cred := o.sealed(t, c)
			if cred.Level != templates.SealB {
				t.Errorf("level %s before anything was added", cred.Level)
			}
			return cred.Goal
		}
		if got := seal("a"); got != templates.SealB || goals() != 0 {
			t.Errorf("without any wish the goal is %s", got)
		}
		w.Level = templates.SealLTA
		if got := seal("b"); got != templates.SealLTA || goals() != 1 {
			t.Errorf("the goal is %s", got)
		}
		check(t, o.templates.SetSeal(t.Context(), o.org.ID, templates.SealPolicy{Level: templates.SealT}, "operator"))
		o.clock.add(time.Second) // so long a worker goes by what it has read
		if got := seal("c"); got != templates.SealT || goals() != 2 {
			t.Errorf("the organisation's goal is %s", got)
		}
	})
}

// An organisation whose readers are old has the time of its seals in sigT.
func TestLegacyTime(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		w := o.worker(t)
		for _, legacy := range []bool{false, true} {
			check(t, o.templates.SetSeal(t.Context(), o.org.ID, templates.SealPolicy{LegacyTime: legacy}, "operator"))
			o.clock.add(time.Second) // so long a worker goes by what it has read
			c := o.claim(t, fmt.Sprint("legacy-", legacy))
			check(t, w.Seal(t.Context(), c.ID))
			cred := o.sealed(t, c)
			file, err := jades.Parse(cred.Sealed)
			check(t, err)
			if got := file.Signatures[0].SealedAt; !got.Equal(o.clock.Now().Truncate(time.Second)) {
				t.Errorf("sealed at %s", got)
			}
			var sealed struct{ Signatures []struct{ Protected string } }
			check(t, json.Unmarshal(cred.Sealed, &sealed))
			text, err := base64.RawURLEncoding.DecodeString(sealed.Signatures[0].Protected)
			check(t, err)
			if old, now := strings.Contains(string(text), `"sigT"`), strings.Contains(string(text), `"iat"`); old != legacy || now == legacy {
				t.Errorf("legacy %t: the header is %s", legacy, text)
			}
		}
	})
}
