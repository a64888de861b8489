// Package demotoken makes a SoftHSM token with a key, a demo CA and an eSeal certificate:
// for the demo and for the tests of any package, never for production. The CA is trusted
// by nobody, its key is discarded as soon as the certificate is made, and the certificate
// claims to be qualified (QcCompliance, QcType eseal) only so that everything that reads
// such certificates can be tried; it does not claim a qualified device. With a
// democa.CA in the options that one issues, keeps its key and answers for its certificates.
//
// Make goes the way a ceremony with a real token goes, through PKCS#11: initialise the
// token, set a random PIN, generate the key on the token so that it cannot be taken out,
// issue the certificate, import it. What it returns is what hsm.Config wants.
//
// SoftHSM finds its tokens by the environment variable SOFTHSM2_CONF, which it reads when
// the library is initialised, once per process. Make sets the variable (see
// Options.Setenv), so it must run before anything else in the process uses SoftHSM, and
// all tokens of one process live in one folder, told apart by their labels.
//
// The package does not know the rest of hsm beyond the table of loaded modules. It fails
// with ErrNoSoftHSM where the library is not installed, with ErrOtherFolder for a second
// folder in one process, and with ErrDamaged for a folder whose token it cannot use any
// more; deleting the folder is then the cure.
package demotoken

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/sealsmith/sealsmith/hsm/ceremony"
	"github.com/sealsmith/sealsmith/hsm/democa"
)

// ErrNoSoftHSM is returned by Make when SoftHSM cannot be loaded.
var ErrNoSoftHSM = errors.New("SoftHSM is not installed: install the package softhsm2 (Debian, Ubuntu) or softhsm (Fedora)")

// ErrOtherFolder is returned by Make when the process uses SoftHSM with another folder.
var ErrOtherFolder = errors.New("this process uses SoftHSM with another folder already; make all tokens in one folder, with different labels")

// ErrDamaged is returned by Make when the folder says that the token is made, but it is
// not there or its certificate has ended.
var ErrDamaged = errors.New("the demo token cannot be used any more; delete its folder to make a new one")

// ErrOptions is returned by Make for options that cannot work.
var ErrOptions = errors.New("demo token options")

// DefaultLabel is the label of the token when Options names none.
const DefaultLabel = "sealsmith-demo"

// Validity is how long the eSeal certificate is valid from the day it is made.
const Validity = democa.Validity

// Options says what to make. Dir, Now and Rand are required, the rest has defaults.
type Options struct {
	// Dir is the folder for tokens, PIN and CA certificate; made with mode 0700.
	Dir string
	// Label tells several tokens of one folder apart; "" is DefaultLabel. Letters, digits,
	// dots, dashes and underscores, at most 32.
	Label string
	// Organisation, CommonName, OrganisationIdentifier (2.5.4.97) and Country are the subject
	// of the eSeal certificate; "" takes the demo college's.
	Organisation, CommonName, OrganisationIdentifier, Country string
	// CA issues the certificate; nil makes a CA for this token alone, whose key is forgotten.
	CA *democa.CA
	// KeyType is rsa3072 (or ""), rsa2048, rsa4096, p256 or p384.
	KeyType string
	// Now is the clock for the validity of the certificates.
	Now func() time.Time
	// Rand is the source of PIN and serial numbers, crypto/rand.Reader.
	Rand io.Reader
	// Module is the path of the PKCS#11 library; "" looks in the usual places.
	Module string
	// Setenv sets SOFTHSM2_CONF; nil is os.Setenv, which reaches the C library too.
	Setenv func(key, value string) error
}

// Made says where everything is.
type Made struct {
	ConfFile string // softhsm2.conf: the value of SOFTHSM2_CONF for other processes
	TokenURI string // for hsm.Config.URI, with module-path and pin-source
	PINFile  string // mode 0600
	CA       *x509.Certificate
	CAFile   string // PEM of CA: the anchor for who verifies the demo's credentials
	Seal     *x509.Certificate
	Serial   string // of the token
	Label    string // of the token
}

// state is token.json: written last, so its existence says that the token is complete.
type state struct {
	Label    string `json:"label"`
	Serial   string `json:"serial"`
	KeyID    string `json:"key_id"` // hex of CKA_ID
	Seal     []byte `json:"seal"`   // DER
	CA       []byte `json:"ca"`     // DER
	TokenURI string `json:"token_uri"`
}

// place is where the parts of one token are.
type place struct {
	dir, conf, tokens             string // of the folder
	stateFile, pin, soPIN, caFile string // of the token
}

var labelForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

func (o Options) complete() (Options, place, error) {
	if o.Label == "" {
		o.Label = DefaultLabel
	}
	if o.KeyType == "" {
		o.KeyType = "rsa3072"
	}
	if o.Organisation == "" {
		o.Organisation = "Havenstad College"
	}
	if o.CommonName == "" {
		o.CommonName = o.Organisation + " eSeal (demo)"
	}
	if o.OrganisationIdentifier == "" {
		o.OrganisationIdentifier = "NTRNL-00000000"
	}
	if o.Country == "" {
		o.Country = "NL"
	}
	if o.Setenv == nil {
		o.Setenv = os.Setenv
	}
	switch {
	case o.Dir == "":
		return o, place{}, fmt.Errorf("%w: Dir is missing", ErrOptions)
	case o.Now == nil || o.Rand == nil:
		return o, place{}, fmt.Errorf("%w: Now and Rand are required", ErrOptions)
	case !labelForm.MatchString(o.Label):
		return o, place{}, fmt.Errorf("%w: Label may have letters, digits, dots, dashes and underscores, at most 32", ErrOptions)
	}
	if !ceremony.KnowsKeyType(o.KeyType) {
		return o, place{}, fmt.Errorf("%w: KeyType must be rsa3072, rsa2048, rsa4096, p256 or p384", ErrOptions)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, place{}, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	own := filepath.Join(dir, o.Label)
	return o, place{
		dir: dir, conf: filepath.Join(dir, "softhsm2.conf"), tokens: filepath.Join(dir, "tokens"),
		stateFile: filepath.Join(own, "token.json"), pin: filepath.Join(own, "pin"),
		soPIN: filepath.Join(own, "so-pin"), caFile: filepath.Join(own, "ca.pem"),
	}, nil
}

// Make makes the token, or opens the one that an earlier call with the same Dir and Label
// made; then Organisation and the like are not looked at. An interrupted Make is begun
// anew by the next one. Calls in one process may run at once; in two processes not.
func Make(ctx context.Context, options Options) (Made, error) {
	o, at, err := options.complete()
	if err != nil {
		return Made{}, err
	}
	if err := at.prepare(o.Setenv); err != nil {
		return Made{}, fmt.Errorf("prepare the demo token: %w", err)
	}
	return makeToken(ctx, o, at)
}

// prepare writes the folder and SoftHSM's configuration, and tells SoftHSM where it is.
func (p place) prepare(setenv func(string, string) error) error {
	for _, dir := range []string{p.dir, p.tokens, filepath.Dir(p.pin)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	conf := "directories.tokendir = " + p.tokens + "\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
	if old, err := os.ReadFile(p.conf); err != nil || string(old) != conf {
		if err := writeFile(p.conf, []byte(conf)); err != nil {
			return err
		}
	}
	return setenv("SOFTHSM2_CONF", p.conf)
}

// load reads token.json; false when the token is not made yet.
func (p place) load(now time.Time) (Made, bool, error) {
	content, err := os.ReadFile(p.stateFile)
	if errors.Is(err, os.ErrNotExist) {
		return Made{}, false, nil
	}
	if err != nil {
		return Made{}, false, err
	}
	var s state
	if err := json.Unmarshal(content, &s); err != nil {
		return Made{}, false, fmt.Errorf("%w: token.json: %w", ErrDamaged, err)
	}
	made, err := p.made(s)
	if err != nil {
		return Made{}, false, fmt.Errorf("%w: token.json: %w", ErrDamaged, err)
	}
	if now.After(made.Seal.NotAfter) {
		return Made{}, false, fmt.Errorf("%w: its certificate ended on %s", ErrDamaged, made.Seal.NotAfter.Format(time.DateOnly))
	}
	return made, true, nil
}

func (p place) made(s state) (Made, error) {
	seal, err := x509.ParseCertificate(s.Seal)
	if err != nil {
		return Made{}, err
	}
	ca, err := x509.ParseCertificate(s.CA)
	if err != nil {
		return Made{}, err
	}
	return Made{
		ConfFile: p.conf, TokenURI: s.TokenURI, PINFile: p.pin, CA: ca, CAFile: p.caFile,
		Seal: seal, Serial: s.Serial, Label: s.Label,
	}, nil
}

func (p place) save(s state) (Made, error) {
	if err := writeFile(p.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.CA})); err != nil {
		return Made{}, err
	}
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return Made{}, err
	}
	if err := writeFile(p.stateFile, append(content, '\n')); err != nil {
		return Made{}, err
	}
	return p.made(s)
}

// secret returns the PIN kept in a file, and makes a random one when there is none.
func secret(path string, source io.Reader) (string, error) {
	const pinBytes = 8
	content, err := os.ReadFile(path) //nolint:gosec // G304: a file of the demo token's own folder
	if err == nil && len(content) == 2*pinBytes {
		return string(content), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	random := make([]byte, pinBytes)
	if _, err := io.ReadFull(source, random); err != nil {
		return "", err
	}
	pin := hex.EncodeToString(random)
	return pin, writeFile(path, []byte(pin))
}

// writeFile replaces a file in one step, readable by its owner only. Several calls may
// write the same file at once.
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
