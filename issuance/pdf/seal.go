package pdf

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

// ErrKey is returned by Seal when certificate, key and algorithm do not fit each other, or
// when the certificate is not valid at the time of sealing. No signature was asked for.
var ErrKey = errors.New("key cannot seal a PDF")

// ErrBadSignature is returned by Seal when what the signer gave does not fit the certificate,
// and by Check for a file whose seal does not fit its bytes.
var ErrBadSignature = errors.New("the seal of the PDF does not fit")

// ErrStamp is returned by Seal when no time-stamp could be had, or one over something else.
// The signature is thrown away with the file; try again when the service answers.
var ErrStamp = errors.New("the PDF got no time-stamp")

// ErrSealed is returned by Seal for a PDF that has a seal already.
var ErrSealed = errors.New("the PDF has a seal already")

// Signer makes signatures. Sign hashes the parts of input, one after the other, as the algorithm
// of the key wants it and returns the signature in JWS form (PKCS #1 or PSS octets; r||s for
// ECDSA). hsm.Token is one.
type Signer interface {
	Sign(ctx context.Context, keyID string, input ...[]byte) ([]byte, error)
}

// Stamp returns an RFC 3161 time-stamp token (DER) over the parts of data, one after the
// other. Who gives it has checked the answer of the authority: policy, nonce, certificate.
type Stamp func(ctx context.Context, data ...[]byte) ([]byte, error)

// The levels of EN 319 142-1, 6, that Seal makes.
const (
	LevelB = "B-B"
	LevelT = "B-T"
)

// Options say how a PDF is sealed.
type Options struct {
	// At is the claimed time, kept in whole seconds; the certificate must be valid then.
	At time.Time
	// Stamp makes the seal one of level T; nil leaves it at level B.
	Stamp Stamp
}

// Room in the signature dictionary, in bytes: for what CMS adds to the certificates (attributes,
// names, a signature of up to 8192 bits), and for a time-stamp token with its certificates.
const (
	cmsRoom   = 4 << 10
	stampRoom = 24 << 10
)

// maxChain bounds the certificates that go into a file.
const maxChain = 10

// Seal puts a PAdES baseline seal (ETSI EN 319 142-1 v1.2.1, 6.3) on what Certificate made:
// one incremental update with an invisible field "Seal" and a CMS signature over the whole
// file. s is asked for one signature. Before it returns, the finished file is read again and
// checked as Check does. Errors: ErrUnreadable, ErrSealed, ErrKey, ErrBadSignature, ErrStamp,
// or what s returned.
func Seal(ctx context.Context, s Signer, key hsm.Key, file []byte, o Options) ([]byte, error) {
	d, err := open(file)
	if err != nil {
		return nil, err
	}
	alg, err := checkKey(key, o.At)
	if err != nil {
		return nil, err
	}
	room := cmsRoom
	for _, c := range key.Chain {
		room += len(c.Raw)
	}
	if o.Stamp != nil {
		room += stampRoom
	}
	out, hole, err := prepare(d, key.Chain[0], o.At, room)
	if err != nil {
		return nil, err
	}
	e := envelope{alg: alg, chain: key.Chain}
	cms, err := e.sign(ctx, s, key, alg.sum(out[:hole.from], out[hole.to:]), o.Stamp)
	if err != nil {
		return nil, err
	}
	if len(cms) > room {
		return nil, fmt.Errorf("%w: the signature has %d bytes, there is room for %d", ErrStamp, len(cms), room)
	}
	hex.Encode(out[hole.from+1:], cms)
	got, err := Check(out)
	if err != nil {
		return nil, err
	}
	if !got.Chain[0].Equal(key.Chain[0]) || (got.Level == LevelT) != (o.Stamp != nil) {
		return nil, fmt.Errorf("%w: it does not come back unchanged", ErrBadSignature)
	}
	return out, nil
}

func checkKey(key hsm.Key, at time.Time) (algorithm, error) {
	alg, ok := algorithmNamed(key.Alg)
	if !ok {
		return alg, fmt.Errorf("%w: algorithm %.20q", ErrKey, key.Alg)
	}
	if len(key.Chain) == 0 || len(key.Chain) > maxChain {
		return alg, fmt.Errorf("%w: %d certificates given", ErrKey, len(key.Chain))
	}
	leaf := key.Chain[0]
	if at.Before(leaf.NotBefore) || at.After(leaf.NotAfter) {
		return alg, fmt.Errorf("%w: certificate is valid from %s to %s only", ErrKey,
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return alg, alg.fits(leaf)
}

// span is a part of a file, from the first byte to the one behind the last.
type span struct{ from, to int }

// prepare writes everything but the signature itself and returns where that goes, angle
// brackets included.
func prepare(d document, leaf *x509.Certificate, at time.Time, room int) ([]byte, span, error) {
	catalog, err := d.object(d.root)
	if err != nil {
		return nil, span{}, err
	}
	if strings.Contains(catalog, "/AcroForm") {
		return nil, span{}, ErrSealed
	}
	pageN, page, err := d.firstPage()
	if err != nil {
		return nil, span{}, err
	}
	u := newUpdate(d)
	field, signature := u.reserve(), u.reserve()
	u.put(d.root, with(catalog, fmt.Sprintf("/AcroForm << /Fields [%d 0 R] /SigFlags 3 >>", field)))
	u.put(pageN, annotated(page, field))
	u.put(field, fmt.Sprintf("<< /Type /Annot /Subtype /Widget /FT /Sig /T (Seal) /TU %s /V %d 0 R /P %d 0 R /F 132 /Rect [0 0 0 0] >>",
		text("Electronic seal"), signature, pageN))
	const ranges = "/ByteRange [0 %10d %10d %10d]"
	head := fmt.Sprintf("<< /Type /Sig /Filter /Adobe.PPKLite /SubFilter /ETSI.CAdES.detached /M (D:%s+00'00') /Name %s ",
		at.UTC().Format("20060102150405"), text(leaf.Subject.CommonName))
	blank := fmt.Sprintf(ranges, 0, 0, 0)
	u.put(signature, head+blank+" /Contents <"+strings.Repeat("0", 2*room)+"> >>")
	begin := u.offsets[signature] + len(fmt.Sprintf("%d 0 obj\n", signature)) + len(head)
	hole := span{from: begin + len(blank) + len(" /Contents ")}
	hole.to = hole.from + 2*room + 2
	out := u.close()
	copy(out[begin:], fmt.Sprintf(ranges, hole.from, hole.to, len(out)-hole.to))
	if out[hole.from] != '<' || out[hole.to-1] != '>' || !bytes.HasPrefix(out[begin:], []byte("/ByteRange [0 ")) {
		return nil, span{}, fmt.Errorf("%w: the place of the signature was not found again", ErrUnreadable)
	}
	return out, hole, nil
}

// annotated returns a page with one annotation more.
func annotated(page string, n int) string {
	if before, after, found := strings.Cut(page, "/Annots ["); found {
		return fmt.Sprintf("%s/Annots [%d 0 R %s", before, n, after)
	}
	return with(page, fmt.Sprintf("/Annots [%d 0 R]", n))
}
