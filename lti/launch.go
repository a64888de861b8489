package lti

import (
	"fmt"
	"log/slog"
	"time"
)

// Message types that this package accepts (Core 4.3.1, Deep Linking 2.0 section 2,
// Submission Review 1.0, Data Privacy Launch 1.0).
const (
	MessageResourceLink     = "LtiResourceLinkRequest"
	MessageDeepLinking      = "LtiDeepLinkingRequest"
	MessageSubmissionReview = "LtiSubmissionReviewRequest"
	MessageDataPrivacy      = "DataPrivacyLaunchRequest"
)

// Launch is a validated message of a platform: every check has passed. It is what a
// session keeps, as JSON. Optional claims that are absent, or that came in a form nobody
// can use, are zero values.
//
// Printing or logging a Launch shows ids only, neither names nor addresses.
type Launch struct {
	RegistrationID string       `json:"registration_id"`
	OrganisationID string       `json:"organisation_id"`
	Issuer         string       `json:"issuer"`
	ClientID       string       `json:"client_id"`
	DeploymentID   string       `json:"deployment_id"`
	MessageType    string       `json:"message_type"`
	TargetLinkURI  string       `json:"target_link_uri,omitempty"`
	User           User         `json:"user"`
	Roles          []string     `json:"roles"` // as sent; ask IsTeacher and its sisters
	Context        Context      `json:"context"`
	ResourceLink   ResourceLink `json:"resource_link"`
	// Custom holds the custom parameters. A variable that the platform left unresolved
	// ("$Foo.bar") and null are treated as absent; numbers and booleans come as text.
	// Teachers can edit these in most platforms: they grant nothing.
	Custom      map[string]string    `json:"custom,omitempty"`
	AGS         AGS                  `json:"ags"`
	NRPS        NRPS                 `json:"nrps"`
	Notices     Notices              `json:"notices"`
	DeepLinking *DeepLinkingSettings `json:"deep_linking,omitempty"` // not nil exactly for MessageDeepLinking
	// ForUser is the subject whom a MessageSubmissionReview or MessageDataPrivacy is about;
	// the latter may name nobody.
	ForUser string `json:"for_user,omitempty"`
	// Migrated is what the user and the place were under LTI 1.1; nil unless the platform
	// said so and proved it.
	Migrated     *Migration   `json:"migrated,omitempty"`
	Presentation Presentation `json:"presentation"`
	Platform     Platform     `json:"platform"`
	IssuedAt     time.Time    `json:"issued_at"`
}

// User is the person who launched. Subject is stable within the issuer; everything else
// may be empty, and is what the platform says, not proven.
type User struct {
	Subject    string `json:"subject"`
	Name       string `json:"name,omitempty"`
	GivenName  string `json:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty"`
	Email      string `json:"email,omitempty"`
	Locale     string `json:"locale,omitempty"` // BCP 47, or empty
}

// Context is the course; ID is empty when the launch came from outside a course. History
// are the courses it was copied from, the nearest first, where the platform tells.
type Context struct {
	ID      string   `json:"id,omitempty"`
	Label   string   `json:"label,omitempty"`
	Title   string   `json:"title,omitempty"`
	History []string `json:"history,omitempty"`
}

// ResourceLink is the place in the course. It changes when a course is copied. Title and
// description are plain text: markup a platform sent has been removed.
type ResourceLink struct {
	ID          string `json:"id,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
}

// AGS is the Assignment and Grade Services claim (AGS 2.0, section 3.1). LineItem is
// empty unless exactly one line item belongs to the resource link.
type AGS struct {
	Scopes    []string `json:"scopes,omitempty"`
	LineItems string   `json:"line_items,omitempty"`
	LineItem  string   `json:"line_item,omitempty"`
}

// NRPS is the Names and Role Provisioning Services claim (NRPS 2.0, section 3.6.1.1).
type NRPS struct {
	URL string `json:"url,omitempty"`
}

// Notices is the claim of the platform notification service (PNS 1.0, section 3).
type Notices struct {
	URL    string   `json:"url,omitempty"`
	Types  []string `json:"types,omitempty"`
	Scopes []string `json:"scopes,omitempty"`
}

// DeepLinkingSettings is what a platform accepts as the answer to a deep linking request
// (Deep Linking 2.0, section 4.4.1).
type DeepLinkingSettings struct {
	ReturnURL      string   `json:"return_url"`
	AcceptTypes    []string `json:"accept_types"`
	AcceptMultiple *bool    `json:"accept_multiple,omitempty"` // nil: assume one item only
	AcceptLineItem *bool    `json:"accept_line_item,omitempty"`
	// Data is the opaque data claim as the JSON text that was received, returned byte for
	// byte; nil when there was none, and then none is returned.
	Data  *string `json:"data,omitempty"`
	Title string  `json:"title,omitempty"`
	Text  string  `json:"text,omitempty"`
}

// Presentation says how the platform shows the tool. ReturnURL is kept only when it leads
// to a host of the platform; on Moodle it carries a session key of the user: never log it.
type Presentation struct {
	ReturnURL      string `json:"return_url,omitempty"`
	Locale         string `json:"locale,omitempty"`
	DocumentTarget string `json:"document_target,omitempty"` // "iframe", "window" or "frame"
}

// Platform is the platform's word about itself.
type Platform struct {
	GUID          string `json:"guid,omitempty"`
	Name          string `json:"name,omitempty"`
	ProductFamily string `json:"product_family,omitempty"` // "moodle", "canvas"
	Version       string `json:"version,omitempty"`
}

// LogValue implements slog.LogValuer: ids only.
func (l Launch) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("registration", l.RegistrationID),
		slog.String("deployment", l.DeploymentID),
		slog.String("message_type", l.MessageType),
		slog.String("context", l.Context.ID),
		slog.String("resource_link", l.ResourceLink.ID),
		slog.String("subject", l.User.Subject),
	)
}

// Format implements fmt.Formatter: whatever the verb, ids only.
func (l Launch) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "launch of %q by %q in %q", l.ResourceLink.ID, l.User.Subject, l.RegistrationID)
}

// Format implements fmt.Formatter: the subject only.
func (u User) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "user %q", u.Subject) }

// Session is one launch that goes on: its ID is in the address of every page and is no
// secret; the secret is in a cookie, and only its hash is stored. The JSON form of the
// launch is what a store keeps.
type Session struct {
	ID        string
	Launch    Launch
	CreatedAt time.Time
	ExpiresAt time.Time
}
