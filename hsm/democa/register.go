package democa

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"time"
)

// entry is one issued certificate.
type entry struct {
	Serial  string    `json:"serial"` // hexadecimal
	Subject string    `json:"subject"`
	Revoked time.Time `json:"revoked,omitzero"`
	Reason  int       `json:"reason,omitempty"` // CRLReason, RFC 5280 section 5.3.1
}

// register lists what was issued, in that order. The CA's mutex guards it.
type register struct{ entries []entry }

func (r *register) load(path string) error {
	content, err := os.ReadFile(path) //nolint:gosec // G304: a file of the demo CA's own folder
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, &r.entries); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, registerFile, err)
	}
	return nil
}

// keep writes the register; "" keeps it in memory only.
func keep(path string, entries []entry) error {
	if path == "" {
		return nil
	}
	content, err := json.MarshalIndent(entries, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(content, '\n'))
}

func (r *register) add(path string, e entry) error {
	entries := append(slices.Clone(r.entries), e)
	if err := keep(path, entries); err != nil {
		return fmt.Errorf("keep the list of issued certificates: %w", err)
	}
	r.entries = entries
	return nil
}

func (r *register) find(serial *big.Int) (int, bool) {
	text := serial.Text(16)
	i := slices.IndexFunc(r.entries, func(e entry) bool { return e.Serial == text })
	return i, i >= 0
}

// registerPath is "" for a CA in memory.
func (c *CA) registerPath() string {
	if c.options.Dir == "" {
		return ""
	}
	return c.path(registerFile)
}

// Revoke revokes a certificate as of a time, with a CRLReason of RFC 5280 section 5.3.1
// (0 unspecified, 1 keyCompromise, 4 superseded, 5 cessationOfOperation, 6
// certificateHold). It shows in the next OCSP answer and the next CRL. It fails with
// ErrNotIssued for an unknown serial number.
func (c *CA) Revoke(serial *big.Int, at time.Time, reason int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.register.find(serial)
	if !ok {
		return fmt.Errorf("%w: %s", ErrNotIssued, serial.Text(16))
	}
	entries := slices.Clone(c.register.entries)
	entries[i].Revoked, entries[i].Reason = at.UTC().Truncate(time.Second), reason
	if err := keep(c.registerPath(), entries); err != nil {
		return fmt.Errorf("keep the revocation: %w", err)
	}
	c.register.entries = entries
	return nil
}

// lookUp returns the entry of a serial number.
func (c *CA) lookUp(serial *big.Int) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.register.find(serial)
	if !ok {
		return entry{}, false
	}
	return c.register.entries[i], true
}

// revoked lists the revoked certificates.
func (c *CA) revoked() []entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.register.entries), func(e entry) bool { return e.Revoked.IsZero() })
}
