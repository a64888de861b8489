package trustlist

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"
)

// The kinds of services that are kept (TS 119 612 section 5.5.1). A list names others too
// (validation, archives, delivery); they take no part in the answers.
const (
	TypeCA  = "http://uri.etsi.org/TrstSvc/Svctype/CA/QC"
	TypeTSA = "http://uri.etsi.org/TrstSvc/Svctype/TSA/QTST"
)

// forSeals is the additional service information of those who certify for seals (TS 119 612
// section 5.5.9.4).
const forSeals = "ForeSeals"

// Certificate is a certificate that is written to JSON as its DER bytes.
type Certificate struct{ *x509.Certificate }

// MarshalJSON implements json.Marshaler.
func (c Certificate) MarshalJSON() ([]byte, error) { return json.Marshal(c.Raw) }

// UnmarshalJSON implements json.Unmarshaler.
func (c *Certificate) UnmarshalJSON(data []byte) error {
	var der []byte
	if err := json.Unmarshal(data, &der); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c.Certificate = parsed
	return nil
}

// List is one trusted list, or the list of the lists.
type List struct {
	Territory  string    `json:"territory"` // as lists write it: EL for Greece; EU for the list of the lists
	Operator   string    `json:"operator"`  // scheme operator, in English where it is given
	Type       string    `json:"type"`      // TSLType, a URI
	Version    int       `json:"version"`   // TSLVersionIdentifier: 5 or 6
	Sequence   int       `json:"sequence"`
	Issued     time.Time `json:"issued"`
	NextUpdate time.Time `json:"next_update,omitzero"` // zero: the list is closed
	Pointers   []Pointer `json:"pointers,omitempty"`   // only of the list of the lists
	Services   []Service `json:"services,omitempty"`   // of the types TypeCA and TypeTSA
	Others     int       `json:"others,omitempty"`     // number of services of other types
	Digest     string    `json:"digest"`               // SHA-256 of the file, hexadecimal
	Signer     string    `json:"signer"`               // SHA-256 of the certificate that signed it, hexadecimal
	// SignerGone says that the list of the lists no longer names the signer: such a list is kept
	// for its sequence number and answers nothing.
	SignerGone bool `json:"signer_gone,omitempty"`
	// Notes say what in the list could not be read, in words.
	Notes []string `json:"notes,omitempty"`
}

// Stale says whether the list is out of date: a newer one should have been published and
// imported. A closed list is never updated and is not stale.
func (l *List) Stale(now time.Time) bool {
	return !l.NextUpdate.IsZero() && now.After(l.NextUpdate)
}

// Pointer says where a list is published and who may sign it.
type Pointer struct {
	Territory string        `json:"territory"`
	Type      string        `json:"type"`
	Location  string        `json:"location"`
	Signers   []Certificate `json:"signers"`
}

// Service is a trust service: usually a certification authority, by its key.
type Service struct {
	Type         string        `json:"type"`
	Provider     string        `json:"provider"`
	Name         string        `json:"name"`
	Certificates []Certificate `json:"certificates,omitempty"`
	KeyIDs       [][]byte      `json:"key_ids,omitempty"` // X509SKI, where no certificate is given
	Unread       [][]byte      `json:"unread,omitempty"`  // certificates that cannot be read, as they are
	// Periods are the states of the service, the newest first.
	Periods []Period `json:"periods"`
}

// Period is a state of a service from a time on, until the next period begins.
type Period struct {
	Since      time.Time   `json:"since"`
	Status     string      `json:"status"`               // last part of the URI: granted, withdrawn, undersupervision …
	Additional []string    `json:"additional,omitempty"` // ForeSignatures, ForeSeals, ForeWebSiteAuthentication …
	Qualifiers []Qualifier `json:"qualifiers,omitempty"`
	// Unsupported names critical extensions that are not understood; answers are then unknown.
	Unsupported []string `json:"unsupported,omitempty"`
}

// Qualifier corrects what certificates claim of themselves, for those that meet the
// criteria (TS 119 612 section 5.5.9.2).
type Qualifier struct {
	Names    []string `json:"names"` // QCWithQSCD, QCForESeal, NotQualified …
	Criteria Criteria `json:"criteria"`
}

// Criteria is a condition on a certificate.
type Criteria struct {
	Assert      string            `json:"assert"` // all, atLeastOne, none
	KeyUsage    []map[string]bool `json:"key_usage,omitempty"`
	Policies    [][]string        `json:"policies,omitempty"`      // all of a set must be present
	SubjectOIDs [][]string        `json:"subject_oids,omitempty"`  // attributes that the subject has
	ExtKeyUsage [][]string        `json:"ext_key_usage,omitempty"` // purposes that the certificate has
	Lists       []Criteria        `json:"lists,omitempty"`
	Unsupported []string          `json:"unsupported,omitempty"`
}

// At returns the state of the service at a time; false before its first one.
func (s *Service) At(at time.Time) (Period, bool) {
	for _, p := range s.Periods {
		if !p.Since.After(at) {
			return p, true
		}
	}
	return Period{}, false
}

// eidas is when Regulation (EU) 910/2014 began to apply and lists took its words.
func eidas() time.Time { return time.Date(2016, time.July, 1, 0, 0, 0, 0, time.UTC) }

// good says whether a status lets certificates be qualified at a time (TS 119 615 section
// 4.4): granted, or before eIDAS the words of Directive 1999/93/EC.
func good(status string, at time.Time) bool {
	switch status {
	case "granted":
		return true
	case "undersupervision", "accredited", "supervisionincessation":
		return at.Before(eidas())
	}
	return false
}
