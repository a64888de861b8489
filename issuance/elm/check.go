package elm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	iriForm      = regexp.MustCompile("^[a-z][a-z0-9+.-]*:[^\\s<>\"{}|\\\\^`\\x00-\\x20]+$")
	languageForm = regexp.MustCompile(`^[a-z]{2,3}$`)
	durationForm = regexp.MustCompile(`^P(\d+Y)?(\d+M)?(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?$`)
)

// Check says whether payload may be sealed for in. It applies the rules of the official
// shapes (cardinality, class, datatype, concept scheme) to the bytes themselves, refuses
// members and classes the model does not have and node ids that would merge different
// content, and compares the payload with the input: ids, dates, learner, issuer, awarding
// body, title and address of verification. It returns Problems, or an error wrapping
// ErrNotCredential for bytes that are no JSON object.
func Check(payload []byte, in Input) error {
	root, err := parse(payload)
	if err != nil {
		return err
	}
	p := in.problems()
	c := checker{seen: map[string]node{}}
	c.root(root)
	c.issuerAndMandate(root, in)
	p = append(p, c.Problems...)
	p.compare(root, in)
	return p.err()
}

type checker struct {
	Problems
	seen map[string]node
}

func (c *checker) root(root node) {
	want := []any{contextVC, contextEDC}
	if !reflect.DeepEqual(root["@context"], any(want)) {
		c.add("@context", "is not the two contexts of a European Digital Credential, in their order")
	}
	if !reflect.DeepEqual(root["type"], any([]any{"VerifiableCredential", "EuropeanDigitalCredential"})) {
		c.add("type", "is not VerifiableCredential and EuropeanDigitalCredential")
		return
	}
	c.object(root, "EuropeanDigitalCredential", "")
}

// object checks one object of a class and everything below it.
func (c *checker) object(n node, class, path string) {
	rules, known := classRules[class]
	if !known {
		c.add(path, "%s is no class that we write", class)
		return
	}
	id := n.str("id")
	if !iriForm.MatchString(id) {
		c.add(join(path, "id"), "%q is no IRI", id)
	}
	if before, ok := c.seen[id]; ok {
		if reflect.DeepEqual(before, n) {
			return // the same object again, checked before
		}
		c.add(path, "the id %s is also that of another content; RDF would merge the two", id)
	}
	c.seen[id] = n
	for _, r := range rules {
		c.member(n, r, path)
	}
	c.strangers(n, rules, path)
}

func join(path, member string) string { return strings.TrimPrefix(path+"."+member, ".") }

// strangers refuses members without a rule, in a stable order.
func (c *checker) strangers(n node, rules []rule, path string) {
	var odd []string
	for member := range n {
		if member == "id" || member == "type" || member == "@context" && path == "" {
			continue
		}
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.member == member }) {
			odd = append(odd, member)
		}
	}
	slices.Sort(odd)
	for _, member := range odd {
		c.add(join(path, member), "is no member of its class here")
	}
}

func (c *checker) member(n node, r rule, path string) {
	at := join(path, r.member)
	values := n.list(r.member)
	if len(values) < r.least {
		c.add(at, "is missing")
	}
	if r.most > 0 && len(values) > r.most {
		c.add(at, "stands %d times, at most %d allowed", len(values), r.most)
	}
	for i, v := range values {
		if _, many := n[r.member].([]any); many {
			c.value(v, r.what, at+"["+strconv.Itoa(i)+"]")
		} else {
			c.value(v, r.what, at)
		}
	}
}

func (c *checker) value(v any, what, path string) {
	switch what {
	case kindText, kindOneText:
		c.text(v, what, path)
	case kindString, kindMoment, kindDuration, kindURL, kindImage:
		s, ok := v.(string)
		if !ok || !literalOK(s, what) {
			c.add(path, "%.40q is no %s", s, what)
		}
	case kindPositive:
		n, _ := v.(json.Number)
		if i, err := n.Int64(); err != nil || i < 1 {
			c.add(path, "is no positive whole number")
		}
	case kindBoolean:
		if _, ok := v.(bool); !ok {
			c.add(path, "is neither true nor false")
		}
	default:
		c.reference(v, what, path)
	}
}

// reference checks an object of a class, or a concept of a scheme.
func (c *checker) reference(v any, what, path string) {
	n, ok := v.(node)
	if !ok {
		c.add(path, "is no object")
		return
	}
	class := what
	if strings.Contains(what, ":") {
		class = anyConcept
		if got := n.node("inScheme").str("id"); got != what {
			c.add(join(path, "inScheme"), "is %q, not the list %s", got, what)
		}
	}
	if n["type"] != class {
		c.add(join(path, "type"), "is %v, not %s", n["type"], class)
		return
	}
	c.object(n, class, path)
}

func literalOK(s, kind string) bool {
	switch kind {
	case kindMoment:
		_, err := time.Parse(time.RFC3339, s)
		return err == nil
	case kindDuration:
		return durationForm.MatchString(s) && strings.ContainsAny(s, "0123456789") && !strings.HasSuffix(s, "T")
	case kindURL:
		u, err := url.Parse(s)
		return err == nil && u.IsAbs() && u.Host != "" && iriForm.MatchString(s)
	case kindImage:
		raw, err := base64.StdEncoding.DecodeString(s)
		return err == nil && bytes.HasPrefix(raw, []byte(pngMagic))
	default:
		return s != ""
	}
}

// text checks a language map: language codes, each with one or more texts that are not empty.
func (c *checker) text(v any, kind, path string) {
	n, ok := v.(node)
	if !ok || len(n) == 0 {
		c.add(path, "is no text with a language")
		return
	}
	count := 0
	for lang := range n {
		if !languageForm.MatchString(lang) || len(n.list(lang)) == 0 {
			c.add(path, "%q is no language with a text", lang)
		}
		for _, one := range n.list(lang) {
			count++
			if s, ok := one.(string); !ok || strings.TrimSpace(s) == "" {
				c.add(path, "the text in %s is empty", lang)
			}
		}
	}
	if kind == kindOneText && count != 1 {
		c.add(path, "stands in %d languages, only one is allowed", count)
	}
}

// issuerAndMandate checks what the shapes demand of an issuer beyond any organisation, and
// that evidence, profile and schema of a mandate stand together or not at all.
func (c *checker) issuerAndMandate(root node, in Input) {
	if len(root.node("issuer").nodes("eIDASIdentifier")) != 1 {
		c.add("issuer.eIDASIdentifier", "is missing")
	}
	var statement, profile, schema bool
	for _, e := range root.nodes("evidence") {
		statement = statement || e.str("evidenceStatement") == mandateStatement
		if e.str("evidenceStatement") == "" {
			c.add("evidence.evidenceStatement", "is missing")
		}
	}
	for _, p := range root.nodes("credentialProfiles") {
		profile = profile || strings.HasSuffix(p.str("id"), "/c_9a31f32a")
	}
	for _, s := range root.nodes("credentialSchema") {
		schema = schema || s.str("id") == schemaMandate
	}
	want := in.ByMandate()
	if statement != want || profile != want || schema != want {
		c.add("evidence", "mandate: statement %v, profile %v, schema %v; all three must be %v", statement, profile, schema, want)
	}
	if first := root.nodes("credentialSchema"); len(first) > 0 && first[0].str("id") != schemaGeneric {
		c.add("credentialSchema", "does not begin with %s", schemaGeneric)
	}
}

// compare wants the payload to say what the input says.
func (p *Problems) compare(root node, in Input) {
	lang, content := in.primary(), in.Version.Content
	until := ""
	if end := in.ValidUntil(); !end.IsZero() {
		until = moment(end)
	}
	subject, issuer := root.node("credentialSubject"), root.node("issuer")
	claim := subject.node("hasClaim")
	body := claim.node("awardedBy").node("awardingBody")
	verify := ""
	for _, doc := range claim.nodes("supplementaryDocument") {
		verify = doc.str("contentURL")
	}
	outcomes := make([]string, 0, len(content.Outcomes))
	for _, o := range claim.node("specifiedBy").nodes("learningOutcome") {
		outcomes = append(outcomes, o.first("title", lang))
	}
	wanted := make([]string, 0, len(content.Outcomes))
	for _, o := range content.Outcomes {
		wanted = append(wanted, o.Title.In(lang))
	}
	for _, pair := range []struct{ path, got, want string }{
		{"id", root.str("id"), urnPrefix + in.CredentialID},
		{"identifier", root.node("identifier").str("notation"), in.Number},
		{"issued", root.str("issued"), moment(in.IssuedAt)},
		{"issuanceDate", root.str("issuanceDate"), moment(in.IssuedAt)},
		{"validFrom", root.str("validFrom"), moment(in.IssuedAt)},
		{"validUntil", root.str("validUntil"), until},
		{"expirationDate", root.str("expirationDate"), until},
		{"awardingDate", claim.node("awardedBy").str("awardingDate"), moment(in.AwardedAt)},
		{"credentialSubject.fullName", subject.first("fullName", lang), in.Learner.FullName()},
		{"credentialSubject.givenName", subject.first("givenName", lang), in.Learner.GivenName},
		{"credentialSubject.familyName", subject.first("familyName", lang), in.Learner.FamilyName},
		{"credentialSubject.identifier", subject.node("identifier").str("notation"), in.Learner.Identifier},
		{"issuer.legalName", issuer.first("legalName", lang), in.Issuer.Organisation},
		{"issuer.eIDASIdentifier", issuer.node("eIDASIdentifier").str("notation"), in.Issuer.OrganisationIdentifier},
		{"awardingBody.legalName", body.first("legalName", lang), in.Awarding.Name.In(lang)},
		{"awardingBody.eIDASIdentifier", body.node("eIDASIdentifier").str("notation"), in.Awarding.Identifier},
		{"displayParameter.title", root.node("displayParameter").first("title", lang), content.Title.In(lang)},
		{"hasClaim.title", claim.first("title", lang), content.Title.In(lang)},
		{"learningOutcome", strings.Join(outcomes, "\n"), strings.Join(wanted, "\n")},
		{"supplementaryDocument", verify, in.VerifyURL},
		{"additionalNote", replaced(claim), in.replaces()},
	} {
		if pair.got != pair.want {
			p.add(pair.path, "is %q in the payload, but %q was to be sealed", pair.got, pair.want)
		}
	}
}
