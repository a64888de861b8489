package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/agsresults"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/templates"
)

// returnPage posts the answer of a deep linking request back to the platform: by itself
// with scripts, by its button without.
type returnPage struct {
	URL, JWT string
	Added    bool
	Title    Words
	Ink      int
}

// returnScript submits the form of a returnPage.
const returnScript = "post.js"

// attach stores the choice, then hands the activity to the platform.
func (s *Web) attach(w http.ResponseWriter, r *http.Request, v *visit) error {
	if ok, err := s.acceptable(w, r, v); !ok {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	version, err := s.deps.Templates.Version(r.Context(), v.organisation.ID, r.PostForm.Get("version"))
	if err != nil {
		return err
	}
	least, err := strconv.ParseFloat(figure(r.PostForm.Get("percent")), 64)
	if err == nil {
		var a grading.Attachment
		choice := grading.Choice{Version: version, Rule: templates.Rule{MinPercent: least}, Mark: r.PostForm.Get("mark") != ""}
		if a, err = s.deps.Grading.Attach(r.Context(), v.launch, choice); err == nil {
			return s.attached(w, r, v, a, version)
		}
	}
	if _, notNumber := errors.AsType[*strconv.NumError](err); !notNumber && !errors.Is(err, grading.ErrRule) {
		return err
	}
	c := version.Content
	return s.showRule(w, r, v, http.StatusUnprocessableEntity, rulePage{
		Template: version.TemplateID, Version: version.ID, Title: words(c.Title),
		ECTS: c.ECTS, Number: version.Number, Percent: r.PostForm.Get("percent"),
		Calculated: r.PostForm.Get("source") == sourceFormula, Mark: r.PostForm.Get("mark") != "", Back: withQuery("pick", "template", version.TemplateID),
		Trouble: "Write a number above 0 and up to 100, such as 55 or 62.5.",
	})
}

// sourceFormula is the answer that the grade book shall calculate the grade.
const sourceFormula = "formula"

// attached goes on after the choice: back to the platform with the activity, or to the
// class where the activity was there already.
func (s *Web) attached(w http.ResponseWriter, r *http.Request, v *visit, a grading.Attachment, version templates.Version) error {
	if v.launch.DeepLinking == nil {
		return see303(w, r, v.path("class"))
	}
	return s.give(w, r, v, a, version)
}

// columnMaximum is the maximum of the grade column that the platform is asked to make.
const columnMaximum = 100

// give hands the attached activity to the platform.
func (s *Web) give(w http.ResponseWriter, r *http.Request, v *visit, a grading.Attachment, version templates.Version) error {
	c := version.Content
	title := words(c.Title)
	item := lti.ContentItem{
		Type: lti.ItemResourceLink, URL: s.deps.PublicURL.JoinPath("lti", "launch").String(), Title: title.Text, Text: words(c.Description).Text,
		Custom:   map[string]string{grading.CustomKey: a.ID},
		LineItem: &lti.ItemLineItem{Label: title.Text, ScoreMaximum: columnMaximum, ResourceID: a.ID, Tag: agsresults.Tag, SubmissionReview: s.review()},
	}
	if r.PostForm.Get("source") == sourceFormula {
		// Moodle allows no formula on the column of an activity. One that we ask for at the
		// first reading is a column of its own, and takes one.
		item.LineItem = nil
	}
	return s.giveBack(w, r, v, []lti.ContentItem{item}, returnPage{Added: true, Title: title, Ink: 1})
}

// review lets a teacher come from a grade straight to the learner's row.
func (s *Web) review() *lti.SubmissionReview {
	return &lti.SubmissionReview{
		ReviewableStatus: []string{"InProgress", "Submitted", "Completed"},
		Label:            "Micro-credential", URL: s.deps.PublicURL.JoinPath("lti", "launch").String(),
	}
}

// cancel gives nothing back, which ends the platform's dialogue.
func (s *Web) cancel(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.launch.DeepLinking == nil {
		return see303(w, r, v.path(""))
	}
	return s.giveBack(w, r, v, nil, returnPage{})
}

func (s *Web) giveBack(w http.ResponseWriter, r *http.Request, v *visit, items []lti.ContentItem, page returnPage) error {
	var err error
	page.URL, page.JWT, err = s.deps.LTI.DeepLinkingResponse(r.Context(), v.session, lti.DeepLinkingReply{Items: items})
	if err != nil {
		return fmt.Errorf("answer the deep linking request: %w", err)
	}
	f := v.frame()
	f.Script = returnScript
	return s.show(w, r, http.StatusOK, view{name: "return", frame: f, page: &page})
}

// parseForm reads a form; one that is too large or damaged is errTooLarge or errForm.
func parseForm(r *http.Request) error {
	err := r.ParseForm()
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return errTooLarge
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errForm, err)
	}
	return nil
}
