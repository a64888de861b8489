//go:build cgo

package hsm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// shelf holds the tokens of one PKCS#11 implementation for the conformance suite: two at
// least, each with a PIN file of its own, and the keys that the suite has put on them.
type shelf struct {
	algs     []string  // what the tokens can do
	tokens   []hsm.URI // with module-path and pin-source, empty at first
	oneLogin bool      // a login on one token is one on all, against the standard
	made     map[string]sealable
}

// sealable is a key with its certificate on a token of the shelf.
type sealable struct {
	uri  hsm.URI
	cert *x509.Certificate
}

// kinds gives for each algorithm the kind of key the suite makes.
var kinds = map[string]string{"RS256": "rsa2048", "PS256": "rsa2048", "ES256": "p256", "ES384": "p384"}

// key returns a key for an algorithm on one of the tokens, and makes it when it is not
// there yet.
func (s *shelf) key(t *testing.T, token int, alg string) sealable {
	t.Helper()
	name := fmt.Sprint(kinds[alg], " on ", token)
	found, ok := s.made[name]
	if !ok {
		found = s.furnish(t, s.tokens[token], kinds[alg])
		if s.made == nil {
			s.made = map[string]sealable{}
		}
		s.made[name] = found
	}
	if kinds[alg] == "rsa2048" {
		found.uri.Algorithm = alg
	}
	return found
}

// any returns a key for the algorithm that is fastest.
func (s *shelf) any(t *testing.T, token int) sealable {
	t.Helper()
	return s.key(t, token, s.algs[len(s.algs)-1])
}

// furnish puts a key and a certificate of it on a token that no Token uses.
func (s *shelf) furnish(t *testing.T, uri hsm.URI, kind string) sealable {
	t.Helper()
	pin, err := os.ReadFile(uri.PINSource)
	if err != nil {
		t.Fatal(err)
	}
	uri.ID = fmt.Appendf(nil, "%d", len(s.made)+1)
	var der []byte
	inSlot(t, uri, func(c *pkcs11.Ctx, h pkcs11.SessionHandle) error {
		if err := c.Login(h, pkcs11.CKU_USER, string(pin)); err != nil {
			return err
		}
		der = selfIssued(t, generate(t, c, h, kind, uri.ID), certChange{})
		return importCert(c, h, der, uri.ID)
	})
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return sealable{uri, cert}
}

// slotOf finds the slot of a token by its label.
func slotOf(t *testing.T, module *cryptoki.Module, uri hsm.URI) uint {
	t.Helper()
	slots, err := module.Slots(module.Epoch())
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		info, err := module.Token(module.Epoch(), slot)
		if err == nil && strings.TrimRight(info.Label, " \x00") == uri.Token {
			return slot
		}
	}
	t.Fatalf("no token %s", uri.Token)
	return 0
}

// inSlot runs do in a writing session of its own.
func inSlot(t *testing.T, uri hsm.URI, do func(*pkcs11.Ctx, pkcs11.SessionHandle) error) {
	t.Helper()
	module, err := cryptoki.Open(uri.ModulePath, "", uri.InitReserved)
	if err != nil {
		t.Fatal(err)
	}
	session, err := module.OpenSession(module.Epoch(), slotOf(t, module, uri), pkcs11.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Do(func(c *pkcs11.Ctx) error { return do(c, session.Handle) }); err != nil {
		t.Fatal(err)
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
}

// generate makes a key pair on a token, with what every implementation understands.
func generate(t *testing.T, c *pkcs11.Ctx, h pkcs11.SessionHandle, kind string, id []byte) crypto.PublicKey {
	t.Helper()
	mechanism := uint(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN)
	public := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true),
	}
	curve := map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384()}[kind]
	if curve == nil {
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, 2048), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	} else {
		mechanism = pkcs11.CKM_EC_KEY_PAIR_GEN
		oid := map[string]asn1.ObjectIdentifier{"p256": {1, 2, 840, 10045, 3, 1, 7}, "p384": {1, 3, 132, 0, 34}}[kind]
		params, err := asn1.Marshal(oid)
		if err != nil {
			t.Fatal(err)
		}
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, params))
	}
	pub, _, err := c.GenerateKeyPair(h, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, public, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false), pkcs11.NewAttribute(pkcs11.CKA_ID, id),
	})
	if err != nil {
		t.Fatalf("generate %s: %v", kind, err)
	}
	read := func(kinds ...uint) [][]byte {
		var values [][]byte
		for _, kind := range kinds {
			attrs, err := c.GetAttributeValue(h, pub, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
			if err != nil {
				t.Fatalf("read the public key: %v", err)
			}
			values = append(values, attrs[0].Value)
		}
		return values
	}
	if curve == nil {
		return &rsa.PublicKey{N: new(big.Int).SetBytes(read(pkcs11.CKA_MODULUS)[0]), E: 65537}
	}
	point := read(pkcs11.CKA_EC_POINT)[0]
	var wrapped []byte
	if _, err := asn1.Unmarshal(point, &wrapped); err == nil {
		point = wrapped
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// needed returns the first of the files that exists; one that is missing skips the test,
// or fails it where everything is installed.
func needed(t *testing.T, debian string, files ...string) string {
	t.Helper()
	for _, file := range files {
		if path, err := exec.LookPath(file); err == nil {
			return path
		}
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing; install Debian's %s", files[0], debian)
	}
	t.Skipf("SKIPPED: %s is missing; install Debian's %s", files[0], debian)
	return ""
}

func softHSMShelf(t *testing.T) *shelf {
	t.Helper()
	return &shelf{algs: []string{"RS256", "PS256", "ES384", "ES256"}, tokens: []hsm.URI{emptyToken(t), emptyToken(t)}}
}

// emptyToken is a new token of SoftHSM without its key.
func emptyToken(t *testing.T) hsm.URI {
	t.Helper()
	made := makeToken(t, unique("shelf"), "p256")
	onToken(t, made, func(s *cryptoki.Session, c *pkcs11.Ctx) error {
		for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY, pkcs11.CKO_CERTIFICATE} {
			if err := destroy(s, c, class); err != nil {
				return err
			}
		}
		return nil
	})
	uri, err := hsm.ParseURI(made.TokenURI)
	if err != nil {
		t.Fatal(err)
	}
	uri.ID = nil
	return uri
}

// nssShelf makes databases of NSS softokn. It is told of them at C_Initialize, as a
// browser does it; without tokens= there would be one database, and a second token that
// cannot keep a key.
func nssShelf(t *testing.T) *shelf {
	t.Helper()
	certutil := needed(t, "libnss3-tools", "certutil")
	module := needed(t, "libnss3", "/usr/lib/x86_64-linux-gnu/libsoftokn3.so", "/usr/lib/aarch64-linux-gnu/libsoftokn3.so", "/usr/lib/x86_64-linux-gnu/nss/libsoftokn3.so", "/usr/lib64/libsoftokn3.so")
	s := &shelf{algs: []string{"RS256", "PS256", "ES384", "ES256"}}
	dir := t.TempDir()
	var tokens strings.Builder
	for n := range 2 {
		pin, folder := filepath.Join(dir, fmt.Sprint("pin", n)), filepath.Join(dir, fmt.Sprint("db", n))
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(pin, fmt.Appendf(nil, "secret-of-%d", n), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), certutil, "-N", "-d", "sql:"+folder, "-f", pin).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		label := fmt.Sprint("NSS seal ", n)
		fmt.Fprintf(&tokens, " 0x%d=[configdir='sql:%s' tokenDescription='%s']", n+4, folder, label)
		s.tokens = append(s.tokens, hsm.URI{Token: label, Model: "NSS 3", ModulePath: module, PINSource: pin})
	}
	for n := range s.tokens {
		s.tokens[n].InitReserved = fmt.Sprintf("configdir='sql:%s/db0' certPrefix='' keyPrefix='' secmod='secmod.db' flags= tokens=<%s>", dir, tokens.String()[1:])
	}
	return s
}

// p11kitServer is a process that offers the tokens of SoftHSM on a socket, as a network
// HSM does. The fault injector stands before SoftHSM in that process too.
type p11kitServer struct {
	program, address string
	env              []string
	process          *exec.Cmd
	word             *control
}

func p11kitShelf(t *testing.T) (*shelf, *p11kitServer) {
	t.Helper()
	server := &p11kitServer{program: needed(t, "p11-kit", "p11-kit"), address: filepath.Join(t.TempDir(), "hsm")}
	client := needed(t, "p11-kit-modules", "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so", "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so", "/usr/lib64/pkcs11/p11-kit-client.so")
	s := softHSMShelf(t)
	path := filepath.Join(t.TempDir(), "control")
	server.word = newControl(t, path)
	server.env = append(os.Environ(), "P11FAULT_CTL="+path) // of the environment, the last counts
	// The client reads it when it is loaded; no other test of the process loads it.
	//nolint:usetesting // t.Setenv is not for parallel tests
	if err := os.Setenv("P11_KIT_SERVER_ADDRESS", "unix:path="+server.address); err != nil {
		t.Fatal(err)
	}
	for n := range s.tokens {
		s.tokens[n].ModulePath = client
	}
	server.start(t)
	t.Cleanup(func() { server.kill(t) })
	return s, server
}

// start waits until the server has said that it listens.
func (s *p11kitServer) start(t *testing.T) {
	t.Helper()
	_ = os.Remove(s.address) // of a server that was killed
	s.process = exec.Command(s.program, "server", "-f", "-n", s.address, "-p", lab.module, "pkcs11:")
	s.process.Env = s.env
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := s.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 256)
	if n, err := out.Read(said); err != nil || !strings.Contains(string(said[:n]), "P11_KIT_SERVER_ADDRESS") {
		t.Fatalf("the server said %q, %v", said[:n], err)
	}
}

// kill ends the server and its children, one for each connection, without a word to the
// client: what a broken cable looks like.
func (s *p11kitServer) kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(-s.process.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	_ = s.process.Wait() // says that it was killed
}

// namedShelves reads SEALSMITH_TEST_TOKENS, which .ci/tokens sets: a line for each
// implementation, of its name, its algorithms with commas between, the URIs of two empty
// tokens with module-path and pin-source, and perhaps the word one-login. The tokens must
// be good for nothing else: the suite gives them a wrong PIN.
func namedShelves(t *testing.T) map[string]*shelf {
	t.Helper()
	shelves := map[string]*shelf{}
	for line := range strings.Lines(os.Getenv("SEALSMITH_TEST_TOKENS")) {
		fields := strings.Fields(line)
		s := &shelf{}
		if len(fields) == 5 && fields[4] == "one-login" {
			s.oneLogin, fields = true, fields[:4]
		}
		if len(fields) != 4 {
			t.Fatalf("SEALSMITH_TEST_TOKENS: %q, want name, algorithms, two URIs and perhaps one-login", line)
		}
		s.algs = strings.Split(fields[1], ",")
		for _, text := range fields[2:] {
			uri, err := hsm.ParseURI(text)
			if err != nil {
				t.Fatal(err)
			}
			s.tokens = append(s.tokens, uri)
		}
		if slices.ContainsFunc(s.algs, func(alg string) bool { return kinds[alg] == "" }) {
			t.Fatalf("SEALSMITH_TEST_TOKENS: algorithms %v", s.algs)
		}
		shelves[fields[0]] = s
	}
	return shelves
}
