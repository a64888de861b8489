// Package vocab holds the code lists in which a micro-credential is described: countries,
// languages, levels, subjects, forms of participation and assessment, and the few
// technical lists a European Digital Credential needs besides.
//
// Each list gives short readable codes of our own ("project-work", "on-site", "NL") and for
// each code the URI of the concept in the list of the European Union (Publications Office
// authority tables and the Europass standard lists, state of the European Learning Model
// 3.1), the URI of its scheme, and labels in English and Dutch. The codes are what templates
// store; the URIs are what sealed files carry. A code is never given another meaning.
//
// URIs and English labels are those of the European Union (© European Union, reuse under
// Decision 2011/833/EU). Most Dutch labels are ours, because the lists were published in
// English only.
//
// The package deliberately knows nothing of templates, credentials or JSON, keeps no file
// and asks no server. It cannot fail: a code that is not in a list is reported as absent by
// the second result of Lookup.
package vocab

import "slices"

// Term is one concept of a list.
type Term struct {
	// Code is our short name, unique in its list.
	Code string
	// URI identifies the concept in the list of the European Union.
	URI string
	// Scheme is the URI of that list.
	Scheme string
	// Labels by ISO 639-1 code; English is always there.
	Labels map[string]string
}

// Label returns the label in lang, else in English.
func (t Term) Label(lang string) string {
	if s := t.Labels[lang]; s != "" {
		return s
	}
	return t.Labels["en"]
}

// List is one code list in a fixed order fit for a form.
type List struct {
	scheme string
	terms  []Term
	byCode map[string]int
	byURI  map[string]int
}

// Scheme returns the URI of the list.
func (l *List) Scheme() string { return l.scheme }

// Terms returns all terms in their order. The slice is a copy, the label maps are shared
// and must not be changed.
func (l *List) Terms() []Term { return slices.Clone(l.terms) }

// Lookup returns the term with this code; codes are compared exactly.
func (l *List) Lookup(code string) (Term, bool) {
	i, ok := l.byCode[code]
	if !ok {
		return Term{}, false
	}
	return l.terms[i], true
}

// ByURI returns the term with this concept URI.
func (l *List) ByURI(uri string) (Term, bool) {
	i, ok := l.byURI[uri]
	if !ok {
		return Term{}, false
	}
	return l.terms[i], true
}

// Has reports whether code is in the list.
func (l *List) Has(code string) bool {
	_, ok := l.byCode[code]
	return ok
}

// row is one line of a table: code, last part of the URI, English and Dutch label.
type row struct{ code, id, en, nl string }

// list builds a List whose concept URIs are base + "/" + id. A row without id uses its code.
func list(scheme, base string, rows ...row) *List {
	l := &List{scheme: scheme, byCode: make(map[string]int, len(rows)), byURI: make(map[string]int, len(rows))}
	for i, r := range rows {
		id := r.id
		if id == "" {
			id = r.code
		}
		t := Term{Code: r.code, URI: base + "/" + id, Scheme: scheme, Labels: map[string]string{"en": r.en}}
		if r.nl != "" {
			t.Labels["nl"] = r.nl
		}
		l.terms = append(l.terms, t)
		l.byCode[t.Code], l.byURI[t.URI] = i, i
	}
	return l
}

// europass builds a list of the Europass standard lists, all of which share one form of URI.
func europass(name string, rows ...row) *List {
	base := "http://data.europa.eu/snb/" + name
	return list(base+"/25831c2", base, rows...)
}

// authority builds a list of the authority tables of the Publications Office.
func authority(name string, rows ...row) *List {
	base := "http://publications.europa.eu/resource/authority/" + name
	return list(base, base, rows...)
}
