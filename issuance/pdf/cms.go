package pdf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"

	"github.com/sealsmith/sealsmith/hsm"
)

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningCertV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidTimeStamp     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}
)

// The structures of CMS, RFC 5652, 5, with what PAdES leaves of them: no content inside and
// one signer.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue // [0] EXPLICIT
	}
	signedData struct {
		Version int
		Digests []pkix.AlgorithmIdentifier `asn1:"set"`
		Content struct{ Type asn1.ObjectIdentifier }
		Certs   asn1.RawValue // [0] IMPLICIT SET OF Certificate
		Signers []signerInfo  `asn1:"set"`
	}
	signerInfo struct {
		Version   int
		ID        issuerAndSerial
		Digest    pkix.AlgorithmIdentifier
		Signed    asn1.RawValue // [0] IMPLICIT SET OF attribute
		Algorithm pkix.AlgorithmIdentifier
		Signature []byte
		Unsigned  asn1.RawValue `asn1:"optional"` // [1] IMPLICIT SET OF attribute
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
)

// The value of signing-certificate-v2, RFC 5035, 3; the hash is SHA-256, which is the default and therefore left out.
type (
	signingCertificate struct{ Certs []certID }
	certID             struct {
		Hash   []byte
		Issuer issuerSerial
	}
	issuerSerial struct {
		Names  []asn1.RawValue
		Serial *big.Int
	}
)

// envelope is a CMS signature being made.
type envelope struct {
	alg   algorithm
	chain []*x509.Certificate
}

// attributes returns the signed attributes of EN 319 142-1, 6.3 as the DER of a SET OF (RFC
// 5652, 5.4), which is what the token signs. There is no signing-time among them: PAdES has
// the claimed time in /M of the signature dictionary.
func (e envelope) attributes(digest []byte) ([]byte, error) {
	leaf := e.chain[0]
	hash := sha256.Sum256(leaf.Raw)
	name := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: leaf.RawIssuer}
	var all []attribute
	for _, a := range []struct {
		oid   asn1.ObjectIdentifier
		value any
	}{
		{oidContentType, oidData},
		{oidMessageDigest, digest},
		{oidSigningCertV2, signingCertificate{[]certID{{hash[:], issuerSerial{[]asn1.RawValue{name}, leaf.SerialNumber}}}}},
	} {
		der, err := asn1.Marshal(a.value)
		if err != nil {
			return nil, fmt.Errorf("encode attribute %s: %w", a.oid, err)
		}
		all = append(all, attribute{a.oid, []asn1.RawValue{{FullBytes: der}}})
	}
	der, err := asn1.MarshalWithParams(all, "set") // sorted, as DER wants it
	if err != nil {
		return nil, fmt.Errorf("encode signed attributes: %w", err)
	}
	return der, nil
}

// encode returns the whole ContentInfo. A stamp makes it level T.
func (e envelope) encode(attributes, signature, stamp []byte) ([]byte, error) {
	algorithmID, err := e.alg.identifier()
	if err != nil {
		return nil, err
	}
	leaf, sum := e.chain[0], pkix.AlgorithmIdentifier{Algorithm: e.alg.hashOID}
	signer := signerInfo{
		Version: 1, ID: issuerAndSerial{asn1.RawValue{FullBytes: leaf.RawIssuer}, leaf.SerialNumber}, Digest: sum,
		Signed: implicit(0, attributes), Algorithm: algorithmID, Signature: signature,
	}
	if stamp != nil {
		der, err := asn1.MarshalWithParams([]attribute{{oidTimeStamp, []asn1.RawValue{{FullBytes: stamp}}}}, "set")
		if err != nil {
			return nil, fmt.Errorf("encode time-stamp: %w", err)
		}
		signer.Unsigned = implicit(1, der)
	}
	certs := make([][]byte, len(e.chain))
	for i, c := range e.chain {
		certs[i] = c.Raw
	}
	slices.SortFunc(certs, bytes.Compare)
	data := signedData{
		Version: 1, Digests: []pkix.AlgorithmIdentifier{sum},
		Certs: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: bytes.Join(certs, nil)}, Signers: []signerInfo{signer},
	}
	data.Content.Type = oidData
	der, err := asn1.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode signed data: %w", err)
	}
	der, err = asn1.Marshal(contentInfo{oidSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}})
	if err != nil {
		return nil, fmt.Errorf("encode content info: %w", err)
	}
	return der, nil
}

// implicit gives the DER of a SET another tag (X.690, 8.14).
func implicit(tag byte, set []byte) asn1.RawValue {
	der := bytes.Clone(set)
	der[0] = 0xa0 | tag
	return asn1.RawValue{FullBytes: der}
}

// sign makes the CMS signature over a document with this digest.
func (e envelope) sign(ctx context.Context, s Signer, key hsm.Key, digest []byte, stamp Stamp) ([]byte, error) {
	attributes, err := e.attributes(digest)
	if err != nil {
		return nil, err
	}
	signature, err := s.Sign(ctx, key.ID, attributes)
	if err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", key.ID, err)
	}
	if signature, err = e.alg.fromJWS(signature); err != nil {
		return nil, err
	}
	if err := e.chain[0].CheckSignature(e.alg.verify, attributes, signature); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	var token []byte
	if stamp != nil {
		if token, err = stamp(ctx, signature); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStamp, err)
		}
		if _, err := stampedAt(token, signature); err != nil {
			return nil, err
		}
	}
	return e.encode(attributes, signature, token)
}
