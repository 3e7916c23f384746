package main

import (
	"errors"
	"io"
	"strings"
	"time"

	"tollgate/admin"

	"github.com/spf13/cobra"
)

// defaultChanges is how many changes are shown unless more are asked for: about a screen.
const defaultChanges = 50

func newAudit(stdout, stderr io.Writer) *cobra.Command {
	o := &operator{stdout: stdout, stderr: stderr}
	var query admin.AuditQuery
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who changed which key or tenant, and when",
		Long: `Show who changed which key or tenant, what and when, the latest change first. BY is the
name of the admin token that was presented: admin.tokens of the configuration gives
each operator one of their own. No secret is ever in it.`,
		Example: `  tollgate audit
  tollgate audit --key key_Xy12Zab34Cde
  tollgate audit --tenant acme --by ci --limit 500 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if holdsSecret(query.KeyID) {
				return &usageError{errors.New("--key: this is a key's secret: name its id, as tollgate keys list shows it")}
			}
			if err := checkLimit(query.Limit); err != nil {
				return err
			}
			client, err := o.patient(cmd)
			if err != nil {
				return err
			}
			table, list := o.newStream("AT", "BY", "ACTION", "TENANT", "KEY", "CHANGES"), []admin.Change{}
			for c, err := range client.Audit(cmd.Context(), query) {
				if err != nil {
					return table.end(err)
				}
				if o.output == outputJSON {
					list = append(list, c)
					continue
				}
				table.row(c.At.UTC().Format(time.DateTime+"Z"), c.By, string(c.Action), c.Tenant, c.KeyID, fieldChanges(c.Changes))
			}
			if o.output == outputJSON {
				return o.print(admin.AuditPage{Changes: list}, nil)
			}
			return table.end(nil)
		},
	}
	o.flags(cmd)
	o.waitFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&query.KeyID, "key", "", "only changes of this key (its id)")
	f.StringVar(&query.Tenant, "tenant", "", "only changes of this tenant and its keys")
	f.StringVar(&query.By, "by", "", "only changes made with the token of this name")
	wholeNumberVar(f, &query.Limit, "limit", defaultChanges, "how many changes at most; 0: all")
	return cmd
}

// fieldChanges are changes in one cell; what was or is nothing is a dash.
func fieldChanges(changes []admin.FieldChange) string {
	texts := make([]string, len(changes))
	for i, c := range changes {
		texts[i] = c.Field + " " + printable(fallback(c.From, "-")) + " -> " + printable(fallback(c.To, "-"))
	}
	return strings.Join(texts, "; ")
}
