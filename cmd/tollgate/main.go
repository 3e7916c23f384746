// Command tollgate is the gateway and its operator's tool: it answers how the
// rooms of the house are wired together, started, and ended.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"tollgate/store"
)

// version is set when the binary is built: -ldflags "-X main.version=v1.2.3".
var version = "devel"

// Exit codes, as scripts rely on them.
const (
	exitDone   = 0
	exitFailed = 1 // what was asked for did not succeed
	exitUsage  = 2 // the command line or the configuration is wrong: nothing was started
)

func main() {
	os.Exit(mainCode())
}

func mainCode() int {
	// The first signal asks for an orderly end; after it the default action is
	// back, so that a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	// The standard library's own lines may quote what a provider sent. What
	// matters of them comes back as an error, and is logged as one.
	log.SetOutput(io.Discard)
	store.SilenceRedisLog()
	return exitCode(run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr)
}

// run is the whole program: tests start it as the shell does. It returns when
// the command is done, or, for one that serves, when ctx is done and everything
// it opened is closed. Command output goes to stdout, logs to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root, started := newRoot(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !started() {
		return &usageError{err}
	}
	return err
}

// usageError is a mistake in the command line or the configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	// A flag that cannot be read is quoted, whatever was put there.
	_, _ = fmt.Fprintln(stderr, "tollgate:", withoutSecrets(err.Error()))
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
