package issuance

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/issuance/elm"
)

// urn is how a credential is named in its file: this, and its UUID.
const urn = "urn:credential:"

// Ask adds to a report what the file cannot say: whether the credential was withdrawn, when it
// is one of this database. It must be the credential itself, by every byte that is sealed: a
// file that borrows its id is told nothing good. Other reports come back as they are. Errors
// are those of the database.
func (d *Desk) Ask(ctx context.Context, r Report) (Report, error) {
	if r.Content == nil {
		return r, nil
	}
	id, ours := strings.CutPrefix(r.Content.ID, urn)
	if !ours {
		return r, nil
	}
	now, err := d.Standing(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && now.payload != r.payload {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	checks := make([]Answer, len(r.Checks))
	copy(checks, r.Checks)
	for i := range checks {
		if checks[i].ID == "revocation" {
			checks[i] = now.answer(r.CheckedAt)
		}
	}
	r.Checks, r.Next, r.ReplacedBy, r.Replaces = checks, "", now.ReplacedBy, now.Replaces
	r.conclude()
	if r.Reason == string(now.InForce) {
		r.Headline = fmt.Sprintf(r.Headline, day(now.Since), orUnnamed(r.Content.AwardingBody))
	}
	return r, nil
}

// After returns how the credential would stand if act were done to it at that time: for whoever
// wants to see what everybody will be told before anything is done.
func (s Standing) After(act Act, reason Reason, words string, at time.Time) Standing {
	s.Since, s.Reason, s.Words = at, reason, strings.Join(strings.Fields(words), " ")
	switch act {
	case ActRevoke:
		s.InForce = StandsRevoked
	case ActSuspend:
		s.InForce = StandsSuspended
	case ActReinstate:
		s.InForce, s.Reason, s.Words = StandsInForce, "", ""
	}
	return s
}

// Told is what whoever checks a genuine file of this credential is told: the headline of the
// report, and the words of the check “Withdrawn or not”.
func (s Standing) Told(awardingBody string, at time.Time) (headline, words string) {
	a := s.answer(at)
	if !s.Withdrawn() {
		return headlines["genuine"].headline, a.Words
	}
	return fmt.Sprintf(headlineFor(a).headline, day(s.Since), orUnnamed(awardingBody)), a.Words
}

// Nameless returns the report without whose credential it is, for Standing.HidesPerson.
func (r Report) Nameless() Report {
	if r.Content == nil {
		return r
	}
	c := *r.Content
	c.Learner, c.Pages = "", nil
	c.Elements = slices.DeleteFunc(slices.Clone(c.Elements), func(e elm.Element) bool { return e.Key == "learner" })
	r.Content = &c
	return r
}

// answer is the check “Withdrawn or not” of a credential of ours.
func (s Standing) answer(at time.Time) Answer {
	words := checkWords["revocation."+string(s.InForce)]
	a := Answer{ID: "revocation", Title: titles["revocation"], Outcome: OutcomeFailed, Reason: string(s.InForce)}
	if !s.Withdrawn() {
		a.Outcome, a.Words = OutcomeOK, fmt.Sprintf(words, moment(at))
		return a
	}
	a.Words = strings.TrimSpace(fmt.Sprintf(words, day(s.Since)) + " " + s.Because())
	return a
}

// statusAddress is where programs ask how a credential stands, made from the address of its
// public page; empty when the file does not look like one of a server like this one.
func statusAddress(credentialID, page string) string {
	id, found := strings.CutPrefix(credentialID, urn)
	if parsed, err := uuid.Parse(id); !found || err != nil || parsed.String() != id {
		return ""
	}
	u, err := url.Parse(page)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || path.Base(path.Dir(u.Path)) != "c" {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: path.Dir(path.Dir(u.Path))}).JoinPath("status", id).String()
}
