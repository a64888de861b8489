package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestAdminQueue does over the socket's handler what the commands do: the rows change.
func TestAdminQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t, "SEALSMITH_TOKEN=")
	r.claimable(t)
	r.claimPaused(t, "no seal token is set up on this server")
	var id, slug string
	must(t, r.db.Get(t.Context(), &id, `select id from claims`))
	must(t, r.db.Get(t.Context(), &slug, `select slug from organisations`))
	all, err := (&Settings{Dir: r.dir}).running(t.Context())
	must(t, err)
	if len(all) != 1 {
		t.Fatalf("%d processes have an admin socket", len(all))
	}
	ask := func(method, path, body string) (int, map[string]any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://admin"+path, strings.NewReader(body))
		must(t, err)
		res, err := all[0].client.Do(req)
		must(t, err)
		defer res.Body.Close()
		var answer map[string]any
		must(t, json.NewDecoder(res.Body).Decode(&answer))
		return res.StatusCode, answer
	}
	whose := `"organisation":"` + slug + `"`
	if status, got := ask("GET", "/queue?organisation="+slug, ""); status != 200 || got["waiting"] != 1.0 || len(got["claims"].([]any)) != 1 {
		t.Errorf("%d %v", status, got)
	}
	_, err = r.db.Exec(t.Context(), `update claims set state = 'failed'`)
	must(t, err)
	for _, step := range []struct {
		path, body string
		status     int
		where      string // of the one row
	}{
		{"retry", `{` + whose + `}`, 200, "state = 'queued'"},
		{"retry", `{` + whose + `,"claim":"` + id + `"}`, 409, "state = 'queued'"},
		{"retry", `{` + whose + `,"claim":"nobody"}`, 404, "state = 'queued'"},
		{"pause", `{` + whose + `,"words":"Wrong dates"}`, 200, "exists (select 1 from pauses where words = 'Wrong dates')"},
		{"pause", `{` + whose + `,"words":"` + strings.Repeat("x", 501) + `"}`, 400, "exists (select 1 from pauses where words = 'Wrong dates')"},
		{"pause", `{` + whose + `,"batch":"nobody"}`, 404, "not exists (select 1 from pauses where batch_id <> '')"},
		{"resume", `{` + whose + `}`, 200, "not exists (select 1 from pauses)"},
		{"resume", `{` + whose + `}`, 409, "not exists (select 1 from pauses)"},
		{"drop", `{` + whose + `,"claim":"` + id + `"}`, 200, "state = 'open'"},
		{"drop", `{"organisation":"nobody","claim":"` + id + `"}`, 404, "state = 'open'"},
		{"drop", `{"organization":"x"}`, 400, "state = 'open'"},
		{"drop", `nonsense`, 400, "state = 'open'"},
	} {
		status, got := ask("POST", "/queue/"+step.path, step.body)
		if status != step.status || (status != 200) != (got["error"] != nil) {
			t.Errorf("%s %s: %d %v", step.path, step.body, status, got)
		}
		r.wants(t, 1, "claims where "+step.where)
	}
	for path, want := range map[string]int{"/queue": 404, "/queue?organisation=" + slug + "&state=sealed": 409} {
		if status, got := ask("GET", path, ""); status != want {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
	// Nothing of it is open to browsers.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/queue?organisation="+slug, nil)
	must(t, err)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("the server answers browsers %d", res.StatusCode)
	}
}
