package pdf_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/pdf"
)

var everyAlgorithm = []string{"RS256", "PS256", "ES256", "ES384"}

// TestSeal checks each algorithm and level with our own reader.
func TestSeal(t *testing.T) {
	t.Parallel()
	file := plain(t)
	for _, alg := range everyAlgorithm {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := newSealer(t, alg)
			out := s.seal(t, file, nil)
			got, err := pdf.Check(out)
			must(t, err)
			if got.Level != pdf.LevelB || got.Alg != alg || !got.ClaimedAt.Equal(noon) || !got.StampedAt.IsZero() || len(got.Chain) != 2 || !got.Chain[0].Equal(s.key.Chain[0]) {
				t.Errorf("got %+v", got)
			}
			if !bytes.HasPrefix(out, file) {
				t.Error("the seal is no incremental update")
			}
			if s.soft.signed != 1 {
				t.Errorf("%d signatures were asked for", s.soft.signed)
			}
			got, err = pdf.Check(s.seal(t, file, s.stamp(t)))
			must(t, err)
			if got.Level != pdf.LevelT || !got.StampedAt.Equal(noon.Add(time.Minute)) {
				t.Errorf("stamped: %+v", got)
			}
		})
	}
}

// TestNoSigningTime reads the signed attributes as EN 319 142-1, 6.3 counts them.
func TestNoSigningTime(t *testing.T) {
	t.Parallel()
	out := newSealer(t, "ES256").seal(t, plain(t), nil)
	hexdump := regexp.MustCompile(`/Contents <([0-9a-f]+)>`).FindSubmatch(out)
	if hexdump == nil {
		t.Fatal("no contents")
	}
	for name, want := range map[string]struct {
		der  string
		seen bool
	}{
		"contentType": {"06092a864886f70d010903", true}, "messageDigest": {"06092a864886f70d010904", true},
		"signingTime": {"06092a864886f70d010905", false}, "signingCertificateV2": {"060b2a864886f70d010910022f", true},
	} {
		if seen := strings.Contains(string(hexdump[1]), want.der); seen != want.seen {
			t.Errorf("%s there: %t", name, seen)
		}
	}
}

// TestTampered changes every part of a sealed file. What a time-stamp token has beside its
// time is left to validators, so the file has none.
func TestTampered(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	out := s.seal(t, plain(t), nil)
	hole := bytes.LastIndex(out, []byte("/Contents <")) + len("/Contents <")
	for at := 0; at < len(out); at += 997 {
		bad := bytes.Clone(out)
		if at >= hole && bad[at] == '0' && bytes.Equal(bad[at:at+64], bytes.Repeat([]byte("0"), 64)) {
			continue // padding: the next loop is about that
		}
		bad[at] ^= 1
		// CMS does not sign the certificates beside the leaf; a chain is for validators to build.
		got, err := pdf.Check(bad)
		if err == nil && (at < hole || !got.Chain[0].Equal(s.key.Chain[0]) || got.Chain[1].Equal(s.key.Chain[1])) {
			t.Errorf("a change at byte %d of %d was not noticed", at, len(out))
		}
	}
	end := bytes.IndexByte(out[hole:], '>') + hole
	for name, bad := range map[string][]byte{
		"appended":      append(bytes.Clone(out), '\n', '%'),
		"updated":       append(bytes.Clone(out), out[len(plain(t)):]...),
		"cut":           out[:len(out)-1],
		"unsealed":      plain(t),
		"padding":       bytes.Replace(bytes.Clone(out), append(bytes.Repeat([]byte("0"), 64), '>'), append(bytes.Repeat([]byte("1"), 64), '>'), 1),
		"no signature":  slicesFill(out, hole, end, '0'),
		"not hex":       slicesFill(out, hole, end, 'x'),
		"smaller range": bytes.Replace(bytes.Clone(out), []byte("/ByteRange [0"), []byte("/ByteRange [9"), 1),
		"empty":         nil,
	} {
		if got, err := pdf.Check(bad); err == nil {
			t.Errorf("%s: not noticed: %+v", name, got)
		}
	}
}

func slicesFill(b []byte, from, to int, with byte) []byte {
	b = bytes.Clone(b)
	for i := from; i < to; i++ {
		b[i] = with
	}
	return b
}

// TestSealRefuses wants no signature asked for when the key cannot seal.
func TestSealRefuses(t *testing.T) {
	t.Parallel()
	file := plain(t)
	good := newSealer(t, "ES256")
	for name, c := range map[string]struct {
		change func(*hsm.Key)
		at     time.Time
		file   []byte
		want   error
	}{
		"algorithm":    {func(k *hsm.Key) { k.Alg = "HS256" }, noon, file, pdf.ErrKey},
		"other curve":  {func(k *hsm.Key) { k.Alg = "ES384" }, noon, file, pdf.ErrKey},
		"other kind":   {func(k *hsm.Key) { k.Alg = "PS256" }, noon, file, pdf.ErrKey},
		"no chain":     {func(k *hsm.Key) { k.Chain = nil }, noon, file, pdf.ErrKey},
		"long chain":   {func(k *hsm.Key) { k.Chain = make([]*x509.Certificate, 11) }, noon, file, pdf.ErrKey},
		"short key":    {func(k *hsm.Key) { k.Alg, k.Chain[0] = "RS256", good.root.issue(t, rsa1024().Public(), nil) }, noon, file, pdf.ErrKey},
		"expired":      {nil, noon.AddDate(6, 0, 0), file, pdf.ErrKey},
		"not yet":      {nil, noon.AddDate(-2, 0, 0), file, pdf.ErrKey},
		"no PDF":       {nil, noon, []byte("%PDF-1.7\nhello"), pdf.ErrUnreadable},
		"nothing":      {nil, noon, nil, pdf.ErrUnreadable},
		"sealed twice": {nil, noon, good.seal(t, file, nil), pdf.ErrSealed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := hsm.Key{ID: good.key.ID, Alg: good.key.Alg, Chain: append([]*x509.Certificate(nil), good.key.Chain...)}
			if c.change != nil {
				c.change(&key)
			}
			soft := &softKey{key: good.soft.key, alg: good.soft.alg}
			out, err := pdf.Seal(t.Context(), soft, key, c.file, pdf.Options{At: c.at})
			if !errors.Is(err, c.want) || out != nil {
				t.Errorf("%d bytes, error %v, want %v", len(out), err, c.want)
			}
			if soft.signed > 0 {
				t.Error("a signature was asked for")
			}
		})
	}
}

type signFunc func(input []byte) ([]byte, error)

func (f signFunc) Sign(_ context.Context, _ string, input ...[]byte) ([]byte, error) {
	return f(bytes.Join(input, nil))
}

// TestBadSigner wants nothing to leave that does not verify.
func TestBadSigner(t *testing.T) {
	t.Parallel()
	file := plain(t)
	s, other := newSealer(t, "ES256"), newSealer(t, "ES256")
	away := errors.New("away")
	sign := func(k *softKey, input []byte) []byte {
		out, err := (&softKey{key: k.key, alg: k.alg}).Sign(t.Context(), "", input)
		must(t, err)
		return out
	}
	for name, c := range map[string]struct {
		signer signFunc
		want   error
	}{
		"token away":   {func([]byte) ([]byte, error) { return nil, away }, away},
		"another key":  {func(in []byte) ([]byte, error) { return sign(other.soft, in), nil }, pdf.ErrBadSignature},
		"other input":  {func([]byte) ([]byte, error) { return sign(s.soft, []byte("else")), nil }, pdf.ErrBadSignature},
		"DER":          {func([]byte) ([]byte, error) { return make([]byte, 70), nil }, pdf.ErrBadSignature},
		"nothing":      {func([]byte) ([]byte, error) { return nil, nil }, pdf.ErrBadSignature},
		"flipped byte": {func(in []byte) ([]byte, error) { out := sign(s.soft, in); out[5] ^= 1; return out, nil }, pdf.ErrBadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := pdf.Seal(t.Context(), c.signer, s.key, file, pdf.Options{At: noon})
			if !errors.Is(err, c.want) || out != nil {
				t.Errorf("%d bytes, error %v, want %v", len(out), err, c.want)
			}
		})
	}
}

// TestBadStamp wants no level T without a token over this very signature.
func TestBadStamp(t *testing.T) {
	t.Parallel()
	file := plain(t)
	s := newSealer(t, "ES256")
	tsa := s.stamp(t)
	for name, stamp := range map[string]pdf.Stamp{
		"down":      func(context.Context, ...[]byte) ([]byte, error) { return nil, errors.New("no answer") },
		"over else": func(ctx context.Context, _ ...[]byte) ([]byte, error) { return tsa(ctx, []byte("else")) },
		"no token":  func(context.Context, ...[]byte) ([]byte, error) { return []byte("<html>"), nil },
		"empty":     func(context.Context, ...[]byte) ([]byte, error) { return nil, nil },
		"tampered token": func(ctx context.Context, d ...[]byte) ([]byte, error) {
			b, err := tsa(ctx, d...)
			b[90] ^= 1
			return b, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := pdf.Seal(t.Context(), &softKey{key: s.soft.key, alg: "ES256"}, s.key, file, pdf.Options{At: noon, Stamp: stamp})
			if !errors.Is(err, pdf.ErrStamp) || out != nil {
				t.Errorf("%d bytes, error %v", len(out), err)
			}
		})
	}
}

// TestLeafOfAnotherCurve seals with a certificate whose key is on a curve nobody asked for.
func TestLeafOfAnotherCurve(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	key := newEC(t, elliptic.P521())
	s.key.Chain = []*x509.Certificate{s.root.issue(t, key.Public(), nil)}
	if _, err := pdf.Seal(t.Context(), s.soft, s.key, plain(t), pdf.Options{At: noon}); !errors.Is(err, pdf.ErrKey) {
		t.Errorf("error %v", err)
	}
}
