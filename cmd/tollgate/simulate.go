package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"tollgate/simulator"

	"github.com/spf13/cobra"
)

// simulation is what the flags of `tollgate simulate` say.
type simulation struct {
	listen         string
	options        simulator.Options
	faults         []simulator.Fault
	deviations     []deviation
	fast           bool
	eventsPerWrite int
}

// A deviation is what a provider does otherwise than its page says.
type deviation struct {
	provider   simulator.Provider // empty: all
	deviations simulator.Deviations
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
		Long:  simulateHelp(),
		Example: `  tollgate simulate --listen 127.0.0.1:9090
  tollgate simulate --first-token 300ms --gap 20ms --tokens 200
  tollgate simulate --fault kind=cut_between,provider=theturbo,events=3,every=2
  tollgate simulate --fault kind=respond,status=429,header.Retry-After=7,times=3 --fault kind=stall,events=5,for=30s
  tollgate simulate --fault 'kind=wrong_usage,body={"prompt_tokens":-1,"completion_tokens":"many"}'
  tollgate simulate --style crlf --comments 1
  tollgate simulate --deviation provider=theturbo,takes=seed+top_k,range.temperature=0..1,no_done
  tollgate simulate --deviation provider=starmagic,refuses=tools,errors=html --deviation provider=evolink,figures=twins
  tollgate simulate --fast --gap 20ms
  curl http://127.0.0.1:9090/_truth`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(cmd.Flags().Changed); err != nil {
				return &usageError{err}
			}
			return s.run(cmd.Context(), stdout)
		},
	}
	s.addFlags(cmd)
	return cmd
}

func simulateHelp() string {
	return `Serve StarMagic, TheTurbo and Evolink under /starmagic/v1, /theturbo/v1 and
/evolink/v1: the same paths, fields, limits, answers and streams as their pages
document, and a refusal for everything they do not. Any API key is accepted.
GET /_truth tells what each request asked and what it was given.

With --fast, serve StarMagic alone, for load generators: answers of the same
shape from bytes made beforehand, as long as max_tokens says. Requests are
neither checked nor remembered, there is no /_truth, and nothing fails.

With --fault, which may be given several times, requests fail: the first fault
that is due for a request strikes it. With --deviation, which may be given once
for each provider, it does otherwise than its page says, as resellers do.

` + simulator.FaultHelp() + "\n" + simulator.DeviationHelp()
}

func (s *simulation) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.listen, "listen", "127.0.0.1:9090", "the address to serve on")
	flags.Uint64Var(&s.options.Seed, "seed", 1, "makes every text; the same seed gives the same answers")
	flags.DurationVar(&s.options.Behaviour.FirstToken, "first-token", 0, "time to a stream's first event")
	flags.DurationVar(&s.options.Behaviour.Gap, "gap", 0, "time between two tokens")
	wholeNumberVar(flags, &s.options.Behaviour.Tokens, "tokens", 0, "length of an answer in tokens (0: 24; 50 with --fast)")
	flags.BoolVar(&s.fast, "fast", false, "StarMagic alone, unchecked and cheap, for load generators")
	wholeNumberVar(flags, &s.eventsPerWrite, "events-per-write", 1, "with --fast and no --gap: events that leave together")
	flags.Func("fault", "a `fault` that requests meet, as above; may be given several times", s.addFault)
	flags.Func("style", "how streams are written, in a `style` of: "+strings.Join(styleNames(), ", ")+" (default lf)", s.setStyle)
	wholeNumberVar(flags, &s.options.Behaviour.Comments, "comments", 0, "comments before each event of a stream")
	flags.Func("deviation", "a `deviation` of one provider from its page, or of all, as above; may be given several times", s.addDeviation)
}

func styleNames() []string {
	var names []string
	for _, style := range simulator.Styles() {
		names = append(names, string(style))
	}
	return names
}

func (s *simulation) addFault(text string) error {
	fault, err := simulator.ParseFault(text)
	if err == nil {
		s.faults = append(s.faults, fault)
	}
	return err
}

func (s *simulation) addDeviation(text string) error {
	provider, deviations, err := simulator.ParseDeviation(text)
	if err != nil {
		return err
	}
	for _, earlier := range s.deviations {
		if earlier.provider == provider || earlier.provider == "" || provider == "" {
			return errors.New("a provider has one deviation, write all its options in one, with commas between them")
		}
	}
	s.deviations = append(s.deviations, deviation{provider, deviations})
	return nil
}

// deviate gives the providers their deviations, once all flags are known.
func (s *simulation) deviate() {
	s.options.Providers = map[simulator.Provider]simulator.Behaviour{}
	for _, d := range s.deviations {
		behaviour := s.options.Behaviour
		behaviour.Deviations = d.deviations
		if d.provider == "" {
			s.options.Behaviour = behaviour
			continue
		}
		s.options.Providers[d.provider] = behaviour
	}
}

func (s *simulation) setStyle(name string) (err error) {
	s.options.Behaviour.Style, err = simulator.ParseStyle(name)
	return err
}

// check refuses flags that the chosen mode would ignore.
func (s *simulation) check(given func(flag string) bool) error {
	if given("events-per-write") && (!s.fast || s.options.Behaviour.Gap > 0) {
		return errors.New("--events-per-write is for --fast without --gap")
	}
	for _, flag := range []string{"fault", "style", "comments", "deviation"} {
		if s.fast && given(flag) {
			return fmt.Errorf("--%s is not for --fast", flag)
		}
	}
	if comments := s.options.Behaviour.Comments; comments < 0 {
		return fmt.Errorf("--comments: must be 0 or more, got %d", comments)
	}
	return nil
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
		s.deviate()
		providers := simulator.New(s.options)
		if err := providers.Inject(s.faults...); err != nil {
			return nil, nil, err
		}
		running, err := providers.Start(s.listen)
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
