package demolms

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Storage says whether and where a platform keeps data for a tool whose
// cookies the browser withholds (LTI Client Side postMessages 1.0, LTI
// postMessage Storage 1.0). It is the value of lti_storage_target.
type Storage string

// The kinds of storage. Moodle has none.
const (
	// StorageNone offers nothing.
	StorageNone Storage = ""
	// StorageParent is the page around the tool's frame.
	StorageParent Storage = "_parent"
	// StorageFrame is a frame beside the tool's.
	StorageFrame Storage = "lti_storage_frame"
)

// storagePath is the page of the frame beside the tool's.
const storagePath = "/storage"

// storageView is what the script of the storage has to know.
type storageView struct {
	// Role is "page" where the page keeps the data, "host" where it only
	// points to the frame, and "frame" in that frame.
	Role string
	// Frame is the address of the frame, if there is one.
	Frame string
	// Name is the frame's name, Origins are those of the tools, Faults the
	// knobs, each separated by blanks.
	Name, Origins, Faults string
}

// storageMode is the storage under some faults. A fault of the storage needs
// one to be seen, so it brings its own.
func (l *LMS) storageMode(faults map[Knob]bool) Storage {
	switch {
	case faults[StorageBeside]:
		return StorageFrame
	case faults[StorageAround]:
		return StorageParent
	case l.cfg.Storage != StorageNone:
		return l.cfg.Storage
	}
	for _, i := range storageKnobs() {
		if faults[i.Knob] {
			return StorageParent
		}
	}
	return StorageNone
}

// storageFields is the parameter by which a login initiation announces the
// storage.
func (l *LMS) storageFields(faults map[Knob]bool) []field {
	mode := l.storageMode(faults)
	switch {
	case mode == StorageNone || faults[StorageCapabilitiesOnly]:
		return nil
	case faults[StorageBadTarget]:
		return []field{{"lti_storage_target", badStorageTarget}}
	default:
		return []field{{"lti_storage_target", string(mode)}}
	}
}

// storageView prepares the storage of a page with a tool in a frame; nil when
// there is none. The knobs are only looked at: the launch in the frame, which
// comes after the page, uses up a Once.
func (l *LMS) storageView(r *http.Request) *storageView {
	faults := map[Knob]bool{Knob(r.URL.Query().Get("fault")): true}
	var names []string
	for _, i := range storageKnobs() {
		if l.Get(i.Knob) != Off {
			faults[i.Knob] = true
		}
		if faults[i.Knob] {
			names = append(names, string(i.Knob))
		}
	}
	mode := l.storageMode(faults)
	if mode == StorageNone {
		return nil
	}
	v := &storageView{Role: "page", Name: string(StorageFrame), Origins: strings.Join(l.toolOrigins(), " "), Faults: strings.Join(names, " ")}
	if mode == StorageFrame {
		v.Role = "host"
	}
	if mode == StorageFrame || faults[StorageOtherSource] {
		v.Frame = storagePath + "?" + url.Values{"faults": {v.Faults}}.Encode()
	}
	return v
}

// serveStorage is the frame that keeps the data. Its knobs are those of the
// page around it, so that both misbehave alike.
func (l *LMS) serveStorage(w http.ResponseWriter, r *http.Request) {
	var names []string
	for name := range strings.FieldsSeq(r.URL.Query().Get("faults")) {
		if slices.ContainsFunc(storageKnobs(), func(i KnobInfo) bool { return string(i.Knob) == name }) {
			names = append(names, name)
		}
	}
	l.render(w, r, "storage", view{Title: "Storage", Bare: true, Storage: &storageView{
		Role: "frame", Name: string(StorageFrame), Origins: strings.Join(l.toolOrigins(), " "), Faults: strings.Join(names, " "),
	}})
}

// Knobs of the platform storage.
const (
	StorageAround           Knob = "storage-parent"
	StorageBeside           Knob = "storage-frame"
	StorageCapabilitiesOnly Knob = "storage-capabilities-only"
	StorageSilent           Knob = "storage-silent"
	StoragePutError         Knob = "storage-put-error"
	StorageGetOther         Knob = "storage-get-other"
	StorageWrongID          Knob = "storage-wrong-id"
	StorageOtherSource      Knob = "storage-other-source"
	StorageOldSubjects      Knob = "storage-old-subjects"
	StorageBadTarget        Knob = "storage-bad-target"
)

// badStorageTarget must not reach a script unescaped.
const badStorageTarget = `"];alert(1)//`

func storageKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: StorageAround, Area: AreaStorage, Default: On, Effect: "The page around the tool offers platform storage, which Moodle does not have; this is legal."},
		{Knob: StorageBeside, Area: AreaStorage, Default: On, Effect: "A frame beside the tool's offers platform storage; this is legal."},
		{Knob: StorageCapabilitiesOnly, Area: AreaStorage, Default: On, Effect: "The storage answers lti.capabilities and the login initiation does not announce it (Blackboard)."},
		{Knob: StorageSilent, Area: AreaStorage, Default: On, Cases: "P4", Effect: "The storage is announced and never answers."},
		{Knob: StoragePutError, Area: AreaStorage, Default: On, Cases: "P5", Effect: "The storage answers storage_exhaustion to lti.put_data."},
		{Knob: StorageGetOther, Area: AreaStorage, Default: On, Cases: "P3", Effect: "The storage answers lti.get_data with another value than was put."},
		{Knob: StorageWrongID, Area: AreaStorage, Default: On, Cases: "P2", Effect: "The answers of the storage carry another message_id."},
		{Knob: StorageOtherSource, Area: AreaStorage, Default: On, Cases: "P1", Effect: "The answers of the storage come from another frame than was asked."},
		{Knob: StorageOldSubjects, Area: AreaStorage, Default: On, Effect: "The storage knows the old subjects org.imsglobal.lti.* only."},
		{Knob: StorageBadTarget, Area: AreaStorage, Default: On, Cases: "L16", Effect: "The login initiation announces a storage target that is a piece of script."},
	}
}
