package issuance

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"
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
