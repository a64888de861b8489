package pdf

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Sealed is what Check found in a sealed PDF.
type Sealed struct {
	// Level is LevelB or LevelT.
	Level string
	// Alg is the JWS name of the algorithm (RFC 7518, 3.1).
	Alg string
	// Chain is the seal certificate followed by the others in the file.
	Chain []*x509.Certificate
	// ClaimedAt is the time that the file claims, UTC, whole seconds.
	ClaimedAt time.Time
	// StampedAt is the time in the time-stamp token, zero at level B.
	StampedAt time.Time
}

var (
	rangesPattern = regexp.MustCompile(`/ByteRange \[0 +([0-9]{1,10}) +([0-9]{1,10}) +([0-9]{1,10})\]`)
	claimPattern  = regexp.MustCompile(`/SubFilter /ETSI\.CAdES\.detached /M \(D:([0-9]{14})\+00'00'\)`)
)

// Check says whether a PDF of this package is sealed and unchanged: the seal covers the whole
// file, and the signature fits its bytes and the certificate that it names. It trusts nobody
// and judges neither certificate nor time-stamp; that is for validators. Errors:
// ErrUnreadable, ErrBadSignature, ErrKey, ErrStamp.
func Check(file []byte) (Sealed, error) {
	d, err := open(file)
	if err != nil {
		return Sealed{}, err
	}
	covered, cms, claimed, err := d.signature()
	if err != nil {
		return Sealed{}, err
	}
	out, signer, err := readCMS(cms)
	if err != nil {
		return Sealed{}, err
	}
	out.ClaimedAt = claimed
	alg, _ := algorithmNamed(out.Alg)
	if err := alg.fits(out.Chain[0]); err != nil {
		return Sealed{}, err
	}
	if err := checkAttributes(signer, out.Chain[0], alg.sum(file[:covered.from], file[covered.to:])); err != nil {
		return Sealed{}, err
	}
	signed := bytes.Clone(signer.Signed.FullBytes)
	signed[0] = asn1.TagSet | 0x20
	if err := out.Chain[0].CheckSignature(alg.verify, signed, signer.Signature); err != nil {
		return Sealed{}, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	out.Level = LevelB
	if len(signer.Unsigned.FullBytes) > 0 {
		token, err := only(signer.Unsigned, oidTimeStamp)
		if err != nil {
			return Sealed{}, err
		}
		if out.StampedAt, err = stampedAt(token, signer.Signature); err != nil {
			return Sealed{}, err
		}
		out.Level = LevelT
	}
	return out, nil
}

// signature finds the newest signature: the bytes that it leaves out, what stands there, and
// the claimed time.
func (d document) signature() (hole span, cms []byte, claimed time.Time, err error) {
	all := rangesPattern.FindAllSubmatch(d.data, -1)
	if len(all) == 0 {
		return span{}, nil, time.Time{}, fmt.Errorf("%w: it has no seal", ErrBadSignature)
	}
	var n [3]int
	for i := range n {
		if n[i], err = strconv.Atoi(string(all[len(all)-1][i+1])); err != nil {
			return span{}, nil, time.Time{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
	}
	hole = span{n[0], n[1]}
	if hole.from+2 > hole.to || n[1]+n[2] != len(d.data) || hole.to > len(d.data) || d.data[hole.from] != '<' || d.data[hole.to-1] != '>' {
		return span{}, nil, time.Time{}, fmt.Errorf("%w: it does not cover the whole file", ErrBadSignature)
	}
	m := claimPattern.FindAllSubmatch(d.data[:hole.from], -1)
	if len(m) == 0 {
		return span{}, nil, time.Time{}, fmt.Errorf("%w: it claims no time", ErrBadSignature)
	}
	if claimed, err = time.Parse("20060102150405", string(m[len(m)-1][1])); err != nil {
		return span{}, nil, time.Time{}, fmt.Errorf("%w: it claims no time: %w", ErrBadSignature, err)
	}
	cms = make([]byte, (hole.to-hole.from-2)/2)
	if _, err := hex.Decode(cms, d.data[hole.from+1:hole.to-1]); err != nil {
		return span{}, nil, time.Time{}, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	return hole, cms, claimed, nil
}

// readCMS takes the one signer and the certificates out of a CMS signature with padding behind it.
func readCMS(cms []byte) (Sealed, signerInfo, error) {
	var (
		info contentInfo
		data signedData
		out  Sealed
	)
	rest, err := asn1.Unmarshal(cms, &info)
	if err == nil && len(bytes.TrimRight(rest, "\x00")) > 0 {
		err = errors.New("something stands behind it")
	}
	if err == nil && (!info.Type.Equal(oidSignedData) || info.Content.Tag != 0) {
		err = errors.New("it is no signed data")
	}
	if err == nil {
		_, err = asn1.Unmarshal(info.Content.Bytes, &data)
	}
	if err == nil && (len(data.Signers) != 1 || !data.Content.Type.Equal(oidData) || data.Certs.Tag != 0) {
		err = errors.New("it has not one signer and certificates")
	}
	if err != nil {
		return out, signerInfo{}, fmt.Errorf("%w: CMS: %w", ErrBadSignature, err)
	}
	signer := data.Signers[0]
	certs, err := x509.ParseCertificates(data.Certs.Bytes)
	if err != nil {
		return out, signer, fmt.Errorf("%w: certificates: %w", ErrBadSignature, err)
	}
	for _, c := range certs {
		if c.SerialNumber.Cmp(signer.ID.Serial) == 0 && bytes.Equal(c.RawIssuer, signer.ID.Issuer.FullBytes) {
			out.Chain = slices.Insert(out.Chain, 0, c)
		} else {
			out.Chain = append(out.Chain, c)
		}
	}
	for _, a := range algorithms {
		if a.signature.Equal(signer.Algorithm.Algorithm) && a.hashOID.Equal(signer.Digest.Algorithm) {
			out.Alg = a.name
		}
	}
	if out.Alg == "" || len(out.Chain) == 0 {
		return out, signer, fmt.Errorf("%w: algorithm or certificate is not known", ErrBadSignature)
	}
	return out, signer, nil
}

// checkAttributes wants exactly the three signed attributes that Seal writes, over this
// certificate and digest.
func checkAttributes(signer signerInfo, leaf *x509.Certificate, digest []byte) error {
	want, err := envelope{chain: []*x509.Certificate{leaf}}.attributes(digest)
	if err != nil {
		return err
	}
	if !bytes.Equal(implicit(0, want).FullBytes, signer.Signed.FullBytes) {
		return fmt.Errorf("%w: it was made over other bytes", ErrBadSignature)
	}
	return nil
}

// only returns the value of an attribute that stands alone in its set.
func only(set asn1.RawValue, oid asn1.ObjectIdentifier) ([]byte, error) {
	var a attribute
	rest, err := asn1.Unmarshal(set.Bytes, &a)
	if err != nil || len(rest) > 0 || !a.Type.Equal(oid) || len(a.Values) != 1 {
		return nil, fmt.Errorf("%w: unsigned attributes are not one time-stamp", ErrStamp)
	}
	return a.Values[0].FullBytes, nil
}

// stampedAt returns the time in a token (RFC 3161, 2.4.2), which must be over signature. It
// reads no further: whether the token is good is judged by who asked for it and by validators.
func stampedAt(token, signature []byte) (time.Time, error) {
	var (
		info contentInfo
		data struct {
			Version int
			Digests asn1.RawValue
			Content struct {
				Type asn1.ObjectIdentifier
				Info []byte `asn1:"explicit,tag:0"`
			}
		}
		said tstInfo
	)
	_, err := asn1.Unmarshal(token, &info)
	if err == nil {
		_, err = asn1.Unmarshal(info.Content.Bytes, &data)
	}
	if err == nil {
		_, err = asn1.Unmarshal(data.Content.Info, &said)
	}
	if err != nil || !info.Type.Equal(oidSignedData) || !data.Content.Type.Equal(oidTSTInfo) {
		return time.Time{}, fmt.Errorf("%w: this is no time-stamp token", ErrStamp)
	}
	hash, ok := stampHashes[said.Imprint.Algorithm.Algorithm.String()]
	if !ok {
		return time.Time{}, fmt.Errorf("%w: the token's hash %s is not accepted", ErrStamp, said.Imprint.Algorithm.Algorithm)
	}
	h := hash.New()
	h.Write(signature)
	if !bytes.Equal(h.Sum(nil), said.Imprint.Hash) {
		return time.Time{}, fmt.Errorf("%w: the token is over something else", ErrStamp)
	}
	return said.Time.UTC(), nil
}

// tstInfo is TSTInfo of RFC 3161, 2.4.2, as far as it is read.
type tstInfo struct {
	Version int
	Policy  asn1.ObjectIdentifier
	Imprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Hash      []byte
	}
	Serial *big.Int
	Time   time.Time `asn1:"generalized"`
}

var (
	oidTSTInfo  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	stampHashes = map[string]crypto.Hash{
		oidSHA256.String(): crypto.SHA256, oidSHA384.String(): crypto.SHA384, "2.16.840.1.101.3.4.2.3": crypto.SHA512,
	}
)
