package democa_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ocsp"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/democa"
)

var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// served makes a CA whose certificates name the server that it answers on.
func served(tb testing.TB, dir string) (*democa.CA, *httptest.Server) {
	tb.Helper()
	ca, err := democa.New(democa.Options{Dir: dir, Now: clock, Rand: rand.Reader})
	must(tb, err)
	server := httptest.NewServer(http.StripPrefix("/demo-ca", ca.Handler()))
	tb.Cleanup(server.Close)
	ca.SetBaseURL(server.URL + "/demo-ca/")
	return ca, server
}

var subject = democa.Subject{Organisation: "Hogeschool Havenstad", CommonName: "Havenstad eSeal", OrganisationIdentifier: "NTRNL-12345678", Country: "NL"}

func issueSeal(tb testing.TB, ca *democa.CA) *x509.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	cert, err := ca.IssueSeal(subject, key.Public(), nil)
	must(tb, err)
	return cert
}

func TestIssueSeal(t *testing.T) {
	t.Parallel()
	ca, server := served(t, "")
	cert := issueSeal(t, ca)
	want := hsm.SealFacts{
		Organisation: "Hogeschool Havenstad", CommonName: "Havenstad eSeal", OrganisationIdentifier: "NTRNL-12345678",
		Country: "NL", QcCompliance: true, QcTypeESeal: true, ContentCommitment: true,
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(-time.Hour).Add(democa.Validity),
	}
	if diff := cmp.Diff(want, hsm.InspectSeal(cert)); diff != "" {
		t.Error(diff)
	}
	base := server.URL + "/demo-ca"
	if diff := cmp.Diff([]string{base + "/ocsp", base + "/crl", base + "/ca.der"},
		[]string{cert.OCSPServer[0], cert.CRLDistributionPoints[0], cert.IssuingCertificateURL[0]}); diff != "" {
		t.Error(diff)
	}
	if len(cert.SubjectKeyId) == 0 || !bytes.Equal(cert.AuthorityKeyId, ca.Certificate().SubjectKeyId) {
		t.Error("key identifiers do not lead to the CA")
	}
	if !cert.BasicConstraintsValid || cert.IsCA || len(cert.Policies) != 1 {
		t.Error("basic constraints or policy")
	}
}

func TestServiceCertificates(t *testing.T) {
	t.Parallel()
	ca, _ := served(t, "")
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	first, err := ca.TSACertificate(false)
	must(t, err)
	second, err := ca.TSACertificate(true)
	must(t, err)
	if first.Equal(second) || first.Subject.String() == second.Subject.String() {
		t.Error("both authorities are one")
	}
	for _, cert := range []*x509.Certificate{first, second} {
		_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}})
		must(t, err)
		if len(cert.ExtKeyUsage) != 1 || !critical(cert, "2.5.29.37") || len(cert.OCSPServer) != 1 {
			t.Error("not a certificate for time-stamping alone")
		}
	}
}

func critical(cert *x509.Certificate, id string) bool {
	for _, e := range cert.Extensions {
		if e.Id.String() == id {
			return e.Critical
		}
	}
	return false
}

func TestKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ca")
	ca, _ := served(t, dir)
	cert := issueSeal(t, ca)
	must(t, ca.Revoke(cert.SerialNumber, noon.Add(-time.Minute), ocsp.KeyCompromise))
	for _, name := range []string{"ca.key", "ca.pem", "issued.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	again, server := served(t, dir)
	if !again.Certificate().Equal(ca.Certificate()) {
		t.Fatal("another CA")
	}
	answer := askOCSP(t, again, server, cert, http.MethodPost)
	if answer.Status != ocsp.Revoked || answer.RevocationReason != ocsp.KeyCompromise || !answer.RevokedAt.Equal(noon.Add(-time.Minute)) {
		t.Errorf("the revocation was forgotten: %+v", answer)
	}
	must(t, os.WriteFile(filepath.Join(dir, "ca.key"), []byte("-"), 0o600))
	if _, err := democa.New(democa.Options{Dir: dir, Now: clock, Rand: rand.Reader}); !errors.Is(err, democa.ErrDamaged) {
		t.Errorf("damaged key: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	kept := t.TempDir()
	_, err := democa.New(democa.Options{Dir: kept, Now: clock, Rand: rand.Reader})
	must(t, err)
	broken := t.TempDir()
	must(t, os.WriteFile(filepath.Join(broken, "ca.pem"), []byte("no PEM"), 0o600))
	late := func() time.Time { return noon.AddDate(9, 0, 0) }
	tests := map[string]struct {
		options democa.Options
		want    error
	}{
		"no clock":         {democa.Options{Rand: rand.Reader}, democa.ErrOptions},
		"no randomness":    {democa.Options{Now: clock}, democa.ErrOptions},
		"country in words": {democa.Options{Now: clock, Rand: rand.Reader, Country: "Nederland"}, democa.ErrOptions},
		"ends too soon":    {democa.Options{Dir: kept, Now: late, Rand: rand.Reader}, democa.ErrDamaged},
		"broken":           {democa.Options{Dir: broken, Now: clock, Rand: rand.Reader}, democa.ErrDamaged},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := democa.New(test.options); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// rawOCSP asks as RFC 6960 appendix A says.
func rawOCSP(tb testing.TB, server *httptest.Server, request []byte, method string) []byte {
	tb.Helper()
	address := server.URL + "/demo-ca/ocsp"
	var body io.Reader = bytes.NewReader(request)
	if method == http.MethodGet {
		address, body = address+"/"+url.QueryEscape(base64.StdEncoding.EncodeToString(request)), nil
	}
	req, err := http.NewRequest(method, address, body)
	must(tb, err)
	resp, err := server.Client().Do(req)
	must(tb, err)
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "application/ocsp-response" {
		tb.Fatalf("%d %s", resp.StatusCode, got)
	}
	answer, err := io.ReadAll(resp.Body)
	must(tb, err)
	return answer
}

func askOCSP(tb testing.TB, ca *democa.CA, server *httptest.Server, cert *x509.Certificate, method string) *ocsp.Response {
	tb.Helper()
	request, err := ocsp.CreateRequest(cert, ca.Certificate(), nil)
	must(tb, err)
	answer, err := ocsp.ParseResponseForCert(rawOCSP(tb, server, request, method), cert, ca.Certificate())
	must(tb, err)
	return answer
}

func TestOCSP(t *testing.T) {
	t.Parallel()
	ca, server := served(t, "")
	cert := issueSeal(t, ca)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		answer := askOCSP(t, ca, server, cert, method)
		if answer.Status != ocsp.Good || !answer.ThisUpdate.Equal(noon) || !answer.NextUpdate.After(noon) || !answer.ProducedAt.Equal(noon) {
			t.Errorf("%s: %+v", method, answer)
		}
		responder := answer.Certificate
		if len(responder.ExtKeyUsage) != 1 || responder.ExtKeyUsage[0] != x509.ExtKeyUsageOCSPSigning {
			t.Errorf("%s: responder's purpose %v", method, responder.ExtKeyUsage)
		}
	}
	stranger, _ := served(t, "")
	if got := askOCSP(t, ca, server, ca.Certificate(), http.MethodPost); got.Status != ocsp.Unknown {
		t.Errorf("a serial number that was not issued: %v", got.Status)
	}
	request, err := ocsp.CreateRequest(cert, stranger.Certificate(), nil)
	must(t, err)
	answer, err := ocsp.ParseResponse(rawOCSP(t, server, request, http.MethodPost), ca.Certificate())
	must(t, err)
	if answer.Status != ocsp.Unknown {
		t.Errorf("of another issuer: %v", answer.Status)
	}
	if _, err := ocsp.ParseResponse(rawOCSP(t, server, []byte("x"), http.MethodPost), nil); !errors.Is(err, ocsp.ResponseError{Status: ocsp.Malformed}) {
		t.Errorf("garbage: %v", err)
	}
}

func TestOCSPFaults(t *testing.T) {
	t.Parallel()
	ca, server := served(t, "")
	cert := issueSeal(t, ca)
	status := func(f democa.OCSPFaults) *ocsp.Response {
		ca.SetFaults(democa.Faults{OCSP: f})
		return askOCSP(t, ca, server, cert, http.MethodPost)
	}
	if got := status(democa.OCSPFaults{Revoked: true}); got.Status != ocsp.Revoked {
		t.Errorf("revoked: %v", got.Status)
	}
	if got := status(democa.OCSPFaults{Unknown: true}); got.Status != ocsp.Unknown {
		t.Errorf("unknown: %v", got.Status)
	}
	if got := status(democa.OCSPFaults{Stale: true}); !got.NextUpdate.Before(noon) {
		t.Errorf("stale: %v", got.NextUpdate)
	}
	if got := status(democa.OCSPFaults{WrongSigner: true}); got.Certificate.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping {
		t.Errorf("wrong signer: %v", got.Certificate.ExtKeyUsage)
	}
	ca.SetFaults(democa.Faults{OCSP: democa.OCSPFaults{TryLater: true}})
	request, err := ocsp.CreateRequest(cert, ca.Certificate(), nil)
	must(t, err)
	if _, err := ocsp.ParseResponse(rawOCSP(t, server, request, http.MethodPost), nil); !errors.Is(err, ocsp.ResponseError{Status: ocsp.TryLater}) {
		t.Errorf("try later: %v", err)
	}
	ca.SetFaults(democa.Faults{OCSP: democa.OCSPFaults{Down: true}, CRL: democa.CRLFaults{Down: true}})
	for _, path := range []string{"/ocsp/AAAA", "/crl"} {
		if code, _ := get(t, server, path); code != http.StatusServiceUnavailable {
			t.Errorf("down: %s answers %d", path, code)
		}
	}
}

func get(tb testing.TB, server *httptest.Server, path string) (int, []byte) {
	tb.Helper()
	resp, err := server.Client().Get(server.URL + "/demo-ca" + path)
	must(tb, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(tb, err)
	return resp.StatusCode, body
}

func TestCRL(t *testing.T) {
	t.Parallel()
	ca, server := served(t, "")
	revoked, good := issueSeal(t, ca), issueSeal(t, ca)
	must(t, ca.Revoke(revoked.SerialNumber, noon.Add(-time.Hour), 5))
	if err := ca.Revoke(big.NewInt(1), noon, 0); !errors.Is(err, democa.ErrNotIssued) {
		t.Errorf("unknown serial number: %v", err)
	}
	read := func() *x509.RevocationList {
		_, der := get(t, server, "/crl")
		list, err := x509.ParseRevocationList(der)
		must(t, err)
		must(t, list.CheckSignatureFrom(ca.Certificate()))
		return list
	}
	list := read()
	if len(list.RevokedCertificateEntries) != 1 {
		t.Fatalf("%d entries", len(list.RevokedCertificateEntries))
	}
	e := list.RevokedCertificateEntries[0]
	if e.SerialNumber.Cmp(revoked.SerialNumber) != 0 || e.ReasonCode != 5 || e.SerialNumber.Cmp(good.SerialNumber) == 0 {
		t.Errorf("entry %+v", e)
	}
	if !list.ThisUpdate.Equal(noon) || !list.NextUpdate.After(noon) {
		t.Errorf("from %v to %v", list.ThisUpdate, list.NextUpdate)
	}
	ca.SetFaults(democa.Faults{CRL: democa.CRLFaults{Stale: true}})
	if list := read(); !list.NextUpdate.Before(noon) || len(list.RevokedCertificateEntries) != 0 {
		t.Error("a stale list is not of last month")
	}
	if _, der := get(t, server, "/ca.der"); !bytes.Equal(der, ca.Certificate().Raw) {
		t.Error("/ca.der is not the root")
	}
}
