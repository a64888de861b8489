package demolms

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const keyBits = 2048

// loadState reads the state file, or starts with the configured site.
func (l *LMS) loadState() error {
	if l.cfg.StateFile != "" {
		raw, err := os.ReadFile(l.cfg.StateFile)
		if err == nil {
			return l.parseState(raw)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read the state of the LMS: %w", err)
		}
	}
	guid, err := l.random(16)
	if err != nil {
		return err
	}
	l.key = l.cfg.Key
	if l.key == nil {
		if l.key, err = rsa.GenerateKey(rand.Reader, keyBits); err != nil {
			return fmt.Errorf("make a signing key: %w", err)
		}
	}
	l.data = state{
		Site: siteState{GUID: guid}, Users: l.cfg.Site.Users, Courses: l.cfg.Site.Courses,
		Grades: map[int]map[string]Grade{}, Key: encodeKey(l.key),
	}
	return nil
}

func (l *LMS) parseState(raw []byte) error {
	if err := json.Unmarshal(raw, &l.data); err != nil {
		return fmt.Errorf("parse %s: %w", l.cfg.StateFile, err)
	}
	key, err := decodeKey(l.data.Key)
	if err != nil {
		return fmt.Errorf("signing key in %s: %w", l.cfg.StateFile, err)
	}
	l.key = key
	if l.data.Grades == nil {
		l.data.Grades = map[int]map[string]Grade{}
	}
	return nil
}

// Save writes the state file. Every change made through a page or a service
// saves by itself; without a StateFile it does nothing.
func (l *LMS) Save() error {
	if l.cfg.StateFile == "" {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	raw, err := json.MarshalIndent(l.data, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the state of the LMS: %w", err)
	}
	// Written beside and renamed: a crash leaves the old file whole.
	tmp, err := os.CreateTemp(filepath.Dir(l.cfg.StateFile), ".lms-*")
	if err != nil {
		return fmt.Errorf("save the state of the LMS: %w", err)
	}
	_, err = tmp.Write(raw)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), l.cfg.StateFile)
	}
	if err != nil {
		return fmt.Errorf("save the state of the LMS: %w", errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}

func encodeKey(key *rsa.PrivateKey) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func decodeKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("not in PEM form")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse RSA key: %w", err)
	}
	return key, nil
}
