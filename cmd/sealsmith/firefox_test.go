package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// firefox is Firefox, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi). One
// test drives it, so that one connection asks and waits for the answer; what is told
// meanwhile is heard on the way.
type firefox struct {
	socket   *websocket.Conn
	number   int    // of the last command
	page     string // the browsing context of the window it starts with
	troubles strings.Builder
	asked    strings.Builder // addresses, one a line
}

// What Firefox does with cookies of third parties: network.cookie.cookieBehavior.
const (
	blockThirdParties     = 1 // "all cross-site cookies", as Tor Browser does
	partitionThirdParties = 5 // Total Cookie Protection, what everybody has
)

// newFirefox starts Firefox with a fresh profile that treats cookies in this way.
func newFirefox(t *testing.T, cookieBehavior int) *screen {
	t.Helper()
	path := installed(t, "firefox-esr", "firefox")
	f := &firefox{}
	s := newScreen(t, f)
	profile := t.TempDir()
	must(t, os.WriteFile(filepath.Join(profile, "user.js"), []byte(firefoxPreferences(cookieBehavior, s.downloads)), 0o600))
	var said transcript
	command := exec.Command(path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port=0",
		// The client names an origin, which no page can have.
		"--remote-allow-origins="+testOrigin)
	command.Env = environment("HOME="+profile, "MOZ_CRASHREPORTER_DISABLE=1", "MOZ_HEADLESS_WIDTH=1280", "MOZ_HEADLESS_HEIGHT=1000")
	command.Stdout, command.Stderr = &said, &said
	command.WaitDelay = time.Second
	must(t, command.Start())
	t.Cleanup(func() { f.close(t, command) })
	f.connect(t, &said)
	return s
}

const testOrigin = "http://sealsmith.test"

// firefoxPreferences is the profile's user.js: quiet about itself and its makers, and
// otherwise what a person has. Everything but this computer is behind a proxy that does not
// exist, so that nothing from outside can change what a test sees.
func firefoxPreferences(cookieBehavior int, downloads string) string {
	var b strings.Builder
	for name, value := range map[string]any{
		"network.cookie.cookieBehavior": cookieBehavior,

		"browser.download.folderList": 2, // the folder named next
		"browser.download.dir":        downloads,

		"network.proxy.type":            1,
		"network.proxy.allow_bypass":    false, // which Firefox grants to its own calls
		"network.proxy.failover_direct": false,
		"network.proxy.http":            "127.0.0.1",
		"network.proxy.http_port":       9,
		"network.proxy.ssl":             "127.0.0.1",
		"network.proxy.ssl_port":        9,

		"app.normandy.enabled":                                        false,
		"app.update.auto":                                             false,
		"browser.aboutwelcome.enabled":                                false,
		"browser.newtabpage.enabled":                                  false,
		"browser.shell.checkDefaultBrowser":                           false,
		"browser.startup.homepage_override.mstone":                    "ignore",
		"browser.startup.page":                                        0,
		"datareporting.healthreport.uploadEnabled":                    false,
		"datareporting.policy.dataSubmissionEnabled":                  false,
		"datareporting.policy.dataSubmissionPolicyBypassNotification": true,
		"network.captive-portal-service.enabled":                      false,
		"network.connectivity-service.enabled":                        false,
		"termsofuse.bypassNotification":                               true,
		"toolkit.telemetry.enabled":                                   false,
	} {
		text, _ := json.Marshal(value) // numbers, words, yes and no
		fmt.Fprintf(&b, "user_pref(%q, %s);\n", name, text)
	}
	return b.String()
}

var listening = regexp.MustCompile(`WebDriver BiDi listening on (ws://\S+)`)

// connect waits for the address that Firefox prints, and opens a session.
func (f *firefox) connect(t *testing.T, said *transcript) {
	t.Helper()
	eventually(t, func() string {
		address := listening.FindStringSubmatch(said.String())
		if address == nil {
			return "Firefox does not listen: " + said.String()
		}
		var err error
		if f.socket, err = websocket.Dial(address[1]+"/session", "", testOrigin); err != nil {
			return err.Error()
		}
		return ""
	})
	must(t, f.call("session.new", object{"capabilities": object{}}, nil))
	must(t, f.call("session.subscribe", object{"events": []string{"log.entryAdded", "network.beforeRequestSent", "network.responseCompleted"}}, nil))
	tops, err := f.tree()
	must(t, err)
	f.page = tops[0].Context
}

// close ends Firefox, and waits until it has left its profile.
func (f *firefox) close(t *testing.T, command *exec.Cmd) {
	t.Helper()
	if f.socket == nil || f.call("browser.close", object{}, nil) != nil {
		_ = command.Process.Kill()
	}
	late := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
	defer late.Stop()
	_ = command.Wait() // the exit code says nothing about the test
}

type object map[string]any

// message is what Firefox sends: an answer with the number of the command, or an event.
type message struct {
	ID             int
	Type, Method   string
	Error, Message string
	Result, Params json.RawMessage
}

// call gives a command and waits for the answer.
func (f *firefox) call(method string, params object, result any) error {
	f.number++
	if err := f.socket.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := websocket.JSON.Send(f.socket, object{"id": f.number, "method": method, "params": params}); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	for {
		var m message
		if err := websocket.JSON.Receive(f.socket, &m); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		switch {
		case m.Type == "event":
			if err := f.hear(m); err != nil {
				return err
			}
		case m.ID != f.number:
			return fmt.Errorf("%s: answer %d instead of %d: %s", method, m.ID, f.number, m.Message)
		case m.Type == "error":
			return fmt.Errorf("%s: %s: %s", method, m.Error, m.Message)
		case result != nil:
			return json.Unmarshal(m.Result, result)
		default:
			return nil
		}
	}
}

// brokenOff is what Firefox says of a font that was on its way when the page was left.
const brokenOff = "2152398850" // NS_BINDING_ABORTED

// hear keeps which addresses were asked for, and what the developer tools would show in red.
func (f *firefox) hear(m message) error {
	var event struct {
		Level, Type, Text string
		Request           struct{ URL string }
		Response          struct {
			URL    string
			Status int
		}
	}
	if err := json.Unmarshal(m.Params, &event); err != nil {
		return fmt.Errorf("%s: %w", m.Method, err)
	}
	if m.Method == "network.beforeRequestSent" {
		fmt.Fprintln(&f.asked, event.Request.URL)
	}
	if event.Level == "error" && !strings.Contains(event.Text, "status="+brokenOff) {
		fmt.Fprintf(&f.troubles, "%s: %s\n", event.Type, event.Text)
	}
	if event.Response.Status >= 400 {
		fmt.Fprintf(&f.troubles, "network: %d %s\n", event.Response.Status, event.Response.URL)
	}
	return nil
}

// complaints asks once more, so that everything before was heard.
func (f *firefox) complaints() (string, error) {
	_, err := f.tree()
	defer f.troubles.Reset()
	return f.troubles.String(), err
}

func (f *firefox) addresses() (string, error) {
	_, err := f.tree()
	defer f.asked.Reset()
	return f.asked.String(), err
}

func (f *firefox) shut() error {
	tops, err := f.tree()
	for _, top := range tops {
		if err == nil && top.Context != f.page {
			err = f.call("browsingContext.close", object{"context": top.Context}, nil)
		}
	}
	return err
}

func (f *firefox) open(address string) error {
	return f.call("browsingContext.navigate", object{"context": f.page, "url": address, "wait": "complete"}, nil)
}

// window is a browsing context: a tab, a window or a frame.
type window struct {
	Context, URL string
	Children     []window
}

func (f *firefox) tree() ([]window, error) {
	var tree struct{ Contexts []window }
	err := f.call("browsingContext.getTree", object{}, &tree)
	if err == nil && len(tree.Contexts) == 0 {
		err = errors.New("Firefox shows no window")
	}
	return tree.Contexts, err
}

// find returns the browsing context of a place.
func (f *firefox) find(at place) (string, error) {
	if at == inPage {
		return f.page, nil
	}
	tops, err := f.tree()
	if err != nil {
		return "", err
	}
	for _, top := range tops {
		switch {
		case at == inWindow && top.Context != f.page:
			return top.Context, nil
		case at == inFrame && top.Context == f.page:
			for _, child := range top.Children {
				if !strings.Contains(child.URL, besideTool) {
					return child.Context, nil
				}
			}
		}
	}
	return "", fmt.Errorf("%s shows no frame and opened no window", tops[0].URL)
}

func (f *firefox) eval(at place, script string, result any) error {
	context, err := f.find(at)
	if err != nil {
		return err
	}
	got, err := f.evaluate(context, "JSON.stringify("+script+")")
	if err != nil {
		return err
	}
	var text string
	if err := json.Unmarshal(got.Value, &text); err != nil {
		return fmt.Errorf("%w: %s", err, script)
	}
	return json.Unmarshal([]byte(text), result)
}

// remote is what a script returns: text, or an element by its id.
type remote struct {
	Value    json.RawMessage
	SharedID string
}

func (f *firefox) evaluate(context, script string) (remote, error) {
	var got struct {
		Result           remote
		ExceptionDetails *struct{ Text string }
	}
	err := f.call("script.evaluate", object{
		"expression": script, "target": object{"context": context, "sandbox": "test"}, "awaitPromise": false,
	}, &got)
	if err == nil && got.ExceptionDetails != nil {
		err = fmt.Errorf("%s: %s", got.ExceptionDetails.Text, script)
	}
	return got.Result, err
}

// perform lets an input device do something.
func (f *firefox) perform(at place, kind string, actions ...object) error {
	context, err := f.find(at)
	if err != nil {
		return err
	}
	device := object{"type": kind, "id": kind, "actions": actions}
	return f.call("input.performActions", object{"context": context, "actions": []object{device}}, nil)
}

func (f *firefox) press(at place, where spot) error {
	return f.perform(at, "pointer",
		object{"type": "pointerMove", "x": int(where.X), "y": int(where.Y)}, object{"type": "pointerDown", "button": 0}, object{"type": "pointerUp", "button": 0})
}

func (f *firefox) enter(at place, text string) error {
	var keys []object
	for _, key := range text {
		keys = append(keys, object{"type": "keyDown", "value": string(key)}, object{"type": "keyUp", "value": string(key)})
	}
	return f.perform(at, "key", keys...)
}

func (f *firefox) choose(selector, file string) error {
	field, err := f.evaluate(f.page, "document.querySelector("+strconv.Quote(selector)+")")
	if err != nil {
		return err
	}
	return f.call("input.setFiles", object{"context": f.page, "element": object{"sharedId": field.SharedID}, "files": []string{file}}, nil)
}

func (f *firefox) picture(at place) ([]byte, error) {
	context, err := f.find(at)
	if err != nil {
		return nil, err
	}
	var shot struct{ Data string }
	if err := f.call("browsingContext.captureScreenshot", object{"context": context}, &shot); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(shot.Data)
}
