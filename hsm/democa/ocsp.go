package democa

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// How long answers are good for, and how old a stale one is.
const (
	ocspLife  = time.Hour
	crlLife   = 24 * time.Hour
	staleness = 30 * 24 * time.Hour
)

var (
	oidBasicResponse   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

// hashNames are the digests in which a request may name its issuer.
var hashNames = map[crypto.Hash]asn1.ObjectIdentifier{
	crypto.SHA1:   {1, 3, 14, 3, 2, 26},
	crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
	crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
	crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
}

// The answer of RFC 6960 section 4.2.1. The library has a function that makes one, but it
// takes producedAt from the wall clock.
type (
	certID struct {
		Hash              pkix.AlgorithmIdentifier
		NameHash, KeyHash []byte
		Serial            *big.Int
	}
	revokedInfo struct {
		At     time.Time       `asn1:"generalized"`
		Reason asn1.Enumerated `asn1:"explicit,tag:0"`
	}
	singleResponse struct {
		ID         certID
		Good       asn1.Flag   `asn1:"tag:0,optional"`
		Revoked    revokedInfo `asn1:"tag:1,optional"`
		Unknown    asn1.Flag   `asn1:"tag:2,optional"`
		ThisUpdate time.Time   `asn1:"generalized"`
		NextUpdate time.Time   `asn1:"generalized,explicit,tag:0"`
	}
	responseData struct {
		Responder  asn1.RawValue
		ProducedAt time.Time `asn1:"generalized"`
		Responses  []singleResponse
	}
	basicResponse struct {
		Data         responseData
		Algorithm    pkix.AlgorithmIdentifier
		Signature    asn1.BitString
		Certificates []asn1.RawValue `asn1:"explicit,tag:0"`
	}
	response struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type  asn1.ObjectIdentifier
			Value []byte
		} `asn1:"explicit,tag:0"`
	}
)

func (c *CA) serveOCSP(w http.ResponseWriter, r *http.Request) {
	faults := c.Faults().OCSP
	var body []byte
	var err error
	if r.Method == http.MethodGet {
		body, err = inPath(r.URL)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	}
	if err != nil {
		http.Error(w, "not an OCSP request: "+err.Error(), http.StatusBadRequest)
		return
	}
	wait(r.Context(), faults.Slow)
	if faults.Down {
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		return
	}
	answer, err := c.status(body, faults)
	if err != nil {
		answer = ocsp.InternalErrorErrorResponse
	}
	write(w, "application/ocsp-response", answer)
}

// inPath reads a request from the path of a GET, RFC 6960 appendix A.1.
func inPath(u *url.URL) ([]byte, error) {
	_, text, _ := strings.Cut(u.EscapedPath(), pathOCSP+"/")
	text, err := url.PathUnescape(text)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

// status answers one request.
func (c *CA) status(body []byte, faults OCSPFaults) ([]byte, error) {
	request, err := ocsp.ParseRequest(body)
	if err != nil {
		return ocsp.MalformedRequestErrorResponse, nil //nolint:nilerr // the client is told in the answer
	}
	if faults.TryLater {
		return ocsp.TryLaterErrorResponse, nil
	}
	signer, err := c.service(roleOCSP)
	if err == nil && faults.WrongSigner {
		signer, err = c.service(roleTSA)
	}
	if err != nil {
		return nil, err
	}
	now := c.now()
	if faults.Stale {
		now = now.Add(-staleness)
	}
	single := singleResponse{
		ID: certID{
			Hash:     pkix.AlgorithmIdentifier{Algorithm: hashNames[request.HashAlgorithm], Parameters: asn1.NullRawValue},
			NameHash: request.IssuerNameHash, KeyHash: request.IssuerKeyHash, Serial: request.SerialNumber,
		},
		ThisUpdate: now, NextUpdate: now.Add(ocspLife),
	}
	e, known := c.lookUp(request.SerialNumber)
	switch {
	case faults.Unknown || !known || !c.isIssuer(request):
		single.Unknown = true
	case faults.Revoked:
		single.Revoked.At = now.Add(-time.Minute)
	case !e.Revoked.IsZero() && !e.Revoked.After(now):
		single.Revoked = revokedInfo{At: e.Revoked, Reason: asn1.Enumerated(e.Reason)}
	default:
		single.Good = true
	}
	return seal(signer, responseData{
		Responder:  asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: signer.cert.RawSubject},
		ProducedAt: now, Responses: []singleResponse{single},
	})
}

// isIssuer reports whether the request is about a certificate of this CA.
func (c *CA) isIssuer(request *ocsp.Request) bool {
	if !request.HashAlgorithm.Available() {
		return false
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.cert.RawSubjectPublicKeyInfo, &info); err != nil {
		return false
	}
	hash := request.HashAlgorithm.New()
	hash.Write(c.cert.RawSubject)
	name := hash.Sum(nil)
	hash.Reset()
	hash.Write(info.Key.RightAlign())
	return bytes.Equal(name, request.IssuerNameHash) && bytes.Equal(hash.Sum(nil), request.IssuerKeyHash)
}

// seal signs an answer.
func seal(signer identity, data responseData) ([]byte, error) {
	tbs, err := asn1.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode the OCSP answer: %w", err)
	}
	digest := sha256.Sum256(tbs)
	key, ok := signer.key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("sign the OCSP answer: a key of type %T", signer.key)
	}
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return nil, fmt.Errorf("sign the OCSP answer: %w", err)
	}
	basic, err := asn1.Marshal(basicResponse{
		Data: data, Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA256},
		Signature:    asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
		Certificates: []asn1.RawValue{{FullBytes: signer.cert.Raw}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the OCSP answer: %w", err)
	}
	var out response
	out.Bytes.Type, out.Bytes.Value = oidBasicResponse, basic
	return asn1.Marshal(out)
}
