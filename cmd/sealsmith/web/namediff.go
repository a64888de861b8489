package web

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// namePart is a piece of a name that two names share, or do not.
type namePart struct {
	Text string
	Same bool
}

// nameDiff marks where two names differ: whole words, and of a word that is nearly the same the
// letters in its middle, where its script can be cut between letters without changing how they
// look. A letter and the marks on it are never cut apart.
func nameDiff(before, after string) (was, is []namePart) {
	a, b := strings.Fields(norm.NFC.String(before)), strings.Fields(norm.NFC.String(after))
	for len(a) > 0 || len(b) > 0 {
		i, k := nextCommon(a, b)
		for j := range max(i, k) {
			var one, other string
			if j < i {
				one = a[j]
			}
			if j < k {
				other = b[j]
			}
			x, y := wordDiff(one, other)
			was, is = addWord(was, x), addWord(is, y)
		}
		a, b = a[i:], b[k:]
		if len(a) > 0 && len(b) > 0 {
			was, is = addWord(was, []namePart{{a[0], true}}), addWord(is, []namePart{{b[0], true}})
			a, b = a[1:], b[1:]
		}
	}
	return was, is
}

// nextCommon returns how many words come before the next one that both have: the pair with the
// fewest words before it.
func nextCommon(a, b []string) (int, int) {
	best, i, k := len(a)+len(b), len(a), len(b)
	for x, word := range a {
		if y := slices.Index(b, word); y >= 0 && x+y < best {
			best, i, k = x+y, x, y
		}
	}
	return i, k
}

// wordDiff marks the middle of two words that begin and end alike for at least half their
// length, and the whole of others.
func wordDiff(a, b string) ([]namePart, []namePart) {
	whole := func(s string) []namePart {
		if s == "" {
			return nil
		}
		return []namePart{{Text: s}}
	}
	if !cuttable(a) || !cuttable(b) {
		return whole(a), whole(b)
	}
	x, y := letters(a), letters(b)
	shorter := min(len(x), len(y))
	head, tail := 0, 0
	for head < shorter && x[head] == y[head] {
		head++
	}
	for tail < shorter-head && x[len(x)-1-tail] == y[len(y)-1-tail] {
		tail++
	}
	if 2*(head+tail) < max(len(x), len(y)) {
		return whole(a), whole(b)
	}
	cut := func(all []string) []namePart {
		var out []namePart
		for _, p := range []namePart{{strings.Join(all[:head], ""), true}, {strings.Join(all[head:len(all)-tail], ""), false}, {strings.Join(all[len(all)-tail:], ""), true}} {
			if p.Text != "" {
				out = append(out, p)
			}
		}
		return out
	}
	return cut(x), cut(y)
}

// cuttable reports whether every letter looks the same beside others and alone. In scripts such
// as Arabic or Devanagari letters join.
func cuttable(s string) bool {
	for _, r := range s {
		if !unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Armenian, unicode.Georgian, unicode.Hebrew,
			unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Common, unicode.Inherited) {
			return false
		}
	}
	return s != ""
}

// letters cuts a text into letters, each with its marks and joiners.
func letters(s string) []string {
	var out []string
	for _, r := range s {
		if len(out) > 0 && (unicode.IsMark(r) || r == '\u200c' || r == '\u200d') {
			out[len(out)-1] += string(r)
			continue
		}
		out = append(out, string(r))
	}
	return out
}

// addWord appends a word and the space before it.
func addWord(to, word []namePart) []namePart {
	if len(word) > 0 && len(to) > 0 {
		to = append(to, namePart{" ", true})
	}
	return append(to, word...)
}
