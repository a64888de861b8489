package demolms_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

// talk is what a tool's page learns from the storage. Errors stand for the
// value they came in place of; a missing answer is "silence".
type talk struct {
	Target, Frame, Put, Get, Foreign string
}

// toolPage talks to the storage as the specifications tell a tool to: the
// capabilities are asked of anybody, data of the LMS only.
const toolPage = `<!DOCTYPE html><title>Tool</title><script>
const lms = %q, announced = %q, reports = %q;
const home = window.opener || window.parent;
const ask = (target, message, origin) => new Promise((done) => {
  const message_id = Math.random().toString(36);
  const timer = setTimeout(() => { window.removeEventListener("message", hear); done({ error: { code: "silence" } }); }, 700);
  const hear = (event) => {
    if (event.source !== target || event.origin !== lms || event.data.message_id !== message_id || event.data.subject !== message.subject + ".response") return;
    clearTimeout(timer); window.removeEventListener("message", hear); done(event.data);
  };
  window.addEventListener("message", hear);
  target.postMessage({ ...message, message_id }, origin);
});
const said = (answer) => answer.error ? answer.error.code : String(answer.value);
(async () => {
  const report = { Target: announced };
  for (const prefix of ["lti.", "org.imsglobal.lti."]) {
    const can = await ask(home, { subject: prefix + "capabilities" }, "*");
    const message = (can.supported_messages || []).find((m) => m.subject === prefix + "put_data");
    report.Frame = can.error ? can.error.code : prefix + (message.frame || "_parent");
    if (can.error) continue;
    const target = message.frame ? home.frames[message.frame] : home;
    report.Put = said(await ask(target, { subject: prefix + "put_data", key: "k", value: "v" }, lms));
    report.Get = said(await ask(target, { subject: prefix + "get_data", key: "k" }, lms));
    report.Foreign = said(await ask(target, { subject: prefix + "get_data", key: "not mine" }, lms));
    break;
  }
  await fetch(reports, { method: "POST", body: JSON.stringify(report) });
})();
</script>`

// TestInABrowser shows pages to a real browser, for what only scripts do.
func TestInABrowser(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("chromium")
	if err != nil {
		const missing = "Chromium is not installed: apt-get install chromium"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip("SKIPPED: " + missing)
	}
	reports := make(chan talk, 1)
	b := setup(t)
	tool := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/report":
			var said talk
			raw, _ := io.ReadAll(r.Body)
			_ = json.Unmarshal(raw, &said)
			reports <- said
		case "/register":
			fmt.Fprint(w, `<script>parent.postMessage({subject: "org.imsglobal.lti.close"}, "*")</script>`)
		default:
			fmt.Fprintf(w, toolPage, b.Issuer(), r.FormValue("lti_storage_target"), "/report")
		}
	}))
	t.Cleanup(tool.Close)
	if err := b.AddTool(demolms.Tool{ClientID: client, LoginURL: tool.URL + "/login", LaunchURL: tool.URL + "/launch"}); err != nil {
		t.Fatal(err)
	}
	a, _ := b.place()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(leave)
	open := func(address string) {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.Navigate(b.Issuer()+address)); err != nil {
			t.Fatal(err)
		}
	}
	open("/as/admin?next=/admin/register?url=" + tool.URL + "/register")
	arrived := false
	for range 500 {
		where, err := chromedp.Run(ctx, chromedp.Location())
		if err != nil {
			t.Fatal(err)
		}
		if arrived = strings.HasSuffix(where, "/admin/tools?registered=1"); arrived {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !arrived {
		t.Error("the registration page was not closed")
	}
	open("/as/maija")
	good := talk{Target: "_parent", Frame: "lti._parent", Put: "v", Get: "v", Foreign: "null"}
	with := func(change func(*talk)) talk { w := good; change(&w); return w }
	for fault, want := range map[demolms.Knob]talk{
		"":                              {Frame: "silence"},
		demolms.StorageAround:           good,
		demolms.StorageBeside:           with(func(w *talk) { w.Target, w.Frame = "lti_storage_frame", "lti.lti_storage_frame" }),
		demolms.StorageCapabilitiesOnly: with(func(w *talk) { w.Target = "" }),
		demolms.StorageSilent:           {Target: "_parent", Frame: "silence"},
		demolms.StorageWrongID:          {Target: "_parent", Frame: "silence"},
		demolms.StorageOtherSource:      {Target: "_parent", Frame: "silence"},
		demolms.StoragePutError:         with(func(w *talk) { w.Put, w.Get = "storage_exhaustion", "null" }),
		demolms.StorageGetOther:         with(func(w *talk) { w.Get, w.Foreign = "another value", "another value" }),
		demolms.StorageOldSubjects:      with(func(w *talk) { w.Frame = "org.imsglobal.lti._parent" }),
	} {
		open("/activity/" + a.ID + "?fault=" + string(fault))
		select {
		case got := <-reports:
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", fault, diff)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q: the tool's page does not report", fault)
		}
	}
}
