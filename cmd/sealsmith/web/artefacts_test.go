package web_test

import (
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/lti"
)

// carrier carries what the world has sealed.
func (w *world) carrier() *issuance.Artefacts {
	return &issuance.Artefacts{DB: w.db, Objects: w.objects, Now: func() time.Time { return noon }, Logger: slog.New(slog.DiscardHandler), Parallel: 2}
}

// carried is a world whose only credential and its PDF are objects.
func carried(t *testing.T) (w *world, b browser, link string) {
	t.Helper()
	w = newWorld(t)
	b, link = w.sealed()
	want(t, b.get("certificate.pdf"), http.StatusOK)
	done, err := w.carrier().ToObjects(t.Context(), 0)
	must(t, err)
	if done.Artefacts != 2 {
		t.Fatalf("carried %+v", done)
	}
	return w, b, link
}

// artefactShots are the pages of credentials whose files cannot be read.
func artefactShots(t *testing.T) []shot {
	t.Helper()
	w, b, link := carried(t)
	w.objects.Away(errors.New("connection refused"))
	all := []shot{{"file-away", b.path("learn"), b.get("learn")}, {"file-away-public", "/c/" + link, w.get("/c/" + link)}}
	w.objects.Away(nil)
	for _, name := range w.objects.Names() {
		w.objects.Spoil(name, []byte("nothing"))
	}
	all = append(all, shot{"file-damaged", b.path("learn"), b.get("learn")}, shot{"file-damaged-public", "/c/" + link, w.get("/c/" + link)})
	w.erase(link)
	return append(all, shot{"file-erased", b.path("learn"), b.get("learn")}, shot{"file-erased-public", "/c/" + link, w.get("/c/" + link)})
}

// erase erases the files of the credential behind a link.
func (w *world) erase(link string) {
	w.t.Helper()
	now, err := w.desk.Find(w.t.Context(), w.polder.org.ID, link)
	must(w.t, err)
	must(w.t, w.carrier().Erase(w.t.Context(), w.polder.org.ID, now.CredentialID, "operator"))
}

func TestFilesInTheObjectStore(t *testing.T) {
	t.Parallel()
	w, b, link := carried(t)
	addresses := []string{"/c/" + link, "/c/" + link + "/credential.jsonld", "/c/" + link + "/certificate.pdf", b.path("learn"), b.path("credential.jsonld"), b.path("certificate.pdf")}
	l := w.polder.launch("learner-1", roleLearner)
	l.MessageType = lti.MessageDataPrivacy
	own := w.enter(l)
	ask := func(address string) int {
		t.Helper()
		got := w.ask(http.MethodGet, address, b, http.Header{"Accept": {"text/html"}})
		if got.Code == http.StatusServiceUnavailable && got.Header().Get("Retry-After") != "30" {
			t.Errorf("%s does not say when to come again", address)
		}
		if got.Code != http.StatusOK {
			silent(t, got, "connection refused", "sealed-0-")
		}
		return got.Code
	}
	for _, address := range addresses {
		if code := ask(address); code != http.StatusOK {
			t.Errorf("%s: %d", address, code)
		}
	}
	w.objects.Away(errors.New("connection refused"))
	for _, address := range addresses {
		if code := ask(address); code != http.StatusServiceUnavailable {
			t.Errorf("the store is away, %s: %d", address, code)
		}
	}
	says(t, w.ask(http.MethodGet, "/c/"+link, browser{}, http.Header{"Accept": {"application/json"}}), `"type":"`+origin+`/problems/file-away"`)
	want(t, own.get("privacy.json"), http.StatusServiceUnavailable)
	w.objects.Away(nil)
	says(t, own.get("privacy.json"), `"certificate_pdf"`)
	w.erase(link)
	for _, address := range addresses {
		if code := ask(address); code != http.StatusGone {
			t.Errorf("erased, %s: %d", address, code)
		}
	}
	want(t, own.get("privacy.json"), http.StatusOK)
	silent(t, own.get("privacy.json"), "certificate_pdf", "Meikäläinen")
}
