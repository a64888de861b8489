package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// Trouble says why a call failed: in a word for programs, and in words for people.
type Trouble struct {
	Code  string // stable, one of the Trouble constants
	Words string // a clause in English of at most 120 characters, without capital and full stop
}

// Codes of Trouble. They are stable.
const (
	TroubleBlocked     = "blocked"     // the address may not be called
	TroubleTooLarge    = "too-large"   // the answer
	TroubleName        = "name"        // does not resolve
	TroubleRefused     = "refused"     // nothing listens there
	TroubleUnreachable = "unreachable" // no way leads there
	TroubleTimeout     = "timeout"     // took too long
	TroubleTLS         = "tls"         // no TLS, or none in common
	TroubleUntrusted   = "tls-chain"   // certificate of an unknown authority
	TroubleExpired     = "tls-expired" // certificate
	TroubleOtherName   = "tls-name"    // certificate for another host
	TroubleCertificate = "tls-invalid" // certificate, for other reasons
	TroubleRedirect    = "redirect"    // of a kind that is not followed
	TroubleCut         = "cut"         // the connection ended early
	TroubleCancelled   = "cancelled"   // by who asked
	TroubleUnknown     = "unknown"     // anything else
)

// maxWords is how much a trace shows.
const maxWords = 120

// Explain finds out what is behind an error of a client of this package, or of Read.
func Explain(err error) Trouble {
	for _, explain := range []func(error) (Trouble, bool){explainOurs, explainName, explainTLS, explainConnection} {
		if t, ok := explain(err); ok {
			if runes := []rune(t.Words); len(runes) > maxWords {
				t.Words = string(runes[:maxWords-1]) + "…"
			}
			return t
		}
	}
	return Trouble{TroubleUnknown, "the call failed"}
}

// explainOurs explains the refusals of this package.
func explainOurs(err error) (Trouble, bool) {
	if b, ok := errors.AsType[*blockedError](err); ok {
		return Trouble{TroubleBlocked, "the address may not be called: " + b.why}, true
	}
	if r, ok := errors.AsType[redirectError](err); ok {
		return Trouble{TroubleRedirect, "the address redirects in a way that is not followed: " + string(r)}, true
	}
	switch {
	case errors.Is(err, ErrTooLarge):
		return Trouble{TroubleTooLarge, "the answer is too large"}, true
	case errors.Is(err, context.Canceled):
		return Trouble{TroubleCancelled, "the call was cancelled"}, true
	}
	return Trouble{}, false
}

func explainName(err error) (Trouble, bool) {
	dns, ok := errors.AsType[*net.DNSError](err)
	if !ok {
		return Trouble{}, false
	}
	name := cut(dns.Name)
	switch {
	case dns.IsNotFound:
		return Trouble{TroubleName, fmt.Sprintf("the name %s does not resolve", name)}, true
	case dns.IsTimeout:
		return Trouble{TroubleName, fmt.Sprintf("the name %s does not resolve: the name server did not answer in time", name)}, true
	}
	return Trouble{TroubleName, fmt.Sprintf("the name %s does not resolve: the name server failed", name)}, true
}

func explainTLS(err error) (Trouble, bool) {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if c := unknown.Cert; c != nil && c.CheckSignatureFrom(c) == nil {
			return Trouble{TroubleUntrusted, "the TLS certificate is not trusted: it is self-signed"}, true
		}
		return Trouble{TroubleUntrusted, "the TLS certificate is not trusted: unknown authority, or an intermediate certificate is missing"}, true
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		names := "no name"
		if host.Certificate != nil && len(host.Certificate.DNSNames) > 0 {
			names = cut(host.Certificate.DNSNames[0])
		}
		return Trouble{TroubleOtherName, fmt.Sprintf("the TLS certificate is for %s, not for %s", names, cut(host.Host))}, true
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired && invalid.Cert != nil {
			return Trouble{TroubleExpired, fmt.Sprintf("the TLS certificate is valid from %s to %s only",
				invalid.Cert.NotBefore.UTC().Format("2006-01-02"), invalid.Cert.NotAfter.UTC().Format("2006-01-02"))}, true
		}
		return Trouble{TroubleCertificate, "the TLS certificate is not valid"}, true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Trouble{TroubleCertificate, "the TLS certificate is not valid"}, true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return Trouble{TroubleTLS, "what answers there does not speak TLS"}, true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return Trouble{TroubleTLS, "no TLS connection could be agreed on: the server may know old versions only"}, true
	}
	return Trouble{}, false
}

func explainConnection(err error) (Trouble, bool) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Trouble{TroubleRefused, "nothing listens there: the connection was refused"}, true
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return Trouble{TroubleUnreachable, "no way leads there from this server"}, true
	}
	op, isOp := errors.AsType[*net.OpError](err)
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch {
	case isOp && op.Op == "dial" && op.Timeout():
		return Trouble{TroubleTimeout, fmt.Sprintf("no connection within %v: a firewall may be in between", connectTimeout)}, true
	case isTimeout && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Trouble{TroubleTimeout, fmt.Sprintf("the answer took longer than %.0f s", totalTimeout.Seconds())}, true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Trouble{TroubleCut, "the connection was cut before the answer was complete"}, true
	}
	return Trouble{}, false
}

// cut makes a name from outside fit into a sentence.
func cut(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
	if len(name) > 45 {
		return name[:42] + "..."
	}
	return name
}

// blockedError is ErrBlocked with its reason.
type blockedError struct{ why string }

func blocked(format string, args ...any) error { return &blockedError{fmt.Sprintf(format, args...)} }

// Error implements error.
func (e *blockedError) Error() string { return ErrBlocked.Error() + ": " + e.why }

// Unwrap makes errors.Is find ErrBlocked.
func (*blockedError) Unwrap() error { return ErrBlocked }

// redirectError says which redirect is not followed.
type redirectError string

// Error implements error.
func (e redirectError) Error() string { return "redirect not followed: " + string(e) }
