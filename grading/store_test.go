package grading_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/grading"
)

func TestRecord(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		d := c.record(t, a, "noor", 60)
		raw := `{"resultScore":60,"userId":"noor"}`
		sum := sha256.Sum256([]byte(raw))
		if !d.Complete || d.VersionID != a.VersionID || d.Evidence.Raw != raw || d.Evidence.RawSHA256 != hex.EncodeToString(sum[:]) || !d.At.Equal(start) {
			t.Errorf("decision %+v", d)
		}
		latest, err := grading.Latest(t.Context(), c.db, a.OrganisationID, a.ID, "noor")
		must(t, err)
		latest.Evidence.ObservedAt = latest.Evidence.ObservedAt.UTC()
		if diff := cmp.Diff(d, latest); diff != "" {
			t.Errorf("latest (-recorded +read):\n%s", diff)
		}
		want := []grading.Completion{{
			OrganisationID: a.OrganisationID, AttachmentID: a.ID, DecisionID: d.ID, VersionID: a.VersionID,
			RegistrationID: "r-polder", Learner: "noor", At: start,
		}}
		if diff := cmp.Diff(want, c.claims.opened); diff != "" {
			t.Errorf("opened (-want +got):\n%s", diff)
		}

		c.clock.add(time.Hour) // the same again changes nothing
		if again := c.record(t, a, "noor", 60); again.ID != d.ID || !again.At.Equal(start) {
			t.Errorf("recorded again: %+v", again)
		}
		if len(c.claims.opened) != 1 || c.rows(t, "evidence") != 1 || c.rows(t, "decisions") != 1 {
			t.Errorf("%d opened, %d evidence, %d decisions", len(c.claims.opened), c.rows(t, "evidence"), c.rows(t, "decisions"))
		}
	})
}

// A grade that goes down and up again is three decisions on two pieces of evidence.
func TestRecordLoweredAndRaised(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		var ids []string
		for _, step := range []struct {
			score    float64
			complete bool
		}{{60, true}, {50, false}, {60, true}} {
			c.clock.add(time.Minute)
			d := c.record(t, a, "noor", step.score)
			latest, err := grading.Latest(t.Context(), c.db, a.OrganisationID, a.ID, "noor")
			must(t, err)
			if d.Complete != step.complete || latest.ID != d.ID || latest.Complete != step.complete || latest.Evidence.Score.Float64 != step.score {
				t.Errorf("at %v: %+v, latest %+v", step.score, d, latest)
			}
			ids = append(ids, d.ID)
		}
		if c.rows(t, "evidence") != 2 || c.rows(t, "decisions") != 3 || len(c.claims.opened) != 2 {
			t.Errorf("%d evidence, %d decisions, %d opened", c.rows(t, "evidence"), c.rows(t, "decisions"), len(c.claims.opened))
		}
		for i, complete := range []bool{true, false, true} {
			d, err := grading.ByID(t.Context(), c.db, a.OrganisationID, ids[i])
			must(t, err)
			if d.Complete != complete || len(d.Reasons) != 1 {
				t.Errorf("decision %d: %+v", i, d)
			}
		}
	})
}

// A decision without its claim would be a completion that nobody can claim.
func TestRecordIsOneTransaction(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		before := c.rows(t, "audit")
		c.claims.fail = errors.New("no claims today")
		_, err := c.store.Record(t.Context(), a, "ags-results", observed(t, "noor", 60))
		wantErr(t, err, c.claims.fail)
		if c.rows(t, "evidence") != 0 || c.rows(t, "decisions") != 0 || c.rows(t, "audit") != before {
			t.Errorf("%d evidence, %d decisions, %d audit lines", c.rows(t, "evidence"), c.rows(t, "decisions"), c.rows(t, "audit")-before)
		}
		_, err = grading.Latest(t.Context(), c.db, a.OrganisationID, a.ID, "noor")
		wantErr(t, err, grading.ErrUndecided)
		c.record(t, a, "sam", 50) // completes nothing, so it needs no claim

		c.claims.fail = nil
		if d := c.record(t, a, "noor", 60); !d.Complete {
			t.Errorf("decision %+v", d)
		}
	})
}

func TestDecisionsOfOthers(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a, b := c.attach(t), c.attach(t)
		d := c.record(t, a, "noor", 60)
		other := c.organisation(t, "fjord").OrganisationID
		for _, key := range []struct{ org, attachment, learner string }{
			{other, a.ID, "noor"}, {a.OrganisationID, b.ID, "noor"}, {a.OrganisationID, a.ID, "Noor"}, {"", a.ID, "noor"}, {a.OrganisationID, a.ID, ""},
		} {
			_, err := grading.Latest(t.Context(), c.db, key.org, key.attachment, key.learner)
			wantErr(t, err, grading.ErrUndecided)
		}
		_, err := grading.ByID(t.Context(), c.db, other, d.ID)
		wantErr(t, err, grading.ErrUndecided)
		_, err = grading.ByID(t.Context(), c.db, a.OrganisationID, "no-such-decision")
		wantErr(t, err, grading.ErrUndecided)
		all, err := c.store.Standing(t.Context(), other, a.ID)
		must(t, err)
		if len(all) != 0 {
			t.Errorf("another organisation sees %d decisions", len(all))
		}
	})
}

func TestStanding(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a, b := c.attach(t), c.attach(t)
		c.record(t, b, "noor", 10)
		c.record(t, a, "sam", 40)
		first := c.record(t, a, "noor", 60)
		c.record(t, a, "sam", 70) // in the same instant
		c.clock.add(time.Minute)
		lowered := c.record(t, a, "noor", 20)
		all, err := c.store.Standing(t.Context(), a.OrganisationID, a.ID)
		must(t, err)
		var got []string
		for _, d := range all {
			got = append(got, d.Learner+" "+d.Reasons[0].Sentence())
		}
		want := []string{
			"noor Your score is 20 %; at least 55 % is asked. 35 % is missing.",
			"sam Your score is 70 %. At least 55 % is asked.",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("standing (-want +got):\n%s", diff)
		}
		if all[0].ID != lowered.ID || first.ID == lowered.ID {
			t.Errorf("decision %s, want %s", all[0].ID, lowered.ID)
		}
	})
}
