package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/issuance/trustlist"
)

type trustCommand struct {
	Import trustImportCommand `cmd:"" help:"Import the list of the lists and national lists from files. Each signature is checked; a list that is refused changes nothing. Exit 1 when one was refused."`
	List   trustListCommand   `cmd:"" help:"Show which trusted lists are imported, how old they are, and which are missing."`
	Show   trustShowCommand   `cmd:"" help:"Show the trust services on one imported list."`
}

type trustImportCommand struct {
	Files   []string `arg:"" name:"file" help:"Lists as they were downloaded (XML), in any order; of the list of the lists first https://ec.europa.eu/tools/lotl/eu-lotl.xml."`
	Signers string   `help:"Certificates that may sign the list of the lists, PEM or DER: those of the Official Journal of the European Union. Needed the first time, and when none of the known ones signs any more." placeholder:"FILE" type:"path"`
}

// Run imports lists.
func (c trustImportCommand) Run(s *Settings, out streams) error {
	r := trustlist.Request{Now: time.Now}
	if c.Signers != "" {
		data, err := os.ReadFile(c.Signers)
		if err != nil {
			return fmt.Errorf("read the signers: %w", err)
		}
		if r.Signers, err = trustlist.ParseSigners(data); err != nil {
			return fmt.Errorf("%s: %w", c.Signers, err)
		}
	}
	for _, name := range c.Files {
		xml, err := readList(name)
		if err != nil {
			return err
		}
		r.Files = append(r.Files, trustlist.File{Name: name, XML: xml})
	}
	outcomes, err := trustlist.Import(s.trustLists(), r)
	if err != nil {
		return err
	}
	refused := 0
	for _, o := range outcomes {
		switch {
		case o.Err != nil:
			refused++
			fmt.Fprintf(out.err, "refused  %s: %v\n", o.File, o.Err)
		case o.Pivot:
			out.printf("read     %s: %s, only to get to a newer one\n", o.File, describe(o.List))
		default:
			out.printf("imported %s: %s\n", o.File, describe(o.List))
			if o.Stale {
				out.printf("         It ran out on %s: there must be a newer one.\n", o.List.NextUpdate.Format(time.DateOnly))
			}
			for _, note := range o.List.Notes {
				out.printf("         %s\n", note)
			}
		}
	}
	if refused > 0 {
		fmt.Fprintf(out.err, "sealsmith: %d of %d lists refused; they changed nothing\n", refused, len(outcomes))
		return exitCode(1)
	}
	return nil
}

// readList reads a file, and one byte more than a list may have, so that the import says so.
func readList(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the list: %w", err)
	}
	defer f.Close()
	xml, err := io.ReadAll(io.LimitReader(f, trustlist.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the list: %w", err)
	}
	return xml, nil
}

func describe(l *trustlist.List) string {
	what := "the list of " + trustlist.Country(l.Territory)
	if l.Territory == "EU" {
		what = "the list of the lists"
	}
	return fmt.Sprintf("%s, number %d of %s", what, l.Sequence, l.Issued.Format(time.DateOnly))
}

// listState is one list in the overview.
type listState struct {
	Territory  string    `json:"territory"`
	Country    string    `json:"country"`
	Sequence   int       `json:"sequence,omitempty"` // 0: not imported
	Issued     time.Time `json:"issued,omitzero"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	Services   int       `json:"services"`
	State      string    `json:"state"` // current, out-of-date, closed, signer-gone, missing
	Location   string    `json:"location,omitempty"`
}

type trustListCommand struct {
	JSON      bool `name:"json" help:"Print JSON."`
	Locations bool `help:"Print territory and address of every list that the list of the lists names, for a script that downloads them."`
}

// Run shows an overview.
func (c trustListCommand) Run(s *Settings, out streams) error {
	store, err := trustlist.Load(s.trustLists(), time.Now)
	if err != nil {
		return err
	}
	all := listStates(store, time.Now())
	switch {
	case c.JSON:
		return out.printJSON(all)
	case c.Locations:
		for _, l := range all {
			if l.Location != "" {
				out.printf("%s %s\n", l.Territory, l.Location)
			}
		}
		return nil
	case len(all) == 0:
		out.printf("No trusted list is imported, so verification does not say whether a seal is qualified. Begin with the list of the lists:\n" +
			"  curl -fO https://ec.europa.eu/tools/lotl/eu-lotl.xml\n  sealsmith trust import eu-lotl.xml --signers official-journal.pem\n")
		return nil
	}
	t := newTable(out.out, "LIST", "OF", "NUMBER", "ISSUED", "NEXT UPDATE", "SERVICES", "STATE")
	for _, l := range all {
		if l.Sequence == 0 {
			t.row(l.Territory, l.Country, "", "", "", "", "missing: "+l.Location)
			continue
		}
		next := ""
		if !l.NextUpdate.IsZero() {
			next = l.NextUpdate.Format(time.DateOnly)
		}
		t.row(l.Territory, l.Country, l.Sequence, l.Issued.Format(time.DateOnly), next, l.Services, stateWords(l.State))
	}
	return t.Flush()
}

func stateWords(state string) string {
	switch state {
	case "out-of-date":
		return "out of date: import the present one"
	case "signer-gone":
		return "not used, its signer is gone: import the present one"
	}
	return state
}

// listStates are the list of the lists, then the lists that it names and those that are there.
func listStates(store *trustlist.Store, now time.Time) []listState {
	lotl := store.LOTL()
	if lotl == nil {
		return nil
	}
	all := []listState{stateOf(lotl, now)}
	for _, l := range store.Lists() {
		all = append(all, stateOf(l, now))
	}
	for _, p := range lotl.Pointers {
		i := slices.IndexFunc(all, func(l listState) bool { return l.Territory == p.Territory })
		if i < 0 {
			all, i = append(all, listState{Territory: p.Territory, Country: trustlist.Country(p.Territory), State: "missing"}), len(all)
		}
		all[i].Location = p.Location
	}
	slices.SortFunc(all[1:], func(a, b listState) int { return strings.Compare(a.Territory, b.Territory) })
	return all
}

func stateOf(l *trustlist.List, now time.Time) listState {
	s := listState{
		Territory: l.Territory, Country: trustlist.Country(l.Territory), Sequence: l.Sequence, Issued: l.Issued, NextUpdate: l.NextUpdate,
		Services: len(l.Services), State: "current",
	}
	switch {
	case l.SignerGone:
		s.State = "signer-gone"
	case l.NextUpdate.IsZero():
		s.State = "closed"
	case l.Stale(now):
		s.State = "out-of-date"
	}
	return s
}

type trustShowCommand struct {
	Country string `arg:"" help:"Territory as the lists write it: NL, EL for Greece; EU for the list of the lists."`
	JSON    bool   `name:"json" help:"Print JSON: everything that was read, certificates as base64 of their DER."`
}

// Run shows one list.
func (c trustShowCommand) Run(s *Settings, out streams) error {
	store, err := trustlist.Load(s.trustLists(), time.Now)
	if err != nil {
		return err
	}
	territory := strings.ToUpper(c.Country)
	list := store.List(territory)
	if territory == "EU" {
		list = store.LOTL()
	}
	if list == nil {
		return fmt.Errorf("no list of %s is imported; those that are: sealsmith trust list", territory)
	}
	if c.JSON {
		return out.printJSON(list)
	}
	out.printf("%s, published by %s\n", describe(list), list.Operator)
	if state := stateOf(list, time.Now()).State; state != "current" {
		out.printf("state: %s\n", stateWords(state))
	}
	out.printf("signed by the certificate with SHA-256 %s\n\n", list.Signer)
	t := newTable(out.out)
	if territory == "EU" {
		for _, p := range list.Pointers {
			t.row(p.Territory, p.Location, fmt.Sprintf("%d signers", len(p.Signers)))
		}
	} else {
		t.row("SERVICE", "PROVIDER", "FOR", "STATUS", "SINCE")
		for _, service := range list.Services {
			t.row(serviceRow(service)...)
		}
	}
	if err := t.Flush(); err != nil {
		return errors.Join(errors.New("print the list"), err)
	}
	if list.Others > 0 {
		out.printf("\n%d services of other kinds take no part in verification.\n", list.Others)
	}
	for _, note := range list.Notes {
		out.printf("%s\n", note)
	}
	return nil
}

func serviceRow(s trustlist.Service) []any {
	now := s.Periods[0]
	kinds := "time-stamps"
	if s.Type == trustlist.TypeCA {
		kinds = strings.Join(now.Additional, " ")
	}
	return []any{s.Name, s.Provider, kinds, now.Status, now.Since.Format(time.DateOnly)}
}
