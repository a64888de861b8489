package web

import (
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/templates"
)

// row is one element of a credential as a page shows it.
type row struct {
	Key, Label string
	Values     []string
}

func contentRows(c *elm.Content) []row {
	if c == nil {
		return nil
	}
	rows := make([]row, 0, len(c.Elements))
	for _, e := range c.Elements {
		rows = append(rows, row{Key: e.Key, Label: e.Label, Values: e.Values})
	}
	return rows
}

// draft is a credential that does not exist yet.
type draft struct {
	organisation   templates.Organisation
	version        templates.Version
	learner        elm.Learner
	score, maximum float64
}

// previewID and previewPage stand in for what is made at sealing and shown by no element.
const (
	previewID   = "00000000-0000-4000-8000-000000000000"
	previewPage = "\x89PNG\r\n\x1a\n"
)

// preview returns the elements and the content that will be read from the credential once it is sealed. It builds the
// very payload and reads it as a verifier would: what a learner agrees to cannot differ
// from what is sealed.
func (s *Web) preview(d draft) ([]row, elm.Content, error) {
	now := s.deps.Now().UTC().Truncate(time.Second)
	lang := pageLanguage
	if len(d.version.Content.Languages) > 0 {
		lang = d.version.Content.Languages[0]
	}
	payload, err := elm.Build(elm.Input{
		CredentialID: previewID, Number: "-", IssuedAt: now, AwardedAt: now, Issuer: s.issuer(d.organisation), Awarding: d.organisation,
		Version: d.version, Learner: d.learner, Score: d.score, Maximum: d.maximum, VerifyURL: s.deps.PublicURL.JoinPath("c", "-").String(),
	}, elm.Page{Language: lang, PNG: []byte(previewPage)})
	if err != nil {
		return nil, elm.Content{}, fmt.Errorf("build the preview: %w", err)
	}
	content, err := elm.ReadIn(payload, pageLanguage)
	if err != nil {
		return nil, elm.Content{}, fmt.Errorf("read the preview: %w", err)
	}
	return contentRows(&content), content, nil
}

// issuer is whoever seals. While no token was seen, the awarding organisation stands in,
// so that teachers and learners can look at everything else.
func (s *Web) issuer(o templates.Organisation) hsm.SealFacts {
	if facts := s.deps.Sealing(o.Slug).Issuer; facts.Organisation != "" && facts.OrganisationIdentifier != "" {
		return facts
	}
	name := words(o.Name).Text
	return hsm.SealFacts{Organisation: name, CommonName: name, OrganisationIdentifier: o.Identifier, Country: o.Country}
}

// outcomeWords are the learning outcomes for a page.
func outcomeWords(c templates.Content) []Words {
	out := make([]Words, 0, len(c.Outcomes))
	for _, o := range c.Outcomes {
		out = append(out, words(o.Title))
	}
	return out
}
