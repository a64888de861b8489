package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/lti"
)

// onlyCredential is the one that the world has sealed.
func (w *world) onlyCredential() string {
	w.t.Helper()
	var id string
	must(w.t, w.db.Get(w.t.Context(), &id, `select id from credentials`))
	return id
}

// withdrawal is an order about that one.
func (w *world) withdrawal(words string) issuance.Withdrawal {
	w.t.Helper()
	return issuance.Withdrawal{OrganisationID: w.polder.org.ID, CredentialID: w.onlyCredential(), Reason: issuance.ReasonWrongContent, Words: words, By: "operator-7"}
}

func (w *world) suspend(words string) {
	w.t.Helper()
	_, err := w.desk.Suspend(w.t.Context(), w.withdrawal(words))
	must(w.t, err)
}

func (w *world) reinstate() {
	w.t.Helper()
	_, err := w.desk.Reinstate(w.t.Context(), w.withdrawal(""))
	must(w.t, err)
}

func (w *world) revoke(words string) {
	w.t.Helper()
	_, err := w.desk.Revoke(w.t.Context(), w.withdrawal(words))
	must(w.t, err)
}

func TestStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sealed()
	id := w.onlyCredential()
	const words = "The exam was another one."
	ask := func() map[string]any {
		t.Helper()
		got := w.get("/status/" + id)
		want(t, got, http.StatusOK)
		h := got.Header()
		if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "public, max-age=60" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("X-Robots-Tag") != "noindex" {
			t.Errorf("header %v", h)
		}
		silent(t, got, "Maija", "Meik", "learner-1", "operator-7", words)
		var out map[string]any
		must(t, json.Unmarshal(got.Body.Bytes(), &out))
		place, ok := out["status_list"].(map[string]any)
		if index, number := place["index"].(float64); !ok || !number || index < 0 || index >= 131072 || !strings.HasPrefix(fmt.Sprint(place["token"]), origin+"/status/lists/") {
			t.Errorf("status list %v", place)
		}
		delete(out, "status_list")
		if out["id"] != "urn:credential:"+id || out["since"] != "2026-11-20T12:00:00Z" {
			t.Errorf("%v", out)
		}
		return out
	}
	if out := ask(); out["standing"] != "in_force" || len(out) != 3 {
		t.Errorf("in force: %v", out)
	}
	w.suspend(words)
	if out := ask(); out["standing"] != "suspended" || out["reason"] != "wrong_content" || len(out) != 4 {
		t.Errorf("suspended: %v", out)
	}
	w.reinstate()
	if out := ask(); out["standing"] != "in_force" || len(out) != 3 {
		t.Errorf("reinstated: %v", out)
	}
	w.revoke(words)
	if out := ask(); out["standing"] != "revoked" || out["reason"] != "wrong_content" || len(out) != 4 {
		t.Errorf("revoked: %v", out)
	}
	head := w.do(httptest.NewRequestWithContext(t.Context(), http.MethodHead, origin+"/status/"+id, nil))
	want(t, head, http.StatusOK)
	for _, unknown := range []string{"nobody", "00000000-0000-4000-8000-000000000000", "urn:uuid:" + id} {
		got := w.get("/status/" + unknown)
		want(t, got, http.StatusNotFound)
		if h := got.Header(); h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", unknown, h)
		}
	}
	_, err := w.db.Exec(t.Context(), `update credentials set sealed_at = null, sealed = null`)
	must(t, err)
	want(t, w.get("/status/"+id), http.StatusNotFound) // an intent is no credential
}

// TestWithdrawnEverywhere looks at all that others see of a credential, through all that can
// be done to it.
func TestWithdrawnEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	holder, link := w.sealed()
	file := w.get("/c/" + link + "/credential.jsonld").Body.Bytes()
	verdict := func(got *httptest.ResponseRecorder) string {
		t.Helper()
		want(t, got, http.StatusOK)
		var out struct{ Verdict, Reason string }
		must(t, json.Unmarshal(got.Body.Bytes(), &out))
		return out.Verdict + " " + out.Reason
	}
	everywhere := func(reason, headline, why, band string, pdf int) {
		t.Helper()
		for name, got := range map[string]*httptest.ResponseRecorder{"public": w.get("/c/" + link), "upload": w.upload("food.jsonld", file, "text/html")} {
			want(t, got, http.StatusOK)
			if !strings.Contains(got.Body.String(), ">"+band+"</text>") {
				t.Errorf("%s: the seal does not say %s", name, band)
			}
			says(t, got, headline, why, "What was checked", "only whether it was withdrawn was looked up on this server", "it does not count now")
			silent(t, got, "This credential is genuine", `data-state="ok"`, " awarded <strong>", "certificate.pdf", "operator-7", "nobody known here")
			if name == "public" {
				says(t, got, "Sealed file, for the archive", "not in force: whoever checks it here is told so")
			}
		}
		if got := verdict(w.get("/c/" + link + "?format=json")); got != "not-valid "+reason {
			t.Errorf("public page: %s", got)
		}
		if got := verdict(w.upload("food.jsonld", file, "application/json")); got != "not-valid "+reason {
			t.Errorf("verify page: %s", got)
		}
		own := holder.get("learn")
		says(t, own, why, "Everybody who checks it sees this.", "office@polder.example", "Sealed file, not in force")
		if !strings.Contains(own.Body.String(), ">"+band+"</text>") {
			t.Errorf("the learner's seal does not say %s", band)
		}
		silent(t, own, "It is yours", "certificate.pdf", `class="qr"`, "operator-7")
		want(t, holder.get("certificate.pdf"), pdf)
		want(t, w.get("/c/"+link+"/certificate.pdf"), pdf)
		if got := w.get("/c/" + link + "/credential.jsonld"); got.Code != http.StatusOK || got.Body.String() != string(file) {
			t.Errorf("the sealed file: %d", got.Code)
		}
	}
	inForce := func() {
		t.Helper()
		got := w.get("/c/" + link)
		says(t, got, "This credential is genuine.", "It was not withdrawn: this server keeps it", "Certificate as PDF")
		silent(t, got, "SUSPENDED", "WITHDRAWN")
		says(t, holder.get("learn"), "It is yours.", "Certificate as PDF")
		want(t, holder.get("certificate.pdf"), http.StatusOK)
	}
	inForce()
	w.suspend("Ticket <b>7</b>.")
	everywhere("suspended", "This credential is suspended since 20 November 2026 by Polder University of Technology.", "Something that it says is wrong. Ticket <b>7</b>.", "SUSPENDED", http.StatusConflict)
	says(t, holder.get("learn"), "It does not count until your organisation has decided")
	says(t, w.get("/c/"+link+"/certificate.pdf"), "This credential is suspended")
	w.reinstate()
	inForce()
	w.revoke("The exam was another one.")
	everywhere("revoked", "This credential was withdrawn on 20 November 2026 by Polder University of Technology.", "Something that it says is wrong. The exam was another one.", "WITHDRAWN", http.StatusGone)
	says(t, holder.get("learn"), "This credential is not in force any more since 20 November 2026.")

	elsewhere := newWorld(t) // does not know the credential, and can only name who does
	got := elsewhere.upload("food.jsonld", file, "text/html")
	says(t, got, "programs ask "+origin+"/status/"+w.onlyCredential())
	silent(t, got, "looked up on this server")
	if body := got.Body.String(); strings.Contains(body, "withdrawn on") {
		t.Error("another server knows what it cannot know")
	}
}

// Whoever asks what is kept about them gets the withdrawals too, with the words about them
// and without who wrote them.
func TestPrivacyNamesWithdrawals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sealed()
	l := w.polder.launch("learner-1", roleLearner)
	l.MessageType = lti.MessageDataPrivacy
	own := w.enter(l)
	silent(t, own.get("privacy.json"), "withdrawals")
	w.suspend("The exam is looked at again.")
	w.reinstate()
	got := own.get("privacy.json")
	want(t, got, http.StatusOK)
	silent(t, got, "operator-7")
	var doc struct {
		Claims []struct {
			Withdrawals []struct{ Act, Reason, Words string }
		}
	}
	must(t, json.Unmarshal(got.Body.Bytes(), &doc))
	if len(doc.Claims) != 1 || len(doc.Claims[0].Withdrawals) != 2 {
		t.Fatalf("%+v", doc)
	}
	if first, second := doc.Claims[0].Withdrawals[0], doc.Claims[0].Withdrawals[1]; first.Act != "suspended" || first.Words != "The exam is looked at again." || second.Act != "reinstated" || second.Reason != "" {
		t.Errorf("%+v", doc)
	}
}

// TestWrongPersonIsNotNamed: neither by the public page, nor by the file or the report behind
// it, for as long as that is the reason.
func TestWrongPersonIsNotNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, link := w.sealed()
	order := w.withdrawal("")
	order.Reason = issuance.ReasonWrongPerson
	names := []string{"Maija", "Meik"}
	open := func(hidden bool, file int) {
		t.Helper()
		page := w.get("/c/" + link)
		want(t, page, http.StatusOK)
		report := w.get("/c/" + link + "?format=json")
		want(t, report, http.StatusOK)
		got := w.get("/c/" + link + "/credential.jsonld")
		want(t, got, file)
		if hidden {
			silent(t, report, names...)
			silent(t, page, append(names, "credential.jsonld")...)
			says(t, page, "It was awarded to the wrong person.", "Whose name it carries is not told here any more.")
			silent(t, got, names...)
			says(t, got, "This file is not given out any more")
			return
		}
		says(t, page, "Maija Meikäläinen")
	}
	open(false, http.StatusOK)
	_, err := w.desk.Suspend(t.Context(), order)
	must(t, err)
	open(true, http.StatusGone)
	w.reinstate()
	open(false, http.StatusOK)
	_, err = w.desk.Revoke(t.Context(), order)
	must(t, err)
	open(true, http.StatusGone)
}
