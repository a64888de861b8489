package engrave

import (
	"errors"
	"fmt"
	"image/color"
	"slices"
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"
)

// independent draws the same text with another QR encoder and reads the mask it chose from
// its format bits.
func independent(t *testing.T, text string) (modules []bool, size, mask int) {
	t.Helper()
	b, err := qr.Encode(text, qr.M, qr.Unicode)
	if err != nil {
		t.Fatal(err)
	}
	size = b.Bounds().Dx()
	for y := range size {
		for x := range size {
			modules = append(modules, b.At(x, y) == color.Color(color.Black))
		}
	}
	// Bits 12 to 10 of the format stand at (2,8), (3,8), (4,8) (ISO/IEC 18004:2015, figure 25).
	for i, x := range []int{2, 3, 4} {
		if modules[8*size+x] {
			mask |= 4 >> i
		}
	}
	return modules, size, mask ^ 0x5412>>10&7
}

func modulesOf(c *Code) (out []bool) {
	for y := range c.Size {
		for x := range c.Size {
			out = append(out, c.At(x, y))
		}
	}
	return out
}

// TestQRAgreesWithAnotherEncoder compares all modules, at the mask the other encoder chose:
// data, error correction, layout, format and version information.
func TestQRAgreesWithAnotherEncoder(t *testing.T) {
	t.Parallel()
	sizes := map[int]bool{}
	for n := 3; n <= 251; n += 4 {
		text := "https://seal.example/c/" + strings.Repeat("aZ9-", 60)
		text = text[:n]
		want, size, mask := independent(t, text)
		data, version, err := qrData(text)
		if err != nil {
			t.Fatal(err)
		}
		base := newCode(version)
		base.place(qrInterleave(data, version))
		got := base.masked(mask)
		if got.Size != size || !slices.Equal(modulesOf(&got), want) {
			t.Fatalf("%d bytes, version %d, mask %d: modules differ (size %d, want %d)", n, version, mask, got.Size, size)
		}
		sizes[size] = true
	}
	if len(sizes) != 11 {
		t.Errorf("%d versions were compared, want all 11", len(sizes))
	}
}

func TestQRChoosesTheLeastPenalty(t *testing.T) {
	t.Parallel()
	agreed := 0
	const n = 20
	for i := range n {
		text := fmt.Sprintf("https://seal.polder-university.example/c/7KQ4M2XD%d", i*7919)
		want, _, _ := independent(t, text)
		got, err := QR(text)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(modulesOf(got), want) {
			agreed++
		}
	}
	// Encoders read the rule about finder-like patterns differently, so masks may differ now and then.
	t.Logf("%d of %d masks agree", agreed, n)
	if agreed < n/4 {
		t.Errorf("only %d of %d masks agree with another encoder", agreed, n)
	}
}

func TestQRRefusesWhatIsTooLong(t *testing.T) {
	t.Parallel()
	if _, err := QR(strings.Repeat("a", 252)); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v, want ErrTooLong", err)
	}
	if c, err := QR(strings.Repeat("a", 251)); err != nil || c.Size != 61 {
		t.Errorf("251 bytes: %v, %v, want version 11", c, err)
	}
}

func BenchmarkQR(b *testing.B) {
	for b.Loop() {
		if _, err := QR("https://seal.polder-university.example/c/7KQ4M2XD91TB"); err != nil {
			b.Fatal(err)
		}
	}
}
