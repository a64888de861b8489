package status

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// Places collects which credential has which place in a list, in 36 bytes each: lists have a
// million. The zero value is empty.
type Places struct{ rows []place }

type place struct {
	hash  [sha256.Size]byte
	index uint32
}

// Add notes the place of a credential, by the id as it stands in it.
func (p *Places) Add(id string, index int) {
	p.rows = append(p.rows, place{sha256.Sum256([]byte(id)), uint32(index)}) //nolint:gosec // lists have 2^27 entries at most
}

// Len returns how many there are.
func (p *Places) Len() int { return len(p.rows) }

// Index says which credential has which place in one list, by the SHA-256 of the credential's id.
// Who has the credential finds its place; nobody else learns anything, for an id has 122 random
// bits and stands nowhere else. The table is cut into shards by the first digits of the hash, so
// that a reader fetches little and tells little.
//
// A shard is text: lines of the hash in lower-case hexadecimal, a blank, the index in decimal and a
// line feed, in the order of the hashes. A signed index holds the hash of each shard.
type Index struct {
	Digits  int // of the hash that name a shard: 0, 1 or 2
	Entries int
	shards  map[string][]byte
}

// Lines of a shard that a reader is to fetch at most, by average.
const shardLines = 4096

// Hash returns how a credential is named in an index: the SHA-256 of its id in hexadecimal.
func Hash(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// NewIndex makes the index of a list. Equal places give equal bytes, in whatever order they were
// added; p is sorted by it.
func NewIndex(p *Places) *Index {
	slices.SortFunc(p.rows, func(a, b place) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	x := &Index{Entries: len(p.rows), shards: map[string][]byte{}}
	for x.Digits < 2 && len(p.rows) > shardLines<<(4*x.Digits) {
		x.Digits++
	}
	var hash [2 * sha256.Size]byte
	var shard []byte
	name := ""
	for i, row := range p.rows {
		hex.Encode(hash[:], row.hash[:])
		if next := string(hash[:x.Digits]); i == 0 || next != name {
			if i > 0 {
				x.shards[name] = slices.Clip(shard)
			}
			name, shard = next, nil
		}
		shard = append(append(shard, hash[:]...), ' ')
		shard = append(strconv.AppendUint(shard, uint64(row.index), 10), '\n')
	}
	if len(p.rows) > 0 {
		x.shards[name] = shard
	}
	return x
}

// Shards returns the text of each shard that is not empty, by the digits that name it.
func (x *Index) Shards() map[string][]byte { return x.shards }

func (x *Index) sums() map[string]string {
	sums := make(map[string]string, len(x.shards))
	for name, text := range x.shards {
		sum := sha256.Sum256(text)
		sums[name] = hex.EncodeToString(sum[:])
	}
	return sums
}

// Digest stands for everything in the index: equal digests, equal indexes.
func (x *Index) Digest() string {
	text, err := json.Marshal(x.sums())
	if err != nil {
		panic(err) // a map of strings
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s", x.Digits, x.Entries, text))
	return hex.EncodeToString(sum[:])
}

type indexClaims struct {
	Sub     string            `json:"sub"` // address of the token list
	Iat     int64             `json:"iat"`
	Until   int64             `json:"until"` // places given later than this are not in it
	Entries int               `json:"entries"`
	Digits  int               `json:"digits"`
	Shards  map[string]string `json:"shards"` // SHA-256 of each
}

// SignIndex signs the index of the list at uri: it holds all places that were given until then.
// Errors are those of SignBitstring.
func SignIndex(ctx context.Context, s jades.Signer, t Terms, uri string, until time.Time, x *Index) ([]byte, error) {
	return sign(ctx, s, t.Key, header{Typ: TypeIndex}, indexClaims{
		Sub: uri, Iat: t.At.Unix(), Until: until.Unix(), Entries: x.Entries, Digits: x.Digits, Shards: x.sums(),
	})
}

// SignedIndex is an index that was read, without its shards.
type SignedIndex struct {
	URI     string              // of the token list
	Issued  time.Time           // UTC
	Until   time.Time           // places given later are not in it
	Chain   []*x509.Certificate // of who signed
	Entries int
	Digits  int
	sums    map[string]string
}

// ReadIndex reads a signed index. Errors: ErrMalformed, ErrVerification.
func ReadIndex(text []byte, o Options) (SignedIndex, error) {
	s, err := open(text, TypeIndex, o)
	if err != nil {
		return SignedIndex{}, err
	}
	claims, err := readObject(s.claims)
	if err != nil {
		return SignedIndex{}, err
	}
	x := SignedIndex{URI: claims.text("sub"), Chain: s.chain}
	if x.Issued, err = claims.seconds("iat"); err != nil {
		return SignedIndex{}, err
	}
	if x.Until, err = claims.seconds("until"); err != nil {
		return SignedIndex{}, err
	}
	digits, err := claims.number("digits", 2)
	if err != nil || digits != float64(int(digits)) || json.Unmarshal(claims["shards"], &x.sums) != nil {
		return SignedIndex{}, fmt.Errorf("%w: digits or shards cannot be read", ErrMalformed)
	}
	number, err := claims.number("entries", 1<<40)
	if err != nil {
		return SignedIndex{}, err
	}
	x.Digits, x.Entries = int(digits), int(number)
	return x, List{URI: x.URI, Issued: x.Issued, Chain: x.Chain}.fits(o)
}

// Shard returns the name of the shard in which a credential stands, if any.
func (x SignedIndex) Shard(id string) (name string, found bool) {
	name = Hash(id)[:x.Digits]
	_, found = x.sums[name]
	return name, found
}

// Names returns the names of all shards, sorted.
func (x SignedIndex) Names() []string {
	names := make([]string, 0, len(x.sums))
	for name := range x.sums {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Check says whether a text is the shard of that name, else ErrVerification.
func (x SignedIndex) Check(name string, text []byte) error {
	sum := sha256.Sum256(text)
	if want, found := x.sums[name]; !found || want != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("%w: shard %q of the index was changed", ErrVerification, name)
	}
	return nil
}

// Find returns the place of a credential in the text of its shard, which it checks first.
// Errors: ErrVerification, ErrMalformed.
func (x SignedIndex) Find(id string, text []byte) (index int, found bool, err error) {
	hash := Hash(id)
	if err := x.Check(hash[:x.Digits], text); err != nil {
		return 0, false, err
	}
	for line := range bytes.Lines(text) {
		rest, ours := strings.CutPrefix(string(line), hash+" ")
		if !ours {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSuffix(rest, "\n"))
		if err != nil || n < 0 {
			return 0, false, fmt.Errorf("%w: a line of the index has no number", ErrMalformed)
		}
		return n, true, nil
	}
	return 0, false, nil
}
