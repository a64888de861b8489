package demolms

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// forcedPage is how many rows a page has that nobody asked for.
const forcedPage = 2

// extent is the part of a list that is answered.
type extent struct {
	from, to, limit, count int
	// asked pages came with a limit; others are forced by a knob.
	asked bool
	// links are the knobs that disturb the link to the next page.
	links map[Knob]bool
}

// extent cuts a page out of count rows: when the caller asked for pages, when
// the knob forces pages, and for whoever follows a link of a forced page. The
// caller holds the lock.
func (l *LMS) extent(q url.Values, count int, force Knob) extent {
	e := extent{count: count, to: count, links: map[Knob]bool{}}
	forced := l.takeLocked(force) != Off
	for _, k := range []Knob{NextForeignHost, NextLoop, NextEndless, NextUpperCase} {
		// A disturbed link needs a page to stand on.
		if l.takeLocked(k) != Off {
			forced, e.links[k] = true, true
		}
	}
	limit, err := strconv.Atoi(q.Get("limit"))
	e.asked = err == nil && limit > 0
	switch {
	case e.asked:
		e.limit = limit
	case forced || q.Has("from"):
		e.limit = forcedPage
	default:
		return e
	}
	if from, err := strconv.Atoi(q.Get("from")); err == nil && from > 0 {
		e.from = min(from, count)
		if e.links[NextEndless] {
			e.from = from % max(count, 1)
		}
	}
	e.to = min(e.from+e.limit, count)
	return e
}

// next is the link to the page after e, as RFC 8288 has it; empty on the last
// page. Pages that were asked for keep their limit. The address is that of the
// request but for where the page begins.
func (l *LMS) next(r serviceRequest, e extent) string {
	if e.limit == 0 || (e.to >= e.count && !e.links[NextEndless] && !e.links[NextLoop]) {
		return ""
	}
	q := url.Values{}
	for _, name := range []string{"type_id", "role", "rlid", "user_id", "tag", "resource_id", "resource_link_id"} {
		if r.query.Has(name) {
			q.Set(name, r.query.Get(name))
		}
	}
	order := []string{}
	if len(q) > 0 {
		order = append(order, q.Encode())
	}
	if e.asked {
		order = append(order, "limit="+strconv.Itoa(e.limit))
	}
	from := e.to
	switch {
	case e.links[NextEndless]:
		// Each page has an address of its own, so that only counting helps.
		n, _ := strconv.Atoi(r.query.Get("from")) // nothing is the first page
		from = n + e.limit
	case e.links[NextLoop]:
		from = e.from
	}
	order = append(order, "from="+strconv.Itoa(from))
	base, rel := l.cfg.Issuer, "rel"
	if e.links[NextForeignHost] {
		base = foreignHost
	}
	if e.links[NextUpperCase] {
		rel = "REL"
		order = append(order, "Cursor=AbC")
	}
	return fmt.Sprintf(`<%s%s?%s>; %s="next"`, base, r.path, strings.Join(order, "&"), rel)
}

// Knobs of the pages of lists.
const (
	PageLineItems   Knob = "page-line-items"
	PageResults     Knob = "page-results"
	PageMembers     Knob = "page-members"
	NextForeignHost Knob = "next-foreign-host"
	NextLoop        Knob = "next-loop"
	NextEndless     Knob = "next-endless"
	NextUpperCase   Knob = "next-upper-case"
)

func pagingKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: PageLineItems, Area: AreaServices, Default: On, Effect: "The list of line items comes in pages of two without being asked, with a Link as the standards write it; this is legal."},
		{Knob: PageResults, Area: AreaServices, Default: On, Effect: "Results come in pages of two without being asked; this is legal."},
		{Knob: PageMembers, Area: AreaServices, Default: On, Effect: "The membership list comes in pages of two without being asked; this is legal."},
		{Knob: NextForeignHost, Area: AreaServices, Default: On, Cases: "S13", Effect: "Lists come in pages of two whose next page is on another host, where a bearer token must not go."},
		{Knob: NextLoop, Area: AreaServices, Default: On, Cases: "S14", Effect: "Lists come in pages of two whose next page is the same page again."},
		{Knob: NextEndless, Area: AreaServices, Default: On, Cases: "S14", Effect: "Lists come in pages of two and begin anew after the last one, each page under a new address."},
		{Knob: NextUpperCase, Area: AreaServices, Default: On, Cases: "S15", Effect: "Lists come in pages of two with REL in capitals and an address in which capitals matter; this is legal."},
	}
}
