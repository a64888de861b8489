package main

import (
	"context"
	"errors"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/templates"
)

type correctionsCommand struct {
	List    correctionsListCommand    `cmd:"" help:"List corrections that wait, the oldest first, or all."`
	Show    correctionsShowCommand    `cmd:"" help:"Show one correction."`
	Confirm correctionsConfirmCommand `cmd:"" help:"Have a corrected credential sealed, after a proof of the name was seen."`
	Decline correctionsDeclineCommand `cmd:"" help:"Leave the name as it is."`
	End     correctionsEndCommand     `cmd:"" help:"Give up a confirmed correction that cannot be sealed; the old credential was in force all the time."`
}

// listedCorrection is a correction for operators. The names are shown one at a time.
type listedCorrection struct {
	ID         string                   `json:"id"`
	State      issuance.CorrectionState `json:"state"`
	Asked      time.Time                `json:"asked"`
	By         string                   `json:"by"`
	Claim      string                   `json:"claim"`
	Credential string                   `json:"credential"`
}

func listCorrection(x issuance.Correction) listedCorrection {
	return listedCorrection{ID: x.ID, State: x.State, Asked: x.AskedAt.UTC(), By: x.AskedBy, Claim: x.ClaimID, Credential: x.CredentialID}
}

type correctionsListCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	State        string `help:"asked, confirmed, done, declined, withdrawn, dropped, or all. Without it: what waits." enum:",asked,confirmed,done,declined,withdrawn,dropped,all" default:""`
	Limit        int    `help:"How many at most." default:"100"`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// Run lists corrections.
func (c correctionsListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	states := []issuance.CorrectionState{issuance.CorrectionState(c.State)}
	switch c.State {
	case "":
		states = []issuance.CorrectionState{issuance.CorrectionAsked, issuance.CorrectionConfirmed}
	case "all":
		states = nil
	}
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		found, err := desk.Corrections(ctx, o.ID, states, c.Limit)
		if err != nil {
			return err
		}
		all := make([]listedCorrection, len(found))
		for i := range found {
			all[i] = listCorrection(found[i])
		}
		if c.JSON {
			return out.printJSON(struct {
				Corrections []listedCorrection `json:"corrections"`
			}{all})
		}
		if len(all) == 0 {
			out.printf("There is no such correction.\n")
			return nil
		}
		t := newTable(out.out, "CORRECTION", "STATE", "ASKED", "BY", "CREDENTIAL")
		for _, x := range all {
			t.row(x.ID, string(x.State), x.Asked.Format("2006-01-02 15:04"), x.By, x.Credential)
		}
		return t.Flush()
	})
}

type correctionsShowCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the correction."`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// shownCorrection is all that is known about a correction.
type shownCorrection struct {
	listedCorrection
	Old       string            `json:"old_name"`
	New       string            `json:"new_name"`
	Words     string            `json:"words"`
	Evidence  issuance.Evidence `json:"evidence,omitempty"`
	Reference string            `json:"reference,omitempty"`
	Answer    string            `json:"answer,omitempty"`
	DecidedBy string            `json:"decided_by,omitempty"`
	Decided   time.Time         `json:"decided,omitzero"`
	Ended     time.Time         `json:"ended,omitzero"`
	Successor string            `json:"successor,omitempty"` // the corrected credential
	Why       string            `json:"why,omitempty"`       // it could not be sealed yet
}

func showCorrection(x issuance.Correction, c issuance.Claim, now issuance.Standing) shownCorrection {
	shown := shownCorrection{
		listedCorrection: listCorrection(x), Old: x.Old().Full(), New: x.New().Full(), Words: x.Words, Evidence: x.Evidence, Reference: x.Reference,
		Answer: x.Answer, DecidedBy: x.DecidedBy,
	}
	if x.DecidedAt.Valid {
		shown.Decided = x.DecidedAt.Time.UTC()
	}
	if x.EndedAt.Valid {
		shown.Ended = x.EndedAt.Time.UTC()
	}
	if x.State == issuance.CorrectionDone {
		shown.Successor = now.ReplacedBy.CredentialID
	}
	if x.State == issuance.CorrectionConfirmed {
		shown.Why = c.Cause()
	}
	return shown
}

// Run shows a correction.
func (c correctionsShowCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		x, err := desk.Correction(ctx, o.ID, c.ID)
		if err != nil {
			return about("correction", c.ID, "corrections list --state all", err)
		}
		claim, err := desk.Claim(ctx, o.ID, x.ClaimID)
		if err != nil {
			return err
		}
		now, err := desk.Standing(ctx, x.CredentialID)
		if err != nil {
			return err
		}
		shown := showCorrection(x, claim, now)
		if c.JSON {
			return out.printJSON(shown)
		}
		return shown.print(out)
	})
}

func (x shownCorrection) print(out streams) error {
	t := newTable(out.out, "CORRECTION", x.ID)
	for _, line := range [][2]string{
		{"state", string(x.State)},
		{"in the credential", x.Old},
		{"as it should be", x.New},
		{"asked", x.Asked.Format(time.RFC3339) + " by " + x.By},
		{"because", x.Words},
		{"claim", x.Claim},
		{"credential", x.Credential},
		{"corrected credential", x.Successor},
		{"seen", x.Evidence.Words()},
		{"found again", x.Reference},
		{"decided", decidedLine(x)},
		{"answer", x.Answer},
		{"ended", ended(x.Ended)},
		{"not sealed yet", x.Why},
	} {
		if line[1] != "" {
			t.row(line[0], line[1])
		}
	}
	return t.Flush()
}

func decidedLine(x shownCorrection) string {
	if x.DecidedBy == "" {
		return ""
	}
	return x.Decided.Format(time.RFC3339) + " by " + x.DecidedBy
}

func ended(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.RFC3339)
}

type correctionsConfirmCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	Evidence     string `help:"What was seen: ${enum}." enum:"passport,identity_card,residence_permit,civil_registry,student_record,change_of_name,other" required:""`
	Reference    string `help:"Where it can be found again, such as a file number. No copies, no numbers of passports or identity cards." required:""`
	Answer       string `help:"Words for the learner." required:""`
	By           string `help:"Your name, for the audit trail. Needed where revoking takes two people and staff have asked."`
	ID           string `arg:"" help:"Id of the correction."`
}

// Run confirms a correction.
func (c correctionsConfirmCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return ruling{organisation: c.Organisation, by: c.By, order: issuance.Ruling{CorrectionID: c.ID, Evidence: issuance.Evidence(c.Evidence), Reference: c.Reference, Words: c.Answer}}.run(ctx, s,
		(*issuance.Desk).ConfirmCorrection, func(x issuance.Correction) {
			out.printf("Confirmed: the corrected credential waits for the seal. Credential %s is in force until then.\n", x.CredentialID)
		})
}

type correctionsDeclineCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	Answer       string `help:"Why, for the learner." required:""`
	By           string `help:"Your name, for the audit trail."`
	ID           string `arg:"" help:"Id of the correction."`
}

// Run declines a correction.
func (c correctionsDeclineCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return ruling{organisation: c.Organisation, by: c.By, order: issuance.Ruling{CorrectionID: c.ID, Words: c.Answer}}.run(ctx, s,
		(*issuance.Desk).DeclineCorrection, func(x issuance.Correction) {
			out.printf("Declined: credential %s stays as it is.\n", x.CredentialID)
		})
}

type correctionsEndCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	Answer       string `help:"Why, for the learner." required:""`
	By           string `help:"Your name, for the audit trail."`
	ID           string `arg:"" help:"Id of the correction."`
}

// Run gives a confirmed correction up.
func (c correctionsEndCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return ruling{organisation: c.Organisation, by: c.By, order: issuance.Ruling{CorrectionID: c.ID, Words: c.Answer}}.run(ctx, s,
		(*issuance.Desk).GiveUpCorrection, func(x issuance.Correction) {
			out.printf("Given up: credential %s stays as it is.\n", x.CredentialID)
		})
}

// ruling is what an operator says about one correction.
type ruling struct {
	organisation string
	by           string // name; may be empty
	order        issuance.Ruling
}

func (r ruling) run(ctx context.Context, s *Settings, rule func(*issuance.Desk, context.Context, issuance.Ruling) (issuance.Correction, error), tell func(issuance.Correction)) error {
	by, err := operatorName(r.by)
	if err != nil {
		return err
	}
	return s.withDesk(ctx, r.organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		r.order.OrganisationID, r.order.By = o.ID, by
		x, err := rule(desk, ctx, r.order)
		if errors.Is(err, issuance.ErrCorrection) {
			return err
		}
		if err != nil {
			return about("correction", r.order.CorrectionID, "corrections list --state all", err)
		}
		tell(x)
		return nil
	})
}
