package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti"
)

// TestKeys types what an operator does about keys and the key file.
func TestKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	keyFile := filepath.Join(data, "server.key")
	settings := []string{"SEALSMITH_DIR=" + data, "SEALSMITH_PUBLIC_URL=https://seal.example"}
	words := map[string]string{"KEYFILE": keyFile}
	types(t, settings, words,
		command{"keys list", 0, `^There is no key yet`},
		command{"keys rotate", 0, `^Key (\S+) signs now`},
		command{"keys list", 0, `^KID +STATE +MADE\n$WORD +signs +\d{4}-\d\d-\d\d \d\d:\d\d UTC\n$`},
		command{"keys rotate", 0, `^Key (\S+) is published now and signs from .* UTC\.\n`},
		command{"keys list", 0, `(?m)^\S+ +signs, until .* UTC +.*\n$WORD +published, signs from .* UTC `},
		command{"keys rotate", 1, `a rotation is under way: key $WORD is published and signs from .*: sealsmith keys rotate --now\n$`},
		command{"keys rotate --now", 0, `^Key (\S+) signs now; servers that run know it within a minute`},
		command{"keys list", 0, `^KID +STATE +MADE\n$WORD +signs +.*\n$`},
	)
	var listed []lti.KeyInfo
	if out := succeed(t, settings, "keys", "list", "--json"); json.Unmarshal([]byte(out), &listed) != nil || len(listed) != 1 ||
		listed[0].State != lti.KeySigns || listed[0].KID != words["WORD"] || strings.Contains(strings.ToLower(out), "private") {
		t.Errorf("keys list --json: %s", out)
	}
	info, err := os.Stat(keyFile)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key file was made with mode %v", info.Mode())
	}

	must(t, os.Chmod(keyFile, 0o640))
	types(t, settings, words, command{"keys rotate --now", 1, `server\.key has mode 0640, and others than its owner may use it: chmod 600 `})
	must(t, os.Chmod(keyFile, 0o400))
	right := mustRead(t, keyFile)
	must(t, os.Rename(keyFile, keyFile+".away"))
	types(t, settings, words,
		command{"keys rotate --now", 1, `the key file \S+server\.key is not there, .*Nothing is lost: put the file back`},
		command{"serve", 1, `the key file \S+server\.key is not there`},
		command{"keys rewrap", 1, `is not there`},
		command{"keys list", 0, `signs`}, // needs no key file
		command{"--key-file $KEYFILE.away keys rotate --now", 0, `signs now`},
	)

	other := strings.Repeat("42", 32)
	write := func(lines ...string) {
		t.Helper()
		must(t, os.WriteFile(keyFile, []byte(strings.Join(lines, "\n")), 0o600))
	}
	write(other)
	types(t, settings, words,
		command{"keys rotate --now", 1, `is another key file than the one .*Nothing is lost`},
		command{"worker", 1, `is another key file than the one`},
		command{"keys rewrap", 1, `sealed with another key file`},
	)
	write("not a key")
	types(t, settings, words, command{"keys rotate --now", 1, `server\.key cannot be used: line 1 is not a key`})
	write(other, string(right))
	types(t, settings, words,
		command{"keys rewrap", 0, `^Sealed 1 values with the first line`},
		command{"keys rewrap", 0, `^Sealed 0 values`},
	)
	write(other)
	types(t, settings, words,
		command{"keys rotate --now", 0, `signs now`},
		command{"keys forget", 0, `^1 sealed values would be deleted`},
		command{"keys forget --sure", 0, `^Deleted 1 sealed values`},
		command{"keys list", 0, `^There is no key yet`},
	)
}

// TestOldKeysAreSealed starts on a database of an earlier version, whose keys are plain.
func TestOldKeysAreSealed(t *testing.T) {
	t.Parallel()
	s := Settings{Dir: t.TempDir()}
	db, err := s.openDatabase(t.Context())
	must(t, err)
	defer db.Close()
	_, err = db.Exec(t.Context(), `insert into tool_keys (kid, private, created_at) values ('old', ?, '2026-01-01 00:00:00+00:00')`, []byte("plain private key"))
	must(t, err)
	store, err := s.openKeys(t.Context(), db)
	must(t, err)
	keys, err := store.ToolKeys(t.Context())
	must(t, err)
	var raw []byte
	must(t, db.Get(t.Context(), &raw, `select private from tool_keys`))
	if len(keys) != 1 || string(keys[0].Private) != "plain private key" || strings.Contains(string(raw), "plain") {
		t.Errorf("%d keys, stored %q", len(keys), raw)
	}
}

// TestLTI11 notes the keys of the time before LTI 1.3.
func TestLTI11(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string, mode os.FileMode, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		must(t, os.Chmod(path, mode))
		return path
	}
	words := map[string]string{"SECRET": file("secret", 0o600, "s3cret\n"), "OPEN": file("open", 0o644, "s3cret\n"), "EMPTY": file("empty", 0o600, "\n")}
	types(t, []string{"SEALSMITH_DIR=" + filepath.Join(dir, "data"), "SEALSMITH_PUBLIC_URL=https://seal.example"}, words,
		command{"organisations add polder --name Polder --country NL --identifier NTRNL-12345678 --no-starters", 0, ``},
		command{"platforms add --issuer https://lms.example --client-id a --deployment 1" + lmsFlags, 0, `^Platform (\S+) of polder`},
		command{"platforms lti11 list $WORD", 0, `^No LTI 1\.1 key is known`},
		command{"platforms lti11 add $WORD --key old-key --secret s3cret", 2, `unknown flag --secret`},
		command{"platforms lti11 add $WORD --key old-key --secret-file $OPEN", 1, `has mode 0644`},
		command{"platforms lti11 add $WORD --key old-key --secret-file $EMPTY", 1, `has a consumer key and a secret`},
		command{"platforms lti11 add nonsense --key old-key --secret-file $SECRET", 1, `platform nonsense: .*not found`},
		command{"platforms lti11 add $WORD --key old-key --secret-file $SECRET", 0, `^Added\. The secret is sealed`},
	)
	words["PLATFORM"] = words["WORD"]
	types(t, []string{"SEALSMITH_DIR=" + filepath.Join(dir, "data"), "SEALSMITH_PUBLIC_URL=https://seal.example"}, words,
		command{"platforms lti11 list $PLATFORM", 0, `(?m)^(\S+) +old-key +\d{4}-\d\d-\d\d$`},
		command{"platforms lti11 remove $PLATFORM nonsense", 1, `not found`},
		command{"platforms lti11 remove $PLATFORM $WORD", 0, `^Removed`},
		command{"platforms lti11 list $PLATFORM", 0, `^No LTI 1\.1 key is known`},
	)
}
