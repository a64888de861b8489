package lti

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// MemberStatus says whether somebody belongs to a course at the moment (NRPS 2.0, section
// 2.3).
type MemberStatus string

// The states of a member. MemberDeleted comes in answers to Changes only.
const (
	MemberActive   MemberStatus = "Active"
	MemberInactive MemberStatus = "Inactive"
	MemberDeleted  MemberStatus = "Deleted"
)

// Member is one person in a course (NRPS 2.0, section 2.2). Everything but the UserID and
// the Status may be empty: many platforms give no names. Printing or logging a Member shows
// the UserID only.
type Member struct {
	UserID       string // equals User.Subject of a launch
	Status       MemberStatus
	Roles        []string // as sent, often as short names; ask IsTeacher and IsLearner
	Name         string
	GivenName    string
	FamilyName   string
	Email        string
	SourcedID    string // lis_person_sourcedid: the id in the student information system
	LegacyUserID string // lti11_legacy_user_id
	// Custom holds the custom parameters of the resource link with this member's values;
	// only where MemberQuery.ResourceLinkID was given, and not on Moodle.
	Custom map[string]string
}

// IsTeacher reports whether the member teaches in this course; see Launch.IsTeacher.
func (m Member) IsTeacher() bool { return teaches(m.Roles) }

// IsLearner reports whether the member learns in this course; see Launch.IsLearner. Never
// issue anything from this alone: Moodle lists a non-editing teacher as Learner here,
// though launches say Instructor, and a member without a role is neither.
func (m Member) IsLearner() bool { return learns(m.Roles) }

// LogValue implements slog.LogValuer: the id only.
func (m Member) LogValue() slog.Value { return slog.StringValue(m.UserID) }

// Format implements fmt.Formatter: whatever the verb, the id only.
func (m Member) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "member %q", m.UserID) }

// MemberQuery narrows a list of members; zero values do not.
type MemberQuery struct {
	// Role is a role's address or, where the platform takes it, its short name. Platforms
	// may ignore it.
	Role string
	// Limit is how many members a page should have at most; all pages are read in any case.
	Limit int
	// ResourceLinkID (rlid) asks for those who can see that resource link only. Where it
	// is not a link of this tool, the platform refuses.
	ResourceLinkID string
}

// Roster is who is in a course, or what has changed there.
type Roster struct {
	Context Context
	Members []Member
	Skipped int // rows that name no user or cannot be read
	// Partial says that there is more: the list was longer than 50,000 rows or 500 pages,
	// or led back to its beginning.
	Partial bool
	// Empty says that the platform listed nobody. That is no proof that nobody is there
	// (ILIAS lists only who has launched): take it for no reason to remove people.
	Empty bool
	// Differences is the address by which Changes later tells what has changed since;
	// opaque, empty where the platform offers none.
	Differences string
}

const (
	mediaMembers   = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
	rosterMaxBytes = 32 << 20 // of one page: Moodle gives everybody on one
)

// Members reads who is in the course from membershipsURL (from Launch.NRPS), all pages of
// it (NRPS 2.0, section 2.4). A course of more members than the platform hands out fails
// with ReasonAboveLimit.
func (s *Services) Members(ctx context.Context, r Registration, membershipsURL string, q MemberQuery) (Roster, error) {
	query := url.Values{}
	if q.Role != "" {
		query.Set("role", q.Role)
	}
	if q.ResourceLinkID != "" {
		query.Set("rlid", q.ResourceLinkID)
	}
	if limit := q.Limit; limit > 0 {
		if most := r.Quirks().MaxPage; most > 0 {
			limit = min(limit, most)
		}
		query.Set("limit", strconv.Itoa(limit))
	}
	address, err := extend(membershipsURL, "", query)
	if err != nil {
		return Roster{}, &ServiceError{Op: membersOp, URL: show(membershipsURL), Reason: ReasonAddress, err: err}
	}
	roster, err := s.roster(ctx, r, address, false)
	roster.Empty = err == nil && len(roster.Members) == 0
	return roster, err
}

// Changes reads what has changed since the roster came whose Differences is
// differencesURL. Who has left is there with MemberDeleted; everybody else is as they are
// now. The roster that is returned has the next Differences.
func (s *Services) Changes(ctx context.Context, r Registration, differencesURL string) (Roster, error) {
	return s.roster(ctx, r, differencesURL, true)
}

const membersOp = "list the members"

func (s *Services) roster(ctx context.Context, r Registration, address string, deleted bool) (Roster, error) {
	read := &rosterReader{deleted: deleted, at: map[string]int{}}
	c := call{op: membersOp, method: http.MethodGet, address: address, accept: mediaMembers, limit: rosterMaxBytes, stream: read.page}
	looped, err := s.pages(ctx, r, []string{ScopeMembersReadOnly}, c, func(a answer) (int, error) {
		if link := related(a.header.Values("Link"), "differences"); link != "" {
			read.roster.Differences = a.named(r, link)
		}
		if read.full() {
			return 0, errEnough
		}
		return 0, nil // counted already
	})
	read.roster.Partial = looped || read.full()
	if errors.Is(err, errTooMany) {
		read.roster.Partial, err = true, nil
	}
	if err != nil {
		return Roster{}, err
	}
	return read.roster, nil
}

// rosterReader takes members one by one out of pages, so that a page of any length needs
// no more memory than its members do.
type rosterReader struct {
	roster  Roster
	deleted bool
	rows    int
	at      map[string]int // of a user in the roster
}

func (r *rosterReader) full() bool { return r.rows > maxRows }

// take keeps a row. Pages by offset shift while people come and go: who comes twice counts
// once, as they came last.
func (r *rosterReader) take(raw json.RawMessage) {
	if r.rows++; r.full() {
		return
	}
	m, ok := r.member(raw)
	if !ok {
		r.roster.Skipped++
		return
	}
	if at, twice := r.at[m.UserID]; twice {
		r.roster.Members[at] = m
		return
	}
	r.at[m.UserID] = len(r.roster.Members)
	r.roster.Members = append(r.roster.Members, m)
}

var errNotContainer = errors.New("the answer is no list of members")

// page reads one membership container (NRPS 2.0, section 2.1).
func (r *rosterReader) page(body io.Reader) error {
	d := json.NewDecoder(body)
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errNotContainer
	}
	found := false
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return fmt.Errorf("%w: %w", errNotContainer, err)
		}
		switch {
		case name == "members" && found:
			return fmt.Errorf("%w: it has members twice", errNotContainer)
		case name == "members":
			found = true
			if err := r.members(d); err != nil || r.full() {
				return err
			}
		default:
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				return fmt.Errorf("%w: %w", errNotContainer, err)
			}
			if course, err := parseObject(raw); err == nil && name == "context" {
				r.roster.Context = Context{ID: course.id("id"), Label: course.plain("label"), Title: course.plain("title")}
			}
		}
	}
	if _, err := d.Token(); err != nil || !found {
		return errNotContainer
	}
	return nil
}

func (r *rosterReader) members(d *json.Decoder) error {
	t, err := d.Token()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errNotContainer, err)
	case t == nil:
		return nil
	case t != json.Delim('['):
		return errNotContainer
	}
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fmt.Errorf("%w: %w", errNotContainer, err)
		}
		if r.take(raw); r.full() {
			return nil
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%w: %w", errNotContainer, err)
	}
	return nil
}

// member reads one row; ok is false for one that cannot be used.
func (r *rosterReader) member(raw json.RawMessage) (m Member, ok bool) {
	o, err := parseObject(raw)
	if err != nil {
		return Member{}, false
	}
	m = Member{
		UserID: o.textOrNumber("user_id"), Status: MemberActive,
		Name: o.plain("name"), GivenName: o.plain("given_name"), FamilyName: o.plain("family_name"),
		SourcedID: o.id("lis_person_sourcedid"), LegacyUserID: o.id("lti11_legacy_user_id"),
		Custom: memberCustom(o),
	}
	address, _ := o.text("email")
	m.Email = email(address)
	if role, is := o.text("roles"); is == present { // one, where a list belongs
		m.Roles = []string{role}
	} else {
		m.Roles, _ = o.texts("roles")
	}
	if status, is := o.text("status"); is != absent {
		m.Status = memberStatus(status)
	}
	return m, validateText("the user", m.UserID) == nil && (r.deleted || m.Status != MemberDeleted)
}

// memberStatus takes any case; what nobody knows is not active.
func memberStatus(s string) MemberStatus {
	for _, known := range []MemberStatus{MemberActive, MemberDeleted} {
		if strings.EqualFold(s, string(known)) {
			return known
		}
	}
	return MemberInactive
}

// memberCustom returns the custom parameters of the member's message, which Blackboard has
// sent as an object where a list of objects belongs.
func memberCustom(o object) map[string]string {
	var messages []json.RawMessage
	raw, _ := o.raw("message")
	if json.Unmarshal(raw, &messages) != nil {
		messages = []json.RawMessage{raw}
	}
	for _, raw := range messages {
		message, err := parseObject(raw)
		if err != nil {
			continue
		}
		if parameters, is := message.object(claimCustom); is == present {
			return custom(parameters)
		}
	}
	return nil
}
