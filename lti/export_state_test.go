package lti

import (
	"io"
	"time"
)

// State is a login state, for tests that make and open them without a tool.
type State struct {
	Text, Nonce, Browser, Stored, Session string

	Registration, Storage string
	Began                 time.Time
	allows                func(deployment string) bool
}

// Allows reports whether the deployment is the one the login announced.
func (s State) Allows(deployment string) bool { return s.allows(deployment) }

func exported(k stateSecret, s loginState) State {
	return State{
		Text: s.text, Nonce: k.nonce(s), Browser: k.browser(s), Stored: k.stored(s), Session: s.session(),
		Registration: s.registration, Storage: s.storage, Began: s.began,
		allows: func(deployment string) bool { return k.allows(s, deployment) },
	}
}

// MakeState makes a state for the registration with that id.
func MakeState(secret []byte, random io.Reader, registration, deployment, storage string, now time.Time) (State, error) {
	s, err := stateSecret(secret).make(random, Registration{ID: registration}, deployment, storage, now)
	return exported(secret, s), err
}

// OpenState opens one. A state that has expired is an error, too.
func OpenState(secret []byte, text string, now time.Time) (State, error) {
	s, err := stateSecret(secret).open(text, now)
	return exported(secret, s), err
}
