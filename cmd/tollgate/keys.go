package main

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"tollgate/admin"

	"github.com/spf13/cobra"
)

func newKeys(stdout io.Writer) *cobra.Command {
	o := &operator{stdout: stdout}
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Issue, list, show and revoke tenant keys",
		Example: `  tollgate keys create --tenant acme --name ci
  tollgate keys list
  tollgate keys revoke key_Xy12Zab34Cde`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.flags(cmd)
	cmd.AddCommand(o.newKeysCreate(), o.newKeysList(), o.newKeysShow(), o.newKeysRevoke())
	return cmd
}

func (o *operator) newKeysCreate() *cobra.Command {
	var key admin.NewKey
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Issue a key; its secret is shown this once",
		Example: `  tollgate keys create --tenant acme --name ci
  tollgate keys create --tenant acme --name batch --models 'gemini-flash,gemini-2.*' --requests-per-minute 60 --expires 720h
  tollgate keys create --tenant acme --name ci -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := o.client()
			if err != nil {
				return err
			}
			issued, err := client.CreateKey(cmd.Context(), key)
			if err != nil {
				return err
			}
			return o.print(issued.Reveal(), func(w io.Writer) {
				row(w, "id", issued.ID)
				row(w, "secret", issued.Secret.Reveal()+"   (shown this once: keep it now)")
				keyRows(w, issued.Key)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&key.Tenant, "tenant", "", "whose key it is (required)")
	f.StringVar(&key.Name, "name", "", "what it is for (required)")
	f.StringSliceVar(&key.Models, "models", nil, "models it may use, exact or prefix*; none: all")
	f.IntVar(&key.RequestsPerMinute, "requests-per-minute", 0, "its rate limit; 0: limits.default of the configuration")
	f.StringVar(&key.Expires, "expires", "", `when it ends: a duration such as 720h, or a moment such as 2027-01-31T00:00:00Z`)
	return cmd
}

func (o *operator) newKeysList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List all keys, oldest first",
		Example: "  tollgate keys list\n  tollgate keys list -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := o.client()
			if err != nil {
				return err
			}
			list, err := client.ListKeys(cmd.Context())
			if err != nil {
				return err
			}
			answer := struct {
				Keys []admin.Key `json:"keys"`
			}{list}
			return o.print(answer, func(w io.Writer) {
				row(w, "ID", "TENANT", "NAME", "STATE", "SECRET", "MODELS", "REQUESTS/MIN", "CREATED", "EXPIRES")
				for _, k := range list {
					row(w, k.ID, k.Tenant, k.Name, k.State, "..."+k.Last4, models(k), rate(k), day(k.CreatedAt), day(k.ExpiresAt))
				}
			})
		},
	}
}

// oneKeyID takes the id of a key as the only argument, and no secret, which would
// travel as a part of a URL.
func oneKeyID(cmd *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(cmd, args); err != nil {
		return err
	}
	if holdsSecret(args[0]) {
		return errors.New("ID: this is a key's secret: name its id, as tollgate keys list shows it")
	}
	return nil
}

func (o *operator) newKeysShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show one key",
		Example: "  tollgate keys show key_Xy12Zab34Cde",
		Args:    oneKeyID,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := o.client()
			if err != nil {
				return err
			}
			key, err := client.ShowKey(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.printKey(key)
		},
	}
}

func (o *operator) newKeysRevoke() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a key for good; doing it twice changes nothing",
		Example: "  tollgate keys revoke key_Xy12Zab34Cde",
		Args:    oneKeyID,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := o.client()
			if err != nil {
				return err
			}
			key, err := client.RevokeKey(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.printKey(key)
		},
	}
}

func (o *operator) printKey(k admin.Key) error {
	return o.print(k, func(w io.Writer) {
		row(w, "id", k.ID)
		keyRows(w, k)
	})
}

func keyRows(w io.Writer, k admin.Key) {
	row(w, "tenant", k.Tenant)
	row(w, "name", k.Name)
	row(w, "state", k.State)
	row(w, "models", models(k))
	row(w, "requests/min", rate(k))
	row(w, "created", day(k.CreatedAt))
	row(w, "expires", day(k.ExpiresAt))
	if !k.RevokedAt.IsZero() {
		row(w, "revoked", day(k.RevokedAt))
	}
}

func models(k admin.Key) string {
	if len(k.Models) == 0 {
		return "all"
	}
	return strings.Join(k.Models, ",")
}

func rate(k admin.Key) string {
	if k.RequestsPerMinute == 0 {
		return "default"
	}
	return strconv.Itoa(k.RequestsPerMinute)
}

// day is a moment for a table, in UTC, to the minute.
func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}
