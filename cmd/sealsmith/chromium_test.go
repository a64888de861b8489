package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// chrome is Chromium, driven by the protocol of its developer tools.
type chrome struct {
	ctx     context.Context //nolint:containedctx // chromedp keeps the browser in it
	windows map[target.ID]context.Context
	console transcript // errors of all pages and frames
	asked   transcript // addresses, one a line
}

// newChrome starts Chromium with a fresh profile, and with cookies of third parties blocked.
// never lists further who may have no cookies at all, like toolInFrames.
func newChrome(t *testing.T, never ...string) *screen {
	t.Helper()
	path := installed(t, "chromium", "chromium-browser", "google-chrome")
	profile := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(profile, "Default"), 0o700))
	must(t, os.WriteFile(filepath.Join(profile, "Default", "Preferences"), chromePreferences(t, never), 0o600))
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
	c := &chrome{ctx: ctx, windows: map[target.ID]context.Context{}}
	s := newScreen(t, c)
	must(t, c.listen(ctx))
	_, err := chromedp.CallBrowser(ctx, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
		Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: s.downloads,
	})
	must(t, err)
	return s
}

// toolInFrames is an entry of Chromium's list of sites that may not have cookies: the site,
// and the one that the window shows.
const toolInFrames = "localhost,127.0.0.1"

// chromePreferences are the settings of a person. 1 is "block third-party cookies", and 2
// in a list of sites "never allowed to use cookies".
func chromePreferences(t *testing.T, never []string) []byte {
	t.Helper()
	sites := map[string]any{}
	for _, site := range never {
		sites[site] = map[string]int{"setting": 2}
	}
	text, err := json.Marshal(map[string]any{"profile": map[string]any{
		"block_third_party_cookies": true, "cookie_controls_mode": 1,
		"content_settings": map[string]any{"exceptions": map[string]any{"cookies": sites}},
	}})
	must(t, err)
	return text
}

// listen hears a window with its frames.
func (c *chrome) listen(ctx context.Context) error {
	if err := chromedp.Listen(ctx, c.hear); err != nil {
		return err
	}
	_, err := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	if err == nil {
		_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	}
	return err
}

// hear keeps which addresses were asked for, and what the developer tools would show in red.
func (c *chrome) hear(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		fmt.Fprintln(&c.asked, e.Request.URL)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			fmt.Fprintf(&c.console, "%s: %s %s\n", e.Entry.Source, strings.Join(strings.Fields(e.Entry.Text), " "), e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		fmt.Fprintf(&c.console, "exception: %s\n", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			fmt.Fprintf(&c.console, "console.error: %v\n", e.Args)
		}
	}
}

func (c *chrome) complaints() (string, error) { return c.console.take(), nil }

func (c *chrome) addresses() (string, error) { return c.asked.take(), nil }

// shut closes the windows that were opened.
func (c *chrome) shut() error {
	others, err := c.others()
	for _, id := range others {
		delete(c.windows, id)
		if err == nil {
			_, err = chromedp.CallBrowser(c.ctx, target.CloseTarget, target.CloseTargetParams{TargetID: id})
		}
	}
	return err
}

// others are the windows besides the first.
func (c *chrome) others() ([]target.ID, error) {
	targets, err := chromedp.Targets(c.ctx)
	var ids []target.ID
	for _, other := range targets {
		if other.Type == "page" && other.TargetID != chromedp.FromContext(c.ctx).Target.TargetID {
			ids = append(ids, other.TargetID)
		}
	}
	return ids, err
}

func (c *chrome) open(address string) error { return chromedp.Do(c.ctx, chromedp.Navigate(address)) }

// window returns the session of the window that shows the place, for as long as a test is
// patient.
func (c *chrome) window(at place) (context.Context, context.CancelFunc, error) {
	ctx := c.ctx
	if at == inWindow {
		others, err := c.others()
		if err == nil && len(others) == 0 {
			err = errors.New("no window was opened")
		}
		if err == nil && c.windows[others[0]] == nil {
			err = c.attach(others[0])
		}
		if err != nil {
			return nil, nil, err
		}
		ctx = c.windows[others[0]]
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	return ctx, stop, nil
}

func (c *chrome) attach(id target.ID) error {
	ctx, leave := chromedp.NewContext(c.ctx, chromedp.WithTargetID(id))
	context.AfterFunc(c.ctx, leave)
	c.windows[id] = ctx //nolint:fatcontext // one per window, each from the browser's
	return c.listen(ctx)
}

func (c *chrome) eval(at place, script string, result any) error {
	ctx, stop, err := c.window(at)
	if err != nil {
		return err
	}
	defer stop()
	tree, err := chromedp.Call(ctx, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		return err
	}
	id := tree.FrameTree.Frame.ID
	if at == inFrame {
		tool := slices.IndexFunc(tree.FrameTree.ChildFrames, func(f *page.FrameTree) bool { return !strings.Contains(f.Frame.URL, besideTool) })
		if tool < 0 {
			return fmt.Errorf("%s shows no frame", tree.FrameTree.Frame.URL)
		}
		id = tree.FrameTree.ChildFrames[tool].Frame.ID
	}
	world, err := chromedp.Call(ctx, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: id, WorldName: "test"})
	if err != nil {
		return err
	}
	yes := true
	got, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: script, ContextID: world.ExecutionContextID, ReturnByValue: &yes})
	if err != nil {
		return err
	}
	if got.ExceptionDetails != nil {
		return fmt.Errorf("%s: %s", got.ExceptionDetails.Text, script)
	}
	return json.Unmarshal(got.Result.Value, result)
}

// press moves the spot in a frame by the frame's corner: Chromium's mouse knows the page only.
func (c *chrome) press(at place, where spot) error {
	ctx, stop, err := c.window(at)
	if err != nil {
		return err
	}
	defer stop()
	var corner spot
	if at == inFrame {
		err = c.eval(inPage, `(() => { const f = document.querySelector("iframe:not([hidden])"), r = f.getBoundingClientRect(); return {X: r.x + f.clientLeft, Y: r.y + f.clientTop}; })()`, &corner)
		if err != nil {
			return err
		}
	}
	return chromedp.Do(ctx, chromedp.MouseClickXY(where.X+corner.X, where.Y+corner.Y))
}

func (c *chrome) enter(at place, text string) error {
	ctx, stop, err := c.window(at)
	if err != nil {
		return err
	}
	defer stop()
	_, err = chromedp.Call(ctx, input.InsertText, input.InsertTextParams{Text: text})
	return err
}

func (c *chrome) choose(selector, file string) error {
	return chromedp.Do(c.ctx, chromedp.SetUploadFiles(chromedp.CSS(selector), []string{file}))
}

func (c *chrome) picture(at place) ([]byte, error) {
	ctx, stop, err := c.window(at)
	if err != nil {
		return nil, err
	}
	defer stop()
	if _, err := chromedp.Call(ctx, page.BringToFront, cdp.Empty{}); err != nil { // what lies behind is not painted
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}
