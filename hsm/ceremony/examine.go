package ceremony

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

// Place is what Examine needs to know of the machine.
type Place struct {
	Now    time.Time
	Getenv func(string) string // nil: nothing is set
	PCSCD  string              // socket of pcscd; "" is /run/pcscd/pcscd.comm
	// LoggedIn says that this process is logged in to the token, and sees all of it.
	LoggedIn bool
}

const defaultPCSCD = "/run/pcscd/pcscd.comm"

// smartCard matches the drivers that reach their token through pcscd.
var smartCard = regexp.MustCompile(`(?i)(etoken|idprime|opensc|onepin|ykcs11|bit4|siecap11|acos5|cryptovision|cvp11|safesign|aetpkss|gclib|iidp11|athena|asepkcs|pcsc)`)

// Examination is what Examine found.
type Examination struct {
	Findings     []Finding
	Token        *Token              // nil when not exactly one matches
	Certificate  *x509.Certificate   // the one that seals; nil when none is seen
	Certificates []*x509.Certificate // all on the token, also those of authorities
}

// Examine looks at driver, environment, PIN file, slots, token, what the token can do, and
// which certificate it would seal with, without a login.
func Examine(uri hsm.URI, place Place) Examination {
	findings := []Finding{driverFile(uri.ModulePath), environment(uri.ModulePath, place.Getenv), pinFile(uri.PINSource)}
	isCard := smartCard.MatchString(filepath.Base(uri.ModulePath))
	if isCard {
		findings = append(findings, pcscd(place.PCSCD))
	}
	if findings[1].Outcome == Fail {
		// Loading such a driver is what must not happen.
		return Examination{Findings: append(findings, Finding{Check: "slots", Outcome: NotAsked, Seen: "the driver was not loaded, because of the environment"})}
	}
	driver, err := Survey(uri)
	if err != nil {
		f := Finding{Check: "slots", Outcome: Fail, Seen: "the driver cannot be used: " + err.Error()}
		f.Do = "install the driver of the token and correct module-path= of its URI; what it needs beside itself: ldd " + uri.ModulePath
		return Examination{Findings: append(findings, f)}
	}
	findings = append(findings, slots(driver, isCard))
	found, token := matching(driver, uri)
	findings = append(findings, found)
	if token == nil {
		return Examination{Findings: findings}
	}
	x := Examination{Token: token}
	for _, c := range token.Certificates {
		x.Certificates = append(x.Certificates, c.X509)
	}
	var which Finding
	which, x.Certificate = sealing(*token, uri, place)
	x.Findings = append(findings, token.PIN.Finding(), state(*token), sessions(*token, uri), abilities(*token, uri, x.Certificate), which)
	return x
}

// driverFile wants what runs with all rights of the server to be root's alone to change.
func driverFile(path string) Finding {
	f := Finding{Check: "driver file", Outcome: OK, Seen: path}
	if path == "" || !filepath.IsAbs(path) {
		f.Outcome, f.Seen, f.Do = Fail, fmt.Sprintf("module-path of the token's URI is %q, not an absolute path", path), "name the driver's shared library by its absolute path"
		return f
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		f.Outcome, f.Do = Fail, "install the vendor's driver, or correct module-path= of the token's URI"
		if errors.Is(err, fs.ErrNotExist) {
			f.Seen = path + " is not there"
		} else {
			f.Seen = err.Error()
		}
		return f
	}
	if real != path {
		f.Seen += ", which is " + real
	}
	for _, name := range []string{real, filepath.Dir(real)} {
		if problem := writable(name); problem != "" {
			f.Outcome, f.Seen = Warn, problem+": whoever changes the driver runs with all rights of the server and sees the PIN"
			f.Do = "chown root:root " + name + " and chmod go-w " + name
			return f
		}
	}
	return f
}

func writable(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return err.Error()
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 {
		return fmt.Sprintf("%s belongs to user %d, not to root", name, stat.Uid)
	}
	const stickyFolder = fs.ModeDir | fs.ModeSticky
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&stickyFolder != stickyFolder {
		return fmt.Sprintf("%s can be changed by others than root (mode %04o)", name, info.Mode().Perm())
	}
	return ""
}

func environment(path string, getenv func(string) string) Finding {
	f := Finding{Check: "PIN in logs", Outcome: OK, Seen: "no driver and no variable that writes the PIN into a log"}
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	for _, name := range []string{"PKCS11SPY", "OPENSC_DEBUG"} {
		if getenv(name) != "" {
			f.Outcome, f.Seen, f.Do = Fail, name+" is set: the driver would write the PIN into its log", "unset "+name
			return f
		}
	}
	if strings.HasSuffix(path, "-spy.so") {
		f.Outcome, f.Seen, f.Do = Fail, "module-path is a spy driver, which writes the PIN into its log", "name the driver itself"
	}
	return f
}

func pinFile(path string) Finding {
	f := Finding{Check: "PIN file", Outcome: OK, Seen: path + ", for its owner only"}
	if path == "" {
		f.Seen = "none: the PIN is given by an operator after each start (sealsmith token unseal)"
		return f
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		f.Outcome, f.Seen = Fail, err.Error()
		f.Do = "write the PIN into the file as the server's user, mode 0400; with systemd by LoadCredential=; or leave pin-source= out of the URI and give the PIN by sealsmith token unseal"
	case !info.Mode().IsRegular():
		f.Outcome, f.Seen, f.Do = Fail, path+" is not a regular file", "name a file in pin-source="
	case info.Mode().Perm()&0o077 != 0:
		f.Outcome, f.Seen, f.Do = Fail, fmt.Sprintf("%s can be read by others (mode %04o)", path, info.Mode().Perm()), "chmod 0400 "+path
	case info.Size() == 0:
		f.Outcome, f.Seen, f.Do = Fail, path+" is empty", "write the PIN into it, one line"
	}
	return f
}

// pcscd asks for the daemon through which smart cards are reached.
func pcscd(socket string) Finding {
	if socket == "" {
		socket = defaultPCSCD
	}
	f := Finding{Check: "pcscd", Outcome: OK, Seen: "its socket " + socket + " is there"}
	info, err := os.Stat(socket)
	switch {
	case err != nil:
		f.Outcome, f.Seen = Fail, "the smart card daemon is not there ("+socket+")"
		f.Do = "apt-get install pcscd, then systemctl enable --now pcscd.socket; in a container, mount the folder of the socket"
	case info.Mode()&fs.ModeSocket == 0:
		f.Outcome, f.Seen, f.Do = Fail, socket+" is no socket", "systemctl restart pcscd.socket"
	}
	return f
}

func slots(d Driver, isCard bool) Finding {
	f := Finding{Check: "slots", Outcome: OK}
	full := 0
	for _, slot := range d.Slots {
		if slot.Token != nil {
			full++
		}
		if slot.Problem != "" {
			f.Outcome = Warn
			f.Do = "pull the token out of " + cmp.Or(slot.Description, "its slot") + " and put it back; restart pcscd if that does not help"
			f.Seen = fmt.Sprintf("; slot %d: %s", slot.ID, slot.Problem)
		}
	}
	f.Seen = fmt.Sprintf("%s %s: %d slots, %d with a token", d.Manufacturer, d.Version, len(d.Slots), full) + f.Seen
	if len(d.Slots) == 0 && isCard {
		f.Outcome = Warn
		f.Do = "no reader is seen. If the token is plugged in, polkit may keep this user from it: a service is not on the console. Allow org.debian.pcsc-lite.access_pcsc and access_card (README, The eSeal token)"
	}
	return f
}

func matching(d Driver, uri hsm.URI) (Finding, *Token) {
	f := Finding{Check: "token", Outcome: OK}
	found := d.Find(uri)
	switch len(found) {
	case 0:
		f.Outcome, f.Seen = Fail, fmt.Sprintf("no token is %s; there is %s", uri, d.tokens())
		f.Do = "plug the token in, or correct token= and serial= of its URI: sealsmith token info lists what is there"
		return f, nil
	case 1:
		t := found[0].Token
		f.Seen = fmt.Sprintf("%s, serial %s, %s %s", t.Label, t.Serial, t.Manufacturer, t.Model)
		return f, t
	}
	f.Outcome, f.Seen, f.Do = Fail, fmt.Sprintf("%d tokens match %s: %s", len(found), uri, d.tokens()), "add serial= to the token's URI, so that one is meant"
	return f, nil
}

func state(t Token) Finding {
	f := Finding{Check: "token state", Outcome: OK, Seen: strings.Join(t.Flags, ", ")}
	switch {
	case slices.Contains(t.Flags, "in an error state"):
		f.Outcome, f.Do = Fail, "pull the token out and put it back; if it stays so, ask its vendor"
	case !slices.Contains(t.Flags, "initialised"):
		f.Outcome, f.Do = Fail, "set the token up with the vendor's tool, as its letter says"
	case slices.Contains(t.Flags, "user PIN must be changed"):
		f.Outcome, f.Do = Fail, "change the PIN with the vendor's tool, and put the new one into the PIN file"
	}
	return f
}

func sessions(t Token, uri hsm.URI) Finding {
	f := Finding{Check: "sessions", Outcome: OK, Seen: "the token sets no limit"}
	if t.Sessions.Most == 0 {
		return f
	}
	f.Seen = fmt.Sprintf("%d allowed, %d open now", t.Sessions.Most, t.Sessions.Open)
	switch {
	case t.Sessions.Open >= t.Sessions.Most:
		f.Outcome, f.Do = Warn, "close other programs that use the token; nothing else is wrong if the server is what uses it"
	case uint(max(uri.Sessions, 1)) >= t.Sessions.Most:
		f.Outcome, f.Do = Warn, fmt.Sprintf("x-sessions of the URI asks for %d beside the one that keeps the login; the server takes fewer", max(uri.Sessions, 1))
	}
	return f
}

// signing are the mechanisms with which a seal can be made.
var signing = []string{"RSA_PKCS", "SHA256_RSA_PKCS", "RSA_PKCS_PSS", "SHA256_RSA_PKCS_PSS", "ECDSA", "ECDSA_SHA256", "ECDSA_SHA384"}

func abilities(t Token, uri hsm.URI, cert *x509.Certificate) Finding {
	f := Finding{Check: "mechanisms", Outcome: OK}
	var can []string
	for _, m := range t.Mechanisms {
		if m.Sign && slices.Contains(signing, m.Name) {
			can = append(can, m.Name)
		}
	}
	f.Seen = "signs with " + strings.Join(can, ", ")
	if len(can) == 0 {
		f.Outcome, f.Seen, f.Do = Fail, "the token lists no mechanism for RS256, PS256, ES256 or ES384", "ask the vendor for the driver of a signature token"
		return f
	}
	wanted, use := mechanismsFor(uri, cert)
	if len(wanted) > 0 && !slices.ContainsFunc(wanted, func(m string) bool { return slices.Contains(can, m) }) {
		f.Outcome, f.Do = Fail, "ask the vendor for a driver that can, or take x-algorithm= out of the token's URI if it stands there"
		f.Seen += ", but with none that " + use + " needs: " + strings.Join(wanted, " or ")
	}
	return f
}

// mechanismsFor names those of which a key needs one, and for what.
func mechanismsFor(uri hsm.URI, cert *x509.Certificate) ([]string, string) {
	rs, ps := []string{"RSA_PKCS", "SHA256_RSA_PKCS"}, []string{"RSA_PKCS_PSS", "SHA256_RSA_PKCS_PSS"}
	switch uri.Algorithm {
	case "RS256":
		return rs, "x-algorithm=RS256"
	case "PS256":
		return ps, "x-algorithm=PS256"
	}
	if cert == nil {
		return nil, ""
	}
	kind := KeyTypeOf(cert.PublicKey)
	switch kind {
	case "p256":
		return []string{"ECDSA", "ECDSA_SHA256"}, "the key (p256)"
	case "p384":
		return []string{"ECDSA", "ECDSA_SHA384"}, "the key (p384)"
	}
	return slices.Concat(rs, ps), "the key (" + kind + ")"
}

// sealing finds the certificate that the service would take, as far as can be told without
// a login: of those that are no authority's and not over, the newest that has begun.
func sealing(t Token, uri hsm.URI, place Place) (Finding, *x509.Certificate) {
	f := Finding{Check: "certificate", Outcome: OK}
	var best *x509.Certificate
	others := 0
	for _, c := range t.Certificates {
		if c.X509.IsCA || len(uri.ID) > 0 && len(c.ID) > 0 && !bytes.Equal(c.ID, uri.ID) {
			others++
			continue
		}
		if best == nil || better(c.X509, best, place.Now) {
			best = c.X509
		}
	}
	switch {
	case best != nil:
		f.Seen = Certificate{X509: best}.String()
	case others == 0 && place.LoggedIn:
		f.Outcome, f.Seen = Fail, "there is none on the token"
		f.Do = "sealsmith token csr asks for one, sealsmith token import-cert puts it on the token"
	case others == 0 && t.PIN.State != PINNotNeeded:
		f.Outcome, f.Seen = Warn, "none can be seen without a login"
		f.Do = "sealsmith token doctor --login looks again. If there is none: sealsmith token csr asks for one, sealsmith token import-cert puts it on the token"
	default:
		f.Outcome, f.Seen = Fail, fmt.Sprintf("none of the %d certificates on the token is the seal's", others)
		f.Do = "check id= of the token's URI; sealsmith token import-cert puts the certificate on the token that was issued for its key"
	}
	return f, best
}

// better tells whether a is rather the one to seal with than b.
func better(a, b *x509.Certificate, now time.Time) bool {
	valid := func(c *x509.Certificate) bool { return !now.Before(c.NotBefore) && !now.After(c.NotAfter) }
	if valid(a) != valid(b) {
		return valid(a)
	}
	return a.NotBefore.After(b.NotBefore)
}
