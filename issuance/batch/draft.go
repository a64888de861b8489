package batch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/csvfile"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// Order is what a person asks for.
type Order struct {
	Attachment grading.Attachment
	Title      string
	StartsAt   time.Time // zero: as soon as it is confirmed
	By         string    // as in the audit trail
}

const titleLetters = 120

func (o Order) check(now time.Time) (Order, error) {
	o.Title = strings.Join(strings.Fields(o.Title), " ")
	if n := utf8.RuneCountInString(o.Title); n == 0 || n > titleLetters || !utf8.ValidString(o.Title) || strings.ContainsRune(o.Title, 0) || o.StartsAt.After(now.AddDate(2, 0, 0)) {
		return o, ErrOrder
	}
	if o.Attachment.State == grading.AttachmentDraft {
		return o, grading.ErrDraft
	}
	return o, nil
}

// row is one row as it is written.
type row struct {
	Number  int             `db:"number"`
	Learner string          `db:"learner"`
	Shown   string          `db:"shown"`
	Given   string          `db:"given_name"`
	Family  string          `db:"family_name"`
	Score   sql.NullFloat64 `db:"score"`
	Maximum float64         `db:"maximum"`
	Raw     string          `db:"raw"`
	Outcome Outcome         `db:"outcome"`
	Words   string          `db:"words"`
}

func (r row) name() issuance.Name { return issuance.Name{Given: r.Given, Family: r.Family} }

// DraftAward makes the dry run of sealing for all who have finished the activity and have
// not claimed. people are the learners of the course now; where the platform does not tell
// them, nobody has a name, and the draft says so.
func (s *Store) DraftAward(ctx context.Context, o Order, people csvfile.People) (Batch, error) {
	o, err := o.check(s.now())
	if err != nil {
		return Batch{}, err
	}
	a := o.Attachment
	standing, err := s.grading.Standing(ctx, a.OrganisationID, a.ID)
	if err != nil {
		return Batch{}, err
	}
	claims, err := s.desk.OfAttachment(ctx, a.OrganisationID, a.ID)
	if err != nil {
		return Batch{}, err
	}
	states := make(map[string]issuance.State, len(claims))
	for _, c := range claims {
		states[c.Learner] = c.State
	}
	rows := make([]row, 0, len(standing))
	for _, d := range standing {
		r := row{Learner: d.Learner, Score: d.Evidence.Score, Maximum: d.Evidence.Maximum}
		one, listed := people.Find(d.Learner)
		r.Given, r.Family = one.Given, one.Family
		r.Outcome, r.Words = foresee(d, states[d.Learner], people.Why, listed, r.name())
		rows = append(rows, r)
	}
	slices.SortStableFunc(rows, func(x, y row) int {
		return cmp.Or(cmp.Compare(strings.ToLower(x.Family), strings.ToLower(y.Family)), cmp.Compare(strings.ToLower(x.Given), strings.ToLower(y.Given)))
	})
	for i := range rows {
		rows[i].Number = i + 1
	}
	return s.draft(ctx, Batch{Kind: Awarding, Award: true}, o, rows)
}

// foresee says what would come of awarding to a learner; ToDo when nothing is in the way.
func foresee(d grading.Decided, state issuance.State, why string, listed bool, name issuance.Name) (Outcome, string) {
	switch state {
	case issuance.Queued, issuance.Sealing, issuance.Sealed, issuance.Delivered, issuance.Failed:
		return HasClaimed, ""
	case issuance.Revoked:
		return Withdrawn, ""
	case issuance.Open:
	}
	if !d.Complete {
		return NotComplete, reasons(d)
	}
	if why == "" && !listed {
		return NotThere, ""
	}
	if _, err := name.Clean(); err != nil {
		return NoName, why
	}
	return ToDo, ""
}

// reasons says in figures why a decision is none for a credential.
func reasons(d grading.Decided) string {
	if len(d.Reasons) == 0 || d.Reasons[0].Code == grading.BecauseNoScore {
		return "There is no score."
	}
	return fmt.Sprintf("The score is %v %%, at least %v %% is asked.", d.Reasons[0].Percent, d.Reasons[0].Need)
}

// DraftRenewal makes the dry run of sealing anew what ends soon, or has ended, for those who
// have fulfilled the rule once more since. Their names are those of their claims.
func (s *Store) DraftRenewal(ctx context.Context, o Order) (Batch, error) {
	o, err := o.check(s.now())
	if err != nil {
		return Batch{}, err
	}
	ending, err := s.desk.Ending(ctx, o.Attachment.OrganisationID, o.Attachment.ID, s.now().Add(issuance.RemindBefore), csvfile.MaxRows)
	if err != nil {
		return Batch{}, err
	}
	rows := make([]row, 0, len(ending))
	for i, e := range ending {
		r := row{Number: i + 1, Learner: e.Learner, Given: e.GivenName, Family: e.FamilyName, Words: "The present one ends on " + e.ValidUntil.UTC().Format("2 January 2006") + "."}
		if !e.Renewable() {
			r.Outcome = OldResult
		}
		rows = append(rows, r)
	}
	return s.draft(ctx, Batch{Kind: Renewing, Award: true}, o, rows)
}

// Import is a file to be taken over.
type Import struct {
	FileName string
	Table    csvfile.Table
	// Award seals for those whose result completes, without waiting for them. Else they
	// can claim.
	Award bool
}

// DraftImport makes the dry run of taking over a file of results. Rows with a trouble stay
// in the draft with it, and are never imported.
func (s *Store) DraftImport(ctx context.Context, o Order, in Import) (Batch, error) {
	o, err := o.check(s.now())
	if err != nil {
		return Batch{}, err
	}
	standing, err := s.grading.Standing(ctx, o.Attachment.OrganisationID, o.Attachment.ID)
	if err != nil {
		return Batch{}, err
	}
	complete := make(map[string]bool, len(standing))
	for _, d := range standing {
		complete[d.Learner] = d.Complete
	}
	rows := make([]row, 0, len(in.Table.Rows))
	for _, f := range in.Table.Rows {
		r := row{
			Number: f.Line, Learner: f.Learner, Shown: f.Shown, Given: f.Given, Family: f.Family,
			Score: sql.NullFloat64{Float64: f.Score, Valid: f.Trouble == nil}, Maximum: f.Maximum, Raw: string(f.Raw), Words: f.Remark,
		}
		if f.Trouble != nil {
			r.Outcome, r.Words = Outcome(f.Trouble.Code), f.Trouble.Words
			if f.Trouble.Column != "" {
				r.Words = "Column " + f.Trouble.Column + ": " + f.Trouble.Words
			}
		} else {
			r.Shown = ""
		}
		if r.Outcome == ToDo && complete[r.Learner] && !judge(o.Attachment, r).Complete {
			r.Outcome, r.Words = BetterOne, "The result of the file would take back what stands as complete."
		}
		rows = append(rows, r)
	}
	return s.draft(ctx, Batch{Kind: Importing, Award: in.Award, FileName: fileName(in.FileName), FileSHA256: in.Table.SHA256}, o, rows)
}

// judge applies the rule of the activity to a row of a file.
func judge(a grading.Attachment, r row) grading.Decision {
	return grading.Decide(a.Rule(), grading.Evidence{Score: r.Score, Maximum: r.Maximum})
}

func fileName(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
	if r := []rune(s); len(r) > titleLetters {
		return string(r[:titleLetters])
	}
	return s
}

// draft stores b with its rows.
func (s *Store) draft(ctx context.Context, b Batch, o Order, rows []row) (Batch, error) {
	at := sqldb.UTC(s.now())
	b.ID, b.OrganisationID, b.AttachmentID = uuid.Must(uuid.NewV7()).String(), o.Attachment.OrganisationID, o.Attachment.ID
	b.Title, b.State, b.CreatedBy, b.CreatedAt, b.StartsAt = o.Title, Draft, o.By, at, at
	if o.StartsAt.After(at) {
		b.StartsAt = sqldb.UTC(o.StartsAt)
	}
	b.Digest = digest(b, rows)
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `insert into batches (`+batchNames+`) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', null, ?, null, '')`,
			b.ID, b.OrganisationID, b.AttachmentID, b.Kind, b.Title, b.State, b.Award, b.FileName, b.FileSHA256, b.Digest, b.CreatedBy, b.CreatedAt, b.StartsAt)
		if err != nil {
			return fmt.Errorf("store batch: %w", err)
		}
		for page := range slices.Chunk(rows, rowsPerInsert) {
			if err := insert(ctx, tx, b, page); err != nil {
				return err
			}
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: b.OrganisationID, At: at, Actor: b.CreatedBy, Action: "batch drafted", Subject: b.ID,
			Detail: strings.TrimSpace(fmt.Sprintf("%s, %d rows %s", b.Kind, len(rows), b.FileSHA256)),
		})
	})
	if err != nil {
		return Batch{}, err
	}
	return b, nil
}

// rowsPerInsert times columns stays below what a statement may have in SQLite, 32,766.
const rowsPerInsert = 500

func insert(ctx context.Context, tx *sqldb.Tx, b Batch, rows []row) error {
	const marks = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')`
	args := make([]any, 0, 12*len(rows))
	for _, r := range rows {
		args = append(args, b.ID, b.OrganisationID, r.Number, r.Learner, r.Shown, r.Given, r.Family, r.Score, r.Maximum, r.Raw, r.Outcome, r.Words)
	}
	_, err := tx.Exec(ctx, `insert into batch_rows (batch_id, organisation_id, number, learner, shown, given_name, family_name, score, maximum, raw, outcome, words, claim_id)
		values `+strings.TrimSuffix(strings.Repeat(marks+", ", len(rows)), ", "), args...)
	if err != nil {
		return fmt.Errorf("store rows of a batch: %w", err)
	}
	return nil
}

// digest is over everything that a person is shown and says yes to.
func digest(b Batch, rows []row) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %t %s %s\n", b.OrganisationID, b.AttachmentID, b.Kind, b.Award, b.FileSHA256, b.StartsAt.Format(time.RFC3339Nano))
	for _, r := range rows {
		fmt.Fprintf(h, "%d %q %q %q %v %v %q %s\n", r.Number, r.Learner, r.Given, r.Family, r.Score, r.Maximum, r.Raw, r.Outcome)
	}
	return hex.EncodeToString(h.Sum(nil))
}
