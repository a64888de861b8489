package fetch

import (
	"crypto/x509"
	"net"
	"time"
)

// WithResolver asks r instead of the system's name servers.
func (c Config) WithResolver(r *net.Resolver) Config { c.resolver = r; return c }

// WithRoots trusts these authorities instead of the system's.
func (c Config) WithRoots(pool *x509.CertPool) Config { c.roots = pool; return c }

// WithTimeout ends calls after d in all.
func (c Config) WithTimeout(d time.Duration) Config { c.timeout = d; return c }
