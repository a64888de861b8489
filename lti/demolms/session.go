package demolms

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// maxPending bounds how many unfinished launches one browser may hold.
const maxPending = 200

// session is one browser that acts as one person.
type session struct {
	id, user string
	// key is Moodle's sesskey: it must come with every form.
	key string
	// pending are launches begun and not yet answered, by launch id.
	pending map[string]pendingLaunch
	// drafts are content items a tool returned, waiting for "Save".
	drafts map[string]contentDraft
	serial int
	// wantData is what must come back from content selection; empty when the
	// last request carried nothing.
	wantData string
	// refuseAnswer is set when the answer is to be refused as too old.
	refuseAnswer bool
}

// expectAnswer notes what a deep linking request makes of its answer.
func (s *session) expectAnswer(faults map[Knob]bool) {
	s.wantData, s.refuseAnswer = "", faults[DeepLinkRefused]
	switch {
	case faults[DeepLinkData]:
		s.wantData = deepLinkData
	case faults[DeepLinkLongData]:
		s.wantData = longDeepLinkData()
	}
}

// pendingLaunch is what a one-use message hint stands for.
type pendingLaunch struct {
	launch Launch
	faults map[Knob]bool
}

// contentDraft is the selection of a teacher.
type contentDraft struct {
	course, clientID string
	items            []ContentItem
}

// cookieName differs per LMS because cookies ignore ports, and several of
// these live on one loopback address.
func (l *LMS) cookieName() string {
	sum := sha256.Sum256([]byte(l.cfg.Issuer))
	return "LMSSession" + hex.EncodeToString(sum[:4])
}

// session finds the browser's session; nil when there is none.
func (l *LMS) session(r *http.Request) *session {
	c, err := r.Cookie(l.cookieName())
	if err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sessions[c.Value]
}

// startSession logs a person in and sets the cookie. It is a plain Lax cookie
// as Moodle's on http, so it is missing on a POST from another site.
func (l *LMS) startSession(w http.ResponseWriter, user string) error {
	id, err := l.random(16)
	if err != nil {
		return err
	}
	key, err := l.random(5)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.sessions[id] = &session{id: id, user: user, key: key, pending: map[string]pendingLaunch{}, drafts: map[string]contentDraft{}}
	l.mu.Unlock()
	http.SetCookie(w, l.cookie(id, 0))
	return nil
}

func (l *LMS) endSession(w http.ResponseWriter, s *session) {
	l.mu.Lock()
	delete(l.sessions, s.id)
	l.mu.Unlock()
	http.SetCookie(w, l.cookie("", -1))
}

func (l *LMS) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // G124: served on http on loopback only, where Secure would lose the cookie
		Name: l.cookieName(), Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// hint is Moodle's lti_message_hint.
type hint struct {
	CMID     int    `json:"cmid,omitempty"`
	LaunchID string `json:"launchid"`
}

// begin notes a launch in the session and returns its message hint. The
// caller holds the lock.
func (l *LMS) begin(s *session, launch Launch) (string, map[Knob]bool, error) {
	faults := l.launchFaults(launch.Faults)
	nonce, err := l.random(4)
	if err != nil {
		return "", nil, err
	}
	h := hint{LaunchID: "ltilaunch_" + nonce}
	if a, err := l.activity(launch.Activity); err == nil {
		h = hint{CMID: a.CMID, LaunchID: "ltilaunch" + a.ID + "_" + nonce}
	}
	if len(s.pending) >= maxPending {
		clear(s.pending)
	}
	s.pending[h.LaunchID] = pendingLaunch{launch: launch, faults: faults}
	raw, err := json.Marshal(h)
	if err != nil {
		return "", nil, fmt.Errorf("encode message hint: %w", err)
	}
	return string(raw), faults, nil
}

// spend takes the launch a hint stands for out of the session; the caller
// holds the lock.
func (s *session) spend(raw string) (pendingLaunch, bool) {
	var h hint
	if err := json.Unmarshal([]byte(raw), &h); err != nil || h.LaunchID == "" {
		return pendingLaunch{}, false
	}
	p, ok := s.pending[h.LaunchID]
	delete(s.pending, h.LaunchID)
	return p, ok
}

// keepDraft stores a selection and returns the name under which the activity
// form finds it; the caller holds the lock.
func (s *session) keepDraft(d contentDraft) string {
	s.serial++
	name := strconv.Itoa(s.serial)
	s.drafts[name] = d
	return name
}
