//go:build cgo

package ceremony_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/ceremony"
	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

var college = ceremony.Subject{CommonName: "Havenstad College eSeal", Organisation: "Havenstad College", Identifier: "NTRNL-12345678", Country: "NL"}

// The whole way: a key, a request, a certificate for it, the self-test and its record.
func TestCeremony(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"rsa2048", "rsa3072", "rsa4096", "p256", "p384"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			uri := whole(t, makeToken(t, "ceremony-"+kind, "p256"))
			session := open(t, config(uri))
			key, err := session.Generate(kind, "eSeal")
			if err != nil {
				t.Fatal(err)
			}
			want := ceremony.Attributes{Local: true, Sensitive: true, AlwaysSensitive: true, NeverExtractable: true, Sign: true}
			if key.Attributes != want || key.Type != kind || len(key.ID) != 20 || key.Attributes.Finding().Outcome != ceremony.OK {
				t.Errorf("key %s: %+v", key, key.Attributes)
			}
			if _, err := session.Key(nil); !errors.Is(err, ceremony.ErrNoKey) || !strings.Contains(err.Error(), "name one by --id") {
				t.Errorf("two keys, none named: %v", err)
			}
			if key, err = session.Key(key.ID); err != nil {
				t.Fatal(err)
			}
			request := requested(t, session, key)
			cert := issue(t, request.PublicKey, func(c *x509.Certificate) { c.Subject = request.Subject; c.Subject.ExtraNames = request.Subject.Names })
			if got, err := session.Import(cert, time.Now()); err != nil || !bytes.Equal(got.ID, key.ID) {
				t.Fatalf("imported for %s: %v", got, err)
			}
			if _, err := session.Import(cert, time.Now()); !errors.Is(err, ceremony.ErrCertificate) {
				t.Errorf("imported twice: %v", err)
			}
			uri.ID = key.ID
			selfTested(t, uri, cert, kind)
		})
	}
}

func requested(t *testing.T, session *ceremony.Session, key ceremony.Key) *x509.CertificateRequest {
	t.Helper()
	text, err := session.Request(t.Context(), key, college)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	if block == nil || len(rest) > 0 || block.Type != "CERTIFICATE REQUEST" {
		t.Fatalf("request: %s", text)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	facts := hsm.InspectSeal(&x509.Certificate{Subject: request.Subject})
	if err := request.CheckSignature(); err != nil || facts.OrganisationIdentifier != "NTRNL-12345678" || facts.CommonName != college.CommonName ||
		facts.Country != "NL" || facts.Organisation != college.Organisation {
		t.Errorf("%v: %+v", err, facts)
	}
	return request
}

func selfTested(t *testing.T, uri hsm.URI, cert *x509.Certificate, kind string) {
	t.Helper()
	expected := ceremony.Expected{Now: time.Now(), Identifiers: map[string]string{"NTRNL-12345678": "havenstad"}}
	record, file, err := ceremony.SelfTest(t.Context(), config(uri), nil, []string{"A", "B"}, expected)
	if err != nil {
		t.Fatal(err)
	}
	if record.Speed.Signatures != 20 || record.Key.Type != kind || record.Host != "testhost" || !record.Key.Attributes.NeverExtractable {
		t.Errorf("record: %+v", record)
	}
	read, signer, err := ceremony.ReadRecord(file)
	if err != nil || !signer.Equal(cert) || len(read.Who) != 2 || read.Certificate != record.Certificate {
		t.Errorf("%v: %+v", err, read)
	}
	for i := 0; i < len(file); i += 37 { // no byte of it may change
		bad := bytes.Clone(file)
		bad[i] ^= 1
		if _, _, err := ceremony.ReadRecord(bad); !errors.Is(err, ceremony.ErrRecord) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	rate, err := ceremony.Bench(t.Context(), config(uri), nil, 2, 20*time.Millisecond)
	if err != nil || rate.Sessions != 2 || rate.Signatures < 3 || rate.PerSecond <= 0 {
		t.Errorf("%v: %+v", err, rate)
	}
}

// issue makes a certificate of a CA that nobody keeps.
func issue(t *testing.T, pub crypto.PublicKey, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	cert, _ := issueChain(t, pub, change)
	return cert
}

func issueChain(t *testing.T, pub crypto.PublicKey, change func(*x509.Certificate)) (cert, ca *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	if pub == nil {
		pub = key.Public()
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "seal"}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageContentCommitment,
	}
	change(template)
	parse := func(template *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, root, pub, key)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	return parse(template, pub), parse(root, key.Public())
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	session := open(t, config(whole(t, makeToken(t, "import", "p256"))))
	key, err := session.Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	none := func(*x509.Certificate) {}
	for name, test := range map[string]struct {
		cert *x509.Certificate
		says string
	}{
		"of another key":   {issue(t, nil, none), "issued for another key (p256)"},
		"of an authority":  {issue(t, key.Public, func(c *x509.Certificate) { c.IsCA = true }), "of an authority (seal)"},
		"that has ended":   {issue(t, key.Public, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "it ended on"},
		"for encipherment": {issue(t, key.Public, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), "key usage"},
	} {
		if _, err := session.Import(test.cert, time.Now()); !errors.Is(err, ceremony.ErrCertificate) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadCertificate(t *testing.T) {
	t.Parallel()
	cert := issue(t, nil, func(*x509.Certificate) {})
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	for name, good := range map[string][]byte{"PEM": text, "DER": cert.Raw, "PEM with a preface": append([]byte("subject=seal\n"), text...)} {
		if got, err := ceremony.ReadCertificate(good); err != nil || !got.Equal(cert) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "cut PEM": text[:len(text)/2], "PEM without an end": bytes.TrimSuffix(text, []byte("-----END CERTIFICATE-----\n")),
		"cut DER": cert.Raw[:len(cert.Raw)-1], "more DER": append(bytes.Clone(cert.Raw), 0), "two": append(bytes.Clone(text), text...),
		"a key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: cert.Raw}), "huge": make([]byte, ceremony.MaxCertificate+1),
		"escape in a type": []byte("-----BEGIN \x1b[2J-----\nAAAA\n-----END \x1b[2J-----\n"),
	} {
		_, err := ceremony.ReadCertificate(bad)
		if !errors.Is(err, ceremony.ErrCertificate) || strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOddSubjects(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*ceremony.Subject){
		"no name":            func(s *ceremony.Subject) { s.CommonName = " " },
		"no organisation":    func(s *ceremony.Subject) { s.Organisation = "" },
		"a long name":        func(s *ceremony.Subject) { s.CommonName = strings.Repeat("é", 65) },
		"a line break":       func(s *ceremony.Subject) { s.Organisation = "College\nCN=other" },
		"a zero":             func(s *ceremony.Subject) { s.CommonName = "College\x00" },
		"turned writing":     func(s *ceremony.Subject) { s.CommonName = "\u202eegelloC" },
		"not UTF-8":          func(s *ceremony.Subject) { s.CommonName = "\xff" },
		"a space at the end": func(s *ceremony.Subject) { s.Organisation = "College " },
		"a whole country":    func(s *ceremony.Subject) { s.Country = "Netherlands" },
		"a small country":    func(s *ceremony.Subject) { s.Country = "nl" },
		"a bare number":      func(s *ceremony.Subject) { s.Identifier = "12345678" },
		"a long number":      func(s *ceremony.Subject) { s.Identifier = "NTRNL-" + strings.Repeat("1", 64) },
		"no number":          func(s *ceremony.Subject) { s.Identifier = "NTRNL-" },
	} {
		subject := college
		change(&subject)
		if err := subject.Check(); !errors.Is(err, ceremony.ErrSubject) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, good := range []string{"NTRNL-12345678", "VATNL-123456789B01", "LEIXG-5493001KJTIIGC8Y1R12", "NL:KV-1234"} {
		subject := college
		subject.Identifier, subject.Organisation = good, "Hogeschool 's-Hertogenbosch, Ærø & Söhne"
		if err := subject.Check(); err != nil {
			t.Error(err)
		}
	}
}

// One wrong PIN is one attempt, however often the operator tries again.
func TestWrongPINOnce(t *testing.T) { //nolint:paralleltest // the fault injector's counters
	uri := whole(t, makeToken(t, "wrong", "p256"))
	word := faults(t)
	uri.PINSource = ""
	cfg := config(uri)
	for range 5 {
		_, err := ceremony.Open(t.Context(), cfg, []byte("000000"))
		if paused, ok := errors.AsType[*hsm.PausedError](err); !ok || paused.State != hsm.StatePINBlocked || strings.Contains(err.Error(), "000000") {
			t.Fatalf("got %v", err)
		}
	}
	if n := word[logins].Load(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestLoginRefused(t *testing.T) { //nolint:paralleltest // the fault injector
	made := makeToken(t, "refused", "p256")
	pin, err := os.ReadFile(made.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*hsm.Config, *hsm.URI)
		left   uint64
		pin    string
		want   error
	}{
		"last try":        {left: 1, want: hsm.ErrPaused},
		"locked":          {left: 0, want: hsm.ErrPaused},
		"count low":       {left: 2, want: hsm.ErrPaused},
		"another token":   {left: 3, change: func(_ *hsm.Config, u *hsm.URI) { u.Serial = "nobody" }, want: hsm.ErrPaused},
		"no driver":       {left: 3, change: func(_ *hsm.Config, u *hsm.URI) { u.ModulePath = "/nowhere/p11.so" }, want: hsm.ErrPaused},
		"spy driver":      {left: 3, change: func(_ *hsm.Config, u *hsm.URI) { u.ModulePath = "/usr/lib/pkcs11-spy.so" }, want: hsm.ErrConfig},
		"spy variable":    {left: 3, change: func(c *hsm.Config, _ *hsm.URI) { c.Getenv = func(string) string { return "1" } }, want: hsm.ErrConfig},
		"empty PIN":       {left: 3, change: func(_ *hsm.Config, u *hsm.URI) { u.PINSource = "" }, want: hsm.ErrPIN},
		"PIN of two rows": {left: 3, pin: "12\n34", change: func(_ *hsm.Config, u *hsm.URI) { u.PINSource = "" }, want: hsm.ErrPIN},
		"PIN file away":   {left: 3, change: func(_ *hsm.Config, u *hsm.URI) { u.PINSource = "/nowhere/pin" }, want: hsm.ErrPaused},
	} {
		t.Run(name, func(t *testing.T) {
			word := faults(t)
			word[pinMax].Store(3)
			word[pinLeft].Store(test.left)
			uri := whole(t, made)
			cfg := config(uri)
			if test.change != nil {
				test.change(&cfg, &uri)
				cfg.URI = uri.Unredacted()
			}
			if _, err := ceremony.Open(t.Context(), cfg, []byte(test.pin)); !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
			if n := word[logins].Load(); n != 0 {
				t.Errorf("%d logins", n)
			}
		})
	}
	uri := whole(t, made)
	uri.PINSource = ""
	session, err := ceremony.Open(t.Context(), config(uri), pin)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A record of the attempt that cannot be finished is told: the next login will be refused.
func TestRecordNotWritten(t *testing.T) {
	t.Parallel()
	cfg := config(whole(t, makeToken(t, "unrecorded", "p256")))
	cfg.Guard = &memoryGuard{failed: errors.New("the database is away")}
	session, err := ceremony.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "sealsmith token unblock") {
		t.Errorf("got %v", err)
	}
	if _, err := ceremony.Open(t.Context(), cfg, nil); !errors.Is(err, hsm.ErrPaused) {
		t.Errorf("got %v", err)
	}
}

// A signature that does not verify is no self-test and leaves no record.
func TestSelfTestOfAFaultyToken(t *testing.T) { //nolint:paralleltest // the fault injector
	uri := whole(t, makeToken(t, "faulty", "p256"))
	faults(t)[wrongSig].Store(1 << 30)
	cfg := config(uri)
	cfg.SignTimeout = time.Second
	if _, file, err := ceremony.SelfTest(t.Context(), cfg, nil, []string{"A"}, ceremony.Expected{Now: time.Now()}); err == nil || file != nil {
		t.Errorf("got %v, %s", err, file)
	}
}

// A token that makes a key which can be taken out is not believed.
func TestUnprotectedKey(t *testing.T) {
	t.Parallel()
	made := makeToken(t, "unprotected", "p256")
	session := open(t, config(whole(t, made)))
	module, err := cryptoki.Open(lab.module, "", "")
	if err != nil {
		t.Fatal(err)
	}
	driver, err := ceremony.Survey(whole(t, made))
	if err != nil {
		t.Fatal(err)
	}
	s, err := module.OpenSession(module.Epoch(), driver.Find(whole(t, made))[0].ID, pkcs11.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Do(func(c *pkcs11.Ctx) error {
		public, private, err := c.GenerateKeyPair(s.Handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)},
			[]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7})},
			[]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true)})
		if err != nil {
			return err
		}
		_, err = ceremony.FinishKey(s, public, private)
		return err
	})
	if !errors.Is(err, ceremony.ErrUnprotected) {
		t.Errorf("got %v", err)
	}
	if _, err := session.Generate("rsa1024", "x"); !errors.Is(err, ceremony.ErrKeyType) {
		t.Errorf("got %v", err)
	}
	keys, err := session.Keys()
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys: %v", len(keys), err)
	}
	outcomes := map[ceremony.Outcome]int{}
	for _, key := range keys {
		outcomes[key.Attributes.Finding().Outcome]++
	}
	if outcomes[ceremony.OK] != 1 || outcomes[ceremony.Fail] != 1 {
		t.Errorf("%v", outcomes)
	}
}

func TestReadRecordRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", "{}", "[]", `{"payload":"","protected":"","signature":""}`, `{"payload":"e30","protected":"e30","signature":"","more":1}`,
		`{"payload":"e30","protected":"eyJhbGciOiJub25lIn0","signature":""}`, strings.Repeat("[", 300<<10),
	} {
		if _, _, err := ceremony.ReadRecord([]byte(bad)); !errors.Is(err, ceremony.ErrRecord) {
			t.Errorf("%.40s: %v", bad, err)
		}
	}
	cert := issue(t, nil, func(*x509.Certificate) {})
	forged, err := ceremony.SignRecord(ceremony.Record{}, "ES256", cert, func([]byte) ([]byte, error) { return make([]byte, 64), nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ceremony.ReadRecord(forged); !errors.Is(err, ceremony.ErrRecord) {
		t.Errorf("forged: %v", err)
	}
}

func TestExamine(t *testing.T) { //nolint:paralleltest // the fault injector
	made := makeToken(t, "examine", "p256")
	card := filepath.Join(t.TempDir(), "libeToken.so")
	if err := os.Symlink(lab.module, card); err != nil {
		t.Fatal(err)
	}
	loose := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(loose, []byte("1234"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change  func(*hsm.URI, *ceremony.Place)
		fault   map[int]uint64
		check   string
		outcome ceremony.Outcome
		says    string
	}{
		"fine":             {check: "token", outcome: ceremony.OK, says: "examine, serial"},
		"certificate":      {check: "certificate", outcome: ceremony.OK, says: "eSeal (demo), issued by"},
		"driver of a user": {check: "driver file", outcome: driverOutcome(), says: "p11fault.so"},
		"no driver":        {change: func(u *hsm.URI, _ *ceremony.Place) { u.ModulePath = "/nowhere/p11.so" }, check: "driver file", outcome: ceremony.Fail, says: "is not there"},
		"no driver, slots": {change: func(u *hsm.URI, _ *ceremony.Place) { u.ModulePath = "/nowhere/p11.so" }, check: "slots", outcome: ceremony.Fail, says: "cannot be used"},
		"not a driver":     {change: func(u *hsm.URI, _ *ceremony.Place) { u.ModulePath = "/etc/passwd" }, check: "slots", outcome: ceremony.Fail, says: "not a PKCS#11 library"},
		"relative driver":  {change: func(u *hsm.URI, _ *ceremony.Place) { u.ModulePath = "p11.so" }, check: "driver file", outcome: ceremony.Fail, says: "not an absolute path"},
		"spy variable": {
			change: func(_ *hsm.URI, p *ceremony.Place) { p.Getenv = func(string) string { return "x" } },
			check:  "slots", outcome: ceremony.NotAsked, says: "was not loaded",
		},
		"loose PIN file": {change: func(u *hsm.URI, _ *ceremony.Place) { u.PINSource = loose }, check: "PIN file", outcome: ceremony.Fail, says: "mode 0644"},
		"no PIN file":    {change: func(u *hsm.URI, _ *ceremony.Place) { u.PINSource = "" }, check: "PIN file", outcome: ceremony.OK, says: "unseal"},
		"PIN file away":  {change: func(u *hsm.URI, _ *ceremony.Place) { u.PINSource = "/nowhere" }, check: "PIN file", outcome: ceremony.Fail, says: "no such file"},
		"no pcscd": {
			change: func(u *hsm.URI, p *ceremony.Place) { u.ModulePath, p.PCSCD = card, "/nowhere/pcscd.comm" },
			check:  "pcscd", outcome: ceremony.Fail, says: "is not there",
		},
		"wrong serial":    {change: func(u *hsm.URI, _ *ceremony.Place) { u.Serial = "1" }, check: "token", outcome: ceremony.Fail, says: "there is "},
		"too many tokens": {change: func(u *hsm.URI, _ *ceremony.Place) { u.Serial, u.Token, u.Model = "", "", "SoftHSM v2" }, check: "token", outcome: ceremony.Fail, says: "tokens match"},
		"wrong id":        {change: func(u *hsm.URI, _ *ceremony.Place) { u.ID = []byte{9} }, check: "certificate", outcome: ceremony.Fail, says: "none of the 1"},
		"removed":         {fault: map[int]uint64{removed: 1}, check: "token", outcome: ceremony.Fail, says: "there is no token"},
		"device error":    {fault: map[int]uint64{dead: 1}, check: "slots", outcome: ceremony.Fail, says: "CKR_DEVICE_ERROR"},
		"PIN count low":   {fault: map[int]uint64{pinMax: 3, pinLeft: 2}, check: "PIN", outcome: ceremony.Warn, says: "a wrong PIN was given"},
		"PIN final try":   {fault: map[int]uint64{pinMax: 3, pinLeft: 1}, check: "PIN", outcome: ceremony.Fail, says: "one wrong PIN more"},
		"PIN locked":      {fault: map[int]uint64{pinMax: 3}, check: "PIN", outcome: ceremony.Fail, says: "locked its PIN"},
		"few sessions":    {fault: map[int]uint64{10: 1}, check: "sessions", outcome: ceremony.Warn, says: "1 allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			word := faults(t)
			for i, value := range test.fault {
				word[i].Store(value)
			}
			uri, place := whole(t, made), ceremony.Place{Now: time.Now()}
			if test.change != nil {
				test.change(&uri, &place)
			}
			x := ceremony.Examine(uri, place)
			for _, f := range x.Findings {
				if f.Check != test.check {
					continue
				}
				if f.Outcome != test.outcome || !strings.Contains(f.Seen, test.says) || f.Outcome == ceremony.Fail && f.Do == "" {
					t.Errorf("got %+v", f)
				}
				if n := word[logins].Load(); n != 0 {
					t.Errorf("%d logins", n)
				}
				return
			}
			t.Errorf("no finding %s: %+v", test.check, x.Findings)
		})
	}
}

// driverOutcome of the fault injector, which belongs to who runs the tests.
func driverOutcome() ceremony.Outcome {
	if os.Getuid() == 0 {
		return ceremony.OK
	}
	return ceremony.Warn
}
