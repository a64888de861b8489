package demolms

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Knob names one way in which this platform can misbehave.
type Knob string

// Value says for how long a knob is turned, or how slow a slow answer is.
type Value string

// The values of a knob. A slow knob also takes a duration such as "250ms";
// any duration stays on until it is turned off.
const (
	Off  Value = ""
	On   Value = "on"
	Once Value = "once"
)

// defaultDelay is how long a slow answer takes when a slow knob is just On:
// longer than any client should wait.
const defaultDelay = 30 * time.Second

// ErrUnknownKnob says that there is no knob of that name, or that it does not
// take that value.
var ErrUnknownKnob = errors.New("unknown knob or value")

// Area says which part of the platform a knob disturbs.
type Area string

// The areas, in the order in which a launch meets them.
const (
	AreaRegistration Area = "Dynamic registration"
	AreaLogin        Area = "Login initiation"
	AreaIDToken      Area = "id_token"
	AreaStorage      Area = "Platform storage"
	AreaResponse     Area = "Authentication response"
	AreaDeepLink     Area = "Deep linking request"
	AreaJWKS         Area = "Key set"
	AreaToken        Area = "Token endpoint"
	AreaServices     Area = "Grade and membership services"
	AreaNotices      Area = "Notices"
)

// perLaunch tells whether a knob of this area belongs to one launch: named in
// a launch address it disturbs that launch and nothing else.
func (a Area) perLaunch() bool {
	return a == AreaLogin || a == AreaStorage || a == AreaIDToken || a == AreaResponse || a == AreaDeepLink
}

// KnobInfo is one row of the table of knobs.
type KnobInfo struct {
	Knob Knob
	Area Area
	// Effect says in one sentence what the platform does wrong.
	Effect string
	// Default is the value for people who just want it: Once where a lasting
	// fault would hide what happens on a retry, On otherwise.
	Default Value
	// Slow knobs take a duration.
	Slow bool
	// Cases are the numbers of the bad inputs a knob stands for in the list
	// the tool is tested by, for example "E4"; may be empty.
	Cases string

	// alter disturbs an id_token before it is signed.
	alter func(*draft)
	// change disturbs a JSON object the platform answers.
	change func(map[string]any)
}

// Knobs is the table of all knobs, grouped by area.
func Knobs() []KnobInfo {
	return slices.Concat(registrationKnobs(), loginKnobs(), moreLoginKnobs(), signatureKnobs(), formKnobs(), claimKnobs(), moreClaimKnobs(), ltiClaimKnobs(), moreLTIKnobs(), messageKnobs(), responseKnobs(), storageKnobs(), deepLinkKnobs(), jwksKnobs(), tokenEndpointKnobs(), endpointKnobs(), serviceKnobs(), gradeKnobs(), pagingKnobs(), memberKnobs(), noticeKnobs())
}

func knobInfo(k Knob) (KnobInfo, error) {
	for _, i := range Knobs() {
		if i.Knob == k {
			return i, nil
		}
	}
	return KnobInfo{}, fmt.Errorf("knob %q: %w", k, ErrUnknownKnob)
}

// Set turns a knob for everything that follows: On until it is set to Off,
// Once for the next use only. Slow knobs also take a duration.
func (l *LMS) Set(k Knob, v Value) error {
	info, err := knobInfo(k)
	if err != nil {
		return err
	}
	if v != Off && v != On && v != Once {
		if _, err := time.ParseDuration(string(v)); err != nil || !info.Slow {
			return fmt.Errorf("value %q of knob %q: %w", v, k, ErrUnknownKnob)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v == Off {
		delete(l.knobs, k)
		return nil
	}
	l.knobs[k] = v
	return nil
}

// Get is the value a knob has now.
func (l *LMS) Get(k Knob) Value {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.knobs[k]
}

// Reset turns all knobs off.
func (l *LMS) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.knobs)
}

// take tells whether a knob is on, and uses up a Once.
func (l *LMS) take(k Knob) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.takeLocked(k) != Off
}

func (l *LMS) takeLocked(k Knob) Value {
	v := l.knobs[k]
	if v == Once {
		delete(l.knobs, k)
	}
	return v
}

// delay is how long a slow knob holds an answer back; zero when it is off.
func (l *LMS) delay(k Knob) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.takeLocked(k)
	if v == Off {
		return 0
	}
	if d, err := time.ParseDuration(string(v)); err == nil {
		return d
	}
	return defaultDelay
}

// launchFaults joins the faults named for one launch with the knobs that are
// turned for all; the caller holds the lock.
func (l *LMS) launchFaults(named []Knob) map[Knob]bool {
	faults := map[Knob]bool{}
	for _, k := range named {
		faults[k] = true
	}
	for _, i := range l.table {
		if i.Area.perLaunch() && l.takeLocked(i.Knob) != Off {
			faults[i.Knob] = true
		}
	}
	return faults
}

// nameFault uses the fault a launch address asks for: faults of a launch are
// returned, faults of a service are turned with their default value.
func (l *LMS) nameFault(name string) ([]Knob, error) {
	if name == "" {
		return nil, nil
	}
	info, err := knobInfo(Knob(name))
	if err != nil {
		return nil, err
	}
	if info.Area.perLaunch() {
		return []Knob{info.Knob}, nil
	}
	return nil, l.Set(info.Knob, info.Default)
}
