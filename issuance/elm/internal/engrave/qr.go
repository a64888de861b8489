package engrave

import (
	"errors"
	"math/bits"
)

// ErrTooLong is returned for a text that no QR code up to version 11 holds.
var ErrTooLong = errors.New("text is too long for a QR code")

// maxQRSize is the number of modules on a side of version 11.
const maxQRSize = 61

// grid holds modules as bits twice, by row and by column, so that a whole line can be
// masked and judged at once. Bit 0 is the left or upper end.
type grid struct{ rows, cols [maxQRSize]uint64 }

func (g *grid) set(x, y int, on bool) {
	g.rows[y] &^= 1 << x
	g.cols[x] &^= 1 << y
	if on {
		g.rows[y] |= 1 << x
		g.cols[x] |= 1 << y
	}
}

// Code is a QR code with Size modules on a side.
type Code struct {
	Size int

	dark  grid
	fixed grid // modules of a function pattern, which no mask may touch
}

// At reports whether the module in column x and row y is dark.
func (c *Code) At(x, y int) bool { return c.dark.rows[y]>>x&1 == 1 }

// qrBlocks holds, for error correction level M, the code words per block of error correction
// and the number and size of the data blocks (ISO/IEC 18004:2015, table 9).
var qrBlocks = [...]struct{ check, n1, size1, n2, size2 int }{
	{10, 1, 16, 0, 0},
	{16, 1, 28, 0, 0},
	{26, 1, 44, 0, 0},
	{18, 2, 32, 0, 0},
	{24, 2, 43, 0, 0},
	{16, 4, 27, 0, 0},
	{18, 4, 31, 0, 0},
	{22, 2, 38, 2, 39},
	{22, 3, 36, 2, 37},
	{26, 4, 43, 1, 44},
	{30, 1, 50, 4, 51},
}

// qrAlignment holds the rows and columns of the alignment patterns (annex E).
var qrAlignment = [...][]int{
	{},
	{6, 18},
	{6, 22},
	{6, 26},
	{6, 30},
	{6, 34},
	{6, 22, 38},
	{6, 24, 42},
	{6, 26, 46},
	{6, 28, 50},
	{6, 30, 54},
}

// gfExp and gfLog are the powers of 2 in GF(256) modulo x^8+x^4+x^3+x^2+1, and their inverse.
var gfExp, gfLog = gfTables()

func gfTables() (exp [510]byte, log [256]byte) {
	x := 1
	for i := range 255 {
		exp[i], exp[i+255] = byte(x), byte(x)
		log[x] = byte(i)
		x <<= 1
		if x > 255 {
			x ^= 0x11d
		}
	}
	return exp, log
}

// QR encodes text as bytes at error correction level M in the smallest version that holds
// it, with the mask that the standard prefers (ISO/IEC 18004:2015).
func QR(text string) (*Code, error) {
	data, version, err := qrData(text)
	if err != nil {
		return nil, err
	}
	words := qrInterleave(data, version)
	base := newCode(version)
	base.place(words)
	var best Code
	least := 0
	for mask := range 8 {
		c := base.masked(mask)
		if p := c.penalty(); mask == 0 || p < least {
			best, least = c, p
		}
	}
	return &best, nil
}

// qrData makes the data code words: mode, length, bytes, terminator and padding.
func qrData(text string) (data []byte, version int, err error) {
	for version = 1; version <= len(qrBlocks); version++ {
		b := qrBlocks[version-1]
		capacity := b.n1*b.size1 + b.n2*b.size2
		lengthBits := 8
		if version > 9 {
			lengthBits = 16
		}
		if 4+lengthBits+8*len(text) > 8*capacity {
			continue
		}
		var w bitWriter
		w.write(4, 4) // byte mode
		w.write(len(text), lengthBits)
		for i := range len(text) {
			w.write(int(text[i]), 8)
		}
		w.write(0, min(4, 8*capacity-w.n))
		w.write(0, (8-w.n%8)%8)
		for pad := 0xec; len(w.bytes) < capacity; pad ^= 0xec ^ 0x11 {
			w.bytes = append(w.bytes, byte(pad))
		}
		return w.bytes, version, nil
	}
	return nil, 0, ErrTooLong
}

type bitWriter struct {
	bytes []byte
	n     int
}

func (w *bitWriter) write(v, bits int) {
	for i := bits - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.bytes = append(w.bytes, 0)
		}
		w.bytes[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

// qrInterleave splits the data into blocks, appends the error correction of each, and
// interleaves both.
func qrInterleave(data []byte, version int) []byte {
	b := qrBlocks[version-1]
	generator := qrGenerator(b.check)
	var blocks, checks [][]byte
	for i := range b.n1 + b.n2 {
		size := b.size1
		if i >= b.n1 {
			size = b.size2
		}
		blocks = append(blocks, data[:size])
		checks = append(checks, qrRemainder(data[:size], generator))
		data = data[size:]
	}
	var out []byte
	for i := range max(b.size1, b.size2) {
		for _, block := range blocks {
			if i < len(block) {
				out = append(out, block[i])
			}
		}
	}
	for i := range b.check {
		for _, check := range checks {
			out = append(out, check[i])
		}
	}
	return out
}

// qrGenerator returns the logarithms of the generator polynomial of a degree, highest
// coefficient (which is 1) left out.
func qrGenerator(degree int) []byte {
	g := make([]byte, degree)
	g[degree-1] = 1
	root := byte(1)
	for range degree {
		for j := range g {
			g[j] = gfMul(g[j], root)
			if j+1 < degree {
				g[j] ^= g[j+1]
			}
		}
		root = gfMul(root, 2)
	}
	return g
}

func gfMul(a, b byte) byte {
	if a == 0 || b == 0 {
		return 0
	}
	return gfExp[int(gfLog[a])+int(gfLog[b])]
}

func qrRemainder(data, generator []byte) []byte {
	rest := make([]byte, len(generator))
	for _, d := range data {
		factor := d ^ rest[0]
		copy(rest, rest[1:])
		rest[len(rest)-1] = 0
		if factor != 0 {
			for i, g := range generator {
				rest[i] ^= gfMul(g, factor)
			}
		}
	}
	return rest
}

func newCode(version int) *Code {
	size := 17 + 4*version
	c := &Code{Size: size}
	for _, p := range [][2]int{{3, 3}, {size - 4, 3}, {3, size - 4}} {
		c.square(p[0], p[1], 4, func(d int) bool { return d != 2 && d != 4 })
	}
	at := qrAlignment[version-1]
	for i, x := range at {
		for j, y := range at {
			last := len(at) - 1
			if i == 0 && j == 0 || i == 0 && j == last || i == last && j == 0 {
				continue
			}
			c.square(x, y, 2, func(d int) bool { return d != 1 })
		}
	}
	for i := 8; i < size-8; i++ {
		c.set(i, 6, i%2 == 0)
		c.set(6, i, i%2 == 0)
	}
	c.format(0)
	c.version(version)
	return c
}

func (c *Code) set(x, y int, dark bool) {
	c.dark.set(x, y, dark)
	c.fixed.set(x, y, true)
}

// square draws concentric squares round a module; dark tells by the distance.
func (c *Code) square(cx, cy, radius int, dark func(d int) bool) {
	for dy := -radius; dy <= radius; dy++ {
		for dx := -radius; dx <= radius; dx++ {
			if x, y := cx+dx, cy+dy; x >= 0 && y >= 0 && x < c.Size && y < c.Size {
				c.set(x, y, dark(max(dx, -dx, dy, -dy)))
			}
		}
	}
}

// format writes the level (M is 00) and the mask, twice, protected by a BCH code.
func (c *Code) format(mask int) {
	rest := mask
	for range 10 {
		rest = rest<<1 ^ rest>>9*0x537
	}
	bits := (mask<<10 | rest) ^ 0x5412
	bit := func(i int) bool { return bits>>i&1 == 1 }
	for i := range 6 {
		c.set(8, i, bit(i))
	}
	c.set(8, 7, bit(6))
	c.set(8, 8, bit(7))
	c.set(7, 8, bit(8))
	for i := 9; i < 15; i++ {
		c.set(14-i, 8, bit(i))
	}
	for i := range 8 {
		c.set(c.Size-1-i, 8, bit(i))
	}
	for i := 8; i < 15; i++ {
		c.set(8, c.Size-15+i, bit(i))
	}
	c.set(8, c.Size-8, true)
}

// version writes the version of codes from 7 on, twice, protected by a BCH code.
func (c *Code) version(version int) {
	if version < 7 {
		return
	}
	rest := version
	for range 12 {
		rest = rest<<1 ^ rest>>11*0x1f25
	}
	bits := version<<12 | rest
	for i := range 18 {
		dark := bits>>i&1 == 1
		c.set(c.Size-11+i%3, i/3, dark)
		c.set(i/3, c.Size-11+i%3, dark)
	}
}

// place lays the code words out, in columns of two, upwards and downwards in turn.
func (c *Code) place(words []byte) {
	n := 0
	for right := c.Size - 1; right >= 1; right -= 2 {
		if right == 6 {
			right = 5
		}
		for step := range c.Size {
			y := step
			if (right+1)&2 == 0 {
				y = c.Size - 1 - step
			}
			for x := right; x > right-2; x-- {
				if c.fixed.rows[y]>>x&1 == 0 && n < 8*len(words) {
					c.dark.set(x, y, words[n/8]>>(7-n%8)&1 == 1)
					n++
				}
			}
		}
	}
}

// masked returns the code with one of the eight masks.
func (c *Code) masked(mask int) Code {
	out, m := *c, &masks[mask]
	all := uint64(1)<<c.Size - 1
	for i := range c.Size {
		out.dark.rows[i] ^= m.rows[i] & all &^ c.fixed.rows[i]
		out.dark.cols[i] ^= m.cols[i] & all &^ c.fixed.cols[i]
	}
	out.format(mask)
	return out
}

// masks are the eight masks at the largest size.
var masks = maskGrids()

func maskGrids() (out [8]grid) {
	for mask := range out {
		for y := range maxQRSize {
			for x := range maxQRSize {
				out[mask].set(x, y, qrMask(mask, x, y))
			}
		}
	}
	return out
}

func qrMask(mask, x, y int) bool {
	switch mask {
	case 0:
		return (x+y)%2 == 0
	case 1:
		return y%2 == 0
	case 2:
		return x%3 == 0
	case 3:
		return (x+y)%3 == 0
	case 4:
		return (x/3+y/2)%2 == 0
	case 5:
		return x*y%2+x*y%3 == 0
	case 6:
		return (x*y%2+x*y%3)%2 == 0
	default:
		return ((x+y)%2+x*y%3)%2 == 0
	}
}

// penalty is how hard the code would be to read (section 7.8.3).
func (c *Code) penalty() int {
	total, dark := 0, 0
	all := uint64(1)<<c.Size - 1
	for i := range c.Size {
		row := c.dark.rows[i]
		total += linePenalty(row, all) + linePenalty(c.dark.cols[i], all)
		dark += bits.OnesCount64(row)
		if i > 0 { // squares of two by two of one colour
			above := c.dark.rows[i-1]
			alike := ^(row ^ above) & ^(row ^ row>>1) & ^(above ^ above>>1) & (all >> 1)
			total += 3 * bits.OnesCount64(alike)
		}
	}
	percent := 100 * dark / (c.Size * c.Size)
	return total + max(percent-50, 50-percent)/5*10
}

// linePenalty counts runs of one colour in a row or column, 3 for five modules and 1 for
// each more, and 40 for what looks like a finder pattern with light on one side.
func linePenalty(line, all uint64) int {
	alike := ^(line ^ line>>1) & (all >> 1)                    // equal to the next
	five := alike & (alike >> 1) & (alike >> 2) & (alike >> 3) // begins five of a colour
	total := bits.OnesCount64(five) + 2*bits.OnesCount64(five&^(five<<1))
	light := ^line & all
	finder := line & (light >> 1) & (line >> 2) & (line >> 3) & (line >> 4) & (light >> 5) & (line >> 6)
	four := light & (light >> 1) & (light >> 2) & (light >> 3)
	// four light modules follow the pattern of seven, or come before it
	return total + 40*(bits.OnesCount64(finder&(four>>7))+bits.OnesCount64(finder&(four<<4)))
}
