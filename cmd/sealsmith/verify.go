package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/jades"
)

// verifyCommand checks a file with the same code as the public page.
type verifyCommand struct {
	offlineStatus

	JSON bool   `help:"Print the report as JSON."`
	File string `arg:"" help:"The sealed credential (.jsonld); - for standard input."`
}

// Run checks the file. Whom to trust say the global settings --trust and --trust-lists.
func (c verifyCommand) Run(s *Settings, out streams) error {
	trust, err := newTrusted(s, newLogger(out.err, s.level()))
	if err != nil {
		fmt.Fprintln(out.err, "sealsmith:", err)
		return exitCode(2)
	}
	file, err := readFile(c.File)
	if err != nil {
		fmt.Fprintln(out.err, "sealsmith:", err)
		return exitCode(2)
	}
	options := trust.options(time.Now())
	report, unsaid, err := c.add(issuance.Verify(file, options), options.Trust)
	if err != nil {
		fmt.Fprintln(out.err, "sealsmith:", err)
		return exitCode(2)
	}
	if unsaid != "" {
		fmt.Fprintln(out.err, "sealsmith:", unsaid)
	}
	if c.JSON {
		encoder := json.NewEncoder(out.out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
	} else {
		printReport(out, report)
	}
	switch report.Verdict {
	case issuance.VerdictValid:
		return nil
	case issuance.VerdictUnreadable:
		return exitCode(2)
	default:
		return exitCode(1)
	}
}

func readFile(name string) ([]byte, error) {
	var from io.Reader = os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("open the credential: %w", err)
		}
		defer f.Close()
		from = f
	}
	// One byte more than allowed, so that the check itself says "too large".
	file, err := io.ReadAll(io.LimitReader(from, jades.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the credential: %w", err)
	}
	return file, nil
}

func printReport(out streams, r issuance.Report) {
	out.printf("%s\n\n", r.Headline)
	if level := r.Level; level != nil && level.Reached != "" {
		out.printf("%s\n\n", level.Words)
	}
	for _, check := range r.Checks {
		out.printf("  %-12s %s. %s\n", strings.ToUpper(string(check.Outcome)), strings.TrimSuffix(check.Title, "."), check.Words)
	}
	if q := r.Qualification; q != nil {
		out.printf("\nBy the trusted lists\n\n  %s\n", q.Words)
		for _, reason := range q.Reasons {
			out.printf("  - %s\n", reason)
		}
	}
	if r.Content == nil {
		return
	}
	out.printf("\nWhat it says\n\n")
	for _, element := range r.Content.Elements {
		out.printf("  %-34s %s\n", element.Label, strings.Join(element.Values, "\n  "+strings.Repeat(" ", 35)))
	}
}
