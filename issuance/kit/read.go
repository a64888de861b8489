package kit

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/status"
)

// maxManifest is how long kit.json may be, in bytes.
const maxManifest = 16 << 20

// Kit is a kit that was opened. What it says of a credential is as good as the signatures in it.
type Kit struct {
	Manifest Manifest

	files fs.FS
}

// Open opens the kit in a folder, or fails with ErrNoKit.
func Open(dir string) (*Kit, error) { return open(os.DirFS(dir)) }

func open(files fs.FS) (*Kit, error) {
	k := &Kit{files: files}
	text, err := k.read(manifestName, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoKit, err)
	}
	if err := json.Unmarshal(text, &k.Manifest); err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read: %w", ErrNoKit, manifestName, err)
	}
	if k.Manifest.Format != format {
		return nil, fmt.Errorf("%w: its format is %.40q, not %s", ErrNoKit, k.Manifest.Format, format)
	}
	return k, nil
}

// read reads one file of the kit. Names that lead out of the folder are refused by fs.FS.
func (k *Kit) read(name string, most int64) ([]byte, error) {
	info, err := fs.Stat(k.files, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrChanged, name, most)
	}
	return fs.ReadFile(k.files, name)
}

// Find says what the kit's lists say of a credential, by the id as it stands in it. trust vouches
// for who has signed them, at the time they were signed; with nil whoever calls judges
// ListedStatus.Signer. It fails with ErrUnknown, and with the errors of package status when something
// that is signed does not fit.
func (k *Kit) Find(id string, trust *x509.CertPool) (issuance.ListedStatus, error) {
	l, index, signer, err := k.Place(id, trust)
	if err != nil {
		return issuance.ListedStatus{}, err
	}
	text, err := k.read(l.Token, status.MaxText)
	if err != nil {
		return issuance.ListedStatus{}, fmt.Errorf("%w: %w", status.ErrRetrieval, err)
	}
	return Look(text, index, status.Options{URI: l.Address, Trust: trust}, signer)
}

// Place returns where a credential stands by the kit's index, and who has signed the index, for a
// list that is newer than the kit's. Errors are those of Find.
func (k *Kit) Place(id string, trust *x509.CertPool) (l List, index int, signer *x509.Certificate, err error) {
	for _, o := range k.Manifest.Organisations {
		for _, l := range o.Lists {
			index, signer, err := k.place(l, id, trust)
			if errors.Is(err, ErrUnknown) {
				continue
			}
			if err != nil {
				err = fmt.Errorf("status list %s: %w", l.ID, err)
			}
			return l, index, signer, err
		}
	}
	return List{}, 0, nil, ErrUnknown
}

// place looks for a credential in the index of one list.
func (k *Kit) place(l List, id string, trust *x509.CertPool) (index int, signer *x509.Certificate, err error) {
	if l.Index == "" {
		return 0, nil, ErrUnknown
	}
	signed, err := k.index(l, trust)
	if err != nil {
		return 0, nil, err
	}
	name, found := signed.Shard(id)
	if !found {
		return 0, nil, ErrUnknown
	}
	text, err := k.read(shardFile(l.Shards, name), status.MaxText)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", status.ErrRetrieval, err)
	}
	index, found, err = signed.Find(id, text)
	if err == nil && !found {
		err = ErrUnknown
	}
	return index, signed.Chain[0], err
}

func (k *Kit) index(l List, trust *x509.CertPool) (status.SignedIndex, error) {
	text, err := k.read(l.Index, status.MaxText)
	if err != nil {
		return status.SignedIndex{}, fmt.Errorf("%w: %w", status.ErrRetrieval, err)
	}
	return status.ReadIndex(text, status.Options{URI: l.Address, Trust: trust})
}

// Look says what a list says of one place: a token list, or a bitstring, which knows of its purpose
// only. signer is who has said that this is the place, and must be the organisation that signed the
// list; nil when that is known otherwise. Errors are those of package status.
func Look(text []byte, index int, o status.Options, signer *x509.Certificate) (issuance.ListedStatus, error) {
	l, err := status.ReadToken(text, o)
	if errors.Is(err, status.ErrMalformed) {
		if bits, other := status.ReadBitstring(text, status.Options{Trust: o.Trust, At: o.At}); other == nil {
			l, err = bits, nil
		}
	}
	if err != nil {
		return issuance.ListedStatus{}, err
	}
	value, err := l.At(index)
	if err != nil {
		return issuance.ListedStatus{}, err
	}
	if value != status.Valid && len(l.Purposes) > 0 {
		value = status.Invalid
		if slices.Equal(l.Purposes, []string{status.PurposeSuspension}) {
			value = status.Suspended
		}
	}
	if signer != nil && !samePerson(signer, l.Chain[0]) {
		return issuance.ListedStatus{}, fmt.Errorf("%w: the index is signed by another organisation than the list", status.ErrVerification)
	}
	return issuance.ListedStatus{Value: value, URI: l.URI, Index: index, SignedAt: l.Issued, ValidUntil: l.Expires, Signer: l.Chain[0]}, nil
}

func samePerson(a, b *x509.Certificate) bool {
	one, other := hsm.InspectSeal(a), hsm.InspectSeal(b)
	return one.OrganisationIdentifier == other.OrganisationIdentifier && one.Country == other.Country
}

// Findings are what Check has found.
type Findings struct {
	Manifest Manifest
	Files    int
	Lists    int
	Entries  int      // credentials in the indexes
	Problems []string // what is wrong, in sentences; none: the kit is whole
}

// Check looks at a whole kit: that every file is there and as SHA256SUMS says, and no other; that
// all lists and indexes are signed by keys of their organisation, and say the same in both
// encodings. trust vouches for the signers; with nil nobody is asked for. The error is ErrNoKit.
func Check(dir string, trust *x509.CertPool) (Findings, error) {
	k, err := Open(dir)
	if err != nil {
		return Findings{}, err
	}
	c := checking{Kit: k, trust: trust, found: Findings{Manifest: k.Manifest}}
	c.sums()
	for _, o := range k.Manifest.Organisations {
		keys := c.certificates(o)
		for _, l := range o.Lists {
			c.found.Lists++
			if err := c.list(l, keys); err != nil {
				c.bad("status list %s: %v", l.ID, err)
			}
		}
	}
	return c.found, nil
}

type checking struct {
	*Kit

	trust *x509.CertPool
	found Findings
}

func (c *checking) bad(words string, args ...any) {
	c.found.Problems = append(c.found.Problems, fmt.Sprintf(words, args...))
}

// sums compares the files with SHA256SUMS, which must name each and itself not.
func (c *checking) sums() {
	text, err := c.read(sumsName, maxManifest)
	if err != nil {
		c.bad("%s cannot be read: %v", sumsName, err)
		return
	}
	want := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || want[name] != "" {
			c.bad("%s has a line that cannot be read, or a file twice", sumsName)
			return
		}
		want[name] = sum
	}
	err = fs.WalkDir(c.files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		c.found.Files++
		if name == sumsName {
			return nil
		}
		sum, known := want[name]
		delete(want, name)
		content, err := fs.ReadFile(c.files, name)
		switch {
		case err != nil:
			c.bad("%s cannot be read: %v", name, err)
		case !known:
			c.bad("%s does not belong to the kit", name)
		case fmt.Sprintf("%x", sha256.Sum256(content)) != sum:
			c.bad("%s was changed", name)
		}
		return nil
	})
	if err != nil {
		c.bad("the folder cannot be read: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		c.bad("%s is missing", name)
	}
}

// certificates reads those of an organisation, by fingerprint.
func (c *checking) certificates(o Organisation) map[string]bool {
	keys := map[string]bool{}
	for _, entry := range o.Certificates {
		text, err := c.read(entry.File, maxManifest)
		if err != nil {
			c.bad("certificate %s: %v", entry.SHA256, err)
			continue
		}
		var chain []*x509.Certificate
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			one, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				c.bad("%s cannot be read: %v", entry.File, err)
				break
			}
			if len(chain) > 0 && !bytes.Equal(chain[len(chain)-1].RawIssuer, one.RawSubject) {
				c.bad("%s is no chain", entry.File)
			}
			chain = append(chain, one)
		}
		if len(chain) == 0 || describe(chain[0]) != entry || path.Base(entry.File) != entry.SHA256+".pem" {
			c.bad("%s is not the certificate that %s names", entry.File, manifestName)
			continue
		}
		keys[entry.SHA256] = true
	}
	return keys
}

// list checks one list in all its forms.
func (c *checking) list(l List, keys map[string]bool) error {
	o := status.Options{URI: l.Address, Trust: c.trust}
	token, err := c.signed(l.Token, keys, func(text []byte) (status.List, error) { return status.ReadToken(text, o) })
	if err != nil {
		return err
	}
	if !token.Issued.Equal(l.SignedAt) || !token.Expires.Equal(l.ValidUntil) {
		return fmt.Errorf("%w: %s names other times than the list", ErrChanged, manifestName)
	}
	for file, purpose := range map[string]string{l.Revocation: status.PurposeRevocation, l.Suspension: status.PurposeSuspension} {
		bits, err := c.signed(file, keys, func(text []byte) (status.List, error) {
			o := status.Options{URI: strings.TrimSuffix(l.Address, path.Base(l.Address)) + purpose, Purpose: purpose, Trust: c.trust}
			return status.ReadBitstring(text, o)
		})
		if err != nil {
			return err
		}
		// Lists that were signed at different times may differ by what happened in between.
		if err := agree(token, bits, purpose); err != nil && token.Issued.Equal(bits.Issued) {
			return err
		}
	}
	if l.Index == "" {
		return nil
	}
	return c.shards(l, token, keys)
}

// signed reads one signed file, whose signer must be among the keys.
func (c *checking) signed(name string, keys map[string]bool, read func([]byte) (status.List, error)) (status.List, error) {
	text, err := c.read(name, status.MaxText)
	if err != nil {
		return status.List{}, fmt.Errorf("%w: %w", status.ErrRetrieval, err)
	}
	l, err := read(text)
	if err != nil {
		return l, fmt.Errorf("%s: %w", name, err)
	}
	if len(l.Chain) == 0 || !keys[fingerprint(l.Chain[0])] {
		return l, fmt.Errorf("%w: %s is signed by a key that the kit does not name", status.ErrVerification, name)
	}
	return l, nil
}

func agree(token, bits status.List, purpose string) error {
	want := status.Invalid
	if purpose == status.PurposeSuspension {
		want = status.Suspended
	}
	if token.Len() != bits.Len() {
		return fmt.Errorf("%w: its encodings have %d and %d entries", ErrChanged, token.Len(), bits.Len())
	}
	for i := range token.Len() {
		value, err := token.At(i)
		if err != nil {
			return err
		}
		bit, err := bits.At(i)
		if err != nil {
			return err
		}
		if (bit != 0) != (value == want) {
			return fmt.Errorf("%w: its encodings differ at index %d", ErrChanged, i)
		}
	}
	return nil
}

// shards checks the whole index of a list: every place is in the list, and nobody has the place of
// somebody else.
func (c *checking) shards(l List, token status.List, keys map[string]bool) error {
	x, err := c.index(l, c.trust)
	if err != nil {
		return err
	}
	if !keys[fingerprint(x.Chain[0])] || !x.Until.Equal(l.Covers) || x.Entries != l.Credential {
		return fmt.Errorf("%w: its index is signed by a key that the kit does not name, or is another one than %s says", status.ErrVerification, manifestName)
	}
	places, entries := map[int]bool{}, 0
	for _, name := range x.Names() {
		text, err := c.read(shardFile(l.Shards, name), status.MaxText)
		if err != nil {
			return fmt.Errorf("%w: %w", status.ErrRetrieval, err)
		}
		if err := x.Check(name, text); err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			var hash string
			var index int
			if n, err := fmt.Sscanf(line, "%64s %d\n", &hash, &index); err != nil || n != 2 || !strings.HasPrefix(hash, name) {
				return fmt.Errorf("%w: shard %q of its index has a line that cannot be read", status.ErrMalformed, name)
			}
			if _, err := token.At(index); err != nil {
				return err
			}
			if places[index] {
				return fmt.Errorf("%w: two credentials have the index %d", ErrChanged, index)
			}
			places[index] = true
			entries++
		}
	}
	if entries != x.Entries {
		return fmt.Errorf("%w: its index has %d entries, not %d", ErrChanged, entries, x.Entries)
	}
	c.found.Entries += entries
	return nil
}
