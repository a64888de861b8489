package trustlist

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// Limits of a file. The largest lists of today have about 10 MB.
const (
	MaxFile  = 24 << 20 // bytes
	maxDepth = 64       // nested elements; real lists have about 20
	maxNodes = 2_000_000
	// minRSA is what the SOG-IS catalogue calls the least for signatures in use; Norway's list is
	// signed with a key of 2032 bits.
	minRSA = 1900
)

// Errors of files and their signatures. The text of what wraps them says what to do.
var (
	ErrFile      = errors.New("not a trusted list that can be read")
	ErrSignature = errors.New("the signature of the list is not valid")
	ErrSigner    = errors.New("the list is not signed by a certificate that may sign it")
)

// guard reads through a file and refuses what could hurt whoever builds a tree of it.
func guard(file []byte) error {
	if len(file) > MaxFile {
		return fmt.Errorf("%w: it has more than %d MB", ErrFile, MaxFile>>20)
	}
	decoder := xml.NewDecoder(bytes.NewReader(file))
	depth, nodes, roots := 0, 0, 0
	for {
		token, err := decoder.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: the XML is broken or cut off (%w)", ErrFile, err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return fmt.Errorf("%w: it has a document type or entities, which no trusted list has", ErrFile)
		case xml.StartElement:
			depth++
			nodes += 1 + len(t.Attr)
			if depth == 1 {
				roots++
			}
		case xml.EndElement:
			depth--
		default:
			nodes++
		}
		if depth > maxDepth || nodes > maxNodes {
			return fmt.Errorf("%w: its elements are nested too deep or are too many", ErrFile)
		}
	}
	if depth != 0 || roots != 1 {
		return fmt.Errorf("%w: the XML is broken or cut off", ErrFile)
	}
	return nil
}

// verify checks the enveloped signature of a file with the certificates that may sign it. It
// returns the bytes that are signed, canonical and without the signature, and the signer.
// Read the list from these bytes only.
func verify(file []byte, allowed []*x509.Certificate) ([]byte, *x509.Certificate, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(file); err != nil || doc.Root() == nil {
		return nil, nil, fmt.Errorf("%w: the XML is broken", ErrFile)
	}
	root := doc.Root()
	signature, err := theSignature(root)
	if err != nil {
		return nil, nil, err
	}
	info, signed, err := signedInfo(signature)
	if err != nil {
		return nil, nil, err
	}
	signer, err := checkValue(signature, info, signed, allowed)
	if err != nil {
		return nil, nil, err
	}
	covered, err := checkReferences(root, signature, info)
	if err != nil {
		return nil, nil, err
	}
	return covered, signer, nil
}

// theSignature finds the one signature that TS 119 612 section 5.7.1 knows: a child of the
// root.
func theSignature(root *etree.Element) (*etree.Element, error) {
	var found []*etree.Element
	for _, child := range root.ChildElements() {
		if child.Tag == "Signature" && child.NamespaceURI() == nsDSig {
			found = append(found, child)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: there is none under the root of the file", ErrSignature)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("%w: there are %d where one belongs", ErrSignature, len(found))
}

type wireSignedInfo struct {
	XMLName xml.Name        `xml:"http://www.w3.org/2000/09/xmldsig# SignedInfo"`
	Method  wireAlgorithm   `xml:"http://www.w3.org/2000/09/xmldsig# SignatureMethod"`
	Refs    []wireReference `xml:"http://www.w3.org/2000/09/xmldsig# Reference"`
}

type wireAlgorithm struct {
	Algorithm string `xml:"Algorithm,attr"`
	Prefixes  struct {
		List string `xml:"PrefixList,attr"`
	} `xml:"http://www.w3.org/2001/10/xml-exc-c14n# InclusiveNamespaces"`
}

type wireReference struct {
	URI        string          `xml:"URI,attr"`
	Type       string          `xml:"Type,attr"`
	Transforms []wireAlgorithm `xml:"http://www.w3.org/2000/09/xmldsig# Transforms>Transform"`
	Digest     wireAlgorithm   `xml:"http://www.w3.org/2000/09/xmldsig# DigestMethod"`
	Value      string          `xml:"http://www.w3.org/2000/09/xmldsig# DigestValue"`
}

// only returns the one child of a name in the namespace of XML signatures.
func only(parent *etree.Element, tag string) (*etree.Element, error) {
	var found *etree.Element
	for _, child := range parent.ChildElements() {
		if child.Tag != tag || child.NamespaceURI() != nsDSig {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: it has several elements %s", ErrSignature, tag)
		}
		found = child
	}
	if found == nil {
		return nil, fmt.Errorf("%w: it has no element %s", ErrSignature, tag)
	}
	return found, nil
}

// signedInfo returns what is signed, parsed from the canonical bytes, and these bytes.
func signedInfo(signature *etree.Element) (wireSignedInfo, []byte, error) {
	var info wireSignedInfo
	element, err := only(signature, "SignedInfo")
	if err != nil {
		return info, nil, err
	}
	method, err := only(element, "CanonicalizationMethod")
	if err != nil {
		return info, nil, err
	}
	prefixes := ""
	for _, child := range method.ChildElements() {
		prefixes = child.SelectAttrValue("PrefixList", prefixes)
	}
	signed, err := canonical(method.SelectAttrValue("Algorithm", ""), prefixes, element)
	if err != nil {
		return info, nil, err
	}
	if err := xml.Unmarshal(signed, &info); err != nil {
		return info, nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return info, signed, nil
}

// canonical writes an element in canonical form; the names of its ancestors' namespaces are
// in scope. The element itself stays as it is.
func canonical(algorithm, prefixes string, element *etree.Element) ([]byte, error) {
	var c dsig.Canonicalizer
	switch dsig.AlgorithmID(algorithm) {
	case dsig.CanonicalXML10ExclusiveAlgorithmId:
		c = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes)
	case dsig.CanonicalXML10RecAlgorithmId:
		c = dsig.MakeC14N10RecCanonicalizer()
	case dsig.CanonicalXML11AlgorithmId:
		c = dsig.MakeC14N11Canonicalizer()
	default:
		return nil, fmt.Errorf("%w: it uses the canonical form %q, which is not supported", ErrSignature, algorithm)
	}
	scope, err := etreeutils.NSBuildParentContext(element)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	detached := element.Copy()
	for prefix, uri := range scope.Prefixes() {
		declare(detached, prefix, uri)
	}
	out, err := c.Canonicalize(detached)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return out, nil
}

// declare gives an element a namespace of its ancestors unless it has its own by that name.
func declare(element *etree.Element, prefix, uri string) {
	if prefix == "xml" || prefix == "xmlns" || uri == etreeutils.XMLNamespace {
		return
	}
	space, key := "xmlns", prefix
	if prefix == "" {
		space, key = "", "xmlns"
	}
	for _, a := range element.Attr {
		if a.Space == space && a.Key == key {
			return
		}
	}
	element.Attr = append(element.Attr, etree.Attr{Space: space, Key: key, Value: uri})
}

// checkValue checks the signature value with the certificate in KeyInfo, when it is one of
// those that may sign, or with each of them when KeyInfo has none.
func checkValue(signature *etree.Element, info wireSignedInfo, signed []byte, allowed []*x509.Certificate) (*x509.Certificate, error) {
	element, err := only(signature, "SignatureValue")
	if err != nil {
		return nil, err
	}
	value, err := decode(element.Text())
	if err != nil {
		return nil, fmt.Errorf("%w: its value is not base64", ErrSignature)
	}
	candidates, named := matching(signature, allowed)
	if len(candidates) == 0 {
		return nil, fmt.Errorf("%w: it names %s", ErrSigner, named)
	}
	for _, certificate := range candidates {
		if err = checkBytes(info.Method.Algorithm, certificate, signed, value); err == nil {
			return certificate, nil
		}
	}
	return nil, err
}

// matching returns those of the allowed certificates that KeyInfo names, and says in words
// which certificate that was.
func matching(signature *etree.Element, allowed []*x509.Certificate) (candidates []*x509.Certificate, named string) {
	named = "no certificate"
	for _, element := range signature.FindElements("./KeyInfo/X509Data/X509Certificate") {
		der, err := decode(element.Text())
		if err != nil {
			continue
		}
		for _, certificate := range allowed {
			if bytes.Equal(certificate.Raw, der) {
				candidates = append(candidates, certificate)
			}
		}
		named = "a certificate that cannot be read"
		if certificate, err := x509.ParseCertificate(der); err == nil {
			named = fmt.Sprintf("%s (SHA-256 %s)", certificate.Subject, fingerprint(certificate))
		}
	}
	if named == "no certificate" {
		return allowed, named
	}
	return candidates, named
}

// method is what a SignatureMethod means (RFC 6931).
type method struct {
	hash crypto.Hash
	kind string // rsa, pss, ecdsa
}

func methodOf(uri string) (method, bool) {
	const old, more = "http://www.w3.org/2001/04/xmldsig-more#", "http://www.w3.org/2007/05/xmldsig-more#"
	known := map[string]method{
		old + "rsa-sha256": {crypto.SHA256, "rsa"}, old + "rsa-sha384": {crypto.SHA384, "rsa"}, old + "rsa-sha512": {crypto.SHA512, "rsa"},
		old + "ecdsa-sha256": {crypto.SHA256, "ecdsa"}, old + "ecdsa-sha384": {crypto.SHA384, "ecdsa"}, old + "ecdsa-sha512": {crypto.SHA512, "ecdsa"},
		more + "sha256-rsa-MGF1": {crypto.SHA256, "pss"}, more + "sha384-rsa-MGF1": {crypto.SHA384, "pss"}, more + "sha512-rsa-MGF1": {crypto.SHA512, "pss"},
	}
	m, ok := known[uri]
	return m, ok
}

// checkBytes checks a signature value in the forms of XML signatures.
func checkBytes(algorithm string, certificate *x509.Certificate, signed, value []byte) error {
	m, ok := methodOf(algorithm)
	if !ok {
		return fmt.Errorf("%w: the algorithm %q is not supported or no longer safe", ErrSignature, algorithm)
	}
	sum := digest(m.hash, signed)
	var valid bool
	switch key := certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return fmt.Errorf("%w: the RSA key of the signer has only %d bits", ErrSignature, key.N.BitLen())
		}
		valid = m.kind == "rsa" && rsa.VerifyPKCS1v15(key, m.hash, sum, value) == nil ||
			m.kind == "pss" && rsa.VerifyPSS(key, m.hash, sum, value, nil) == nil
	case *ecdsa.PublicKey:
		half := len(value) / 2
		valid = m.kind == "ecdsa" && half > 0 && len(value)%2 == 0 &&
			ecdsa.Verify(key, sum, new(big.Int).SetBytes(value[:half]), new(big.Int).SetBytes(value[half:]))
	default:
		return fmt.Errorf("%w: the kind of the signer's key is not supported (%s)", ErrSignature, certificate.PublicKeyAlgorithm)
	}
	if !valid {
		return fmt.Errorf("%w: the value does not fit the certificate %s", ErrSignature, certificate.Subject)
	}
	return nil
}

// checkReferences checks the digest of everything that is signed, and returns the canonical
// bytes of the root: it must be signed, whole but for the signature.
func checkReferences(root, signature *etree.Element, info wireSignedInfo) ([]byte, error) {
	var covered []byte
	for _, ref := range info.Refs {
		var data []byte
		var err error
		switch target := strings.TrimPrefix(ref.URI, "#"); {
		case ref.URI == "" || target != "" && target == root.SelectAttrValue("Id", ""):
			if covered != nil {
				return nil, fmt.Errorf("%w: it refers to the root twice", ErrSignature)
			}
			data, err = signedRoot(root, signature, ref)
			covered = data
		default:
			data, err = signedProperties(signature, target, ref)
		}
		if err != nil {
			return nil, err
		}
		if err := checkDigest(ref, data); err != nil {
			return nil, err
		}
	}
	if covered == nil {
		return nil, fmt.Errorf("%w: it does not cover the root of the file", ErrSignature)
	}
	return covered, nil
}

func checkDigest(ref wireReference, data []byte) error {
	hashes := map[string]crypto.Hash{
		"http://www.w3.org/2001/04/xmlenc#sha256": crypto.SHA256, "http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
		"http://www.w3.org/2001/04/xmlenc#sha512": crypto.SHA512,
	}
	hash, ok := hashes[ref.Digest.Algorithm]
	if !ok {
		return fmt.Errorf("%w: the digest %q is not supported or no longer safe", ErrSignature, ref.Digest.Algorithm)
	}
	value, err := decode(ref.Value)
	if err != nil || !bytes.Equal(value, digest(hash, data)) {
		return fmt.Errorf("%w: the file was changed after it was signed (digest of %q)", ErrSignature, ref.URI)
	}
	return nil
}

// signedRoot is the root without the signature; the transforms must say just that.
func signedRoot(root, signature *etree.Element, ref wireReference) ([]byte, error) {
	algorithm, prefixes := string(dsig.CanonicalXML10RecAlgorithmId), ""
	enveloped := false
	for i, t := range ref.Transforms {
		switch {
		case i == 0 && dsig.AlgorithmID(t.Algorithm) == dsig.EnvelopedSignatureAltorithmId:
			enveloped = true
		case i == 1 && enveloped:
			algorithm, prefixes = t.Algorithm, t.Prefixes.List
		default:
			return nil, fmt.Errorf("%w: the transform %q is not what a trusted list may use", ErrSignature, t.Algorithm)
		}
	}
	if !enveloped {
		return nil, fmt.Errorf("%w: it is not an enveloped signature", ErrSignature)
	}
	whole := root.Copy()
	whole.RemoveChildAt(signature.Index())
	return canonical(algorithm, prefixes, whole)
}

// signedProperties is the part of the signature itself that XAdES signs, by its Id.
func signedProperties(signature *etree.Element, id string, ref wireReference) ([]byte, error) {
	var found *etree.Element
	for _, element := range signature.FindElements(".//*") {
		if element.SelectAttrValue("Id", "") != id {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: it refers to %q, which is there twice", ErrSignature, id)
		}
		found = element
	}
	if found == nil {
		return nil, fmt.Errorf("%w: it refers to %q, which is not part of the signature", ErrSignature, id)
	}
	algorithm, prefixes := string(dsig.CanonicalXML10RecAlgorithmId), ""
	if len(ref.Transforms) > 1 {
		return nil, fmt.Errorf("%w: %q has too many transforms", ErrSignature, id)
	}
	for _, t := range ref.Transforms {
		algorithm, prefixes = t.Algorithm, t.Prefixes.List
	}
	return canonical(algorithm, prefixes, found)
}

func digest(hash crypto.Hash, data []byte) []byte {
	switch hash {
	case crypto.SHA384:
		sum := sha512.Sum384(data)
		return sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512(data)
		return sum[:]
	default:
		sum := sha256.Sum256(data)
		return sum[:]
	}
}

// decode reads base64 as XML has it: with white space anywhere.
func decode(text string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
}
