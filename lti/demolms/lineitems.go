package demolms

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func (l *LMS) lineItemsURL(course string, t Tool) string {
	return l.cfg.Issuer + servicesPath + course + "/lineitems?type_id=" + url.QueryEscape(t.DeploymentID)
}

func (l *LMS) lineItemURL(i LineItem) string { return l.itemURL(i, "") }

// itemURL is the address of a line item or of what is below it; the type_id
// always stands behind the whole path.
func (l *LMS) itemURL(i LineItem, below string) string {
	var deployment string
	if t, err := l.toolByClient(i.ClientID); err == nil {
		deployment = t.DeploymentID
	}
	return l.cfg.Issuer + servicesPath + i.Course + "/lineitems/" + strconv.Itoa(i.ID) + "/lineitem" + below + "?type_id=" + url.QueryEscape(deployment)
}

// wireLineItem is a line item as services show it.
type wireLineItem struct {
	ID               string            `json:"id"`
	Label            string            `json:"label"`
	ScoreMaximum     float64           `json:"scoreMaximum"`
	ResourceID       string            `json:"resourceId"`
	Tag              string            `json:"tag"`
	ResourceLinkID   string            `json:"resourceLinkId,omitempty"`
	LTILinkID        string            `json:"ltiLinkId,omitempty"`
	SubmissionReview *SubmissionReview `json:"submissionReview,omitempty"`
}

func (l *LMS) wire(i LineItem) wireLineItem {
	return wireLineItem{
		ID: l.lineItemURL(i), Label: i.Label, ScoreMaximum: i.Max, ResourceID: i.ResourceID, Tag: i.Tag,
		ResourceLinkID: i.Activity, LTILinkID: i.Activity, SubmissionReview: i.Review,
	}
}

// listLineItems shows the items of this tool in this course and no others.
func (l *LMS) listLineItems(r serviceRequest) reply {
	if _, err := l.course(r.course); err != nil {
		return refused(http.StatusNotFound, "Not Found: Course %s doesn't exist", r.course)
	}
	q := r.query
	gone := l.knobs[LineItemsGone] != Off
	found := l.lineItems(func(i LineItem) bool {
		return !gone && i.Course == r.course && i.ClientID == r.tool.ClientID &&
			(!q.Has("resource_id") || i.ResourceID == q.Get("resource_id")) &&
			(!q.Has("tag") || i.Tag == q.Get("tag")) &&
			(!q.Has("resource_link_id") || i.Activity == q.Get("resource_link_id"))
	})
	out := make([]wireLineItem, 0, len(found))
	if l.takeLocked(LineItemsTwice) != Off {
		found = twins(found)
	}
	e := l.extent(q, len(found), PageLineItems)
	for _, i := range found[e.from:e.to] {
		out = append(out, l.wire(i))
	}
	answer := encoded(http.StatusOK, typeLineItems, out)
	answer.link = l.next(r, e)
	if e.asked && len(e.links) == 0 {
		answer.link = l.lineItemLinks(r, e.from, e.limit, len(found))
	}
	return answer
}

// twins puts an uncoupled item of a further id before each coupled one.
func twins(items []LineItem) []LineItem {
	var out []LineItem
	for _, i := range items {
		if i.Activity != "" {
			twin := i
			twin.ID, twin.Activity = i.ID+1_000_000, ""
			out = append(out, twin)
		}
		out = append(out, i)
	}
	return out
}

// lineItemLinks writes the paging header as Moodle does: typographic quotes,
// and ampersands escaped as if it were HTML.
func (l *LMS) lineItemLinks(r serviceRequest, from, limit, count int) string {
	last := max(0, (count-1)/limit*limit)
	link := func(rel string, at int) string {
		return fmt.Sprintf("<%s%s?type_id=%s&amp;limit=%d&amp;from=%d>; rel=“%s”", l.cfg.Issuer, r.path, url.QueryEscape(r.tool.DeploymentID), limit, at, rel)
	}
	links := []string{link("first", 0)}
	if from > 0 {
		links = append(links, link("prev", max(0, from-limit)))
	}
	links = append(links, link("canonical", from))
	if from+limit < count {
		links = append(links, link("next", from+limit))
	}
	return strings.Join(append(links, link("last", last)), ", ")
}

// postedLineItem is what a tool sends to create or replace an item.
type postedLineItem struct {
	Label            string            `json:"label"`
	ScoreMaximum     *float64          `json:"scoreMaximum"`
	ResourceID       string            `json:"resourceId"`
	Tag              string            `json:"tag"`
	ResourceLinkID   string            `json:"resourceLinkId"`
	SubmissionReview *SubmissionReview `json:"submissionReview"`
}

// createLineItem stores what it knows and echoes the whole body back, also
// what it did not store.
func (l *LMS) createLineItem(r serviceRequest) reply {
	if _, err := l.course(r.course); err != nil {
		return refused(http.StatusNotFound, "Not Found: Course %s doesn't exist", r.course)
	}
	var in postedLineItem
	var echo map[string]any
	if json.Unmarshal(r.body, &in) != nil || json.Unmarshal(r.body, &echo) != nil || echo == nil {
		return refused(http.StatusBadRequest, "No label or Score Maximum")
	}
	if in.Label == "" || in.ScoreMaximum == nil || *in.ScoreMaximum < 0 {
		return refused(http.StatusBadRequest, "No label or Score Maximum")
	}
	if !l.ownLink(r, in.ResourceLinkID) {
		return refused(http.StatusForbidden, "Forbidden")
	}
	item := LineItem{
		ID: l.nextID(), Course: r.course, ClientID: r.tool.ClientID, Label: in.Label, Max: *in.ScoreMaximum,
		ResourceID: in.ResourceID, Tag: in.Tag, Activity: in.ResourceLinkID,
	}
	l.data.LineItems = append(l.data.LineItems, item)
	echo["id"] = l.lineItemURL(item)
	if l.takeLocked(LineItemsNoID) != Off {
		delete(echo, "id")
	}
	answer := encoded(http.StatusCreated, typeLineItem, echo)
	if echo["id"] == nil {
		answer.location = l.lineItemURL(item)
	}
	return answer
}

// ownLink tells whether a resource link is one of this tool in this course;
// naming none is fine.
func (l *LMS) ownLink(r serviceRequest, id string) bool {
	if id == "" {
		return true
	}
	a, err := l.activity(id)
	return err == nil && a.Course == r.course && a.ClientID == r.tool.ClientID
}

// item finds the line item of a request, or says why not. Items of another
// tool are refused here, for every operation, where Moodle leaks some.
func (l *LMS) item(r serviceRequest) (*LineItem, reply) {
	id, err := strconv.Atoi(r.id)
	if err != nil {
		return nil, refused(http.StatusNotFound, "Not Found: Grade item %s doesn't exist", r.id)
	}
	i, err := l.lineItem(id)
	if err != nil {
		return nil, refused(http.StatusNotFound, "Not Found: Grade item %s doesn't exist", r.id)
	}
	if i.ClientID != r.tool.ClientID {
		return nil, refused(http.StatusForbidden, "Invalid LTI id supplied.")
	}
	return i, reply{}
}

func (l *LMS) getLineItem(r serviceRequest) reply {
	i, no := l.item(r)
	if i == nil {
		return no
	}
	return encoded(http.StatusOK, typeLineItem, l.wire(*i))
}

// putLineItem replaces an item: what is left out is lost, the coupling to its
// link included. Grades are scaled to the new maximum.
func (l *LMS) putLineItem(r serviceRequest) reply {
	i, no := l.item(r)
	if i == nil {
		return no
	}
	var in postedLineItem
	var echo map[string]any
	if json.Unmarshal(r.body, &in) != nil || json.Unmarshal(r.body, &echo) != nil || echo == nil ||
		in.Label == "" || in.ScoreMaximum == nil || *in.ScoreMaximum <= 0 {
		return refused(http.StatusBadRequest, "No label or Score Maximum")
	}
	if !l.ownLink(r, in.ResourceLinkID) {
		return refused(http.StatusForbidden, "Forbidden")
	}
	if i.Max > 0 && i.Max != *in.ScoreMaximum {
		l.rescale(*i, *in.ScoreMaximum)
	}
	i.Label, i.Max, i.ResourceID, i.Tag = in.Label, *in.ScoreMaximum, in.ResourceID, in.Tag
	i.Activity, i.Review = in.ResourceLinkID, in.SubmissionReview
	echo["id"] = l.lineItemURL(*i)
	return encoded(http.StatusOK, typeLineItem, echo)
}

func (l *LMS) rescale(item LineItem, highest float64) {
	for user, g := range l.data.Grades[item.ID] {
		if g.Score == nil {
			continue
		}
		g.Score = new(rounded(*g.Score * highest / item.Max))
		g.At = l.cfg.Now().UTC().Truncate(time.Second)
		l.data.Grades[item.ID][user] = g
	}
}

// deleteLineItem removes an item and its grades, also one that came with an
// activity; the activity stays.
func (l *LMS) deleteLineItem(r serviceRequest) reply {
	i, no := l.item(r)
	if i == nil {
		return no
	}
	l.dropLineItem(i.ID)
	return reply{status: http.StatusNoContent}
}
