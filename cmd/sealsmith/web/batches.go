package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/csvfile"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/lti"
)

// staff teaches the activity or administers the platform.
func staff(l lti.Launch) error { return only(l.DeepLinking == nil && (l.IsTeacher() || l.IsAdmin())) }

// batchesPage lists batches: an administrator's those of the organisation, a teacher's
// those of the activity.
type batchesPage struct {
	Tabs  tabs
	Class bool // the activity is attached, so that something can be awarded here
	Admin bool
	Items []batchItem
}

type batchItem struct {
	ID, Title, Course string
	Kind              batch.Kind
	Stage             string // see stage
	At                time.Time
	Rows, Sealed      int
	Stopped           int
}

const batchesShown = 50

// batches shows the list.
func (s *Web) batches(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx, org := r.Context(), v.organisation.ID
	page, attachment := batchesPage{Admin: v.launch.IsAdmin()}, ""
	a, err := s.ownActivity(ctx, v)
	if err != nil {
		return err
	}
	page.Class = a.ID != ""
	if !page.Admin {
		attachment = a.ID
	}
	all, err := s.deps.Batches.List(ctx, org, attachment, batchesShown)
	if err != nil {
		return err
	}
	for _, b := range all {
		item, err := s.batchItem(ctx, b)
		if err != nil {
			return err
		}
		page.Items = append(page.Items, item)
	}
	if page.Admin {
		if page.Tabs, err = s.tabs(ctx, v, "batches"); err != nil {
			return err
		}
	}
	return s.show(w, r, http.StatusOK, view{name: "batches", frame: v.frame(), page: &page})
}

func (s *Web) batchItem(ctx context.Context, b batch.Batch) (batchItem, error) {
	n, err := s.deps.Batches.Counts(ctx, b.OrganisationID, b.ID)
	if err != nil {
		return batchItem{}, err
	}
	a, err := s.deps.Grading.Attachment(ctx, b.OrganisationID, b.AttachmentID)
	if err != nil {
		return batchItem{}, err
	}
	return batchItem{
		ID: b.ID, Title: b.Title, Course: a.ContextTitle, Kind: b.Kind, Stage: stage(b, n, s.deps.Now(), false), At: b.CreatedAt,
		Rows: n.Rows, Sealed: n.Sealed, Stopped: n.Stopped,
	}, nil
}

// ownActivity is the attachment of the launch; without an id where there is none and the
// visitor is an administrator, who needs none.
func (s *Web) ownActivity(ctx context.Context, v *visit) (grading.Attachment, error) {
	a, err := s.deps.Grading.Launched(ctx, v.launch)
	if errors.Is(err, grading.ErrNotFound) && v.launch.IsAdmin() || err == nil && !v.launch.IsTeacher() {
		return grading.Attachment{}, nil
	}
	return a, err
}

// awardPage asks what is to be done for many.
type awardPage struct {
	At                string // address of the session
	Title             Words
	Trouble           string // at the file
	TitleErr, DateErr string
	Value             string // title
	Date              string
	Admin             bool
	Why               string // the platform does not tell who is in the course
	Listed            int    // learners whom it tells
}

// award shows both forms.
func (s *Web) award(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.showAward(w, r, v, http.StatusOK, awardPage{})
}

func (s *Web) showAward(w http.ResponseWriter, r *http.Request, v *visit, status int, page awardPage) error {
	a, err := s.deps.Grading.Launched(r.Context(), v.launch)
	if err != nil {
		return err
	}
	if a.State == grading.AttachmentDraft {
		return grading.ErrDraft
	}
	version, err := s.deps.Templates.Version(r.Context(), v.organisation.ID, a.VersionID)
	if err != nil {
		return err
	}
	people := s.people(r.Context(), v, a)
	page.At, page.Title, page.Admin, page.Why, page.Listed = v.path(""), words(version.Content.Title), v.launch.IsAdmin(), people.Why, people.Len()
	return s.show(w, r, status, view{name: "award", frame: v.frame(), page: &page})
}

// people are the learners of the course, as its platform tells them now.
func (s *Web) people(ctx context.Context, v *visit, a grading.Attachment) csvfile.People {
	address := v.launch.NRPS.URL
	if address == "" {
		address = a.MembershipsURL
	}
	if address == "" {
		return csvfile.Nobody("The learning platform does not share who is in the course with this tool.")
	}
	list, err := s.deps.Roster(ctx, v.platform, address, lti.MemberQuery{})
	if refused, is := errors.AsType[*lti.ServiceError](err); is {
		return csvfile.Nobody(refused.Sentence())
	}
	if err != nil {
		s.deps.Logger.InfoContext(ctx, "names of a course not read", "registration", v.launch.RegistrationID, "err", err)
		return csvfile.Nobody("The learning platform did not answer as it should.")
	}
	return csvfile.Learners(list)
}

// awardNow makes the dry run of an award.
func (s *Web) awardNow(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := parseForm(r); err != nil {
		return err
	}
	order, page, err := s.batchOrder(r.Context(), v, r.PostForm.Get("title"), r.PostForm.Get("date"))
	if err != nil {
		return err
	}
	if page.DateErr != "" || page.TitleErr != "" {
		return s.showAward(w, r, v, http.StatusUnprocessableEntity, page)
	}
	b, err := s.deps.Batches.DraftAward(r.Context(), order, s.people(r.Context(), v, order.Attachment))
	if err != nil {
		return err
	}
	return see303(w, r, v.path("batches/"+b.ID))
}

// batchOrder reads what both forms ask. The page has the troubles of its fields.
func (s *Web) batchOrder(ctx context.Context, v *visit, title, day string) (batch.Order, awardPage, error) {
	page := awardPage{Value: title, Date: day}
	a, err := s.deps.Grading.Launched(ctx, v.launch)
	if err != nil {
		return batch.Order{}, page, err
	}
	o := batch.Order{Attachment: a, Title: title, By: v.actor()}
	now := s.deps.Now()
	if strings.TrimSpace(title) == "" || len([]rune(title)) > 120 {
		page.TitleErr = "Write a title, at most 120 letters."
	}
	if day != "" {
		// Midnight where the server is would be a guess: the day begins in UTC, and the page says so.
		o.StartsAt, err = time.Parse(time.DateOnly, day)
		if err != nil || o.StartsAt.Before(now.AddDate(0, 0, -1)) || o.StartsAt.After(now.AddDate(2, 0, 0)) {
			page.DateErr = "Choose a day from today on, at most two years ahead, or leave it empty."
		}
	}
	return o, page, nil
}

// importFile makes the dry run of an import.
func (s *Web) importFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	form, err := uploadedForm(r)
	if err != nil {
		return s.refuseFile(w, r, v, awardPage{}, err)
	}
	order, page, err := s.batchOrder(r.Context(), v, form.values["title"], form.values["date"])
	if err != nil {
		return err
	}
	if page.DateErr != "" || page.TitleErr != "" {
		return s.showAward(w, r, v, http.StatusUnprocessableEntity, page)
	}
	people, err := s.known(r.Context(), v, order.Attachment)
	if err != nil {
		return err
	}
	table, err := csvfile.Read(form.file, csvfile.Options{People: people, Now: s.deps.Now()})
	if err != nil {
		return s.refuseFile(w, r, v, page, err)
	}
	b, err := s.deps.Batches.DraftImport(r.Context(), order, batch.Import{FileName: form.name, Table: table, Award: form.values["award"] == "yes"})
	if err != nil {
		return err
	}
	return see303(w, r, v.path("batches/"+b.ID))
}

// known are the learners of the course; where the platform does not tell them, those about
// whom something was decided here.
func (s *Web) known(ctx context.Context, v *visit, a grading.Attachment) (csvfile.People, error) {
	people := s.people(ctx, v, a)
	if people.Why == "" {
		return people, nil
	}
	standing, err := s.deps.Grading.Standing(ctx, a.OrganisationID, a.ID)
	if err != nil {
		return people, err
	}
	subjects := make([]string, len(standing))
	for i, d := range standing {
		subjects[i] = d.Learner
	}
	return people.With(subjects...), nil
}

// refuseFile shows the forms again with the reason at the file.
func (s *Web) refuseFile(w http.ResponseWriter, r *http.Request, v *visit, page awardPage, err error) error {
	status := http.StatusUnprocessableEntity
	unusable, is := errors.AsType[*csvfile.FileError](err)
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case is:
		page.Trouble = unusable.Words
	case large, errors.Is(err, errTooLarge):
		page.Trouble, status = "The file is larger than 10 MB. Leave out columns that are not needed, or make two files of it.", http.StatusRequestEntityTooLarge
		w.Header().Set("Connection", "close") // the rest of the upload is not waited for
	case errors.Is(err, errNoFile):
		page.Trouble = "No file was chosen."
	case errors.Is(err, errEmptyFile):
		page.Trouble = "The file is empty. Choose another one."
	default:
		return err
	}
	return s.showAward(w, r, v, status, page)
}
