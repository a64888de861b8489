package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// command is one line that an operator types, and what comes of it.
type command struct {
	line string // words between blanks; ' ' holds them together; $NAME is replaced
	code int
	says string // a regular expression for the output, or for the errors when code is not 0
}

// types runs the commands one after the other in one folder, and shows the whole dialogue
// when something is wrong. Words that the first group of says finds are kept as $WORD.
func types(t *testing.T, settings []string, replace map[string]string, commands ...command) {
	t.Helper()
	var dialogue strings.Builder
	for _, c := range commands {
		code, out, trouble := sealsmith(t, settings, words(c.line, replace)...)
		dialogue.WriteString("$ sealsmith " + c.line + "\n" + out + trouble)
		said := out
		if c.code != 0 {
			said = trouble
		}
		found := regexp.MustCompile(strings.ReplaceAll(c.says, "$WORD", replace["WORD"])).FindStringSubmatch(said)
		if code != c.code || found == nil {
			t.Fatalf("exit %d, want %d and %q:\n%s", code, c.code, c.says, dialogue.String())
		}
		if code != 0 && out != "" {
			t.Errorf("a failed command wrote to standard output:\n%s", dialogue.String())
		}
		if len(found) > 1 {
			replace["WORD"] = found[1]
		}
	}
}

// words splits a line as a shell does, as far as these tests need it.
func words(line string, replace map[string]string) []string {
	var all []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	for i := range all {
		all[i] = os.Expand(all[i], func(name string) string { return replace[name] })
	}
	return all
}

const lmsFlags = " --auth-url https://lms.example/auth --token-url https://lms.example/token --jwks-url https://lms.example/jwks "

func TestCommandLine(t *testing.T) {
	t.Parallel()
	settings := []string{"SEALSMITH_DIR=" + t.TempDir()}
	types(t, settings, nil,
		command{"", 0, `Usage: sealsmith <command>`},
		command{"--help", 0, `SEALSMITH_TOKEN`},
		command{"verify --help", 0, `Exit 0 valid, 1 not valid, 2 unreadable`},
		command{"platforms add --help", 0, `Deployment id; may be given several times`},
		command{"version", 0, `^sealsmith \S+\n$`},
		command{"nonsense", 2, `^sealsmith: unexpected argument nonsense \(try sealsmith --help\)\n$`},
		command{"verfy file", 2, `unexpected argument verfy`},
		command{"--nonsense serve", 2, `unknown flag --nonsense`},
		command{"serve --pin 1234", 2, `unknown flag --pin`},
		command{"verify", 2, `expected "<file>"`},
		command{"organisations add polder", 2, `missing flags: .*--name`},
		command{"templates add slug /nonexistent/template.json", 2, `no such file`},
		command{"--listen nonsense serve", 1, `--listen must be HOST:PORT`},
		command{"--public-url http://seal.example serve", 1, `--public-url must begin with https://`},
		command{"--public-url https://seal.example/path serve", 1, `--public-url must be scheme and host only`},
		command{"--redis nonsense serve", 1, `--redis: not an address of a Redis: use redis://`},
		command{"--redis redis+sentinel://:hush@a,b serve", 1, `--redis: not an address .* \(the master's name is missing\)\n$`},
		command{"--token pkcs11:nonsense serve", 1, `--token, URI 1: not a usable pkcs11 URI`},
		command{"--token pkcs11:token=x?module-path=/x.so&pin-value=1234 serve", 1, `put the PIN in a file`},
		command{"--trust /nonexistent/ca.pem serve", 1, `read the trusted certificates: .*no such file`},
		command{"--database mysql://seal serve", 1, `the database address must be sqlite:PATH or postgres://`},
	)
	for _, entry := range []string{"SEALSMITH_PUBLIK_URL=https://seal.example", "SEALSMITH_PIN=1234", "SEALSMITH_TOKENS="} {
		name, _, _ := strings.Cut(entry, "=")
		types(t, append(settings, entry), nil, command{"version", 2, `unknown setting ` + name + ` in the environment; known are SEALSMITH_ARTEFACTS, `})
	}
	types(t, append(settings, "SEALSMITH_TEST_ANYTHING=1"), nil, command{"version", 0, `sealsmith`})
}

func TestOperator(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	settings := []string{"SEALSMITH_DIR=" + filepath.Join(dir, "data"), "SEALSMITH_PUBLIC_URL=https://seal.example"}
	paths := map[string]string{
		"UNKNOWN": file("unknown.json", `{"titel": {}}`), "EMPTY": file("empty.json", `{}`), "CUT": file("cut.json", `{"title":`), "GOOD": filepath.Join(dir, "good.json"),
	}
	types(t, settings, paths,
		command{"migrate", 0, `^The database has schema \d+\.\n$`},
		command{"migrate", 0, `^The database has schema \d+\.\n$`},
		command{"organisations list", 0, `^There is no organisation yet: sealsmith organisations add --help\n$`},
		command{"platforms list", 1, `there is no organisation yet`},

		command{"organisations add Polder --name Polder --country NL --identifier NTRNL-12345678", 1, `a short name has`},
		command{"organisations add polder --name Polder --country Netherlands --identifier NTRNL-12345678", 1, `country: choose`},
		command{"organisations add polder --name Polder --country NL --identifier 12345678", 1, `identifier: write the identifier as it stands in the seal certificate`},
		command{"organisations add polder --name 'Polder University' --country NL --identifier NTRNL-12345678", 0, `Added organisation polder\.`},
		command{"organisations add polder --name Other --country NL --identifier NTRNL-12345678", 1, `this short name is taken`},
		command{"organisations list", 0, `(?m)^polder +Polder University +NL +NTRNL-12345678 +highest +one person$`},

		command{"platforms list", 0, `^No platform is registered yet`},
		command{"platforms add --issuer http://lms.example --client-id a --deployment 1" + lmsFlags, 1, `the issuer "http://lms.example" must begin with https://`},
		command{"platforms add --issuer https://lms.example --client-id a --deployment 1" + strings.Replace(lmsFlags, "https://lms.example/auth", "javascript:alert(1)", 1), 1, `is not a web address`},
		command{"platforms add --issuer https://lms.example --client-id a --deployment 1" + strings.Replace(lmsFlags, "https://lms.example/token", "https://me:secret@lms.example/token", 1), 1, `must not contain a user name or password`},
		command{"platforms add --issuer https://lms.example --client-id a --deployment 1" + strings.Replace(lmsFlags, "https://lms.example/jwks", "http://lms.example/jwks", 1), 1, `must begin with https://`},
		command{"platforms add --issuer https://lms.example --client-id a" + lmsFlags, 2, `missing flags: --deployment`},
		command{"platforms list", 0, `^No platform is registered yet`},
		command{"platforms add --issuer https://lms.example --client-id a --deployment 1" + lmsFlags, 0, `(?s)^Platform (\S+) of polder\n  name +lms\.example\n.*  tool URL +https://seal\.example/lti/launch\n  initiate login URL +https://seal\.example/lti/login\n.*  public keyset URL +https://seal\.example/lti/jwks\n`},
		command{"platforms add --issuer https://lms.example --client-id a --deployment 2 --name 'Our Moodle'" + lmsFlags, 0, `(?s)^Platform $WORD of polder\n  name +Our Moodle\n.*deployments +1, 2\n`},
		command{"platforms show $WORD", 0, `(?s)name +Our Moodle\n.*https://seal\.example/lti/login`},
		command{"platforms show nonsense", 1, `platform nonsense of polder: .*not found`},
		command{"platforms list", 0, `^ID +NAME +ISSUER +CLIENT ID +DEPLOYMENTS +STATE\n\S+ +Our Moodle +https://lms\.example +a +1, 2 +active\n$`},
		command{"platforms remove nonsense", 1, `remove platform nonsense: .*not found`},
		command{"platforms remove $WORD", 0, `^Removed platform `},
		command{"platforms list", 0, `^No platform is registered yet`},

		command{"templates list", 0, `(?m)^(\S+) +Sustainable Food Systems +1 +3 +7$`},
		command{"templates show nonsense", 1, `no such template`},
		command{"templates add second $UNKNOWN", 1, `unknown field "titel"`},
		command{"templates add second $CUT", 1, `unexpected EOF`},
		command{"templates add second $EMPTY", 1, `languages: .*rule\.min_percent: `},
	)
	must(t, os.WriteFile(paths["GOOD"], []byte(succeed(t, settings, "templates", "show", paths["WORD"])), 0o600))
	types(t, settings, paths,
		command{"templates add S $GOOD", 1, `a short name has`},
		command{"templates add second $GOOD", 0, `^Added template (\S+): Sustainable Food Systems\n$`},
		command{"templates add second $GOOD", 1, `taken`},
	)
	if copied := succeed(t, settings, "templates", "show", paths["WORD"]); copied != string(mustRead(t, paths["GOOD"])) {
		t.Errorf("show and add do not fit: %s", copied)
	}
	types(t, settings, paths,
		command{"organisations add fjord --name Fjordmark --country NO --identifier NTRNO-987654321 --no-starters", 0, `Added organisation fjord`},
		command{"templates list", 1, `there are several organisations: name one with --organisation`},
		command{"templates list --organisation nobody", 1, `there is no organisation "nobody"`},
		command{"templates show --organisation fjord $WORD", 1, `no such template`}, // of the other organisation
		command{"templates list --organisation fjord", 0, `^ID +TITLE +VERSION +ECTS +EQF\n$`},
	)
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return content
}

// TestCommandsWhileServing works in the folder of a running server.
func TestCommandsWhileServing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.untilReady(t, "ready")
	found := map[string]string{}
	types(t, r.settings, found,
		command{"migrate", 0, `The database has schema`},
		command{"organisations list", 0, `polder`},
		command{"platforms add --issuer https://lms.example --client-id a --deployment 1" + lmsFlags, 0, `^Platform (\S+) of polder`},
		command{"platforms remove $WORD", 0, `Removed`},
		command{"platforms list", 0, `(?m)^(\S+) +127\.0\.0\.1:\d+ `},
		command{"serve", 1, `listen: .*address already in use`},
	)
	r.attach(t)
	if _, err := r.journey.nothingYet(t.Context()); err != nil {
		t.Error(err)
	}
	// What was attached through it keeps a platform.
	types(t, r.settings, found, command{"platforms show $WORD", 0, `deployments +1\n`})
	r.untilReady(t, "ready")
}

// TestVerifyFromPipe reads standard input, and says nothing but JSON when asked for it.
func TestVerifyFromPipe(t *testing.T) {
	t.Parallel()
	p := prepared(t, nil, "verify", "--json", "-")
	p.Stdin = bytes.NewBufferString("{}")
	p.begin(t)
	if code := p.exit(t); code != 2 {
		t.Errorf("exit %d: %s", code, p.err.String())
	}
	if out := p.out.String(); !strings.HasPrefix(out, "{\n") || !strings.Contains(out, `"verdict": "unreadable"`) {
		t.Errorf("report: %s", out)
	}
}
