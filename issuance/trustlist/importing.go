package trustlist

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Errors of imports. The text of what wraps them says what to do.
var (
	ErrNoLOTL    = errors.New("the list of the lists is not imported yet; import it together with this list")
	ErrNoPointer = errors.New("the list of the lists does not name this list")
	ErrRollback  = errors.New("an older list than the one that is imported")
	ErrSigners   = errors.New("no certificates that may sign the list of the lists")
)

// File is a list as it was downloaded.
type File struct {
	Name string // for messages
	XML  []byte
}

// Request is what Import works on.
type Request struct {
	Files []File
	// Signers may sign the list of the lists: the certificates that the Commission published in
	// the Official Journal. Needed for the first list of the lists; without them those count that
	// the imported one names.
	Signers []*x509.Certificate
	Now     func() time.Time
}

// Outcome says what came of one file, or of a list that was imported before.
type Outcome struct {
	File  string
	List  *List // what was verified; nil when it was refused
	Stale bool  // the list is out of date
	Pivot bool  // an older list of the lists that led to a newer one and is not kept itself
	Err   error // why it was refused
}

// ParseSigners reads certificates from PEM or from DER. Errors: ErrSigners.
func ParseSigners(data []byte) ([]*x509.Certificate, error) {
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		all, err := x509.ParseCertificates(data)
		if err != nil || len(all) == 0 {
			return nil, fmt.Errorf("%w: the file holds neither PEM nor DER certificates", ErrSigners)
		}
		return all, nil
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d of the file: %w", ErrSigners, len(all)+1, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: the file holds none", ErrSigners)
	}
	return all, nil
}

// candidate is a file on its way in; claimed is what it says before anything is verified.
type candidate struct {
	File
	claimed *List
}

// Import verifies lists and writes those that are right into the store's file; a list that
// is refused leaves what was there. Several files may be lists of the lists: they are taken in
// the order of their sequence numbers, and each names the signers of the next, as the
// Commission's pivots do (TS 119 615 section 4.1). One Import at a time: of two at once, one is
// lost. The error is only of the store's file; a refused list is in its Outcome.
func Import(path string, r Request) ([]Outcome, error) {
	s, err := Load(path, r.Now)
	if err != nil {
		return nil, err
	}
	var lotls, lists []candidate
	var out []Outcome
	for _, f := range r.Files {
		c, err := peek(f)
		switch {
		case err != nil:
			out = append(out, Outcome{File: f.Name, Err: err})
		case c.claimed.Type == typeLOTL:
			lotls = append(lotls, c)
		default:
			lists = append(lists, c)
		}
	}
	out = append(out, s.importLOTLs(lotls, r.Signers)...)
	for _, c := range lists {
		out = append(out, s.importList(c))
	}
	out = append(out, s.recheck()...)
	if !slices.ContainsFunc(out, func(o Outcome) bool { return o.List != nil }) {
		return out, nil
	}
	return out, s.save(path)
}

// peek looks what a file claims to be. Nothing of it may be kept.
func peek(f File) (candidate, error) {
	f.XML = bytes.TrimLeft(bytes.TrimPrefix(f.XML, []byte("\xef\xbb\xbf")), " \t\r\n")
	if err := guard(f.XML); err != nil {
		return candidate{}, err
	}
	claimed, err := parse(f.XML)
	if err != nil {
		return candidate{}, err
	}
	return candidate{File: f, claimed: claimed}, nil
}

// admit verifies a candidate and reads the list from what is signed.
func (c candidate) admit(allowed []*x509.Certificate) (*List, error) {
	covered, signer, err := verify(c.XML, allowed)
	if err != nil {
		return nil, err
	}
	l, err := parse(covered)
	if err != nil {
		return nil, err
	}
	if l.Type != c.claimed.Type || l.Territory != c.claimed.Territory {
		return nil, fmt.Errorf("%w: what is signed is another list than the file shows", ErrSignature)
	}
	if l.Issued.Before(signer.NotBefore) || l.Issued.After(signer.NotAfter) {
		return nil, fmt.Errorf("%w: the certificate %s was not valid when the list was issued (%s)", ErrSigner, signer.Subject, day(l.Issued))
	}
	sum := sha256.Sum256(c.XML)
	l.Digest, l.Signer = hex.EncodeToString(sum[:]), fingerprint(signer)
	return l, nil
}

// newer says why a list must not take the place of an imported one.
func newer(l, old *List) error {
	switch {
	case old == nil || l.Sequence > old.Sequence || l.Digest == old.Digest:
		return nil
	case l.Sequence < old.Sequence:
		return fmt.Errorf("%w: this is number %d of %s, imported is number %d of %s", ErrRollback, l.Sequence, day(l.Issued), old.Sequence, day(old.Issued))
	case l.Issued.Before(old.Issued):
		return fmt.Errorf("%w: both have number %d, this one is of %s, the imported one of %s", ErrRollback, l.Sequence, l.Issued.Format(time.RFC3339), old.Issued.Format(time.RFC3339))
	}
	return nil
}

// importLOTLs follows the lists of the lists from the oldest to the newest: each says who may
// sign the next, and the newest that is right is kept.
func (s *Store) importLOTLs(all []candidate, signers []*x509.Certificate) []Outcome {
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(a.claimed.Sequence, b.claimed.Sequence) })
	allowed := signers
	if len(allowed) == 0 && s.lotl != nil {
		allowed = s.lotl.signersOf("EU", typeLOTL)
	}
	out := make([]Outcome, len(all))
	newest := -1
	for i, c := range all {
		out[i].File = c.Name
		if out[i].List, out[i].Err = c.lotl(allowed); out[i].Err != nil {
			continue
		}
		out[i].Pivot, out[i].Stale = true, out[i].List.Stale(s.now())
		allowed, newest = out[i].List.signersOf("EU", typeLOTL), i
	}
	if newest < 0 {
		return out
	}
	o := &out[newest]
	if o.Pivot, o.Err = false, newer(o.List, s.lotl); o.Err != nil {
		o.List = nil
		return out
	}
	s.lotl = o.List
	return out
}

func (c candidate) lotl(allowed []*x509.Certificate) (*List, error) {
	if len(allowed) == 0 {
		return nil, fmt.Errorf("%w: give those of the Official Journal", ErrSigners)
	}
	if c.claimed.Territory != "EU" {
		return nil, fmt.Errorf("%w: its territory is %s, not EU", ErrFile, c.claimed.Territory)
	}
	return c.admit(allowed)
}

// signersOf returns who may sign the list of a territory: the certificates of all pointers
// to it.
func (l *List) signersOf(territory, kind string) []*x509.Certificate {
	var out []*x509.Certificate
	for _, p := range l.Pointers {
		if p.Territory == territory && p.Type == kind {
			for _, c := range p.Signers {
				out = append(out, c.Certificate)
			}
		}
	}
	return out
}

func (s *Store) importList(c candidate) Outcome {
	o := Outcome{File: c.Name}
	if s.lotl == nil {
		o.Err = ErrNoLOTL
		return o
	}
	territory := c.claimed.Territory
	allowed := s.lotl.signersOf(territory, typeTL)
	if len(allowed) == 0 {
		o.Err = fmt.Errorf("%w: it has no certificates for the list of %s", ErrNoPointer, territory)
		return o
	}
	l, err := c.admit(allowed)
	if err == nil {
		err = newer(l, s.lists[territory])
	}
	if o.Err = err; err == nil {
		s.lists[territory] = l
		o.List, o.Stale = l, l.Stale(s.now())
	}
	return o
}

// recheck asks of each stored list whether the present list of the lists still names its
// signer.
func (s *Store) recheck() []Outcome {
	var out []Outcome
	for _, territory := range slices.Sorted(maps.Keys(s.lists)) {
		l := s.lists[territory]
		gone := s.lotl == nil || !slices.ContainsFunc(s.lotl.signersOf(territory, typeTL),
			func(c *x509.Certificate) bool { return fingerprint(c) == l.Signer })
		if gone && !l.SignerGone {
			out = append(out, Outcome{File: "the imported list of " + territory, Err: fmt.Errorf(
				"%w: the list of the lists no longer names the certificate that signed it; it answers nothing until the present list of %s is imported", ErrSigner, territory)})
		}
		l.SignerGone = gone
	}
	return out
}

func day(at time.Time) string { return at.UTC().Format("2 January 2006") }
