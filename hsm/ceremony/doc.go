// Package ceremony is what an operator does with an eSeal token in person: look what is
// there, generate a key, ask for its certificate, import it, prove that all of it works,
// and measure. The request path never uses it.
//
// Looking needs no login (Survey, Examine, ExamineCertificate): a token whose PIN is one
// try from being locked must be looked at, not tried. Everything else goes through Open,
// which logs in with hsm.LogIn: the one way in, with a record written before the attempt,
// one attempt per PIN, no driver that writes the PIN down, no empty PIN.
//
// A key is generated on the token, for signing only, and read back: if the token does not
// say that the key was made there, was always sensitive and can never be taken out, it is
// destroyed again. A certificate is imported only onto the key that it names. SelfTest goes
// the way of the service and ends in a Record: who did it, when, with which token, key and
// certificate, signed by that key.
//
// The package knows neither databases nor networks, and does not judge trust: whether a
// seal is qualified is a matter of the EU trusted lists. It fails with the sentinels below,
// with the *hsm.PausedError of a login that was not made, and with the driver's errors.
// What it finds out in words are Findings, each with what to do.
package ceremony

import "errors"

// ErrDriver is returned when the driver of the token cannot be loaded.
var ErrDriver = errors.New("the token's driver cannot be used")

// ErrKeyType is returned by Generate for a kind of key that it does not know.
var ErrKeyType = errors.New("the key type must be rsa3072, rsa2048, rsa4096, p256 or p384")

// ErrUnprotected is returned by Generate when the token made a key that it does not
// protect. The key is gone again.
var ErrUnprotected = errors.New("the token does not protect the key that it made")

// ErrNoKey is returned when no key, or more than one, is meant.
var ErrNoKey = errors.New("no one key is meant")

// ErrCertificate is returned by ReadCertificate and Import for what cannot be the
// certificate of a seal key.
var ErrCertificate = errors.New("the certificate was not imported")

// ErrSubject is returned by Request for a subject that no eSeal certificate can have.
var ErrSubject = errors.New("the subject of the request")

// ErrRecord is returned by ReadRecord for what is not a record signed by its own key.
var ErrRecord = errors.New("not a valid ceremony record")

// Outcome is what a Finding means.
type Outcome string

// The outcomes, from good to bad.
const (
	OK       Outcome = "ok"
	NotAsked Outcome = "not asked" // it was not looked at, and Seen says why
	Warn     Outcome = "warn"      // it works, and something should be done
	Fail     Outcome = "fail"      // sealing does not work, or its seals would be refused
)

// Finding is one thing that was looked at.
type Finding struct {
	Check   string  `json:"check"`
	Outcome Outcome `json:"outcome"`
	Seen    string  `json:"seen"`         // what was found, in words
	Do      string  `json:"do,omitempty"` // what to do; empty when nothing
}

// Failed tells whether any of them is Fail.
func Failed(findings []Finding) bool {
	for _, f := range findings {
		if f.Outcome == Fail {
			return true
		}
	}
	return false
}
