package democa

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"math/big"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
)

// The paths below BaseURL.
const (
	pathTSA  = "/tsa"
	pathTSA2 = "/tsa2"
	pathOCSP = "/ocsp"
	pathCRL  = "/crl"
	pathRoot = "/ca.der"
)

const (
	maxRequest = 64 << 10
	hugeBody   = 64 << 20
	farOff     = time.Hour
	typeReply  = "application/timestamp-reply"
)

// Policy is the policy of the demo's time-stamps: BTSP of EN 319 421 section 5.2.
var Policy = asn1.ObjectIdentifier{0, 4, 0, 2023, 1, 1}

// Handler serves /tsa and /tsa2 (RFC 3161 over HTTP: POST), /ocsp (RFC 6960 appendix A: POST
// and GET), /crl and /ca.der (GET), all below the path where it is mounted with
// http.StripPrefix.
func (c *CA) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathTSA, func(w http.ResponseWriter, r *http.Request) { c.serveTSA(w, r, false) })
	mux.HandleFunc("POST "+pathTSA2, func(w http.ResponseWriter, r *http.Request) { c.serveTSA(w, r, true) })
	mux.HandleFunc("POST "+pathOCSP, c.serveOCSP)
	mux.HandleFunc("GET "+pathCRL, c.serveCRL)
	mux.HandleFunc("GET "+pathRoot, func(w http.ResponseWriter, _ *http.Request) {
		write(w, "application/pkix-cert", c.cert.Raw)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Base64 holds slashes, two of which in a row the multiplexer would redirect away.
		if strings.HasPrefix(r.URL.Path, pathOCSP+"/") && r.Method == http.MethodGet {
			c.serveOCSP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func write(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}

func hasType(r *http.Request, want string) bool {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && got == want
}

func (c *CA) serveTSA(w http.ResponseWriter, r *http.Request, second bool) {
	faults := c.Faults().TSA
	if second {
		faults = c.Faults().TSA2
	}
	if !hasType(r, "application/timestamp-query") {
		http.Error(w, "POST application/timestamp-query, RFC 3161 section 3.4", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "the request is too long", http.StatusRequestEntityTooLarge)
		return
	}
	wait(r.Context(), faults.Slow)
	switch {
	case faults.Down:
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		return
	case faults.Garbage:
		write(w, typeReply, []byte("this is not a time-stamp"))
		return
	case faults.HugeBody:
		write(w, typeReply, bytes.Repeat([]byte{0}, hugeBody))
		return
	}
	reply, err := c.stamp(body, faults, second)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	contentType := typeReply
	if faults.WrongContentType {
		contentType = "text/html"
	}
	write(w, contentType, reply)
}

// stamp answers one request.
func (c *CA) stamp(body []byte, faults TSAFaults, second bool) ([]byte, error) {
	request, err := timestamp.ParseRequest(body)
	switch {
	case err != nil:
		return timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.BadDataFormat)
	case faults.Rejected:
		return timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.SystemFailure)
	case request.HashAlgorithm == crypto.SHA1:
		return timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.BadAlgorithm)
	case len(request.HashedMessage) != request.HashAlgorithm.Size():
		return timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.BadDataFormat)
	case request.TSAPolicyOID != nil && !request.TSAPolicyOID.Equal(Policy):
		return timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.UnacceptedPolicy)
	}
	service, err := c.service(tsaRole(second))
	if err != nil {
		return nil, err
	}
	t := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Nonce: request.Nonce,
		Policy: Policy, Time: c.now(), Accuracy: time.Second, AddTSACertificate: request.Certificates,
	}
	faults.disturb(&t)
	return t.CreateResponseWithOpts(service.cert, service.key, crypto.SHA256)
}

// disturb makes a lie of what will be signed.
func (f TSAFaults) disturb(t *timestamp.Timestamp) {
	if f.WrongNonce && t.Nonce != nil {
		t.Nonce = new(big.Int).Add(t.Nonce, big.NewInt(1))
	}
	if f.NoNonce {
		t.Nonce = nil
	}
	if f.WrongImprint {
		t.HashedMessage = bytes.Clone(t.HashedMessage)
		t.HashedMessage[0] ^= 1
	}
	if f.OtherPolicy {
		t.Policy = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
	}
	switch {
	case f.Future:
		t.Time = t.Time.Add(farOff)
	case f.Past:
		t.Time = t.Time.Add(-farOff + time.Minute) // within the certificate's validity
	}
	if f.NoCertificates {
		t.AddTSACertificate = false
	}
}

func (c *CA) serveCRL(w http.ResponseWriter, _ *http.Request) {
	faults := c.Faults().CRL
	if faults.Down {
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		return
	}
	der, err := c.crl(faults)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, "application/pkix-crl", der)
}

// crl signs the list of revoked certificates.
func (c *CA) crl(faults CRLFaults) ([]byte, error) {
	from := c.now()
	if faults.Stale {
		from = from.Add(-staleness)
	}
	list := &x509.RevocationList{Number: big.NewInt(from.Unix()), ThisUpdate: from, NextUpdate: from.Add(crlLife)}
	for _, e := range c.revoked() {
		serial, ok := new(big.Int).SetString(e.Serial, 16)
		if !ok || e.Revoked.After(from) {
			continue
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serial, RevocationTime: e.Revoked, ReasonCode: e.Reason,
		})
	}
	return x509.CreateRevocationList(rand.Reader, list, c.cert, c.key)
}
