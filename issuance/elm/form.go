package elm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sealsmith/sealsmith/templates"
)

// maxForms bounds the forms kept; one takes about thirty kilobytes.
const maxForms = 128

// Forms builds and checks payloads as Build and Check do, and sooner. What all learners of a
// template version have in common is built and checked once, with stand-ins in the places of
// what differs, and kept as a form: the text between those places. The payload of a learner is
// the form filled in, and a payload passes when it is a form that has passed Check with the
// learner's own values in those places. Whatever does not fit a form goes the long way, with
// the same result. The zero value is ready; it is safe for concurrent use.
type Forms struct {
	mu    sync.Mutex
	kept  map[string]*form
	order []string // keys, the newest last
}

// form is a payload with holes.
type form struct {
	like   Input    // for what it was made, without what differs between learners
	pieces [][]byte // the text before each hole, and after the last
	holes  []int    // which of the values of valuesOf
	size   int      // of all pieces
}

// Build returns what Build returns for one page.
func (f *Forms) Build(in Input, page Page) ([]byte, error) {
	if err := in.problems().err(); err != nil {
		return nil, err
	}
	if kept, ok := f.find(in, page.Language); ok && bytes.HasPrefix(page.PNG, []byte(pngMagic)) {
		return kept.fill(valuesOf(in), page.PNG), nil
	}
	payload, err := Build(in, page)
	if err != nil {
		return nil, err
	}
	f.learn(in, page, payload)
	return payload, nil
}

// Check says what Check says of a payload with one page, in the primary language.
func (f *Forms) Check(payload []byte, in Input) error {
	kept, ok := f.find(in, in.primary())
	if !ok || in.problems() != nil || !kept.holds(payload, valuesOf(in)) {
		return Check(payload, in)
	}
	return nil
}

// formKey names what a form is kept for: versions never change under their ids, and of the
// rest everything is compared, see common.
func formKey(in Input, lang string) string {
	return strings.Join([]string{in.Version.ID, in.Awarding.ID, in.Issuer.OrganisationIdentifier, lang}, "\x00")
}

// fits says whether an Input is one that forms are made for: with all that the learners of a
// course have, in a version that is stored.
func (in Input) fits() bool {
	l := in.Learner
	return in.Version.ID != "" && in.Number != "" && l.Identifier != "" && l.Email == "" && utf8.ValidString(in.VerifyURL) &&
		l.GivenName != "" && l.FamilyName != "" && l.FullName() == l.GivenName+" "+l.FamilyName &&
		strings.TrimSpace(l.GivenName) != "" && strings.TrimSpace(l.FamilyName) != "" && literalOK(in.VerifyURL, kindURL)
}

// common is the Input without what differs between learners. Of the version its identity is
// left; a field that is added to Input one day is in it.
func (in Input) common() Input {
	in.CredentialID, in.Number, in.VerifyURL, in.Learner = "", "", "", Learner{}
	in.IssuedAt, in.AwardedAt, in.Score, in.Maximum = time.Time{}, time.Time{}, 0, 0
	in.Version = templates.Version{ID: in.Version.ID, OrganisationID: in.Version.OrganisationID, Number: in.Version.Number}
	return in
}

func (f *Forms) find(in Input, lang string) (*form, bool) {
	if !in.fits() {
		return nil, false
	}
	f.mu.Lock()
	kept, ok := f.kept[formKey(in, lang)]
	f.mu.Unlock()
	return kept, ok && reflect.DeepEqual(kept.like, in.common())
}

// learn makes a form after a payload was built the long way, and keeps it when it would have
// given that payload.
func (f *Forms) learn(in Input, page Page, payload []byte) {
	if !in.fits() {
		return
	}
	made, ok := newForm(in, page.Language)
	if !ok || !bytes.Equal(made.fill(valuesOf(in), page.PNG), payload) {
		return
	}
	key := formKey(in, page.Language)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept == nil {
		f.kept = map[string]*form{}
	}
	if _, again := f.kept[key]; !again {
		f.order = append(f.order, key)
	}
	f.kept[key] = made
	if len(f.order) > maxForms {
		delete(f.kept, f.order[0])
		f.order = slices.Delete(f.order, 0, 1)
	}
}

// personalValue is something that differs between learners: what stands for it while a form is made,
// and the text that takes its place, as it stands in a JSON string.
type personalValue struct {
	standIn string
	text    []byte
}

// stand is part of every stand-in; nobody writes it by chance, and whoever does so on purpose
// gets no form.
const stand = "5b0f7c1e-2a64-4d0b-9f0e-8c1d3e7a9b42"

// imageStandIn is no image, but it begins like one.
var imageStandIn = []byte(pngMagic + stand)

// valuesOf lists them, always in the same order. The image has none: it is last of the holes.
func valuesOf(in Input) []personalValue {
	list := []personalValue{
		{stand, quoted(in.CredentialID)},
		{"number-" + stand, quoted(in.Number)},
		{moment(standIssued), quoted(moment(in.IssuedAt))},
		{moment(standAwarded), quoted(moment(in.AwardedAt))},
		{"given-" + stand, quoted(in.Learner.GivenName)},
		{"family-" + stand, quoted(in.Learner.FamilyName)},
		{"identifier-" + stand, quoted(in.Learner.Identifier)},
		{standURL, quoted(in.VerifyURL)},
	}
	for _, lang := range in.Version.Content.Languages {
		list = append(list, personalValue{"grade-" + lang + "-" + stand, quoted(wordsIn(lang).result(in))})
	}
	if !slices.Contains(in.Version.Content.Languages, "en") {
		list = append(list, personalValue{"grade-en-" + stand, quoted(wordsIn("en").result(in))})
	}
	return append(list, personalValue{standIn: base64.StdEncoding.EncodeToString(imageStandIn)})
}

// Moments and an address of nobody.
var (
	standIssued  = time.Date(2187, 6, 5, 4, 3, 2, 0, time.UTC)
	standAwarded = time.Date(2187, 5, 4, 3, 2, 1, 0, time.UTC)
)

const standURL = "https://stand-in.invalid/" + stand

// quoted is how text stands in a JSON string of ours, without its quotes.
func quoted(text string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string never fails
	return out.Bytes()[1 : out.Len()-2]
}

// newForm builds and checks a payload of stand-ins, and cuts it at them. That the stand-ins
// stand where the values must is what Check says of them.
func newForm(in Input, lang string) (*form, bool) {
	values := valuesOf(in)
	out := &form{like: in.common()}
	in.CredentialID, in.Number, in.VerifyURL = stand, "number-"+stand, standURL
	in.IssuedAt, in.AwardedAt = standIssued, standAwarded
	in.Learner = Learner{GivenName: "given-" + stand, FamilyName: "family-" + stand, Identifier: "identifier-" + stand}
	b := &builder{in: in, langs: in.Version.Content.Languages, grade: func(lang string) string { return "grade-" + lang + "-" + stand }}
	if !b.speaks(lang) {
		return nil, false
	}
	text, err := encode(b.credential([]Page{{Language: lang, PNG: imageStandIn}}))
	if err != nil || len(b.unknown) > 0 || Check(text, in) != nil {
		return nil, false
	}
	for len(text) > 0 {
		at, hole := firstOf(text, values)
		out.pieces = append(out.pieces, text[:at])
		out.size += at
		if hole < 0 {
			break
		}
		out.holes = append(out.holes, hole)
		text = text[at+len(values[hole].standIn):]
	}
	images := 0
	for _, hole := range out.holes {
		if hole == len(values)-1 {
			images++
		}
	}
	return out, images == 1 && len(out.pieces) == len(out.holes)+1
}

// firstOf returns where the first stand-in begins, and whose it is; of two that begin in one
// place the longer.
func firstOf(text []byte, values []personalValue) (at, hole int) {
	at, hole = len(text), -1
	for i, v := range values {
		n := bytes.Index(text, []byte(v.standIn))
		if n < 0 || n > at || n == at && (hole < 0 || len(v.standIn) < len(values[hole].standIn)) {
			continue
		}
		at, hole = n, i
	}
	return at, hole
}

// fill returns the form with the values of one learner in its holes.
func (f *form) fill(values []personalValue, png []byte) []byte {
	size := f.size + base64.StdEncoding.EncodedLen(len(png))
	for _, hole := range f.holes {
		size += len(values[hole].text)
	}
	out := make([]byte, 0, size)
	for i, piece := range f.pieces {
		out = append(out, piece...)
		if i == len(f.holes) {
			break
		}
		if hole := f.holes[i]; hole < len(values)-1 {
			out = append(out, values[hole].text...)
		} else {
			out = base64.StdEncoding.AppendEncode(out, png)
		}
	}
	return out
}

// holds says whether payload is the form with those values, and with a PNG image.
func (f *form) holds(payload []byte, values []personalValue) bool {
	for i, piece := range f.pieces {
		if !bytes.HasPrefix(payload, piece) {
			return false
		}
		payload = payload[len(piece):]
		if i == len(f.holes) {
			break
		}
		text := values[f.holes[i]].text
		if f.holes[i] == len(values)-1 {
			end := bytes.IndexByte(payload, '"')
			if end < 0 || !isImage(payload[:end]) {
				return false
			}
			text = payload[:end]
		}
		if !bytes.HasPrefix(payload, text) {
			return false
		}
		payload = payload[len(text):]
	}
	return len(payload) == 0
}

// isImage says that text is base64 of a PNG image. It looks at all of it as literalOK does, but
// piece by piece: an image is most of a payload, and a copy of it is needed for nothing. Line
// ends between the letters may be refused; we write none.
func isImage(text []byte) bool {
	const letters = 4 << 10
	var room [letters / 4 * 3]byte
	n, err := base64.StdEncoding.Decode(room[:], text[:min(letters, len(text))])
	if err != nil || !bytes.HasPrefix(room[:n], []byte(pngMagic)) {
		return false
	}
	for len(text) > letters {
		if n < len(room) { // padding, and something follows
			return false
		}
		text = text[letters:]
		if n, err = base64.StdEncoding.Decode(room[:], text[:min(letters, len(text))]); err != nil {
			return false
		}
	}
	return true
}
