package hsm

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"
)

// The JWS algorithms of seal keys (RFC 7518 section 3.1).
const (
	algRS256 = "RS256"
	algPS256 = "PS256"
	algES256 = "ES256"
	algES384 = "ES384"
)

const (
	defaultSignTimeout  = 10 * time.Second
	defaultPollInterval = 2 * time.Second
	defaultRescan       = 10 * time.Minute
	minSecret           = 16
)

// complete checks a Config and fills its defaults. It does not look at files: a module or
// PIN file that is not there yet may appear.
func (c Config) complete() (Config, URI, error) {
	uri, err := ParseURI(c.URI)
	if err != nil {
		return c, URI{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if problem := c.problem(uri); problem != "" {
		return c, URI{}, fmt.Errorf("%w: %s", ErrConfig, problem)
	}
	if uri.Sessions > 0 {
		c.Sessions = uri.Sessions
	}
	if c.Sessions == 0 {
		c.Sessions = 1
	}
	if c.SignTimeout == 0 {
		c.SignTimeout = defaultSignTimeout
	}
	if c.PollInterval == 0 {
		c.PollInterval = defaultPollInterval
	}
	if c.RescanInterval == 0 {
		c.RescanInterval = defaultRescan
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, uri, nil
}

func (c Config) problem(uri URI) string {
	switch {
	case uri.ModulePath == "":
		return "the URI names no module-path, the driver of the token"
	case !filepath.IsAbs(uri.ModulePath):
		return "module-path must be absolute: a driver runs with all rights of the server"
	case uri.PINSource != "" && !filepath.IsAbs(uri.PINSource):
		return "pin-source must be an absolute path or file: URI"
	case uri.Token == "" && uri.Serial == "":
		return "the URI must name the token by token= (its label), serial= or both"
	case isSpy(uri.ModulePath):
		return spyProblem
	case c.env("PKCS11SPY") != "":
		return "PKCS11SPY is set: the spy driver writes the PIN into its log"
	case c.env("OPENSC_DEBUG") != "":
		return "OPENSC_DEBUG is set: OpenSC then writes the PIN into its log"
	case c.Guard == nil:
		return "Guard is missing: without a record of login attempts the token could be locked"
	case len(c.PINSecret) < minSecret:
		return fmt.Sprintf("PINSecret must have at least %d bytes", minSecret)
	case c.Now == nil:
		return "Now is missing"
	case c.Sessions < 0 || c.SignTimeout < 0 || c.PollInterval < 0 || c.RescanInterval < 0:
		return "Sessions, SignTimeout, PollInterval and RescanInterval must not be negative"
	}
	for _, cert := range c.Chain {
		if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			return "Chain must not contain the root " + cert.Subject.CommonName + ": who verifies has it already"
		}
	}
	return ""
}

const spyProblem = "module-path is a spy driver, which writes the PIN into its log"

// isSpy tells pkcs11-spy of OpenSC and what is called like it by its name.
func isSpy(path string) bool { return strings.HasSuffix(path, "-spy.so") }

func (c Config) env(name string) string {
	if c.Getenv == nil {
		return ""
	}
	return c.Getenv(name)
}
