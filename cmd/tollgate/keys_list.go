package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"tollgate/admin"
	"tollgate/keys"

	"github.com/spf13/cobra"
)

func (o *operator) newKeysList() *cobra.Command {
	var (
		query admin.KeyQuery
		state string
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List keys, oldest first",
		Long: `List keys, oldest first: all of them, or those that the flags ask for. They are shown
as they come, however many there are.`,
		Example: `  tollgate keys list
  tollgate keys list --tenant acme --state active
  tollgate keys list --name ci --limit 10 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(query.Limit); err != nil {
				return err
			}
			client, err := o.patient(cmd)
			if err != nil {
				return err
			}
			query.State = keys.State(state)
			head := []string{"ID", "TENANT", "NAME", "STATE", "SECRET", "MODELS", "NETWORKS", "REQUESTS/MIN", "SHADOW", "BUDGET", "CREATED", "EXPIRES"}
			table, list := o.newStream(head...), []admin.Key{}
			for k, err := range client.Keys(cmd.Context(), query) {
				if err != nil {
					return table.end(err)
				}
				if o.output == outputJSON {
					list = append(list, k)
					continue
				}
				table.row(k.ID, k.Tenant, k.Name, string(k.State), ending(k.Last4), orElse(k.Models, "all"), orElse(k.CIDRs, "any"),
					limit(k.RequestsPerMinute, "default", ""), yesNo(k.Shadow),
					fallback(budget(admin.TenantLimits{BudgetUSD: k.BudgetUSD, BudgetPeriod: k.BudgetPeriod}), "none"), day(k.CreatedAt), day(k.ExpiresAt))
			}
			if o.output == outputJSON {
				return o.print(admin.KeyPage{Keys: list}, nil)
			}
			return table.end(nil)
		},
	}
	f := cmd.Flags()
	f.StringVar(&query.Tenant, "tenant", "", "only keys of this tenant")
	f.StringVar(&query.Name, "name", "", "only keys with this name")
	f.StringVar(&state, "state", "", "only keys that are active, disabled, expired or revoked")
	wholeNumberVar(f, &query.Limit, "limit", 0, "how many keys at most; 0: all")
	return cmd
}

func checkLimit(limit int) error {
	if limit < 0 {
		return &usageError{fmt.Errorf("--limit: must be at least 1, or 0 for all, got %d", limit)}
	}
	return nil
}

// chunk is how many rows a stream lines up and writes at a time.
const chunk = 500

// stream is a table that is written while its rows come. Its columns grow only.
type stream struct {
	to     io.Writer
	rows   [][]string
	widths []int
	err    error
}

func (o *operator) newStream(head ...string) *stream {
	return &stream{to: o.stdout, rows: [][]string{head}, widths: make([]int, len(head))}
}

func (s *stream) row(cells ...string) {
	if s.rows = append(s.rows, cells); len(s.rows) == chunk {
		s.flush()
	}
}

// flush writes the rows there are. The last column has no width.
func (s *stream) flush() {
	for _, cells := range s.rows {
		for i, cell := range cells {
			s.widths[i] = max(s.widths[i], utf8.RuneCountInString(fallback(cell, "-")))
		}
	}
	var text bytes.Buffer
	for _, cells := range s.rows {
		for i, cell := range cells {
			cell = fallback(cell, "-")
			if text.WriteString(cell); i < len(cells)-1 {
				text.WriteString(strings.Repeat(" ", s.widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		text.WriteByte('\n')
	}
	s.rows = s.rows[:0]
	if s.err == nil {
		_, s.err = s.to.Write(text.Bytes())
	}
}

// end writes what is left. Where the rows ended with an error it writes those that came before, without a lone head.
func (s *stream) end(err error) error {
	if err != nil && s.widths[0] == 0 && len(s.rows) == 1 {
		return err
	}
	s.flush()
	if err != nil {
		return err
	}
	return s.err
}

// orElse is a list in one word; what stands for none is otherwise.
func orElse(list []string, otherwise string) string {
	return fallback(strings.Join(list, ","), otherwise)
}

// ending is the end of a secret, as far as it is known.
func ending(last4 string) string {
	if last4 == "" {
		return ""
	}
	return "..." + last4
}

// budget is an amount and its span; empty: none.
func budget(l admin.TenantLimits) string {
	switch {
	case l.BudgetUSD == "":
		return ""
	case l.BudgetPeriod == string(keys.InTotal):
		return "$" + l.BudgetUSD + " in total"
	}
	return "$" + l.BudgetUSD + "/" + l.BudgetPeriod
}

// day is a moment for a table, in UTC, to the minute.
func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}
