package strip

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Symbols of a deflate block (RFC 1951, 3.2.5): letters 0 to 255, the end, and lengths.
const (
	endOfBlock  = 256
	letterCount = 286
	distCount   = 30
	shortest    = 3
	longest     = 258
)

// bitWriter writes the bits of a deflate stream: from the least significant bit on.
type bitWriter struct {
	out  []byte
	acc  uint64
	have uint // bits in acc, less than 32
}

func (w *bitWriter) write(v word) {
	w.acc |= uint64(v.bits) << w.have
	w.have += v.n
	if w.have >= 32 {
		w.out = binary.LittleEndian.AppendUint32(w.out, uint32(w.acc&0xffffffff))
		w.acc >>= 32
		w.have -= 32
	}
}

// letters writes bytes as they are.
func (w *bitWriter) letters(raw []byte, letters *[letterCount]word) {
	const most, atOnce = 15, 3 // three words of 15 bits fit beside those that make no byte
	acc, have, at := w.acc, w.have&63, len(w.out)
	out := slices.Grow(w.out, len(raw)*most/8+16)
	out = out[:cap(out)]
	for {
		binary.LittleEndian.PutUint64(out[at:], acc)
		at += int(have / 8)
		acc >>= have &^ 7
		have &= 7
		if len(raw) == 0 {
			break
		}
		n := min(atOnce, len(raw))
		for _, c := range raw[:n] {
			v := &letters[c]
			acc |= uint64(v.bits) << (have & 63)
			have += v.n
		}
		raw = raw[n:]
	}
	w.out, w.acc, w.have = out[:at], acc, have
}

// tokens writes the bytes of raw as a list of tokens has them; far are the words of the distances.
func (w *bitWriter) tokens(list []token, raw []byte, c *code, far []word) {
	for _, t := range list {
		if t.letters > 0 {
			w.letters(raw[:t.letters], &c.letters)
		}
		if t.length > 0 {
			w.write(c.lengths[t.length])
			w.write(far[t.which])
		}
		raw = raw[t.letters+t.length:]
	}
}

// align fills the last byte with zeros.
func (w *bitWriter) align() {
	for w.have > 0 {
		w.out = append(w.out, byte(w.acc&0xff))
		w.acc >>= 8
		w.have -= min(w.have, 8)
	}
}

// word is one symbol as it is written.
type word struct {
	bits uint32
	n    uint
}

// words returns what was written, in as few words as write takes.
func (w *bitWriter) words() []word {
	var out []word
	for ; len(w.out) >= 4; w.out = w.out[4:] {
		out = append(out, word{binary.LittleEndian.Uint32(w.out), 32})
	}
	for _, b := range w.out {
		out = append(out, word{uint32(b), 8})
	}
	return append(out, word{uint32(w.acc & 0xffffffff), w.have})
}

// code is a pair of Huffman codes, of letters with lengths, and of distances.
type code struct {
	letters [letterCount]word
	dists   [distCount]word
	lengths [longest + 1]word // of a match: symbol and extra bits together
	head    []word            // that begins a block with this code
}

// counts are how often symbols were seen.
type counts struct {
	letters [letterCount]int
	dists   [distCount]int
}

// add counts what the bytes of raw are written as.
func (c *counts) add(list []token, raw []byte, distances []int) {
	for _, t := range list {
		for _, letter := range raw[:t.letters] {
			c.letters[letter]++
		}
		raw = raw[t.letters+t.length:]
		if t.length > 0 {
			symbol, _, _ := lengthSymbol(t.length)
			c.letters[symbol]++
			symbol, _, _ = distSymbol(distances[t.which])
			c.dists[symbol]++
		}
	}
}

// newCode makes the code that is best for what was counted; whatever was not gets a long word.
func newCode(c counts) *code {
	letters, dists := lengthsOf(c.letters[:], 15), lengthsOf(c.dists[:], 15)
	out := &code{}
	copy(out.letters[:], words(letters))
	copy(out.dists[:], words(dists))
	for n := shortest; n <= longest; n++ {
		symbol, extra, width := lengthSymbol(n)
		w := out.letters[symbol]
		out.lengths[n] = word{w.bits | extra<<w.n, w.n + width}
	}
	out.head = blockHead(letters, dists)
	return out
}

// lengthSymbol returns the symbol of a length with its extra bits.
func lengthSymbol(n int) (symbol int, extra uint32, width uint) {
	if n == longest {
		return 285, 0, 0
	}
	v := uint32(n - shortest) //nolint:gosec // 0 to 254
	if v < 8 {
		return 257 + int(v), 0, 0
	}
	width = uint(bits.Len32(v)) - 3
	return 257 + int(4*(width+1)+uint(v>>width)&3), v & (1<<width - 1), width
}

// distSymbol returns the symbol of a distance with its extra bits.
func distSymbol(d int) (symbol int, extra uint32, width uint) {
	v := uint32(d - 1) //nolint:gosec // below 32768
	if v < 4 {
		return int(v), 0, 0
	}
	width = uint(bits.Len32(v)) - 2
	return int(2*(width+1) + uint(v>>width)&1), v & (1<<width - 1), width
}

// node is a part of a Huffman tree: symbols that share the beginning of their words.
type node struct {
	weight  int
	symbols []int
}

// lengthsOf gives each symbol the length of its word, none above most. Weights are made flatter
// until that is so.
func lengthsOf(weights []int, most int) []int {
	weights = slices.Clone(weights)
	for {
		leaves := make([]node, len(weights))
		for i, w := range weights {
			leaves[i] = node{w + 1, []int{i}}
		}
		slices.SortStableFunc(leaves, func(a, b node) int { return a.weight - b.weight })
		lengths := join(leaves)
		if slices.Max(lengths) <= most {
			return lengths
		}
		for i := range weights {
			weights[i] /= 2
		}
	}
}

// join makes a tree of leaves, the lightest first, and returns how deep each symbol lies. What
// was joined grows heavier each time, so it is in order by itself.
func join(leaves []node) []int {
	lengths := make([]int, len(leaves))
	var joined []node
	lightest := func() node {
		from := &joined
		if len(joined) == 0 || len(leaves) > 0 && leaves[0].weight <= joined[0].weight {
			from = &leaves
		}
		n := (*from)[0]
		*from = (*from)[1:]
		return n
	}
	for len(leaves)+len(joined) > 1 {
		a, b := lightest(), lightest()
		both := node{a.weight + b.weight, slices.Concat(a.symbols, b.symbols)}
		for _, s := range both.symbols {
			lengths[s]++
		}
		joined = append(joined, both)
	}
	return lengths
}

// words numbers the words by length and symbol (RFC 1951, 3.2.2), the first bit lowest.
func words(lengths []int) []word {
	out := make([]word, len(lengths))
	next := uint32(0)
	for n := 1; n <= 15; n++ {
		for s, l := range lengths {
			if l == n {
				out[s] = word{bits.Reverse32(next) >> (32 - n), uint(n)}
				next++
			}
		}
		next <<= 1
	}
	return out
}

// blockHead describes a code (RFC 1951, 3.2.7): lengths of the words, themselves in a code.
func blockHead(letters, dists []int) []word {
	const repeat = 16 // the length before it, 3 to 6 times
	type item struct {
		symbol int
		extra  uint32
	}
	var items []item
	used := make([]int, 19)
	add := func(symbol int, extra uint32) {
		items = append(items, item{symbol, extra})
		used[symbol]++
	}
	all := slices.Concat(letters, dists)
	for i := 0; i < len(all); {
		run := 1
		for i+run < len(all) && all[i+run] == all[i] {
			run++
		}
		add(all[i], 0)
		left := run - 1
		for ; left >= 3; left -= min(left, 6) {
			add(repeat, uint32(min(left, 6)-3))
		}
		for ; left > 0; left-- {
			add(all[i], 0)
		}
		i += run
	}
	lengths := lengthsOf(used, 7)
	short := words(lengths)
	out := []word{{0b100, 3}, {letterCount - 257, 5}, {distCount - 1, 5}, {19 - 4, 4}} // not the last block, codes of its own
	for _, s := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15} {
		out = append(out, word{uint32(lengths[s]), 3}) //nolint:gosec // 1 to 7
	}
	for _, it := range items {
		out = append(out, short[it.symbol])
		if it.symbol == repeat {
			out = append(out, word{it.extra, 2})
		}
	}
	return out
}
