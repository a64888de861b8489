package demolms_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

func TestStorageIsOffByDefault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	b.get("/as/maija")
	if page := b.get("/activity/" + a.ID); strings.Contains(page.Body, "storage.js") {
		t.Error("the page has a storage")
	}
	if _, f := b.begin("/launch/" + a.ID); f.Has("lti_storage_target") {
		t.Error("the login announces a storage")
	}
}

func TestStorageOfTheConfiguration(t *testing.T) {
	t.Parallel()
	for storage, role := range map[demolms.Storage]string{demolms.StorageParent: "page", demolms.StorageFrame: "host"} {
		b := setupWith(t, func(c *demolms.Config) { c.Storage = storage })
		a, _ := b.place()
		b.get("/as/maija")
		page := b.get("/activity/" + a.ID)
		if !strings.Contains(page.Body, `data-role="`+role+`"`) || !strings.Contains(page.Body, `data-origins="`+b.tool.URL+`"`) {
			t.Errorf("%s: %s", storage, page.Body)
		}
		if got := strings.Contains(page.Body, `<iframe name="lti_storage_frame"`); got != (storage == demolms.StorageFrame) {
			t.Errorf("%s: frame %v", storage, got)
		}
		if _, f := b.begin("/launch/" + a.ID); f.Get("lti_storage_target") != string(storage) {
			t.Errorf("login announces %q", f.Get("lti_storage_target"))
		}
		b.get("/as/teacher")
		if page := b.get("/course/2/add?select=1"); !strings.Contains(page.Body, "storage.js") {
			t.Error("content selection has no storage")
		}
	}
}

func TestStorageFrame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.get("/storage?faults=storage-silent+no-such-knob+token-expired")
	if got.Status != http.StatusOK || !strings.Contains(got.Body, `data-role="frame"`) || !strings.Contains(got.Body, `data-faults="storage-silent"`) {
		t.Errorf("frame:\n%s", got.Body)
	}
	if script := b.get("/static/storage.js"); script.Status != http.StatusOK {
		t.Errorf("script: %d", script.Status)
	}
}

// stored checks what the page around a launch knows and what its login
// announces; a browser checks in TestInABrowser what the script makes of it.
func stored(announced string) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		a, _ := b.place()
		b.get("/as/maija")
		if page := b.get("/activity/" + a.ID + "?fault=" + string(k)); !strings.Contains(page.Body, `data-faults="`+string(k)+`"`) {
			t.Errorf("page:\n%s", page.Body)
		}
		if _, f := b.begin("/launch/" + a.ID + "?fault=" + string(k)); f.Get("lti_storage_target") != announced || f.Has("lti_storage_target") != (announced != "") {
			t.Errorf("login announces %q", f.Get("lti_storage_target"))
		}
		// Once is for one page and the launch in it.
		if err := b.Set(k, demolms.Once); err != nil {
			t.Fatal(err)
		}
		if page := b.get("/activity/" + a.ID); !strings.Contains(page.Body, string(k)) {
			t.Error("the page does not know the knob")
		}
		if _, f := b.begin("/launch/" + a.ID); f.Get("lti_storage_target") != announced {
			t.Errorf("login announces %q", f.Get("lti_storage_target"))
		}
		if b.Get(k) != demolms.Off {
			t.Error("the knob is still on")
		}
	}
}

func storageTests() map[demolms.Knob]knobTest {
	return map[demolms.Knob]knobTest{
		demolms.StorageAround: stored("_parent"), demolms.StorageBeside: stored("lti_storage_frame"),
		demolms.StorageCapabilitiesOnly: stored(""), demolms.StorageSilent: stored("_parent"), demolms.StoragePutError: stored("_parent"),
		demolms.StorageGetOther: stored("_parent"), demolms.StorageWrongID: stored("_parent"), demolms.StorageOtherSource: stored("_parent"),
		demolms.StorageOldSubjects: stored("_parent"), demolms.StorageBadTarget: stored(`"];alert(1)//`),
	}
}
