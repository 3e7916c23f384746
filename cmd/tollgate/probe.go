package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"tollgate/config"
	"tollgate/probe"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"

	"github.com/spf13/cobra"
)

// probing is the command that asks a live provider what it really takes.
type probing struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	pause          time.Duration // between two requests; 0: the usual one

	provider, config, model, endpoint, imageURL string
	maxCost                                     string
	timeout                                     time.Duration
	yes                                         bool
	output                                      outputFormat

	streamUsage string           // the option of the provider, which stands above its contract's
	credential  telemetry.Secret // of the endpoint that is asked
}

func newProbe(stdout, stderr io.Writer) *cobra.Command {
	p := &probing{stdin: os.Stdin, stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "probe PROVIDER",
		Short: "Ask a live provider what it really takes, and compare that with its contract",
		Long: `Ask one provider of the configuration a few dozen small requests, one at a time,
and compare what comes back with its contract: answers, streams, usage, errors,
every known field of a request, the roles of messages, pictures. Providers change
without notice; what was seen is printed as a contract to paste into config.yaml.

This costs what the provider charges for these requests: the most that can be is
shown first, and nothing is asked before you agree. A model that does not keep to
max_tokens may go beyond --max-cost, by one answer. The verdicts:

  as documented  it does what the contract says
  deviates       it does not
  undecided      it had no answer that tells
  not tried      another flag is needed, or the run ended before

The exit code is 0 when everything tried was as documented, else 1.`,
		Example: `  tollgate probe starmagic -c config.yaml
  tollgate probe theturbo --model gemini-2.0-flash --max-cost 0.01 --yes
  tollgate probe starmagic --endpoint '#2' --image-url https://example.com/one.png
  tollgate probe evolink --yes -o json > evolink.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.provider = args[0]
			return p.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&p.config, "config", "c", "config.yaml", "the configuration file")
	f.StringVar(&p.model, "model", "", "the provider's own name of the model to ask (default: the first that a target of the configuration names)")
	f.StringVar(&p.endpoint, "endpoint", "", "the endpoint to ask: its `url`, or #1 for the first (default: the first with a credential)")
	f.BoolVar(&p.yes, "yes", false, "do not ask before the first request")
	f.StringVar(&p.maxCost, "max-cost", "0.05", "the most that a run may cost, in `dollars`, by costs of the configuration")
	f.DurationVar(&p.timeout, "timeout", time.Minute, "the most that one answer may take")
	f.StringVar(&p.imageURL, "image-url", "", "a picture on the web to try http addresses with; the provider fetches this `url`")
	f.VarP(&p.output, "output", "o", "table or json")
	return cmd
}

// run is the command.
func (p *probing) run(ctx context.Context) error {
	options, err := p.options()
	if err != nil {
		return &usageError{err}
	}
	transport := upstream.NewTransport(upstream.TransportOptions{})
	defer transport.Close()
	options.Asker = transport
	options.Progress = func(f probe.Finding) {
		_, _ = fmt.Fprintf(p.stderr, "%-13s  %s\n", f.Verdict, f.Name)
	}
	prober := probe.New(options)
	p.announce(options, prober.Estimate())
	if err := p.agree(ctx); err != nil {
		return err
	}
	r := prober.Run(ctx)
	if err := p.print(options, r); err != nil {
		return err
	}
	switch {
	case r.Stopped != "":
		return fmt.Errorf("%s was not probed to the end: %s", p.provider, r.Stopped)
	case !r.Conforms():
		return fmt.Errorf("%s does not do what its contract says: %d of %d checks deviate, %d are undecided",
			p.provider, r.Count(probe.Deviates), len(r.Findings), r.Count(probe.Undecided))
	}
	return nil
}

// options reads the flags and the configuration.
func (p *probing) options() (probe.Options, error) {
	most, err := usage.ParseUSD(p.maxCost)
	if err != nil || most <= 0 {
		return probe.Options{}, fmt.Errorf("--max-cost: must be at least 0.000000001 dollars, such as 0.05, got %q", p.maxCost)
	}
	if p.timeout < time.Second {
		return probe.Options{}, fmt.Errorf("--timeout: must be at least 1s, got %s", p.timeout)
	}
	if p.imageURL != "" {
		if u, err := url.Parse(p.imageURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return probe.Options{}, errors.New("--image-url: must be an address such as https://example.com/one.png")
		}
	}
	c, err := config.Load(p.config)
	if err != nil {
		return probe.Options{}, err
	}
	p.streamUsage = c.Upstream.Providers[p.provider].StreamUsage
	candidate, err := p.candidate(c.Upstream)
	if err != nil {
		return probe.Options{}, err
	}
	prices, err := usage.NewPriceBook(c.Usage)
	if err != nil {
		return probe.Options{}, err
	}
	return probe.Options{
		Candidate: candidate, Credential: p.credential, Prices: prices, MaxCost: most, Timeout: p.timeout, Pause: p.pause, ImageURL: p.imageURL,
	}, nil
}

// announce says what is about to be asked, and what it may cost.
func (p *probing) announce(o probe.Options, e probe.Estimate) {
	c := o.Candidate
	_, _ = fmt.Fprintf(p.stderr, "%s at %s with the model %s:\nat most %d requests, %d prompt tokens, %d completion tokens\n",
		c.Provider.Name, c.Endpoint, c.Model, e.Requests, e.Prompt, e.Completion)
	if !e.Priced {
		_, _ = fmt.Fprintf(p.stderr, "costs of the configuration have no price for %s/%s: what this costs is not known, and --max-cost bounds nothing\n",
			c.Provider.Name, c.Model)
		return
	}
	_, _ = fmt.Fprintf(p.stderr, "at most $%s by costs of the configuration, if it keeps to max_tokens; else at most --max-cost, $%s, and one answer more\n", min(e.Cost, o.MaxCost), o.MaxCost)
}

var errNotAgreed = errors.New("nothing was asked: answer y to go on")

// agree waits for a yes.
func (p *probing) agree(ctx context.Context) error {
	if p.yes {
		return nil
	}
	if f, ok := p.stdin.(*os.File); ok && !isTerminal(f) {
		return &usageError{errors.New("nobody can be asked, because standard input is no terminal: give --yes to spend this without being asked")}
	}
	_, _ = fmt.Fprint(p.stderr, "Go on? [y/N] ")
	type typed struct {
		line string
		err  error
	}
	// Nothing ends a read of a terminal: when the command is interrupted, the
	// read is left behind and ends with the process.
	answers := make(chan typed, 1)
	go func() {
		line, err := bufio.NewReader(p.stdin).ReadString('\n')
		answers <- typed{line, err}
	}()
	select {
	case <-ctx.Done():
		_, _ = fmt.Fprintln(p.stderr)
		return errNotAgreed
	case got := <-answers:
		switch answer := strings.ToLower(strings.TrimSpace(got.line)); {
		case answer == "y", answer == "yes":
			return nil
		case got.err != nil && answer == "": // Ctrl-D, or /dev/null, which passes for a terminal
			_, _ = fmt.Fprintln(p.stderr)
			return &usageError{errors.New("no answer came, and nothing was asked: answer y to go on, or give --yes to spend this without being asked")}
		}
		return errNotAgreed
	}
}
