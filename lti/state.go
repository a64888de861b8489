package lti

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
)

// A login state is not stored: it is a value that only this installation can have made.
// It says for which registration the login is, when it began, which deployment was
// announced and where platform storage is, and ends in a code over all that. What browser
// and platform must bring back is derived from it with the same secret. So a flood of
// logins writes nothing, and a state is good for one session because the session's id is
// derived from it, too (see .decisions/0007).
type loginState struct {
	text         string
	registration string    // id
	began        time.Time // whole seconds
	deployment   [deploymentMark]byte
	storage      string // platform storage target: "_parent" or the name of a frame; empty: none
}

const (
	stateRandom    = 16
	stateCode      = 16
	deploymentMark = 12
	stateFixed     = stateRandom + 16 + 8 + deploymentMark
	maxStateText   = 256
)

var (
	errStateForm    = errors.New("not a state of ours")
	errStateExpired = errors.New("the login took too long")
)

// stateSecret makes and opens login states.
type stateSecret []byte

func (k stateSecret) code(label string, data []byte) []byte {
	h := hmac.New(sha256.New, k)
	h.Write([]byte(label))
	h.Write([]byte{0})
	h.Write(data)
	return h.Sum(nil)
}

// make returns a fresh state. Its text consists of base64url characters only: platforms
// clean others out of state and nonce (Moodle strips what looks like markup).
func (k stateSecret) make(random io.Reader, r Registration, deployment, storage string, now time.Time) (loginState, error) {
	id, err := uuid.Parse(r.ID)
	if err != nil {
		return loginState{}, fmt.Errorf("registration id %q: %w", r.ID, err)
	}
	raw := make([]byte, stateRandom, stateFixed+len(storage)+stateCode)
	if _, err := io.ReadFull(random, raw); err != nil {
		return loginState{}, fmt.Errorf("read randomness: %w", err)
	}
	s := loginState{registration: r.ID, began: now.UTC().Truncate(time.Second), deployment: k.mark(deployment), storage: storage}
	raw = append(raw, id[:]...)
	raw = binary.BigEndian.AppendUint64(raw, uint64(max(0, s.began.Unix())))
	raw = append(raw, s.deployment[:]...)
	raw = append(raw, storage...)
	raw = append(raw, k.code("state-1", raw)[:stateCode]...)
	s.text = base64.RawURLEncoding.EncodeToString(raw)
	return s, nil
}

// open checks a state that came back. It fails with errStateForm, or with errStateExpired
// and then returns the state, too, so that the log can tell whose it was.
func (k stateSecret) open(text string, now time.Time) (loginState, error) {
	if len(text) > maxStateText {
		return loginState{}, errStateForm
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < stateFixed+stateCode {
		return loginState{}, errStateForm
	}
	body, code := raw[:len(raw)-stateCode], raw[len(raw)-stateCode:]
	if subtle.ConstantTimeCompare(code, k.code("state-1", body)[:stateCode]) != 1 {
		return loginState{}, errStateForm
	}
	s := loginState{text: text, storage: string(body[stateFixed:])}
	body = body[stateRandom:]
	s.registration = uuid.UUID(body[:16]).String()
	s.began = time.Unix(int64(binary.BigEndian.Uint64(body[16:24])), 0).UTC() //nolint:gosec // G115: we wrote it
	copy(s.deployment[:], body[24:stateFixed-stateRandom])
	if age := now.Sub(s.began); age >= stateLifetime || age < -clockSkew {
		return s, errStateExpired
	}
	return s, nil
}

// mark stands for the announced deployment id; all zero: none was announced.
func (k stateSecret) mark(deployment string) (m [deploymentMark]byte) {
	if deployment != "" {
		copy(m[:], k.code("deployment", []byte(deployment)))
	}
	return m
}

// allows reports whether the deployment of the message is the one the login announced.
func (k stateSecret) allows(s loginState, deployment string) bool {
	return s.deployment == [deploymentMark]byte{} || s.deployment == k.mark(deployment)
}

// nonce is what the id_token must carry.
func (k stateSecret) nonce(s loginState) string { return k.derive("nonce", s) }

// browser is the value of the state's cookie.
func (k stateSecret) browser(s loginState) string { return k.derive("browser", s) }

// stored is what platform storage keeps for this login. It is not the state: that one
// passes through the platform and its addresses.
func (k stateSecret) stored(s loginState) string { return k.derive("storage", s) }

func (k stateSecret) derive(label string, s loginState) string {
	return base64.RawURLEncoding.EncodeToString(k.code(label, []byte(s.text)))
}

// same compares secrets in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// session is the id of the session that the state becomes: a UUIDv7 whose random part
// comes from the state, so that a second use of the state meets the same primary key. The
// id is no secret.
func (s loginState) session() string {
	sum := sha256.Sum256([]byte("session " + s.text))
	id := uuid.UUID(sum[:16])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(0, s.began.UnixMilli())))
	copy(id[:6], ms[2:])
	id[6] = id[6]&0x0F | 0x70
	id[8] = id[8]&0x3F | 0x80
	return id.String()
}
