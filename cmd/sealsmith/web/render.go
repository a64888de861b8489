package web

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Frame is what surrounds a page: whose it is, and how it is shown.
type Frame struct {
	// Framed pages live inside the LMS: one column, light, without line work.
	Framed bool
	// Organisation whose name and colour the page carries; its Slug is empty on pages that
	// belong to nobody.
	Organisation Masthead
	// Home is where the name in the header leads, empty: nowhere.
	Home string
	Nav  []NavItem
	// Narrow pages have one column also on a wide screen.
	Narrow bool
	// Script names a file under static that the page loads, empty: none.
	Script string
	// Refresh is after how many seconds a browser without scripts asks again, 0: never.
	Refresh int
}

// Masthead is the organisation in the header of a page.
type Masthead struct {
	Slug string
	Name Words
	Sub  string // the course, or "Administration"
}

// NavItem is one link in the header.
type NavItem struct {
	Word, Href string
	Current    bool
}

// Words is a text with its language, ISO 639-1, so that a screen reader pronounces it.
type Words struct{ Lang, Text string }

// pages holds the parsed pages, one template set each.
type pages struct {
	sets   map[string]*template.Template
	static string // version in the address of static files
	seal   []byte // definitions of the seal's rings
}

// layout is what pages/layout.html is executed with.
type layout struct {
	Frame
	Static string
	Page   any
}

func newPages() (*pages, error) {
	version, err := staticVersion()
	if err != nil {
		return nil, err
	}
	seal, err := pageFiles.ReadFile("pages/seal-defs.svg")
	if err != nil {
		return nil, fmt.Errorf("read the seal: %w", err)
	}
	shared, err := template.New("layout.html").Funcs(funcs()).ParseFS(pageFiles, "pages/layout.html", "pages/partials/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the layout: %w", err)
	}
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("list the pages: %w", err)
	}
	p := &pages{sets: map[string]*template.Template{}, static: version, seal: seal}
	for _, name := range names {
		page := strings.TrimSuffix(path.Base(name), ".html")
		if page == "layout" {
			continue
		}
		set, err := shared.Clone()
		if err != nil {
			return nil, fmt.Errorf("prepare page %s: %w", page, err)
		}
		if p.sets[page], err = set.ParseFS(pageFiles, name); err != nil {
			return nil, fmt.Errorf("parse page %s: %w", page, err)
		}
	}
	return p, nil
}

// html returns the page as it is sent. It is complete before the first byte leaves, so
// that an error in a template never ends in half a page.
func (p *pages) html(name string, f Frame, page any) ([]byte, error) {
	set, ok := p.sets[name]
	if !ok {
		return nil, fmt.Errorf("no page %q", name)
	}
	var out bytes.Buffer
	if err := set.ExecuteTemplate(&out, "layout.html", layout{Frame: f, Static: p.static, Page: page}); err != nil {
		return nil, fmt.Errorf("render page %s: %w", name, err)
	}
	return p.sprite(out.Bytes()), nil
}

var (
	usedIcon     = regexp.MustCompile(`<use href="#i-([a-z]+)"`)
	spriteOpen   = []byte(`<svg class="sprite" aria-hidden="true"><defs>`)
	sealIsOnPage = []byte(`<svg class="seal`)
)

// sprite puts the symbols that the page uses, and no others, where the layout has its
// empty sprite. It writes constants only: nothing that came from outside.
func (p *pages) sprite(page []byte) []byte {
	var used []string
	for _, m := range usedIcon.FindAllSubmatch(page, -1) {
		if name := string(m[1]); !slices.Contains(used, name) {
			used = append(used, name)
		}
	}
	var defs bytes.Buffer
	defs.Write(spriteOpen)
	if bytes.Contains(page, sealIsOnPage) {
		defs.Write(p.seal)
	}
	for _, name := range used {
		fmt.Fprintf(&defs, `<symbol id="i-%s" viewBox="0 0 24 24"><path d="%s"/></symbol>`, name, icons[name])
	}
	return bytes.Replace(page, spriteOpen, defs.Bytes(), 1)
}

// show renders and sends a page.
func (s *Web) show(w http.ResponseWriter, r *http.Request, status int, v view) error {
	body, err := s.pages.html(v.name, v.frame, v.page)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, err = w.Write(body)
	return s.gone(r, err)
}

// view is a page ready to be rendered.
type view struct {
	name  string // file in pages, without .html
	frame Frame
	page  any
}

// gone notes that the reader left before everything was written, which is no failure.
func (s *Web) gone(r *http.Request, err error) error {
	if err != nil {
		s.deps.Logger.DebugContext(r.Context(), "reader left before the answer was written", "err", err)
	}
	return nil
}
