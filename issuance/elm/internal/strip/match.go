package strip

import (
	"encoding/binary"
	"math/bits"
)

// token is a letter, or a match: its length and at which of the distances.
type token uint32

const isMatch token = 1 << 31

func match(length, which int) token { return isMatch | token(which)<<16 | token(length) } //nolint:gosec // both small
func (t token) length() int         { return int(t & 0xffff) }
func (t token) which() int          { return int(t &^ isMatch >> 16) }

// enough is a length from which no longer one is looked for.
const enough = 96

// worth is the length from which a match is shorter than its letters, as it takes some twenty
// bits; worthMask are so many bytes.
const (
	worth     = 5
	worthMask = 1<<(8*worth) - 1
)

// tokens appends what the bytes of raw from one place up to another are written as: each the
// letter, or the longest match with what stands at one of the distances.
func tokens(out []token, raw []byte, from, to int, distances []int) []token {
	for at := from; at < to; {
		best, which, letters := 0, 0, to-at
		if at+worth <= to && at+8 <= len(raw) {
			letters = worth
			now := binary.LittleEndian.Uint64(raw[at:])
			for i, d := range distances {
				if d > at {
					letters = 1
					continue
				}
				if x := (now ^ binary.LittleEndian.Uint64(raw[at-d:])) & worthMask; x != 0 {
					letters = min(letters, (bits.Len64(x)+7)/8) // no match begins before the last byte that differs
					continue
				}
				if n := same(raw[at:to], raw[at-d:]); n > best {
					best, which = n, i
				}
				if best >= enough {
					break
				}
			}
		}
		if best > 0 {
			out = appendMatch(out, best, which)
			at += best
			continue
		}
		for _, c := range raw[at : at+letters] {
			out = append(out, token(c))
		}
		at += letters
	}
	return out
}

// besides is tokens of the bytes of raw from one place to its end, matched only with what is
// constant: runs says of each byte how many from it on are.
func besides(raw []byte, from int, runs []int, distances []int) []token {
	var out []token
	for at := from; at < len(raw); {
		best, which := 0, 0
		for i, d := range distances {
			if d > at {
				continue
			}
			if n := min(same(raw[at:], raw[at-d:]), runs[at-d]); n >= worth && n > best {
				best, which = n, i
			}
		}
		if best == 0 {
			out = append(out, token(raw[at]))
			at++
			continue
		}
		out = appendMatch(out, best, which)
		at += best
	}
	return out
}

// appendMatch appends a match of any length, in parts that deflate can write.
func appendMatch(out []token, length, which int) []token {
	for length > 0 {
		n := min(length, longest)
		if rest := length - n; rest > 0 && rest < shortest {
			n -= shortest
		}
		out = append(out, match(n, which))
		length -= n
	}
	return out
}

// same counts the bytes at the beginning that are the same in both; b is the longer.
func same(a, b []byte) int {
	n := 0
	for len(a)-n >= 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
		n += 8
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}
