package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"tollgate/usage"

	"github.com/spf13/cobra"
)

func newUsage(stdout, stderr io.Writer) *cobra.Command {
	o := &operator{stdout: stdout}
	var (
		from, to, by string
		query        usage.Query
	)
	cmd := &cobra.Command{
		Use:   "usage",
		Short: "Show what was used and what it costs",
		Long: `Show totals of the ledger: requests, tokens, what tenants are charged and what
providers cost, in US dollars. Days are UTC days, both included.`,
		Example: `  tollgate usage
  tollgate usage --by tenant,model,day --from 2026-01-01 --to 2026-01-31
  tollgate usage --tenant acme --by key -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if holdsSecret(query.KeyID) {
				return &usageError{errors.New("--key: this is a key's secret: name its id, as tollgate keys list shows it")}
			}
			if query.By, err = usage.ParseDimensions(by); err != nil {
				return &usageError{fmt.Errorf("--by: %w", err)}
			}
			if query.From, err = parseDay("--from", from); err != nil {
				return err
			}
			if query.To, err = parseDay("--to", to); err != nil {
				return err
			}
			if !query.To.IsZero() {
				query.To = query.To.AddDate(0, 0, 1) // the last day is included
			}
			client, err := o.client()
			if err != nil {
				return err
			}
			answer, err := client.Usage(cmd.Context(), query)
			if err != nil {
				return err
			}
			warnOfBehind(stderr, answer.Behind)
			return o.print(answer, func(w io.Writer) { usageTable(w, query.By, answer.Rows) })
		},
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&by, "by", "tenant,model", "what to group by: tenant, key, model, provider, day")
	f.StringVar(&from, "from", "", "the first day, such as 2026-01-01; none: since the beginning")
	f.StringVar(&to, "to", "", "the last day; none: until today")
	f.StringVar(&query.Tenant, "tenant", "", "only this tenant")
	f.StringVar(&query.KeyID, "key", "", "only this key (its id)")
	return cmd
}

// warnOfBehind says that what was printed may lack records.
func warnOfBehind(stderr io.Writer, n uint64) {
	if n == 0 {
		return
	}
	text := fmt.Sprintf("%d records are in the journal and not in the ledger yet: they count as soon as it takes them", n)
	if n == 1 {
		text = "1 record is in the journal and not in the ledger yet: it counts as soon as that takes it"
	}
	line(stderr, "tollgate: "+text+", and \"tollgate journal inspect --entries\" shows what is in the journal")
}

func parseDay(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, &usageError{fmt.Errorf("%s: must be a day such as 2026-01-31, got %q", flag, text)}
	}
	return t, nil
}

func usageTable(w io.Writer, by []usage.Dimension, rows []usage.Row) {
	columns := []struct {
		dimension usage.Dimension
		title     string
		value     func(usage.Row) string
	}{
		{usage.ByDay, "DAY", func(r usage.Row) string { return r.Day }},
		{usage.ByTenant, "TENANT", func(r usage.Row) string { return r.Tenant }},
		{usage.ByKey, "KEY", func(r usage.Row) string { return r.KeyID }},
		{usage.ByModel, "MODEL", func(r usage.Row) string { return r.Model }},
		{usage.ByProvider, "PROVIDER", func(r usage.Row) string { return r.Provider }},
	}
	var head []any
	for _, c := range columns {
		if slices.Contains(by, c.dimension) {
			head = append(head, c.title)
		}
	}
	row(w, append(head, "REQUESTS", "ESTIMATED", "PROMPT", "CACHED", "COMPLETION", "REASONING", "CHARGE $", "COST $")...)
	for _, r := range rows {
		var cells []any
		for _, c := range columns {
			if slices.Contains(by, c.dimension) {
				cells = append(cells, c.value(r))
			}
		}
		row(w, append(cells, r.Requests, r.EstimatedRequests, r.PromptTokens, r.CachedTokens,
			r.CompletionTokens, r.ReasoningTokens, r.Charge, r.Cost)...)
	}
}

// delivered is how many tokens an answer's client got, where it did not get all.
func delivered(r usage.Record) string {
	switch r.EndReason {
	case usage.EndCompleted, usage.EndNoOutput:
		return "all"
	}
	return strconv.FormatInt(r.Delivered, 10)
}

func newRequest(stdout, stderr io.Writer) *cobra.Command {
	o := &operator{stdout: stdout}
	cmd := &cobra.Command{
		Use:   "request ID",
		Short: "Show the usage records of one request, by its x-request-id, and who was asked",
		Long: `Show the usage records of one request, by its x-request-id: an attempt for each that
gave no answer, with what it may cost you, and the settle, which is its bill. Below
them on what way it was answered: each attempt at a provider, when it began after the
request had come, how long it took to be decided, which fields were DROPPED for this
provider or ADAPTED to it; and who had been passed over when the request began, and
why.`,
		Example: `  tollgate request 019a2b3c-4d5e-7f60-8123-456789abcdef
  tollgate request 019a2b3c-4d5e-7f60-8123-456789abcdef -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRequestID(args[0]); err != nil {
				return &usageError{err}
			}
			client, err := o.client()
			if err != nil {
				return err
			}
			answer, err := client.Request(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			warnOfBehind(stderr, answer.Behind)
			return o.print(answer, func(w io.Writer) {
				records := answer.Records
				row(w, "KIND", "ATTEMPT", "MODEL", "PROVIDER", "END", "SOURCE", "PROMPT", "COMPLETION", "DELIVERED", "CHARGE $", "COST $")
				for _, r := range records {
					row(w, r.Kind, r.Attempt, r.Model, r.Provider, r.EndReason, r.Source, r.Prompt, r.Completion, delivered(r), r.Charge, r.Cost)
				}
				trails(w, records)
			})
		},
	}
	o.flags(cmd)
	return cmd
}

func checkRequestID(id string) error {
	switch {
	case id == "":
		return errors.New("ID: name the request by the x-request-id of its answer")
	case holdsSecret(id):
		return errors.New("ID: this holds a key's secret: name the request by the x-request-id of its answer")
	}
	return nil
}
