package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

type auditCommand struct {
	List   auditListCommand   `cmd:"" help:"Who did what to which claim, key, template or connection; newest first."`
	Verify auditVerifyCommand `cmd:"" help:"Walk the chain of the audit trail and name the first break. Exit 0 whole, 1 broken, 2 unreadable."`
	Export auditExportCommand `cmd:"" help:"Write the audit trail as JSON lines that others can verify."`
}

// chainAudit links new rows of the audit trail until ctx ends.
func (a *app) chainAudit(ctx context.Context) {
	(&sqldb.AuditChainer{DB: a.db, Every: 2 * time.Second, Now: time.Now, Logger: a.logger}).Run(ctx)
}

// moment is a date, which is its beginning in UTC, or a time.
type moment struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			m.Time = t
			return nil
		}
	}
	return fmt.Errorf("%q is neither a date like 2026-11-24 nor a time like 2026-11-24T12:00:00Z", text)
}

// chainHash is the hash of a link.
type chainHash string

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *chainHash) UnmarshalText(text []byte) error {
	if raw, err := hex.DecodeString(string(text)); err != nil || len(raw) != 32 {
		return errors.New("a head has 64 hexadecimal digits")
	}
	*h = chainHash(strings.ToLower(string(text)))
	return nil
}

// withTrail finds the organisation when one is named; without a name all rows are meant.
func (s *Settings) withTrail(ctx context.Context, slug string, do func(db *sqldb.DB, organisationID string) error) error {
	if slug == "" {
		return s.withDatabase(ctx, func(db *sqldb.DB) error { return do(db, "") })
	}
	return s.withOrganisation(ctx, slug, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error { return do(db, o.ID) })
}

type auditListCommand struct {
	Organisation string `help:"Slug; else everything, also what the server did for itself."`
	Subject      string `help:"Id of what it was done to: a claim, a template, a key …"`
	Actor        string `help:"Who did it: worker, operator, learner, lms:REGISTRATION:SUBJECT …"`
	Action       string `help:"What was done, as listed: 'claim sealed' …"`
	Since        moment `help:"Not before this date or time." placeholder:"DATE"`
	Until        moment `help:"Before this date or time." placeholder:"DATE"`
	Limit        int    `help:"How many at most." default:"100"`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// Run lists rows of the trail.
func (c auditListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	if c.Limit < 1 {
		return errors.New("--limit must be 1 or more")
	}
	return s.withTrail(ctx, c.Organisation, func(db *sqldb.DB, organisation string) error {
		all, err := db.ListAudit(ctx, sqldb.AuditFilter{
			OrganisationID: organisation, Actor: c.Actor, Action: c.Action, Subject: c.Subject, Since: c.Since.Time, Until: c.Until.Time,
		}, c.Limit)
		if err != nil {
			return err
		}
		if c.JSON {
			return out.printJSON(listed(all))
		}
		if len(all) == 0 {
			out.printf("Nothing is in the audit trail that fits.\n")
			return nil
		}
		t := newTable(out.out, "AT", "LINK", "ACTOR", "ACTION", "SUBJECT", "DETAIL")
		for _, l := range all {
			link := "not yet"
			if l.Seq > 0 {
				link = fmt.Sprint(l.Seq)
			}
			t.row(l.At, link, plain(l.Actor), plain(l.Action), plain(l.Subject), plain(l.Detail))
		}
		return t.Flush()
	})
}

// listedRow is a row of the trail for programs.
type listedRow struct {
	Seq          int64  `json:"seq,omitempty"` // of its link; none: not linked yet
	ID           int64  `json:"id"`
	At           string `json:"at"`
	Organisation string `json:"organisation,omitempty"`
	Actor        string `json:"actor"`
	Action       string `json:"action"`
	Subject      string `json:"subject"`
	Detail       string `json:"detail,omitempty"`
	Hash         string `json:"hash,omitempty"`
}

func listed(all []sqldb.AuditLink) []listedRow {
	rows := make([]listedRow, len(all))
	for i, l := range all {
		rows[i] = listedRow{l.Seq, l.ID, l.At, l.Organisation, l.Actor, l.Action, l.Subject, l.Detail, l.Hash}
	}
	return rows
}

// plain keeps what platforms wrote from steering the terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

type auditVerifyCommand struct {
	FromExport string    `help:"Verify this export instead of the database; - for standard input." placeholder:"FILE"`
	Head       chainHash `help:"A head that was noted earlier: it must be in the chain." placeholder:"HASH"`
	JSON       bool      `name:"json" help:"Print JSON."`
}

// Run walks the chain.
func (c auditVerifyCommand) Run(ctx context.Context, s *Settings, out streams) error {
	report, err := c.verify(ctx, s)
	if err != nil {
		fmt.Fprintln(out.err, "sealsmith:", err)
		return exitCode(2)
	}
	if c.JSON {
		if err := out.printJSON(report); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
	} else {
		c.print(out, report)
	}
	if !report.Whole {
		return exitCode(1)
	}
	return nil
}

func (c auditVerifyCommand) verify(ctx context.Context, s *Settings) (report sqldb.AuditReport, err error) {
	if c.FromExport == "" {
		err = s.withDatabase(ctx, func(db *sqldb.DB) error {
			report, err = db.VerifyAudit(ctx, string(c.Head))
			return err
		})
		return report, err
	}
	var from io.Reader = os.Stdin
	if c.FromExport != "-" {
		f, err := os.Open(c.FromExport)
		if err != nil {
			return report, fmt.Errorf("open the export: %w", err)
		}
		defer f.Close()
		from = f
	}
	return sqldb.VerifyAuditExport(from, string(c.Head))
}

func (c auditVerifyCommand) print(out streams, r sqldb.AuditReport) {
	if r.Whole {
		out.printf("The chain is whole: %d links.\n", r.Links)
	} else {
		out.printf("The chain is BROKEN. %s\n%d links were checked.\n", plain(r.Break.Words), r.Links)
	}
	if r.LeftOut > 0 {
		out.printf("%d links are not in this export. What they say cannot be checked.\n", r.LeftOut)
	}
	if r.NotLinked > 0 {
		out.printf("%d rows are not linked yet; sealsmith serve and worker link them. Until then nothing shows whether they change.\n", r.NotLinked)
	}
	if n := r.Noted; n != nil && n.Found {
		out.printf("The noted head is link %d; %d links came after it.\n", n.Seq, r.HeadSeq-n.Seq)
	} else if n != nil {
		out.printf("The noted head is not among the links that were checked.\n")
	}
	if r.Whole && r.HeadSeq > 0 {
		out.printf("Head, to be noted where nobody with this database can change it:\n  %s  (link %d)\n", r.Head, r.HeadSeq)
	}
}

type auditExportCommand struct {
	Organisation string `help:"Slug; else everything, also what the server did for itself."`
	Since        moment `help:"Not before this date or time." placeholder:"DATE"`
	Until        moment `help:"Before this date or time." placeholder:"DATE"`
	Out          string `help:"The file to write, which becomes readable by its owner only; - for standard output." required:"" placeholder:"FILE"`
}

// Run writes the export. A file that is there is replaced when the new one is complete.
func (c auditExportCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withTrail(ctx, c.Organisation, func(db *sqldb.DB, organisation string) error {
		filter := sqldb.AuditFilter{OrganisationID: organisation, Since: c.Since.Time, Until: c.Until.Time}
		if c.Out == "-" {
			_, err := db.ExportAudit(ctx, filter, out.out)
			return err
		}
		var head sqldb.AuditExport
		err := writeWhole(c.Out, func(w io.Writer) (err error) {
			head, err = db.ExportAudit(ctx, filter, w)
			return err
		})
		if err != nil {
			return err
		}
		out.printf("Wrote %d of %d links to %s.\n", head.Links, head.HeadSeq, c.Out)
		if head.NotLinked > 0 {
			out.printf("%d rows are not linked yet and not in it.\n", head.NotLinked)
		}
		return nil
	})
}

// writeWhole writes a file that is either complete or not there.
func writeWhole(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("make the file: %w", err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
