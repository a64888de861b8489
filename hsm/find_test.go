//go:build cgo

package hsm_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// unique is a label that no earlier run of a test has used in this process.
func unique(label string) string { return fmt.Sprintf("%s-%d", label, time.Now().UnixNano()) }

func TestTokenAppearsLater(t *testing.T) {
	t.Parallel()
	early := makeToken(t, "early", "p256")
	label := unique("later")
	cfg := config(uri(t, early, func(u *hsm.URI) {
		u.Token, u.Serial, u.ID = label, "", nil
		u.PINSource = lab.dir + "/" + label + "/pin"
	}))
	token := start(t, cfg)
	token.await(t, hsm.StateAbsent)
	paused(t, token.Token, hsm.StateAbsent)
	makeToken(t, label, "p256")
	token.await(t, hsm.StateReady)
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
}

// Another process initialises the token, as with an operator's tool. SoftHSM sees it only
// when it is initialised again, which happens here because nobody uses the module: the
// test must not be parallel.
func TestTokenMadeByAnotherProgram(t *testing.T) {
	made := makeToken(t, "before-other-program", "p256")
	label := unique("o")
	text, _ := otherPIN(t, made, "123456", 0o600)
	u, err := hsm.ParseURI(text)
	if err != nil {
		t.Fatal(err)
	}
	u.Token, u.Serial, u.ID = label, "", nil
	token := start(t, config(u.Unredacted()))
	token.await(t, hsm.StateAbsent)
	cmd := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", "123456")
	cmd.Env = append(cmd.Environ(), "SOFTHSM2_CONF="+made.ConfFile)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	token.await(t, hsm.StateKeyMissing)
}

func TestWhatTheURIMustMatch(t *testing.T) {
	t.Parallel()
	made := makeToken(t, "match", "p256")
	tests := []struct {
		name   string
		change func(*hsm.URI)
		want   hsm.State
	}{
		{"token and serial", func(*hsm.URI) {}, hsm.StateReady},
		{"serial alone", func(u *hsm.URI) { u.Token, u.ID = "", nil }, hsm.StateReady},
		{"label of the key", func(u *hsm.URI) { u.Object, u.ID = "match", nil }, hsm.StateReady},
		{"manufacturer and model", func(u *hsm.URI) { u.Manufacturer, u.Model = "SoftHSM project", "SoftHSM v2" }, hsm.StateReady},
		{"another serial", func(u *hsm.URI) { u.Serial = "0123456789abcdef" }, hsm.StateAbsent},
		{"another label", func(u *hsm.URI) { u.Token = "match2" }, hsm.StateAbsent},
		{"another maker", func(u *hsm.URI) { u.Manufacturer = "nobody" }, hsm.StateAbsent},
		{"another model", func(u *hsm.URI) { u.Model = "none" }, hsm.StateAbsent},
		{"another key", func(u *hsm.URI) { u.ID = []byte{9} }, hsm.StateKeyMissing},
		{"another label of the key", func(u *hsm.URI) { u.Object = "none" }, hsm.StateKeyMissing},
		{"no such driver", func(u *hsm.URI) { u.ModulePath = "/nowhere/driver.so" }, hsm.StateMisconfigured},
		{"a driver that is none", func(u *hsm.URI) { u.ModulePath = made.ConfFile }, hsm.StateMisconfigured},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			token := start(t, config(uri(t, made, test.change)))
			token.await(t, test.want)
			if h := token.Health(); h.State != test.want || h.Reason == "" {
				t.Errorf("health %+v", h)
			}
		})
	}
}

// twin initialises another token with the same label.
func twin(t *testing.T, label string) {
	t.Helper()
	module, err := cryptoki.Open(lab.module, "", "")
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := module.LockLogin(t.Context()) // the tests' other makers take the free slot too
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	slots, err := module.Slots(module.Epoch())
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		info, err := module.Token(module.Epoch(), slot)
		if err != nil {
			t.Fatal(err)
		}
		if info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			err := module.Do(module.Epoch(), func(c *pkcs11.Ctx) error { return c.InitToken(slot, "87654321", label) })
			if err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no free slot")
}

func TestTwoTokensMatch(t *testing.T) {
	t.Parallel()
	label := unique("twin")
	made := makeToken(t, label, "p256")
	twin(t, label)
	token := start(t, config(uri(t, made, func(u *hsm.URI) { u.Serial = "" })))
	token.await(t, hsm.StateMisconfigured)
	if h := token.Health(); h.Logins != 0 {
		t.Errorf("%d logins on a token that may be the wrong one", h.Logins)
	}
	start(t, config(made.TokenURI)).await(t, hsm.StateReady)
}

// object is a case of TestObjects.
type object struct {
	name    string
	change  func(*testing.T, *cryptoki.Session, *pkcs11.Ctx) error
	id      []byte // in the URI
	purpose string // in the URI
	want    hsm.State
}

// otherID is the CKA_ID of the keys that the cases add.
var otherID = []byte{7}

func keyCases() []object {
	return []object{
		{
			name: "no private key",
			change: func(_ *testing.T, s *cryptoki.Session, c *pkcs11.Ctx) error {
				return destroy(s, c, pkcs11.CKO_PRIVATE_KEY)
			},
			want: hsm.StateKeyMissing,
		},
		{
			name: "no certificate",
			change: func(_ *testing.T, s *cryptoki.Session, c *pkcs11.Ctx) error {
				return destroy(s, c, pkcs11.CKO_CERTIFICATE)
			},
			want: hsm.StateKeyMissing,
		},
		{
			// Cards come without the public key object.
			name: "no public key",
			change: func(_ *testing.T, s *cryptoki.Session, c *pkcs11.Ctx) error {
				return destroy(s, c, pkcs11.CKO_PUBLIC_KEY)
			},
			want: hsm.StateReady,
		},
		{
			name: "two keys that can seal",
			change: func(t *testing.T, s *cryptoki.Session, c *pkcs11.Ctx) error {
				return importCert(c, s.Handle, selfIssued(t, generateEC(t, c, s.Handle, otherID), certChange{}), otherID)
			},
			want: hsm.StateKeyMissing,
		},
		{
			name: "two keys, one named",
			change: func(t *testing.T, s *cryptoki.Session, c *pkcs11.Ctx) error {
				return importCert(c, s.Handle, selfIssued(t, generateEC(t, c, s.Handle, otherID), certChange{}), otherID)
			},
			id:   otherID,
			want: hsm.StateReady,
		},
		{
			name: "certificate of another key",
			change: func(t *testing.T, s *cryptoki.Session, c *pkcs11.Ctx) error {
				stranger := selfIssued(t, generateEC(t, c, s.Handle, []byte{8}), certChange{})
				generateEC(t, c, s.Handle, otherID)
				if err := destroy(s, c, pkcs11.CKO_CERTIFICATE); err != nil {
					return err
				}
				return importCert(c, s.Handle, stranger, otherID)
			},
			id:   otherID,
			want: hsm.StateCertInvalid,
		},
		{
			// Estonian seals on eToken 5110 come with ids of zeros.
			name: "certificate under another id",
			change: func(t *testing.T, s *cryptoki.Session, c *pkcs11.Ctx) error {
				return importCert(c, s.Handle, selfIssued(t, generateEC(t, c, s.Handle, otherID), certChange{}), []byte{0, 0, 0, 0})
			},
			id:   otherID,
			want: hsm.StateReady,
		},
	}
}

func certificateCases() []object {
	return []object{
		{
			name:   "certificate ended",
			change: withCert(otherID, func(cert *x509.Certificate) { cert.NotAfter = time.Now().Add(-time.Second) }),
			id:     otherID, want: hsm.StateCertInvalid,
		},
		{
			name:   "certificate not valid yet",
			change: withCert(otherID, func(cert *x509.Certificate) { cert.NotBefore = time.Now().Add(time.Hour) }),
			id:     otherID, want: hsm.StateCertInvalid,
		},
		{
			name:   "certificate for encryption",
			change: withCert(otherID, func(cert *x509.Certificate) { cert.KeyUsage = x509.KeyUsageKeyEncipherment }),
			id:     otherID, want: hsm.StateCertInvalid,
		},
		{
			name:   "certificate for logins",
			change: withCert(otherID, func(cert *x509.Certificate) { cert.KeyUsage = x509.KeyUsageDigitalSignature }),
			id:     otherID, want: hsm.StateCertInvalid,
		},
		{
			name:   "certificate for wallet formats",
			change: withCert(otherID, func(cert *x509.Certificate) { cert.KeyUsage = x509.KeyUsageDigitalSignature }),
			id:     otherID, purpose: "wallet", want: hsm.StateReady,
		},
		{
			name: "certificate for seals and logins",
			change: withCert(otherID, func(cert *x509.Certificate) {
				cert.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
			}),
			id: otherID, want: hsm.StateReady,
		},
		{
			name:   "certificate that says nothing of its use",
			change: withCert(otherID, func(cert *x509.Certificate) { cert.KeyUsage = 0 }),
			id:     otherID, want: hsm.StateReady,
		},
		{
			name:   "certificate of a CA",
			change: withCert(otherID, func(cert *x509.Certificate) { cert.IsCA, cert.KeyUsage = true, x509.KeyUsageCertSign }),
			id:     otherID, want: hsm.StateCertInvalid,
		},
		{
			name: "certificate that does not parse beside a good one",
			change: func(_ *testing.T, s *cryptoki.Session, c *pkcs11.Ctx) error {
				_, err := c.CreateObject(s.Handle, []*pkcs11.Attribute{
					pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE), pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509),
					pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
					pkcs11.NewAttribute(pkcs11.CKA_VALUE, []byte("nonsense")), pkcs11.NewAttribute(pkcs11.CKA_SUBJECT, []byte("nonsense")),
				})
				return err
			},
			want: hsm.StateReady,
		},
	}
}

// TestObjects is about what lies on the token. Each case begins with a key and its
// certificate as demotoken makes them.
func TestObjects(t *testing.T) {
	t.Parallel()
	for _, test := range append(keyCases(), certificateCases()...) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			made := makeToken(t, unique("obj"), "p256")
			onToken(t, made, func(s *cryptoki.Session, c *pkcs11.Ctx) error { return test.change(t, s, c) })
			uri, err := hsm.ParseURI(uriWithID(t, made, test.id))
			if err != nil {
				t.Fatal(err)
			}
			uri.Purpose = test.purpose
			token := start(t, config(uri.Unredacted()))
			token.await(t, test.want)
			if h := token.Health(); h.Logins != 1 {
				t.Errorf("%d logins", h.Logins)
			}
			if test.want == hsm.StateReady {
				if err := token.sign(t); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// withCert adds a key whose certificate differs from a good one.
func withCert(id []byte, change func(*x509.Certificate)) func(*testing.T, *cryptoki.Session, *pkcs11.Ctx) error {
	return func(t *testing.T, s *cryptoki.Session, c *pkcs11.Ctx) error {
		return importCert(c, s.Handle, selfIssued(t, generateEC(t, c, s.Handle, id), certChange{change}), id)
	}
}

// A missing key is found when it comes, and polling for it costs no login.
func TestCertificateRenewed(t *testing.T) {
	t.Parallel()
	made := makeToken(t, unique("renew"), "p256")
	now := make(chan time.Time, 1)
	now <- time.Now()
	cfg := config(made.TokenURI)
	cfg.Now = func() time.Time { at := <-now; now <- at; return at }
	token := start(t, cfg)
	token.await(t, hsm.StateReady)
	key := token.Health().KeyID

	<-now
	now <- made.Seal.NotAfter.Add(time.Second)
	token.await(t, hsm.StateCertInvalid)
	paused(t, token.Token, hsm.StateCertInvalid)
	if _, err := token.Sign(t.Context(), key, nil); err == nil {
		t.Error("sealed with a certificate that has ended")
	}
	<-now
	now <- time.Now()
	token.await(t, hsm.StateReady)
	if h := token.Health(); h.Logins != 1 {
		t.Errorf("%d logins", h.Logins)
	}
}

// A renewed certificate is put on the token while it seals: it is noticed, waits for its
// first day, and takes over without a login and without a pause that anybody sees.
func TestCertificateRollOver(t *testing.T) {
	t.Parallel()
	made := makeToken(t, unique("roll"), "p256")
	now := make(chan time.Time, 1)
	now <- time.Now()
	cfg := config(made.TokenURI)
	cfg.Now = func() time.Time { at := <-now; now <- at; return at }
	cfg.RescanInterval = 20 * time.Millisecond
	token := start(t, cfg)
	token.await(t, hsm.StateReady)
	old := token.Health().KeyID

	first := time.Now().Add(30 * 24 * time.Hour)
	onSession(t, made, func(s *cryptoki.Session, c *pkcs11.Ctx) error {
		id, err := s.Attribute(must(t, s, pkcs11.CKO_PRIVATE_KEY), pkcs11.CKA_ID)
		if err != nil {
			return err
		}
		der := selfIssued(t, made.Seal.PublicKey.(*ecdsa.PublicKey), certChange{func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = first, first.Add(365*24*time.Hour)
		}})
		return importCert(c, s.Handle, der, id)
	})
	token.await(t, hsm.StateRecovering)
	token.await(t, hsm.StateReady)
	h := token.Health()
	if len(h.Certificates) != 2 || h.Certificates[0].Role != hsm.RoleNext || h.Certificates[1].Role != hsm.RoleCurrent || h.KeyID != old {
		t.Fatalf("certificates %+v, key %s", h.Certificates, h.KeyID)
	}

	<-now
	now <- first.Add(time.Minute)
	token.await(t, hsm.StateRecovering)
	token.await(t, hsm.StateReady)
	h = token.Health()
	if h.Certificates[0].Role != hsm.RoleCurrent || h.Certificates[1].Role != hsm.RoleRetired || h.KeyID == old || h.Logins != 1 {
		t.Errorf("certificates %+v after %d logins", h.Certificates, h.Logins)
	}
	if _, err := token.Sign(t.Context(), old, nil); !errors.Is(err, hsm.ErrKeyChanged) {
		t.Errorf("a signature for the retired certificate: %v", err)
	}
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
}

func TestChain(t *testing.T) {
	t.Parallel()
	made := makeToken(t, "chain", "p256")
	stranger, err := x509.ParseCertificate(made.Seal.Raw)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(made.TokenURI)
	cfg.Chain = []*x509.Certificate{stranger} // the leaf did not issue itself
	start(t, cfg).await(t, hsm.StateCertInvalid)
}
