package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"tollgate/simulator"

	"github.com/spf13/cobra"
)

// simulation is what the flags of `tollgate simulate` say.
type simulation struct {
	listen         string
	options        simulator.Options
	fast           bool
	eventsPerWrite int
}

// simulated is a simulator that listens, in either mode.
type simulated interface {
	URL() string
	Close(context.Context) error
}

func newSimulate(stdout io.Writer) *cobra.Command {
	var s simulation
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Play the three providers, strictly by their own documents",
		Long: `Serve StarMagic, TheTurbo and Evolink under /starmagic/v1, /theturbo/v1 and
/evolink/v1: the same paths, fields, limits, answers and streams as their pages
document, and a refusal for everything they do not. Any API key is accepted.
GET /_truth tells what each request asked and what it was given.

With --fast, serve StarMagic alone, for load generators: answers of the same
shape from bytes made beforehand, as long as max_tokens says. Requests are
neither checked nor remembered, there is no /_truth.`,
		Example: `  tollgate simulate --listen 127.0.0.1:9090
  tollgate simulate --first-token 300ms --gap 20ms --tokens 200
  tollgate simulate --fast --gap 20ms
  curl http://127.0.0.1:9090/_truth`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("events-per-write") && (!s.fast || s.options.Behaviour.Gap > 0) {
				return &usageError{errors.New("--events-per-write is for --fast without --gap")}
			}
			return s.run(cmd.Context(), stdout)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.listen, "listen", "127.0.0.1:9090", "the address to serve on")
	flags.Uint64Var(&s.options.Seed, "seed", 1, "makes every text; the same seed gives the same answers")
	flags.DurationVar(&s.options.Behaviour.FirstToken, "first-token", 0, "time to a stream's first event")
	flags.DurationVar(&s.options.Behaviour.Gap, "gap", 0, "time between two tokens")
	flags.IntVar(&s.options.Behaviour.Tokens, "tokens", 0, "length of an answer in tokens (0: 24; 50 with --fast)")
	flags.BoolVar(&s.fast, "fast", false, "StarMagic alone, unchecked and cheap, for load generators")
	flags.IntVar(&s.eventsPerWrite, "events-per-write", 1, "with --fast and no --gap: events that leave together")
	return cmd
}

// run serves until ctx is done.
func (s *simulation) run(ctx context.Context, stdout io.Writer) error {
	running, providers, err := s.start()
	if err != nil {
		return err
	}
	for _, p := range providers {
		if _, err := fmt.Fprintf(stdout, "%-10s %s/%s/v1\n", p, running.URL(), p); err != nil {
			return err
		}
	}
	<-ctx.Done()
	const grace = 2 * time.Second
	closing, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return running.Close(closing)
}

func (s *simulation) start() (simulated, []simulator.Provider, error) {
	if !s.fast {
		running, err := simulator.New(s.options).Start(s.listen)
		return running, simulator.Providers(), err
	}
	running, err := simulator.StartFast(s.listen, simulator.FastOptions{
		Seed:           s.options.Seed,
		FirstToken:     s.options.Behaviour.FirstToken,
		Gap:            s.options.Behaviour.Gap,
		EventsPerWrite: s.eventsPerWrite,
		Tokens:         s.options.Behaviour.Tokens,
	})
	return running, []simulator.Provider{simulator.StarMagic}, err
}
