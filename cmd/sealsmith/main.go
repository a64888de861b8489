// Command sealsmith is an LTI 1.3 tool server that issues sealed micro-credentials.
//
// This package wires the parts and holds the operator's words: one file per command,
// app.go for what `serve`, `worker` and `demo` share. It is the only package that reads
// the environment, the clock and the default logger. It knows no protocol and no format.
// It fails with a sentence on standard error and an exit code: 2 for a command line that is
// not understood, else 1, or what the command's help names.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}
