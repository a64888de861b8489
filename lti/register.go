package lti

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sealsmith/sealsmith/lti/fetch"
)

// RegistrarDeps is what a Registrar needs. All fields are required.
type RegistrarDeps struct {
	PublicURL *url.URL // origin of the tool as browsers see it
	// HTTP is the client for calls to a platform: fetch.Clients. It is asked with a
	// registration that has no settings yet, so hosts in private networks stay closed.
	HTTP        func(Registration) *http.Client
	Rand        io.Reader // crypto/rand.Reader
	Logger      *slog.Logger
	Tool        ToolDescription
	Invitations Invitations // ltistore.New
	// Page shows what came of a registration, of both kinds. A refusal is in p, and Page
	// notes it for the log.
	Page func(w http.ResponseWriter, r *http.Request, p RegisterPage)
	// Problem answers when the server itself failed.
	Problem func(w http.ResponseWriter, r *http.Request, err error)
}

// ToolDescription is how the tool presents itself to administrators and teachers.
type ToolDescription struct {
	// Name by language (BCP 47); "en" is required and stands where no language is asked for.
	Name map[string]string
	// Description in one sentence, in English.
	Description string
	// AttachLabel by language is what a teacher presses to choose content; "en" is required.
	AttachLabel map[string]string
	// Contacts are mail addresses of those who run the tool; may be empty.
	Contacts []string
	// LogoURL, PolicyURL and TermsURL may be empty.
	LogoURL, PolicyURL, TermsURL string
}

// Registrar registers the tool with platforms that ask for it (LTI Dynamic Registration
// 1.0). It is safe for concurrent use and keeps nothing between two calls.
type Registrar struct {
	deps   RegistrarDeps
	origin string
}

// NewRegistrar checks deps. It calls nobody.
func NewRegistrar(deps RegistrarDeps) (*Registrar, error) {
	if deps.HTTP == nil || deps.Rand == nil || deps.Logger == nil || deps.Invitations == nil || deps.Page == nil || deps.Problem == nil ||
		deps.Tool.Name["en"] == "" || deps.Tool.AttachLabel["en"] == "" || deps.Tool.Description == "" {
		return nil, errors.New("lti: every field of RegistrarDeps is required")
	}
	if deps.PublicURL == nil || deps.PublicURL.Host == "" || !secureOrLoopback(deps.PublicURL) {
		return nil, errors.New("lti: the public URL must be an origin such as https://tool.example.edu")
	}
	return &Registrar{deps: deps, origin: deps.PublicURL.Scheme + "://" + deps.PublicURL.Host}, nil
}

// client does not follow redirects: where a registration goes was said by a platform, and
// a redirect would let anybody else say it again (the target may be a private network, or
// get the token).
func (g *Registrar) client(r Registration) *http.Client {
	c := *g.deps.HTTP(r)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

const (
	registrationMaxBytes = 256 << 10
	registrationTimeout  = 20 * time.Second // the client's own limit is shorter
	loginKeyBytes        = 16
)

// Register adds the tool to the platform (Dynamic Registration 1.0, section 3.6) and
// returns the registration that comes of it, pending and with the deployment that the
// platform has made, if any; nothing is stored. The platform's token, if there is one,
// is good for one registration, therefore nothing is tried twice: when the outcome is not
// known, the error says so (CodeRegistrationUnknown). The error is a *CheckError, or of
// the server.
func (g *Registrar) Register(ctx context.Context, c PlatformConfiguration, token string, inv Invitation) (Registration, error) {
	key, err := g.loginKey()
	if err != nil {
		return Registration{}, err
	}
	body, err := marshal(g.request(c, key))
	if err != nil {
		return Registration{}, err
	}
	// The platform may have added the tool although the browser has left meanwhile.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), registrationTimeout, errors.New("the platform took too long to register the tool"))
	defer cancel()
	reply, err := g.post(ctx, c, token, body)
	if err != nil {
		return Registration{}, err
	}
	clientID, deployment, err := readReply(reply)
	if err != nil {
		return Registration{}, err
	}
	r := Registration{
		OrganisationID: inv.OrganisationID, Name: inv.Name, Issuer: c.Issuer, ClientID: clientID,
		AuthURL: c.AuthURL, TokenURL: c.TokenURL, JWKSURL: c.JWKSURL, TokenAudience: c.TokenAudience,
		Status: StatusPending, LoginKey: key, ProductFamily: strings.ToLower(c.ProductFamily),
	}
	if u, err := url.Parse(c.Issuer); err == nil && r.Name == "" {
		r.Name = u.Host
	}
	if deployment != "" {
		r.Deployments = []string{deployment}
	}
	if err := r.Validate(); err != nil { // its parts were checked one by one
		return Registration{}, refuse(CodeRegistrationForm, "", "").because(err)
	}
	return r, nil
}

func (g *Registrar) loginKey() (string, error) {
	b := make([]byte, loginKeyBytes)
	if _, err := io.ReadFull(g.deps.Rand, b); err != nil {
		return "", fmt.Errorf("make a login key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// reply is a complete answer to a registration that succeeded.
type reply struct {
	body     []byte
	received string // for people
}

func (g *Registrar) post(ctx context.Context, c PlatformConfiguration, token string, body []byte) (reply, error) {
	u, err := checkServiceURL(CodeConfigurationEndpoint, "registration_endpoint", c.RegistrationURL)
	if err != nil {
		return reply{}, err
	}
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return reply{}, refuse(CodeConfigurationEndpoint, "registration_endpoint", withoutQuery(c.RegistrationURL)).because(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := g.client(Registration{}).Do(req)
	if err != nil {
		if sent.Load() {
			return reply{}, unreachable(CodeRegistrationUnknown, u, err)
		}
		return reply{}, unreachable(CodeRegistrationUnsent, u, err)
	}
	defer res.Body.Close()
	answer, err := fetch.Read(res.Body, registrationMaxBytes)
	if err != nil {
		return reply{}, unreachable(CodeRegistrationUnknown, u, err)
	}
	if err := registrationStatus(res, answer, token); err != nil {
		return reply{}, err
	}
	return reply{answer, cameBack(res, answer, token)}, nil
}

// registrationStatus turns a reply that is no success into a refusal.
func registrationStatus(res *http.Response, body []byte, token string) error {
	what := cameBack(res, body, token)
	switch status := res.StatusCode; {
	case status == http.StatusOK || status == http.StatusCreated:
		return nil
	case status >= 500: // it may have failed after the tool was added
		return refuse(CodeRegistrationUnknown, "", what)
	case status >= 300 && status < 400:
		return refuse(CodeRegistrationRedirect, "", what)
	case status == http.StatusUnauthorized: // Moodle: text/html, token_already_used
		return refuse(CodeRegistrationTokenUsed, "", what)
	}
	// RFC 7591, section 3.2.2.
	if document, err := parseObject(body); err == nil {
		code, _ := document.text("error")
		description, _ := document.text("error_description")
		if text := strings.TrimSpace(code + " " + description); text != "" {
			what = redact(text, token)
		}
	}
	return refuse(CodeRegistrationRefused, "", what)
}

// readReply reads the client information response (RFC 7591, section 3.2.1, with the part
// of LTI). What it echoes of our request is not compared with it: Moodle leaves out what it
// does not keep, and cuts values in the echo that it stores whole.
func readReply(r reply) (clientID, deployment string, err error) {
	document, err := parseObject(r.body)
	if err != nil {
		return "", "", refuse(CodeRegistrationForm, "JSON", r.received).because(err)
	}
	clientID = document.identifier("client_id")
	if clientID == "" {
		return "", "", refuse(CodeRegistrationNoClientID, "client_id", r.received)
	}
	tool, _ := document.object(claimToolConfig)
	return clientID, tool.identifier("deployment_id"), nil
}

// identifier returns an id that is text, or a whole number as Canvas has sent.
func (o object) identifier(name string) string {
	raw, ok := o.raw(name)
	if !ok {
		return ""
	}
	text, is := o.text(name)
	if is != present {
		if strings.Trim(string(raw), "0123456789") != "" {
			return ""
		}
		text = string(raw)
	}
	if validateText(name, text) != nil {
		return ""
	}
	return text
}

// unreachable names why there was no answer. The address in a *url.Error is left out: it
// has its query, and the query may have a token.
func unreachable(code string, u *url.URL, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("call %s: %w", u.Host, err)
	case errors.Is(err, fetch.ErrBlocked):
		return refuse(CodeAddressBlocked, "", u.Host).because(err)
	}
	return refuse(code, "", u.Host+": "+cause(err)).because(err)
}

func cause(err error) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case isType[*net.DNSError](err):
		return "the name is not known"
	case isType[*tls.CertificateVerificationError](err):
		return "the certificate is not valid"
	}
	return "no connection"
}

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// cameBack says what came back: status, type, and how it begins.
func cameBack(res *http.Response, body []byte, token string) string {
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		kind = "no content type"
	}
	begin := "nothing"
	if len(bytes.TrimSpace(body)) > 0 {
		begin = redact(plain(string(body[:min(len(body), 2000)]), 80), token)
	}
	return fmt.Sprintf("%d %s, %s: %s", res.StatusCode, http.StatusText(res.StatusCode), kind, begin)
}

// redact takes a token out of a text that a platform sent: some echo what they refuse.
func redact(text, token string) string {
	if token == "" {
		return text
	}
	if i := strings.Index(text, token[:min(len(token), 12)]); i >= 0 {
		return text[:i] + "…"
	}
	return text
}

// RegisterPage is what an administrator of a platform sees after a registration was
// tried.
type RegisterPage struct {
	// Refused is nil after success. What it received is shown: it helps to find the cause.
	Refused *CheckError
	// Registered is set after success.
	Registered *Registered
	// After are the steps that follow in the platform, after success.
	After []string
	// Manual is how the tool is entered by hand, where the platform did not ask for a
	// registration at all.
	Manual []Instructions
}
