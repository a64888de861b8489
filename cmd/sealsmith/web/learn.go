package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/templates"
)

// progressPage says what is asked, what the learner has, and what is missing.
type progressPage struct {
	Title                  Words
	ECTS                   float64
	EQF                    int
	Need, Percent, Missing float64
	Scored                 bool
	Reached                bool // the score is there, the claim is not
	Ink                    int  // rings of the seal
	Mark                   string
	At                     time.Time // of the decision
	Decided                bool
	Unread                 string // why the grade could not be read now
	Lost                   bool   // it could have been claimed before
	Preview                bool   // a test user looks
	Rows                   []row
}

// standing is where a learner stands: what was decided, and the claim, if there is one.
type standing struct {
	attachment grading.Attachment
	decided    grading.Decided
	claim      issuance.Claim // State is empty without one
	unread     string
}

// learn shows the page that fits the state of the learner's claim. Until the learner has
// claimed, the grade is read from the platform each time; afterwards it changes nothing.
func (s *Web) learn(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := s.deps.Grading.Launched(r.Context(), v.launch)
	if err != nil {
		return err
	}
	if a.State == grading.AttachmentDraft {
		return grading.ErrDraft
	}
	if v.launch.IsTestUser() {
		return s.showProgress(w, r, v, standing{attachment: a})
	}
	at, err := s.stands(r.Context(), v, a)
	if err != nil {
		return err
	}
	switch at.claim.State {
	case issuance.Open:
		if at.decided.Complete {
			return s.showClaim(w, r, v, at, claimForm{})
		}
	case issuance.Queued, issuance.Sealing, issuance.Failed:
		if at.claim.Revision > 1 { // a corrected one is on its way, and the one before is in force
			return s.showCredential(w, r, v, at.claim)
		}
		return s.showSealing(w, r, v, at.claim)
	case issuance.Sealed, issuance.Delivered, issuance.Revoked:
		return s.showCredential(w, r, v, at.claim)
	}
	return s.showProgress(w, r, v, at)
}

// stands finds the claim and, while it is not confirmed, reads the grade. When the
// platform cannot be read, the older decision stands and unread says why.
func (s *Web) stands(ctx context.Context, v *visit, a grading.Attachment) (standing, error) {
	at := standing{attachment: a}
	org, subject := v.organisation.ID, v.launch.User.Subject
	var err error
	if at.claim, err = s.claimOf(ctx, org, a.ID, subject); err != nil {
		return at, err
	}
	if at.claim.State != "" && at.claim.State != issuance.Open {
		return at, nil
	}
	at.decided, err = s.deps.Reader.Learner(ctx, a, subject)
	if err != nil {
		why, ok := unreadable(err)
		if !ok {
			return at, err
		}
		s.deps.Logger.WarnContext(ctx, "grade not read", "request_id", TraceID(ctx), "attachment", a.ID, "err", err)
		at.unread = why
	}
	at.claim, err = s.claimOf(ctx, org, a.ID, subject) // the decision may have opened it
	return at, err
}

// ownClaim is the claim of the visitor in the activity that was launched.
func (s *Web) ownClaim(ctx context.Context, v *visit) (issuance.Claim, error) {
	a, err := s.deps.Grading.Launched(ctx, v.launch)
	if err != nil {
		return issuance.Claim{}, err
	}
	return s.deps.Desk.OfLearner(ctx, v.organisation.ID, a.ID, v.launch.User.Subject)
}

// claimOf returns the learner's claim, or one without a state.
func (s *Web) claimOf(ctx context.Context, org, attachment, subject string) (issuance.Claim, error) {
	c, err := s.deps.Desk.OfLearner(ctx, org, attachment, subject)
	if errors.Is(err, issuance.ErrNotFound) {
		return issuance.Claim{}, nil
	}
	return c, err
}

func (s *Web) showProgress(w http.ResponseWriter, r *http.Request, v *visit, at standing) error {
	version, err := s.deps.Templates.Version(r.Context(), v.organisation.ID, at.attachment.VersionID)
	if err != nil {
		return err
	}
	page := newProgressPage(version, at)
	page.Preview = v.launch.IsTestUser()
	page.Rows, _, err = s.preview(draft{organisation: v.organisation, version: version, learner: nameOf(v), score: at.attachment.MinPercent, maximum: 100})
	if err != nil {
		return err
	}
	page.Rows = without(page.Rows, "learner", "issued", "grade")
	return s.show(w, r, http.StatusOK, view{name: "progress", frame: v.frame(), page: &page})
}

func newProgressPage(version templates.Version, at standing) progressPage {
	c := version.Content
	page := progressPage{
		Title: words(c.Title), ECTS: c.ECTS, EQF: c.EQF, Need: at.attachment.MinPercent, Unread: at.unread,
		Decided: at.decided.ID != "", At: at.decided.At, Lost: at.claim.State == issuance.Open && !at.decided.Complete,
	}
	if len(at.decided.Reasons) > 0 {
		reason := at.decided.Reasons[0]
		page.Scored = reason.Code != grading.BecauseNoScore
		page.Percent, page.Need = reason.Percent, reason.Need
		page.Missing = max(0, float64(int((reason.Need-reason.Percent)*10+0.5))/10)
	}
	page.Reached = at.decided.Complete
	if page.Scored {
		// Three rings are the way, the outer one is the seal.
		page.Ink = min(2, int(3*page.Percent/page.Need))
		page.Mark = strconv.Itoa(int(page.Percent)) // rounded down, as there is room for two digits
	}
	return page
}

// nameOf is the learner's name as the platform told it, or a stand-in, because a preview
// must have one.
func nameOf(v *visit) elm.Learner {
	u := v.launch.User
	given, family := platformName(u.GivenName, u.FamilyName, u.Name)
	if given+family == "" {
		family = exampleLearner
	}
	return elm.Learner{GivenName: given, FamilyName: family, Identifier: u.Subject}
}

// platformName takes given and family name, or the whole name as family name: splitting
// it would be a guess.
func platformName(given, family, whole string) (string, string) {
	given, family = strings.TrimSpace(given), strings.TrimSpace(family)
	switch {
	case family != "":
		return given, family
	case strings.TrimSpace(whole) != "":
		return "", strings.TrimSpace(whole)
	default:
		return "", given
	}
}

func without(rows []row, keys ...string) []row {
	kept := rows[:0:0]
	for _, r := range rows {
		drop := false
		for _, key := range keys {
			drop = drop || r.Key == key
		}
		if !drop {
			kept = append(kept, r)
		}
	}
	return kept
}
