package lti

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"
)

// Scopes of the Assignment and Grade Services (AGS 2.0, sections 3.2 and 3.3).
const (
	ScopeLineItem         = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem"
	ScopeLineItemReadOnly = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem.readonly"
	ScopeScore            = "https://purl.imsglobal.org/spec/lti-ags/scope/score"
	ScopeResultReadOnly   = "https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly"
)

// ServiceDeps is what Services needs. All fields are required.
type ServiceDeps struct {
	Keys KeyStore // ltistore.New
	// HTTP is the client for calls to a registration's platform, as in Deps.
	HTTP   func(Registration) *http.Client
	Now    func() time.Time
	Rand   io.Reader
	Logger *slog.Logger
}

// Services calls the services of platforms. Access tokens are kept in memory, per
// registration and scopes, until a minute before they end; of many callers that need the
// same token one asks for it. It is safe for concurrent use. It writes no scores: a
// platform may let a score that a tool writes win over the value it calculates, for good.
type Services struct {
	deps   ServiceDeps
	keys   *keyring
	tokens tokenCache
	flight singleflight.Group
}

// NewServices checks d and returns Services.
func NewServices(d ServiceDeps) (*Services, error) {
	if d.Keys == nil || d.HTTP == nil || d.Now == nil || d.Rand == nil || d.Logger == nil {
		return nil, errors.New("lti: every field of ServiceDeps is required")
	}
	return &Services{deps: d, keys: newKeyring(d.Keys, d.Now, d.Rand), tokens: newTokenCache()}, nil
}

// LineItem is a column of the platform's grade book that belongs to the tool (AGS 2.0,
// section 3.2).
type LineItem struct {
	ID             string  `json:"id,omitempty"` // its address, given by the platform; never built or guessed
	Label          string  `json:"label"`
	ScoreMaximum   float64 `json:"scoreMaximum"`
	ResourceID     string  `json:"resourceId,omitempty"`
	Tag            string  `json:"tag,omitempty"`
	ResourceLinkID string  `json:"resourceLinkId,omitempty"`
}

// LineItemFilter narrows a list of line items; empty fields do not.
type LineItemFilter struct {
	ResourceLinkID string
	ResourceID     string
	Tag            string
}

// Result is one learner's result in one line item (AGS 2.0, section 3.3).
type Result struct {
	ID      string
	UserID  string   // equals User.Subject of a launch
	Score   *float64 // nil: not graded
	Maximum float64  // > 0; 1 when the platform names none
	// Comment is what the platform sent, markup and all: escape it.
	Comment   string
	Timestamp time.Time // zero when absent or unreadable
	// Refused says why the row cannot be used ("the score is negative"); Score is then nil.
	Refused string
	Raw     json.RawMessage // the row as received
}

// LineItems returns all line items at lineItemsURL (from Launch.AGS) that pass the filter,
// following the pages the platform announces.
func (s *Services) LineItems(ctx context.Context, r Registration, lineItemsURL string, f LineItemFilter) ([]LineItem, error) {
	return s.listLineItems(ctx, r, lineItemsURL, f)
}

// LineItem reads one line item. The maximum may have been changed in the platform since
// it was created.
func (s *Services) LineItem(ctx context.Context, r Registration, lineItemURL string) (LineItem, error) {
	return s.readLineItem(ctx, r, lineItemURL)
}

// CreateLineItem creates item at lineItemsURL and returns it as the platform keeps it,
// with its ID. Platforms accept a second item with the same ResourceID: look for it with
// LineItems before.
func (s *Services) CreateLineItem(ctx context.Context, r Registration, lineItemsURL string, item LineItem) (LineItem, error) {
	return s.createLineItem(ctx, r, lineItemsURL, item)
}

// Results returns the results of the line item at lineItemURL: of one user, or of all
// when userID is empty. Users without a grade are often left out by the platform. When a
// user appears twice, the later row counts. It returns all pages or an error, never a part.
func (s *Services) Results(ctx context.Context, r Registration, lineItemURL, userID string) ([]Result, error) {
	return s.listResults(ctx, r, lineItemURL, userID)
}
