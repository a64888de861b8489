package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/vocab"
)

// pickPage offers the organisation's templates to a teacher.
type pickPage struct {
	Query    string
	Total    int
	Items    []pickItem
	Unchosen bool // the form came back without a choice
	Linking  bool // the choice goes back to the platform, and can be cancelled
	Sealing  sealingNotice
}

// pickItem is one template in the list, with its preview.
type pickItem struct {
	ID         string
	Title      Words
	ECTS       float64
	Hours, EQF int
	Languages  []string
	Number     int
	At         time.Time
	Outcomes   []Words
	On         bool
}

// unacceptablePage says that the platform's request cannot be answered with a choice.
type unacceptablePage struct{ NoReturn bool }

// choosing lets a teacher choose: in answer to a deep linking request, or in the activity
// itself while nothing is chosen for it, or only a draft. What was chosen is changed in the
// course, by selecting content again.
func (s *Web) choosing(next visitAction) visitAction {
	return func(w http.ResponseWriter, r *http.Request, v *visit) error {
		if v.launch.DeepLinking != nil {
			return next(w, r, v)
		}
		a, err := s.deps.Grading.Launched(r.Context(), v.launch)
		if errors.Is(err, grading.ErrNotFound) || err == nil && a.State == grading.AttachmentDraft {
			return next(w, r, v)
		}
		if err != nil {
			return err
		}
		return see303(w, r, v.path("class"))
	}
}

// acceptable reports whether the platform takes an activity back, and if not shows why.
func (s *Web) acceptable(w http.ResponseWriter, r *http.Request, v *visit) (bool, error) {
	d := v.launch.DeepLinking
	if d == nil { // the activity is there already, nothing goes back
		return true, nil
	}
	noReturn := origin(d.ReturnURL) == ""
	if !noReturn && slices.Contains(d.AcceptTypes, lti.ItemResourceLink) {
		return true, nil
	}
	return false, s.show(w, r, http.StatusConflict, view{name: "unacceptable", frame: v.frame(), page: &unacceptablePage{NoReturn: noReturn}})
}

// pick lists the templates, those that contain the words searched for.
func (s *Web) pick(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.showPick(w, r, v, false)
}

func (s *Web) showPick(w http.ResponseWriter, r *http.Request, v *visit, unchosen bool) error {
	if ok, err := s.acceptable(w, r, v); !ok {
		return err
	}
	all, err := s.deps.Templates.List(r.Context(), v.organisation.ID)
	if err != nil {
		return err
	}
	page := pickPage{Query: strings.TrimSpace(r.URL.Query().Get("q")), Total: len(all), Unchosen: unchosen, Linking: v.launch.DeepLinking != nil}
	if page.Sealing, err = s.sealingNotice(r.Context(), v.organisation); err != nil {
		return err
	}
	chosen := r.URL.Query().Get("template")
	for _, version := range all {
		if contains(version.Content, page.Query) {
			page.Items = append(page.Items, newPickItem(version, chosen))
		}
	}
	if len(page.Items) == 1 {
		page.Items[0].On = true
	}
	status := http.StatusOK
	if unchosen {
		status = http.StatusUnprocessableEntity
	}
	return s.show(w, r, status, view{name: "pick", frame: v.frame(), page: &page})
}

func newPickItem(version templates.Version, chosen string) pickItem {
	c := version.Content
	return pickItem{
		ID: version.TemplateID, Title: words(c.Title), ECTS: c.ECTS, Hours: c.Hours, EQF: c.EQF, Languages: languageNames(c.Languages),
		Number: version.Number, At: version.CreatedAt, Outcomes: outcomeWords(c), On: version.TemplateID == chosen,
	}
}

func languageNames(codes []string) []string {
	names := make([]string, 0, len(codes))
	for _, code := range codes {
		name := code
		if term, ok := vocab.Languages.Lookup(code); ok {
			name = term.Label(pageLanguage)
		}
		names = append(names, name)
	}
	return names
}

// contains reports whether every word of query is somewhere in title, description or
// outcomes, in any language.
func contains(c templates.Content, query string) bool {
	var all strings.Builder
	texts := []templates.Text{c.Title, c.Description}
	for _, o := range c.Outcomes {
		texts = append(texts, o.Title)
		for _, skill := range o.Skills {
			texts = append(texts, skill.Label)
		}
	}
	for _, t := range texts {
		for _, text := range t {
			all.WriteString(strings.ToLower(text))
			all.WriteByte('\n')
		}
	}
	for word := range strings.FieldsSeq(strings.ToLower(query)) {
		if !strings.Contains(all.String(), word) {
			return false
		}
	}
	return true
}

// withQuery adds what is not empty to an address.
func withQuery(page string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return page
	}
	return page + "?" + q.Encode()
}
