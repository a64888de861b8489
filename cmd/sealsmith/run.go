package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// version is set by the linker.
var version = "development"

// streams are where a command writes: its result to out, everything else to err.
type streams struct{ out, err io.Writer }

func (s streams) printf(format string, args ...any) {
	// A closed pipe is the reader's choice; there is nobody left to tell.
	_, _ = fmt.Fprintf(s.out, format, args...)
}

// cli is the command line: each field is a command, its doc in the help tag.
type cli struct {
	Settings

	Serve         serveCommand         `cmd:"" help:"Run the server: LTI, pages, a worker, and a Redis of its own when none is given."`
	Worker        workerCommand        `cmd:"" help:"Run a sealing worker alone, beside one or more servers."`
	Demo          demoCommand          `cmd:"" help:"Show everything: two universities' LMS, a token, the server, and a walk through a credential's life."`
	Verify        verifyCommand        `cmd:"" help:"Check a sealed credential. Exit 0 valid, 1 not valid, 2 unreadable."`
	Platforms     platformsCommand     `cmd:"" help:"Registered LMS platforms."`
	Organisations organisationsCommand `cmd:"" help:"Organisations that award micro-credentials."`
	Templates     templatesCommand     `cmd:"" help:"Micro-credential templates."`
	Keys          keysCommand          `cmd:"" help:"The LTI signing keys of the tool, and the key file that seals them."`
	Token         tokenCommand         `cmd:"" help:"The eSeal token."`
	Credentials   credentialsCommand   `cmd:"" help:"Sealed credentials, and how to withdraw them."`
	Corrections   correctionsCommand   `cmd:"" help:"Names in sealed credentials that learners say are wrong."`
	Status        statusCommand        `cmd:"" help:"Status lists: what they say, until when, and where a credential stands."`
	Kit           kitCommand           `cmd:"" help:"The issuer-gone kit: what checks credentials when this server is no more." name:"kit"`
	Queue         queueCommand         `cmd:"" help:"What waits for the seal, and what has stopped."`
	Batches       batchesCommand       `cmd:"" help:"Many learners at once: awards, and files of results."`
	Reconcile     reconcileCommand     `cmd:"" help:"After a backup of the database was restored: bring back what was sealed since, and let sealing go on."`
	Artefacts     artefactsCommand     `cmd:"" help:"The files of credentials: where they are, whether they are whole, carrying them to an object store and back."`
	Audit         auditCommand         `cmd:"" help:"The audit trail: who did what to which claim, key and template."`
	TrustLists    trustCommand         `cmd:"" name:"trust" help:"The trusted lists of the EU, which say whether a seal is qualified."`
	Bench         benchCommand         `cmd:"" help:"Measure launches and sealing on this machine; JSON lines."`
	Crashrun      crashCommand         `cmd:"" help:"Issue credentials while processes are killed, and count what came of it; for developers."`
	Migrate       migrateCommand       `cmd:"" help:"Bring the database schema up to date."`
	Version       versionCommand       `cmd:"" help:"Print the version."`
}

// exitCode is an error that carries its own exit code and has been reported already.
type exitCode int

// Error implements error.
func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// exitUsage is for a command line or an environment that is not understood. It is not 1,
// which verify says of a credential that is not valid.
const exitUsage = 2

// run parses args, runs the command and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	if unknown := unknownSettings(os.Environ()); len(unknown) > 0 {
		fmt.Fprintf(s.err, "sealsmith: unknown setting %s in the environment; known are %s\n", strings.Join(unknown, ", "), strings.Join(knownSettings(), ", "))
		return exitUsage
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("sealsmith"),
		kong.Description("Seals micro-credentials that learners earn in a learning management system."),
		kong.Writers(s.out, s.err), kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s))
	if err != nil {
		fmt.Fprintln(s.err, "sealsmith:", err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(s.err, "sealsmith: %v (try sealsmith --help)\n", err)
		return exitUsage
	}
	err = parsed.Run(&c.Settings)
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	if err != nil {
		fmt.Fprintln(s.err, "sealsmith:", err)
		return 1
	}
	return 0
}

// newLogger writes text to a terminal and JSON elsewhere.
func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return slog.New(slog.NewTextHandler(w, options))
		}
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(s streams) error {
	s.printf("sealsmith %s\n", version)
	return nil
}
