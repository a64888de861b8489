package issuance_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/kit"
	"github.com/sealsmith/sealsmith/issuance/status"
	"github.com/sealsmith/sealsmith/templates"
)

func (o *office) kits() *kit.Builder {
	return &kit.Builder{Desk: o.desk, Templates: o.templates, PublicURL: publicURL, Anchors: []*x509.Certificate{o.token.mint.authority}}
}

// stored is a database whose lists and indexes are signed: of three credentials one is in force,
// one is revoked, one suspended.
func (o *office) stored(t *testing.T) (good, gone, rests issuance.Credential) {
	t.Helper()
	_, good = o.held(t, "good")
	_, gone = o.held(t, "gone")
	_, rests = o.held(t, "rests")
	_, err := o.desk.Revoke(t.Context(), o.order(gone))
	check(t, err)
	_, err = o.desk.Suspend(t.Context(), o.order(rests))
	check(t, err)
	o.signs(t)
	o.clock.add(7 * time.Minute)
	o.signs(t) // the index, now that the places are settled
	return good, gone, rests
}

// files are all files below a folder.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, relErr := filepath.Rel(dir, path)
		all[name] = string(text)
		return errors.Join(err, relErr)
	}))
	return all
}

func TestKit(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		good, gone, rests := o.stored(t)
		dir := filepath.Join(t.TempDir(), "deep", "kit")
		made, err := o.kits().Build(t.Context(), dir)
		check(t, err)
		if !made.Changed || made.Lists != 1 || made.Entries != 3 || len(made.Warnings) != 0 || made.Files != len(files(t, dir)) || made.AsOf.IsZero() {
			t.Errorf("%+v", made)
		}
		whole(t, o, dir)
		k, err := kit.Open(dir)
		check(t, err)
		for _, test := range []struct {
			cred    issuance.Credential
			value   status.Value
			outcome string
			verdict issuance.Verdict
		}{
			{good, status.Valid, "revocation ok list_in_force", issuance.VerdictValid},
			{gone, status.Invalid, "revocation failed list_revoked", issuance.VerdictNotValid},
			{rests, status.Suspended, "revocation failed list_suspended", issuance.VerdictNotValid},
		} {
			l, err := k.Find("urn:credential:"+test.cred.ID, o.token.mint.pool())
			check(t, err)
			if l.Value != test.value || l.Index != o.place(t, test.cred).Index {
				t.Errorf("%+v", l)
			}
			r := issuance.Verify(test.cred.Sealed, issuance.VerifyOptions{Trust: o.token.mint.pool(), Now: o.clock.Now()}).WithListed(l)
			wholeReport(t, r)
			if !slices.Contains(outcomes(r), test.outcome) || r.Verdict != test.verdict {
				t.Errorf("%v, want %s", outcomes(r), test.outcome)
			}
		}
		_, err = k.Find("urn:credential:nobody", nil)
		wantErr(t, err, kit.ErrUnknown)
		_, err = k.Find("urn:credential:"+good.ID, newMint(t, nil).pool())
		wantErr(t, err, status.ErrVerification)

		// Nothing of a person, and no id, is in it.
		for name, text := range files(t, dir) {
			for _, secret := range []string{good.ID, gone.ID, good.Link, "Noor", "Berg", "learner"} {
				if strings.Contains(text, secret) && name != "README.txt" && name != "verify.js" {
					t.Errorf("%s contains %s", name, secret)
				}
			}
		}
		rebuilt(t, o, dir)
	})
}

// whole wants a kit that our own check and sha256sum take.
func whole(t *testing.T, o *office, dir string) {
	t.Helper()
	found, err := kit.Check(dir, o.token.mint.pool())
	check(t, err)
	if len(found.Problems) != 0 || found.Lists != 1 || found.Entries != 3 || found.Files != len(files(t, dir)) {
		t.Errorf("%+v", found)
	}
	sums := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
	sums.Dir = dir
	if out, err := sums.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v %s", err, out)
	}
	chain, err := os.ReadFile(filepath.Join(dir, "certificates", found.Manifest.Organisations[0].Certificates[0].SHA256+".pem"))
	check(t, err)
	if strings.Count(string(chain), "BEGIN CERTIFICATE") != 2 {
		t.Errorf("the chain is not complete: %s", chain)
	}
}

// rebuilt: the same database gives the same bytes, and a new one replaces all of it at once.
func rebuilt(t *testing.T, o *office, dir string) {
	t.Helper()
	before := files(t, dir)
	again, err := o.kits().Build(t.Context(), dir)
	check(t, err)
	other := filepath.Join(t.TempDir(), "kit")
	_, err = o.kits().Build(t.Context(), other)
	check(t, err)
	if again.Changed || !same(files(t, other), before) {
		t.Error("the same database gives another kit")
	}
	_, cred := o.held(t, "new")
	o.clock.add(2 * time.Hour)
	o.signs(t)
	var readers, builders sync.WaitGroup
	done := make(chan struct{})
	readers.Go(func() { // somebody reads all the time
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := kit.Open(dir); err != nil { // there is one at every moment
				t.Error(err)
				return
			}
		}
	})
	for range 2 { // two processes build at once
		builders.Go(func() {
			if _, err := o.kits().Build(t.Context(), dir); err != nil {
				t.Error(err)
			}
		})
	}
	builders.Wait()
	close(done)
	readers.Wait()
	k, err := kit.Open(dir)
	check(t, err)
	if _, err := k.Find("urn:credential:"+cred.ID, nil); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Dir(dir))
	check(t, err)
	for _, e := range left {
		if e.Name() != "kit" && e.Name() != ".kit.lock" {
			t.Errorf("%s is left over", e.Name())
		}
	}
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name, text := range a {
		if b[name] != text {
			return false
		}
	}
	return true
}

// TestKitLater: when everything has run out, what was withdrawn stays so, and the rest is told with
// its date; what is not the organisation's list says nothing.
func TestKitLater(t *testing.T) {
	t.Parallel()
	o := newOfficeOnSQLite(t)
	good, gone, _ := o.stored(t)
	dir := filepath.Join(t.TempDir(), "kit")
	_, err := o.kits().Build(t.Context(), dir)
	check(t, err)
	k, err := kit.Open(dir)
	check(t, err)
	o.clock.add(100 * 24 * time.Hour)
	options := issuance.VerifyOptions{Trust: o.token.mint.pool(), Now: o.clock.Now()}
	l, err := k.Find("urn:credential:"+good.ID, o.token.mint.pool())
	check(t, err)
	r := issuance.Verify(good.Sealed, options).WithListed(l)
	wholeReport(t, r)
	if r.Verdict != issuance.VerdictValid || !slices.Contains(outcomes(r), "revocation not-checked list_in_force_old") {
		t.Errorf("%v", outcomes(r))
	}
	later, err := k.Find("urn:credential:"+gone.ID, nil)
	check(t, err)
	r = issuance.Verify(gone.Sealed, options).WithListed(later)
	if r.Reason != "list_revoked" || !strings.Contains(r.Headline, "Polder University of Technology (fictional) says that this credential was withdrawn") {
		t.Errorf("%s: %v", r.Headline, outcomes(r))
	}
	stranger := newMint(t, nameOwner("Delta University", "NTRNL-87654321", "NL"))
	later.Signer = stranger.leaf
	if r := issuance.Verify(gone.Sealed, options).WithListed(later); r.Verdict != issuance.VerdictValid || !slices.Contains(outcomes(r), "revocation not-checked list_other") {
		t.Errorf("a list of somebody else: %v", outcomes(r))
	}
	broken := strings.Replace(string(good.Sealed), "Noor", "Nora", 1)
	if r := issuance.Verify([]byte(broken), options).WithListed(l); r.Reason != "changed" || slices.Contains(outcomes(r), "revocation ok list_in_force") {
		t.Errorf("a changed file: %v", outcomes(r))
	}
	if r := issuance.Verify([]byte("{}"), options).WithListed(l); r.Verdict != issuance.VerdictUnreadable {
		t.Errorf("%v", outcomes(r))
	}
}

// TestKitIsRefused: other people's folders are not replaced.
func TestKitIsRefused(t *testing.T) {
	t.Parallel()
	o := newOfficeOnSQLite(t)
	o.stored(t)
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("years"), 0o600))
	_, err := o.kits().Build(t.Context(), dir)
	wantErr(t, err, kit.ErrNoKit)
	check(t, os.WriteFile(filepath.Join(dir, "kit.json"), []byte(`{"format":"other"}`), 0o600))
	_, err = o.kits().Build(t.Context(), dir)
	wantErr(t, err, kit.ErrNoKit)
	if len(files(t, dir)) != 2 {
		t.Error("something was done to it")
	}
	_, err = kit.Open(dir)
	wantErr(t, err, kit.ErrNoKit)
	_, err = kit.Check(filepath.Join(dir, "nothing"), nil)
	wantErr(t, err, kit.ErrNoKit)
	empty := t.TempDir()
	if made, err := o.kits().Build(t.Context(), empty); err != nil || !made.Changed {
		t.Errorf("an empty folder: %+v (%v)", made, err)
	}
}

// TestKitTooEarly: what was sealed or withdrawn after the signatures is told, so that nobody takes such
// a kit for the last one.
func TestKitTooEarly(t *testing.T) {
	t.Parallel()
	o := newOfficeOnSQLite(t)
	_, first := o.held(t, "noor")
	o.clock.add(7 * time.Minute)
	o.signs(t)
	o.clock.add(2 * time.Hour)
	o.signs(t)
	o.held(t, "ana")
	_, err := o.desk.Revoke(t.Context(), issuance.Withdrawal{OrganisationID: o.org.ID, CredentialID: first.ID, Reason: issuance.ReasonInError, By: "admin"})
	check(t, err)
	made, err := o.kits().Build(t.Context(), filepath.Join(t.TempDir(), "kit"))
	check(t, err)
	told := strings.Join(made.Warnings, "\n")
	if len(made.Warnings) != 2 || !strings.Contains(told, "1 of the credentials of status list") || !strings.Contains(told, "does not tell of the last withdrawals yet") {
		t.Errorf("%+v", made)
	}
}

// TestKitWithoutToken: what was never signed is not in it, and it says so.
func TestKitWithoutToken(t *testing.T) {
	t.Parallel()
	o := newOfficeOnSQLite(t)
	dir := filepath.Join(t.TempDir(), "kit")
	made, err := o.kits().Build(t.Context(), dir)
	check(t, err)
	if made.Lists != 0 || !made.AsOf.IsZero() || len(made.Warnings) != 0 {
		t.Errorf("nothing was sealed: %+v", made)
	}
	_, cred := o.held(t, "noor")
	o.token.set(func(s *softToken) { s.paused = true })
	o.signs(t)
	made, err = o.kits().Build(t.Context(), dir)
	check(t, err)
	if made.Lists != 0 || len(made.Warnings) != 1 || !strings.Contains(made.Warnings[0], "was not signed yet") {
		t.Errorf("%+v", made)
	}
	if found, err := kit.Check(dir, nil); err != nil || len(found.Problems) != 0 || len(found.Manifest.Organisations[0].Certificates) != 1 {
		t.Errorf("%+v (%v)", found, err)
	}
	o.token.set(func(s *softToken) { s.paused = false })
	o.clock.add(7 * time.Minute)
	o.signs(t)
	o.clock.add(2 * time.Hour)
	o.signs(t)
	// A place that was taken away after it was signed: the index would not fit any more.
	_, err = o.db.Exec(t.Context(), `delete from status_entries where credential_id = ?`, cred.ID)
	check(t, err)
	made, err = o.kits().Build(t.Context(), dir)
	check(t, err)
	if made.Lists != 1 || made.Entries != 0 || len(made.Warnings) != 1 || !strings.Contains(made.Warnings[0], "have changed since it was signed") {
		t.Errorf("%+v", made)
	}
	if found, err := kit.Check(dir, nil); err != nil || len(found.Problems) != 0 {
		t.Errorf("%+v (%v)", found, err)
	}
}

// TestKitChanged: whatever is done to a kit is found.
func TestKitChanged(t *testing.T) {
	t.Parallel()
	o := newOfficeOnSQLite(t)
	good, gone, _ := o.stored(t)
	dir := filepath.Join(t.TempDir(), "kit")
	_, err := o.kits().Build(t.Context(), dir)
	check(t, err)
	k, err := kit.Open(dir)
	check(t, err)
	l := k.Manifest.Organisations[0].Lists[0]
	swap := func(text string) string { // the place of the revoked one for that of the good one, and back
		a, b := status.Hash("urn:credential:"+good.ID), status.Hash("urn:credential:"+gone.ID)
		return strings.NewReplacer(a, b, b, a).Replace(text)
	}
	for name, change := range map[string]func(text string) string{
		l.Token:                func(text string) string { return flip(text) },
		l.Revocation:           func(text string) string { return flip(text) },
		l.Suspension:           func(string) string { return "" },
		l.Index:                func(text string) string { return flip(text) },
		l.Shards + "/all.txt":  swap,
		"kit.json":             func(text string) string { return strings.Replace(text, "seal.polder.example", "seal.delta.example", 2) },
		"verify.js":            func(text string) string { return text + "\n" },
		"SHA256SUMS":           func(text string) string { return text[66:] },
		"certificates/new.pem": func(string) string { return "x" },
	} {
		broken := filepath.Join(t.TempDir(), "kit")
		check(t, os.CopyFS(broken, os.DirFS(dir)))
		path := filepath.Join(broken, filepath.FromSlash(name))
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		check(t, os.WriteFile(path, []byte(change(string(text))), 0o600))
		found, err := kit.Check(broken, o.token.mint.pool())
		if err == nil && len(found.Problems) == 0 {
			t.Errorf("%s was changed, and nobody sees it", name)
		}
		if !strings.HasPrefix(name, "index/") && name != l.Token {
			continue
		}
		k, err := kit.Open(broken)
		check(t, err)
		if got, err := k.Find("urn:credential:"+gone.ID, nil); err == nil || status.Code(err) == "" {
			t.Errorf("%s was changed: %+v (%v)", name, got, err)
		}
	}
	check(t, os.Remove(filepath.Join(dir, filepath.FromSlash(l.Shards), "all.txt")))
	if _, err := k.Find("urn:credential:"+gone.ID, nil); !errors.Is(err, status.ErrRetrieval) {
		t.Errorf("a file is missing: %v", err)
	}
}

// flip changes one letter in the middle of a text.
func flip(text string) string {
	i := len(text) / 2
	with := "A"
	if text[i] == 'A' {
		with = "B"
	}
	return text[:i] + with + text[i+1:]
}

// TestKitManifestLies: a host that exchanges the certificates in kit.json, too, is found by whoever
// names the authority.
func TestKitManifestLies(t *testing.T) {
	t.Parallel()
	o := newOfficeOnSQLite(t)
	good, _, _ := o.stored(t)
	dir := filepath.Join(t.TempDir(), "kit")
	_, err := o.kits().Build(t.Context(), dir)
	check(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "kit.json"))
	check(t, err)
	for name, lie := range map[string]func(*kit.Manifest){
		"a path that leads out": func(m *kit.Manifest) { m.Organisations[0].Lists[0].Index = "../../etc/passwd" },
		"another address":       func(m *kit.Manifest) { m.Organisations[0].Lists[0].Address = "https://other.example" },
		"another token":         func(m *kit.Manifest) { m.Organisations[0].Lists[0].Token = m.Organisations[0].Lists[0].Index },
	} {
		var m kit.Manifest
		check(t, json.Unmarshal(text, &m))
		lie(&m)
		changed, err := json.Marshal(m)
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, "kit.json"), changed, 0o600))
		k, err := kit.Open(dir)
		check(t, err)
		if got, err := k.Find("urn:credential:"+good.ID, o.token.mint.pool()); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
		if found, err := kit.Check(dir, o.token.mint.pool()); err != nil || len(found.Problems) == 0 {
			t.Errorf("%s: nobody sees it (%v)", name, err)
		}
	}
}

// TestKitRevocationData: what came with proven seals is in the kit.
func TestKitRevocationData(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		a := newArchive(t, o)
		_, cred := a.seal(t, "noor", templates.SealLT)
		check(t, a.preserver.Preserve(t.Context(), cred.ID))
		o.signs(t)
		dir := filepath.Join(t.TempDir(), "kit")
		_, err := o.kits().Build(t.Context(), dir)
		check(t, err)
		k, err := kit.Open(dir)
		check(t, err)
		if n := len(k.Manifest.Organisations[0].Revocation); n == 0 {
			t.Error("no revocation data")
		}
		for _, name := range k.Manifest.Organisations[0].Revocation {
			if text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name))); err != nil || len(text) < 100 || text[0] != 0x30 {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
