package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/templates"
)

// signLists signs the status lists until ctx ends.
func (a *app) signLists(ctx context.Context) {
	s := issuance.StatusSigner{
		DB: a.db, Templates: a.templates, Sealer: func(slug string) issuance.Sealer { return a.seals.of(slug) }, PublicURL: a.public,
		Lease: 5 * time.Minute, Every: 2 * time.Second, Now: time.Now, Logger: a.logger,
	}
	s.Run(ctx)
}

type statusCommand struct {
	List statusListCommand `cmd:"" help:"List the status lists: how full they are, and until when they are signed."`
	Show statusShowCommand `cmd:"" help:"Show one list with its addresses, or where a credential stands."`
}

// listedStatus is a status list for operators.
type listedStatus struct {
	ID         string    `json:"id"`
	Number     int       `json:"number"`
	Entries    int       `json:"entries"`
	Given      int       `json:"given"`
	Revoked    int       `json:"revoked"`
	Suspended  int       `json:"suspended"`
	Full       bool      `json:"full"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	Behind     int64     `json:"changes_not_signed"`
	Trouble    string    `json:"trouble,omitempty"`
	State      string    `json:"state"`
}

func describeList(l issuance.StatusList, now time.Time) listedStatus {
	out := listedStatus{
		ID: l.ID, Number: l.Number, Entries: l.Entries, Given: l.Given, Revoked: l.Revoked, Suspended: l.Suspended, Full: l.FullAt.Valid,
		Behind: l.Behind, Trouble: l.LastError, State: "signed",
	}
	if l.ExpiresAt.Valid {
		out.ValidUntil = l.ExpiresAt.Time.UTC()
	}
	switch {
	case !l.ExpiresAt.Valid:
		out.State, out.Behind = "not signed yet", 0
	case !now.Before(out.ValidUntil):
		out.State = "run out"
	case l.Behind > 0:
		out.State = "changed, to be signed"
	}
	return out
}

type statusListCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// Run lists status lists.
func (c statusListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		found, err := desk.StatusLists(ctx, o.ID)
		if err != nil {
			return err
		}
		all := make([]listedStatus, len(found))
		for i := range found {
			all[i] = describeList(found[i], time.Now())
		}
		if c.JSON {
			return out.printJSON(struct {
				Lists []listedStatus `json:"lists"`
			}{all})
		}
		if len(all) == 0 {
			out.printf("There is no status list yet; the first sealed credential opens one.\n")
			return nil
		}
		t := newTable(out.out, "LIST", "PLACES", "GIVEN", "REVOKED", "SUSPENDED", "STATE", "VALID UNTIL")
		for _, l := range all {
			until := ""
			if !l.ValidUntil.IsZero() {
				until = l.ValidUntil.Format("2006-01-02 15:04")
			}
			t.row(l.ID, fmt.Sprint(l.Entries), fmt.Sprint(l.Given), fmt.Sprint(l.Revoked), fmt.Sprint(l.Suspended), l.State, until)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		for _, l := range all {
			if l.Trouble != "" {
				out.printf("List %s waits: %s\n", l.ID, l.Trouble)
			}
		}
		return nil
	})
}

type statusShowCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of a list; or id of a credential, or the address of its public page."`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// shownStatus is one list with all that is signed of it.
type shownStatus struct {
	listedStatus

	Credential string                             `json:"credential,omitempty"` // that was asked for
	Index      *int                               `json:"index,omitempty"`      // of it
	Signed     map[issuance.StatusKind]signedText `json:"signed"`
}

type signedText struct {
	Address    string    `json:"address,omitempty"`
	SignedAt   time.Time `json:"signed_at"`
	ValidUntil time.Time `json:"valid_until"`
	Key        string    `json:"key"`
	Bytes      int       `json:"bytes"`
}

// Run shows a list, or the list of a credential.
func (c statusShowCommand) Run(ctx context.Context, s *Settings, out streams) error {
	public, err := s.publicURL()
	if err != nil {
		return err
	}
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		lists, err := desk.StatusLists(ctx, o.ID)
		if err != nil {
			return err
		}
		shown := shownStatus{Signed: map[issuance.StatusKind]signedText{}}
		listID := c.ID
		now, err := desk.Find(ctx, o.ID, c.ID)
		if err == nil {
			place, err := desk.Place(ctx, now.CredentialID)
			if err != nil {
				return fmt.Errorf("credential %s has no place in a status list: %w", now.CredentialID, err)
			}
			listID, shown.Credential, shown.Index = place.ListID, now.CredentialID, &place.Index
		} else if !errors.Is(err, issuance.ErrNotFound) {
			return err
		}
		for _, l := range lists {
			if l.ID == listID {
				shown.listedStatus = describeList(l, time.Now())
			}
		}
		if shown.ID == "" {
			return fmt.Errorf("%s is neither a status list nor a credential of %s", c.ID, o.Slug)
		}
		signed, err := desk.SignedStatuses(ctx, o.ID, listID)
		if err != nil {
			return err
		}
		for kind, text := range signed {
			one := signedText{SignedAt: text.SignedAt.UTC(), ValidUntil: text.ExpiresAt.UTC(), Key: text.KeyID, Bytes: len(text.File)}
			if kind != issuance.StatusIndex {
				one.Address = issuance.StatusAddress(public, listID, kind)
			}
			shown.Signed[kind] = one
		}
		if c.JSON {
			return out.printJSON(shown)
		}
		return shown.print(out)
	})
}

func (l shownStatus) print(out streams) error {
	t := newTable(out.out, "LIST", l.ID)
	if l.Index != nil {
		t.row("credential", l.Credential)
		t.row("its index", fmt.Sprint(*l.Index))
	}
	t.row("number", fmt.Sprint(l.Number))
	t.row("places", fmt.Sprintf("%d, given %d", l.Entries, l.Given))
	t.row("withdrawn", fmt.Sprintf("%d revoked, %d suspended", l.Revoked, l.Suspended))
	t.row("state", l.State)
	if l.Trouble != "" {
		t.row("waits", l.Trouble)
	}
	for _, kind := range append(issuance.StatusKinds(), issuance.StatusIndex) {
		text, found := l.Signed[kind]
		if !found {
			continue
		}
		t.row(string(kind), fmt.Sprintf("%d bytes, signed %s, valid until %s, key %.16s…", text.Bytes, text.SignedAt.Format(time.RFC3339), text.ValidUntil.Format(time.RFC3339), text.Key))
		if text.Address != "" {
			t.row("", text.Address)
		}
	}
	return t.Flush()
}
