package main

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/ceremony"
	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
)

// tokenAt makes a token for one test, and its settings without the key.
func tokenAt(t *testing.T, label, module string) (demotoken.Made, hsm.URI) {
	t.Helper()
	made, err := demotoken.Make(t.Context(), demotoken.Options{
		Dir: tokenFolder, Label: label, KeyType: "p256", Now: time.Now, Rand: rand.Reader, OrganisationIdentifier: "NTRNL-12345678",
	})
	must(t, err)
	uri, err := hsm.ParseURI(made.TokenURI)
	must(t, err)
	uri.ID = nil
	if module != "" {
		uri.ModulePath = module
	}
	return made, uri
}

const college = "organisations add havenstad --name 'Havenstad College' --country NL --identifier NTRNL-12345678 --no-starters"

// TestTokenCeremony types what an operator does, from the key to the self-test.
func TestTokenCeremony(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	made, uri := tokenAt(t, "ceremony", "")
	server := httptest.NewServer(nil)
	defer server.Close()
	ca, err := democa.New(democa.Options{BaseURL: server.URL, Now: time.Now, Rand: rand.Reader})
	must(t, err)
	server.Config.Handler = ca.Handler()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, content, 0o600))
		return path
	}
	inPEM := func(cert *x509.Certificate) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	settings := []string{"SEALSMITH_DIR=" + filepath.Join(dir, "data"), "SEALSMITH_TOKEN=" + uri.Unredacted()}
	paths := map[string]string{
		"CSR": filepath.Join(dir, "seal.csr"), "OTHER": file("other.pem", inPEM(made.CA)), "CUT": file("cut.pem", inPEM(made.Seal)[:200]),
		"TRUST": file("trust.pem", inPEM(ca.Certificate())), "SEAL": filepath.Join(dir, "seal.pem"), "RECORD": filepath.Join(dir, "record.json"), "SERIAL": made.Serial,
	}
	types(t, settings, paths,
		command{"token csr", 1, `there is no organisation yet`},
		command{college, 0, `Added`},
		command{"token genkey --type rsa1024", 1, `the key type must be rsa3072, rsa2048, rsa4096, p256 or p384, not "rsa1024"`},
		command{"token genkey --type p384", 0, `(?s)^Made key eSeal \(p384, id ([0-9a-f]{40})\) on the token .*never extractable.*SEALSMITH_TOKEN='pkcs11:token=ceremony;serial=.*sealsmith token csr --id`},
		command{"token csr", 1, `no one key is meant: the token holds .*name one by --id`},
		command{"token csr --id xyz", 1, `--id must be hex`},
		command{"token csr --id 00", 1, `no key with the id 00`},
		command{"token csr --id $WORD --common-name ' '", 1, `the common name is missing`},
		command{"token csr --id $WORD --out $CSR", 0, `Wrote .*a request for Havenstad College eSeal, NTRNL-12345678, NL`},
		command{"token csr --id $WORD --out $CSR", 1, `file exists`},
		command{"token import-cert $OTHER", 1, `it is the certificate of an authority`},
		command{"token import-cert $CUT", 1, `the PEM text is cut off or damaged`},
		command{"token import-cert /nonexistent", 1, `no such file`},
	)
	request, _ := pem.Decode(mustRead(t, paths["CSR"]))
	csr, err := x509.ParseCertificateRequest(request.Bytes)
	must(t, err)
	seal, err := ca.IssueSeal(democa.Subject{
		Organisation: "Havenstad College", CommonName: "Havenstad College eSeal", OrganisationIdentifier: "NTRNL-12345678", Country: "NL",
	}, csr.PublicKey, nil)
	must(t, err)
	file("seal.pem", inPEM(seal))
	types(t, settings, paths,
		command{"token import-cert $SEAL", 0, `^Imported Havenstad College eSeal, issued by`},
		command{"token import-cert $SEAL", 1, `it is on the token already`},
		command{"token selftest", 2, `who is present`},
		command{"token selftest --who A --out $RECORD", 1, `2 keys on the token can seal`},
	)
	uri.ID = mustHex(t, paths["WORD"])
	settings[1] = "SEALSMITH_TOKEN=" + uri.Unredacted()
	settings = append(settings, "SEALSMITH_TRUST="+paths["TRUST"])
	types(t, settings, paths,
		command{"token selftest --who A --who B --out $RECORD", 0, `(?s)ES384.*present +A\npresent +B\n.*20 made and verified.*organisation +ok .*that of havenstad.*chain +ok `},
		command{"token selftest --check $RECORD", 0, `nothing in it was changed`},
		command{"token selftest --check $SEAL", 1, `not a valid ceremony record`},
		command{"token bench --sessions 1,2 --each 50ms", 0, `(?s)^SESSIONS .*\n1 +1 +\d+ +[\d.]+\n2 +2 +\d+ `},
		command{"token bench --sessions 0", 1, `not a number from 1 to 1024`},
		command{"token doctor --login", 0, `(?s)login and key +ok .*QCStatements +warn .*chain +ok .*revocation +ok +the issuer says good.*clock +ok `},
		command{"token doctor --offline", 0, `network +not asked`},
		command{"token doctor --organisation nobody", 0, `there is no organisation "nobody"`},
	)
	must(t, ca.Revoke(seal.SerialNumber, time.Now(), 1))
	code, out, _ := sealsmith(t, settings, "token", "doctor", "--json")
	var found []diagnosis
	must(t, json.Unmarshal([]byte(out), &found))
	if f := finding(t, found, "revocation"); code != 1 || f.Outcome != ceremony.Fail || !strings.Contains(f.Seen, "revoked the certificate on") {
		t.Errorf("exit %d: %+v", code, f)
	}
}

func mustHex(t *testing.T, text string) []byte {
	t.Helper()
	id, err := hex.DecodeString(text)
	must(t, err)
	return id
}

func finding(t *testing.T, all []diagnosis, check string) ceremony.Finding {
	t.Helper()
	for _, d := range all {
		for _, f := range d.Findings {
			if f.Check == check {
				return f
			}
		}
	}
	t.Fatalf("no finding %s: %+v", check, all)
	return ceremony.Finding{}
}

// faultModule builds the fault injector of package hsm, and says with which words.
func faultModule(t *testing.T, word map[int]byte) (module string, settings []string) {
	t.Helper()
	dir := t.TempDir()
	headers, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	must(t, err)
	module = filepath.Join(dir, "p11fault.so")
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-I", strings.TrimSpace(string(headers)), "-o", module, "../../hsm/testdata/p11fault.c", "-ldl", "-lpthread").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	control := make([]byte, 512)
	for i, value := range word {
		control[8*i] = value
	}
	must(t, os.WriteFile(filepath.Join(dir, "control"), control, 0o600))
	_, uri := tokenAt(t, "fault-source", "")
	return module, []string{"P11FAULT_MODULE=" + uri.ModulePath, "P11FAULT_CTL=" + filepath.Join(dir, "control")}
}

// TestTokenDoctorInTrouble looks at what a token in trouble makes the doctor say.
func TestTokenDoctorInTrouble(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		word map[int]byte
		says string
	}{
		"removed": {map[int]byte{4: 1}, `(?s)slots +ok .*token +fail +no token is pkcs11:token=trouble-removed.*there is no token.*plug the token in`},
		"locked":  {map[int]byte{6: 3}, `(?s)PIN +fail +the token has locked its PIN.*login and key +not asked +no login was made, because of the state of the PIN.*PUK`},
		"final":   {map[int]byte{6: 3, 7: 1}, `(?s)PIN +fail +one wrong PIN more locks the token.*login and key +not asked +no login was made, because`},
		"dead":    {map[int]byte{11: 1}, `(?s)slots +fail .*CKR_DEVICE_ERROR`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			module, settings := faultModule(t, test.word)
			_, uri := tokenAt(t, "trouble-"+name, module)
			settings = append(settings, "SEALSMITH_DIR="+t.TempDir(), "SEALSMITH_TOKEN="+uri.Unredacted())
			code, out, trouble := sealsmith(t, settings, "token", "doctor", "--login")
			if code != 1 || !regexp.MustCompile(test.says).MatchString(out) {
				t.Errorf("exit %d:\n%s%s", code, out, trouble)
			}
			control := mustRead(t, strings.TrimPrefix(settings[1], "P11FAULT_CTL="))
			if control[8*32] != 0 {
				t.Error("the doctor logged in")
			}
		})
	}
}

// TestTokenRefuses types what is wrong; a wrong PIN is given once.
func TestTokenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	made, uri := tokenAt(t, "refuses", "")
	right := string(mustRead(t, made.PINFile))
	none := []string{"SEALSMITH_DIR=" + dir}
	types(t, none, nil,
		command{"token info", 1, `no token is configured`},
		command{"token doctor", 2, `no token is configured`},
		command{"token genkey", 1, `no token is configured`},
		command{"token genkey --pin 1234", 2, `unknown flag --pin`},
		command{"token info --module /nowhere/p11.so", 1, `the token's driver cannot be used`},
		command{"--token pkcs11:nonsense token doctor", 2, `--token, URI 1`},
		command{"token unblock " + made.Serial, 0, `One login`},
	)
	two := append(none, "SEALSMITH_TOKEN="+uri.Unredacted()+" pkcs11:token=other?module-path="+uri.ModulePath)
	types(t, two, nil,
		command{"token genkey", 1, `the settings name several tokens: say which with --which`},
		command{"token genkey --which nobody", 1, `no token of the settings has the serial number or label "nobody"`},
		command{"token info", 0, `(?m)^\d+ +refuses +\S+ +SoftHSM v2 +fine +yes$`},
	)
	uri.PINSource = ""
	settings := append(none, "SEALSMITH_TOKEN="+uri.Unredacted())
	for i, want := range []string{"the PIN is wrong", "the PIN is blocked"} {
		code, out, trouble := typed(t, settings, "00000000\n", "token", "genkey", "--type", "p256")
		if code != 1 || out != "" || !strings.Contains(trouble, want) || strings.Contains(trouble, "00000000") {
			t.Errorf("attempt %d: exit %d, %s%s", i, code, out, trouble)
		}
	}
	if code, _, trouble := typed(t, settings, "\n", "token", "genkey"); code != 1 || !strings.Contains(trouble, "no PIN was given") {
		t.Errorf("no PIN: exit %d, %s", code, trouble)
	}
	succeed(t, settings, "token", "unblock", made.Serial)
	if code, out, trouble := typed(t, settings, right+"\n", "token", "genkey", "--type", "p256", "--json"); code != 0 || strings.Contains(out+trouble, right) {
		t.Errorf("the right PIN: exit %d, %s%s", code, out, trouble)
	} else {
		var key madeKey
		must(t, json.Unmarshal([]byte(out), &key))
		if key.Type != "p256" || !key.Attributes.Local || len(key.ID) != 40 || !strings.HasPrefix(key.URI, "pkcs11:token=refuses;serial=") {
			t.Errorf("%+v", key)
		}
	}
	var drivers []struct {
		Path  string
		Slots []struct {
			Token *struct {
				Label, Serial string
				PIN           struct{ State string }
				Certificates  []string
			}
		}
	}
	must(t, json.Unmarshal([]byte(succeed(t, settings, "token", "info", "--json")), &drivers))
	seen := 0
	for _, slot := range drivers[0].Slots {
		if slot.Token != nil && slot.Token.Serial == made.Serial && slot.Token.PIN.State == "fine" && len(slot.Token.Certificates) == 1 {
			seen++
		}
	}
	if len(drivers) != 1 || seen != 1 {
		t.Errorf("info --json: %+v", drivers)
	}
}
