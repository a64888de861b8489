package templates

import (
	"cmp"
	"slices"
	"time"
)

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
	// Seal says how its credentials are sealed.
	Seal SealPolicy `json:"seal,omitzero"`
	// SecondPerson demands that a second person confirms before any credential of the
	// organisation is revoked, whatever its template says.
	SecondPerson bool `json:"second_person,omitempty"`
	// CreatedAt is when the organisation was added.
	CreatedAt time.Time `json:"-"`
}

// SealPolicy is how the credentials of an organisation are sealed.
type SealPolicy struct {
	// Level is the JAdES level that each credential reaches some moments after it was
	// sealed; empty: the highest that the server is set up for.
	Level SealLevel `json:"level,omitempty"`
	// LegacyTime writes the time of sealing as sigT, as was the rule before 15 July 2025,
	// for readers that know nothing else. Readers of today then see no baseline level.
	LegacyTime bool `json:"legacy_time,omitempty"`
}

// Goal is the level that new credentials reach on a server that is set up for the given one.
func (p SealPolicy) Goal(server SealLevel) SealLevel { return cmp.Or(p.Level, server, SealB) }

// SealLevel is a baseline level of JAdES (ETSI TS 119 182-1 section 6).
type SealLevel string

// The levels, each with what it adds.
const (
	SealB   SealLevel = "B"   // the seal alone: its time is what it says itself
	SealT   SealLevel = "T"   // a time-stamp of somebody independent
	SealLT  SealLevel = "LT"  // certificates, and answers that none was revoked
	SealLTA SealLevel = "LTA" // a time-stamp over all of it, renewed before it grows old
)

// SealLevels are all levels, lowest first.
func SealLevels() []SealLevel { return []SealLevel{SealB, SealT, SealLT, SealLTA} }

// Reaches tells whether l is at least as high as goal. A level that is none reaches nothing.
func (l SealLevel) Reaches(goal SealLevel) bool {
	have := slices.Index(SealLevels(), l)
	return have >= 0 && have >= slices.Index(SealLevels(), goal)
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
