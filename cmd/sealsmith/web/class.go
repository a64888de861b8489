package web

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/agsresults"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/templates"
)

// classPage shows a teacher where every learner stands, and why.
type classPage struct {
	Title                  Words
	Number                 int
	Percent                float64
	ReadAt                 time.Time // last attempt; zero: never
	Unread                 bool      // it failed
	Why                    string    // in words; may be empty
	Learners               []classRow
	Ready, Waiting, Sealed int
	Withdrawn              int    // sealed, and not in force now
	Cohort                 cohort // while somebody waits
	Tabs                   tabs   // of a teacher who is an administrator, too
	Unnamed                string // why the platform does not tell names, in words; empty: it was not asked, or it does
	Marked                 bool   // the platform is told who has claimed
	About                  string // LTI subject whose work was asked for; empty: nobody's
	Sealing                sealingNotice
}

// classRow is one learner. State is that of the claim, or "" without one, or "lost" when
// a claim is open but its score is not reached any more, or "suspended".
type classRow struct {
	Subject, Name, State string
	Told                 bool // the name is the platform's word of now; else the learner has claimed with it
	Scored               bool
	Percent              float64
	Reasons              []grading.Reason
	ClaimedAt            time.Time
	Since                time.Time // of what is not in force
	Because              string    // why, in sentences; may be empty
}

// class lists the learners about whom something was decided.
func (s *Web) class(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := s.deps.Grading.Launched(r.Context(), v.launch)
	if err != nil {
		return err
	}
	if a.State == grading.AttachmentDraft {
		return s.showCopied(w, r, v, a)
	}
	return s.showClass(w, r, v, a, "")
}

func (s *Web) showClass(w http.ResponseWriter, r *http.Request, v *visit, a grading.Attachment, why string) error {
	ctx, org := r.Context(), v.organisation.ID
	version, err := s.deps.Templates.Version(ctx, org, a.VersionID)
	if err != nil {
		return err
	}
	standing, err := s.deps.Grading.Standing(ctx, org, a.ID)
	if err != nil {
		return err
	}
	claims, err := s.deps.Desk.OfAttachment(ctx, org, a.ID)
	if err != nil {
		return err
	}
	withdrawn, err := s.deps.Desk.WithdrawnOf(ctx, org, a.ID)
	if err != nil {
		return err
	}
	page := newClassPage(version, a, standing, markWithdrawn(claims, withdrawn))
	list := s.names(ctx, v)
	page.Unnamed = list.why
	for i, row := range page.Learners {
		if row.Name == "" {
			page.Learners[i].Name, page.Learners[i].Told = list.names[row.Subject], true
		}
	}
	page.Why, page.About = cmp.Or(why, a.ReadError), v.launch.ForUser
	if v.launch.IsAdmin() {
		if page.Tabs, err = s.tabs(ctx, v, "class"); err != nil {
			return err
		}
	}
	if page.Sealing, err = s.sealingNotice(ctx, v.organisation); err != nil {
		return err
	}
	f := v.frame()
	if page.Waiting > 0 {
		if page.Cohort, err = s.cohort(ctx, v, a.ID); err != nil {
			return err
		}
		f.Script, f.Refresh = liveScript, cohortSeconds
	}
	return s.show(w, r, http.StatusOK, view{name: "class", frame: f, page: &page})
}

// heldClaim is a claim with how its credential stands, when that does not count now.
type heldClaim struct {
	issuance.Claim

	withdrawn issuance.Standing
}

func markWithdrawn(claims []issuance.Claim, withdrawn []issuance.Standing) map[string]heldClaim {
	byClaim := make(map[string]issuance.Standing, len(withdrawn))
	for _, s := range withdrawn {
		byClaim[s.ClaimID] = s
	}
	byLearner := make(map[string]heldClaim, len(claims))
	for _, c := range claims {
		byLearner[c.Learner] = heldClaim{c, byClaim[c.ID]}
	}
	return byLearner
}

func newClassPage(version templates.Version, a grading.Attachment, standing []grading.Decided, byLearner map[string]heldClaim) classPage {
	page := classPage{Title: words(version.Content.Title), Number: version.Number, Percent: a.MinPercent, Unread: a.ReadError != "", Marked: a.Mark}
	if a.ReadAt.Valid {
		page.ReadAt = a.ReadAt.Time
	}
	for _, d := range standing {
		row := newClassRow(d, byLearner[d.Learner])
		switch issuance.State(row.State) {
		case stateSuspended, issuance.Revoked:
			page.Withdrawn++
		case issuance.Open:
			page.Ready++
		case issuance.Queued, issuance.Sealing, issuance.Failed:
			page.Waiting++
		case issuance.Sealed, issuance.Delivered:
			page.Sealed++
		}
		page.Learners = append(page.Learners, row)
	}
	return page
}

// stateSuspended is shown in the place of sealed or delivered.
const stateSuspended issuance.State = "suspended"

func newClassRow(d grading.Decided, c heldClaim) classRow {
	row := classRow{
		Subject: d.Learner, Reasons: d.Reasons, State: string(c.State), Scored: d.Evidence.Score.Valid,
		Name: strings.TrimSpace(c.GivenName + " " + c.FamilyName),
	}
	if len(d.Reasons) > 0 {
		row.Percent = d.Reasons[0].Percent
	}
	if c.State == issuance.Open && !d.Complete {
		row.State = "lost"
	}
	if c.ConsentAt.Valid {
		row.ClaimedAt = c.ConsentAt.Time
	}
	if c.withdrawn.CredentialID != "" {
		row.Since, row.Because = c.withdrawn.Since, c.withdrawn.Because()
		if c.withdrawn.InForce == issuance.StandsSuspended {
			row.State = string(stateSuspended)
		}
	}
	return row
}

// unreadable says for people why the platform could not be read; ok is false when err is
// something else, which is a problem of the server.
func unreadable(err error) (words string, ok bool) {
	if _, source := errors.AsType[*grading.SourceError](err); !source {
		return "", false
	}
	if refusal, ok := errors.AsType[*lti.ServiceError](err); ok {
		return refusal.Sentence(), true
	}
	if errors.Is(err, agsresults.ErrNoColumn) {
		return "Your LMS offers no grade column to this activity. Its administrator has to allow the tool to use grades.", true
	}
	return "Your LMS did not answer as it should.", true
}
