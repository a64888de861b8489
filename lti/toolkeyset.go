package lti

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// jwks publishes the tool's public keys. Platforms keep them for a while, therefore a new
// key is published before it is used.
func (t *Tool) jwks(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		t.deps.Problem(w, r, refuse(CodeMethod, "GET", r.Method))
		return
	}
	set, err := t.keys.public(r.Context())
	if err != nil {
		t.deps.Problem(w, r, fmt.Errorf("publish the tool keys: %w", err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("ETag", set.etag)
	h.Set("X-Content-Type-Options", "nosniff")
	r.Header.Del("Range") // a part of a key set is of use to nobody
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(set.body))
}
