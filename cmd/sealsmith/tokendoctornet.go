package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	"golang.org/x/crypto/ocsp"

	"github.com/sealsmith/sealsmith/hsm/ceremony"
	"github.com/sealsmith/sealsmith/issuance/revocation"
	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// outside asks others about a certificate and about the time.
type outside struct {
	client  *http.Client
	anchors *x509.CertPool // of time-stamping authorities
	clocks  []clock
}

// stampSettings are the time-stamping authorities and who vouches for them.
type stampSettings struct {
	addresses []string // may hold user and password
	anchors   *x509.CertPool
}

// stampSettings are those of the settings.
func (s *Settings) stampSettings() (stampSettings, error) {
	if _, err := s.authorities(); err != nil {
		return stampSettings{}, err
	}
	trust, err := readTrust(cmp.Or(s.TSATrust, s.Trust))
	return stampSettings{addresses: strings.Fields(s.TSA), anchors: trust}, err
}

// clock is what somebody else says the time is.
type clock struct {
	who    string
	ahead  time.Duration // of theirs before ours
	within time.Duration // how exactly that is known
}

// askOutside asks the issuer whether the certificate is revoked, each time-stamping
// authority for a stamp, and all of them for the time.
func askOutside(ctx context.Context, client *http.Client, cert *x509.Certificate, issuers []*x509.Certificate, stamps stampSettings) []ceremony.Finding {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	o := &outside{client: client, anchors: stamps.anchors}
	findings := []ceremony.Finding{o.revocation(ctx, cert, issuers)}
	if len(stamps.addresses) == 0 {
		findings = append(findings, ceremony.Finding{Check: "time-stamps", Outcome: ceremony.NotAsked, Seen: "no time-stamping authority is configured"})
	}
	for _, address := range stamps.addresses {
		findings = append(findings, o.stamp(ctx, address))
	}
	return append(findings, o.time())
}

// post asks, keeps what the answer says of the time, and returns the body.
func (o *outside) post(ctx context.Context, address, contentType string, body []byte) ([]byte, error) {
	const most = 1 << 20
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", contentType)
	begun := time.Now()
	response, err := o.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	took := time.Since(begun)
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		// Date has whole seconds and lies between question and answer.
		o.clocks = append(o.clocks, clock{request.URL.Host, date.Add(time.Second / 2).Sub(begun.Add(took / 2)), took/2 + time.Second})
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", request.URL.Host, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, most))
}

func (o *outside) revocation(ctx context.Context, cert *x509.Certificate, issuers []*x509.Certificate) ceremony.Finding {
	f := ceremony.Finding{Check: "revocation", Outcome: ceremony.NotAsked}
	var issuer *x509.Certificate
	for _, ca := range issuers {
		if bytes.Equal(ca.RawSubject, cert.RawIssuer) && cert.CheckSignatureFrom(ca) == nil {
			issuer = ca
		}
	}
	switch {
	case len(cert.OCSPServer) == 0:
		f.Seen = "the certificate names no OCSP responder"
		return f
	case issuer == nil:
		f.Seen, f.Do = "the issuer's certificate is not here, and a question needs it", "put it into the file of SEALSMITH_TRUST"
		return f
	}
	answer, err := o.ocsp(ctx, cert, issuer)
	if err != nil {
		f.Outcome, f.Seen = ceremony.Warn, "OCSP: "+err.Error()
		f.Do = "let this machine reach " + cert.OCSPServer[0] + "; without it seals get no proof for the long term (B-LT)"
		return f
	}
	f.Outcome, f.Seen = ceremony.OK, "the issuer says good, as of "+answer.ThisUpdate.UTC().Format("2 January 2006 15:04 UTC")
	switch {
	case answer.Status == ocsp.Revoked:
		f.Outcome, f.Seen = ceremony.Fail, "the issuer revoked the certificate on "+answer.RevokedAt.UTC().Format("2 January 2006 15:04 UTC")
		f.Do = "stop issuing (take the token out of SEALSMITH_TOKEN), ask the issuer why, and order a new certificate"
	case answer.Status != ocsp.Good:
		f.Outcome, f.Seen, f.Do = ceremony.Warn, "the issuer does not know the certificate", "new certificates take hours to be known; ask the issuer if it lasts"
	case !answer.NextUpdate.IsZero() && time.Now().After(answer.NextUpdate):
		f.Outcome, f.Seen, f.Do = ceremony.Warn, "the answer is out of date since "+answer.NextUpdate.UTC().Format("2 January 2006 15:04 UTC"), "check the clock of this machine, then ask the issuer"
	}
	return f
}

func (o *outside) ocsp(ctx context.Context, cert, issuer *x509.Certificate) (*ocsp.Response, error) {
	question, err := ocsp.CreateRequest(cert, issuer, &ocsp.RequestOptions{Hash: crypto.SHA1})
	if err != nil {
		return nil, err
	}
	answer, err := o.post(ctx, cert.OCSPServer[0], "application/ocsp-request", question)
	if err != nil {
		return nil, err
	}
	parsed, err := ocsp.ParseResponseForCert(answer, cert, nil)
	if err != nil {
		return nil, err
	}
	// Who may answer for the issuer (RFC 6960 section 4.2.2.2) is known in one place.
	if len(revocation.Evidence{OCSP: [][]byte{answer}}.Statements(cert, issuer)) == 0 {
		return nil, fmt.Errorf("%w: the answer counts for nothing", revocation.ErrSignature)
	}
	return parsed, nil
}

func (o *outside) stamp(ctx context.Context, address string) ceremony.Finding {
	f := ceremony.Finding{Check: "time-stamps", Outcome: ceremony.OK}
	name := address
	if u, err := url.Parse(address); err == nil {
		u.User = nil
		name = u.String()
	}
	stamp, took, err := o.askStamp(ctx, address)
	if err != nil {
		f.Outcome, f.Seen, f.Do = ceremony.Fail, name+": "+err.Error(), "correct the address, or let this machine reach it; a second authority keeps seals coming"
		return f
	}
	o.clocks = append(o.clocks, clock{"the time-stamp of " + name, time.Until(stamp.Time) + took/2, took/2 + time.Second + stamp.Accuracy})
	f.Seen = fmt.Sprintf("%s stamped in %d ms", name, took.Milliseconds())
	token, err := tsp.Parse(stamp.RawToken)
	if err == nil {
		f.Seen += ", " + token.Signer.Subject.CommonName
		_, err = token.Chain(o.anchors, nil, token.Time)
	}
	if err != nil {
		f.Outcome, f.Seen = ceremony.Fail, f.Seen+", but "+err.Error()
		f.Do = "put the certificate that vouches for the authority into the file of --tsa-trust"
	}
	return f
}

func (o *outside) askStamp(ctx context.Context, address string) (*timestamp.Timestamp, time.Duration, error) {
	content := make([]byte, 32)
	_, _ = rand.Read(content) // never fails
	question, err := timestamp.CreateRequest(bytes.NewReader(content), &timestamp.RequestOptions{Hash: crypto.SHA256, Certificates: true})
	if err != nil {
		return nil, 0, err
	}
	begun := time.Now()
	answer, err := o.post(ctx, address, "application/timestamp-query", question)
	if err != nil {
		return nil, 0, err
	}
	took := time.Since(begun)
	stamp, err := timestamp.ParseResponse(answer)
	if err != nil {
		return nil, 0, err
	}
	if sum := sha256.Sum256(content); !bytes.Equal(stamp.HashedMessage, sum[:]) {
		return nil, 0, errors.New("the stamp is for something else than was sent")
	}
	return stamp, took, nil
}

// time compares our clock with those of all who were asked.
func (o *outside) time() ceremony.Finding {
	const annoying, wrong = 5 * time.Second, time.Minute
	f := ceremony.Finding{Check: "clock", Outcome: ceremony.OK}
	if len(o.clocks) == 0 {
		f.Outcome, f.Seen = ceremony.NotAsked, "nobody who was asked told the time"
		return f
	}
	var worst clock
	off := time.Duration(-1)
	for _, c := range o.clocks {
		if by := max(c.ahead.Abs()-c.within, 0); by > off {
			worst, off = c, by
		}
	}
	f.Seen = fmt.Sprintf("as that of %s, to about a second", worst.who)
	if off > annoying {
		side := "behind"
		if worst.ahead < 0 {
			side = "ahead of"
		}
		f.Outcome, f.Seen = ceremony.Warn, fmt.Sprintf("this machine is about %s %s %s", worst.ahead.Abs().Round(time.Second), side, worst.who)
		f.Do = "let systemd-timesyncd or chrony set the clock: seals carry the time"
	}
	if off > wrong {
		f.Outcome = ceremony.Fail
	}
	return f
}
