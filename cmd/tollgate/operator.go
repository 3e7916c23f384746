package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"tollgate/admin"
	"tollgate/telemetry"

	"github.com/spf13/cobra"
)

// operator is what every command that talks to a running gateway shares: where
// it is, how to prove who asks, and how to print the answer.
type operator struct {
	stdout  io.Writer
	address string
	dataDir string
	output  outputFormat

	// stderr and wait are those of commands that wait for the gateway.
	stderr io.Writer
	wait   time.Duration
	said   bool // that it waits
}

// flags adds the shared flags to a command and all below it.
func (o *operator) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&o.address, "admin", fallback(os.Getenv("TOLLGATE_ADMIN_URL"), "http://127.0.0.1:8081"),
		"the gateway's admin address (TOLLGATE_ADMIN_URL)")
	f.StringVar(&o.dataDir, "data-dir", "",
		"the gateway's data folder, which holds its admin token (default: TOLLGATE_ADMIN_TOKEN, else ./data)")
	f.VarP(&o.output, "output", "o", "table or json")
}

// client finds the token: in the data folder that was named, in
// TOLLGATE_ADMIN_TOKEN, or in the data folder of a gateway started here.
func (o *operator) client() (*admin.Client, error) {
	if token := os.Getenv("TOLLGATE_ADMIN_TOKEN"); token != "" && o.dataDir == "" {
		return admin.NewClient(o.address, telemetry.Secret(token)), nil
	}
	token, err := admin.ReadToken(fallback(o.dataDir, "./data"))
	if err != nil {
		return nil, fmt.Errorf("no admin token: %w; set TOLLGATE_ADMIN_TOKEN, or name the gateway's data_dir with --data-dir", err)
	}
	return admin.NewClient(o.address, token), nil
}

// waitFlag adds --wait to a command and all below it.
func (o *operator) waitFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().DurationVar(&o.wait, "wait", 30*time.Second,
		"how long to go on trying while the gateway is not there or asks for a later try; 0s: not at all")
}

// tokenPause is how often the admin token is looked for that a gateway about to start will make.
const tokenPause = 200 * time.Millisecond

// patient is client for commands that change nothing when they are made twice: it waits for a
// gateway that is about to start, its token included.
func (o *operator) patient(cmd *cobra.Command) (*admin.Client, error) {
	if o.wait < 0 {
		return nil, &usageError{fmt.Errorf("--wait: must be at least 0s, got %s", o.wait)}
	}
	client, err := o.client()
	if errors.Is(err, fs.ErrNotExist) && o.wait > 0 {
		o.say(err)
		if client, err = o.awaitToken(cmd.Context()); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no admin token came within %s", o.wait)
		}
	}
	if err != nil {
		return nil, err
	}
	return client.Waiting(admin.Wait{Limit: o.wait, Say: o.say}), nil
}

func (o *operator) awaitToken(ctx context.Context) (*admin.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, o.wait)
	defer cancel()
	tick := time.NewTicker(tokenPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return o.client()
		case <-tick.C:
		}
		if client, err := o.client(); !errors.Is(err, fs.ErrNotExist) {
			return client, err
		}
	}
}

// say tells what is waited for first, on one line of the whole command.
func (o *operator) say(reason error) {
	if o.said {
		return
	}
	o.said = true
	_, _ = fmt.Fprintf(o.stderr, "tollgate: waiting up to %s: %v\n", o.wait, reason)
}

// print writes value as JSON, or hands a table writer to table.
func (o *operator) print(value any, table func(w io.Writer)) error {
	if o.output == outputJSON {
		encoder := json.NewEncoder(o.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(value)
	}
	w := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// row writes one line of a table.
func row(w io.Writer, cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		if texts[i] = fmt.Sprint(c); texts[i] == "" {
			texts[i] = "-"
		}
	}
	_, _ = fmt.Fprintln(w, strings.Join(texts, "\t")) // the error comes from Flush
}

// outputFormat is the value of --output.
type outputFormat string

const (
	outputTable outputFormat = "table"
	outputJSON  outputFormat = "json"
)

// String implements pflag.Value.
func (f *outputFormat) String() string { return fallback(string(*f), string(outputTable)) }

// Set implements pflag.Value.
func (f *outputFormat) Set(text string) error {
	switch outputFormat(text) {
	case outputTable, outputJSON:
		*f = outputFormat(text)
		return nil
	}
	return fmt.Errorf("must be table or json, got %q", text)
}

// Type implements pflag.Value.
func (f *outputFormat) Type() string { return "format" }

func fallback(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
