package web

import (
	"net/http"
	"time"

	"github.com/sealsmith/sealsmith/grading"
)

// copiedPage asks a teacher to confirm what came with a copied course.
type copiedPage struct {
	Title           Words
	ECTS            float64
	Number          int // of the version that was copied
	At              time.Time
	Newest          int // of the newest version; equal to Number: nothing has changed
	Percent         float64
	Origin          string // title of the course it came from; empty: not known
	Sealing         sealingNotice
	Template, Query string
}

func (s *Web) showCopied(w http.ResponseWriter, r *http.Request, v *visit, a grading.Attachment) error {
	ctx, org := r.Context(), v.organisation.ID
	version, err := s.deps.Templates.Version(ctx, org, a.VersionID)
	if err != nil {
		return err
	}
	newest, err := s.deps.Templates.Newest(ctx, org, a.TemplateID)
	if err != nil {
		return err
	}
	page := copiedPage{
		Title: words(version.Content.Title), ECTS: version.Content.ECTS, Number: version.Number, At: version.CreatedAt,
		Newest: newest.Number, Percent: a.MinPercent, Template: a.TemplateID,
	}
	if page.Origin, err = s.deps.Grading.Origin(ctx, a); err != nil {
		return err
	}
	if page.Sealing, err = s.sealingNotice(ctx, v.organisation); err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, view{name: "copied", frame: v.frame(), page: &page})
}

// confirmCopy makes the draft count.
func (s *Web) confirmCopy(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := s.deps.Grading.Launched(r.Context(), v.launch)
	if err != nil {
		return err
	}
	if err := s.deps.Grading.Confirm(r.Context(), v.launch, a); err != nil {
		return err
	}
	return see303(w, r, v.path("class"))
}
