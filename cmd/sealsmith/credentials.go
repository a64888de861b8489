package main

import (
	"context"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/templates"
)

type credentialsCommand struct {
	List      credentialsListCommand      `cmd:"" help:"List sealed credentials, the newest first."`
	Show      credentialsShowCommand      `cmd:"" help:"Show one credential, and all that was done to it."`
	Revoke    credentialsRevokeCommand    `cmd:"" help:"Withdraw credentials for good. Everybody who checks them is told."`
	Suspend   credentialsSuspendCommand   `cmd:"" help:"Withdraw a credential until it is reinstated or revoked."`
	Reinstate credentialsReinstateCommand `cmd:"" help:"Put a suspended credential in force again."`
	Orders    ordersCommand               `cmd:"" help:"Orders to revoke: what waits for a second person, and what is being carried out."`
}

// sealedCredential is a credential for operators. Whose it is stands in the file, and is
// shown one at a time.
type sealedCredential struct {
	ID       string           `json:"id"`
	Claim    string           `json:"claim"`
	Standing issuance.InForce `json:"standing"`
	Since    time.Time        `json:"since,omitzero"`
	Sealed   time.Time        `json:"sealed,omitzero"`
	Reason   issuance.Reason  `json:"reason,omitempty"`
	Words    string           `json:"words,omitempty"`
}

func describeStanding(s issuance.Standing) sealedCredential {
	return sealedCredential{ID: s.CredentialID, Claim: s.ClaimID, Standing: s.InForce, Since: s.Since, Sealed: s.SealedAt, Reason: s.Reason, Words: s.Words}
}

// say writes a code for people.
func say[T ~string](code T) string {
	words := []rune(string(code))
	for i, c := range words {
		if c == '_' {
			words[i] = ' '
		}
	}
	return string(words)
}

type credentialsListCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	State        string `help:"in_force, suspended, revoked or replaced." enum:",in_force,suspended,revoked,replaced" default:""`
	Limit        int    `help:"How many at most." default:"100"`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// Run lists credentials.
func (c credentialsListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		found, err := desk.Credentials(ctx, o.ID, issuance.InForce(c.State), c.Limit)
		if err != nil {
			return err
		}
		all := make([]sealedCredential, len(found))
		for i := range found {
			all[i] = describeStanding(found[i])
		}
		if c.JSON {
			return out.printJSON(struct {
				Credentials []sealedCredential `json:"credentials"`
			}{all})
		}
		if len(all) == 0 {
			out.printf("There is no such credential.\n")
			return nil
		}
		t := newTable(out.out, "CREDENTIAL", "SEALED", "STANDING", "SINCE", "REASON")
		for _, k := range all {
			t.row(k.ID, k.Sealed.Format("2006-01-02 15:04"), say(k.Standing), k.Since.Format("2006-01-02 15:04"), say(k.Reason))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if len(all) == c.Limit {
			out.printf("These are the newest %d; --limit shows more.\n", c.Limit)
		}
		return nil
	})
}

type credentialsShowCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the credential, or the address of its public page."`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// shownCredential is one credential with all that an operator needs to be sure that it is
// the right one.
type shownCredential struct {
	sealedCredential
	Number      string    `json:"number,omitempty"`
	Title       string    `json:"title,omitempty"`
	Learner     string    `json:"learner,omitempty"`
	Activity    string    `json:"activity"` // id, for revoke --attachment
	Version     string    `json:"version"`  // id, for revoke --template-version
	Link        string    `json:"link"`
	ReplacedBy  string    `json:"replaced_by,omitempty"` // id of the corrected one that took its place
	Replaces    string    `json:"replaces,omitempty"`    // id of the one whose place it took
	Withdrawals []history `json:"withdrawals"`
	Waiting     string    `json:"waiting,omitempty"` // order to revoke it that waits for a second person
}

type history struct {
	Act    issuance.Act    `json:"act"`
	At     time.Time       `json:"at"`
	By     string          `json:"by"`
	Second string          `json:"confirmed_by,omitempty"`
	Reason issuance.Reason `json:"reason,omitempty"`
	Words  string          `json:"words,omitempty"`
}

// Run shows a credential.
func (c credentialsShowCommand) Run(ctx context.Context, s *Settings, out streams) error {
	public, err := s.publicURL()
	if err != nil {
		return err
	}
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		now, err := desk.Find(ctx, o.ID, c.ID)
		if err != nil {
			return about("credential", c.ID, "credentials list", err)
		}
		shown := shownCredential{sealedCredential: describeStanding(now), Activity: now.AttachmentID, Version: now.VersionID, Link: public.JoinPath("c", now.Link).String(), Withdrawals: []history{}, ReplacedBy: now.ReplacedBy.CredentialID, Replaces: now.Replaces.CredentialID}
		credential, err := desk.CredentialByID(ctx, o.ID, now.CredentialID)
		if err != nil {
			return err
		}
		if content, err := elm.Read(credential.Payload); err == nil {
			shown.Number, shown.Title, shown.Learner = content.Number, content.Title, content.Learner
		}
		done, err := desk.Withdrawals(ctx, o.ID, now.CredentialID)
		if err != nil {
			return err
		}
		for _, w := range done {
			shown.Withdrawals = append(shown.Withdrawals, history{Act: w.Act, At: w.At.UTC(), By: w.By, Second: w.Second, Reason: w.Reason, Words: w.Words})
		}
		orders, err := desk.OrdersOf(ctx, o.ID, now.CredentialID)
		if err != nil {
			return err
		}
		for _, order := range orders {
			if order.State == issuance.OrderAsked {
				shown.Waiting = order.ID
			}
		}
		if c.JSON {
			return out.printJSON(shown)
		}
		return shown.print(out)
	})
}

func (k shownCredential) print(out streams) error {
	t := newTable(out.out, "CREDENTIAL", k.ID)
	t.row("number", k.Number)
	t.row("title", k.Title)
	t.row("learner", k.Learner)
	t.row("claim", k.Claim)
	t.row("activity", k.Activity)
	t.row("template version", k.Version)
	if k.Standing == "" {
		t.row("standing", "not sealed yet")
		return t.Flush()
	}
	t.row("sealed", k.Sealed.Format(time.RFC3339))
	t.row("standing", say(k.Standing)+" since "+k.Since.Format(time.RFC3339))
	t.row("public page", k.Link)
	if k.ReplacedBy != "" {
		t.row("replaced by", k.ReplacedBy)
	}
	if k.Replaces != "" {
		t.row("replaces", k.Replaces)
	}
	for _, h := range k.Withdrawals {
		line := h.At.Format(time.RFC3339) + " by " + h.By
		if h.Second != "" {
			line += ", confirmed by " + h.Second
		}
		if h.Reason != "" {
			line += ", " + say(h.Reason)
		}
		if h.Words != "" {
			line += ": " + h.Words
		}
		t.row(say(h.Act), line)
	}
	if k.Waiting != "" {
		t.row("waits", "order "+k.Waiting+" to revoke it waits for a second person: sealsmith credentials orders confirm")
	}
	return t.Flush()
}
