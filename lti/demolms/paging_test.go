package demolms_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

// fill puts three graded activities into course 2, each learner graded in the
// first of them.
func (b *bench) fill() demolms.LineItem {
	b.t.Helper()
	for range 3 {
		b.place()
	}
	item := b.LineItems("2")[0]
	for _, user := range []string{"7", "8", "9"} {
		if err := b.SetGrade(item.ID, user, new(50.0)); err != nil {
			b.t.Fatal(err)
		}
	}
	return item
}

// follow reads a list to its end, at most ten pages, and returns the rows of
// each page and the links. Results and line items are lists, members are not.
func (b *bench) follow(path string) (pages []int, links []string) {
	b.t.Helper()
	for range 10 {
		a := b.service(http.MethodGet, path, "")
		if a.Status != http.StatusOK {
			b.t.Fatalf("%s: %d %s", path, a.Status, a.Body)
		}
		if strings.Contains(path, "memberships") {
			pages = append(pages, len(decode[struct{ Members []any }](b.t, a).Members))
		} else {
			pages = append(pages, len(decode[[]any](b.t, a)))
		}
		link := a.Header.Get("Link")
		if link == "" {
			return pages, links
		}
		links = append(links, link)
		address, _, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
		if !strings.HasPrefix(address, b.Issuer()) {
			return pages, links
		}
		path = strings.TrimPrefix(address, b.Issuer())
	}
	return pages, links
}

// paged checks what following the links of all three lists gives. Course 2
// has four members, three line items and three results.
func paged(check func(t *testing.T, b *bench, pages []int, links []string), lists ...string) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		item := b.fill()
		turn(t, b, k)
		for _, list := range lists {
			path := map[string]string{"items": lineItems, "results": below(item, "/results"), "members": members + "?role=Learner"}[list]
			pages, links := b.follow(path)
			check(t, b, pages, links)
		}
	}
}

func inTwo(t *testing.T, b *bench, pages []int, links []string) {
	t.Helper()
	if !equalJSON(pages, []int{2, 1}) || len(links) != 1 || !strings.HasPrefix(links[0], "<"+b.Issuer()) || !strings.HasSuffix(links[0], `>; rel="next"`) {
		t.Errorf("pages %v, links %v", pages, links)
	}
}

func pagingTests() map[demolms.Knob]knobTest {
	all := []string{"items", "results", "members"}
	return map[demolms.Knob]knobTest{
		demolms.PageLineItems: paged(inTwo, "items"),
		demolms.PageResults:   paged(inTwo, "results"),
		demolms.PageMembers:   paged(inTwo, "members"),
		demolms.NextForeignHost: paged(func(t *testing.T, _ *bench, pages []int, links []string) {
			t.Helper()
			if !equalJSON(pages, []int{2}) || !strings.HasPrefix(links[0], "<https://elsewhere.example/mod/lti/services.php/") {
				t.Errorf("pages %v, links %v", pages, links)
			}
		}, all...),
		demolms.NextLoop: paged(func(t *testing.T, _ *bench, pages []int, links []string) {
			t.Helper()
			if len(pages) != 10 || pages[9] != 2 || links[0] != links[9] {
				t.Errorf("pages %v, links %v", pages, links)
			}
		}, all...),
		demolms.NextEndless: paged(func(t *testing.T, _ *bench, pages []int, links []string) {
			t.Helper()
			if len(pages) != 10 || links[0] == links[9] {
				t.Errorf("pages %v, links %v", pages, links)
			}
		}, all...),
		demolms.NextUpperCase: paged(func(t *testing.T, _ *bench, pages []int, links []string) {
			t.Helper()
			if !equalJSON(pages, []int{2, 1}) || !strings.Contains(links[0], `Cursor=AbC>; REL="next"`) {
				t.Errorf("pages %v, links %v", pages, links)
			}
		}, all...),
	}
}

func TestOnceForcesOneList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	item := b.fill()
	if err := b.Set(demolms.PageResults, demolms.Once); err != nil {
		t.Fatal(err)
	}
	if pages, _ := b.follow(below(item, "/results")); !equalJSON(pages, []int{2, 1}) {
		t.Errorf("once: %v", pages)
	}
	if pages, _ := b.follow(below(item, "/results")); !equalJSON(pages, []int{3}) {
		t.Errorf("afterwards: %v", pages)
	}
	// Moodle's results break when pages are asked for, and do not while the
	// knob makes them come in pages.
	if got := b.service(http.MethodGet, below(item, "/results")+"&limit=1", "").Status; got != http.StatusNotFound {
		t.Errorf("limit: %d", got)
	}
	if err := b.Set(demolms.PageResults, demolms.On); err != nil {
		t.Fatal(err)
	}
	if pages, _ := b.follow(below(item, "/results") + "&limit=1"); !equalJSON(pages, []int{1, 1, 1}) {
		t.Errorf("limit with the knob: %v", pages)
	}
}

// listed checks the rows of the membership list of a link.
func listed(check func(t *testing.T, a answer, rows []map[string]any)) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		a, _ := b.place()
		turn(t, b, k)
		got := b.service(http.MethodGet, members+"?rlid="+a.ID, "")
		check(t, got, decode[struct{ Members []map[string]any }](t, got).Members)
	}
}

func memberTests() map[demolms.Knob]knobTest {
	list := func(b *bench) answer { return b.service(http.MethodGet, members, "") }
	return map[demolms.Knob]knobTest{
		demolms.MembersError: calls(list, status(500)),
		demolms.MembersEmpty: calls(list, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusOK || !strings.Contains(a.Body, `"members":[]`) {
				t.Errorf("status %d, body %s", a.Status, a.Body)
			}
		}),
		demolms.MembersLimit: calls(list, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusForbidden || !strings.Contains(a.Body, "above_response_limit") {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		}),
		demolms.MembersDifferences: calls(list, func(t *testing.T, a answer) {
			t.Helper()
			if link := a.Header.Get("Link"); !strings.HasSuffix(link, `>; rel="differences"`) {
				t.Errorf("link %s", link)
			}
		}),
		demolms.MembersMessageObject: listed(func(t *testing.T, _ answer, rows []map[string]any) {
			t.Helper()
			message, ok := rows[0]["message"].(map[string]any)
			if !ok || message[claimNS+"message_type"] != "LtiResourceLinkRequest" {
				t.Errorf("message %v", rows[0]["message"])
			}
		}),
		demolms.MembersNoUserID: listed(func(t *testing.T, _ answer, rows []map[string]any) {
			t.Helper()
			if len(rows) != 5 || rows[0]["user_id"] != nil || rows[1]["user_id"] != "3" {
				t.Errorf("rows %v", rows)
			}
		}),
		demolms.MembersNoRoles: listed(func(t *testing.T, _ answer, rows []map[string]any) {
			t.Helper()
			if len(rows) != 4 || rows[0]["roles"] != nil {
				t.Errorf("rows %v", rows)
			}
		}),
		demolms.MembersStatus: listed(func(t *testing.T, _ answer, rows []map[string]any) {
			t.Helper()
			if rows[0]["status"] != "Active" || rows[1]["status"] != "Inactive" || rows[2]["status"] != "Deleted" || rows[3]["status"] != "Active" {
				t.Errorf("rows %v", rows)
			}
		}),
		demolms.MembersHuge: calls(list, func(t *testing.T, a answer) {
			t.Helper()
			if n := len(decode[struct{ Members []any }](t, a).Members); n != 80004 {
				t.Errorf("%d members", n)
			}
		}),
	}
}

func TestMembersOfALink(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	rows := decode[struct{ Members []map[string]any }](t, b.service(http.MethodGet, members+"?rlid="+a.ID, "")).Members
	list, _ := rows[0]["message"].([]any)
	message, _ := list[0].(map[string]any)
	if len(rows) != 4 || message[claimNS+"message_type"] != "LtiResourceLinkRequest" || message["https://purl.imsglobal.org/spec/lti-bo/claim/basicoutcome"] == nil || message[claimNS+"custom"] != nil {
		t.Errorf("message %v", message)
	}
	if got := b.service(http.MethodGet, members+"?rlid=999", "").Status; got != http.StatusNotFound {
		t.Errorf("unknown link: %d", got)
	}
	// Filters survive paging.
	if err := b.Set(demolms.PageMembers, demolms.On); err != nil {
		t.Fatal(err)
	}
	if link := b.service(http.MethodGet, members+"?role=Learner&rlid="+a.ID, "").Header.Get("Link"); !strings.Contains(link, "rlid="+a.ID+"&role=Learner") {
		t.Errorf("link %s", link)
	}
}
