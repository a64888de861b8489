package lti

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Media types of line items in AGS 2.0. Moodle compares the Accept header as a whole and
// answers 400 to anything else, a list included: exactly one is sent, without parameters.
const (
	mediaLineItem  = "application/vnd.ims.lis.v2.lineitem+json"
	mediaLineItems = "application/vnd.ims.lis.v2.lineitemcontainer+json"
)

// LineItem is a column of the platform's grade book that belongs to the tool (AGS 2.0,
// section 3.2).
type LineItem struct {
	// ID is its address, given by the platform; never built or guessed. It is empty where
	// the platform named an address on a host that is not its own.
	ID             string
	Label          string
	ScoreMaximum   float64 // > 0, points
	ResourceID     string
	Tag            string
	ResourceLinkID string    // empty: belongs to no resource link, or the platform does not tell
	StartsAt       time.Time // startDateTime; zero: none
	EndsAt         time.Time // endDateTime; zero: none
	GradesReleased *bool     // nil: not said
	// SubmissionReview offers a launch from the grade book; nil: none.
	SubmissionReview *SubmissionReview
}

// SubmissionReview is how the tool shows a learner's work from the grade book (Submission
// Review Message 1.0, section 2).
type SubmissionReview struct {
	ReviewableStatus []string          `json:"reviewableStatus,omitempty"` // as Score.ActivityProgress
	Label            string            `json:"label,omitempty"`
	URL              string            `json:"url,omitempty"` // empty: that of the resource link
	Custom           map[string]string `json:"custom,omitempty"`
}

// LineItemFilter narrows a list of line items; empty fields do not.
type LineItemFilter struct {
	ResourceLinkID string
	ResourceID     string
	Tag            string
}

// LineItems returns all line items at lineItemsURL (from Launch.AGS) that pass the filter,
// following the pages the platform announces.
func (s *Services) LineItems(ctx context.Context, r Registration, lineItemsURL string, f LineItemFilter) ([]LineItem, error) {
	var items []LineItem
	err := s.withLineItemScope(func(scope string) error {
		var err error
		items, err = s.listLineItems(ctx, r, lineItemsURL, f, scope)
		return err
	})
	return items, err
}

// LineItem reads one line item. The maximum may have been changed in the platform since
// it was created.
func (s *Services) LineItem(ctx context.Context, r Registration, lineItemURL string) (LineItem, error) {
	var item LineItem
	err := s.withLineItemScope(func(scope string) error {
		_, found, err := s.readLineItem(ctx, r, lineItemURL, scope)
		item = found
		return err
	})
	return item, err
}

// CreateLineItem creates item at lineItemsURL and returns it with its ID. Where the
// platform does not say the ID, it is looked up by the ResourceID. What is returned is
// what the platform echoes, which is no proof that it keeps all of it: Moodle echoes dates
// and forgets them. Platforms accept a second item with the same ResourceID: use
// EnsureLineItem.
func (s *Services) CreateLineItem(ctx context.Context, r Registration, lineItemsURL string, item LineItem) (LineItem, error) {
	const op = "create a line item"
	if err := item.validate(); err != nil {
		return LineItem{}, fmt.Errorf("%s: %w", op, err)
	}
	body, err := marshal(item.members())
	if err != nil {
		return LineItem{}, err
	}
	a, err := s.authorized(ctx, r, []string{ScopeLineItem}, call{
		op: op, method: http.MethodPost, address: lineItemsURL,
		accept: mediaLineItem, contentType: mediaLineItem, body: body, limit: pageMaxBytes,
	})
	if err != nil {
		return LineItem{}, err
	}
	created := item
	created.ID = ""
	if len(bytes.TrimSpace(a.body)) > 0 {
		if created, err = lineItemOf(a, r, a.body); err != nil {
			return LineItem{}, a.fail(ReasonAnswer, err)
		}
	}
	if created.ID == "" {
		created.ID = a.named(r, a.header.Get("Location"))
	}
	if created.ID != "" {
		return created, nil
	}
	if item.ResourceID != "" {
		found, err := s.listLineItems(ctx, r, lineItemsURL, LineItemFilter{ResourceID: item.ResourceID, Tag: item.Tag}, ScopeLineItem)
		if err == nil && len(found) == 1 && found[0].ID != "" {
			return found[0], nil
		}
	}
	return LineItem{}, a.fail(ReasonAnswer, errors.New("the new line item has no id on a host of the platform"))
}

// EnsureLineItem returns the line item with the ResourceID (and Tag, unless empty) of
// want, and creates it when there is none; created says which. It is the way to make a
// column, because a copied or restored course brings copies of the columns with it (AGS
// 2.0, section 3.2.15).
//
// An item of another resource link than want.ResourceLinkID is not taken, and neither is
// one made beside it; of several only the one that belongs to want.ResourceLinkID is
// taken. Where that leaves no one, the error has ReasonUnclear: a teacher has to say which
// column it is, by removing the others. Label and maximum of an item that exists stay as
// they are. Callers in this process that want the same wait for each other.
func (s *Services) EnsureLineItem(ctx context.Context, r Registration, lineItemsURL string, want LineItem) (LineItem, bool, error) {
	if want.ResourceID == "" {
		return LineItem{}, false, errors.New("ensure a line item: it needs a resource id to be found again")
	}
	type outcome struct {
		item    LineItem
		created bool
	}
	name := strings.Join([]string{r.ID, lineItemsURL, want.ResourceID, want.Tag, want.ResourceLinkID}, "\x00")
	v, err, _ := s.ensuring.Do(name, func() (any, error) {
		found, err := s.listLineItems(ctx, r, lineItemsURL, LineItemFilter{ResourceID: want.ResourceID, Tag: want.Tag}, ScopeLineItem)
		if err != nil {
			return outcome{}, err
		}
		if len(found) == 0 {
			item, err := s.CreateLineItem(ctx, r, lineItemsURL, want)
			return outcome{item, true}, err
		}
		item, ok := bind(found, want.ResourceLinkID)
		if !ok {
			return outcome{}, &ServiceError{
				Op: "find the line item", URL: lineItemsURL, Reason: ReasonUnclear,
				err: fmt.Errorf("%d line items have resource id %q, none or several of resource link %q", len(found), show(want.ResourceID), show(want.ResourceLinkID)),
			}
		}
		return outcome{item: item}, nil
	})
	if err != nil {
		return LineItem{}, false, err
	}
	o, ok := v.(outcome)
	if !ok {
		return LineItem{}, false, errors.New("ensure a line item: it came to nothing")
	}
	return o.item, o.created, nil
}

// bind picks the item that is ours: the only one of our resource link, or the only one of
// all where nothing says that it belongs to another.
func bind(found []LineItem, resourceLinkID string) (LineItem, bool) {
	var ours []LineItem
	for _, item := range found {
		if resourceLinkID != "" && item.ResourceLinkID == resourceLinkID {
			ours = append(ours, item)
		}
	}
	if len(ours) == 0 && len(found) == 1 && (resourceLinkID == "" || found[0].ResourceLinkID == "") {
		ours = found
	}
	if len(ours) != 1 || ours[0].ID == "" {
		return LineItem{}, false
	}
	return ours[0], true
}

// UpdateLineItem changes the line item at lineItemURL. A PUT replaces the whole (AGS 2.0,
// section 3.2.7), so it is read first and sent back with every member as it came, known
// here or not; only what change changed differs. Leaving ResourceLinkID out would part the
// column from its activity. Changing the maximum makes some platforms rescale grades.
// Nothing is sent when change changes nothing. It returns the item as it was sent; whether
// the platform kept all of it shows only when it is read again.
func (s *Services) UpdateLineItem(ctx context.Context, r Registration, lineItemURL string, change func(*LineItem)) (LineItem, error) {
	raw, item, err := s.readLineItem(ctx, r, lineItemURL, ScopeLineItem)
	if err != nil {
		return LineItem{}, err
	}
	before, id := item.members(), item.ID
	change(&item)
	item.ID = id
	changed, err := overwrite(raw, before, item.members())
	if err != nil || !changed {
		return item, err
	}
	const op = "change the line item"
	if err := item.validate(); err != nil {
		return LineItem{}, fmt.Errorf("%s: %w", op, err)
	}
	body, err := marshal(raw)
	if err != nil {
		return LineItem{}, err
	}
	a, err := s.authorized(ctx, r, []string{ScopeLineItem}, call{
		op: op, method: http.MethodPut, address: lineItemURL,
		accept: mediaLineItem, contentType: mediaLineItem, body: body, limit: pageMaxBytes,
	})
	if err != nil {
		return LineItem{}, err
	}
	if a.isPage() {
		return LineItem{}, a.fail(ReasonAnswer, errors.New("a page instead of a line item"))
	}
	return item, nil
}

// overwrite puts into raw the members that differ between before and after.
func overwrite(raw object, before, after map[string]any) (changed bool, err error) {
	for name := range before {
		if _, kept := after[name]; !kept {
			delete(raw, name)
			changed = true
		}
	}
	for name, value := range after {
		was, err := json.Marshal(before[name])
		if err != nil {
			return false, fmt.Errorf("encode %s: %w", name, err)
		}
		is, err := json.Marshal(value)
		if err != nil {
			return false, fmt.Errorf("encode %s: %w", name, err)
		}
		if !bytes.Equal(was, is) {
			raw[name] = is
			changed = true
		}
	}
	return changed, nil
}

// DeleteLineItem deletes the line item at lineItemURL, with all its grades, provided that
// it has this resource id; otherwise the error has ReasonUnclear. One that is gone already
// is a success.
//
// Delete only what EnsureLineItem or CreateLineItem has created: Moodle deletes as well
// the column that came with an activity, and the activity stays without one.
func (s *Services) DeleteLineItem(ctx context.Context, r Registration, lineItemURL, resourceID string) error {
	const op = "delete the line item"
	_, item, err := s.readLineItem(ctx, r, lineItemURL, ScopeLineItem)
	if err == nil && (item.ResourceID != resourceID || resourceID == "") {
		return &ServiceError{
			Op: op, URL: lineItemURL, Reason: ReasonUnclear,
			err: fmt.Errorf("its resource id is %q, not %q", show(item.ResourceID), show(resourceID)),
		}
	}
	if err == nil {
		_, err = s.authorized(ctx, r, []string{ScopeLineItem}, call{op: op, method: http.MethodDelete, address: lineItemURL, limit: pageMaxBytes})
	}
	if refused, ok := errors.AsType[*ServiceError](err); ok && refused.Reason == ReasonGone {
		return nil
	}
	return err
}

func (s *Services) listLineItems(ctx context.Context, r Registration, address string, f LineItemFilter, scope string) ([]LineItem, error) {
	query := url.Values{}
	for name, value := range map[string]string{"resource_link_id": f.ResourceLinkID, "resource_id": f.ResourceID, "tag": f.Tag} {
		if value != "" {
			query.Set(name, value)
		}
	}
	const op = "list the line items"
	address, err := extend(address, "", query)
	if err != nil {
		return nil, &ServiceError{Op: op, URL: show(address), Reason: ReasonAddress, err: err}
	}
	var items []LineItem
	c := call{op: op, method: http.MethodGet, address: address, accept: mediaLineItems, limit: pageMaxBytes}
	_, err = s.pages(ctx, r, []string{scope}, c, func(a answer) (int, error) {
		rows, err := readRows(a)
		if err != nil {
			return 0, err
		}
		for _, raw := range rows {
			item, err := lineItemOf(a, r, raw)
			if err != nil {
				return 0, a.fail(ReasonAnswer, err)
			}
			if f.keeps(item) {
				items = append(items, item)
			}
		}
		return len(rows), nil
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// keeps applies the filter again: it is optional for a platform to heed it. A member that
// the platform leaves out of its answer cannot be compared.
func (f LineItemFilter) keeps(i LineItem) bool {
	return (f.ResourceLinkID == "" || i.ResourceLinkID == "" || f.ResourceLinkID == i.ResourceLinkID) &&
		(f.ResourceID == "" || f.ResourceID == i.ResourceID) &&
		(f.Tag == "" || f.Tag == i.Tag)
}

// withLineItemScope reads with the lesser scope, and with the full one where a platform
// grants only that.
func (s *Services) withLineItemScope(read func(scope string) error) error {
	err := read(ScopeLineItemReadOnly)
	if refused, ok := errors.AsType[*ServiceError](err); ok &&
		(refused.Reason == ReasonTokenRefused || refused.Reason == ReasonScopeNotGranted) {
		if second := read(ScopeLineItem); second == nil {
			return nil
		}
	}
	return err
}

func (s *Services) readLineItem(ctx context.Context, r Registration, address, scope string) (object, LineItem, error) {
	a, err := s.authorized(ctx, r, []string{scope}, call{
		op: "read the line item", method: http.MethodGet, address: address, accept: mediaLineItem, limit: pageMaxBytes,
	})
	if err != nil {
		return nil, LineItem{}, err
	}
	raw, err := parseObject(a.body)
	if err != nil {
		return nil, LineItem{}, a.fail(ReasonAnswer, fmt.Errorf("line item: %w", err))
	}
	item, err := lineItemOf(a, r, a.body)
	if err != nil {
		return nil, LineItem{}, a.fail(ReasonAnswer, err)
	}
	if item.ID == "" {
		item.ID = address
	}
	return raw, item, nil
}

func (i LineItem) validate() error {
	if strings.TrimSpace(i.Label) == "" || !(i.ScoreMaximum > 0) || math.IsInf(i.ScoreMaximum, 0) {
		return errors.New("it needs a label and a maximum above 0")
	}
	return nil
}

// members returns what the tool says of a line item; the platform gives the id.
func (i LineItem) members() map[string]any {
	m := map[string]any{"label": i.Label, "scoreMaximum": i.ScoreMaximum}
	for name, value := range map[string]string{"resourceId": i.ResourceID, "tag": i.Tag, "resourceLinkId": i.ResourceLinkID} {
		if value != "" {
			m[name] = value
		}
	}
	for name, at := range map[string]time.Time{"startDateTime": i.StartsAt, "endDateTime": i.EndsAt} {
		if !at.IsZero() {
			m[name] = at.UTC().Format(time.RFC3339)
		}
	}
	if i.GradesReleased != nil {
		m["gradesReleased"] = *i.GradesReleased
	}
	if i.SubmissionReview != nil {
		m["submissionReview"] = *i.SubmissionReview
	}
	return m
}

// lineItemOf reads a line item of an answer, which may hold many.
func lineItemOf(a answer, r Registration, raw []byte) (LineItem, error) {
	o, err := parseObject(raw)
	if err != nil {
		return LineItem{}, fmt.Errorf("line item: %w", err)
	}
	item := LineItem{Label: o.plain("label"), ResourceLinkID: o.textOrNumber("resourceLinkId"), GradesReleased: o.truth("gradesReleased")}
	id, _ := o.text("id")
	item.ID = a.named(r, id)
	item.ResourceID, _ = o.text("resourceId")
	item.Tag, _ = o.text("tag")
	item.StartsAt, item.EndsAt = o.moment("startDateTime"), o.moment("endDateTime")
	if maximum, is := o.lenientNumber("scoreMaximum"); is == present {
		item.ScoreMaximum = maximum
	}
	if review, is := o.object("submissionReview"); is == present {
		item.SubmissionReview = &SubmissionReview{Label: review.plain("label")}
		item.SubmissionReview.ReviewableStatus, _ = review.texts("reviewableStatus")
		item.SubmissionReview.URL, _ = review.text("url")
		parameters, _ := review.object("custom")
		item.SubmissionReview.Custom = custom(parameters)
	}
	return item, nil
}

// moment returns a time in ISO 8601 with a zone, in UTC; zero for anything else.
func (o object) moment(name string) time.Time {
	text, _ := o.text(name)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
