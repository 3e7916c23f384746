// Command bench answers what a request through Tollgate costs, in multiples of
// what the same request costs through nginx.
//
// It builds the binary, starts a simulated provider, nginx and Tollgate on the
// loopback, sends both the same bytes in turns, and prints a table. Everything
// that an operator has on is on: the key check, limits, the durable usage
// record, the log. docs/performance.md says how to read it.
//
// It measures by /proc, CPU affinity and process clocks: Linux only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	os.Exit(mainCode())
}

func mainCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends this process at once, and the kernel the others
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// run is the whole program. When it returns, whatever it had started has ended.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	chosen, err := choose(scenarios(), o.only)
	if err != nil {
		return err
	}
	r, err := newRig(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	m, err := r.machine(ctx)
	if err != nil {
		return err
	}
	r.progress.expect(chosen, o)
	var done []*result
	for _, s := range chosen {
		found, err := r.measure(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		done = append(done, found)
	}
	return printReport(stdout, m, o, done)
}

// options are what the command line says.
type options struct {
	rounds   int
	duration time.Duration // of one measurement under load
	only     string
	before   string // a commit whose Tollgate is measured, too; empty: none
	scale    scale
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{scale: full()}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 5, "how often every scenario is measured, each gateway once a round")
	flags.DurationVar(&o.duration, "duration", 4*time.Second, "how long each gateway is measured under load, per round")
	flags.StringVar(&o.only, "only", "", "measure this scenario alone: "+names(scenarios()))
	flags.StringVar(&o.before, "before", "", "measure the Tollgate of this commit, too, in the scenario journal")
	quick := flags.Bool("quick", false, "a few seconds that show that everything works; the figures mean nothing")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *quick {
		o.scale, o.rounds, o.duration = small(), 1, 300*time.Millisecond
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: there are only flags, see -help", flags.Arg(0))
	case strings.HasPrefix(o.before, "-"):
		return o, fmt.Errorf("-before: must be a commit, got %q", o.before)
	case o.rounds < 1 || o.rounds > 100:
		return o, fmt.Errorf("-rounds: must be 1 to 100, got %d", o.rounds)
	case o.duration < 100*time.Millisecond || o.duration > time.Minute:
		return o, fmt.Errorf("-duration: must be 100ms to 1m, got %s", o.duration)
	}
	return o, nil
}
