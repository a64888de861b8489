package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/status"
)

// errNoHistory is for whoever wants to know how a list was (Token Status List, 8.4; Bitstring
// Status List, 3.2): what is not kept cannot be told.
var errNoHistory = errors.New("status lists of earlier times are not kept")

// statusList hands out a signed status list to programs, from anywhere and without a word in the
// log of whose: a list tells of thousands, so asking for it tells nothing.
func (s *Web) statusList(w http.ResponseWriter, r *http.Request) error {
	r.Header.Set("Accept", "application/json") // refusals too are for programs
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Robots-Tag", "noindex")
	kind := issuance.StatusKind(mux.Vars(r)["kind"])
	if !slices.Contains(issuance.StatusKinds(), kind) {
		return errNoPage
	}
	if query := r.URL.Query(); query.Has("time") || query.Has("timestamp") {
		return errNoHistory
	}
	signed, err := s.deps.Desk.SignedStatus(r.Context(), mux.Vars(r)["list"], kind)
	if err != nil {
		return err
	}
	age := min(issuance.StatusTTL, signed.ExpiresAt.Sub(s.deps.Now()))
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", max(int(age/time.Second), 0)))
	h.Set("Vary", "Accept-Encoding")
	sum := sha256.Sum256(signed.File)
	h.Set("ETag", `W/"`+hex.EncodeToString(sum[:16])+`"`) // weak: the same text with and without gzip
	h.Set("Content-Type", status.MediaBitstring)
	if kind == issuance.StatusToken {
		h.Set("Content-Type", status.MediaToken)
	}
	text := signed.File
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		if text, err = s.packed.of(sum, text); err != nil {
			return err
		}
		h.Set("Content-Encoding", "gzip")
	}
	http.ServeContent(w, r, "", signed.SignedAt, bytes.NewReader(text))
	return nil
}

// packedLists keeps the lists that were packed last: many ask for few.
type packedLists struct {
	mu    sync.Mutex
	lists map[[sha256.Size]byte][]byte
}

// maxPacked is how many are kept; a list of a million entries has tens of kilobytes.
const maxPacked = 64

// of returns a text packed, by its sum.
func (p *packedLists) of(sum [sha256.Size]byte, text []byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if packed, found := p.lists[sum]; found {
		return packed, nil
	}
	packed, err := zipped(text)
	if err != nil {
		return nil, err
	}
	if len(p.lists) >= maxPacked || p.lists == nil {
		p.lists = map[[sha256.Size]byte][]byte{}
	}
	p.lists[sum] = packed
	return packed, nil
}

// zipped takes back what base64 has added.
func zipped(text []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("pack a status list: %w", err)
	}
	if _, err := z.Write(text); err != nil {
		return nil, fmt.Errorf("pack a status list: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack a status list: %w", err)
	}
	return out.Bytes(), nil
}
