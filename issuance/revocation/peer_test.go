package revocation_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance/revocation"
)

// workshop is a folder with what openssl needs.
type workshop struct {
	tb  testing.TB
	dir string
}

func (w workshop) write(name string, content []byte) string {
	w.tb.Helper()
	path := filepath.Join(w.dir, name)
	must(w.tb, os.WriteFile(path, content, 0o600))
	return path
}

func (w workshop) certificate(name string, c *x509.Certificate) string {
	w.tb.Helper()
	return w.write(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func (w workshop) key(name string, key crypto.Signer) string {
	w.tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(w.tb, err)
	return w.write(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// try calls openssl in the folder.
func (w workshop) try(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "openssl", args...)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("openssl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (w workshop) run(args ...string) string {
	w.tb.Helper()
	out, err := w.try(w.tb.Context(), args...)
	must(w.tb, err)
	return out
}

// rsaCertificate makes a certificate with an RSA key; a nil issuer makes a root.
func rsaCertificate(tb testing.TB, template, issuer *x509.Certificate, signer *rsa.PrivateKey) (*x509.Certificate, *rsa.PrivateKey) {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(tb, err)
	if issuer == nil {
		issuer, signer = template, key
	}
	template.NotBefore, template.NotAfter = wallClock().Add(-24*time.Hour), wallClock().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	must(tb, err)
	cert, err := x509.ParseCertificate(der)
	must(tb, err)
	return cert, key
}

const caConfig = `[ca]
default_ca = own
[own]
database = index.txt
crlnumber = number
default_md = sha256
default_crl_days = 1
crl_extensions = ext
[ext]
authorityKeyIdentifier = keyid
`

// TestOpenSSLAnswers has openssl be the OCSP responder and the maker of the list, with RSA.
func TestOpenSSLAnswers(t *testing.T) {
	t.Parallel()
	w := workshop{t, t.TempDir()}
	root, rootKey := rsaCertificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "openssl's CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil, nil)
	responder, responderKey := rsaCertificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "openssl's responder"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
	}, root, rootKey)
	ca, caKey := w.certificate("ca.pem", root), w.key("ca.key", rootKey)
	signer, signerKey := w.certificate("responder.pem", responder), w.key("responder.key", responderKey)
	expiry := wallClock().Add(24 * time.Hour).Format("060102150405Z")
	withdrawn := wallClock().Add(-time.Hour)
	w.write("index.txt", fmt.Appendf(nil, "V\t%s\t\t10\tunknown\t/CN=good\nR\t%s\t%s,superseded\t11\tunknown\t/CN=revoked\n",
		expiry, expiry, withdrawn.Format("060102150405Z")))
	w.write("number", []byte("01\n"))
	w.write("ca.conf", []byte(caConfig))
	w.run("ca", "-config", "ca.conf", "-gencrl", "-keyfile", caKey, "-cert", ca, "-out", "list.pem")
	w.run("crl", "-in", "list.pem", "-outform", "DER", "-out", "list.der")
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/list" {
			http.ServeFile(rw, r, filepath.Join(w.dir, "list.der"))
			return
		}
		question, _ := io.ReadAll(r.Body)
		err := os.WriteFile(filepath.Join(w.dir, "request"), question, 0o600)
		if err == nil {
			args := []string{
				"ocsp", "-index", "index.txt", "-CA", ca, "-rsigner", signer, "-rkey", signerKey,
				"-reqin", "request", "-respout", "response", "-ndays", "1",
			}
			if r.URL.Path == "/ocsp/key" {
				args = append(args, "-resp_key_id")
			}
			_, err = w.try(r.Context(), args...)
		}
		if err != nil {
			t.Error(err)
		}
		http.ServeFile(rw, r, filepath.Join(w.dir, "response"))
	}))
	t.Cleanup(server.Close)
	collector := &revocation.Collector{HTTP: server.Client(), Now: time.Now, Timeout: time.Minute}
	for serial, revoked := range map[int64]bool{0x10: false, 0x11: true} {
		for _, path := range []string{"/ocsp/name", "/ocsp/key", "/list"} {
			template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "leaf"}}
			if path == "/list" {
				template.CRLDistributionPoints = []string{server.URL + path}
			} else {
				template.OCSPServer = []string{server.URL + path}
			}
			leaf, _ := rsaCertificate(t, template, root, rootKey)
			e, err := collector.Collect(t.Context(), []*x509.Certificate{leaf, root}, time.Time{})
			must(t, err)
			err = e.Status(leaf, root, time.Now())
			got, is := errors.AsType[*revocation.RevokedError](err)
			if is != revoked || (!revoked && err != nil) {
				t.Errorf("serial number %x by %s: %v", serial, path, err)
			}
			if revoked && is && (!got.At.Equal(withdrawn) || got.Reason != 4) {
				t.Errorf("%s: revoked on %s for %d, not %s for 4", path, got.At, got.Reason, withdrawn)
			}
		}
	}
}

// TestOpenSSLAgrees gives it the evidence that we accept.
func TestOpenSSLAgrees(t *testing.T) {
	t.Parallel()
	p := newProviderAt(t, wallClock())
	w := workshop{t, t.TempDir()}
	root, leaf := w.certificate("ca.pem", p.chain[1]), w.certificate("leaf.pem", p.chain[0])
	ask := func(want string) {
		t.Helper()
		e := p.fresh(t)
		got := w.run("ocsp", "-issuer", root, "-cert", leaf, "-respin", w.write("answer", e.OCSP[0]), "-CAfile", root, "-no_nonce")
		if !strings.Contains(got, "Response verify OK") || !strings.Contains(got, leaf+": "+want) {
			t.Errorf("openssl says %s", got)
		}
	}
	ask("good")
	must(t, p.ca.Revoke(p.chain[0].SerialNumber, p.clock.now(), 1))
	ask("revoked")
	p.ca.SetFaults(democa.Faults{OCSP: democa.OCSPFaults{Down: true}})
	e := p.fresh(t)
	got := w.run("crl", "-inform", "DER", "-in", w.write("list", e.CRLs[0]), "-CAfile", root, "-noout", "-text")
	if !strings.Contains(got, "verify OK") || !strings.Contains(got, strings.ToUpper(p.chain[0].SerialNumber.Text(16))) {
		t.Errorf("openssl says %s", got)
	}
}
