package templates

import "time"

// Organisation awards micro-credentials: a university, a member of an alliance.
type Organisation struct {
	ID   string `json:"-"`
	Slug string `json:"-"` // short name in addresses and commands, [a-z0-9-]
	// Name is the legal name.
	Name Text `json:"name"`
	// Country, ISO 3166-1 alpha-2.
	Country string `json:"country"`
	// Identifier is the organisationIdentifier as an eSeal certificate carries it
	// (ETSI EN 319 412-1, 5.1.4), for example NTRNL-12345678. When it differs from the
	// one in the seal certificate, the credential is sealed by mandate.
	Identifier string `json:"identifier"`
	// Registration is the number in the national register, for example the KvK number; may be empty.
	Registration string `json:"registration,omitempty"`
	// Address in one line; may be empty.
	Address string `json:"address,omitempty"`
	// Homepage, an https URL, and Email of the office; may be empty.
	Homepage string `json:"homepage,omitempty"`
	Email    string `json:"email,omitempty"`
	// Brand is the one colour of the pages, #rrggbb; empty: the house blue.
	Brand string `json:"brand,omitempty"`
	// CreatedAt is when the organisation was added.
	CreatedAt time.Time `json:"-"`
}

// Template is a micro-credential of one organisation; its Content lives in versions.
type Template struct {
	ID             string
	OrganisationID string
	Slug           string
	CreatedAt      time.Time
}

// Version is one numbered, unchangeable state of a template.
type Version struct {
	ID             string
	OrganisationID string
	TemplateID     string
	Number         int // 1, 2, …
	Content        Content
	CreatedBy      string // "operator" or "lms:<registration>:<subject>"
	CreatedAt      time.Time
}
