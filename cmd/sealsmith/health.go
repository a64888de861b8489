package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance"
)

const noTokenWords = "no token is configured: start with --token or SEALSMITH_TOKEN" //nolint:gosec // G101: words, no secret

// sealing says for the pages of an organisation whether claims are being sealed, and why
// not.
func (a *app) sealing(slug string) web.SealingStatus {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	pool := a.seals.of(slug)
	tokens := pool.Health()
	_, own := a.seals.own[slug]
	status := web.SealingStatus{Rate: pool.Rate(), Own: own}
	reasons := make([]string, 0, len(tokens))
	for _, h := range tokens {
		reasons = append(reasons, h.Reason)
		if status.Issuer == (hsm.SealFacts{}) {
			status.Issuer = h.Seal
		}
	}
	status.Detail = strings.Join(reasons, "; ")
	queue := a.queue.Ping(ctx)
	switch {
	case len(tokens) == 0:
		status.Paused, status.Reason, status.Detail = true, "no seal token is set up on this server", noTokenWords
	case !pool.Usable():
		status.Paused, status.Reason = true, "the seal token cannot be used at the moment"
	case queue != nil:
		status.Slow, status.Reason, status.Detail = true, "the waiting list is not reachable", "Redis cannot be used: "+queue.Error()
	}
	return status
}

// tokens describes the tokens that serve an organisation, or all ("").
func (a *app) tokens(slug string) []web.TokenStatus {
	var all []web.TokenStatus
	for _, t := range a.seals.serving(slug) {
		all = append(all, describeToken(t.Health(), t.uri.Purpose, time.Now()))
	}
	return all
}

func describeToken(h hsm.Health, purpose string, now time.Time) web.TokenStatus {
	t := web.TokenStatus{
		Name: h.Label, Purpose: purpose, State: string(h.State), OK: h.State == hsm.StateReady || h.State == hsm.StateDegraded,
		Words: h.Reason, Algorithm: h.Alg, Rate: h.Rate, Signed: h.Signed, Failed: h.Failed,
	}
	if h.Serial != "" {
		t.Name = strings.TrimSpace(t.Name + " " + h.Serial)
	}
	if purpose == "" {
		t.Purpose = purposeSeal
	}
	successor := false
	for _, c := range h.Certificates {
		successor = successor || c.Role == hsm.RoleNext
		t.Certificates = append(t.Certificates, web.CertificateStatus{Name: c.CommonName, Role: string(c.Role), From: c.NotBefore, Until: c.NotAfter})
	}
	if !h.Seal.NotAfter.IsZero() {
		t.DaysLeft = max(0, int(h.Seal.NotAfter.Sub(now)/(24*time.Hour)))
		if notice := renewal(t.DaysLeft, successor); notice != "" {
			t.Words += ". " + notice
		}
	}
	return t
}

// Days before the end of a certificate from which an operator is told, each time more
// firmly. To order a qualified certificate takes weeks.
const (
	renewSoon   = 60
	renewNow    = 30
	renewUrgent = 7
)

// renewal says what to do about a certificate that will end, or nothing while there is
// time or a successor on the token.
func renewal(days int, successor bool) string {
	switch {
	case successor || days > renewSoon:
		return ""
	case days > renewNow:
		return fmt.Sprintf("Its certificate ends in %d days: order the next one", days)
	case days > renewUrgent:
		return fmt.Sprintf("Its certificate ends in %d days and no other is on the token: order the next one now, it takes weeks", days)
	}
	return fmt.Sprintf("Its certificate ends in %d days and no other is on the token: sealing will stop then", days)
}

// ready lists the parts of the server for /readyz. Only the database makes the server
// unready: without Redis it seals more slowly, without the token it
// still serves pages and loses nothing.
func (a *app) ready(ctx context.Context) []web.Component {
	parts := []web.Component{part("database", a.db.Ping(ctx), "answers")}
	parts[0].Required = true
	if a.stopping.Load() {
		parts = append(parts, web.Component{Name: "server", Words: "was told to stop and takes the last requests", Required: true})
	}
	parts = append(parts, a.clock(ctx), a.sameDatabase(ctx))
	redis := part("redis", a.queue.Ping(ctx), "answers")
	if !redis.OK {
		redis.Words = "cannot be used, sealing goes on slowly from the database: " + redis.Words
	}
	parts = append(parts, redis)
	tokens := a.tokens("")
	if len(tokens) == 0 {
		parts = append(parts, web.Component{Name: "token", Words: "sealing is paused: " + noTokenWords})
	}
	for _, t := range tokens {
		parts = append(parts, web.Component{Name: "token", OK: t.OK, Words: t.State + ": " + t.Words, Token: &t})
	}
	parts = append(parts, a.objectStore(ctx)...)
	lists, err := a.desk.StatusHealth(ctx, "")
	if err == nil {
		parts = append(parts, web.Component{Name: "status lists", OK: lists.OK(), Words: lists.Words()})
	}
	for _, s := range a.stamps() {
		parts = append(parts, web.Component{Name: "time-stamps of " + s.Name, OK: s.OK, Words: s.Words})
	}
	return parts
}

// clock compares the clock of this machine with the database's. A launch is good for minutes only,
// so people are turned away by a server whose clock is wrong; and a worker seals nothing.
func (a *app) clock(ctx context.Context) web.Component {
	off, err := issuance.Skew(ctx, a.db.Clock, time.Now)
	if err == nil && off.Abs() > issuance.MaxSkew {
		err = fmt.Errorf("it is %s ahead of the database's: let NTP set both, until then nothing is sealed here", off.Round(time.Second))
	}
	if err != nil {
		return web.Component{Name: "clock", Words: "is wrong or cannot be compared: " + err.Error()}
	}
	return web.Component{Name: "clock", OK: true, Words: "is the database's"}
}

// sameDatabase compares the database with the seal book of this machine.
func (a *app) sameDatabase(ctx context.Context) web.Component {
	if err := issuance.Known(ctx, a.db, *a.settings.book()); err != nil {
		return web.Component{Name: "seal book", Words: err.Error()}
	}
	return web.Component{Name: "seal book", OK: true, Words: "what was sealed here is in the database"}
}

func part(name string, err error, words string) web.Component {
	if err != nil {
		return web.Component{Name: name, Words: "does not answer: " + err.Error()}
	}
	return web.Component{Name: name, OK: true, Words: words}
}
