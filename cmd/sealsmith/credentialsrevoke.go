package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/templates"
)

type credentialsRevokeCommand struct {
	Organisation    string   `help:"Slug; not needed while there is one organisation."`
	Reason          string   `help:"Why, as a code that everybody is told: ${enum}." enum:"awarded_in_error,wrong_person,wrong_content,misconduct,holder_request,other" required:""`
	Because         string   `help:"More words, for everybody who checks the credential and for its holder: name nobody. Needed with the reason other."`
	By              string   `help:"Your name, for the audit trail. Needed where revoking takes two people."`
	DryRun          bool     `help:"Say what would be done, and do nothing."`
	From            string   `help:"File with an id or the address of a public page on each line; - reads them from standard input."`
	Attachment      string   `help:"Id of an activity: all its credentials that were not withdrawn."`
	TemplateVersion string   `help:"Id of a template version: all its credentials that were not withdrawn."`
	SealedFrom      moment   `help:"Only what was sealed at this date or time, or later." placeholder:"DATE"`
	SealedUntil     moment   `help:"Only what was sealed before this date or time." placeholder:"DATE"`
	Expect          int      `help:"How many are revoked, as --dry-run has said; nothing is done when there are more or fewer."`
	IDs             []string `arg:"" optional:"" name:"id" help:"Ids of credentials, or addresses of their public pages."`
}

// Validate refuses a command that names nothing, or in two ways.
func (c *credentialsRevokeCommand) Validate() error {
	switch many := c.many(); {
	case len(c.IDs) == 0 && !many:
		return errors.New("say which credentials are meant: by their ids, by --from, or by --attachment, --template-version, --sealed-from, --sealed-until")
	case len(c.IDs) > 0 && many:
		return errors.New("ids stand alone; put them into a file for --from to choose among them")
	case !c.SealedFrom.IsZero() && !c.SealedUntil.IsZero() && !c.SealedUntil.After(c.SealedFrom.Time):
		return errors.New("--sealed-until has to be later than --sealed-from")
	}
	return nil
}

func (c *credentialsRevokeCommand) many() bool {
	return c.From != "" || c.Attachment != "" || c.TemplateVersion != "" || !c.SealedFrom.IsZero() || !c.SealedUntil.IsZero()
}

// Run revokes credentials.
func (c *credentialsRevokeCommand) Run(ctx context.Context, s *Settings, out streams) error {
	if !c.many() {
		return (&withdrawing{act: issuance.ActRevoke, organisation: c.Organisation, reason: issuance.Reason(c.Reason), words: c.Because, names: c.IDs, dryRun: c.DryRun, by: c.By}).run(ctx, s, out)
	}
	by, err := operatorName(c.By)
	if err != nil {
		return err
	}
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		selection := issuance.Selection{OrganisationID: o.ID, AttachmentID: c.Attachment, VersionID: c.TemplateVersion, SealedFrom: c.SealedFrom.Time, SealedUntil: c.SealedUntil.Time}
		var unknown error
		if c.From != "" {
			names, err := readNames(c.From)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				return errors.New("the list names no credential: it takes an id or an address on each line")
			}
			if selection.IDs, unknown = findAll(ctx, desk, o.ID, names); len(selection.IDs) == 0 {
				return errors.Join(errors.New("none of the credentials on the list can be revoked"), unknown)
			}
		}
		w := issuance.Withdrawal{OrganisationID: o.ID, Reason: issuance.Reason(c.Reason), Words: c.Because, By: by}
		if err := w.Check(issuance.ActRevoke); err != nil {
			return err
		}
		if c.DryRun {
			return errors.Join(c.dry(ctx, desk, selection, out), unknown)
		}
		if c.Expect <= 0 {
			return errors.New("say how many you expect: run it with --dry-run first, then with --expect and the number that it says")
		}
		order, err := desk.AskRevoke(ctx, issuance.Ask{Selection: selection, Reason: w.Reason, Words: w.Words, By: by, Expect: c.Expect})
		if err != nil {
			return byName(err)
		}
		if order.State == issuance.OrderAsked {
			sayWaiting(order, out)
			return unknown
		}
		return errors.Join(carryOut(ctx, desk, order, out), unknown)
	})
}

// dry lists what would be revoked.
func (c *credentialsRevokeCommand) dry(ctx context.Context, desk *issuance.Desk, selection issuance.Selection, out streams) error {
	const all = 1 << 30
	p, err := desk.Preview(ctx, selection, all)
	if err != nil {
		return err
	}
	if p.Total == 0 {
		out.printf("Nothing was done, and nothing would be: no credential that is in force or suspended fits. sealsmith credentials show ID names the activity and the template version of one that you mean.\n")
		return nil
	}
	for _, one := range p.Sample {
		out.printf("%s, sealed %s, %s: would be revoked.\n", one.CredentialID, one.SealedAt.Format(time.DateOnly), say(one.InForce))
	}
	out.printf("Everybody who checks reads: %s\n", issuance.Standing{Reason: issuance.Reason(c.Reason), Words: c.Because}.Because())
	if p.Second {
		out.printf("A second person has to confirm it; until then nothing is revoked.\n")
	}
	out.printf("Nothing was done: %d would be revoked. To do it, put --expect %d in the place of --dry-run.\n", p.Total, p.Total)
	return nil
}

const mostNames = 1_000_000

// readNames reads one name a line. Empty lines, and lines that begin with #, are left out.
func readNames(file string) (names []string, err error) {
	var in io.Reader = os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("open the list: %w", err)
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		name := strings.TrimSpace(lines.Text())
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		if len(names) == mostNames {
			return nil, fmt.Errorf("the list has more than %d lines; divide it", mostNames)
		}
		names = append(names, name)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the list: %w", err)
	}
	return names, nil
}

// findAll finds the credentials of a list. What cannot be revoked is told in the error, and
// the others are returned all the same.
func findAll(ctx context.Context, desk *issuance.Desk, organisationID string, names []string) ([]string, error) {
	var ids []string
	var errs []error
	for _, name := range names {
		now, err := desk.Find(ctx, organisationID, name)
		if err == nil {
			err = now.May(issuance.ActRevoke)
		}
		if err != nil {
			errs = append(errs, about("credential", name, "credentials list", err))
			continue
		}
		ids = append(ids, now.CredentialID)
	}
	return ids, errors.Join(errs...)
}

// byName says how a name is given where one is missing.
func byName(err error) error {
	if errors.Is(err, issuance.ErrNobody) {
		return fmt.Errorf("%w: --by NAME", err)
	}
	return err
}

const mostOperatorName = 60

// operatorName is how an operator stands in the audit trail. Small and large letters do not
// make two people of one.
func operatorName(name string) (string, error) {
	if name == "" {
		return issuance.Operator, nil
	}
	name = strings.ToLower(strings.Join(strings.Fields(name), " "))
	bad := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune(" .-_@'’", r)
	}
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > mostOperatorName || strings.ContainsFunc(name, bad) {
		return "", fmt.Errorf("--by takes a name of letters and digits, %d at most", mostOperatorName)
	}
	return issuance.Operator + ":" + name, nil
}
