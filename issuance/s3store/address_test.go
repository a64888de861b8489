package s3store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance/s3store"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]s3store.Address{
		"s3://bucket":             {Bucket: "bucket", Endpoint: "s3.amazonaws.com", Secure: true},
		"s3://bucket/a/b/":        {Bucket: "bucket", Prefix: "a/b", Endpoint: "s3.amazonaws.com", Secure: true},
		"s3://b?region=eu-west-1": {Bucket: "b", Endpoint: "s3.amazonaws.com", Secure: true, Region: "eu-west-1"},
		"s3://b?endpoint=https://store.example:9000&move=no": {Bucket: "b", Endpoint: "store.example:9000", Secure: true, Keep: true},
		"s3://b?endpoint=http://localhost:9000&move=yes":     {Bucket: "b", Endpoint: "localhost:9000"},
		"s3://b?endpoint=http://[::1]:9000":                  {Bucket: "b", Endpoint: "[::1]:9000"},
	} {
		got, err := s3store.ParseAddress(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
	for _, text := range []string{
		"", "s3://", "bucket", "https://store.example/bucket", "s3://hush:hush@bucket", "s3://hush@bucket", "s3://b#hush", "s3://b?hush=1", "s3://b?move=maybe",
		"s3://b?endpoint=http://store.example", "s3://b?endpoint=https://hush:hush@store.example", "s3://b?endpoint=store.example", "s3://b?endpoint=https://store.example/path",
		"s3://b?endpoint=ftp://store.example", "s3://b\x7f", "s3://b?endpoint=http://10.0.0.1:9000",
	} {
		_, err := s3store.ParseAddress(text)
		if !errors.Is(err, s3store.ErrAddress) || strings.Contains(err.Error(), "hush:hush") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[default]\naws_access_key_id = abc\naws_secret_access_key = hush\naws_session_token = short\n")
	got, err := s3store.ReadKeys(file)
	if diff := cmp.Diff(s3store.Keys{AccessKey: "abc", SecretKey: "hush", SessionToken: "short"}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := s3store.ReadKeys(file + ".not"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	write("[other]\naws_access_key_id = abc\n")
	if keys, err := s3store.ReadKeys(file); err == nil {
		if _, err := s3store.Open(s3store.Address{Endpoint: "localhost"}, keys); !errors.Is(err, s3store.ErrKeys) {
			t.Error(err)
		}
	}
	write("[default]\naws_access_key_id = abc\n")
	if _, err = s3store.ReadKeys(file); !errors.Is(err, s3store.ErrKeys) {
		t.Errorf("half of the keys: %v", err)
	}
}
