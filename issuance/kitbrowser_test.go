package issuance_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/kit"
)

// rsaToken is a token with an RSA key, in memory.
type rsaToken struct {
	alg  string
	key  *rsa.PrivateKey
	leaf *x509.Certificate
}

func newRSAToken(t *testing.T, alg, organisation, id string) *rsaToken {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(3), NotBefore: sealedAt.AddDate(-1, 0, 0), NotAfter: sealedAt.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageContentCommitment, BasicConstraintsValid: true,
		Subject: pkix.Name{CommonName: organisation + " eSeal", Organization: []string{organisation}, Country: []string{"NL"}, ExtraNames: []pkix.AttributeTypeAndValue{identifier(id)}},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	check(t, err)
	leaf, err = x509.ParseCertificate(der)
	check(t, err)
	return &rsaToken{alg, key, leaf}
}

// Key implements issuance.Sealer.
func (r *rsaToken) Key(context.Context) (hsm.Key, error) {
	return hsm.Key{ID: r.alg, Alg: r.alg, Chain: []*x509.Certificate{r.leaf}}, nil
}

// Usable implements issuance.Sealer.
func (r *rsaToken) Usable() bool { return true }

// Sign implements issuance.Sealer.
func (r *rsaToken) Sign(_ context.Context, _ string, input ...[]byte) ([]byte, error) {
	digest := sha256.Sum256(bytes.Join(input, nil))
	if r.alg == "PS256" {
		return rsa.SignPSS(rand.Reader, r.key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return rsa.SignPKCS1v15(nil, r.key, crypto.SHA256, digest[:])
}

// reader is somebody with Chromium.
type reader struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // chromedp keeps the browser in it
	mu  sync.Mutex
	red []string // what the developer tools show
	n   int
}

func newReader(t *testing.T) *reader {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("chromium is not installed: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU)
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(leave)
	r := &reader{t: t, ctx: ctx}
	check(t, chromedp.Listen(ctx, func(event any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				r.red = append(r.red, e.Entry.Text+" "+e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			r.red = append(r.red, e.ExceptionDetails.Text)
		}
	}))
	_, err := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	check(t, err)
	return r
}

// text is what can be read on the page.
func (r *reader) text() string {
	r.t.Helper()
	yes := true
	got, err := chromedp.Call(r.ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: `document.body.innerText`, ReturnByValue: &yes})
	check(r.t, err)
	var text string
	check(r.t, json.Unmarshal(got.Result.Value, &text))
	return strings.Join(strings.Fields(text), " ")
}

// reads waits until all words can be read.
func (r *reader) reads(words ...string) {
	r.t.Helper()
	text := ""
	for range 600 {
		text = r.text()
		missing := false
		for _, w := range words {
			missing = missing || !strings.Contains(text, w)
		}
		if !missing {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.t.Errorf("the page does not say %q but: %s", words, text)
}

// offers gives the page a file, and waits until it has looked at it.
func (r *reader) offers(file []byte, words ...string) {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "credential.jsonld")
	check(r.t, os.WriteFile(path, file, 0o600))
	check(r.t, chromedp.Do(r.ctx, chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{path})))
	r.reads(words...)
}

// picture keeps the whole page, at a wide and a narrow width, where the environment says.
func (r *reader) picture(name string) {
	r.t.Helper()
	folder := os.Getenv("SEALSMITH_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	r.n++
	yes := true
	for _, width := range []int64{1100, 380} {
		_, err := chromedp.Call(r.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
		check(r.t, err)
		shot, err := chromedp.Call(r.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &yes})
		check(r.t, err)
		check(r.t, os.MkdirAll(folder, 0o700))
		check(r.t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("kit-%02d-%s-%d.png", r.n, name, width)), shot.Data, 0o600))
	}
}

// TestKitInBrowser hosts a kit as plain files and has its page look at credentials, sealed with each
// kind of key, as somebody does whose issuer is gone.
func TestKitInBrowser(t *testing.T) {
	t.Parallel()
	o := newOfficeOnSQLite(t)
	own := map[string]issuance.Sealer{
		"delta": newRSAToken(t, "RS256", "Delta University", "NTRNL-87654321"),
		"fjord": newRSAToken(t, "PS256", "Fjordmark College", "NTRNL-11111111"),
	}
	others := map[string][]byte{}
	for slug := range own {
		back := o.swap(t, slug)
		w := o.worker(t)
		w.Own = own
		c := o.claim(t, slug)
		check(t, w.Seal(t.Context(), c.ID))
		cred, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
		check(t, err)
		others[slug] = cred.Sealed
		back()
	}
	_, good := o.held(t, "good")
	_, gone := o.held(t, "gone")
	_, rests := o.held(t, "rests")
	_, err := o.desk.Revoke(t.Context(), o.order(gone))
	check(t, err)
	_, err = o.desk.Suspend(t.Context(), o.order(rests))
	check(t, err)
	s := o.signer()
	s.Sealer = func(slug string) issuance.Sealer {
		if token, found := own[slug]; found {
			return token
		}
		return o.token
	}
	for range 2 {
		_, err := s.RunOnce(t.Context())
		check(t, err)
		o.clock.add(7 * time.Minute)
	}
	dir := filepath.Join(t.TempDir(), "kit")
	made, err := o.kits().Build(t.Context(), dir)
	check(t, err)
	if made.Lists != 3 || made.Entries != 5 {
		t.Fatalf("%+v", made)
	}
	_, late := o.held(t, "late")
	stranger := newMint(t, nil)

	host := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(host.Close)
	r := newReader(t)
	check(t, chromedp.Do(r.ctx, chromedp.Navigate(host.URL+"/index.html")))
	r.reads("This page checks credentials that https://seal.polder.example has sealed", "20 November 2026", "What this page cannot say")
	r.picture("empty")
	const genuine = "This credential is genuine, and was not withdrawn on 20 November 2026."
	r.offers(good.Sealed, genuine, "Every character fits the seal (ES256).", "That list has run out since", "Noor van den Berg", "Polder University of Technology", "NTRNL-12345678")
	r.picture("good")
	r.offers(others["delta"], genuine, "fits the seal (RS256).")
	r.offers(others["fjord"], genuine, "fits the seal (PS256).")
	r.offers(gone.Sealed, "This credential was withdrawn.", "says: withdrawn for good.")
	r.picture("revoked")
	r.offers(rests.Sealed, "This credential was suspended on 20 November 2026", "says: suspended.")
	r.offers([]byte(strings.Replace(string(good.Sealed), "Noor", "Nora", 1)), "This file was changed after sealing.")
	r.picture("tampered")
	if strings.Contains(r.text(), "What it says") {
		t.Error("what a changed file says is shown")
	}
	r.offers(late.Sealed, "this kit does not know whether it was withdrawn")
	r.offers(stranger.seal(t, good.Payload, sealedAt), "this kit does not know who sealed it", "is none of those in this kit")
	r.picture("stranger")
	r.offers(good.Payload, "This file is not sealed")
	r.offers([]byte("PK\x03\x04"), "We could not read this file.")
	r.offers([]byte(`{"payload":"{}","signatures":[{"protected":"e30","signature":""}]}`), "The seal on this file cannot be checked: it carries no certificate.")
	r.offers([]byte(strings.Replace(string(good.Sealed), `"signatures":[`, `"signatures":[{},`, 1)), "More than one seal")

	// A host that changes what is signed is found.
	k, err := kit.Open(dir)
	check(t, err)
	for _, o := range k.Manifest.Organisations {
		for _, l := range o.Lists {
			path := filepath.Join(dir, filepath.FromSlash(l.Token))
			text, err := os.ReadFile(path)
			check(t, err)
			check(t, os.WriteFile(path, []byte(flip(string(text))), 0o600))
			path = filepath.Join(dir, filepath.FromSlash(l.Shards), "all.txt")
			if o.Slug == "delta" {
				check(t, os.WriteFile(path, []byte("x\n"), 0o600))
			}
			if o.Slug == "fjord" {
				check(t, os.Remove(path))
			}
		}
	}
	r.offers(gone.Sealed, "whether it was withdrawn cannot be said")
	r.offers(others["delta"], "This cannot be said: the index of the kit was changed after it was signed.")
	r.mu.Lock()
	if len(r.red) > 0 {
		t.Errorf("the browser complains: %v", r.red)
	}
	r.mu.Unlock()
	r.offers(others["fjord"], "all.txt of the kit cannot be had.")
	if err := chromedp.Do(r.ctx, chromedp.Navigate("file://"+dir+"/index.html")); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r.reads("Open this page through a web server.")
}
