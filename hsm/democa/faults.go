package democa

import (
	"context"
	"time"
)

// Faults says how the provider misbehaves; the zero value is an honest one. Of several
// faults of one endpoint that exclude each other the one that is listed first wins.
type Faults struct {
	TSA, TSA2 TSAFaults
	OCSP      OCSPFaults
	CRL       CRLFaults
}

// TSAFaults disturb a time-stamping authority.
type TSAFaults struct {
	Slow             time.Duration // waits so long before it answers
	Down             bool          // answers 503
	Garbage          bool          // answers bytes that are no ASN.1
	HugeBody         bool          // answers 64 MiB
	Rejected         bool          // answers PKIStatus rejection, systemFailure
	WrongContentType bool          // answers as text/html
	WrongNonce       bool          // signs another nonce than the one asked for
	NoNonce          bool          // leaves the nonce out
	WrongImprint     bool          // signs the digest of something else
	OtherPolicy      bool          // signs under another policy than the one asked for
	Future           bool          // signs a time one hour ahead
	Past             bool          // signs a time one hour ago
	NoCertificates   bool          // leaves its certificate out although asked for it
}

// OCSPFaults disturb the OCSP responder.
type OCSPFaults struct {
	Slow        time.Duration // waits so long before it answers
	Down        bool          // answers 503
	TryLater    bool          // answers the status tryLater
	Unknown     bool          // knows no certificate
	Revoked     bool          // says of every certificate that it is revoked since a minute
	Stale       bool          // gives an answer of last month
	WrongSigner bool          // signs with a certificate that is not for OCSP
}

// CRLFaults disturb the CRL.
type CRLFaults struct {
	Down  bool // answers 503
	Stale bool // gives the list of last month
}

// SetFaults replaces the faults, from the next request on.
func (c *CA) SetFaults(f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = f
}

// Faults are the faults of this moment.
func (c *CA) Faults() Faults {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults
}

// wait is a slow answer; it ends when the client hangs up.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
