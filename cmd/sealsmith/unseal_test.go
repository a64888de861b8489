package main

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
)

// typed runs sealsmith with text on its standard input.
func typed(t *testing.T, settings []string, text string, args ...string) (code int, out, trouble string) {
	t.Helper()
	p := prepared(t, settings, args...)
	p.Stdin = strings.NewReader(text)
	p.begin(t)
	code = p.exit(t)
	return code, p.out.String(), p.err.String()
}

// withoutPINFile changes the rig's token to one whose PIN an operator gives.
func (r *rig) withoutPINFile(t *testing.T) (setting string, pin []byte) {
	t.Helper()
	pin, err := os.ReadFile(r.token.PINFile)
	must(t, err)
	must(t, os.Remove(r.token.PINFile))
	uri, err := hsm.ParseURI(r.token.TokenURI)
	must(t, err)
	uri.PINSource = ""
	return "SEALSMITH_TOKEN=" + uri.Unredacted(), pin
}

// TestUnseal gives the PIN by hand: no file holds it, a wrong one is tried once, and it is in
// no log and in no answer.
func TestUnseal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	setting, pin := r.withoutPINFile(t)
	if code, _, trouble := typed(t, r.settings, "1234\n", "token", "unseal"); code != 1 || !strings.Contains(trouble, "is the server running") {
		t.Errorf("without a server: exit %d, %s", code, trouble)
	}
	r.serve(t, setting)
	r.untilReady(t, "degraded")
	eventually(t, func() string {
		words := r.readyz(t).words("token")
		if strings.Contains(words, "PIN_NEEDED") && strings.Contains(words, "sealsmith token unseal") {
			return ""
		}
		return "readyz says of the token: " + words
	})
	const wrong = "definitely-not-it"
	code, out, _ := typed(t, r.settings, wrong+"\n", "token", "unseal")
	if code != 1 || !strings.Contains(out, "PIN is wrong") {
		t.Errorf("a wrong PIN: exit %d, %s", code, out)
	}
	if all := r.pinAttempts(t); len(all) != 1 || all[0].State != "bad" {
		t.Errorf("attempts: %+v", all)
	}
	succeed(t, r.settings, "token", "unblock", r.token.Serial)
	eventually(t, func() string {
		code, out, trouble := typed(t, r.settings, string(pin)+"\n", "token", "unseal")
		if code == 0 && strings.Contains(out, "the token seals") {
			return ""
		}
		return fmt.Sprintf("exit %d: %s%s", code, out, trouble)
	})
	r.untilReady(t, "ready")
	r.claimable(t)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)

	socket, err := filepath.Glob(filepath.Join(r.dir, "admin", "*.sock"))
	must(t, err)
	if len(socket) != 1 {
		t.Fatalf("admin sockets: %v", socket)
	}
	info, err := os.Stat(socket[0])
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the admin socket has mode %o", info.Mode().Perm())
	}
	for _, secret := range []string{wrong, string(pin)} {
		if text := r.server.out.String() + r.server.err.String() + out; strings.Contains(text, secret) {
			t.Errorf("a PIN was written: %s", text)
		}
	}
}

// TestCoreDumpsForbidden looks at a running server as the kernel sees it.
func TestCoreDumpsForbidden(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", r.server.Process.Pid))
	if err != nil {
		t.Skip("this system has no /proc")
	}
	for line := range strings.Lines(string(limits)) {
		if strings.HasPrefix(line, "Max core file size") && strings.Fields(line)[4] != "0" {
			t.Errorf("core dumps are allowed: %s", line)
		}
	}
}

// TestOwnToken seals for an organisation with a token that serves it alone, while the one
// for everybody else does not exist.
func TestOwnToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other, err := demotoken.Make(t.Context(), demotoken.Options{
		Dir: tokenFolder, Label: fmt.Sprintf("rig-%d", time.Now().UnixNano()), KeyType: "p256", Now: time.Now, Rand: rand.Reader,
	})
	must(t, err)
	uri := func(text string, change func(*hsm.URI)) string {
		u, err := hsm.ParseURI(text)
		must(t, err)
		change(&u)
		return u.Unredacted()
	}
	gone := uri(other.TokenURI, func(u *hsm.URI) { u.Token, u.Serial = "unplugged", "" })
	own := uri(r.token.TokenURI, func(u *hsm.URI) { u.For = []string{"polder"} })
	wallet := uri(other.TokenURI, func(u *hsm.URI) { u.Purpose = "wallet" })
	r.serve(t, "SEALSMITH_TOKEN="+strings.Join([]string{gone, own, wallet}, " "))
	r.claimable(t)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	answer, err := r.get(t, "/readyz")
	must(t, err)
	for _, want := range []string{`"degraded"`, "ABSENT: the token is not there", `"purpose":"wallet"`, other.Serial, r.token.Serial, `"days_left"`, `"role":"current"`} {
		if !strings.Contains(answer, want) {
			t.Errorf("readyz does not say %s: %s", want, answer)
		}
	}
}

func TestTokenSettingRefused(t *testing.T) {
	t.Parallel()
	for setting, says := range map[string]string{
		"pkcs11:token=a?module-path=/x.so pkcs11:nonsense=b": "URI 2",
		"pkcs11:token=a?module-path=/x.so&x-purpose=games":   "x-purpose can be seal or wallet",
		"pkcs11:token=a?module-path=/x.so&pin-value=1234":    "pin-value is refused",
	} {
		code, _, trouble := sealsmith(t, []string{"SEALSMITH_DIR=" + t.TempDir(), "SEALSMITH_TOKEN=" + setting}, "serve")
		if code != 1 || !strings.Contains(trouble, says) || strings.Contains(trouble, "1234") {
			t.Errorf("%s: exit %d, %s", setting, code, trouble)
		}
	}
}

// TestTwoKeysOfOneToken puts a second key, for wallet formats, onto the token that seals, by
// the operator's commands, and lets one server use both: one token, one login, two keys.
func TestTwoKeysOfOneToken(t *testing.T) {
	t.Parallel()
	services := httptest.NewServer(nil)
	t.Cleanup(services.Close)
	ca, err := democa.New(democa.Options{BaseURL: services.URL, Now: time.Now, Rand: rand.Reader})
	must(t, err)
	r := newRigBy(t, ca)
	var key madeKey
	must(t, json.Unmarshal([]byte(succeed(t, r.settings, "token", "genkey", "--type", "p256", "--label", "wallet", "--json")), &key))
	request := filepath.Join(r.dir, "wallet.csr")
	succeed(t, r.settings, "token", "csr", "--id", key.ID, "--organisation", "polder", "--out", request)
	block, _ := pem.Decode(readAll(t, request))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	must(t, err)
	cert, err := ca.IssueSeal(democa.Subject{
		Organisation: "Polder University", CommonName: "Polder wallet key", OrganisationIdentifier: "NTRNL-12345678", Country: "NL",
	}, csr.PublicKey, nil)
	must(t, err)
	file := filepath.Join(r.dir, "wallet.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600))
	succeed(t, r.settings, "token", "import-cert", file)

	seal, err := hsm.ParseURI(r.token.TokenURI)
	must(t, err)
	wallet := seal
	wallet.ID, wallet.Purpose = mustHex(t, key.ID), "wallet"
	r.serve(t, "SEALSMITH_TOKEN="+seal.Unredacted()+" "+wallet.Unredacted())
	r.untilReady(t, "ready")
	r.claimable(t)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	answer, err := r.get(t, "/readyz")
	must(t, err)
	for _, want := range []string{`"purpose":"wallet"`, `"purpose":"seal"`, "Polder wallet key"} {
		if !strings.Contains(answer, want) {
			t.Errorf("readyz does not say %s: %s", want, answer)
		}
	}
	if all := r.pinAttempts(t); len(all) != 1 || all[0].State != "good" {
		t.Errorf("attempts: %+v", all)
	}
}
