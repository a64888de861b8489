package web_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance/pdf"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/templates"
)

// ask sends a request without a body to an address, with the cookie of a session if need be.
func (w *world) ask(method, address string, b browser, header http.Header) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, origin+address, nil)
	maps.Copy(r.Header, header)
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	return w.do(r)
}

func TestPDF(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, link := w.sealed()
	says(t, b.get("learn"), "Certificate as PDF", "Sealed as well, with the original inside")
	says(t, w.get("/c/"+link), "Certificate as PDF")
	before := w.token.made.Load()

	got := b.get("certificate.pdf")
	want(t, got, http.StatusOK)
	h := got.Header()
	for name, value := range map[string]string{
		"Content-Type": "application/pdf", "Content-Disposition": "attachment; filename=Sustainable-Food-Systems.pdf",
		"Cache-Control": "private, no-cache", "Content-Length": strconv.Itoa(got.Body.Len()), "X-Content-Type-Options": "nosniff",
	} {
		if h.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, h.Get(name), value)
		}
	}
	sealed, err := pdf.Check(got.Body.Bytes())
	must(t, err)
	if sealed.Level != pdf.LevelB || !sealed.Chain[0].Equal(w.token.cert) || !sealed.ClaimedAt.Equal(noon) {
		t.Errorf("sealed %+v", sealed)
	}

	public := w.get("/c/" + link + "/certificate.pdf")
	want(t, public, http.StatusOK)
	if !bytes.Equal(public.Body.Bytes(), got.Body.Bytes()) || public.Header().Get("X-Robots-Tag") != "noindex" {
		t.Error("the public page has another file, or one for search engines")
	}
	head := w.ask(http.MethodHead, b.path("certificate.pdf"), b, nil)
	want(t, head, http.StatusOK)
	if head.Body.Len() != 0 || head.Header().Get("Content-Length") != h.Get("Content-Length") || head.Header().Get("ETag") != h.Get("ETag") || h.Get("ETag") == "" {
		t.Errorf("HEAD %v", head.Header())
	}
	want(t, w.ask(http.MethodGet, "/c/"+link+"/certificate.pdf", browser{}, http.Header{"If-None-Match": {h.Get("ETag")}}), http.StatusNotModified)
	if n := w.token.made.Load() - before; n != 1 {
		t.Errorf("%d signatures for one PDF", n)
	}
	silent(t, b.get("learn"), "Saved by you") // the original was not
}

func TestHeadMakesNoPDF(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, link := w.sealed()
	before := w.token.made.Load()
	got := w.ask(http.MethodHead, "/c/"+link+"/certificate.pdf", browser{}, nil)
	want(t, got, http.StatusOK)
	if got.Header().Get("Content-Type") != "application/pdf" || got.Header().Get("Content-Length") != "" || got.Header().Get("ETag") != "" {
		t.Errorf("header %v", got.Header())
	}
	if w.token.made.Load() != before {
		t.Error("a PDF was made")
	}
}

// Thirty students of a room open the same link.
func TestManyAskForOnePDF(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, link := w.sealed()
	before := w.token.made.Load()
	files := make([][]byte, 30)
	var all sync.WaitGroup
	for i := range files {
		all.Go(func() {
			address, who := "/c/"+link+"/certificate.pdf", browser{}
			if i%2 == 0 {
				address, who = b.path("certificate.pdf"), b
			}
			if got := w.ask(http.MethodGet, address, who, nil); got.Code == http.StatusOK {
				files[i] = got.Body.Bytes()
			}
		})
	}
	all.Wait()
	for i, file := range files {
		if len(file) == 0 || !bytes.Equal(file, files[0]) {
			t.Errorf("file %d has %d bytes and is not the first", i, len(file))
		}
	}
	if n := w.token.made.Load() - before; n != 1 {
		t.Errorf("%d signatures", n)
	}
}

func TestPDFWhileTheTokenIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, link := w.sealed()
	w.token.away.Store(true)
	for _, got := range []*httptest.ResponseRecorder{b.get("certificate.pdf"), w.get("/c/" + link + "/certificate.pdf")} {
		want(t, got, http.StatusServiceUnavailable)
		says(t, got, "The PDF cannot be made right now", "The credential itself is sealed and safe.", "Try again in a minute.", "save the sealed credential")
		silent(t, got, "plugged in", "attachment")
		if got.Header().Get("Retry-After") != "30" || got.Header().Get("Content-Disposition") != "" || got.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("header %v", got.Header())
		}
	}
	program := w.ask(http.MethodGet, "/c/"+link+"/certificate.pdf", browser{}, http.Header{"Accept": {"application/json"}})
	want(t, program, http.StatusServiceUnavailable)
	says(t, program, `"type":"`+origin+`/problems/pdf-later"`)
	want(t, b.get("credential.jsonld"), http.StatusOK)

	w.token.away.Store(false)
	want(t, b.get("certificate.pdf"), http.StatusOK)
	w.token.away.Store(true)
	want(t, b.get("certificate.pdf"), http.StatusOK) // it is kept
}

func TestPDFOfWhatIsNotInForce(t *testing.T) {
	t.Parallel()
	for _, gone := range []string{`update claims set state = 'revoked'`, `update credentials set replaced_by = id, replaced_at = sealed_at`} {
		w := newWorld(t)
		b, link := w.sealed()
		first := b.get("certificate.pdf")
		want(t, first, http.StatusOK)
		_, err := w.db.Exec(t.Context(), gone)
		must(t, err)
		silent(t, b.get("learn"), "certificate.pdf")
		silent(t, w.get("/c/"+link), "certificate.pdf")
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, got := range []*httptest.ResponseRecorder{
				w.ask(method, b.path("certificate.pdf"), b, http.Header{"If-None-Match": {first.Header().Get("ETag")}}),
				w.ask(method, "/c/"+link+"/certificate.pdf", browser{}, nil),
			} {
				want(t, got, http.StatusGone)
				says(t, got, "This credential is not in force any more")
			}
		}
	}
}

func TestWhoMayHaveThePDF(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, link := w.sealed()
	before := w.token.made.Load()
	_, other := w.attach(w.polder, "learner-2", roleLearner)
	want(t, w.enter(other).get("certificate.pdf"), http.StatusNotFound)
	want(t, w.enter(w.fjord.launch("learner-1", roleLearner)).get("certificate.pdf"), http.StatusNotFound)
	want(t, w.enter(w.polder.launch("learner-1", roleTeacher)).get("certificate.pdf"), http.StatusForbidden)
	want(t, w.ask(http.MethodGet, b.path("certificate.pdf"), browser{}, nil), http.StatusUnauthorized)
	for _, wrong := range []string{"/c/unknown/certificate.pdf", "/c/" + link[1:] + "/certificate.pdf"} {
		want(t, w.get(wrong), http.StatusNotFound)
	}
	w.grades.set("learner-2", 85) // claimed and not sealed yet
	second := w.enter(other)
	want(t, second.get("learn"), http.StatusOK)
	want(t, second.get("certificate.pdf"), http.StatusNotFound)
	want(t, second.post("claim", url.Values{}), http.StatusSeeOther)
	want(t, second.get("certificate.pdf"), http.StatusNotFound)
	if w.token.made.Load() != before {
		t.Error("the token has signed for somebody who may not have it")
	}
}

// The name of the file is the title, in a form that every system can take.
func TestFileNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ title, plain, name string }{
		{"Écologie “légère”: dès août", "Ecologie-legere-des-aout", "Écologie-légère-dès-août"},
		{"Œuvre & Straße", "uvre-Strae", "Œuvre-Straße"},
		{"食品システム", "credential", "食品システム"},
		{"ﷺ", "credential", "ﷺ"},
	} {
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.polder.version.Content
			c.Title = templates.Text{"en": test.title, "nl": test.title}
			v, err := w.templates.Save(t.Context(), w.polder.org.ID, w.polder.version.TemplateID, c, "operator")
			must(t, err)
			w.polder.version = v
			b, _ := w.sealed()
			for page, extension := range map[string]string{"certificate.pdf": ".pdf", "credential.jsonld": ".jsonld"} {
				header := b.get(page).Header().Get("Content-Disposition")
				disposition, fields, err := mime.ParseMediaType(header)
				if err != nil || disposition != "attachment" || fields["filename"] != test.name+extension {
					t.Errorf("%q: %v %q %v", header, disposition, fields["filename"], err)
				}
				if !strings.HasPrefix(header, `attachment; filename="`+test.plain+extension+`"; filename*=utf-8''`) {
					t.Errorf("no form in ASCII: %q", header)
				}
			}
		})
	}
}

func TestNoPDFWithoutAnActivity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.polder.launch("learner-1", roleLearner)
	l.Custom = map[string]string{grading.CustomKey: "gone"}
	want(t, w.enter(l).get("certificate.pdf"), http.StatusNotFound)
}

// Whoever asks what is kept about them gets the certificate too, when one was made.
func TestPrivacyNamesThePDF(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	holder, _ := w.sealed()
	l := w.polder.launch("learner-1", roleLearner)
	l.MessageType = lti.MessageDataPrivacy
	own := w.enter(l)
	kept := func() []byte {
		var doc struct {
			Claims []struct {
				PDF []byte `json:"certificate_pdf"`
			}
		}
		must(t, json.Unmarshal(own.get("privacy.json").Body.Bytes(), &doc))
		if len(doc.Claims) != 1 {
			t.Fatalf("%d claims", len(doc.Claims))
		}
		return doc.Claims[0].PDF
	}
	if got := kept(); got != nil {
		t.Errorf("a PDF of %d bytes before one was made", len(got))
	}
	made := holder.get("certificate.pdf")
	want(t, made, http.StatusOK)
	if got := kept(); !bytes.Equal(got, made.Body.Bytes()) {
		t.Errorf("%d bytes are shown, %d are kept", len(got), made.Body.Len())
	}
}
