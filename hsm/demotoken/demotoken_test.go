//go:build cgo

package demotoken_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
)

// folder is the one folder of this process: SoftHSM reads its place once.
var folder string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "demotoken")
	if err != nil {
		panic(err)
	}
	folder = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func options(label, kind string) demotoken.Options {
	return demotoken.Options{Dir: folder, Label: label, KeyType: kind, Now: time.Now, Rand: rand.Reader}
}

func TestMake(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"rsa2048", "rsa3072", "p256", "p384"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := options("make-"+kind, kind)
			o.Organisation, o.CommonName = "Stichting Havenstad", "Havenstad eSeal"
			o.OrganisationIdentifier, o.Country = "NTRNL-12345678", "NL"
			made, err := demotoken.Make(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			facts := hsm.InspectSeal(made.Seal)
			want := hsm.SealFacts{
				Organisation: "Stichting Havenstad", CommonName: "Havenstad eSeal", OrganisationIdentifier: "NTRNL-12345678",
				Country: "NL", QcCompliance: true, QcTypeESeal: true, ContentCommitment: true,
				NotBefore: made.Seal.NotBefore, NotAfter: made.Seal.NotAfter,
			}
			if diff := cmp.Diff(want, facts); diff != "" {
				t.Error(diff)
			}
			pool := x509.NewCertPool()
			pool.AddCert(made.CA)
			if _, err := made.Seal.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
				t.Error(err)
			}
			if got := made.Seal.NotAfter.Sub(made.Seal.NotBefore); got != demotoken.Validity {
				t.Errorf("valid for %v", got)
			}
		})
	}
}

func TestMakeFiles(t *testing.T) {
	t.Parallel()
	made, err := demotoken.Make(t.Context(), options("files", "p256"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{made.PINFile, made.ConfFile, made.CAFile} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", filepath.Base(path), info.Mode())
		}
	}
	content, err := os.ReadFile(made.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(content)
	if block == nil || len(rest) > 0 || !cmp.Equal(block.Bytes, made.CA.Raw) {
		t.Error("the CA file does not hold the CA's certificate alone")
	}
	uri, err := hsm.ParseURI(made.TokenURI)
	if err != nil {
		t.Fatal(err)
	}
	if uri.PINSource != made.PINFile || uri.Serial != made.Serial || uri.Token != "files" || len(uri.ID) != 20 {
		t.Errorf("URI %s", uri)
	}
	if os.Getenv("SOFTHSM2_CONF") != made.ConfFile {
		t.Error("SOFTHSM2_CONF is not set")
	}
}

func TestMakeAgainOpens(t *testing.T) {
	t.Parallel()
	first, err := demotoken.Make(t.Context(), options("again", "p256"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := demotoken.Make(t.Context(), options("again", "rsa2048"))
	if err != nil {
		t.Fatal(err)
	}
	if first.Serial != second.Serial || !first.Seal.Equal(second.Seal) || first.TokenURI != second.TokenURI {
		t.Error("the second call made another token")
	}
}

// A Make that died after the token was initialised left no token.json; the next one must
// not stumble over the token that is there.
func TestMakeAfterInterruption(t *testing.T) {
	t.Parallel()
	first, err := demotoken.Make(t.Context(), options("interrupted", "p256"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, "interrupted", "token.json")); err != nil {
		t.Fatal(err)
	}
	second, err := demotoken.Make(t.Context(), options("interrupted", "p256"))
	if err != nil {
		t.Fatal(err)
	}
	if first.Seal.Equal(second.Seal) {
		t.Error("the half-made token was taken for a whole one")
	}
}

func TestMakeRefuses(t *testing.T) {
	t.Parallel()
	if _, err := demotoken.Make(t.Context(), options("refuses", "p256")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*demotoken.Options)
		want   error
	}{
		{"no folder", func(o *demotoken.Options) { o.Dir = "" }, demotoken.ErrOptions},
		{"no clock", func(o *demotoken.Options) { o.Now = nil }, demotoken.ErrOptions},
		{"no randomness", func(o *demotoken.Options) { o.Rand = nil }, demotoken.ErrOptions},
		{"label with a slash", func(o *demotoken.Options) { o.Label = "../x" }, demotoken.ErrOptions},
		{"unknown key type", func(o *demotoken.Options) { o.KeyType = "rsa1024" }, demotoken.ErrOptions},
		{"another folder", func(o *demotoken.Options) { o.Dir = t.TempDir(); o.Setenv = ignore }, demotoken.ErrOtherFolder},
		{"no such module", func(o *demotoken.Options) { o.Module = "/nowhere/libsofthsm2.so" }, demotoken.ErrNoSoftHSM},
		{"not a module", func(o *demotoken.Options) { o.Module = os.Args[0] }, demotoken.ErrNoSoftHSM},
		{"certificate ended", func(o *demotoken.Options) { o.Now = func() time.Time { return time.Now().AddDate(3, 0, 0) } }, demotoken.ErrDamaged},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := options("refuses", "p256")
			test.change(&o)
			if _, err := demotoken.Make(t.Context(), o); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestMakeDamaged(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"not-json":     "{",
		"no-cert":      `{"label":"no-cert"}`,
		"other-serial": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "other-serial" {
				made, err := demotoken.Make(t.Context(), options("damage-source", "p256"))
				if err != nil {
					t.Fatal(err)
				}
				stored, err := os.ReadFile(filepath.Join(folder, made.Label, "token.json"))
				if err != nil {
					t.Fatal(err)
				}
				content = string(stored)
			}
			if err := os.MkdirAll(filepath.Join(folder, name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, name, "token.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := demotoken.Make(t.Context(), options(name, "p256")); !errors.Is(err, demotoken.ErrDamaged) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestMakeReportsSetenv(t *testing.T) {
	t.Parallel()
	failed := errors.New("no environment")
	o := options("setenv", "p256")
	o.Setenv = func(string, string) error { return failed }
	if _, err := demotoken.Make(t.Context(), o); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

func ignore(string, string) error { return nil }
