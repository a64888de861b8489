//go:build cgo

package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// Login is a login of this process to one token, for what an operator does with it in
// person (package ceremony). The way in is the one of a Token, with the same record and the
// same refusals. All sessions of the process on the token are logged in while it is open.
type Login struct {
	s     *supervisor
	Label string // of the token
	Slot  uint   // its slot until Close: slots are renumbered
}

// LogIn finds the token that cfg names, opens a session and logs in, once; it never tries
// again. The PIN comes from pin-source, or is secret when the URI has none; the caller
// should clear secret afterwards.
//
// The error is ErrConfig, ErrPIN for what cannot be a PIN, a *PausedError that says why
// there was no login (with StateAbsent when no token matches), or the driver's.
func LogIn(ctx context.Context, cfg Config, secret []byte) (*Login, error) {
	t, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if t.uri.PINSource == "" {
		if problem := pinProblem(secret); problem != "" {
			return nil, fmt.Errorf("%w: it %s", ErrPIN, problem)
		}
		t.given = bytes.Clone(secret)
	}
	l := &Login{s: newSupervisor(t)}
	if err := l.s.open(); err != nil {
		return nil, inWords(err)
	}
	l.s.anchor, err = l.s.attach(ctx)
	if err != nil {
		return nil, errors.Join(inWords(err), l.Close(ctx))
	}
	l.Label, l.Slot = t.Health().Label, l.s.anchor.slot
	return l, nil
}

// inWords is what a caller outside of the supervisor is told.
func inWords(err error) error {
	if end, ok := errors.AsType[*stateError](err); ok {
		return &PausedError{end.state, end.reason}
	}
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_TOKEN_NOT_PRESENT)) {
		return &PausedError{StateAbsent, "no slot holds the token; plug it in, or check token= and serial= of its URI"}
	}
	return err
}

// Serial returns the token's serial number.
func (l *Login) Serial() string { return serialOf(l.s.anchor.info) }

// Close logs out when nothing else of the process uses the token. It fails when the end of
// the login attempt could not be recorded; the next login is then refused until an operator
// allows it.
func (l *Login) Close(ctx context.Context) error {
	l.s.t.given.wipe()
	l.s.settle(ctx)
	l.s.drop()
	if l.s.owed != nil {
		return fmt.Errorf("the end of the login attempt was not recorded; when the database works again: sealsmith token unblock %s", l.s.owed.serial)
	}
	return nil
}

// KeySigner signs with a key that has no certificate yet. It is a crypto.MessageSigner.
type KeySigner struct {
	ctx     context.Context // of the caller of Signer: crypto.Signer has none
	s       *supervisor
	session *cryptoki.Session
	key     *sealKey
}

// Signer returns the private key with CKA_ID id, proven by a signature that pub verifies.
// Close it. A key that wants a login per signature gets the PIN of LogIn, recorded as such.
func (l *Login) Signer(ctx context.Context, id []byte, pub crypto.PublicKey) (*KeySigner, error) {
	session, err := l.s.module.OpenSession(l.s.anchor.epoch, l.Slot, 0)
	if err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	k := &KeySigner{ctx: ctx, s: l.s, session: session}
	if err := k.find(id, pub); err != nil {
		return nil, errors.Join(inWords(err), session.Close())
	}
	return k, nil
}

func (k *KeySigner) find(id []byte, pub crypto.PublicKey) error {
	var mechanisms []uint
	err := k.session.Do(func(c *pkcs11.Ctx) error {
		list, err := c.GetMechanismList(k.s.anchor.slot)
		for _, mechanism := range list {
			mechanisms = append(mechanisms, mechanism.Mechanism)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list the mechanisms: %w", err)
	}
	keys, err := (&finder{session: k.session, uri: URI{ID: id}}).privateKeys()
	if err != nil {
		return err
	}
	if len(keys) != 1 {
		return &stateError{StateKeyMissing, fmt.Sprintf("%d private keys on the token have id=%s and may sign; one is needed", len(keys), escapeAll(id))}
	}
	how, problem := schemeFor(pub, k.s.t.uri.Algorithm, mechanisms)
	if problem != "" {
		return &stateError{StateKeyMissing, problem}
	}
	k.key = &sealKey{Key: newKey(&x509.Certificate{PublicKey: pub}, how.alg, nil), scheme: how, object: keys[0].object}
	if keys[0].always {
		k.key.pin = pin{} // filled by prove
	}
	nonce := make([]byte, 32)
	_, _ = rand.Read(nonce) // never fails
	err = k.s.prove(k.ctx, k.session, k.key, append([]byte("sealsmith-hsm-selftest\x00"), nonce...))
	if errors.Is(err, ErrSignature) {
		return &stateError{StateKeyMissing, "the private key with id=" + escapeAll(id) + " belongs to another public key"}
	}
	return err
}

// Close ends the session.
func (k *KeySigner) Close() error {
	k.key.pin.wipe()
	return k.session.Close()
}

// Public returns the public key.
func (k *KeySigner) Public() crypto.PublicKey { return k.key.Chain[0].PublicKey }

// Algorithm returns the algorithm with which the key signs; SignMessage knows no other.
func (k *KeySigner) Algorithm() x509.SignatureAlgorithm {
	return map[string]x509.SignatureAlgorithm{
		algRS256: x509.SHA256WithRSA, algPS256: x509.SHA256WithRSAPSS,
		algES256: x509.ECDSAWithSHA256, algES384: x509.ECDSAWithSHA384,
	}[k.key.Alg]
}

// Sign refuses: some tokens hash by themselves, so the message is needed.
func (k *KeySigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the token signs messages, not digests")
}

// SignMessage implements crypto.MessageSigner; opts must be those of Algorithm. The
// signature is verified before it is returned.
func (k *KeySigner) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	_, pss := opts.(*rsa.PSSOptions)
	hash := crypto.SHA256
	if k.key.Alg == algES384 {
		hash = crypto.SHA384
	}
	if opts.HashFunc() != hash || pss != (k.key.Alg == algPS256) {
		return nil, fmt.Errorf("the token signs with %s only", k.key.Alg)
	}
	m := newMessage(message)
	sig, err := k.key.make(k.session, m)
	if err != nil {
		return nil, err
	}
	if !k.key.verifies(m, sig) {
		return nil, ErrSignature
	}
	if _, ok := k.Public().(*ecdsa.PublicKey); !ok {
		return sig, nil
	}
	half := len(sig) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])})
}
