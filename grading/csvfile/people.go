package csvfile

import (
	"maps"
	"strings"

	"github.com/sealsmith/sealsmith/lti"
)

// Person is a learner of the course, as the platform tells it (NRPS 2.0, section 2.2).
// Everything but the Subject may be empty.
type Person struct {
	Subject       string // LTI subject
	Given, Family string // as platforms tell names: Family alone holds a name that comes whole
	Email         string
	Number        string // lis_person_sourcedid: the id in the student information system
}

// People are the active learners of a course. Teachers, test users and who has left are
// none: nothing is decided about them.
type People struct {
	// Why the platform did not tell who is there, in words; empty: it did.
	Why  string
	list map[string]Person
}

// Learners takes the active learners out of a roster.
func Learners(roster lti.Roster) People {
	p := People{list: make(map[string]Person, len(roster.Members))}
	for _, m := range roster.Members {
		if m.Status != lti.MemberActive || !m.IsLearner() || m.IsTeacher() {
			continue
		}
		given, family := strings.TrimSpace(m.GivenName), strings.TrimSpace(m.FamilyName)
		if family == "" { // splitting a whole name would be a guess
			given, family = "", strings.TrimSpace(m.Name)
		}
		if family == "" {
			family = strings.TrimSpace(m.GivenName)
		}
		p.list[m.UserID] = Person{Subject: m.UserID, Given: given, Family: family, Email: strings.TrimSpace(m.Email), Number: strings.TrimSpace(m.SourcedID)}
	}
	return p
}

// Nobody is a course whose platform does not tell who is in it, and why.
func Nobody(why string) People { return People{Why: why} }

// With adds learners who are known here although the platform does not list them: only
// their ids.
func (p People) With(subjects ...string) People {
	out := People{Why: p.Why, list: make(map[string]Person, len(p.list)+len(subjects))}
	for _, s := range subjects {
		out.list[s] = Person{Subject: s}
	}
	maps.Copy(out.list, p.list)
	return out
}

// Find returns the learner with this LTI subject.
func (p People) Find(subject string) (Person, bool) {
	one, ok := p.list[subject]
	return one, ok
}

// Len is how many there are.
func (p People) Len() int { return len(p.list) }

// lookup finds people by what files call them. A word that two people have finds nobody.
type lookup struct {
	people            People
	byEmail, byNumber map[string][]string
}

func (p People) lookup() lookup {
	l := lookup{people: p, byEmail: map[string][]string{}, byNumber: map[string][]string{}}
	for s, one := range p.list {
		if one.Email != "" {
			key := strings.ToLower(one.Email)
			l.byEmail[key] = append(l.byEmail[key], s)
		}
		if one.Number != "" {
			key := strings.ToLower(one.Number)
			l.byNumber[key] = append(l.byNumber[key], s)
		}
	}
	return l
}
