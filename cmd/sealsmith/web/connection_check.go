package web

import (
	"net/http"
	"strings"
	"sync"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/lti"
)

// finding is one line of a checkup.
type finding struct {
	Check, Words, Do string
	State            lti.Health
}

func newFindings(all []lti.Finding) []finding {
	out := make([]finding, 0, len(all))
	for _, f := range all {
		out = append(out, finding{Check: capital(f.Check), Words: sentence(f.Words), Do: f.Do, State: f.State})
	}
	return out
}

func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// checks are the connections that are being checked: a check calls the platform a dozen
// times, so an impatient finger must not start a second.
type checks struct {
	mu      sync.Mutex
	running map[string]bool
}

// begin reports whether a check of the connection may start.
func (c *checks) begin(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[id] {
		return false
	}
	c.running[id] = true
	return true
}

func (c *checks) end(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, id)
}

// check looks whether a connection works, before a person notices that it does not.
func (s *Web) check(w http.ResponseWriter, r *http.Request, v *visit) error {
	reg, err := s.deps.Registrations.Registration(r.Context(), v.organisation.ID, mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	return s.showChecked(w, r, v, reg, false)
}

// showChecked runs the check and shows the connection with what was found.
func (s *Web) showChecked(w http.ResponseWriter, r *http.Request, v *visit, reg lti.Registration, joined bool) error {
	var findings []lti.Finding
	free := s.checks.begin(reg.ID)
	if free {
		defer s.checks.end(reg.ID)
		findings = s.deps.Check(r.Context(), reg)
	}
	page, err := s.connectionPageOf(r.Context(), v, reg, false)
	if err != nil {
		return err
	}
	page.Busy, page.Checked, page.Joined, page.Findings = !free, free, joined, newFindings(findings)
	return s.showConnection(w, r, v, http.StatusOK, page)
}
