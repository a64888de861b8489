package strip

import (
	"encoding/binary"
	"math/bits"
)

// token is a few letters, written as they are, and behind them a match: its length, none for no
// match, and at which of the distances.
type token struct{ letters, length, which int }

// enough is a length from which no longer one is looked for.
const enough = 96

// worth is the length from which a match is shorter than its letters, as it takes some twenty
// bits; worthMask are so many bytes.
const (
	worth     = 5
	worthMask = 1<<(8*worth) - 1
)

// tokens appends what the bytes of raw from one place up to another are written as: the longest
// match with what stands at one of the distances, wherever there is one.
func tokens(out []token, raw []byte, from, to int, distances []int) []token {
	start := from // of the letters before the next match
	for at := from; at+worth <= to && at+8 <= len(raw); {
		best, which, letters := 0, 0, worth
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
		if best == 0 {
			at += letters
			continue
		}
		out = appendMatch(out, token{at - start, best, which})
		at += best
		start = at
	}
	return append(out, token{letters: to - start})
}

// besides is tokens of the bytes of raw from one place to its end, matched only with what is
// constant: runs says of each byte how many from it on are.
func besides(raw []byte, from int, runs []int, distances []int) []token {
	var out []token
	start := from
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
			at++
			continue
		}
		out = appendMatch(out, token{at - start, best, which})
		at += best
		start = at
	}
	return append(out, token{letters: len(raw) - start})
}

// appendMatch appends a token with a match of any length, in parts that deflate can write.
func appendMatch(out []token, t token) []token {
	for left := t.length; left > 0; left -= t.length {
		t.length = min(left, longest)
		if rest := left - t.length; rest > 0 && rest < shortest {
			t.length -= shortest
		}
		out = append(out, t)
		t.letters = 0
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
