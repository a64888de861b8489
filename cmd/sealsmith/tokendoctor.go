package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/ceremony"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

type tokenDoctorCommand struct {
	oneToken

	Login        bool   `help:"Log in too, once and recorded, to see the key."`
	Offline      bool   `help:"Ask nobody on the network: no OCSP, no time-stamp, no clock."`
	Organisation string `help:"Slug of the organisation whose seal it is; default: those that the token serves."`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// diagnosis is what the doctor found about one token.
type diagnosis struct {
	Token    string             `json:"token"` // its URI, without driver and PIN file
	Findings []ceremony.Finding `json:"findings"`
}

// Run examines: exit 0 when nothing failed, 1 when something did, 2 for settings that
// cannot be read.
func (c tokenDoctorCommand) Run(ctx context.Context, s *Settings, out streams) error {
	uris, err := s.tokenURIs()
	if err == nil && (c.Which != "" || len(uris) == 0) {
		var uri hsm.URI
		uri, err = c.uri(s)
		uris = []hsm.URI{uri}
	}
	if err != nil {
		fmt.Fprintln(out.err, "sealsmith:", err)
		return exitCode(exitUsage)
	}
	all := make([]diagnosis, 0, len(uris))
	failed := false
	for _, uri := range uris {
		d := diagnosis{uri.String(), c.examine(ctx, s, out, uri)}
		failed = failed || ceremony.Failed(d.Findings)
		all = append(all, d)
	}
	if err := c.print(out, all); err != nil {
		return err
	}
	if failed {
		return exitCode(1)
	}
	return nil
}

func (c tokenDoctorCommand) print(out streams, all []diagnosis) error {
	if c.JSON {
		return out.printJSON(all)
	}
	for i, d := range all {
		if i > 0 {
			out.printf("\n")
		}
		out.printf("%s\n\n", d.Token)
		if err := printChecks(out, d.Findings); err != nil {
			return err
		}
	}
	return nil
}

// examine goes on where it can: a doctor that stops at the first trouble is none.
func (c tokenDoctorCommand) examine(ctx context.Context, s *Settings, out streams, uri hsm.URI) []ceremony.Finding {
	place := ceremony.Place{Now: time.Now(), Getenv: os.Getenv}
	x := ceremony.Examine(uri, place)
	login := ceremony.Finding{Check: "login and key", Outcome: ceremony.NotAsked, Seen: "no login was made; --login makes one, recorded like the server's"}
	switch {
	case c.Login && x.Token == nil:
		login.Seen = "no login was made: there is no one token to log in to"
	case c.Login && x.Token.PIN.Finding().Outcome == ceremony.Fail:
		login.Seen = "no login was made, because of the state of the PIN"
	case c.Login:
		x, login = c.logIn(ctx, s, out, uri, x)
	}
	findings := append(x.Findings, login)
	expected, err := s.expected(ctx, uri, c.Organisation, x)
	if err != nil {
		findings = append(findings, ceremony.Finding{
			Check: "organisations", Outcome: ceremony.Warn, Seen: "they are not known here: " + err.Error(), Do: "look at --database, --dir, --trust and --organisation",
		})
	}
	if x.Certificate == nil {
		return append(findings, ceremony.Finding{Check: "certificate's content", Outcome: ceremony.NotAsked, Seen: "no certificate is seen"})
	}
	findings = append(findings, ceremony.ExamineCertificate(x.Certificate, expected)...)
	if c.Offline {
		return append(findings, ceremony.Finding{Check: "network", Outcome: ceremony.NotAsked, Seen: "--offline: no OCSP, no time-stamp, no clock"})
	}
	// Not the guarded client: OCSP is spoken over plain http, and the addresses are those of
	// our own certificate and settings, not of a stranger.
	stamps, err := s.stampSettings()
	if err != nil {
		findings = append(findings, ceremony.Finding{Check: "time-stamps", Outcome: ceremony.Fail, Seen: err.Error(), Do: "correct --tsa and --tsa-trust"})
	}
	return append(findings, askOutside(ctx, serviceClient(), x.Certificate, expected.Issuers, stamps)...)
}

// logIn looks at the key, and again at the token, which may show more to who is logged in.
func (c tokenDoctorCommand) logIn(ctx context.Context, s *Settings, out streams, uri hsm.URI, x ceremony.Examination) (ceremony.Examination, ceremony.Finding) {
	f := ceremony.Finding{Check: "login and key", Outcome: ceremony.OK}
	err := oneToken{Which: cmp.Or(uri.Serial, uri.Token)}.atSession(ctx, s, out, func(session *ceremony.Session) error {
		keys, err := session.Keys()
		if err != nil {
			return err
		}
		x = ceremony.Examine(uri, ceremony.Place{Now: time.Now(), Getenv: os.Getenv, LoggedIn: true})
		i := slices.IndexFunc(keys, func(k ceremony.Key) bool { return x.Certificate != nil && k.Matches(x.Certificate) })
		switch {
		case len(keys) == 0:
			f.Outcome, f.Seen, f.Do = ceremony.Fail, "the login works, but the token holds no key that may sign and that its URI names", "check id= and object= of the URI, or sealsmith token genkey"
		case i < 0:
			f.Outcome, f.Seen, f.Do = ceremony.Warn, fmt.Sprintf("the login works; %d keys, none with a certificate", len(keys)), "sealsmith token csr, then sealsmith token import-cert"
		default:
			f = keys[i].Attributes.Finding()
			f.Check, f.Seen = "login and key", "the login works; "+keys[i].String()+": "+f.Seen
		}
		return nil
	})
	if err != nil {
		f.Outcome, f.Seen, f.Do = ceremony.Fail, err.Error(), "read what it says before anything is tried again"
		if errors.Is(err, hsm.ErrPaused) {
			f.Do = "correct the PIN first; sealsmith token unblock SERIAL then allows one more login"
		}
	}
	return x, f
}

// expected gathers what a seal certificate is held against: organisations and authorities.
// With an error it holds what could be had.
func (s *Settings) expected(ctx context.Context, uri hsm.URI, slug string, x ceremony.Examination) (ceremony.Expected, error) {
	e := ceremony.Expected{Now: time.Now(), Issuers: x.Certificates}
	trusted, trustErr := readCertificates(s.Trust)
	e.Issuers = append(e.Issuers, trusted...)
	if path, isFile := strings.CutPrefix(s.databaseAddress(), "sqlite:"); isFile {
		if _, err := os.Stat(path); err != nil { // looking must not make one
			return e, errors.Join(trustErr, fmt.Errorf("there is no database yet (%s)", path))
		}
	}
	var all []templates.Organisation
	err := s.withDatabase(ctx, func(db *sqldb.DB) (err error) {
		all, err = templates.NewStore(db, time.Now).Organisations(ctx)
		return err
	})
	e.Identifiers = map[string]string{}
	for _, o := range all {
		if slug == "" && (len(uri.For) == 0 || slices.Contains(uri.For, o.Slug)) || slug == o.Slug {
			e.Identifiers[o.Identifier] = o.Slug
		}
	}
	if err == nil && slug != "" && len(e.Identifiers) == 0 {
		err = fmt.Errorf("there is no organisation %q", slug)
	}
	return e, errors.Join(trustErr, err)
}
