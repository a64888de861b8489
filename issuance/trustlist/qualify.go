package trustlist

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// Code says what a seal is by the trusted lists.
type Code string

// The codes.
const (
	// CodeQualified: a qualified electronic seal (Regulation (EU) 910/2014 article 3 (27)).
	CodeQualified Code = "qualified_seal"
	// CodeAdvanced: an advanced seal based on a qualified certificate; nothing shows that its key
	// is in a qualified device.
	CodeAdvanced Code = "advanced_seal_qualified_certificate"
	// CodeNotQualified: the authority is on a list, and the seal is neither of the two.
	CodeNotQualified Code = "not_qualified"
	// CodeNotListed: the authority is not on the list of its country.
	CodeNotListed Code = "not_listed"
	// CodeUnknown: the lists that are here do not answer.
	CodeUnknown Code = "unknown"
)

// Qualification is the answer of Qualify.
type Qualification struct {
	Code Code `json:"code"`
	// Words say it in a sentence for somebody who recognises credentials, in English.
	Words string `json:"words"`
	// Reasons say in sentences what the answer rests on, and what to do when it is unknown.
	Reasons []string `json:"reasons,omitempty"`
	// Territory and Issued name the list; empty when none was found.
	Territory string    `json:"territory,omitempty"`
	Issued    time.Time `json:"list_issued,omitzero"`
	// At is the time that was asked about.
	At time.Time `json:"at,omitzero"`
}

// match is a service that issued a certificate, and the list that it stands on.
type match struct {
	list    *List
	service *Service
}

// opinion is what one service makes of a certificate at one time.
type opinion struct {
	code    Code
	reasons []string
	aside   bool // the service was not in good standing, or is not there for seals
}

// Qualify says what a seal with the certificate leaf is at a time, usually the one at which it
// is proven to exist, else now (TS 119 615 sections 4.4 to 4.6, in the small): the certificate
// must be qualified both when it was issued and at that time. The chain holds further
// certificates in any order. It does not ask whether seal and certificate hold otherwise.
func (s *Store) Qualify(leaf *x509.Certificate, chain []*x509.Certificate, at time.Time) Qualification {
	q := Qualification{Code: CodeUnknown, At: at.UTC()}
	switch {
	case leaf == nil:
		q.Words = "There is no certificate that the trusted lists could be asked about."
		return q
	case s.lotl == nil || len(s.usable()) == 0:
		return NoList()
	}
	found, unread := s.issuers(leaf, chain)
	if len(found) == 0 {
		return s.unlisted(q, leaf, unread)
	}
	list := found[0].list
	q.Territory, q.Issued = list.Territory, list.Issued
	issued, now := opinionAt(found, leaf, leaf.NotBefore), opinionAt(found, leaf, at)
	q.Code, q.Reasons = now.code, now.reasons
	if wasQualified := issued.code == CodeQualified || issued.code == CodeAdvanced; !wasQualified && now.code != CodeNotQualified {
		q.Code = issued.code
		q.Reasons = append([]string{"It counts what the certificate was when it was issued, on " + day(leaf.NotBefore) + "."}, issued.reasons...)
	}
	q.Words = words(q.Code, list)
	return s.dated(q, list)
}

// NoList is the answer of those who have no list.
func NoList() Qualification {
	return Qualification{Code: CodeUnknown, Words: "No trusted list of the EU is set up here, so nothing is said about whether the seal is a qualified one.", Reasons: []string{
		"The operator of this verification can import the lists: sealsmith trust import.",
	}}
}

func words(code Code, l *List) string {
	switch code {
	case CodeQualified:
		return fmt.Sprintf("This is a qualified electronic seal according to %s.", l.words())
	case CodeAdvanced:
		return fmt.Sprintf("This is an advanced electronic seal based on a qualified certificate, according to %s.", l.words())
	case CodeNotQualified:
		return fmt.Sprintf("This is not a qualified electronic seal according to %s.", l.words())
	default:
		return fmt.Sprintf("Whether this is a qualified electronic seal cannot be said from %s.", l.words())
	}
}

// words name a list in a sentence.
func (l *List) words() string {
	return fmt.Sprintf("the trusted list of %s of %s", Country(l.Territory), day(l.Issued))
}

// dated makes an answer unknown that a list gives about a time after its end, and says so of
// one about a time before.
func (s *Store) dated(q Qualification, list *List) Qualification {
	for _, l := range []*List{list, s.lotl} {
		name := l.words()
		if l == s.lotl {
			name = "the list of the lists of " + day(l.Issued)
		}
		switch {
		case l.Stale(q.At):
			if q.Code != CodeUnknown {
				q.Reasons = append([]string{"What the list says: " + q.Words}, q.Reasons...)
			}
			q.Code = CodeUnknown
			q.Words = fmt.Sprintf("Whether this is a qualified electronic seal is not known: %s ran out on %s, and no newer one is here.", name, day(l.NextUpdate))
			q.Reasons = append(q.Reasons, "The operator of this verification can import the present lists: sealsmith trust import.")
			return q
		case l.Stale(s.now()):
			q.Reasons = append(q.Reasons, fmt.Sprintf("It is about %s; since then %s ran out, on %s, and no newer one is here.", day(q.At), name, day(l.NextUpdate)))
		}
	}
	return q
}

// maxChain is how many authorities may stand one above the other.
const maxChain = 6

// issuers finds the services that issued the certificate, directly or as the nearest above
// it. A service counts by its key: the signature on the certificate below must fit. Of those
// that could be meant but cannot be compared, unread says the lists.
func (s *Store) issuers(leaf *x509.Certificate, chain []*x509.Certificate) (found []match, unread []*List) {
	child := leaf
	for range maxChain {
		var parent *x509.Certificate
		for _, c := range chain {
			if parent == nil && !c.Equal(child) && signs(c, child) {
				parent = c
			}
		}
		for _, l := range s.usable() {
			for i := range l.Services {
				service := &l.Services[i]
				switch {
				case service.Type != TypeCA:
				case service.issued(child, parent):
					found = append(found, match{l, service})
				case service.mayHaveIssued(child):
					unread = append(unread, l)
				}
			}
		}
		if len(found) > 0 || parent == nil {
			return found, unread
		}
		child = parent
	}
	return nil, unread
}

func signs(parent, child *x509.Certificate) bool {
	return bytes.Equal(parent.RawSubject, child.RawIssuer) && parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) == nil
}

// issued says whether the key of the service signed a certificate. Parent is the certificate
// that did, when it is known.
func (s *Service) issued(child, parent *x509.Certificate) bool {
	for _, c := range s.Certificates {
		if signs(c.Certificate, child) {
			return true
		}
	}
	return parent != nil && slices.ContainsFunc(s.KeyIDs, func(id []byte) bool { return bytes.Equal(id, parent.SubjectKeyId) })
}

// mayHaveIssued says whether the service has the name or the key identifier of the issuer,
// but no certificate that can be read.
func (s *Service) mayHaveIssued(child *x509.Certificate) bool {
	return slices.ContainsFunc(s.Unread, func(der []byte) bool { return bytes.Contains(der, child.RawIssuer) }) ||
		len(child.AuthorityKeyId) > 0 && slices.ContainsFunc(s.KeyIDs, func(id []byte) bool { return bytes.Equal(id, child.AuthorityKeyId) })
}

// unlisted is the answer when no service fits: whether that says something depends on whether
// the list of the country is here.
func (s *Store) unlisted(q Qualification, leaf *x509.Certificate, unread []*List) Qualification {
	if len(unread) > 0 {
		q.Territory, q.Issued, q.Words = unread[0].Territory, unread[0].Issued, words(CodeUnknown, unread[0])
		q.Reasons = []string{"It names a service like the one that issued this certificate, but not by a certificate that this program can read."}
		return q
	}
	territory := ""
	if len(leaf.Issuer.Country) > 0 {
		territory = territoryOf(leaf.Issuer.Country[0])
	}
	list := s.lists[territory]
	switch {
	case territory == "":
		q.Words = "Whether this is a qualified electronic seal is not known: the authority that issued its certificate names no country."
	case len(s.lotl.signersOf(territory, typeTL)) == 0:
		q.Code = CodeNotListed
		q.Words = fmt.Sprintf("The authority behind this seal is on no trusted list of the European Union: it is from %s, which has none.", Country(territory))
	case list == nil || list.SignerGone:
		q.Words = fmt.Sprintf("Whether this is a qualified electronic seal is not known: the trusted list of %s is not here.", Country(territory))
		q.Reasons = []string{"The operator of this verification can import it: sealsmith trust import."}
	default:
		q.Code, q.Territory, q.Issued = CodeNotListed, list.Territory, list.Issued
		q.Words = fmt.Sprintf("The authority behind this seal is not on %s, so it is not a qualified electronic seal.", list.words())
		return s.dated(q, list)
	}
	return q
}

// opinionAt joins the opinions of all services with the issuer's key: an authority that was
// taken over stands on the list twice. Those aside count only when there is no other.
func opinionAt(found []match, leaf *x509.Certificate, at time.Time) opinion {
	var all, aside []opinion
	for _, m := range found {
		if o := m.opinion(leaf, at); o.aside {
			aside = append(aside, o)
		} else {
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		return aside[0]
	}
	for _, o := range all[1:] {
		if o.code != all[0].code {
			return opinion{code: CodeUnknown, reasons: slices.Concat([]string{"The lists contradict themselves about this authority."}, all[0].reasons, o.reasons)}
		}
	}
	return all[0]
}

func (m match) opinion(leaf *x509.Certificate, at time.Time) opinion {
	who := fmt.Sprintf("The service “%s” of %s", m.service.Name, m.service.Provider)
	p, ok := m.service.At(at)
	switch {
	case !ok:
		return opinion{CodeNotQualified, []string{fmt.Sprintf("%s was not on the list yet on %s.", who, day(at))}, true}
	case len(p.Unsupported) > 0:
		return opinion{CodeUnknown, []string{fmt.Sprintf("%s comes with something that is not understood here: %s.", who, join(p.Unsupported))}, false}
	case !good(p.Status, at):
		return opinion{CodeNotQualified, []string{fmt.Sprintf("%s had the status “%s” on %s, since %s.", who, p.Status, day(at), day(p.Since))}, true}
	case !slices.Contains(p.Additional, forSeals):
		return opinion{CodeNotQualified, []string{fmt.Sprintf("%s was in good standing on %s, but not for certificates of seals.", who, day(at))}, true}
	}
	o := p.judge(leaf)
	o.reasons = append([]string{fmt.Sprintf("%s was in good standing on %s (“%s” since %s), for certificates of seals.", who, day(at), p.Status, day(p.Since))}, o.reasons...)
	return o
}
