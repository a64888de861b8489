package lti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/lti/fetch"
)

// Finding is the outcome of one check of a connection.
type Finding struct {
	Check string `json:"check"` // what was looked at
	State Health `json:"state"`
	Words string `json:"words"`        // what was found
	Do    string `json:"do,omitempty"` // what to do about it; empty: nothing
}

// Health is how a check came out.
type Health string

// The outcomes. A check that could not be made, because one before it failed or the
// platform does not offer the service, is skipped.
const (
	Healthy Health = "ok"
	Doubt   Health = "warning"
	Broken  Health = "failed"
	Skipped Health = "skipped"
)

// CheckupStore is what a Checkup needs to remember.
type CheckupStore interface {
	// Subscriptions returns the notices that were asked for.
	Subscriptions(ctx context.Context, organisationID, registrationID string) ([]Subscription, error)
	// HeardSince reports whether a notice of this type has come since then.
	HeardSince(ctx context.Context, organisationID, registrationID, noticeType string, since time.Time) (bool, error)
	// LastTraces returns the newest traces.
	LastTraces(ctx context.Context, organisationID, registrationID string, onlyRefused bool, limit int) ([]Trace, error)
}

// Checkup tries what a connection needs before a person does: the key set, the clock, an
// access token for each scope, and a greeting by the notification service. It changes
// nothing but the platform's note of our notice handler, which it puts again.
type Checkup struct {
	Services *Services
	Store    CheckupStore
	HTTP     func(Registration) *http.Client
	Now      func() time.Time
	// Patience is how long it waits for the greeting; 0: five seconds.
	Patience time.Duration
}

// scopeUses says what each scope is for.
var scopeUses = []struct{ scope, use, without string }{
	{ScopeResultReadOnly, "read grades", "grades cannot be read, so nobody can complete anything"},
	{ScopeLineItem, "make grade columns", "columns have to come with the activity"},
	{ScopeScore, "write scores", "the grade book cannot show who has claimed"},
	{ScopeMembersReadOnly, "read names", "class pages show numbers instead of names"},
	{ScopeNoticeHandlers, "receive notices", "course copies are noticed at their first launch only"},
}

// Run makes all checks, in order; it takes some seconds where a platform is slow.
func (c *Checkup) Run(ctx context.Context, r Registration) []Finding {
	findings := []Finding{c.status(r)}
	keys, clock := c.keySet(ctx, r)
	findings = append(findings, keys, clock)
	granted := false
	for i, s := range scopeUses {
		f := c.scope(ctx, r, s.scope, s.use, s.without)
		if i == 0 && f.State == Broken {
			// Without a token for anything the rest would fail for the same reason.
			if refused, ok := errors.AsType[*ServiceError](c.tokenError(ctx, r, s.scope)); ok && refused.Reason != ReasonScopeNotGranted {
				return append(findings, f)
			}
		}
		granted = granted || s.scope == ScopeNoticeHandlers && f.State == Healthy
		findings = append(findings, f)
	}
	return append(findings, c.greeting(ctx, r, granted), c.launches(ctx, r))
}

func (c *Checkup) status(r Registration) Finding {
	f := Finding{Check: "connection", State: Healthy, Words: "active"}
	switch {
	case r.Status == StatusPending:
		f.State, f.Words, f.Do = Doubt, "waits for confirmation; nobody gets in yet", "Confirm it."
	case r.Status == StatusPaused:
		f.State, f.Words, f.Do = Doubt, "paused; nobody gets in", "Resume it when you are ready."
	case len(r.Deployments) == 0 && len(r.Pending) > 0:
		f.State, f.Words, f.Do = Doubt, counted(len(r.Pending), "deployment waits", "deployments wait")+" for approval, none is approved", "Approve the deployment that is yours."
	case len(r.Pending) > 0:
		f.State, f.Words, f.Do = Doubt, counted(len(r.Pending), "deployment waits", "deployments wait")+" for approval", "Approve those that are yours."
	}
	return f
}

// keySet reads the key set, and compares the clocks by the Date of the answer.
func (c *Checkup) keySet(ctx context.Context, r Registration) (keys, clock Finding) {
	clock = Finding{Check: "clock", State: Skipped, Words: "the platform did not say its time"}
	var date string
	client := *c.HTTP(r)
	client.Transport = dateNoter{client.Transport, &date}
	report, err := CheckKeySet(ctx, &client, r.JWKSURL)
	keys = Finding{Check: "key set", State: Healthy, Words: counted(len(report.KIDs), "key", "keys") + " to check launches with: " + strings.Join(report.KIDs, ", ")}
	if refused, ok := errors.AsType[*KeySetError](err); ok {
		keys.State, keys.Words, keys.Do = Broken, refused.Words, "Compare the key set URL with the one that the platform shows, and open it in a browser: it has to answer JSON with keys."
	} else if err != nil {
		keys.State, keys.Words = Broken, show(err.Error())
	} else if len(report.KIDs) == 0 {
		keys.State, keys.Words, keys.Do = Broken, "no key can check launches", "Ask the administrator of the platform for keys of 2048 bits or more."
	} else if len(report.Weak) > 0 {
		keys.State, keys.Words = Doubt, keys.Words+"; too weak: "+strings.Join(report.Weak, ", ")
	}
	if at, err := http.ParseTime(date); err == nil {
		clock = c.clock(r, at)
	}
	return keys, clock
}

func (c *Checkup) clock(r Registration, theirs time.Time) Finding {
	ahead := theirs.Sub(c.Now()).Round(time.Second)
	f := Finding{Check: "clock", State: Healthy, Words: fmt.Sprintf("the platform's clock is %s ahead of ours; %s are tolerated", seconds(ahead), seconds(r.skew()))}
	if ahead < 0 {
		f.Words = fmt.Sprintf("the platform's clock is %s behind ours; %s are tolerated", seconds(-ahead), seconds(r.skew()))
	}
	switch distance := ahead.Abs(); {
	case distance > r.skew():
		f.State, f.Do = Broken, "Set the clocks by NTP, of the platform and of this server."
	case distance > r.skew()/2:
		f.State, f.Do = Doubt, "Set the clocks by NTP before the difference grows."
	}
	return f
}

func seconds(d time.Duration) string { return counted(int(d/time.Second), "second", "seconds") }

// counted says a number with its word.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// dateNoter notes the Date of an answer.
type dateNoter struct {
	next http.RoundTripper
	date *string
}

// RoundTrip implements http.RoundTripper.
func (n dateNoter) RoundTrip(r *http.Request) (*http.Response, error) {
	next := n.next
	if next == nil {
		next = http.DefaultTransport
	}
	res, err := next.RoundTrip(r)
	if err == nil {
		*n.date = res.Header.Get("Date")
	}
	return res, err
}

func (c *Checkup) tokenError(ctx context.Context, r Registration, scope string) error {
	_, err := c.Services.token(ctx, r, []string{scope})
	return err
}

func (c *Checkup) scope(ctx context.Context, r Registration, scope, use, without string) Finding {
	f := Finding{Check: "token to " + use, State: Healthy, Words: "granted"}
	err := c.tokenError(ctx, r, scope)
	if err == nil {
		return f
	}
	refused, ok := errors.AsType[*ServiceError](err)
	switch {
	case !ok:
		f.State, f.Words = Broken, show(err.Error())
	case refused.Reason == ReasonScopeNotGranted:
		f.State, f.Words = Doubt, "not granted: "+without
		f.Do = "If you want it, allow the service for this tool in the platform's settings."
		if scope == ScopeResultReadOnly {
			f.State = Broken
		}
	default:
		f.State, f.Words = Broken, refused.Sentence()
		if trouble := fetch.Explain(errors.Unwrap(refused)); refused.Reason == ReasonUnreachable && trouble.Words != "" {
			f.Words = trouble.Words
		}
		f.Do = "Compare client id, token URL and token audience with those that the platform shows, and let it read our key set."
	}
	return f
}

// greeting puts the handler for hello-world notices again, to which a platform answers with one.
func (c *Checkup) greeting(ctx context.Context, r Registration, granted bool) Finding {
	f := Finding{Check: "hello-world notice", State: Skipped, Words: "the platform offers no notices, or no teacher has launched yet"}
	subscriptions, err := c.Store.Subscriptions(ctx, r.OrganisationID, r.ID)
	if err != nil {
		return Finding{Check: f.Check, State: Broken, Words: show(err.Error())}
	}
	for _, s := range subscriptions {
		if s.Type != NoticeHelloWorld || !granted {
			continue
		}
		since := c.Now()
		if _, err := c.Services.PutNoticeHandler(ctx, r, s.ServiceURL, s.Type, s.Handler); err != nil {
			f.State, f.Words, f.Do = Broken, "the platform does not take our address: "+show(err.Error()), "Ask its administrator whether the tool may use the notification service."
			return f
		}
		if c.heard(ctx, r, since) {
			f.State, f.Words = Healthy, "it came"
			return f
		}
		f.State, f.Words = Doubt, "the platform took our address, and no notice has come"
		f.Do = "Make sure that the platform's server can reach " + s.Handler + "."
	}
	return f
}

func (c *Checkup) heard(ctx context.Context, r Registration, since time.Time) bool {
	patience := c.Patience
	if patience == 0 {
		patience = 5 * time.Second
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if heard, err := c.Store.HeardSince(ctx, r.OrganisationID, r.ID, NoticeHelloWorld, since); err == nil && heard {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// launches looks at what has happened lately.
func (c *Checkup) launches(ctx context.Context, r Registration) Finding {
	f := Finding{Check: "launches", State: Skipped, Words: "none yet"}
	last, err := c.Store.LastTraces(ctx, r.OrganisationID, r.ID, false, 50)
	if err != nil {
		return Finding{Check: f.Check, State: Broken, Words: show(err.Error())}
	}
	if len(last) == 0 {
		return f
	}
	refused := 0
	for _, t := range last {
		if t.Code != "" {
			refused++
		}
	}
	f.State, f.Words = Healthy, fmt.Sprintf("%d of the last %d were refused", refused, len(last))
	if refused*2 > len(last) {
		f.State, f.Do = Doubt, "Look at the list of launches: each says which step failed and what to do."
	}
	return f
}
