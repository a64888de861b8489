package demolms

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

func (l *LMS) membersURL(course string, t Tool) string {
	return l.cfg.Issuer + servicesPath + "CourseSection/" + course + "/bindings/" + url.PathEscape(t.DeploymentID) + "/memberships"
}

// member is one row of the membership list (NRPS 2.0 section 2.2). Roles are
// short names here although launches carry full addresses.
type member struct {
	Status     string   `json:"status"`
	Roles      []string `json:"roles,omitempty"`
	Message    any      `json:"message,omitempty"`
	UserID     string   `json:"user_id,omitempty"`
	SourcedID  string   `json:"lis_person_sourcedid"`
	Name       string   `json:"name,omitempty"`
	GivenName  string   `json:"given_name,omitempty"`
	FamilyName string   `json:"family_name,omitempty"`
	Email      string   `json:"email,omitempty"`
	Username   string   `json:"ext_user_username,omitempty"`
}

// listMembers shows teachers and active learners; administrators are enrolled
// nowhere and suspended members are left out.
func (l *LMS) listMembers(r serviceRequest) reply {
	c, err := l.course(r.course)
	if err != nil {
		return refused(http.StatusNotFound, "Not Found: Course %s doesn't exist", r.course)
	}
	rlid := r.query.Get("rlid")
	if rlid != "" && !l.ownLink(r, rlid) {
		return refused(http.StatusNotFound, "Not Found: LTI link %s doesn't exist", rlid)
	}
	members := []member{}
	for _, u := range l.data.Users {
		if m, ok := l.member(u, r.tool, rlid); ok && roleMatches(m, r.query.Get("role")) {
			members = append(members, m)
		}
	}
	members = l.disturbMembers(members)
	e := l.extent(r.query, len(members), PageMembers)
	answer := encoded(http.StatusOK, typeMembers, map[string]any{
		"id":      l.membersURL(c.ID, r.tool),
		"context": map[string]any{"id": c.ID, "label": c.Label, "title": c.Title}, "members": members[e.from:e.to],
	})
	answer.link = l.next(r, e)
	if answer.link == "" && l.takeLocked(MembersDifferences) != Off {
		answer.link = "<" + l.membersURL(c.ID, r.tool) + `?since=` + strconv.FormatInt(l.cfg.Now().Unix(), 10) + `>; rel="differences"`
	}
	return answer
}

func (l *LMS) member(u User, t Tool, rlid string) (member, bool) {
	if u.Role == Admin || u.Suspended {
		return member{}, false
	}
	m := member{Status: "Active", Roles: []string{"Learner"}, UserID: u.ID, SourcedID: u.IDNumber}
	if u.Role == Teacher {
		m.Roles = []string{"Instructor"}
	}
	if !t.HideNames {
		m.Name, m.GivenName, m.FamilyName, m.Email, m.Username = u.Name(), u.Given, u.Family, u.Email, u.Username
	}
	if rlid != "" {
		message := map[string]any{claimMessageType: messageLaunch}
		if a, err := l.activity(rlid); err == nil {
			message[claimOutcome] = l.outcome(a, u, t)
		}
		m.Message = []map[string]any{message}
	}
	return m, true
}

// roleMatches takes the short name and the full address of a role.
func roleMatches(m member, role string) bool {
	const membership = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
	return role == "" || slices.ContainsFunc(m.Roles, func(short string) bool { return role == short || role == membership+short })
}

// disturbMembers applies the knobs that change rows; the caller holds the lock.
func (l *LMS) disturbMembers(members []member) []member {
	on := func(k Knob) bool { return l.takeLocked(k) != Off }
	if on(MembersEmpty) {
		return []member{}
	}
	if on(MembersMessageObject) {
		for i := range members {
			if list, ok := members[i].Message.([]map[string]any); ok {
				members[i].Message = list[0]
			}
		}
	}
	if on(MembersNoRoles) {
		for i := range members {
			members[i].Roles = nil
		}
	}
	if on(MembersStatus) {
		learners := 0
		for i := range members {
			if slices.Contains(members[i].Roles, "Learner") && learners < 2 {
				members[i].Status = []string{"Inactive", "Deleted"}[learners]
				learners++
			}
		}
	}
	if on(MembersNoUserID) {
		members = append([]member{{Status: "Active", Roles: []string{"Learner"}, Name: "Nobody"}}, members...)
	}
	if on(MembersHuge) {
		for i := range manyMembers {
			members = append(members, member{Status: "Active", Roles: []string{"Learner"}, UserID: strconv.Itoa(1_000_000 + i)})
		}
	}
	return members
}

// manyMembers is the size of the largest course anybody has reported.
const manyMembers = 80_000

// Knobs of the membership list.
const (
	MembersError         Knob = "members-500"
	MembersEmpty         Knob = "members-empty"
	MembersLimit         Knob = "members-403-limit"
	MembersDifferences   Knob = "members-differences"
	MembersMessageObject Knob = "members-message-object"
	MembersNoUserID      Knob = "members-no-user-id"
	MembersNoRoles       Knob = "members-no-roles"
	MembersStatus        Knob = "members-inactive"
	MembersHuge          Knob = "members-huge"
)

func memberKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: MembersError, Area: AreaServices, Default: On, Effect: "The membership list answers 500."},
		{Knob: MembersEmpty, Area: AreaServices, Default: On, Cases: "S24", Effect: "The membership list is empty."},
		{Knob: MembersLimit, Area: AreaServices, Default: On, Cases: "S6", Effect: "The membership list answers 403 above_response_limit (Open edX)."},
		{Knob: MembersDifferences, Area: AreaServices, Default: On, Effect: "The last page of the membership list links to the differences since, which is legal."},
		{Knob: MembersMessageObject, Area: AreaServices, Default: On, Cases: "S21", Effect: "The message of a member is an object instead of a list when the members of one link are asked for (Blackboard)."},
		{Knob: MembersNoUserID, Area: AreaServices, Default: On, Cases: "S22", Effect: "One member has no user_id."},
		{Knob: MembersNoRoles, Area: AreaServices, Default: On, Cases: "S23", Effect: "The members have no roles."},
		{Knob: MembersStatus, Area: AreaServices, Default: On, Cases: "S22", Effect: "The first learner is Inactive and the second Deleted."},
		{Knob: MembersHuge, Area: AreaServices, Default: On, Cases: "S25", Effect: "Eighty thousand learners follow the members."},
	}
}
