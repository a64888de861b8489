package demolms

import (
	"maps"
	"slices"
	"strings"
)

// situation is what the variables of custom parameters are read from.
type situation struct {
	user     User
	course   Course
	activity Activity
	tool     Tool
	// contexts and links are the ids of the courses and resource links this
	// one was copied from, nearest first.
	contexts, links []string
	// linkHistory tells whether ResourceLink.id.history is supported; in
	// Moodle it is not.
	linkHistory bool
}

// variables are those this platform resolves (LTI Core 1.3 appendix B).
func variables(s situation) map[string]string {
	v := map[string]string{
		"Context.id": s.course.ID, "Context.label": s.course.Label, "Context.title": s.course.Title,
		"Context.sourcedId": s.course.IDNumber, "Context.longDescription": s.course.Summary,
		"Context.id.history":      strings.Join(s.contexts, ","),
		"CourseSection.title":     s.course.Title,
		"CourseSection.label":     s.course.Label,
		"CourseSection.sourcedId": s.course.IDNumber,
		"ResourceLink.id":         s.activity.ID, "ResourceLink.title": s.activity.Title, "ResourceLink.description": s.activity.Description,
		"User.id": s.user.ID, "User.username": s.user.Username, "Person.sourcedId": s.user.IDNumber,
		"Membership.role": strings.Join(launchRoles(s.user), ","),
	}
	if !s.tool.HideNames {
		v["Person.name.full"], v["Person.name.given"], v["Person.name.family"] = s.user.Name(), s.user.Given, s.user.Family
		v["Person.email.primary"] = s.user.Email
	}
	if s.linkHistory {
		v["ResourceLink.id.history"] = strings.Join(s.links, ",")
	}
	return v
}

// expand joins custom parameters as Moodle does: a name with capitals is sent
// in small letters too, and a value that is nothing but a known variable is
// replaced. Any other value stays as it is, unknown variables included.
func expand(s situation, sets ...map[string]string) map[string]string {
	known := variables(s)
	out := map[string]string{}
	for _, set := range sets {
		for _, name := range slices.Sorted(maps.Keys(set)) {
			value := set[name]
			if variable, ok := strings.CutPrefix(value, "$"); ok {
				if resolved, ok := known[variable]; ok {
					value = resolved
				}
			}
			out[strings.ToLower(name)] = value
			out[name] = value
		}
	}
	return out
}
