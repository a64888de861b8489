package trustlist

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Types of lists (TS 119 612 annex D.5).
const (
	typeLOTL = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUlistofthelists"
	typeTL   = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUgeneric"
)

// parse reads a list from XML. It judges nothing but the form.
func parse(data []byte) (*List, error) {
	var w wireList
	if err := xml.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	s := w.Scheme
	l := &List{
		Territory: strings.ToUpper(strings.TrimSpace(s.Territory)), Operator: english(s.Operator), Type: strings.TrimSpace(s.Type),
		Version: s.Version, Sequence: s.Sequence,
	}
	if l.Version != 5 && l.Version != 6 {
		return nil, fmt.Errorf("%w: version %d of the format is not known; 5 and 6 are", ErrFile, l.Version)
	}
	if l.Type != typeLOTL && l.Type != typeTL {
		return nil, fmt.Errorf("%w: %q is neither the list of the lists of the EU nor a national list of a member state", ErrFile, l.Type)
	}
	if len(l.Territory) != 2 || l.Sequence < 1 {
		return nil, fmt.Errorf("%w: territory or sequence number is missing", ErrFile)
	}
	var err error
	if l.Issued, err = moment(s.Issued); err != nil {
		return nil, fmt.Errorf("%w: date of issue: %w", ErrFile, err)
	}
	if strings.TrimSpace(s.NextUpdate) != "" {
		if l.NextUpdate, err = moment(s.NextUpdate); err != nil {
			return nil, fmt.Errorf("%w: date of the next update: %w", ErrFile, err)
		}
	}
	if l.Type == typeLOTL {
		l.readPointers(s.Pointers)
	}
	for _, p := range w.Providers {
		for _, service := range p.Services {
			l.readService(english(p.Names), service)
		}
	}
	return l, nil
}

func (l *List) note(format string, args ...any) {
	l.Notes = append(l.Notes, fmt.Sprintf(format, args...))
}

// readPointers keeps the pointers to machine-readable lists.
func (l *List) readPointers(all []wirePointer) {
	for _, w := range all {
		p := Pointer{Location: strings.TrimSpace(w.Location)}
		mime := ""
		for _, o := range w.Other {
			p.Type = cmp.Or(p.Type, strings.TrimSpace(o.Type))
			p.Territory = cmp.Or(p.Territory, strings.ToUpper(strings.TrimSpace(o.Territory)))
			mime = cmp.Or(mime, strings.TrimSpace(o.MimeType))
		}
		if mime == "application/pdf" {
			continue
		}
		for _, identity := range w.Identities {
			id := identity.read()
			if n := len(id.unread); n > 0 {
				l.note("The pointer to the list of %s has %d certificates that cannot be read.", p.Territory, n)
			}
			p.Signers = append(p.Signers, id.certificates...)
		}
		l.Pointers = append(l.Pointers, p)
	}
}

// identity is what a wireIdentity says.
type identity struct {
	certificates []Certificate
	keyIDs       [][]byte
	unread       [][]byte // what should be a certificate or a key identifier and cannot be read
}

func (w wireIdentity) read() identity {
	var out identity
	for _, id := range w.IDs {
		if id.Certificate != "" {
			der, err := decode(id.Certificate)
			if err != nil {
				der = nil
			}
			certificate, err := x509.ParseCertificate(der)
			if err != nil {
				out.unread = append(out.unread, der)
				continue
			}
			out.certificates = append(out.certificates, Certificate{certificate})
		}
		if id.SKI != "" {
			ski, err := decode(id.SKI)
			if err != nil || len(ski) == 0 {
				out.unread = append(out.unread, nil)
				continue
			}
			out.keyIDs = append(out.keyIDs, ski)
		}
	}
	return out
}

func (l *List) readService(provider string, w wireService) {
	kind := strings.TrimSpace(w.Now.Type)
	if kind != TypeCA && kind != TypeTSA {
		l.Others++
		return
	}
	s := Service{Type: kind, Provider: provider, Name: english(w.Now.Names)}
	id := w.Now.Identity.read()
	s.Certificates, s.KeyIDs, s.Unread = id.certificates, id.keyIDs, id.unread
	if len(id.unread) > 0 {
		l.note("The service %q of %s has an identity that cannot be read.", s.Name, provider)
	}
	if len(s.Certificates) > 0 {
		s.KeyIDs = nil // the certificate says more
	}
	trouble := ""
	for _, instance := range append([]wireInstance{w.Now}, w.History...) {
		// A service may have had another type before; it then was not what it is now.
		if strings.TrimSpace(instance.Type) != kind {
			instance.Status = "ofanothertype"
		}
		period, err := instance.period()
		switch {
		case err != nil:
			trouble = err.Error()
		case len(s.Periods) > 0 && period.Since.After(s.Periods[0].Since):
			trouble = "it begins after the present one"
		}
		s.Periods = append(s.Periods, period)
	}
	if trouble != "" {
		// Where a state belongs is not known, so neither is what holds at any time.
		l.note("A state of the service %q of %s cannot be read: %s.", s.Name, provider, trouble)
		for i := range s.Periods {
			s.Periods[i].Unsupported = append(s.Periods[i].Unsupported, "a state that cannot be read")
		}
	}
	slices.SortStableFunc(s.Periods, func(a, b Period) int { return b.Since.Compare(a.Since) })
	l.Services = append(l.Services, s)
}

func (w wireInstance) period() (Period, error) {
	p := Period{Status: last(w.Status)}
	var err error
	if p.Since, err = moment(w.Since); err != nil {
		return p, err
	}
	for _, x := range w.Extensions {
		for _, a := range x.Additional {
			p.Additional = append(p.Additional, last(a.URI))
		}
		for _, e := range x.Elements {
			q := Qualifier{}
			for _, name := range e.Qualifiers {
				q.Names = append(q.Names, last(name.URI))
			}
			if e.Criteria == nil {
				q.Criteria.Unsupported = []string{"a qualification without criteria"}
			} else {
				q.Criteria = e.Criteria.read()
			}
			p.Qualifiers = append(p.Qualifiers, q)
		}
		for _, u := range x.Unknown {
			if x.Critical {
				p.Unsupported = append(p.Unsupported, "critical extension "+u.XMLName.Local)
			}
		}
	}
	return p, nil
}

func (w wireCriteria) read() Criteria {
	c := Criteria{Assert: w.Assert}
	for _, k := range w.KeyUsage {
		bits := make(map[string]bool, len(k.Bits))
		for _, bit := range k.Bits {
			value := strings.TrimSpace(bit.Value)
			bits[bit.Name] = value == "true" || value == "1"
		}
		c.KeyUsage = append(c.KeyUsage, bits)
	}
	for _, set := range w.PolicySet {
		c.Policies = append(c.Policies, oids(set.IDs))
	}
	for _, other := range w.Other {
		for _, dn := range other.SubjectDN {
			c.SubjectOIDs = append(c.SubjectOIDs, oids(dn.OIDs))
		}
		for _, purpose := range other.ExtKeyUsage {
			c.ExtKeyUsage = append(c.ExtKeyUsage, oids(purpose.OIDs))
		}
		for _, u := range other.Unknown {
			c.Unsupported = append(c.Unsupported, u.XMLName.Local)
		}
	}
	for _, u := range w.Unknown {
		c.Unsupported = append(c.Unsupported, u.XMLName.Local)
	}
	for _, list := range w.Lists {
		c.Lists = append(c.Lists, list.read())
	}
	return c
}

func oids(in []string) []string {
	const urn = "urn:oid:" // RFC 3061; the case does not matter
	out := make([]string, 0, len(in))
	for _, s := range in {
		s = strings.TrimSpace(s)
		if len(s) > len(urn) && strings.EqualFold(s[:len(urn)], urn) {
			s = s[len(urn):]
		}
		out = append(out, s)
	}
	return out
}

// moment reads a date and time of XML Schema. Without a zone it is UTC, as TS 119 612
// section 5.1.4 wants all times to be.
func moment(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.Parse("2006-01-02T15:04:05", text)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is not a date with time", text)
	}
	return at.UTC(), nil
}

// last is the part of a URI after its last slash.
func last(uri string) string {
	uri = strings.TrimSpace(uri)
	return uri[strings.LastIndexByte(uri, '/')+1:]
}

// english picks the English text, or the first one.
func english(all []wireText) string {
	for _, t := range all {
		if t.Lang == "en" {
			return strings.Join(strings.Fields(t.Text), " ")
		}
	}
	if len(all) > 0 {
		return strings.Join(strings.Fields(all[0].Text), " ")
	}
	return ""
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
