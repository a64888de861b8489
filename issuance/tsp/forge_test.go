package tsp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

// Object identifiers of RFC 5652, RFC 3161 and RFC 5035.
var (
	idData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	idSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	idTSTInfo       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	idContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	idMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	idESS           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	idESSv2         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	idSHA1          = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	idSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	idSHA512        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	idECDSA256      = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	idExtKeyUsage   = asn1.ObjectIdentifier{2, 5, 29, 37}
	idTimeStamping  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	idServerAuth    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
)

// The structures of a token, for making what no authority should: the package reads them
// with structures of its own.
type (
	forgedInfo struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint struct {
			Algorithm pkix.AlgorithmIdentifier
			Digest    []byte
		}
		Serial     *big.Int
		Time       asn1.RawValue
		Accuracy   []asn1.RawValue  `asn1:"optional,omitempty"`
		Nonce      *big.Int         `asn1:"optional,omitempty"`
		Extensions []pkix.Extension `asn1:"optional,omitempty,tag:1"`
	}
	forgedAttribute struct {
		ID     asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
	forgedSigner struct {
		Version   int
		ID        asn1.RawValue
		Digest    pkix.AlgorithmIdentifier
		Signed    asn1.RawValue `asn1:"optional"`
		Algorithm pkix.AlgorithmIdentifier
		Signature []byte
	}
	forgedData struct {
		Version int
		Digests []pkix.AlgorithmIdentifier `asn1:"set"`
		Content struct {
			ID    asn1.ObjectIdentifier
			Value []byte `asn1:"explicit,tag:0"`
		}
		Certificates asn1.RawValue  `asn1:"optional"`
		Signers      []forgedSigner `asn1:"set"`
	}
	forgedContent struct {
		ID    asn1.ObjectIdentifier
		Value forgedData `asn1:"explicit,tag:0"`
	}
)

// authority is a time-stamping authority whose key is at hand.
type authority struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func rawOf(tb testing.TB, value any) asn1.RawValue {
	tb.Helper()
	der, err := asn1.Marshal(value)
	must(tb, err)
	return asn1.RawValue{FullBytes: der}
}

// purpose is the extension extendedKeyUsage.
func purpose(tb testing.TB, critical bool, ids ...asn1.ObjectIdentifier) pkix.Extension {
	tb.Helper()
	return pkix.Extension{Id: idExtKeyUsage, Critical: critical, Value: rawOf(tb, ids).FullBytes}
}

// newAuthority makes one that signs its own certificate, which change may change before. A
// nil key makes one.
func newAuthority(tb testing.TB, key crypto.Signer, change func(*x509.Certificate)) authority {
	tb.Helper()
	if key == nil {
		made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(tb, err)
		key = made
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(42), Subject: pkix.Name{CommonName: "authority"}, SubjectKeyId: []byte{4, 2},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{purpose(tb, true, idTimeStamping)},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(tb, err)
	cert, err := x509.ParseCertificate(der)
	must(tb, err)
	return authority{key, cert}
}

// forgery is a token before it is signed. Fields that are nil are made as they should be.
type forgery struct {
	tb         testing.TB
	by         authority
	info       forgedInfo
	signer     forgedSigner
	attributes []forgedAttribute
	content    asn1.ObjectIdentifier
	certs      []byte // the set's content
	signers    int
	opts       crypto.SignerOpts // of the signature
	alter      func(*forgedData) // at the end
}

func attribute(tb testing.TB, id asn1.ObjectIdentifier, values ...any) forgedAttribute {
	tb.Helper()
	a := forgedAttribute{ID: id}
	for _, v := range values {
		a.Values = append(a.Values, rawOf(tb, v))
	}
	return a
}

// named is the value of SigningCertificateV2 with the default digest, or of
// SigningCertificate when sum is of SHA-1.
type named struct{ Certificates []struct{ Hash []byte } }

func essOf(sum []byte) named { return named{[]struct{ Hash []byte }{{sum}}} }

func sha1Of(b []byte) []byte {
	sum := sha1.Sum(b)
	return sum[:]
}

func sha256Of(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

func newForgery(tb testing.TB, by authority) *forgery {
	tb.Helper()
	f := &forgery{tb: tb, by: by, content: idTSTInfo, certs: by.cert.Raw, signers: 1, opts: crypto.SHA256}
	f.info.Version, f.info.Policy, f.info.Serial, f.info.Nonce = 1, asn1.ObjectIdentifier{1, 2, 3}, big.NewInt(7), big.NewInt(99)
	f.info.Imprint.Algorithm.Algorithm = idSHA256
	f.info.Imprint.Digest = sha256Of([]byte("stamped"))
	f.info.Time = generalized("20260302120000Z")
	f.signer = forgedSigner{Version: 1, Digest: pkix.AlgorithmIdentifier{Algorithm: idSHA256}, Algorithm: pkix.AlgorithmIdentifier{Algorithm: idECDSA256}}
	f.signer.ID = rawOf(tb, struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}{asn1.RawValue{FullBytes: by.cert.RawIssuer}, by.cert.SerialNumber})
	f.attributes = []forgedAttribute{attribute(tb, idContentType, idTSTInfo), attribute(tb, idESSv2, essOf(sha256Of(by.cert.Raw)))}
	return f
}

func generalized(text string) asn1.RawValue {
	return asn1.RawValue{Tag: asn1.TagGeneralizedTime, Bytes: []byte(text)}
}

// set changes an attribute, or removes it without values.
func (f *forgery) set(id asn1.ObjectIdentifier, values ...any) {
	kept := f.attributes[:0]
	for _, a := range f.attributes {
		if !a.ID.Equal(id) {
			kept = append(kept, a)
		}
	}
	f.attributes = kept
	if len(values) > 0 {
		f.attributes = append(f.attributes, attribute(f.tb, id, values...))
	}
}

func (f *forgery) has(id asn1.ObjectIdentifier) bool {
	for _, a := range f.attributes {
		if a.ID.Equal(id) {
			return true
		}
	}
	return false
}

// token signs and encodes.
func (f *forgery) token() []byte {
	f.tb.Helper()
	info := rawOf(f.tb, f.info).FullBytes
	if !f.has(idMessageDigest) {
		f.attributes = append(f.attributes, attribute(f.tb, idMessageDigest, sha256Of(info)))
	}
	signed, err := asn1.MarshalWithParams(f.attributes, "set")
	must(f.tb, err)
	if f.signer.Signature == nil {
		f.signer.Signature, err = f.by.key.Sign(rand.Reader, sha256Of(signed), f.opts)
		must(f.tb, err)
	}
	implicit := append([]byte{0xa0}, signed[1:]...)
	f.signer.Signed = asn1.RawValue{FullBytes: implicit}
	data := forgedData{Version: 3, Digests: []pkix.AlgorithmIdentifier{f.signer.Digest}}
	data.Content.ID, data.Content.Value = f.content, info
	if f.certs != nil {
		data.Certificates = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: f.certs}
	}
	for range f.signers {
		data.Signers = append(data.Signers, f.signer)
	}
	if f.alter != nil {
		f.alter(&data)
	}
	return rawOf(f.tb, forgedContent{idSignedData, data}).FullBytes
}

// reply wraps a token in a response.
func reply(tb testing.TB, status int, token []byte) []byte {
	tb.Helper()
	type info struct{ Status int }
	if token == nil {
		return rawOf(tb, struct{ Status info }{info{status}}).FullBytes
	}
	return rawOf(tb, struct {
		Status info
		Token  asn1.RawValue
	}{info{status}, asn1.RawValue{FullBytes: token}}).FullBytes
}
