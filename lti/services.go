package lti

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"
)

// Scopes of the services: Assignment and Grade Services (AGS 2.0, sections 3.2 to 3.4),
// Names and Role Provisioning Services (NRPS 2.0, section 3.6.1.1), and the notification
// service (PNS 1.0, section 3).
const (
	ScopeLineItem         = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem"
	ScopeLineItemReadOnly = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem.readonly"
	ScopeResultReadOnly   = "https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly"
	ScopeScore            = "https://purl.imsglobal.org/spec/lti-ags/scope/score"
	ScopeMembersReadOnly  = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
	ScopeNoticeHandlers   = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
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

// Services calls the services of platforms: line items, scores and results, members, and
// handlers of notices. It is safe for concurrent use.
//
// What it remembers it keeps in memory. Access tokens, per registration and set of scopes,
// until a minute before they end; of many callers that need the same token one asks for
// it. A platform that refuses the tool's key is not asked again for a minute. A host that
// answers with Retry-After is not called again by the same registration before that time:
// calls fail at once with a temporary *ServiceError that says until when.
//
// A platform may let a score that a tool writes win over the value it calculates, for
// good: nothing here writes to a line item unless PostScore or ScoreQueue is told to, and
// whoever tells them has to see to it that no line item is written that is read as
// evidence.
type Services struct {
	deps     ServiceDeps
	keys     *keyring
	tokens   tokenCache
	pauses   pauses
	flight   singleflight.Group
	ensuring singleflight.Group
}

// NewServices checks d and returns Services.
func NewServices(d ServiceDeps) (*Services, error) {
	if d.Keys == nil || d.HTTP == nil || d.Now == nil || d.Rand == nil || d.Logger == nil {
		return nil, errors.New("lti: every field of ServiceDeps is required")
	}
	return &Services{deps: d, keys: newKeyring(d.Keys, d.Now, d.Rand), tokens: newTokenCache(), pauses: newPauses()}, nil
}
