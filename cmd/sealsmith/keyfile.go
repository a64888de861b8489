package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

const maxKeyFile = 64 << 10

func (s *Settings) keyFile() string {
	if s.KeyFile != "" {
		return s.KeyFile
	}
	return filepath.Join(s.dir(), "server.key")
}

// openKeys returns the store that can use the private keys in db. The key file is made when
// there is none and nothing is sealed yet; keys that are still stored plain are sealed.
func (s *Settings) openKeys(ctx context.Context, db *sqldb.DB) (*ltistore.Store, error) {
	sealed, err := ltistore.New(db, time.Now).Sealed(ctx)
	if err != nil {
		return nil, err
	}
	box, err := s.openBox(sealed > 0)
	if err != nil {
		return nil, err
	}
	store := ltistore.New(db, time.Now, ltistore.WithBox(box))
	_, err = store.SealPlain(ctx)
	if ltistore.IsWrongBox(err) {
		return nil, fmt.Errorf("%s is another key file than the one that the keys in the database were sealed with (%w). Nothing is lost and nothing was changed: put back the right file, from a backup or from another server of this installation, or add its line to this file. Only when it is lost for good: sealsmith keys forget", s.keyFile(), err)
	}
	if err != nil {
		return nil, err
	}
	return store, nil
}

// openBox reads the key file, and makes it unless it is needed already.
func (s *Settings) openBox(needed bool) (*ltistore.Box, error) {
	name := s.keyFile()
	text, err := readSecretFile(name, maxKeyFile)
	switch {
	case errors.Is(err, os.ErrNotExist) && needed:
		return nil, fmt.Errorf("the key file %s is not there, and the database holds keys that are sealed with it. Nothing is lost: put the file back, from a backup or from another server of this installation, or say where it is with --key-file or SEALSMITH_KEY_FILE. Only when it is lost for good: sealsmith keys forget", name)
	case errors.Is(err, os.ErrNotExist):
		text, err = makeKeyFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("open the key file: %w", err)
	}
	box, err := ltistore.ReadBox(text)
	if err != nil {
		return nil, fmt.Errorf("the key file %s cannot be used: %w", name, err)
	}
	return box, nil
}

// readSecretFile reads a file that nobody but its owner may read.
func readSecretFile(name string, limit int64) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat() // of the open file: it cannot be exchanged in between
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); !info.Mode().IsRegular() || mode != 0o600 && mode != 0o400 {
		return nil, fmt.Errorf("%s has mode %04o, and others than its owner may use it: chmod 600 %s", name, mode, name)
	}
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return text, nil
}

// makeKeyFile writes a fresh key. When another process of this folder was quicker, its file
// is read. The file appears whole or not at all.
func makeKeyFile(name string) ([]byte, error) {
	key := make([]byte, ltistore.BoxKeySize)
	if _, err := io.ReadFull(rand.Reader, key); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	text := "# Sealsmith: seals the private keys in the database. Keep a copy apart from the database's backups.\n" +
		base64.StdEncoding.EncodeToString(key) + "\n"
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	draft, err := os.CreateTemp(filepath.Dir(name), ".server-key-*") // mode 0600
	if err != nil {
		return nil, err
	}
	_, err = draft.WriteString(text)
	err = errors.Join(err, draft.Sync(), draft.Close())
	if err == nil {
		err = os.Link(draft.Name(), name) // unlike a rename it leaves a file alone that is there
	}
	if err = errors.Join(err, os.Remove(draft.Name())); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return readSecretFile(name, maxKeyFile)
}
