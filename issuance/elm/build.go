package elm

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/vocab"
)

// The two contexts and the schemas of a credential that we write.
const (
	contextVC     = "https://www.w3.org/2018/credentials/v1"
	contextEDC    = "http://data.europa.eu/snb/model/context/edc-ap"
	schemaGeneric = "http://data.europa.eu/snb/model/ap/edc-generic-full"
	schemaMandate = "http://data.europa.eu/snb/model/ap/edc-issued-by-mandate"
	schemaType    = "ShaclValidator2017"
	urnPrefix     = "urn:credential:" // and a UUID: the id of a credential
	pngMagic      = "\x89PNG\r\n\x1a\n"
)

// Build returns the payload of the credential: the exact bytes to be sealed, compact JSON
// in UTF-8 without HTML escapes. It wants at least one page; a page in a language that the
// template does not have is refused. It returns Problems for an Input not fit to be sealed.
func Build(in Input, pages ...Page) ([]byte, error) {
	p := in.problems()
	if len(pages) == 0 {
		p.add("pages", "a credential needs the picture of its page in at least one language")
	}
	b := &builder{in: in, langs: in.Version.Content.Languages}
	for _, page := range pages {
		if !b.speaks(page.Language) {
			p.add("pages", "there is a page in %q, a language that the template does not have", page.Language)
		}
		if !bytes.HasPrefix(page.PNG, []byte(pngMagic)) {
			p.add("pages", "the page in %q is no PNG image", page.Language)
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	c := b.credential(pages)
	p = append(p, b.unknown...)
	if err := p.err(); err != nil {
		return nil, err
	}
	return encode(c)
}

func encode(c credential) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("encode credential: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// builder gives every node of one credential its id and remembers what could not be coded.
type builder struct {
	in      Input
	langs   []string
	counts  map[string]int
	unknown Problems
	grade   func(lang string) string // what stands for the result while a form is made; nil: the result
}

func (b *builder) speaks(lang string) bool {
	return slices.Contains(b.langs, lang)
}

// id returns the next id of a kind, urn:epass:<kind>:<n>. Nodes of different content never
// share an id, because RDF would merge them.
func (b *builder) id(kind string) string {
	if b.counts == nil {
		b.counts = map[string]int{}
	}
	b.counts[kind]++
	return "urn:epass:" + kind + ":" + strconv.Itoa(b.counts[kind])
}

// text turns a text of the template into a language map of the languages of the content.
func (b *builder) text(t templates.Text) text {
	out := text{}
	for _, l := range b.langs {
		if t[l] != "" {
			out[l] = []string{t[l]}
		}
	}
	if len(out) == 0 { // the name of an organisation may be in other languages than the course
		for l, s := range t {
			if s != "" {
				out[l] = []string{s}
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// say writes one of our own sentences in every language of the content that we speak, and
// in English when we speak none of them.
func (b *builder) say(sentence func(w words, lang string) string) text {
	out := text{}
	for _, l := range b.langs {
		if w, ok := allWords[l]; ok {
			out[l] = []string{sentence(w, l)}
		}
	}
	if len(out) == 0 {
		out["en"] = []string{sentence(allWords["en"], "en")}
	}
	return out
}

func (b *builder) plain(s string) text { return text{b.langs[0]: {s}} }

func (b *builder) concept(l *vocab.List, code, field string) concept {
	t, ok := l.Lookup(code)
	if !ok {
		b.unknown.add(field, "%q is not a code of its list", code)
		return concept{}
	}
	labels := text{"en": {t.Label("en")}}
	for _, lang := range b.langs {
		if s := t.Labels[lang]; s != "" {
			labels[lang] = []string{s}
		}
	}
	return conceptOf(t.URI, t.Scheme, labels)
}

func conceptOf(uri, scheme string, labels text) concept {
	return concept{ID: uri, Type: "Concept", InScheme: reference{ID: scheme, Type: "ConceptScheme"}, PrefLabel: labels}
}

// free makes a concept of no list, under a scheme of its own.
func (b *builder) free(labels text) *concept {
	c := conceptOf(b.id("concept"), b.id("conceptScheme"), labels)
	return &c
}

func (b *builder) note(literal text, subject *concept) *note {
	if literal == nil {
		return nil
	}
	return &note{ID: b.id("note"), Type: "Note", NoteLiteral: literal, Subject: subject}
}

func moment(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

func (b *builder) credential(pages []Page) credential {
	in := b.in
	c := credential{
		ID:                 urnPrefix + in.CredentialID,
		Type:               []string{"VerifiableCredential", "EuropeanDigitalCredential"},
		CredentialProfiles: []concept{b.concept(vocab.CredentialProfiles, "generic", "credentialProfiles")},
		CredentialSchema:   []schema{{ID: schemaGeneric, Type: schemaType}},
		IssuanceDate:       moment(in.IssuedAt),
		Issued:             moment(in.IssuedAt),
		ValidFrom:          moment(in.IssuedAt),
		Context:            []string{contextVC, contextEDC},
	}
	if in.Number != "" {
		c.Identifier = []identifier{{ID: b.id("identifier"), Type: "Identifier", Notation: in.Number, SchemeName: "Certificate number"}}
	}
	c.DisplayParameter = b.display(pages)
	body := b.awardingBody()
	c.Issuer = b.issuer(body)
	c.CredentialSubject = b.subject(body)
	if in.ByMandate() {
		c.CredentialProfiles = append(c.CredentialProfiles, b.concept(vocab.CredentialProfiles, "mandated", "credentialProfiles"))
		c.CredentialSchema = append(c.CredentialSchema, schema{ID: schemaMandate, Type: schemaType})
		c.Evidence = []evidence{{
			ID: "urn:epass:evidence:" + in.CredentialID, Type: "Evidence",
			DcType: b.concept(vocab.EvidenceTypes, "mandate", "evidence"), EvidenceTarget: body, EvidenceStatement: mandateStatement,
		}}
	}
	return c
}

func (b *builder) display(pages []Page) displayParameter {
	content := b.in.Version.Content
	d := displayParameter{
		ID: b.id("displayParameter"), Type: "DisplayParameter",
		Title:           b.text(content.Title),
		Description:     b.text(content.Description),
		PrimaryLanguage: b.concept(vocab.Languages, b.langs[0], "languages"),
	}
	for _, l := range b.langs {
		d.Language = append(d.Language, b.concept(vocab.Languages, l, "languages"))
	}
	for _, page := range pages {
		d.IndividualDisplay = append(d.IndividualDisplay, individualDisplay{
			ID: b.id("individualDisplay"), Type: "IndividualDisplay",
			Language: b.concept(vocab.Languages, page.Language, "languages"),
			DisplayDetail: []displayDetail{{
				ID: b.id("displayDetail"), Type: "DisplayDetail", Page: 1,
				Image: mediaObject{
					ID: b.id("mediaObject"), Type: "MediaObject", Content: page.PNG,
					ContentEncoding: b.concept(vocab.Encodings, "base64", "pages"),
					ContentType:     b.concept(vocab.FileTypes, "png", "pages"),
				},
			}},
		})
	}
	return d
}

func (b *builder) legal(id, notation, country, field string) *legalIdentifier {
	if notation == "" {
		return nil
	}
	return &legalIdentifier{ID: id, Type: "LegalIdentifier", Notation: notation, Spatial: b.concept(vocab.Countries, country, field)}
}

func (b *builder) awardingBody() organisation {
	o := b.in.Awarding
	org := organisation{ID: b.id("org"), Type: "Organisation", LegalName: b.text(o.Name)}
	place := address{ID: b.id("address"), Type: "Address", CountryCode: b.concept(vocab.Countries, o.Country, "Awarding.Country")}
	if o.Address != "" {
		place.FullAddress = b.note(b.plain(o.Address), nil)
	}
	org.Location = []location{{ID: b.id("location"), Type: "Location", Address: []address{place}}}
	if o.Registration != "" {
		org.Registration = b.legal(b.id("legalIdentifier"), o.Registration, o.Country, "Awarding.Country")
	}
	org.EIDASIdentifier = b.legal(b.id("legalIdentifier"), o.Identifier, o.Country, "Awarding.Country")
	if o.Homepage != "" {
		org.Homepage = []webResource{{ID: b.id("webResource"), Type: "WebResource", ContentURL: o.Homepage}}
	}
	if o.Email != "" {
		org.ContactPoint = b.contact(o.Email)
	}
	return org
}

// issuer is written from the certificate alone, the way Europass rewrites it before sealing.
// Under one's own seal the address, homepage and contact of the awarding body are added.
func (b *builder) issuer(body organisation) organisation {
	facts := b.in.Issuer
	country := b.concept(vocab.Countries, facts.Country, "Issuer.Country")
	org := organisation{
		ID: IssuerID(facts), Type: "Organisation",
		LegalName: b.plain(facts.Organisation),
		Location: []location{{
			ID: "urn:certificateLocation:1", Type: "Location",
			Address: []address{{ID: "urn:certificateAddress:1", Type: "Address", CountryCode: country}},
		}},
		EIDASIdentifier: &legalIdentifier{
			ID: "urn:certificateIdentifier:1", Type: "LegalIdentifier",
			Notation: facts.OrganisationIdentifier, Spatial: country,
		},
	}
	if facts.CommonName != "" {
		org.AltLabel = b.plain(facts.CommonName)
	}
	if !b.in.ByMandate() {
		org.Location = append(body.Location[:1:1], org.Location...)
		org.Registration, org.Homepage, org.ContactPoint = body.Registration, body.Homepage, body.ContactPoint
	}
	return org
}

// IssuerID is the id under which credentials name whoever holds a seal, a URN with a UUID made
// from the facts: one seal holder has one node, never that of an organisation known from
// elsewhere, which may have another legal name.
func IssuerID(f hsm.SealFacts) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{f.Organisation, f.CommonName, f.OrganisationIdentifier, f.Country}, "\x00")))
	id, _ := uuid.FromBytes(sum[:16]) // 16 bytes are always a UUID
	return "urn:epass:org:" + id.String()
}

func (b *builder) contact(email string) []contactPoint {
	return []contactPoint{{
		ID: b.id("contactPoint"), Type: "ContactPoint",
		EmailAddress: []reference{{ID: mailto(email), Type: "Mailbox"}},
	}}
}

// mailto escapes what an address may contain and an IRI may not (RFC 6068, section 2).
func mailto(email string) string {
	const keep = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$'()*+,;:@"
	var out strings.Builder
	out.WriteString("mailto:")
	for i := range len(email) {
		if c := email[i]; strings.IndexByte(keep, c) >= 0 || c >= 0x80 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

func (b *builder) subject(body organisation) person {
	l := b.in.Learner
	p := person{ID: b.id("person"), Type: "Person", FullName: b.plain(l.FullName())}
	if l.GivenName != "" {
		p.GivenName = b.plain(l.GivenName)
	}
	if l.FamilyName != "" {
		p.FamilyName = b.plain(l.FamilyName)
	}
	if l.Identifier != "" {
		p.Identifier = []identifier{{
			ID: b.id("identifier"), Type: "Identifier", Notation: l.Identifier,
			SchemeName: "Identifier in the learning platform",
		}}
	}
	if l.Email != "" {
		p.ContactPoint = b.contact(l.Email)
	}
	p.HasClaim = []achievement{b.achievement(body)}
	return p
}
