package issuance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// ErrReason is for a withdrawal without a reason that everybody can be told.
var ErrReason = errors.New("the reason has to be awarded_in_error, wrong_person, wrong_content, misconduct, holder_request or other; words may have 500 letters, and “other” needs some")

// Act is what is done to a sealed credential as a whole.
type Act string

// The acts. Revoking is for ever; a suspended credential is reinstated or revoked.
const (
	ActRevoke    Act = "revoked"
	ActSuspend   Act = "suspended"
	ActReinstate Act = "reinstated"
)

// Reason says in a code why a credential was revoked or suspended. Codes are told to programs
// and never change.
type Reason string

// The reasons.
const (
	ReasonInError      Reason = "awarded_in_error"
	ReasonWrongPerson  Reason = "wrong_person"
	ReasonWrongContent Reason = "wrong_content"
	ReasonMisconduct   Reason = "misconduct"
	ReasonHolder       Reason = "holder_request"
	ReasonOther        Reason = "other"
)

// Reasons lists all reasons.
func Reasons() []Reason {
	return []Reason{ReasonInError, ReasonWrongPerson, ReasonWrongContent, ReasonMisconduct, ReasonHolder, ReasonOther}
}

// Words says the reason in a sentence for everybody who asks; empty for a code that is none.
func (r Reason) Words() string {
	switch r {
	case ReasonInError:
		return "It was awarded in error."
	case ReasonWrongPerson:
		return "It was awarded to the wrong person."
	case ReasonWrongContent:
		return "Something that it says is wrong."
	case ReasonMisconduct:
		return "The result behind it did not come about honestly."
	case ReasonHolder:
		return "Its holder asked for it."
	case ReasonOther:
		return "For another reason than those that are often met."
	}
	return ""
}

// Withdrawal is an order to revoke, suspend or reinstate one credential.
type Withdrawal struct {
	OrganisationID string
	CredentialID   string // UUID
	Reason         Reason // ignored when reinstating
	// Words say more, in at most 500 letters. They are shown to everybody who asks for the
	// credential, so they name nobody. Empty is allowed but for ReasonOther.
	Words string
	// By is who did it, as in the audit trail. It is never shown to the public.
	By string

	request   string // the order that it carries out; empty: none
	confirmed string // who was the second person
}

const withdrawalWords = 500 // letters

// Check returns ErrReason when act cannot be done with these words and this reason, for
// whoever wants to know before doing anything.
func (w Withdrawal) Check(act Act) error {
	_, err := w.clean(act)
	return err
}

// clean returns w in the form in which it is kept, or ErrReason.
func (w Withdrawal) clean(act Act) (Withdrawal, error) {
	w.Words = strings.Join(strings.Fields(w.Words), " ")
	if act == ActReinstate {
		w.Reason = ""
	} else if w.Reason.Words() == "" || w.Reason == ReasonOther && w.Words == "" {
		return w, ErrReason
	}
	if !utf8.ValidString(w.Words) || utf8.RuneCountInString(w.Words) > withdrawalWords || strings.ContainsFunc(w.Words, hidden) {
		return w, ErrReason
	}
	return w, nil
}

// refused is ErrState in words that fit the credential.
type refused struct{ words string }

// Error says why.
func (r refused) Error() string { return r.words }

// Is makes it ErrState.
func (r refused) Is(target error) bool { return target == ErrState }

// Revoke withdraws a sealed credential for good. Everybody who asks is told from then on; the
// sealed file itself cannot be changed. It fails with ErrReason, ErrNotFound, or, in words
// that fit, ErrState: the credential is not sealed yet, revoked already or replaced. Where the
// rules ask for a second person it fails with ErrSecondPerson: AskRevoke is the way then.
func (d *Desk) Revoke(ctx context.Context, w Withdrawal) (Standing, error) {
	return d.act(ctx, ActRevoke, w)
}

// Suspend withdraws a sealed credential until it is reinstated or revoked. Errors are those of
// Revoke; what is suspended cannot be suspended again.
func (d *Desk) Suspend(ctx context.Context, w Withdrawal) (Standing, error) {
	return d.act(ctx, ActSuspend, w)
}

// Reinstate puts a suspended credential in force again. Errors are those of Revoke; what is
// not suspended, or revoked, cannot be reinstated.
func (d *Desk) Reinstate(ctx context.Context, w Withdrawal) (Standing, error) {
	return d.act(ctx, ActReinstate, w)
}

// act does it and notes it, or neither. Whoever comes first holds the row of the claim until
// the commit, so the second one sees what the first has done; a worker that seals holds it too.
func (d *Desk) act(ctx context.Context, act Act, w Withdrawal) (out Standing, err error) {
	if w, err = w.clean(act); err != nil {
		return Standing{}, err
	}
	err = d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		out, err = d.actIn(ctx, tx, act, w)
		return err
	})
	if err != nil {
		return Standing{}, err
	}
	return out, nil
}

// actIn is act in a transaction, with a withdrawal that is clean.
func (d *Desk) actIn(ctx context.Context, tx *sqldb.Tx, act Act, w Withdrawal) (Standing, error) {
	if err := hold(ctx, tx, w.OrganisationID, w.CredentialID); err != nil {
		return Standing{}, err
	}
	now, err := ofOrganisation(ctx, tx, w.OrganisationID, w.CredentialID)
	if err != nil {
		return Standing{}, err
	}
	if err := now.May(act); err != nil {
		return Standing{}, err
	}
	if act == ActRevoke && w.request == "" {
		two, err := templates.RevokingTakesTwo(ctx, tx, w.OrganisationID, []string{now.VersionID})
		if err != nil {
			return Standing{}, err
		}
		if two {
			return Standing{}, ErrSecondPerson
		}
	}
	if err := d.note(ctx, tx, now, act, w); err != nil {
		return Standing{}, err
	}
	return ofOrganisation(ctx, tx, w.OrganisationID, w.CredentialID)
}

// hold takes the row of a credential's claim until the commit. Writing the state as it is
// changes nothing.
func hold(ctx context.Context, tx *sqldb.Tx, organisationID, credentialID string) error {
	_, err := tx.Exec(ctx, `update claims set state = state where organisation_id = ? and id = (select claim_id from credentials where organisation_id = ? and id = ?)`,
		organisationID, organisationID, credentialID)
	if err != nil {
		return fmt.Errorf("take the claim: %w", err)
	}
	return nil
}

// note writes the act down: in the claim, among the withdrawals, in the audit trail. Each of
// the first two is a compare-and-swap on what was read.
func (d *Desk) note(ctx context.Context, tx *sqldb.Tx, now Standing, act Act, w Withdrawal) error {
	at := sqldb.UTC(d.now())
	if act == ActRevoke {
		n, err := tx.Exec(ctx, `update claims set state = ?, lease_token = '', lease_until = null, updated_at = ? where organisation_id = ? and id = ? and state = ?`,
			Revoked, at, w.OrganisationID, now.ClaimID, now.state)
		if err != nil {
			return fmt.Errorf("revoke: %w", err)
		}
		if n == 0 {
			return ErrState
		}
		// A corrected one that was to take its place is not made any more.
		if err := dropCorrection(ctx, tx, w.OrganisationID, now.ClaimID, done{"dropped", w.By, at}); err != nil {
			return err
		}
	}
	n, err := tx.Exec(ctx, `insert into withdrawals (credential_id, number, organisation_id, kind, reason, words, actor, at, request_id, confirmed_by)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (credential_id, number) do nothing`,
		now.CredentialID, now.number+1, w.OrganisationID, act, w.Reason, w.Words, w.By, at, w.request, w.confirmed)
	if err != nil {
		return fmt.Errorf("note a withdrawal: %w", err)
	}
	if n == 0 {
		return ErrState
	}
	detail := strings.TrimSpace("credential " + now.CredentialID + " " + string(w.Reason))
	if w.request != "" {
		detail += " order " + w.request
	}
	if w.confirmed != "" {
		detail += " confirmed by " + w.confirmed
	}
	// The words are kept once, where they can be erased.
	return sqldb.Audit(ctx, tx, sqldb.Event{
		OrganisationID: w.OrganisationID, At: at, Actor: w.By, Action: "credential " + string(act), Subject: now.ClaimID,
		Detail: detail,
	})
}

func ofOrganisation(ctx context.Context, q sqldb.Queryer, organisationID, credentialID string) (Standing, error) {
	return standing(ctx, q, `k.organisation_id = ? and k.id = ?`, organisationID, credentialID)
}

// standing reads how one credential stands, or ErrNotFound. The condition names the columns of
// credentials by k, of claims by c, and of the last withdrawal by w.
func standing(ctx context.Context, q sqldb.Queryer, condition string, args ...any) (Standing, error) {
	var row standingRow
	err := q.Get(ctx, &row, standingFrom+condition, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return Standing{}, ErrNotFound
	}
	if err != nil {
		return Standing{}, fmt.Errorf("read how a credential stands: %w", err)
	}
	return row.standing(), nil
}
