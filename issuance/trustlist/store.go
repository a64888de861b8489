package trustlist

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// ErrStore is a file of imported lists that cannot be read.
var ErrStore = errors.New("the file of the trusted lists cannot be read; import the lists again into a new one")

// format is of the store's file. A file of another format is not guessed at.
const format = 1

// Store holds the imported lists. It does not change after Load and is safe for use by
// several goroutines.
type Store struct {
	lotl  *List
	lists map[string]*List // by territory
	now   func() time.Time
}

type storeFile struct {
	Format int              `json:"format"`
	LOTL   *List            `json:"lotl,omitempty"`
	Lists  map[string]*List `json:"lists,omitempty"`
}

// Load reads the lists that Import wrote. A file that is not there is an empty store: then
// nothing is known of any seal. The clock tells when lists are out of date. Errors: ErrStore.
func Load(path string, now func() time.Time) (*Store, error) {
	s := &Store{now: now, lists: map[string]*List{}}
	data, err := os.ReadFile(path) //nolint:gosec // G304: the operator names the file in the settings
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	var f storeFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrStore, path, err)
	}
	if f.Format != format {
		return nil, fmt.Errorf("%w: %s has format %d, this program reads %d", ErrStore, path, f.Format, format)
	}
	s.lotl = f.LOTL
	for territory, l := range f.Lists {
		if l == nil {
			return nil, fmt.Errorf("%w: %s: the list of %s is empty", ErrStore, path, territory)
		}
		s.lists[territory] = l
	}
	return s, nil
}

// save writes the store in one step: a reader sees the old file or the new one.
func (s *Store) save(path string) error {
	data, err := json.Marshal(storeFile{Format: format, LOTL: s.lotl, Lists: s.lists})
	if err != nil {
		return fmt.Errorf("write the trusted lists: %w", err)
	}
	if err := writeFile(path, data); err != nil {
		return fmt.Errorf("write the trusted lists: %w", err)
	}
	return nil
}

func writeFile(path string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	// The lists are public, and the server may run as somebody else than who imports.
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// LOTL returns the list of the lists, or nil when none is imported. Do not change it.
func (s *Store) LOTL() *List { return s.lotl }

// Lists returns the national lists by territory. Do not change them.
func (s *Store) Lists() []*List {
	out := make([]*List, 0, len(s.lists))
	for _, territory := range slices.Sorted(maps.Keys(s.lists)) {
		out = append(out, s.lists[territory])
	}
	return out
}

// List returns the national list of a territory (EL for Greece), or nil.
func (s *Store) List(territory string) *List { return s.lists[territory] }

// Anchors returns the certificates of all services that were in good standing at a time and
// issued qualified certificates for seals or signatures. A service that was withdrawn vouches
// for nobody any more; what it was, Qualify says.
func (s *Store) Anchors(at time.Time) []*x509.Certificate {
	return s.anchors(TypeCA, func(service *Service) bool {
		p, ok := service.At(at)
		return ok && len(p.Unsupported) == 0 && good(p.Status, at) && (slices.Contains(p.Additional, forSeals) || slices.Contains(p.Additional, "ForeSignatures"))
	})
}

// TSAAnchors returns the certificates of all services for qualified time-stamps that ever
// were in good standing: a stamp of then must be readable for as long as what it protects.
func (s *Store) TSAAnchors() []*x509.Certificate {
	return s.anchors(TypeTSA, func(service *Service) bool {
		return slices.ContainsFunc(service.Periods, func(p Period) bool { return len(p.Unsupported) == 0 && good(p.Status, p.Since) })
	})
}

func (s *Store) anchors(kind string, wanted func(*Service) bool) []*x509.Certificate {
	var out []*x509.Certificate
	for _, l := range s.usable() {
		for i := range l.Services {
			service := &l.Services[i]
			if service.Type != kind || !wanted(service) {
				continue
			}
			for _, c := range service.Certificates {
				out = append(out, c.Certificate)
			}
		}
	}
	return out
}

// usable returns the lists that may answer.
func (s *Store) usable() []*List {
	return slices.DeleteFunc(s.Lists(), func(l *List) bool { return l.SignerGone })
}
