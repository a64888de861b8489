package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chrome is a real browser. Its user looks for words, clicks where they stand and types;
// scripts only find the words.
type chrome struct {
	t         *testing.T
	ctx       context.Context //nolint:containedctx // chromedp keeps the browser in it
	pictures  string
	number    int
	downloads string
	console   transcript // errors of all pages and frames
}

// newChrome starts Chromium with a fresh profile, and with cookies of third parties blocked.
func newChrome(t *testing.T) *chrome {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("Chromium is not installed: apt-get install chromium")
	}
	profile := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(profile, "Default"), 0o700))
	// 1 is "block third-party cookies" of the settings.
	preferences := `{"profile":{"block_third_party_cookies":true,"cookie_controls_mode":1}}`
	must(t, os.WriteFile(filepath.Join(profile, "Default", "Preferences"), []byte(preferences), 0o600))
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 1000),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("test-third-party-cookie-phaseout", true),
		// Frames of another site stay in the page's process, so that one session reaches
		// them. Cookies know sites, not processes.
		chromedp.Flag("disable-site-isolation-trials", true))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(leave)
	c := &chrome{t: t, ctx: ctx, downloads: t.TempDir(), pictures: cmp.Or(os.Getenv("SEALSMITH_TEST_SCREENSHOTS"), t.ArtifactDir())}
	must(t, os.MkdirAll(c.pictures, 0o700))
	must(t, chromedp.Listen(ctx, c.hear))
	_, err := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	must(t, err)
	_, err = chromedp.CallBrowser(ctx, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
		Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: c.downloads,
	})
	must(t, err)
	return c
}

// hear keeps what the developer tools would show in red.
func (c *chrome) hear(event any) {
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			fmt.Fprintf(&c.console, "%s: %s %s\n", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		fmt.Fprintf(&c.console, "exception: %s\n", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			fmt.Fprintf(&c.console, "console.error: %v\n", e.Args)
		}
	}
}

func (c *chrome) open(address string) {
	c.t.Helper()
	must(c.t, chromedp.Do(c.ctx, chromedp.Navigate(address)))
}

// Where to look: in the page, or in the frame that it shows.
const (
	inPage  = false
	inFrame = true
)

// eval runs a script beside those of the page.
func (c *chrome) eval(frame bool, script string, result any) error {
	tree, err := chromedp.Call(c.ctx, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		return err
	}
	id := tree.FrameTree.Frame.ID
	if frame {
		if len(tree.FrameTree.ChildFrames) == 0 {
			return fmt.Errorf("%s shows no frame", tree.FrameTree.Frame.URL)
		}
		id = tree.FrameTree.ChildFrames[0].Frame.ID
	}
	world, err := chromedp.Call(c.ctx, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: id, WorldName: "test"})
	if err != nil {
		return err
	}
	yes := true
	got, err := chromedp.Call(c.ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: script, ContextID: world.ExecutionContextID, ReturnByValue: &yes})
	if err != nil {
		return err
	}
	if got.ExceptionDetails != nil {
		return fmt.Errorf("%s: %s", got.ExceptionDetails.Text, script)
	}
	return json.Unmarshal(got.Result.Value, result)
}

// reads waits until these words can be read.
func (c *chrome) reads(frame bool, words ...string) {
	c.t.Helper()
	eventually(c.t, func() string {
		var text string
		if err := c.eval(frame, `document.readyState === "complete" ? document.body.innerText : ""`, &text); err != nil {
			return err.Error() // between two pages there is none
		}
		text = strings.Join(strings.Fields(text), " ")
		for _, w := range words {
			if !strings.Contains(text, w) {
				return fmt.Sprintf("the page does not say %q but: %s", w, text)
			}
		}
		return ""
	})
}

// spot is the middle of an element.
type spot struct{ X, Y float64 }

const findSpot = `(() => {
	const want = %s;
	const hit = [...document.querySelectorAll("a, button, label, input, summary")].find(e =>
		(e.tagName === "INPUT" ? e.labels?.[0]?.innerText ?? e.ariaLabel ?? "" : e.innerText).replace(/\s+/g, " ").includes(want)
		&& e.checkVisibility() && (e.tagName === "INPUT") === %t);
	if (!hit) return null;
	hit.scrollIntoView({block: "center", behavior: "instant"});
	const r = hit.getBoundingClientRect();
	return {X: r.x + r.width / 2, Y: r.y + r.height / 2};
})()`

// press clicks with the mouse on a link, button or label with these words, or into the
// field with this label.
func (c *chrome) press(frame bool, words string, field bool) {
	c.t.Helper()
	var at *spot
	eventually(c.t, func() string {
		if err := c.eval(frame, fmt.Sprintf(findSpot, strconv.Quote(words), field), &at); err != nil {
			return err.Error()
		}
		if at == nil {
			return fmt.Sprintf("there is nothing called %q to click on", words)
		}
		return ""
	})
	if frame {
		var corner spot
		must(c.t, c.eval(inPage, `(() => { const f = document.querySelector("iframe"), r = f.getBoundingClientRect(); return {X: r.x + f.clientLeft, Y: r.y + f.clientTop}; })()`, &corner))
		at.X, at.Y = at.X+corner.X, at.Y+corner.Y
	}
	must(c.t, chromedp.Do(c.ctx, chromedp.MouseClickXY(at.X, at.Y)))
}

func (c *chrome) click(frame bool, words string) {
	c.t.Helper()
	c.press(frame, words, false)
}

// write replaces what stands in the field.
func (c *chrome) write(frame bool, label, text string) {
	c.t.Helper()
	c.press(frame, label, true)
	var selected bool
	must(c.t, c.eval(frame, `(document.activeElement.select(), true)`, &selected))
	_, err := chromedp.Call(c.ctx, input.InsertText, input.InsertTextParams{Text: text})
	must(c.t, err)
}

// picture keeps what the person sees.
func (c *chrome) picture(name string) {
	c.t.Helper()
	png, err := chromedp.Run(c.ctx, chromedp.CaptureScreenshot())
	must(c.t, err)
	c.number++
	must(c.t, os.WriteFile(filepath.Join(c.pictures, fmt.Sprintf("%02d-%s.png", c.number, name)), png, 0o600))
}

// TestBrowser goes the whole way in Chromium, by clicks, with the server in a frame of
// another site and third-party cookies blocked.
func TestBrowser(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.command = []string{"serve", "--no-worker"} // the claim waits until the worker is started
	r.serve(t)
	c := newChrome(t)
	thirdPartyCookiesAreBlocked(t, c)

	c.teacherAttaches(r)
	c.open(r.lms.Issuer() + "/as/maija?next=/course/2")
	c.click(inPage, journeyTitle)
	c.reads(inFrame, "You have no score yet. At least 55 % is asked.")
	c.picture("learner-no-score")
	c.teacherGrades(r, "40")
	c.open(r.lms.Issuer() + "/as/maija?next=/course/2")
	c.click(inPage, journeyTitle)
	c.reads(inFrame, "15 % is missing.")
	c.picture("learner-too-low")
	c.teacherGrades(r, "80")
	c.learnerClaims(t, r)
	c.recogniserChecks(c.learnerDownloads(), r)
	if errors := c.console.String(); errors != "" {
		t.Errorf("the console says:\n%s", errors)
	}
}

func (c *chrome) teacherAttaches(r *rig) {
	c.t.Helper()
	c.open(r.lms.Issuer() + "/as/teacher?next=/course/2")
	c.click(inPage, "Add activity")
	c.click(inPage, "Select content")
	c.reads(inFrame, "Which micro-credential does this course lead to?")
	c.picture("teacher-picks")
	c.click(inFrame, journeyTitle)
	c.click(inFrame, "Continue")
	c.reads(inFrame, "How do we know that a learner has finished?")
	c.write(inFrame, "Least score", "55")
	c.picture("teacher-sets-the-rule")
	c.click(inFrame, "Add to my course")
	c.reads(inPage, "New activity")
	c.picture("teacher-saves")
	c.click(inPage, "Save")
	c.reads(inPage, "The activity was added.")
	c.picture("teacher-course")
}

func (c *chrome) teacherGrades(r *rig, score string) {
	c.t.Helper()
	c.open(r.lms.Issuer() + "/as/teacher?next=/course/2/gradebook")
	c.reads(inPage, "Gradebook", "Maija")
	c.write(inPage, "Maija", score)
	c.click(inPage, "Save")
	c.reads(inPage, "The grades were saved.")
	c.picture("teacher-grades-" + score)
}

func (c *chrome) learnerClaims(t *testing.T, r *rig) {
	t.Helper()
	c.open(r.lms.Issuer() + "/as/maija?next=/course/2")
	c.click(inPage, journeyTitle)
	c.reads(inFrame, "Your micro-credential is ready", "Your score is 80 %.")
	c.picture("learner-can-claim")
	c.click(inFrame, "Claim my micro-credential")
	c.reads(inFrame, "Your credential is being sealed")
	c.picture("learner-waits")
	start(t, r.settings, "worker")
	c.reads(inFrame, "It is yours.") // by live.js: nobody clicks
	c.picture("learner-has-it")
}

// learnerDownloads returns the path of the sealed file.
func (c *chrome) learnerDownloads() string {
	c.t.Helper()
	c.click(inFrame, "Sealed credential")
	var path string
	eventually(c.t, func() string {
		found, err := filepath.Glob(filepath.Join(c.downloads, "*.jsonld"))
		if err != nil || len(found) != 1 {
			return fmt.Sprintf("downloaded files: %v", found)
		}
		path = found[0]
		return ""
	})
	return path
}

func (c *chrome) recogniserChecks(file string, r *rig) {
	c.t.Helper()
	c.open(r.url + "/verify")
	c.picture("recogniser-front")
	must(c.t, chromedp.Do(c.ctx, chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{file})))
	c.click(inPage, "Check it")
	c.reads(inPage, "This credential is genuine", "Maija", journeyTitle)
	c.picture("recogniser-genuine")
}

// thirdPartyCookiesAreBlocked makes sure that the browser is as strict as the test says: a
// framed site gets its partitioned cookie back and the plain one not.
func thirdPartyCookiesAreBlocked(t *testing.T, c *chrome) {
	t.Helper()
	var got atomic.Value
	framed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/set" {
			for _, cookie := range []http.Cookie{{Name: "plain"}, {Name: "partitioned", Partitioned: true}} {
				cookie.Value, cookie.Path, cookie.Secure, cookie.SameSite = "1", "/", true, http.SameSiteNoneMode
				http.SetCookie(w, &cookie)
			}
			http.Redirect(w, r, "/get", http.StatusSeeOther)
			return
		}
		got.Store(r.Header.Get("Cookie"))
	}))
	t.Cleanup(framed.Close)
	address := strings.Replace(framed.URL, "127.0.0.1", "localhost", 1)
	top := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<!DOCTYPE html><link rel="icon" href="data:,"><iframe src="%s/set"></iframe>`, address)
	}))
	t.Cleanup(top.Close)
	c.open(top.URL)
	eventually(t, func() string {
		if got.Load() == nil {
			return "the frame was not loaded"
		}
		return ""
	})
	if cookies := got.Load(); cookies != "partitioned=1" {
		t.Fatalf("the framed site got the cookies %q: third-party cookies are not blocked as they should be", cookies)
	}
}
