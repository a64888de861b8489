package status

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// Value is how one entry stands (Token Status List, 7.1).
type Value byte

// The values that are written. Lists of others may hold any from 0 to 255.
const (
	Valid     Value = 0
	Invalid   Value = 1 // for good
	Suspended Value = 2 // may become valid again
)

// MinEntries is how many entries a list has at least, so that one fetched does not tell which
// credential is looked at (Bitstring Status List, 2.2: 16 KiB of bits).
const MinEntries = 131072

// maxArray is how many bytes of a list of somebody else are unpacked: 128 million entries of
// one bit. A few kilobytes of GZIP can unpack to gigabytes.
const maxArray = 16 << 20

// Array is the standing of all entries of a list; entries that were not set are Valid.
type Array struct {
	entries int
	packed  []byte // two bits per entry, the lowest index at the least significant bits
}

// NewArray returns an array of that many entries, at least MinEntries and a multiple of 8; other
// lengths are made longer.
func NewArray(entries int) *Array {
	entries = (max(entries, MinEntries) + 7) / 8 * 8
	return &Array{entries: entries, packed: make([]byte, entries/4)}
}

// Len returns how many entries there are.
func (a *Array) Len() int { return a.entries }

// Set sets an entry, or returns ErrRange. Values above 3 do not fit and are ErrMalformed.
func (a *Array) Set(index int, v Value) error {
	if index < 0 || index >= a.entries {
		return fmt.Errorf("%w: %d of %d", ErrRange, index, a.entries)
	}
	if v > 3 {
		return fmt.Errorf("%w: the value %d has more than two bits", ErrMalformed, v)
	}
	shift := uint(index%4) * 2
	a.packed[index/4] = a.packed[index/4]&^(3<<shift) | byte(v)<<shift
	return nil
}

// bits is the array as one bit per entry, set where the value is v, the lowest index at the
// most significant bit.
func (a *Array) bits(v Value) []byte {
	out := make([]byte, a.entries/8)
	for i, four := range a.packed {
		if four == 0 {
			continue
		}
		for j := range 4 {
			if Value(four>>(2*j)&3) == v {
				at := 4*i + j
				out[at/8] |= 0x80 >> (at % 8)
			}
		}
	}
	return out
}

// bitstring is the member encodedList of Bitstring Status List, 3.3: "u" for base64url, without
// padding, of GZIP.
func (a *Array) bitstring(v Value) (string, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return "", fmt.Errorf("pack a status list: %w", err)
	}
	return pack("u", &out, w, a.bits(v))
}

// list is the member lst of Token Status List, 4.1 and 4.2: base64url of ZLIB.
func (a *Array) list() (string, error) {
	var out bytes.Buffer
	w, err := zlib.NewWriterLevel(&out, zlib.BestCompression)
	if err != nil {
		return "", fmt.Errorf("pack a status list: %w", err)
	}
	return pack("", &out, w, a.packed)
}

func pack(prefix string, out *bytes.Buffer, w io.WriteCloser, array []byte) (string, error) {
	if _, err := w.Write(array); err != nil {
		return "", fmt.Errorf("pack a status list: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("pack a status list: %w", err)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(out.Bytes()), nil
}

// entries are the unpacked values of a list that was read.
type entries struct {
	data []byte
	bits int  // per entry: 1, 2, 4 or 8
	msb  bool // the lowest index is at the most significant bit
}

func (e entries) len() int {
	if e.bits == 0 {
		return 0
	}
	return len(e.data) * 8 / e.bits
}

func (e entries) at(index int) (Value, error) {
	if index < 0 || index >= e.len() {
		return 0, fmt.Errorf("%w: %d of %d", ErrRange, index, e.len())
	}
	position := index * e.bits
	shift := position % 8
	if e.msb {
		shift = 8 - e.bits - shift
	}
	return Value(e.data[position/8] >> shift & byte(1<<e.bits-1)), nil
}

// unpackBitstring reads encodedList.
func unpackBitstring(encoded string) (entries, error) {
	text, found := strings.CutPrefix(encoded, "u")
	if !found {
		return entries{}, fmt.Errorf("%w: encodedList does not begin with u, for base64url", ErrMalformed)
	}
	data, err := unpack(text, func(r *bytes.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) })
	if err != nil {
		return entries{}, err
	}
	if len(data)*8 < MinEntries {
		return entries{}, fmt.Errorf("%w: it has %d entries", ErrLength, len(data)*8)
	}
	return entries{data: data, bits: 1, msb: true}, nil
}

// unpackList reads lst.
func unpackList(bits int, lst string) (entries, error) {
	if bits != 1 && bits != 2 && bits != 4 && bits != 8 {
		return entries{}, fmt.Errorf("%w: bits is %d, and may be 1, 2, 4 or 8", ErrMalformed, bits)
	}
	data, err := unpack(lst, func(r *bytes.Reader) (io.ReadCloser, error) { return zlib.NewReader(r) })
	return entries{data: data, bits: bits}, err
}

func unpack(text string, open func(*bytes.Reader) (io.ReadCloser, error)) ([]byte, error) {
	packed, ok := decodeURL(text)
	if !ok {
		return nil, fmt.Errorf("%w: the entries are not base64url without padding", ErrMalformed)
	}
	from := bytes.NewReader(packed)
	r, err := open(from)
	if err != nil {
		return nil, fmt.Errorf("%w: the entries cannot be unpacked: %w", ErrMalformed, err)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxArray+1))
	if err != nil {
		return nil, fmt.Errorf("%w: the entries cannot be unpacked: %w", ErrMalformed, err)
	}
	if len(data) > maxArray {
		return nil, fmt.Errorf("%w: unpacked it has more than %d bytes", ErrMalformed, maxArray)
	}
	if err := r.Close(); err != nil || from.Len() > 0 {
		return nil, fmt.Errorf("%w: something follows the entries", ErrMalformed)
	}
	return data, nil
}

// decodeURL is strict: neither line breaks nor bits that mean nothing.
func decodeURL(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	out, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return out, err == nil
}
