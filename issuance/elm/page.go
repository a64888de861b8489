package elm

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"rsc.io/qr"

	"github.com/sealsmith/sealsmith/issuance/elm/internal/engrave"
	"github.com/sealsmith/sealsmith/issuance/elm/internal/strip"
)

// The page is A4 at 127 dots per inch; five pixels are one millimetre.
const (
	pageWidth  = 1050
	pageHeight = 1485
	perMetre   = 5000
	left       = 135 // margins of the text
	right      = pageWidth - left
	measure    = right - left
)

// houseBlue is the colour of an organisation that gave none.
var houseBlue = color.RGBA{R: 0x1d, G: 0x4b, B: 0x73, A: 255}

// maxSheets bounds the pages kept; one takes about two megabytes.
const maxSheets = 64

// Renderer draws the page of a certificate. What is the same for all learners of a template
// version, language, awarding body and seal is drawn once and kept, the newest 64 of them.
// It is safe for concurrent use.
type Renderer struct {
	text *engrave.Typesetter

	mu     sync.Mutex
	sheets map[string]*sheet
	order  []string // keys, least recently used first
	keep   int      // most sheets

	bufs sync.Pool // *personal
}

// sheet is the constant part of a page.
type sheet struct {
	once   sync.Once
	err    error
	canvas *engrave.Canvas
	strips *strip.Sheet
}

// maxQRModules is the size of version 11, the densest code that can be scanned from paper here.
const maxQRModules = 61

// personalBoxes are where learners differ: the name, the result, date with number, and the QR
// code. Nothing of theirs is drawn outside.
var personalBoxes = []strip.Box{
	{Rectangle: image.Rect(98, 478, 952, 548)},
	{Rectangle: image.Rect(724, 664, 930, 694), Patterned: true},
	{Rectangle: image.Rect(112, 1140, 398, 1280)},
	{Rectangle: image.Rect(764, 1140, 916, 1280)},
}

// repeats are the periods of the line work: of the pale band, in which waves are shifted by
// parts of one, and of the frame.
var repeats = []strip.Repeat{{Columns: palePeriod / 2}, {Columns: palePeriod}, {Columns: 2 * palePeriod}, {Rows: periodY}}

// NewRenderer parses the fonts and returns a Renderer without pages.
func NewRenderer() (*Renderer, error) {
	t, err := engrave.NewTypesetter()
	if err != nil {
		return nil, fmt.Errorf("prepare the certificate page: %w", err)
	}
	return &Renderer{text: t, sheets: map[string]*sheet{}, keep: maxSheets}, nil
}

// Missing returns the letters of a name that the page cannot show. When there are any, the
// page says that the name stands in the sealed file, which has no such limit.
func (r *Renderer) Missing(name string) []rune { return r.text.Missing(engrave.Serif, name) }

// Page returns the page as a PNG image with the words of lang; the texts of the template are
// shown in lang where it has them. The same Input gives the same bytes. It returns Problems
// for an Input that Build would refuse too, and when the address of verification is too long
// for a QR code that can be scanned from paper.
func (r *Renderer) Page(in Input, lang string) ([]byte, error) {
	if err := in.problems().err(); err != nil {
		return nil, err
	}
	code, err := qr.Encode(in.VerifyURL, qr.M)
	if err != nil || code.Size > maxQRModules {
		return nil, Problems{{Path: "VerifyURL", Sentence: "is too long for a QR code on the page"}}
	}
	s, err := r.sheet(in, lang)
	if err != nil {
		return nil, err
	}
	p, ok := r.bufs.Get().(*personal)
	if !ok {
		p = &personal{}
	}
	defer r.bufs.Put(p)
	d := drawing{t: r.text, w: wordsIn(lang), in: in, lang: lang}
	png, err := s.strips.Encode(func(i int, box strip.Box) []byte {
		d.c = s.canvas.Part(box.Rectangle, p.bufs[i])
		p.bufs[i] = d.c.Pix
		d.personal(i, code)
		return d.c.Pix
	})
	if err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return png, nil
}

// personal draws what is the learner's own in one of the boxes.
func (d *drawing) personal(i int, code *qr.Code) {
	switch i {
	case 0:
		d.name()
	case 1:
		d.result()
	case 2:
		d.issue()
	default:
		d.qr(code)
	}
}

// personal holds the boxes drawn per learner.
type personal struct {
	bufs [4][]uint8
}

// key names what the constant part shows. Versions and seals never change under their ids;
// of the organisation, which can be edited, everything shown is in the key.
func (in Input) key(lang string) (string, error) {
	u, err := url.Parse(in.VerifyURL)
	if err != nil {
		return "", fmt.Errorf("parse the address of verification: %w", err)
	}
	version := in.Version.ID
	if version == "" { // a preview, not saved yet
		raw, err := json.Marshal(in.Version.Content)
		if err != nil {
			return "", fmt.Errorf("encode template: %w", err)
		}
		version = string(raw)
	}
	o := in.Awarding
	return strings.Join([]string{version, strconv.Itoa(in.Version.Number), lang, in.Issuer.Organisation, o.Name.In(lang), o.Country, o.Brand, u.Host}, "\x00"), nil
}

// sheet returns the constant part, drawing it when it is not kept. Two workers that need
// the same new page wait for one drawing.
func (r *Renderer) sheet(in Input, lang string) (*sheet, error) {
	key, err := in.key(lang)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	s, ok := r.sheets[key]
	if ok {
		for i, k := range r.order {
			if k == key {
				r.order = append(append(r.order[:i], r.order[i+1:]...), key)
				break
			}
		}
	} else {
		s = &sheet{}
		r.sheets[key] = s
		r.order = append(r.order, key)
		if len(r.order) > r.keep {
			delete(r.sheets, r.order[0])
			r.order = r.order[1:]
		}
	}
	r.mu.Unlock()
	s.once.Do(func() { s.draw(r.text, in, lang) })
	return s, s.err
}

// constantBudget is how large the constant part may be, so that a whole page stays below
// 60 KB: what a learner adds is 10 to 15 KB.
const constantBudget = 45_000

// draw makes the constant part. A template with very much text gets coarser letters rather
// than a larger file.
func (s *sheet) draw(t *engrave.Typesetter, in Input, lang string) {
	palette := engrave.NewPalette(brandOf(in.Awarding.Brand))
	blank := engrave.NewCanvas(pageWidth, pageHeight, palette)
	lineWork(blank)
	for coarse := range engrave.Coarsest + 1 {
		s.canvas = blank.Part(blank.Bounds(), nil)
		s.canvas.Coarse = coarse
		d := drawing{c: s.canvas, t: t, w: wordsIn(lang), in: in, lang: lang}
		d.constant()
		s.strips, s.err = strip.NewSheet(pageWidth, pageHeight, perMetre, palette.Colors, s.canvas.Pix, personalBoxes, repeats...)
		if s.err != nil || s.strips.ConstantSize() <= constantBudget {
			break
		}
	}
	if s.err == nil {
		s.err = s.train(t, in, lang)
	}
}

// train shows the strips what learners' rows look like. It is always the same learner, so that
// the same Input gives the same bytes whoever came first.
func (s *sheet) train(t *engrave.Typesetter, in Input, lang string) error {
	in.Learner = Learner{GivenName: "Aleksandra Zoë", FamilyName: "Wójcik-Papadopoulou"}
	in.Number, in.Score, in.Maximum = "UNIVERSITY-2026-0A1B2-C3D4E", 87.5, 100
	in.IssuedAt = time.Date(2026, time.September, 28, 0, 0, 0, 0, time.UTC)
	code, err := qr.Encode("https://credentials.university.example/c/0123456789abcdef0123456789abcdef", qr.M)
	if err != nil {
		return fmt.Errorf("draw a page to begin with: %w", err)
	}
	d := drawing{t: t, w: wordsIn(lang), in: in, lang: lang}
	return s.strips.Train(func(i int, box strip.Box) []byte {
		d.c = s.canvas.Part(box.Rectangle, nil)
		d.personal(i, code)
		return d.c.Pix
	})
}

// brandOf reads #rrggbb.
func brandOf(s string) color.RGBA {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 24)
	if err != nil || len(s) != 7 {
		return houseBlue
	}
	return color.RGBA{R: uint8(n >> 16), G: uint8(n >> 8 & 0xff), B: uint8(n & 0xff), A: 255}
}
