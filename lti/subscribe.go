package lti

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
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

// Subscriber asks platforms for notices. A launch only notes what is wanted; Run asks.
type Subscriber struct {
	Services *Services
	Store    SubscriptionStore
	Handler  *url.URL // the public address of the tool
	Now      func() time.Time
	Logger   *slog.Logger
}

const (
	subscribeEvery = 5 * time.Second
	subscribeBatch = 20
)

// noticeTypes are those that we have a use for.
var noticeTypes = []string{NoticeHelloWorld, NoticeContextCopy}

// Launched notes the notices that the platform of a launch offers and we want. Only
// launches of teachers and administrators count: one of each deployment comes soon enough.
func (s *Subscriber) Launched(ctx context.Context, l Launch) error {
	if l.Notices.URL == "" || !l.IsTeacher() && !l.IsAdmin() || !slices.Contains(l.Notices.Scopes, ScopeNoticeHandlers) {
		return nil
	}
	var errs []error
	for _, kind := range noticeTypes {
		if slices.Contains(l.Notices.Types, kind) {
			errs = append(errs, s.Store.WantNotices(ctx, Subscription{
				OrganisationID: l.OrganisationID, RegistrationID: l.RegistrationID, DeploymentID: l.DeploymentID,
				Type: kind, ServiceURL: l.Notices.URL, Handler: s.Handler.JoinPath("lti", "notices").String(),
			}))
		}
	}
	return errors.Join(errs...)
}

// Run asks for what is wanted until ctx ends. A platform that refuses is not asked again
// until somebody does so; one that is away is asked in the next round.
func (s *Subscriber) Run(ctx context.Context) {
	tick := time.NewTicker(subscribeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.Round(ctx); err != nil && ctx.Err() == nil {
				s.Logger.WarnContext(ctx, "subscriptions to notices", "err", err)
			}
		}
	}
}

// Round asks once for everything that is wanted.
func (s *Subscriber) Round(ctx context.Context) error {
	due, err := s.Store.DueSubscriptions(ctx, subscribeBatch)
	if err != nil {
		return err
	}
	var errs []error
	for _, w := range due {
		errs = append(errs, s.put(ctx, w))
	}
	return errors.Join(errs...)
}

func (s *Subscriber) put(ctx context.Context, w Subscription) error {
	r, err := s.Store.Registration(ctx, w.OrganisationID, w.RegistrationID)
	if err != nil {
		return err
	}
	_, err = s.Services.PutNoticeHandler(ctx, r, w.ServiceURL, w.Type, w.Handler)
	trouble := ""
	if refused, ok := errors.AsType[*ServiceError](err); ok {
		if refused.Temporary() {
			return nil
		}
		trouble = refused.Sentence()
		s.Logger.InfoContext(ctx, "the platform sends no notices", "registration", r.ID, "notice_type", w.Type, "err", err)
	} else if err != nil {
		return err
	}
	return s.Store.PutSubscription(ctx, w, trouble)
}
