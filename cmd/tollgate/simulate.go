package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"tollgate/simulator"

	"github.com/spf13/cobra"
)

func newSimulate(stdout io.Writer) *cobra.Command {
	var (
		listen  string
		options simulator.Options
	)
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Play the three providers, strictly by their own documents",
		Long: `Serve StarMagic, TheTurbo and Evolink under /starmagic/v1, /theturbo/v1 and
/evolink/v1: the same paths, fields, limits, answers and streams as their pages
document, and a refusal for everything they do not. Any API key is accepted.
GET /_truth tells what each request asked and what it was given.`,
		Example: `  tollgate simulate --listen 127.0.0.1:9090
  tollgate simulate --first-token 300ms --gap 20ms --tokens 200
  curl http://127.0.0.1:9090/_truth`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			running, err := simulator.New(options).Start(listen)
			if err != nil {
				return err
			}
			for _, p := range simulator.Providers() {
				if _, err := fmt.Fprintf(stdout, "%-10s %s/%s/v1\n", p, running.URL(), p); err != nil {
					return err
				}
			}
			<-cmd.Context().Done()
			const grace = 2 * time.Second
			ctx, cancel := context.WithTimeout(context.Background(), grace)
			defer cancel()
			return running.Close(ctx)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "127.0.0.1:9090", "the address to serve on")
	flags.Uint64Var(&options.Seed, "seed", 1, "makes every text; the same seed gives the same answers")
	flags.DurationVar(&options.Behaviour.FirstToken, "first-token", 0, "time to a stream's first event")
	flags.DurationVar(&options.Behaviour.Gap, "gap", 0, "time between two tokens")
	flags.IntVar(&options.Behaviour.Tokens, "tokens", 0, "length of an answer in tokens (0: 24)")
	return cmd
}
