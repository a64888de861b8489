package agsresults_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/agsresults"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/templates"
)

// platform is a grade service that ignores every filter, and notes what it is asked.
type platform struct {
	items   []lti.LineItem
	results map[string][]lti.Result // by column; a column that is not there is gone
	fail    error
	asked   []string
}

func (p *platform) LineItems(_ context.Context, _ lti.Registration, address string, f lti.LineItemFilter) ([]lti.LineItem, error) {
	p.asked = append(p.asked, "list "+address+" "+f.ResourceID)
	return p.items, p.fail
}

func (p *platform) CreateLineItem(_ context.Context, _ lti.Registration, address string, item lti.LineItem) (lti.LineItem, error) {
	p.asked = append(p.asked, "create "+address)
	if p.fail != nil {
		return lti.LineItem{}, p.fail
	}
	item.ID = "made"
	p.items = append(p.items, item)
	p.results[item.ID] = nil
	return item, nil
}

func (p *platform) Results(_ context.Context, _ lti.Registration, address, user string) ([]lti.Result, error) {
	p.asked = append(p.asked, "results "+address+" "+user)
	if p.fail != nil {
		return nil, p.fail
	}
	all, ok := p.results[address]
	if !ok {
		return nil, &lti.ServiceError{Op: "read the results", URL: address, Reason: lti.ReasonGone}
	}
	return all, nil
}

// books finds every registration and every version but the unknown one.
type books struct{ missing error }

func (b books) Registration(_ context.Context, organisationID, id string) (lti.Registration, error) {
	return lti.Registration{ID: id, OrganisationID: organisationID}, b.missing
}

func (b books) Version(_ context.Context, organisationID, id string) (templates.Version, error) {
	return templates.Version{ID: id, OrganisationID: organisationID, Content: templates.Content{
		Languages: []string{"nl", "en"}, Title: templates.Text{"en": "Food", "nl": "Voedsel"},
	}}, b.missing
}

func result(user string, score float64) lti.Result {
	raw, _ := json.Marshal(map[string]any{"userId": user, "resultScore": score})
	return lti.Result{UserID: user, Score: &score, Maximum: 20, Raw: raw}
}

func attachment() grading.Attachment {
	return grading.Attachment{
		ID: "a-1", OrganisationID: "o-1", RegistrationID: "r-1", VersionID: "v-1",
		LineItemURL: "bound", LineItemsURL: "items", ResourceLinkID: "link-1",
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		change  func(a *grading.Attachment, p *platform)
		learner string
		column  string
		found   []string // learners
		asked   []string
		refusal error
		reason  string
	}{
		{name: "all", column: "bound", found: []string{"noor", "sam"}, asked: []string{"results bound "}},
		{name: "one, although the platform ignores the filter", learner: "sam", column: "bound", found: []string{"sam"}, asked: []string{"results bound sam"}},
		{name: "one without a record", learner: "lee", column: "bound", asked: []string{"results bound lee"}},
		{
			name: "no column bound: found by resource id among foreign ones", column: "mine", found: []string{"noor"},
			change: func(a *grading.Attachment, p *platform) {
				a.LineItemURL = ""
				p.items = []lti.LineItem{{ID: "foreign", ResourceID: "a-2"}, {ID: "", ResourceID: "a-1"}, {ID: "mine", ResourceID: "a-1"}}
			},
			asked: []string{"list items a-1", "results mine "},
		},
		{
			name: "no column anywhere: made", column: "made",
			change: func(a *grading.Attachment, p *platform) {
				a.LineItemURL = ""
				p.items = []lti.LineItem{{ID: "foreign", ResourceID: "a-2"}, {ID: "unmarked"}}
			},
			asked: []string{"list items a-1", "create items", "results made "},
		},
		{
			name: "the bound column is gone: another one is found", column: "mine", found: []string{"noor"},
			change: func(a *grading.Attachment, p *platform) {
				a.LineItemURL = "deleted"
				p.items = []lti.LineItem{{ID: "mine", ResourceID: "a-1"}}
			},
			asked: []string{"results deleted ", "list items a-1", "results mine "},
		},
		{
			name: "gone, and the one found is gone too: no third look", reason: lti.ReasonGone,
			change: func(a *grading.Attachment, p *platform) {
				a.LineItemURL = "deleted"
				p.items = []lti.LineItem{{ID: "deleted", ResourceID: "a-1"}}
			},
			asked: []string{"results deleted ", "list items a-1", "results deleted "},
		},
		{
			name: "gone, and no place to look", reason: lti.ReasonGone,
			change: func(a *grading.Attachment, _ *platform) { a.LineItemURL, a.LineItemsURL = "deleted", "" },
			asked:  []string{"results deleted "},
		},
		{
			name: "no grade service at all", refusal: agsresults.ErrNoColumn,
			change: func(a *grading.Attachment, _ *platform) { a.LineItemURL, a.LineItemsURL = "", "" },
		},
		{
			name: "busy: not looked for again", reason: lti.ReasonBusy,
			change: func(_ *grading.Attachment, p *platform) { p.fail = &lti.ServiceError{Reason: lti.ReasonBusy} },
			asked:  []string{"results bound "},
		},
		{
			name: "the list is refused", reason: lti.ReasonForbidden,
			change: func(a *grading.Attachment, p *platform) {
				a.LineItemURL, p.fail = "", &lti.ServiceError{Reason: lti.ReasonForbidden}
			},
			asked: []string{"list items a-1"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := attachment()
			p := &platform{results: map[string][]lti.Result{"bound": {result("noor", 12), result("sam", 3)}, "mine": {result("noor", 12)}}}
			if test.change != nil {
				test.change(&a, p)
			}
			column, all, err := agsresults.New(p, books{}, books{}).Read(t.Context(), a, test.learner)
			refused, _ := errors.AsType[*lti.ServiceError](err)
			switch {
			case test.refusal != nil && !errors.Is(err, test.refusal), test.reason != "" && (refused == nil || refused.Reason != test.reason):
				t.Errorf("got %v", err)
			case test.refusal == nil && test.reason == "" && err != nil:
				t.Fatal(err)
			}
			var found []string
			for _, o := range all {
				found = append(found, o.Learner)
			}
			if diff := cmp.Diff(test.found, found); diff != "" || column != test.column {
				t.Errorf("column %q, learners (-want +got):\n%s", column, diff)
			}
			if diff := cmp.Diff(test.asked, p.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

// What is read is what the platform said, down to the raw row.
func TestObservations(t *testing.T) {
	t.Parallel()
	ungraded := lti.Result{UserID: "sam", Maximum: 1, Raw: []byte(`{"userId":"sam"}`)}
	p := &platform{results: map[string][]lti.Result{"bound": {result("noor", 12), ungraded}}}
	source := agsresults.New(p, books{}, books{})
	_, all, err := source.Read(t.Context(), attachment(), "")
	if err != nil || len(all) != 2 {
		t.Fatalf("got %v, %v", all, err)
	}
	if o := all[0]; !o.Score.Valid || o.Score.Float64 != 12 || o.Maximum != 20 || string(o.Raw) != `{"resultScore":12,"userId":"noor"}` {
		t.Errorf("observation %+v", o)
	}
	if o := all[1]; o.Score.Valid || o.Maximum != 1 || string(o.Raw) != `{"userId":"sam"}` {
		t.Errorf("observation %+v", o)
	}
	if source.Name() != "ags-results" {
		t.Errorf("name %q is stored with evidence and must stay", source.Name())
	}
}

func TestNewColumn(t *testing.T) {
	t.Parallel()
	p := &platform{results: map[string][]lti.Result{}}
	a := attachment()
	a.LineItemURL = ""
	source := agsresults.New(p, books{}, books{})
	for range 2 { // the second time it is found
		if column, _, err := source.Read(t.Context(), a, ""); err != nil || column != "made" {
			t.Fatalf("column %q, %v", column, err)
		}
	}
	want := []lti.LineItem{{ID: "made", Label: "Voedsel", ScoreMaximum: 100, ResourceID: "a-1", Tag: "sealsmith", ResourceLinkID: "link-1"}}
	if diff := cmp.Diff(want, p.items); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}

func TestUnknownPlatformOrTemplate(t *testing.T) {
	t.Parallel()
	missing := errors.New("no such row")
	a := attachment()
	a.LineItemURL = ""
	for name, source := range map[string]*agsresults.Source{
		"platform": agsresults.New(&platform{}, books{missing}, books{}),
		"template": agsresults.New(&platform{}, books{}, books{missing}),
	} {
		if column, _, err := source.Read(t.Context(), a, ""); !errors.Is(err, missing) || column != "" {
			t.Errorf("%s: column %q, %v", name, column, err)
		}
	}
}
