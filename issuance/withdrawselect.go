package issuance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// ErrSelection is for an order that does not say which credentials it is about.
var ErrSelection = errors.New("say which credentials are meant: by their ids, an activity, a template version, or the time in which they were sealed")

// Selection says which credentials an order is about: those that count or are suspended now,
// and fit everything that is set. What is revoked or replaced is never selected.
type Selection struct {
	OrganisationID string   `json:"-"`
	IDs            []string `json:"-"` // UUIDs; empty: all
	AttachmentID   string   `json:"attachment,omitempty"`
	VersionID      string   `json:"version,omitempty"`
	// SealedFrom is the first moment that counts, SealedUntil the first that does not any
	// more; zero: no bound.
	SealedFrom  time.Time `json:"sealed_from,omitzero"`
	SealedUntil time.Time `json:"sealed_until,omitzero"`
}

// Check returns ErrSelection when nothing is set: nobody revokes everything by mistake.
func (s Selection) Check() error {
	if len(s.IDs) == 0 && s.AttachmentID == "" && s.VersionID == "" && s.SealedFrom.IsZero() && s.SealedUntil.IsZero() {
		return ErrSelection
	}
	return nil
}

// selectChunk is how many ids go into one query.
const selectChunk = 500

// where is the condition on credential_listing as l, once per chunk of ids.
func (s Selection) where(do func(condition string, args []any) error) error {
	condition, args := `l.organisation_id = ? and l.standing in (?, ?)`, []any{s.OrganisationID, StandsInForce, StandsSuspended}
	add := func(more string, arg any) {
		condition, args = condition+more, append(args, arg)
	}
	if s.AttachmentID != "" {
		add(` and l.attachment_id = ?`, s.AttachmentID)
	}
	if s.VersionID != "" {
		add(` and l.version_id = ?`, s.VersionID)
	}
	if !s.SealedFrom.IsZero() {
		add(` and l.sealed_at >= ?`, sqldb.UTC(s.SealedFrom))
	}
	if !s.SealedUntil.IsZero() {
		add(` and l.sealed_at < ?`, sqldb.UTC(s.SealedUntil))
	}
	if len(s.IDs) == 0 {
		return do(condition, args)
	}
	for some := range slices.Chunk(s.IDs, selectChunk) {
		all := append([]any{}, args...)
		for _, id := range some {
			all = append(all, id)
		}
		if err := do(condition+` and l.credential_id in (`+marks(len(some))+`)`, all); err != nil {
			return err
		}
	}
	return nil
}

// marks are n placeholders.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// Preview is what an order would be about.
type Preview struct {
	Total int // credentials that would be revoked
	// Second reports whether a second person has to confirm.
	Second bool
	Sample []Listed // the ones sealed last, at most as many as were asked for
}

// Preview counts what a selection is about now, and shows some of it: a dry run. It fails with
// ErrSelection.
func (d *Desk) Preview(ctx context.Context, s Selection, sample int) (Preview, error) {
	if err := s.Check(); err != nil {
		return Preview{}, err
	}
	var p Preview
	var versions, ids []string
	err := s.where(func(condition string, args []any) error {
		var n int
		if err := d.db.Get(ctx, &n, `select count(*) from credential_listing l where `+condition, args...); err != nil {
			return fmt.Errorf("count what is meant: %w", err)
		}
		p.Total += n
		var more []string
		if err := d.db.Select(ctx, &more, `select distinct l.version_id from credential_listing l where `+condition, args...); err != nil {
			return fmt.Errorf("list the versions of what is meant: %w", err)
		}
		versions = append(versions, more...)
		if len(ids) >= sample {
			return nil
		}
		err := d.db.Select(ctx, &more, `select l.credential_id from credential_listing l where `+condition+` order by l.sealed_at desc, l.credential_id desc limit ?`, append(args, sample-len(ids))...)
		if err != nil {
			return fmt.Errorf("list what is meant: %w", err)
		}
		ids = append(ids, more...)
		return nil
	})
	if err != nil {
		return Preview{}, err
	}
	if p.Second, err = templates.RevokingTakesTwo(ctx, d.db, s.OrganisationID, versions); err != nil {
		return Preview{}, err
	}
	p.Sample, err = d.listed(ctx, s.OrganisationID, ids)
	return p, err
}
