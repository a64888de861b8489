package demolms

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed static
var staticFiles embed.FS

// pageSet is every page, parsed once with the frame around it.
type pageSet struct{ byName map[string]*template.Template }

// field is one field of an auto-submitting form, in order.
type field struct{ Name, Value string }

// view is what every page gets.
type view struct {
	Title string
	// Site, Short and Theme are the institution.
	Site, Short, Theme string
	// User is nil when nobody is logged in.
	User *User
	// Knobs counts the knobs that are turned, for the warning line.
	Knobs int
	// Bare pages live in frames and have no header.
	Bare bool
	// Script loads the one script: pages that submit or leave by themselves.
	Script, Leave bool
	// Frames are further origins the page shows in frames: those of a tool
	// that registers itself.
	Frames []string
	// Sandbox takes the page's origin away.
	Sandbox bool
	// Storage is the platform storage of a page with a tool in a frame; nil
	// when there is none.
	Storage *storageView
	Data    any
}

type returnView struct{ Activity, Course, Title, Message, Error string }

func parsePages() (*pageSet, error) {
	set := &pageSet{byName: map[string]*template.Template{}}
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("list pages: %w", err)
	}
	funcs := template.FuncMap{"number": func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }}
	for _, path := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "pages/"), ".html")
		if name == "layout" {
			continue
		}
		t, err := template.New("layout.html").Funcs(funcs).ParseFS(pageFiles, "pages/layout.html", path)
		if err != nil {
			return nil, fmt.Errorf("parse page %s: %w", name, err)
		}
		set.byName[name] = t
	}
	return set, nil
}

func (l *LMS) render(w http.ResponseWriter, r *http.Request, name string, v view) {
	l.renderStatus(w, r, http.StatusOK, name, v)
}

func (l *LMS) renderStatus(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	v.Site, v.Short, v.Theme = l.cfg.Site.Name, l.cfg.Site.ShortName, cmp.Or(l.cfg.Site.Theme, "blue")
	v.Script = v.Script || v.Leave
	l.mu.Lock()
	v.Knobs = len(l.knobs)
	l.mu.Unlock()
	if s := l.session(r); s != nil {
		if u, err := l.User(s.user); err == nil {
			v.User = &u
		}
	}
	var out bytes.Buffer
	if err := l.pages.byName[name].Execute(&out, v); err != nil {
		l.cfg.Logger.ErrorContext(r.Context(), "page failed", "page", name, "err", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	policy := l.contentPolicy(v.Frames)
	if v.Sandbox {
		policy += "; sandbox allow-forms allow-scripts allow-top-navigation"
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	writeBody(w, status, htmlType, out.String())
}

// toolOrigins are the origins of the registered tools.
func (l *LMS) toolOrigins() []string {
	var out []string
	for _, t := range l.Tools() {
		for _, origin := range t.origins() {
			if !slices.Contains(out, origin) {
				out = append(out, origin)
			}
		}
	}
	return out
}

// origins are those of all addresses of a tool.
func (t Tool) origins() []string {
	var out []string
	for _, address := range append([]string{t.LoginURL, t.LaunchURL, t.DeepLinkURL}, t.RedirectURIs...) {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || strings.ContainsAny(u.Host, " ;,") {
			continue
		}
		if origin := u.Scheme + "://" + u.Host; !slices.Contains(out, origin) {
			out = append(out, origin)
		}
	}
	return out
}

// contentPolicy lets the frames show the registered tools, what the page asks
// for, and nothing else.
func (l *LMS) contentPolicy(more []string) string {
	frames := slices.Concat([]string{"'self'"}, l.toolOrigins(), more)
	return "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'self'; frame-src " + strings.Join(frames, " ")
}

// postPage sends a form through the browser: by the script, or by the button
// where there is none.
func (l *LMS) postPage(w http.ResponseWriter, r *http.Request, title string, p posting) {
	l.render(w, r, "post", view{Title: title, Bare: true, Script: true, Sandbox: p.sandbox, Data: struct {
		Address, Method, Enctype string
		Fields                   []field
	}{p.address, cmp.Or(p.method, "post"), p.enctype, p.fields}})
}

func (l *LMS) errorPage(w http.ResponseWriter, r *http.Request, status int, message string) {
	l.renderStatus(w, r, status, "error", view{Title: "Error", Data: message})
}

// saved writes the state after a change; the change itself stands even when
// the file cannot be written.
func (l *LMS) saved(ctx context.Context) {
	if err := l.Save(); err != nil {
		l.cfg.Logger.ErrorContext(ctx, "state not saved", "err", err)
	}
}

// person serves a page for somebody who is logged in.
type person func(http.ResponseWriter, *http.Request, *session)

func (l *LMS) loggedIn(next person) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := l.session(r)
		if s == nil {
			l.renderStatus(w, r, http.StatusForbidden, "home", l.homeView(r.URL.RequestURI()))
			return
		}
		next(w, r, s)
	}
}

// only serves a page for some roles.
func (l *LMS) only(next person, roles ...Role) http.HandlerFunc {
	return l.loggedIn(func(w http.ResponseWriter, r *http.Request, s *session) {
		u, err := l.User(s.user)
		if err != nil || !slices.Contains(roles, u.Role) {
			l.errorPage(w, r, http.StatusForbidden, "You do not have the permission to see this page.")
			return
		}
		next(w, r, s)
	})
}

func (l *LMS) routes() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", l.serveHome)
	pages.HandleFunc("GET /as/{user}", l.serveAs)
	pages.HandleFunc("POST /logout", l.serveLogout)
	pages.HandleFunc("GET /course/{course}", l.loggedIn(l.serveCourse))
	pages.HandleFunc("GET /course/{course}/add", l.only(l.serveAdd, Teacher, Admin))
	pages.HandleFunc("POST /course/{course}/activities", l.only(l.serveCreate, Teacher, Admin))
	pages.HandleFunc("GET /course/{course}/select/{type}", l.only(l.serveSelect, Teacher, Admin))
	pages.HandleFunc("GET /course/{course}/gradebook", l.only(l.serveGradebook, Teacher, Admin))
	pages.HandleFunc("POST /course/{course}/gradebook", l.only(l.serveGrades, Teacher, Admin))
	pages.HandleFunc("POST /course/{course}/copy", l.only(l.serveCopy, Teacher, Admin))
	pages.HandleFunc("GET /activity/{activity}", l.loggedIn(l.serveActivity))
	pages.HandleFunc("GET /launch/{activity}", l.loggedIn(l.serveLaunch))
	pages.HandleFunc("GET /admin/tool", l.only(l.serveAdminTool, Admin))
	pages.HandleFunc("GET /review/{item}/{user}", l.only(l.serveReview, Teacher, Admin))
	pages.HandleFunc("GET /launch/review/{item}/{user}", l.only(l.serveReviewLaunch, Teacher, Admin))
	pages.HandleFunc("GET /admin/privacy", l.only(l.servePrivacy, Admin))
	pages.HandleFunc("GET /launch/privacy/{type}/{user}", l.only(l.servePrivacyLaunch, Admin))
	pages.HandleFunc("GET /admin/tools", l.only(l.serveTools, Admin))
	pages.HandleFunc("GET /admin/register", l.only(l.serveRegister, Admin))
	pages.HandleFunc("POST /admin/activate", l.only(l.serveActivate, Admin))
	pages.HandleFunc("GET /knobs", l.serveKnobs)
	pages.HandleFunc("POST /knobs", l.serveSetKnobs)
	pages.HandleFunc("GET "+storagePath, l.serveStorage)
	pages.HandleFunc("GET "+returnPath, l.serveReturn)
	if static, err := fs.Sub(staticFiles, "static"); err == nil {
		pages.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(static)))
	}

	// What a tool or its page calls comes from another site by nature; all
	// other forms must come from our own pages.
	mux := http.NewServeMux()
	mux.Handle("/", http.NewCrossOriginProtection().Handler(pages))
	mux.HandleFunc("GET "+authPath, l.serveAuth)
	mux.HandleFunc("POST "+authPath, l.serveAuth)
	mux.HandleFunc("POST "+deepLinkReturnPath, l.serveDeepLinkReturn)
	mux.HandleFunc(tokenPath, l.serveToken)
	mux.HandleFunc("GET "+jwksPath, l.serveJWKS)
	mux.HandleFunc("GET "+configurationPath, l.serveConfiguration)
	for _, method := range []string{"GET ", "POST ", "PUT "} {
		mux.HandleFunc(method+registrationPath, l.serveRegistration)
	}
	mux.HandleFunc(servicesPath, l.serveServices)
	return mux
}
