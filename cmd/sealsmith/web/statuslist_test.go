package web_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/status"
)

// signer signs the status lists of the world.
func (w *world) signer() *issuance.StatusSigner {
	return &issuance.StatusSigner{
		DB: w.db, Templates: w.templates, Sealer: func(string) issuance.Sealer { return w.token }, PublicURL: w.worker.PublicURL,
		Lease: time.Minute, Every: time.Second, Now: func() time.Time { return noon }, Logger: w.worker.Logger,
	}
}

// header gets an address with one header.
func (w *world) header(path, name, value string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, path, nil)
	r.Header.Set(name, value)
	return w.do(r)
}

func TestStatusLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sealed()
	var doc struct {
		StatusList struct {
			Index                         int
			Token, Revocation, Suspension string
		} `json:"status_list"`
	}
	must(t, json.Unmarshal(w.get("/status/"+w.onlyCredential()).Body.Bytes(), &doc))
	place := doc.StatusList
	path := strings.TrimPrefix(place.Token, origin)
	early := w.get(path)
	want(t, early, http.StatusServiceUnavailable)
	if h := early.Header(); h.Get("Retry-After") == "" || h.Get("Cache-Control") != "no-store" || h.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("before anything is signed: %v", h)
	}
	_, err := w.signer().RunOnce(t.Context())
	must(t, err)
	o := status.Options{Trust: w.trust, At: noon}
	for address, media := range map[string]string{place.Token: "application/statuslist+jwt", place.Revocation: "application/vc+jwt", place.Suspension: "application/vc+jwt"} {
		got := w.header(address, "Accept", media)
		want(t, got, http.StatusOK)
		h := got.Header()
		if h.Get("Content-Type") != media || h.Get("Cache-Control") != "public, max-age=900" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Vary") != "Accept-Encoding" || h.Get("Content-Encoding") != "" {
			t.Errorf("header %v", h)
		}
		o.URI = address
		read := status.ReadBitstring
		if address == place.Token {
			read = status.ReadToken
		}
		l, err := read(got.Body.Bytes(), o)
		must(t, err)
		if v, err := l.At(place.Index); err != nil || v != status.Valid {
			t.Errorf("%s: %d (%v)", address, v, err)
		}
		same := w.header(address, "If-None-Match", h.Get("ETag"))
		want(t, same, http.StatusNotModified)
		if same.Body.Len() != 0 || same.Header().Get("Cache-Control") != "public, max-age=900" {
			t.Errorf("not modified: %d bytes, %v", same.Body.Len(), same.Header())
		}
		want(t, w.header(address, "If-None-Match", `"other"`), http.StatusOK)
		packed := w.header(address, "Accept-Encoding", "br, gzip")
		want(t, packed, http.StatusOK)
		if packed.Header().Get("Content-Encoding") != "gzip" || packed.Header().Get("ETag") != h.Get("ETag") {
			t.Errorf("packed: %v", packed.Header())
		}
		z, err := gzip.NewReader(packed.Body)
		must(t, err)
		text, err := io.ReadAll(z)
		must(t, err)
		if string(text) != got.Body.String() {
			t.Error("packed it says something else")
		}
	}
	for bad, code := range map[string]int{
		path + "?time=1795176000":                                   http.StatusNotImplemented,
		path + "?timestamp=2026-11-20T12:00:00Z":                    http.StatusNotImplemented,
		strings.TrimSuffix(path, "token") + "index":                 http.StatusNotFound,
		strings.TrimSuffix(path, "token") + "message":               http.StatusNotFound,
		"/status/lists/00000000000000000000000000000000/token":      http.StatusNotFound,
		"/status/lists/00000000000000000000000000000000/revocation": http.StatusNotFound,
		"/status/lists/" + w.polder.org.ID + "/suspension":          http.StatusNotFound,
	} {
		got := w.get(bad)
		want(t, got, code)
		if got.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %v", bad, got.Header())
		}
	}
	// Who asks for a list is in no log.
	w.log.Reset()
	w.get(path)
	if log := w.log.String(); strings.Contains(log, strings.Split(path, "/")[3]) || strings.Contains(log, `"level":"INFO"`) || strings.Contains(log, "192.0.2.1") {
		t.Errorf("log %s", log)
	}
	// What has run out is not given out.
	_, err = w.db.Exec(t.Context(), `update status_tokens set expires_at = ?`, noon)
	must(t, err)
	want(t, w.get(path), http.StatusServiceUnavailable)
}

// BenchmarkStatusList is what it takes to serve a list of a million entries, one in a hundred
// withdrawn: whole, packed, and to who has it already.
func BenchmarkStatusList(b *testing.B) {
	w := newWorld(b)
	a := status.NewArray(1 << 20)
	for i := 0; i < a.Len(); i += 100 {
		must(b, a.Set(i+i/100%97, status.Value(1+i/100%2)))
	}
	const list = "0123456789abcdef0123456789abcdef"
	key, err := w.token.Key(b.Context())
	must(b, err)
	terms := status.Terms{Key: jades.Key{ID: key.ID, Alg: key.Alg, Chain: key.Chain}, At: noon, Until: noon.Add(48 * time.Hour), TTL: issuance.StatusTTL}
	text, err := status.SignToken(b.Context(), w.token, terms, origin+"/status/lists/"+list+"/token", a)
	must(b, err)
	_, err = w.db.Exec(b.Context(), `insert into status_lists (id, organisation_id, number, entries, version, signed_version, not_before, renew_at, attempts, last_error, created_at, updated_at)
		values (?, ?, 1, ?, 1, 1, ?, ?, 0, '', ?, ?)`, list, w.polder.org.ID, a.Len(), noon, noon, noon, noon)
	must(b, err)
	_, err = w.db.Exec(b.Context(), `insert into status_tokens (list_id, kind, organisation_id, file, digest, key_id, signed_at, expires_at) values (?, 'token', ?, ?, '', ?, ?, ?)`,
		list, w.polder.org.ID, text, key.ID, noon, terms.Until)
	must(b, err)
	etag := w.get("/status/lists/" + list + "/token").Header().Get("ETag")
	for name, header := range map[string]string{"whole": "Accept", "packed": "Accept-Encoding", "not_modified": "If-None-Match"} {
		b.Run(name, func(b *testing.B) {
			bytes := 0
			for b.Loop() {
				bytes = w.header("/status/lists/"+list+"/token", header, map[string]string{"Accept": "*/*", "Accept-Encoding": "gzip", "If-None-Match": etag}[header]).Body.Len()
			}
			b.ReportMetric(float64(bytes), "bytes")
		})
	}
}
