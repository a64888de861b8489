package main

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/ceremony"
)

type tokenInfoCommand struct {
	Module string `help:"Driver to look with, when no token is configured yet." placeholder:"PATH" type:"path"`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Run lists drivers, slots and tokens. It makes no login.
func (c tokenInfoCommand) Run(s *Settings, out streams) error {
	uris, err := s.tokenURIs()
	if err != nil {
		return err
	}
	if c.Module != "" {
		uris = []hsm.URI{{ModulePath: c.Module}}
	}
	if len(uris) == 0 {
		_, err := oneToken{}.uri(s)
		return err
	}
	drivers := []ceremony.Driver{}
	seen := map[string]bool{}
	for _, uri := range uris {
		if seen[uri.ModulePath] {
			continue
		}
		seen[uri.ModulePath] = true
		driver, err := ceremony.Survey(uri)
		if err != nil {
			return err
		}
		drivers = append(drivers, driver)
	}
	if c.JSON {
		return out.printJSON(drivers)
	}
	for i, driver := range drivers {
		if i > 0 {
			out.printf("\n")
		}
		if err := printDriver(out, driver, uris); err != nil {
			return err
		}
	}
	return nil
}

func printDriver(out streams, d ceremony.Driver, uris []hsm.URI) error {
	out.printf("Driver %s\n  %s, %s, version %s, PKCS #11 %s\n\n", d.Path, d.Manufacturer, d.Description, d.Version, d.Cryptoki)
	t := newTable(out.out, "SLOT", "TOKEN", "SERIAL", "MODEL", "PIN", "CONFIGURED")
	for _, slot := range d.Slots {
		switch token := slot.Token; {
		case slot.Problem != "":
			t.row(slot.ID, "cannot be read: "+slot.Problem, "", "", "", "")
		case token == nil:
			t.row(slot.ID, "empty: "+slot.Description, "", "", "", "")
		default:
			t.row(slot.ID, token.Label, token.Serial, token.Model, string(token.PIN.State), configured(d, *token, uris))
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	for _, slot := range d.Slots {
		if slot.Token == nil || slot.Token.Serial == "" && slot.Token.Label == "" {
			continue
		}
		if err := printToken(out, d, *slot.Token); err != nil {
			return err
		}
	}
	return nil
}

func configured(d ceremony.Driver, t ceremony.Token, uris []hsm.URI) string {
	for _, uri := range uris {
		if uri.ModulePath == d.Path && (uri.Token != "" || uri.Serial != "") && t.Matches(uri) {
			return "yes"
		}
	}
	return "no"
}

func printToken(out streams, d ceremony.Driver, token ceremony.Token) error {
	out.printf("\nToken %s\n", token.Label)
	limits := "no limit told"
	if token.Sessions.Most > 0 {
		limits = fmt.Sprintf("%d at most", token.Sessions.Most)
	}
	t := newTable(out.out)
	for _, row := range [][2]string{
		{"made by", token.Manufacturer + " " + token.Model + ", hardware " + token.Hardware + ", firmware " + token.Firmware},
		{"flags", strings.Join(token.Flags, ", ")},
		{"PIN", fmt.Sprintf("%s, %d to %d characters", token.PIN.State, token.PIN.Shortest, token.PIN.Longest)},
		{"sessions", limits},
		{"signs with", abilities(token, func(m ceremony.Mechanism) bool { return m.Sign })},
		{"makes keys with", abilities(token, func(m ceremony.Mechanism) bool { return m.Generate })},
	} {
		t.row("  "+row[0], row[1])
	}
	for _, cert := range token.Certificates {
		t.row("  certificate", fmt.Sprintf("%s, id %s", cert, hex.EncodeToString(cert.ID)))
	}
	t.row("  URI", token.URI(d.Path))
	return t.Flush()
}

// abilities lists mechanisms that have a name; those without one do not make seals.
func abilities(token ceremony.Token, can func(ceremony.Mechanism) bool) string {
	var names []string
	for _, m := range token.Mechanisms {
		if can(m) && !strings.HasPrefix(m.Name, "0x") {
			names = append(names, m.Name)
		}
	}
	return strings.Join(names, " ")
}
