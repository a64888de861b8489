package lti

import (
	"html"
	"net/mail"
	"regexp"
	"slices"
	"strings"
)

const (
	maxTitle       = 255 // characters
	maxDescription = 4000
	maxCustom      = 200 // parameters
	maxCustomValue = 8 << 10
	maxEmail       = 254
)

var (
	languageTag = regexp.MustCompile(`^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$`)
	markup      = regexp.MustCompile(`</?[A-Za-z!][^>]*>`)
	unresolved  = regexp.MustCompile(`^\$[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)+$`)
)

// optionalReader reads claims that may be absent. One of a wrong type is treated as
// absent and noted: platforms written in PHP send an empty map as [].
type optionalReader struct {
	claims  object
	ignored []string
	service func(o object, name string) string // address of a service, if it is the platform's
}

func (r *optionalReader) object(name string) object {
	o, is := r.claims.object(name)
	if is == wrongType {
		r.ignored = append(r.ignored, name)
	}
	return o
}

func (r *optionalReader) text(name string) string {
	return clean(r.exact(name), maxTitle)
}

func (r *optionalReader) exact(name string) string {
	s, is := r.claims.text(name)
	if is == wrongType {
		r.ignored = append(r.ignored, name)
	}
	return s
}

// readOptional fills the optional parts of l and returns the names of ignored claims.
func readOptional(c object, reg Registration, l *Launch) []string {
	r := &optionalReader{claims: c}
	l.User.Name = r.text("name")
	l.User.GivenName = r.text("given_name")
	l.User.FamilyName = r.text("family_name")
	l.User.Email = email(r.exact("email"))
	l.User.Locale = locale(r.text("locale"))

	var course object
	if l.MessageType != MessageDataPrivacy { // such a message must have none (Data Privacy Launch 1.0)
		course = r.object(claimContext)
	}
	l.Context = Context{ID: course.id("id"), Label: course.plain("label"), Title: course.plain("title")}

	platform := r.object(claimPlatform)
	l.Platform = Platform{
		GUID:          platform.id("guid"),
		Name:          platform.plain("name"),
		ProductFamily: platform.plain("product_family_code"),
		Version:       platform.plain("version"),
	}
	platformURL, _ := platform.text("url")

	p := r.object(claimPresentation)
	returnURL, _ := p.text("return_url")
	l.Presentation = Presentation{
		ReturnURL:      reg.platformURL("the return URL", returnURL, platformURL),
		Locale:         locale(p.plain("locale")),
		DocumentTarget: documentTarget(p.plain("document_target")),
	}
	l.Custom = custom(r.object(claimCustom))
	l.Context.History = history(l.Custom)
	r.service = func(o object, name string) string {
		address := o.url(name)
		ours := reg.platformURL(name, address, platformURL)
		if ours != address { // a token must not go there
			r.ignored = append(r.ignored, name+" on a foreign host")
		}
		return ours
	}
	l.AGS = r.ags()
	l.NRPS = NRPS{URL: r.service(r.object(claimNRPS), "context_memberships_url")}
	l.Notices = r.notices()
	if slices.ContainsFunc(l.Roles, func(role string) bool { return strings.HasPrefix(role, misspelledRole) }) {
		r.ignored = append(r.ignored, "roles with https in place of http")
	}
	return r.ignored
}

// historyNames are the custom parameters under which the context's history is asked for.
var historyNames = []string{"context_history", "ctx_hist"}

const maxHistory = 50

// history reads the contexts from which this one was copied, the nearest first
// (Context.id.history: ids separated by commas).
func history(custom map[string]string) []string {
	for _, name := range historyNames {
		var ids []string
		for id := range strings.SplitSeq(custom[name], ",") {
			if id = strings.TrimSpace(id); id != "" && len(id) <= maxIDLength && len(ids) < maxHistory {
				ids = append(ids, id)
			}
		}
		if len(ids) > 0 {
			return ids
		}
	}
	return nil
}

// id returns an identifier as it is, or nothing when it is too long or not printable.
func (o object) id(name string) string {
	s, _ := o.text(name)
	if len(s) > maxIDLength || strings.ContainsFunc(s, isControl) {
		return ""
	}
	return s
}

func (o object) plain(name string) string {
	s, _ := o.text(name)
	return plain(s, maxTitle)
}

func (o object) url(name string) string {
	s, _ := o.text(name)
	if validateURL(name, s) != nil {
		return ""
	}
	return s
}

// ags reads the endpoint claim (AGS 2.0, section 3.1); without scopes it is of no use.
func (r *optionalReader) ags() AGS {
	o := r.object(claimAGS)
	scopes, is := o.texts("scope")
	if is != present {
		return AGS{}
	}
	return AGS{Scopes: scopes, LineItems: r.service(o, "lineitems"), LineItem: r.service(o, "lineitem")}
}

// notices reads the claim of the notification service (PNS 1.0, section 3).
func (r *optionalReader) notices() Notices {
	o := r.object(claimNotices)
	types, _ := o.texts("notice_types_supported")
	scopes, _ := o.texts("scope")
	return Notices{URL: r.service(o, "platform_notification_service_url"), Types: types, Scopes: scopes}
}

// custom reads the custom parameters: numbers and booleans become text; null, lists,
// objects and variables that the platform did not resolve are left out.
func custom(o object) map[string]string {
	if len(o) == 0 || len(o) > maxCustom {
		return nil
	}
	values := make(map[string]string, len(o))
	for name := range o {
		raw, ok := o.raw(name)
		if !ok || len(raw) > maxCustomValue {
			continue
		}
		switch raw[0] {
		case '"':
			if s, is := o.text(name); is == present && !unresolved.MatchString(s) {
				values[name] = strings.ReplaceAll(s, "\x00", "")
			}
		case '{', '[':
		default:
			values[name] = string(raw)
		}
	}
	return values
}

// clean makes text from outside fit to be kept and shown: without control characters and
// those that change the reading direction, at most limit characters long.
func clean(s string, limit int) string {
	if len(s) <= limit && plainASCII(s) {
		return strings.TrimSpace(s)
	}
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case isControl(r) || isBidiControl(r):
			return -1
		}
		return r
	}, s))
	if len(s) <= limit {
		return s
	}
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit])
	}
	return s
}

// plain cleans text in which platforms send markup.
func plain(s string, limit int) string {
	if strings.ContainsAny(s, "<&") {
		s = html.UnescapeString(markup.ReplaceAllString(s, ""))
	}
	return clean(s, limit)
}

func email(s string) string {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > maxEmail || strings.ContainsFunc(s, isControl) {
		return ""
	}
	return s
}

// locale returns a BCP 47 tag; Moodle writes pt_br for pt-br.
func locale(s string) string {
	if len(s) > 35 || !languageTag.MatchString(s) {
		return ""
	}
	return strings.ReplaceAll(s, "_", "-")
}

func documentTarget(s string) string {
	switch s {
	case "frame", "iframe", "window":
		return s
	}
	return ""
}
