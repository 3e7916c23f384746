package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"tollgate/admin"

	"github.com/spf13/cobra"
)

const (
	// shortestEvery keeps a typing mistake from asking the gateway all the time.
	shortestEvery = 100 * time.Millisecond
	// lookTimeout bounds one look of --watch: what hangs must not pass for the present.
	lookTimeout = 5 * time.Second
)

// upstreams is the command that shows whom the gateway can ask at present.
type upstreams struct {
	operator
	stderr          io.Writer
	provider, model string
	watch           bool
	every           time.Duration

	look  func(context.Context) ([]admin.Endpoint, error)
	clear bool // before each block of --watch: standard output is a terminal
}

func newUpstreams(stdout, stderr io.Writer) *cobra.Command {
	u := &upstreams{operator: operator{stdout: stdout}, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "upstreams",
		Short: "Show whom the gateway can ask at present, and why not",
		Long: `Show the state of every endpoint: one credential of one address, for one of the
provider's models. The states:

  ready         it may be asked
  open          its breaker refuses; after NEXT PROBE one request may try it
  half_open     a few requests are let through to try it, or will be when the next
                one comes
  cooling       left alone for a while: it throttles, has no quota left, or does not
                know the model
  quarantined   its credential was refused (401), or what is asked with it is
                forbidden (403) and nobody has had an answer since
  full          max_concurrent is reached
  off           it has no credential

PENDING counts the requests in progress there. FIRST EVENT is what a choice expects
of a stream's first event, and ANSWER the same of a plain answer: slow ones and
failures raise it at once, and it fades while nothing is asked. LAST ERROR was the
provider's fault. What is shown is the view of one replica: each has its own.`,
		Example: `  tollgate upstreams
  tollgate upstreams --provider starmagic --model gemini-2.5-flash-lite
  tollgate upstreams --watch
  tollgate upstreams --watch --every 10s > upstreams.txt
  tollgate upstreams -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("every") && !u.watch {
				return &usageError{errors.New("--every: says how often --watch looks: give --watch too")}
			}
			return u.run(cmd.Context())
		},
	}
	u.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&u.provider, "provider", "", "only this provider")
	f.StringVar(&u.model, "model", "", "only this model, by the provider's own name")
	f.BoolVar(&u.watch, "watch", false, "look again and again, until interrupted")
	f.DurationVar(&u.every, "every", 2*time.Second, "how often --watch looks")
	return cmd
}

// run is the command.
func (u *upstreams) run(ctx context.Context) error {
	if u.every < shortestEvery {
		return &usageError{fmt.Errorf("--every: must be at least %s, got %s", shortestEvery, u.every)}
	}
	client, err := u.client()
	if err != nil {
		return err
	}
	u.look, u.clear = client.Upstreams, isTerminal(u.stdout) && u.output != outputJSON
	if u.watch {
		return u.repeat(ctx)
	}
	return u.once(ctx)
}

// once looks and prints. An answer without what was asked for is no failure.
func (u *upstreams) once(ctx context.Context) error {
	all, err := u.look(ctx)
	if err != nil {
		return err
	}
	chosen := u.choose(all)
	if len(chosen) == 0 && len(all) > 0 {
		_, _ = fmt.Fprintf(u.stderr, "tollgate: of %d endpoints none has the --provider and --model asked for: without these all are shown\n", len(all))
	}
	return u.show(u.stdout, chosen)
}

// repeat looks and prints until ctx is done, which is how it is meant to end.
func (u *upstreams) repeat(ctx context.Context) error {
	tick := time.NewTicker(u.every)
	defer tick.Stop()
	for {
		// In one write, so that a terminal does not flicker.
		if block := u.block(ctx); ctx.Err() == nil {
			if _, err := u.stdout.Write(block); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// block is what one look prints. A look that fails is no reason to stop: whoever
// watches an outage sees its end, too.
func (u *upstreams) block(ctx context.Context) []byte {
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	all, err := u.look(looking)
	var text bytes.Buffer
	if u.output == outputJSON { // nothing but values
		if err == nil {
			err = u.show(&text, u.choose(all))
		}
		if err != nil && ctx.Err() == nil {
			_, _ = fmt.Fprintln(u.stderr, "tollgate:", err)
		}
		return text.Bytes()
	}
	if u.clear {
		text.WriteString("\x1b[H\x1b[2J") // to the corner, and clear the screen
	}
	text.WriteString(time.Now().UTC().Format("2006-01-02 15:04:05Z\n"))
	if err == nil {
		err = u.show(&text, u.choose(all))
	}
	if err != nil {
		_, _ = fmt.Fprintln(&text, "tollgate:", err)
	}
	text.WriteByte('\n')
	return text.Bytes()
}

func (u *upstreams) choose(all []admin.Endpoint) []admin.Endpoint {
	return slices.DeleteFunc(slices.Clone(all), func(e admin.Endpoint) bool {
		return u.provider != "" && e.Provider != u.provider || u.model != "" && e.Model != u.model
	})
}

func (u *upstreams) show(to io.Writer, endpoints []admin.Endpoint) error {
	answer := struct {
		Endpoints []admin.Endpoint `json:"endpoints"`
	}{endpoints}
	page := operator{stdout: to, output: u.output}
	return page.print(answer, func(w io.Writer) {
		row(w, "PROVIDER", "MODEL", "URL", "CREDENTIAL", "STATE", "PENDING", "FIRST EVENT", "ANSWER", "LAST ERROR", "NEXT PROBE", "WHY")
		for _, e := range endpoints {
			row(w, e.Provider, e.Model, e.URL, e.Credential, e.State, e.Pending,
				expected(e.FirstEventMS), expected(e.AnswerMS), lastError(e), nextProbe(e), e.Why)
		}
	})
}

// expected is how long something takes; 0 milliseconds: not known.
func expected(ms int64) string {
	if ms == 0 {
		return ""
	}
	return brief(time.Duration(ms) * time.Millisecond)
}

// lastError tells the age by the clock here, which may be a little behind the gateway's.
func lastError(e admin.Endpoint) string {
	if e.LastErrorAt.IsZero() {
		return e.LastError
	}
	return e.LastError + " " + brief(max(0, time.Since(e.LastErrorAt))) + " ago"
}

func nextProbe(e admin.Endpoint) string {
	if e.ProbeInMS == 0 {
		return ""
	}
	return "in " + brief(time.Duration(e.ProbeInMS)*time.Millisecond)
}

// brief is a duration with no more digits than a reader wants.
func brief(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
