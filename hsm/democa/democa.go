// Package democa is a trust service provider in one value: a root CA that issues eSeal
// certificates, two time-stamping authorities (RFC 3161), an OCSP responder (RFC 6960) and
// a CRL (RFC 5280), behind one http.Handler. It is for the demo and for tests, never for
// production: nobody trusts it, and its key lies in a file.
//
// It issues what a real provider of qualified certificates issues, so that everything that
// reads such certificates can be tried: QCStatements, policies, addresses of OCSP and CRL,
// a time-stamping certificate whose only purpose is that, a delegated responder with
// id-pkix-ocsp-nocheck. It claims QcCompliance and QcType eseal; it does not claim a
// qualified device.
//
// With SetFaults it goes wrong in the ways real providers do, and in the ways a dishonest
// one could: at run time, for one endpoint at a time.
//
// The package knows nothing else of Sealsmith: it is a peer of the code that asks it, and
// a mistake there must not be its mistake too. Clock and randomness come in. New fails
// with ErrOptions for options that cannot work and with ErrDamaged for a folder it cannot
// use any more; deleting the folder is then the cure, after which all certificates it
// issued are worth nothing.
package democa

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ErrOptions is returned by New for options that cannot work.
var ErrOptions = errors.New("demo CA options")

// ErrDamaged is returned by New when the folder does not hold a whole CA or its
// certificate ends too soon to issue others.
var ErrDamaged = errors.New("the demo CA cannot be used any more; delete its folder to make a new one")

// ErrNotIssued is returned by Revoke for a serial number that this CA did not issue.
var ErrNotIssued = errors.New("the demo CA issued no certificate with this serial number")

// Validity is how long an issued certificate is valid from the day it is made.
const Validity = 2 * 365 * 24 * time.Hour

// rootValidity leaves a kept CA years in which it can issue.
const rootValidity = 5 * Validity

// Options says what to make. Now and Rand are required, the rest has defaults.
type Options struct {
	// Dir is where key, certificate and the list of what was issued are kept (files of mode
	// 0600, made on first use); "" keeps all in memory.
	Dir string
	// BaseURL is where Handler is reached, for the addresses of OCSP and CRL in certificates,
	// as http://localhost:8080/demo-ca; "" leaves them out. See SetBaseURL.
	BaseURL string
	// Country of the CA and its services, two letters; "" is NL.
	Country string
	// Now is the clock for certificates and for every answer.
	Now func() time.Time
	// Rand is the source of keys and serial numbers, crypto/rand.Reader.
	Rand io.Reader
}

// CA is the provider. Its methods may be called at once from several goroutines.
type CA struct {
	options Options
	key     *ecdsa.PrivateKey
	cert    *x509.Certificate

	mu         sync.Mutex
	base       string
	faults     Faults
	register   register
	identities map[role]identity
}

// identity is a key with its certificate.
type identity struct {
	key  crypto.Signer
	cert *x509.Certificate
}

// New makes a CA, or opens the one that an earlier call with the same Dir made.
func New(o Options) (*CA, error) {
	if o.Now == nil || o.Rand == nil {
		return nil, fmt.Errorf("%w: Now and Rand are required", ErrOptions)
	}
	if o.Country == "" {
		o.Country = "NL"
	}
	if len(o.Country) != 2 {
		return nil, fmt.Errorf("%w: Country must have two letters", ErrOptions)
	}
	c := &CA{options: o, identities: make(map[role]identity)}
	c.SetBaseURL(o.BaseURL)
	if o.Dir == "" {
		return c, c.makeRoot()
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("prepare the demo CA: %w", err)
	}
	made, err := c.load()
	switch {
	case err != nil:
		return nil, fmt.Errorf("open the demo CA: %w", err)
	case made:
		return c, nil
	}
	if err := c.makeRoot(); err != nil {
		return nil, err
	}
	if err := c.save(); err != nil {
		return nil, fmt.Errorf("keep the demo CA: %w", err)
	}
	return c, nil
}

// Certificate is the root: the trust anchor of everything that this CA issues.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// SetBaseURL changes the address that certificates name from now on, for a server that
// gets to know its own address late. The services' certificates are made anew.
func (c *CA) SetBaseURL(base string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = strings.TrimSuffix(base, "/")
	clear(c.identities)
}

func (c *CA) makeRoot() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), c.options.Rand)
	if err != nil {
		return fmt.Errorf("make the demo CA's key: %w", err)
	}
	template, err := c.rootTemplate()
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("issue the demo CA's certificate: %w", err)
	}
	c.key = key
	if c.cert, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("read the demo CA's certificate: %w", err)
	}
	return nil
}

// path names a file of the CA's folder.
func (c *CA) path(name string) string { return filepath.Join(c.options.Dir, name) }

// The files of a kept CA. The certificate is written last, so its existence says that the
// CA is complete.
const (
	keyFile      = "ca.key"
	certFile     = "ca.pem"
	registerFile = "issued.json"
)

func (c *CA) save() error {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return err
	}
	if err := writeFile(c.path(keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return err
	}
	return writeFile(c.path(certFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw}))
}

// load opens a kept CA; false when there is none yet.
func (c *CA) load() (bool, error) {
	certificate, err := readPEM(c.path(certFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if c.cert, err = x509.ParseCertificate(certificate); err != nil {
		return false, fmt.Errorf("%w: %s: %w", ErrDamaged, certFile, err)
	}
	der, err := readPEM(c.path(keyFile))
	if err != nil {
		return false, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return false, fmt.Errorf("%w: %s: %w", ErrDamaged, keyFile, err)
	}
	own, ok := key.(*ecdsa.PrivateKey)
	if !ok || !own.PublicKey.Equal(c.cert.PublicKey) {
		return false, fmt.Errorf("%w: key and certificate do not belong together", ErrDamaged)
	}
	if c.options.Now().Add(Validity).After(c.cert.NotAfter) {
		return false, fmt.Errorf("%w: its certificate ends on %s", ErrDamaged, c.cert.NotAfter.Format(time.DateOnly))
	}
	c.key = own
	return true, c.register.load(c.path(registerFile))
}

func readPEM(path string) ([]byte, error) {
	content, err := os.ReadFile(path) //nolint:gosec // G304: a file of the demo CA's own folder
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(content)
	if block == nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: %s is not one PEM block", ErrDamaged, filepath.Base(path))
	}
	return block.Bytes, nil
}

// writeFile replaces a file in one step, readable by its owner only.
func writeFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return os.Rename(temporary.Name(), path)
}
