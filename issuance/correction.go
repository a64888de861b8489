package issuance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// ErrCorrection is for a correction that lacks what it needs.
var ErrCorrection = errors.New("a correction needs words of at most 500 letters; confirming it also needs the kind of evidence, and in at most 200 letters where that can be found again")

// CorrectionState is how far a correction has come. The words are told to programs and never
// change.
type CorrectionState string

// The states of a correction.
const (
	CorrectionAsked     CorrectionState = "asked"     // waits for staff
	CorrectionConfirmed CorrectionState = "confirmed" // the corrected credential waits for the seal
	CorrectionDone      CorrectionState = "done"      // it is sealed and has taken the place of the old one
	CorrectionDeclined  CorrectionState = "declined"  // by staff
	CorrectionWithdrawn CorrectionState = "withdrawn" // by who asked
	CorrectionDropped   CorrectionState = "dropped"   // the credential was revoked, or staff gave up what could not be sealed
)

// CorrectionStates lists all states in the order of a life.
func CorrectionStates() []CorrectionState {
	return []CorrectionState{CorrectionAsked, CorrectionConfirmed, CorrectionDone, CorrectionDeclined, CorrectionWithdrawn, CorrectionDropped}
}

// Evidence says in a code what staff have seen before they confirmed a name. Codes are told to
// programs and never change.
type Evidence string

// The kinds of evidence.
const (
	EvidencePassport Evidence = "passport"
	EvidenceIDCard   Evidence = "identity_card"
	EvidencePermit   Evidence = "residence_permit"
	EvidenceRegistry Evidence = "civil_registry" // birth, marriage or name certificate
	EvidenceRecord   Evidence = "student_record"
	EvidenceCourt    Evidence = "change_of_name" // by a court or an authority
	EvidenceOther    Evidence = "other"
)

// Evidences lists all kinds.
func Evidences() []Evidence {
	return []Evidence{EvidencePassport, EvidenceIDCard, EvidencePermit, EvidenceRegistry, EvidenceRecord, EvidenceCourt, EvidenceOther}
}

// Words names the kind of evidence for people; empty for a code that is none.
func (e Evidence) Words() string {
	switch e {
	case EvidencePassport:
		return "Passport"
	case EvidenceIDCard:
		return "Identity card"
	case EvidencePermit:
		return "Residence permit"
	case EvidenceRegistry:
		return "Certificate of a civil registry, such as of birth or marriage"
	case EvidenceRecord:
		return "Record of the student administration"
	case EvidenceCourt:
		return "Change of name by a court or an authority"
	case EvidenceOther:
		return "Something else"
	}
	return ""
}

// discreet reports whether the former name is nobody's business any more: then the public page
// does not lead from the corrected credential to the former one.
func (e Evidence) discreet() bool { return e == EvidenceCourt }

// Correction is a name in a sealed credential that somebody has found to be wrong.
type Correction struct {
	ID             string          `db:"id"`
	OrganisationID string          `db:"organisation_id"`
	ClaimID        string          `db:"claim_id"`
	CredentialID   string          `db:"credential_id"` // UUID, in which the name is wrong
	OldGiven       string          `db:"old_given"`
	OldFamily      string          `db:"old_family"`
	NewGiven       string          `db:"new_given"`
	NewFamily      string          `db:"new_family"`
	Words          string          `db:"words"`    // of whoever asked
	AskedBy        string          `db:"asked_by"` // “learner”, or as in the audit trail
	AskedAt        time.Time       `db:"asked_at"`
	State          CorrectionState `db:"state"`
	Evidence       Evidence        `db:"evidence"`  // empty until confirmed
	Reference      string          `db:"reference"` // where the evidence can be found again
	Answer         string          `db:"answer"`    // words of whoever decided, for the learner
	DecidedBy      string          `db:"decided_by"`
	DecidedAt      sql.NullTime    `db:"decided_at"`
	EndedAt        sql.NullTime    `db:"ended_at"`
	Revision       int             `db:"revision"` // of the claim, for which it was confirmed; 0 until then

	ClaimState State `db:"claim_state"` // before it was confirmed
}

const correctionNames = `id, organisation_id, claim_id, credential_id, old_given, old_family, new_given, new_family, words, asked_by, asked_at,
	state, evidence, reference, answer, decided_by, decided_at, ended_at, revision, claim_state`

// Old is the name in the credential.
func (c Correction) Old() Name { return Name{Given: c.OldGiven, Family: c.OldFamily} }

// New is the name that it shall have.
func (c Correction) New() Name { return Name{Given: c.NewGiven, Family: c.NewFamily} }

// Open reports whether something still follows.
func (c Correction) Open() bool { return c.State == CorrectionAsked || c.State == CorrectionConfirmed }

// Proposal asks for another name in the credential of a claim.
type Proposal struct {
	OrganisationID, ClaimID string
	Name                    Name   // as it should be
	Words                   string // what is wrong, for staff; at most 500 letters, needed
	By                      string // ByLearner, or as in the audit trail
}

// ByLearner is who asked when it was the learner. How often a learner may ask is bounded.
const ByLearner = "learner"

// Ruling is what staff say about a correction.
type Ruling struct {
	OrganisationID, CorrectionID string
	Evidence                     Evidence // to confirm: what was seen
	Reference                    string   // to confirm: where it can be found again, at most 200 letters; no copy, no number of a document
	Words                        string   // for the learner, at most 500 letters, needed
	By                           string   // as in the audit trail; never shown to learners
}

const (
	correctionWords     = 500 // letters
	correctionReference = 200 // letters
	// askLimit is how often a learner may ask about one credential within askPeriod.
	askLimit  = 3
	askPeriod = 30 * 24 * time.Hour
)

// tidy returns words as they are kept; ok is false when there are none or too many.
func tidy(words string, limit int) (out string, ok bool) {
	out = strings.Join(strings.Fields(words), " ")
	return out, out != "" && utf8.ValidString(out) && utf8.RuneCountInString(out) <= limit && !strings.ContainsFunc(out, hidden)
}

// same reports whether two names show the same letters.
func same(a, b Name) bool {
	return norm.NFC.String(a.Given) == norm.NFC.String(b.Given) && norm.NFC.String(a.Family) == norm.NFC.String(b.Family)
}

// Propose notes that a name is wrong. Nothing changes until staff confirm it. It fails with
// ErrName, ErrCorrection, ErrNotFound, or, in words that fit, ErrState: the credential is not
// in force, has this name already, a correction of it waits, or the learner has asked too often.
func (d *Desk) Propose(ctx context.Context, p Proposal) (out Correction, err error) {
	err = d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		out, err = d.propose(ctx, tx, p)
		return err
	})
	if err != nil {
		return Correction{}, err
	}
	return out, nil
}

// MayPropose returns nil when by may ask for another name in the credential of a claim now, else
// what Propose would say.
func (d *Desk) MayPropose(ctx context.Context, organisationID, claimID, by string) error {
	claim, err := d.byID(ctx, d.db, organisationID, claimID)
	if err != nil {
		return err
	}
	now, err := newestStanding(ctx, d.db, organisationID, claimID)
	if err != nil {
		return err
	}
	if err := correctable(claim, now); err != nil {
		return err
	}
	return mayAsk(ctx, d.db, Correction{OrganisationID: organisationID, ClaimID: claimID, AskedBy: by, AskedAt: sqldb.UTC(d.now())})
}

func (d *Desk) propose(ctx context.Context, tx *sqldb.Tx, p Proposal) (Correction, error) {
	name, err := p.Name.Clean()
	if err != nil {
		return Correction{}, err
	}
	words, ok := tidy(p.Words, correctionWords)
	if !ok {
		return Correction{}, ErrCorrection
	}
	claim, now, err := d.hold(ctx, tx, p.OrganisationID, p.ClaimID)
	if err != nil {
		return Correction{}, err
	}
	at := sqldb.UTC(d.now())
	c := Correction{
		ID: uuid.Must(uuid.NewV7()).String(), OrganisationID: claim.OrganisationID, ClaimID: claim.ID, CredentialID: now.CredentialID,
		OldGiven: claim.GivenName, OldFamily: claim.FamilyName, NewGiven: name.Given, NewFamily: name.Family,
		Words: words, AskedBy: p.By, AskedAt: at, State: CorrectionAsked,
	}
	if err := correctable(claim, now); err != nil {
		return Correction{}, err
	}
	if same(c.Old(), name) {
		return Correction{}, refused{"the credential has this name already"}
	}
	if err := mayAsk(ctx, tx, c); err != nil {
		return Correction{}, err
	}
	_, err = tx.Exec(ctx, `insert into corrections (`+correctionNames+`) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', '', '', null, null, 0, '')`,
		c.ID, c.OrganisationID, c.ClaimID, c.CredentialID, c.OldGiven, c.OldFamily, c.NewGiven, c.NewFamily, c.Words, c.AskedBy, c.AskedAt, c.State)
	if err != nil {
		return Correction{}, fmt.Errorf("keep a correction: %w", err)
	}
	return c, auditCorrection(ctx, tx, c, done{"asked", p.By, at})
}

// hold takes the row of the claim until the commit, as act does, and returns it with how its
// newest credential stands.
func (d *Desk) hold(ctx context.Context, tx *sqldb.Tx, organisationID, claimID string) (Claim, Standing, error) {
	_, err := tx.Exec(ctx, `update claims set state = state where organisation_id = ? and id = ?`, organisationID, claimID)
	if err != nil {
		return Claim{}, Standing{}, fmt.Errorf("take the claim: %w", err)
	}
	c, err := d.byID(ctx, tx, organisationID, claimID)
	if err != nil {
		return c, Standing{}, err
	}
	now, err := newestStanding(ctx, tx, organisationID, claimID)
	return c, now, err
}

func newestStanding(ctx context.Context, q sqldb.Queryer, organisationID, claimID string) (Standing, error) {
	now, err := standing(ctx, q, standsFor, organisationID, claimID)
	if errors.Is(err, ErrNotFound) {
		err = refused{"it is not sealed yet; what is wrong can be corrected afterwards"}
	}
	return now, err
}

// correctable says in words why the name in a credential cannot be corrected now.
func correctable(c Claim, now Standing) error {
	switch {
	case now.InForce != StandsInForce:
		return refused{"it is " + string(now.InForce) + " since " + day(now.Since) + "; a name is corrected only while the credential is in force"}
	case c.State != Sealed && c.State != Delivered:
		return refused{"a corrected one waits for the seal"}
	}
	return nil
}

// mayAsk refuses a second correction at the same time, and learners who ask too often.
func mayAsk(ctx context.Context, q sqldb.Queryer, c Correction) error {
	var asked []Correction
	err := q.Select(ctx, &asked, `select `+correctionNames+` from corrections where organisation_id = ? and claim_id = ? and (asked_at > ? or state in ('asked', 'confirmed')) order by asked_at, id`,
		c.OrganisationID, c.ClaimID, c.AskedAt.Add(-askPeriod))
	if err != nil {
		return fmt.Errorf("read earlier corrections: %w", err)
	}
	var times []time.Time
	for _, before := range asked {
		if before.Open() {
			return refused{"a correction of it waits already, since " + day(before.AskedAt)}
		}
		if before.AskedBy == ByLearner {
			times = append(times, before.AskedAt)
		}
	}
	if c.AskedBy == ByLearner && len(times) >= askLimit {
		return refused{fmt.Sprintf("it was asked %d times within 30 days; from %s on it can be asked again", len(times), day(times[len(times)-askLimit].Add(askPeriod+24*time.Hour)))}
	}
	return nil
}
