package lti

import (
	"context"
	"time"
)

// Subscription is a handler that the platform shall send one type of notice to (PNS 1.0,
// section 3.2): wanted, or in place since PutAt.
type Subscription struct {
	OrganisationID, RegistrationID, DeploymentID string

	Type       string
	ServiceURL string    // of the platform's notification service
	Handler    string    // our address
	PutAt      time.Time // when the platform took it; zero: not yet
	HeardAt    time.Time // last notice; zero: none yet
	Trouble    string    // why the platform did not take it, in words
}

// SubscriptionStore keeps subscriptions.
type SubscriptionStore interface {
	// WantNotices notes a subscription that shall be, unless it is there already.
	WantNotices(ctx context.Context, s Subscription) error
	// DueSubscriptions returns those not yet in place, of all organisations.
	DueSubscriptions(ctx context.Context, limit int) ([]Subscription, error)
	// PutSubscription notes the outcome; trouble is empty for a success.
	PutSubscription(ctx context.Context, s Subscription, trouble string) error
	// Registration returns the registration, or ErrNotFound.
	Registration(ctx context.Context, organisationID, id string) (Registration, error)
}
