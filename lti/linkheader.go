package lti

import "strings"

// related returns the target of the first link with the relation in Link headers (RFC
// 8288), or nothing. It is lenient where platforms are: Moodle writes typographic quotes
// around the relation and &amp; in the address; names come in any case. The address keeps
// its case.
func related(headers []string, relation string) string {
	for _, header := range headers {
		for rest := header; ; {
			_, after, ok := strings.Cut(rest, "<")
			if !ok {
				break
			}
			target, parameters, ok := strings.Cut(after, ">")
			if !ok {
				break
			}
			parameters, rest = untilNextLink(parameters)
			if hasRelation(parameters, relation) {
				return strings.ReplaceAll(strings.TrimSpace(target), "&amp;", "&")
			}
		}
	}
	return ""
}

// untilNextLink splits at the comma that ends a link; commas in quotes do not.
func untilNextLink(s string) (parameters, rest string) {
	quoted := false
	for i := range len(s) {
		switch s[i] {
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				return s[:i], s[i+1:]
			}
		}
	}
	return s, ""
}

// plainQuotes are the quotes found around relations in the wild.
var plainQuotes = strings.NewReplacer("\u201C", `"`, "\u201D", `"`, "\u201E", `"`, "'", `"`)

func hasRelation(parameters, wanted string) bool {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		value = strings.Trim(strings.TrimSpace(plainQuotes.Replace(value)), `"`)
		for relation := range strings.FieldsSeq(value) {
			if strings.EqualFold(relation, wanted) {
				return true
			}
		}
	}
	return false
}
