package lti

import (
	"slices"
	"strings"
)

// Role vocabularies (Core 1.3, appendix A.2). The addresses are http, not https: a role
// written with https is an unknown role.
const (
	contextRole     = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
	contextSubRole  = "http://purl.imsglobal.org/vocab/lis/v2/membership/"
	institutionRole = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#"
	systemRole      = "http://purl.imsglobal.org/vocab/lis/v2/system/person#"
	misspelledRole  = "https://purl.imsglobal.org/vocab/" // a usual mistake, named in the trace
	testUserRole    = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
)

// IsTeacher reports whether the user teaches in this context: the role Instructor or one
// of its sub-roles, as address or as short name. "Instructor" at the institution says
// that somebody teaches somewhere, and counts for nothing here. A test user is no teacher.
func (l Launch) IsTeacher() bool { return teaches(l.Roles) }

// IsLearner reports whether the user learns in this context. Who also teaches there is
// not a learner (a teacher cannot complete their own course by a click), and neither is a
// test user.
func (l Launch) IsLearner() bool { return learns(l.Roles) }

// IsAdmin reports whether the platform calls the user an administrator of the
// institution or of the system. The role of the same name in a course does not count:
// the message does not tell whether the context is an account or a course. A platform's
// word alone opens no settings; the caller has to have the person on a list of its own.
func (l Launch) IsAdmin() bool {
	if l.IsTestUser() {
		return false
	}
	for _, r := range l.Roles {
		switch r {
		case institutionRole + "Administrator",
			systemRole + "Administrator", systemRole + "SysAdmin", systemRole + "AccountAdmin":
			return true
		}
	}
	return false
}

// IsTestUser reports whether this is a preview with a made-up user ("student view").
// Nothing real may come of it, whatever other roles are present.
func (l Launch) IsTestUser() bool { return isTestUser(l.Roles) }

func teaches(roles []string) bool {
	return !isTestUser(roles) && hasContextRole(roles, "Instructor")
}

func learns(roles []string) bool {
	return !isTestUser(roles) && !teaches(roles) && hasContextRole(roles, "Learner")
}

func isTestUser(roles []string) bool { return slices.Contains(roles, testUserRole) }

func hasContextRole(roles []string, name string) bool {
	for _, r := range roles {
		if r == name || r == contextRole+name || strings.HasPrefix(r, contextSubRole+name+"#") {
			return true
		}
	}
	return false
}
