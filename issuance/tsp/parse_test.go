package tsp_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// TestTokens changes one thing of a good token at a time.
func TestTokens(t *testing.T) {
	t.Parallel()
	honest := newAuthority(t, nil, nil)
	other := newAuthority(t, nil, nil)
	tests := map[string]struct {
		change func(*forgery)
		want   error
	}{
		"nothing":                   {func(*forgery) {}, nil},
		"SHA-1":                     {func(f *forgery) { f.info.Imprint.Algorithm.Algorithm, f.info.Imprint.Digest = idSHA1, make([]byte, 20) }, tsp.ErrWeak},
		"imprint too short":         {func(f *forgery) { f.info.Imprint.Digest = make([]byte, 31) }, tsp.ErrMalformed},
		"imprint of another length": {func(f *forgery) { f.info.Imprint.Algorithm.Algorithm = idSHA512 }, tsp.ErrMalformed},
		"TSTInfo version 2":         {func(f *forgery) { f.info.Version = 2 }, tsp.ErrMalformed},
		"critical extension": {func(f *forgery) {
			f.info.Extensions = []pkix.Extension{{Id: idData, Critical: true, Value: []byte{5, 0}}}
		}, tsp.ErrMalformed},
		"extension":                  {func(f *forgery) { f.info.Extensions = []pkix.Extension{{Id: idData, Value: []byte{5, 0}}} }, nil},
		"without nonce":              {func(f *forgery) { f.info.Nonce = nil }, nil},
		"time with fraction":         {func(f *forgery) { f.info.Time = generalized("20260302120000.25Z") }, nil},
		"time with zeros at the end": {func(f *forgery) { f.info.Time = generalized("20260302120000.250Z") }, tsp.ErrMalformed},
		"time with zone":             {func(f *forgery) { f.info.Time = generalized("20260302120000+0100") }, tsp.ErrMalformed},
		"time without zone":          {func(f *forgery) { f.info.Time = generalized("20260302120000") }, tsp.ErrMalformed},
		"time without seconds":       {func(f *forgery) { f.info.Time = generalized("202603021200Z") }, tsp.ErrMalformed},
		"time as text":               {func(f *forgery) { f.info.Time = rawOf(f.tb, "20260302120000Z") }, tsp.ErrMalformed},
		"thirteenth month":           {func(f *forgery) { f.info.Time = generalized("20261302120000Z") }, tsp.ErrMalformed},
		"before the certificate":     {func(f *forgery) { f.info.Time = generalized("20260302105959Z") }, tsp.ErrTime},
		"after the certificate":      {func(f *forgery) { f.info.Time = generalized("20260302130001Z") }, tsp.ErrTime},
		"absurd accuracy":            {func(f *forgery) { f.info.Accuracy = []asn1.RawValue{rawOf(f.tb, 90_000)} }, tsp.ErrMalformed},
		"negative accuracy":          {func(f *forgery) { f.info.Accuracy = []asn1.RawValue{rawOf(f.tb, -1)} }, tsp.ErrMalformed},

		"two signers":                 {func(f *forgery) { f.signers = 2 }, tsp.ErrMalformed},
		"no signer":                   {func(f *forgery) { f.signers = 0 }, tsp.ErrMalformed},
		"signer of nobody":            {func(f *forgery) { f.signer.ID = rawOf(f.tb, 7) }, tsp.ErrMalformed},
		"signer by key":               {func(f *forgery) { f.signer.ID = keyID(4, 2) }, nil},
		"signer by another key":       {func(f *forgery) { f.signer.ID = keyID(4, 3) }, tsp.ErrSigner},
		"signer by no key":            {func(f *forgery) { f.signer.ID = keyID() }, tsp.ErrSigner},
		"without certificates":        {func(f *forgery) { f.certs = nil }, tsp.ErrSigner},
		"with another certificate":    {func(f *forgery) { f.by.cert = nil; f.certs = other.cert.Raw }, tsp.ErrSigner},
		"certificates of other kinds": {func(f *forgery) { f.certs = []byte{0xa1, 2, 5, 0} }, tsp.ErrMalformed},
		"too many certificates":       {func(f *forgery) { f.certs = bytes.Repeat(f.certs, 33) }, tsp.ErrMalformed},
		"certificates in a string": {func(f *forgery) {
			f.alter = func(d *forgedData) { d.Certificates.IsCompound = false }
		}, tsp.ErrMalformed},

		"by another's key":             {func(f *forgery) { f.by.key = other.key }, tsp.ErrSignature},
		"no signature":                 {func(f *forgery) { f.signer.Signature = []byte{} }, tsp.ErrSignature},
		"content changed":              {func(f *forgery) { f.alter = func(d *forgedData) { d.Content.Value[len(d.Content.Value)-1] ^= 1 } }, tsp.ErrSignature},
		"other digest":                 {func(f *forgery) { f.set(idMessageDigest, make([]byte, 32)) }, tsp.ErrSignature},
		"digest is no string":          {func(f *forgery) { f.set(idMessageDigest, 7) }, tsp.ErrMalformed},
		"signs data":                   {func(f *forgery) { f.content = idData }, tsp.ErrMalformed},
		"attribute says data":          {func(f *forgery) { f.set(idContentType, idData) }, tsp.ErrMalformed},
		"without contentType":          {func(f *forgery) { f.set(idContentType) }, tsp.ErrMalformed},
		"two contentTypes":             {func(f *forgery) { f.set(idContentType, idTSTInfo, idTSTInfo) }, tsp.ErrMalformed},
		"attribute twice":              {func(f *forgery) { f.attributes = append(f.attributes, f.attributes[0]) }, tsp.ErrMalformed},
		"without signed attributes":    {func(f *forgery) { f.alter = func(d *forgedData) { d.Signers[0].Signed = asn1.RawValue{} } }, tsp.ErrMalformed},
		"digest by SHA-1":              {func(f *forgery) { f.signer.Digest.Algorithm = idSHA1 }, tsp.ErrWeak},
		"wrong digest by SHA-512":      {func(f *forgery) { f.signer.Digest.Algorithm = idSHA512; f.set(idMessageDigest, make([]byte, 64)) }, tsp.ErrSignature},
		"signature by SHA-1":           {func(f *forgery) { f.signer.Algorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1} }, tsp.ErrWeak},
		"SignedData version 9":         {func(f *forgery) { f.alter = func(d *forgedData) { d.Version = 9 } }, tsp.ErrMalformed},
		"signature names other digest": {func(f *forgery) { f.signer.Algorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4} }, tsp.ErrMalformed},

		"certificate not named":     {func(f *forgery) { f.set(idESSv2) }, tsp.ErrSigner},
		"another certificate named": {func(f *forgery) { f.set(idESSv2, essOf(sha256Of(other.cert.Raw))) }, tsp.ErrSigner},
		"named by nothing":          {func(f *forgery) { f.set(idESSv2, named{}) }, tsp.ErrMalformed},
		"named by text":             {func(f *forgery) { f.set(idESSv2, "me") }, tsp.ErrMalformed},
		"named by SHA-1":            {func(f *forgery) { f.set(idESSv2); f.set(idESS, essOf(sha1Of(f.by.cert.Raw))) }, nil},
		"named by both":             {func(f *forgery) { f.set(idESS, essOf(sha1Of(f.by.cert.Raw))) }, nil},
		"named by SHA-1 with another's serial number": {func(f *forgery) {
			stranger := newAuthority(f.tb, nil, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(43) })
			f.set(idESSv2)
			f.set(idESS, essWith(nil, sha1Of(f.by.cert.Raw), stranger.cert))
		}, tsp.ErrSigner},
		"named by both, SHA-1 lies": {func(f *forgery) { f.set(idESS, essOf(sha1Of(other.cert.Raw))) }, tsp.ErrSigner},
		"named by a weak digest": {func(f *forgery) {
			f.set(idESSv2, essWith(&pkix.AlgorithmIdentifier{Algorithm: idSHA1}, sha1Of(f.by.cert.Raw), nil))
		}, tsp.ErrWeak},
		"named with serial number": {func(f *forgery) {
			f.set(idESSv2, essWith(&pkix.AlgorithmIdentifier{Algorithm: idSHA256}, sha256Of(f.by.cert.Raw), f.by.cert))
		}, nil},
		"named with another's serial number": {func(f *forgery) {
			stranger := newAuthority(f.tb, nil, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(43) })
			f.set(idESSv2, essWith(&pkix.AlgorithmIdentifier{Algorithm: idSHA256}, sha256Of(f.by.cert.Raw), stranger.cert))
		}, tsp.ErrSigner},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForgery(t, honest)
			test.change(f)
			token, err := tsp.Parse(f.token())
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil && (!token.Covers([]byte("stamped")) || !token.Signer.Equal(honest.cert)) {
				t.Error("another token")
			}
			if err != nil && (token.Raw != nil || token.Signer != nil) {
				t.Error("a token along with an error")
			}
		})
	}
}

func keyID(id ...byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: id}
}

// essWith is SigningCertificateV2 with all that it may have, or SigningCertificate without
// an algorithm.
func essWith(algorithm *pkix.AlgorithmIdentifier, sum []byte, of *x509.Certificate) any {
	type issuer struct {
		Names  []asn1.RawValue
		Serial *big.Int
	}
	type id struct {
		Algorithm pkix.AlgorithmIdentifier `asn1:"optional"`
		Hash      []byte
		Issuer    issuer `asn1:"optional"`
	}
	one := id{Hash: sum}
	if algorithm != nil {
		one.Algorithm = *algorithm
	}
	if of != nil {
		one.Issuer = issuer{[]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: of.RawIssuer}}, of.SerialNumber}
	}
	return struct{ Certificates []id }{[]id{one}}
}

// TestWhoMaySign goes through certificates.
func TestWhoMaySign(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*x509.Certificate)
		want   error
	}{
		"time-stamping alone": {nil, nil},
		"purpose not critical": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{purpose(t, false, idTimeStamping)}
		}, tsp.ErrSigner},
		"not alone": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{purpose(t, true, idTimeStamping, idServerAuth)}
		}, tsp.ErrSigner},
		"another purpose":   {func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{purpose(t, true, idServerAuth)} }, tsp.ErrSigner},
		"no purpose":        {func(c *x509.Certificate) { c.ExtraExtensions = nil }, tsp.ErrSigner},
		"may not sign":      {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, tsp.ErrSigner},
		"no key usage":      {func(c *x509.Certificate) { c.KeyUsage = 0 }, nil},
		"may sign for good": {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment }, nil},
	} {
		if _, err := tsp.Parse(newForgery(t, newAuthority(t, nil, test.change)).token()); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

// TestRSA goes through the names under which RSA signs.
func TestRSA(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	by := newAuthority(t, key, nil)
	rsaName := func(n int) pkix.AlgorithmIdentifier {
		return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, n}, Parameters: asn1.NullRawValue}
	}
	for name, test := range map[string]struct {
		algorithm pkix.AlgorithmIdentifier
		want      error
	}{
		"rsaEncryption":                {rsaName(1), nil},
		"sha256WithRSAEncryption":      {rsaName(11), nil},
		"sha512WithRSAEncryption":      {rsaName(13), tsp.ErrMalformed},
		"sha1WithRSAEncryption":        {rsaName(5), tsp.ErrWeak},
		"RSASSA-PSS by default, SHA-1": {pkix.AlgorithmIdentifier{Algorithm: rsaName(10).Algorithm, Parameters: asn1.RawValue{FullBytes: []byte{0x30, 0}}}, tsp.ErrWeak},
		"RSASSA-PSS without":           {pkix.AlgorithmIdentifier{Algorithm: rsaName(10).Algorithm}, tsp.ErrMalformed},
		"id-ecPublicKey":               {pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}}, tsp.ErrSignature},
	} {
		f := newForgery(t, by)
		f.signer.Algorithm = test.algorithm
		if _, err := tsp.Parse(f.token()); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

// TestPSS has RSASSA-PSS with what crypto/x509 verifies, and with parameters that it does not.
func TestPSS(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	by := newAuthority(t, key, nil)
	type parameters struct {
		Hash    pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
		MGF     pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
		Salt    int                      `asn1:"explicit,tag:2"`
		Trailer int                      `asn1:"explicit,tag:3,optional,default:1"`
	}
	sha := func(id asn1.ObjectIdentifier) pkix.AlgorithmIdentifier {
		return pkix.AlgorithmIdentifier{Algorithm: id}
	}
	mgf1 := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	mask := func(id asn1.ObjectIdentifier) pkix.AlgorithmIdentifier {
		return pkix.AlgorithmIdentifier{Algorithm: mgf1, Parameters: rawOf(t, sha(id))}
	}
	for name, test := range map[string]struct {
		p    parameters
		want error
	}{
		"as usual":            {parameters{sha(idSHA256), mask(idSHA256), 32, 1}, nil},
		"short salt":          {parameters{sha(idSHA256), mask(idSHA256), 20, 1}, tsp.ErrWeak},
		"other mask digest":   {parameters{sha(idSHA256), mask(idSHA512), 32, 1}, tsp.ErrWeak},
		"other mask":          {parameters{sha(idSHA256), pkix.AlgorithmIdentifier{Algorithm: idSHA256, Parameters: rawOf(t, sha(idSHA256))}, 32, 1}, tsp.ErrWeak},
		"other trailer":       {parameters{sha(idSHA256), mask(idSHA256), 32, 2}, tsp.ErrWeak},
		"SHA-512 in name":     {parameters{sha(idSHA512), mask(idSHA512), 64, 1}, tsp.ErrSignature},
		"mask without digest": {parameters{sha(idSHA256), pkix.AlgorithmIdentifier{Algorithm: mgf1}, 32, 1}, tsp.ErrMalformed},
	} {
		f := newForgery(t, by)
		f.opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		f.signer.Algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}, Parameters: rawOf(t, test.p)}
		if _, err := tsp.Parse(f.token()); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

// TestKnown finds the signer's certificate among those from elsewhere.
func TestKnown(t *testing.T) {
	t.Parallel()
	by := newAuthority(t, nil, nil)
	f := newForgery(t, by)
	f.certs = nil
	token, err := tsp.Parse(f.token(), newAuthority(t, nil, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(43) }).cert, by.cert)
	must(t, err)
	if !token.Signer.Equal(by.cert) || len(token.Certificates) != 0 {
		t.Error("not the signer")
	}
}

// TestCut cuts a token and a response at every byte, and adds one.
func TestCut(t *testing.T) {
	t.Parallel()
	token := newForgery(t, newAuthority(t, nil, nil)).token()
	response := reply(t, 0, token)
	for n := range token {
		if _, err := tsp.Parse(token[:n]); !errors.Is(err, tsp.ErrMalformed) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
	for n := range response {
		if _, err := tsp.ParseResponse(response[:n]); !errors.Is(err, tsp.ErrMalformed) {
			t.Fatalf("the first %d bytes of a response: %v", n, err)
		}
	}
	if _, err := tsp.Parse(append(bytes.Clone(token), 0)); !errors.Is(err, tsp.ErrMalformed) {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err := tsp.ParseResponse(append(bytes.Clone(response), 0)); !errors.Is(err, tsp.ErrMalformed) {
		t.Errorf("a byte too many in a response: %v", err)
	}
	for _, parse := range []func([]byte) (tsp.Token, error){tsp.ParseResponse, func(b []byte) (tsp.Token, error) { return tsp.Parse(b) }} {
		if _, err := parse(make([]byte, tsp.MaxToken+1)); !errors.Is(err, tsp.ErrMalformed) || !strings.Contains(err.Error(), "more than") {
			t.Errorf("too long: %v", err)
		}
	}
	if _, err := tsp.ParseResponse(response); err != nil {
		t.Errorf("the whole: %v", err)
	}
}

// TestFlipped changes every byte of a token: what is accepted says the same as before.
func TestFlipped(t *testing.T) {
	t.Parallel()
	token := newForgery(t, newAuthority(t, nil, nil)).token()
	want, err := tsp.Parse(token)
	must(t, err)
	accepted := 0
	for n := range token {
		changed := bytes.Clone(token)
		changed[n] ^= 0x15
		got, err := tsp.Parse(changed)
		if err != nil {
			continue
		}
		accepted++
		if !same(got, want) {
			t.Errorf("byte %d: %+v", n, got)
		}
	}
	if accepted > len(token)/20 {
		t.Errorf("%d of %d changed tokens are accepted", accepted, len(token))
	}
}

// same compares everything that was signed.
func same(a, b tsp.Token) bool {
	return a.Time.Equal(b.Time) && a.Policy.Equal(b.Policy) && a.Accuracy == b.Accuracy && a.SerialNumber.Cmp(b.SerialNumber) == 0 &&
		a.Nonce.Cmp(b.Nonce) == 0 && a.Hash == b.Hash && bytes.Equal(a.Imprint, b.Imprint) && a.Signer.Equal(b.Signer)
}

func TestResponses(t *testing.T) {
	t.Parallel()
	token := newForgery(t, newAuthority(t, nil, nil)).token()
	for status, want := range map[int]error{0: nil, 1: nil, 2: tsp.ErrRefused, 3: tsp.ErrRefused, 4: tsp.ErrRefused, 5: tsp.ErrRefused, -1: tsp.ErrRefused} {
		if _, err := tsp.ParseResponse(reply(t, status, token)); !errors.Is(err, want) {
			t.Errorf("status %d: %v", status, err)
		}
	}
	if _, err := tsp.ParseResponse(reply(t, 0, nil)); !errors.Is(err, tsp.ErrMalformed) {
		t.Errorf("granted without token: %v", err)
	}
	type info struct {
		Status  int
		Text    []asn1.RawValue
		Failure asn1.BitString
	}
	refusal := rawOf(t, struct{ Status info }{info{2, []asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte("no\ncredit")}}, asn1.BitString{Bytes: []byte{0x20, 0, 0x02}, BitLength: 24}}}).FullBytes
	_, err := tsp.ParseResponse(refusal)
	if !errors.Is(err, tsp.ErrRefused) || !strings.Contains(err.Error(), "badRequest") || !strings.Contains(err.Error(), "failure 22") ||
		!strings.Contains(err.Error(), `"no\ncredit"`) {
		t.Errorf("got %v", err)
	}
}

func TestChainNeedsAnchors(t *testing.T) {
	t.Parallel()
	by := newAuthority(t, nil, nil)
	token, err := tsp.Parse(newForgery(t, by).token())
	must(t, err)
	if _, err := token.Chain(nil, nil, noon); !errors.Is(err, tsp.ErrChain) {
		t.Errorf("no anchors: %v", err)
	}
	if _, err := (tsp.Token{}).Chain(pool(by.cert), nil, noon); !errors.Is(err, tsp.ErrChain) {
		t.Errorf("no signer: %v", err)
	}
	if (tsp.Token{}).Covers(nil) {
		t.Error("no token covers something")
	}
	chain, err := token.Chain(pool(by.cert), nil, noon)
	must(t, err)
	if len(chain) == 0 || !chain[0].Equal(by.cert) {
		t.Error("not to the anchor")
	}
	if _, err := token.Chain(pool(by.cert), nil, noon.Add(2*time.Hour)); !errors.Is(err, tsp.ErrChain) {
		t.Errorf("when the certificate has run out: %v", err)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"P-256", "RSA-2048"} {
		b.Run(name, func(b *testing.B) {
			f := newForgery(b, newAuthority(b, nil, nil))
			if name != "P-256" {
				key, err := rsa.GenerateKey(rand.Reader, 2048)
				must(b, err)
				f = newForgery(b, newAuthority(b, key, nil))
				f.signer.Algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
			}
			token := f.token()
			b.SetBytes(int64(len(token)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tsp.Parse(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
