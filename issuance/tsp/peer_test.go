package tsp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// workshop is a folder with what openssl needs.
type workshop struct {
	tb  testing.TB
	dir string
}

func newWorkshop(tb testing.TB) workshop {
	tb.Helper()
	return workshop{tb, tb.TempDir()}
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

// openssl is run in the folder.
func (w workshop) openssl(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "openssl", args...)
	cmd.Dir = w.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("openssl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

const tsaConfig = `[tsa]
default_tsa = own
[own]
serial = serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.5
digests = sha256
accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 3
ordering = yes
tsa_name = %s
ess_cert_id_chain = no
ess_cert_id_alg = %s
`

// TestOpenSSLStamps has openssl be the authority, with the names that it can give.
func TestOpenSSLStamps(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][2]string{"ESSCertID": {"no", "sha1"}, "ESSCertIDv2": {"yes", "sha256"}, "ESSCertIDv2 by SHA-512": {"no", "sha512"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkshop(t)
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			must(t, err)
			by := newAuthority(t, key, func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
			})
			cert, private := w.certificate("tsa.pem", by.cert), w.key("tsa.key", key)
			w.write("tsa.conf", fmt.Appendf(nil, tsaConfig, options[0], options[1]))
			w.write("serial", []byte("01\n"))
			var one sync.Mutex // the file of serial numbers
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				one.Lock()
				defer one.Unlock()
				question, _ := io.ReadAll(r.Body)
				err := os.WriteFile(filepath.Join(w.dir, "query"), question, 0o600)
				if err == nil {
					err = w.openssl(r.Context(), "ts", "-reply", "-config", "tsa.conf", "-queryfile", "query", "-signer", cert, "-inkey", private, "-out", "reply")
				}
				if err != nil {
					t.Error(err)
				}
				rw.Header().Set("Content-Type", "application/timestamp-reply")
				http.ServeFile(rw, r, filepath.Join(w.dir, "reply"))
			}))
			t.Cleanup(server.Close)
			c := &tsp.Client{
				Authorities: []tsp.Authority{{URL: server.URL, Policy: []int{1, 2, 3, 4, 5}}},
				HTTP:        server.Client(), Now: time.Now, Anchors: pool(by.cert), Timeout: time.Minute,
			}
			for serial := range int64(2) {
				token, err := c.Stamp(t.Context(), []byte("stamped"))
				must(t, err)
				if !token.Covers([]byte("stamped")) || token.SerialNumber.Cmp(big.NewInt(serial+2)) != 0 || token.Accuracy != 1500100*time.Microsecond {
					t.Errorf("token %+v", token)
				}
			}
		})
	}
}

// TestOpenSSLAsks has openssl ask the demo's authority, and judge the answer.
func TestOpenSSLAsks(t *testing.T) {
	t.Parallel()
	ca, err := democa.New(democa.Options{Now: time.Now, Rand: rand.Reader})
	must(t, err)
	server := httptest.NewServer(ca.Handler())
	t.Cleanup(server.Close)
	w := newWorkshop(t)
	root, data := w.certificate("ca.pem", ca.Certificate()), w.write("data", []byte("stamped"))
	must(t, w.openssl(t.Context(), "ts", "-query", "-data", data, "-sha256", "-cert", "-out", "query"))
	query, err := os.ReadFile(filepath.Join(w.dir, "query"))
	must(t, err)
	resp, err := server.Client().Post(server.URL+"/tsa", "application/timestamp-query", bytes.NewReader(query))
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	w.write("reply", body)
	must(t, w.openssl(t.Context(), "ts", "-verify", "-queryfile", "query", "-in", "reply", "-CAfile", root))
	token, err := tsp.ParseResponse(body)
	must(t, err)
	if !token.Covers([]byte("stamped")) {
		t.Error("we say that it covers something else")
	}
	w.write("data", []byte("tampered"))
	if err := w.openssl(t.Context(), "ts", "-verify", "-data", data, "-in", "reply", "-CAfile", root); err == nil {
		t.Error("openssl lets other data pass")
	}
}
