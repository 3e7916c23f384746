package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"tollgate/admin"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

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

// onKey is the RunE of a command about one key, which it prints.
func (o *operator) onKey(do func(ctx context.Context, client *admin.Client, id string) (admin.Key, error), more func(w io.Writer, k admin.Key)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		client, err := o.patient(cmd)
		if err != nil {
			return err
		}
		key, err := do(cmd.Context(), client, args[0])
		if err != nil {
			return err
		}
		return o.print(key, func(w io.Writer) {
			row(w, "id", key.ID)
			keyRows(w, key)
			if more != nil {
				more(w, key)
			}
		})
	}
}

func (o *operator) newKeysShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one key, and where its limits stand",
		Long: `Show one key, and below it each limit in force, its own and its tenant's: what is left
of it, and when all of the burst is there again. These figures are as of now, over all
replicas together; where the shared store does not answer, they are those of the share of
the replica that was asked. Requests in progress end when they end: their limit resets at
no known time. A limit in shadow is decided and counted, and not enforced.`,
		Example: "  tollgate keys show key_Xy12Zab34Cde\n  tollgate keys show key_Xy12Zab34Cde -o json",
		Args:    oneKeyID,
		RunE: o.onKey(func(ctx context.Context, c *admin.Client, id string) (admin.Key, error) {
			return c.ShowKey(ctx, id)
		}, func(w io.Writer, k admin.Key) { standingRows(w, k.Standing) }),
	}
}

func (o *operator) newKeysUpdate() *cobra.Command {
	var (
		flags           keyFlags
		disable, enable bool
	)
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change a key: what is not named stays as it is",
		Long: `Change a key: what is not named stays as it is, its secret in any case. It holds on
every replica within a second. A tenant cannot be changed: issue a key for the other one.`,
		Example: `  tollgate keys update key_Xy12Zab34Cde --requests-per-minute 120 --burst 20
  tollgate keys update key_Xy12Zab34Cde --models all --cidrs any --expires never --budget-usd 0
  tollgate keys update key_Xy12Zab34Cde --concurrent 4 --shadow
  tollgate keys update key_Xy12Zab34Cde --disable`,
		Args: oneKeyID,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		change, err := flags.patch(cmd.Flags(), time.Now())
		if err == nil {
			err = chooseDisabled(cmd.Flags(), &change, disable, enable)
		}
		if err != nil {
			return err
		}
		if change == (admin.KeyPatch{}) {
			return &usageError{errors.New("name what is to change, such as --requests-per-minute 120: tollgate keys update --help shows what can")}
		}
		return o.onKey(func(ctx context.Context, c *admin.Client, id string) (admin.Key, error) {
			return c.UpdateKey(ctx, id, change)
		}, nil)(cmd, args)
	}
	flags.add(cmd.Flags())
	cmd.Flags().BoolVar(&disable, "disable", false, "the same as --disabled")
	cmd.Flags().BoolVar(&enable, "enable", false, "the same as --disabled=false")
	return cmd
}

// chooseDisabled takes the one of three flags that was given.
func chooseDisabled(f *pflag.FlagSet, change *admin.KeyPatch, disable, enable bool) error {
	wanted := []*bool{change.Disabled, given(f, "disable", disable), given(f, "enable", !enable)}
	change.Disabled = nil
	for _, w := range wanted {
		if w != nil && change.Disabled != nil {
			return &usageError{errors.New("--disabled, --disable and --enable: give one of them")}
		}
		if w != nil {
			change.Disabled = w
		}
	}
	return nil
}

func (o *operator) newKeysRotate() *cobra.Command {
	var grace time.Duration
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a key another secret, shown this once; its id, limits and history stay",
		Long: `Give a key another secret, which is shown this once; its id, limits and history stay.
The secrets it had go on working for --grace, up to 2160h (90 days): the time that its
clients have to take the new one. Without it they end at once.

The secret is made here, and the gateway is told its SHA-256 alone: so a call whose
answer was lost is made again and rotates no second time.`,
		Example: "  tollgate keys rotate key_Xy12Zab34Cde --grace 24h\n  tollgate keys rotate key_Xy12Zab34Cde",
		Args:    oneKeyID,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := o.patient(cmd)
			if err != nil {
				return err
			}
			made := mintSecret()
			issued, err := client.RotateKey(cmd.Context(), args[0], admin.Rotation{Grace: grace.String(), SHA256: made.sha256, Last4: made.last4})
			if err != nil {
				return o.printUnsettled(err, unsettledSecret{ID: args[0], Last4: made.last4}, made.secret,
					"whether the key was rotated, to the secret that was shown: tollgate keys show "+args[0]+
						" says that its secret ends in "+made.last4+" where it was; else rotate it once more")
			}
			issued.Secret = made.secret
			return o.printIssued(issued, func(w io.Writer) {
				if issued.PreviousUntil.IsZero() {
					row(w, "old secrets", "ended now")
				}
			})
		},
	}
	cmd.Flags().DurationVar(&grace, "grace", 0, "how long the secrets it had go on working")
	return cmd
}

func (o *operator) newKeysRevoke() *cobra.Command {
	var now bool
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a key for good; doing it twice changes nothing",
		Long: `End a key for good: every replica refuses it within a second. Answers in progress come
to their end, or with --now are cut at their next event. The key's record stays, for
the bills that name it. Doing it twice changes nothing.`,
		Example: "  tollgate keys revoke key_Xy12Zab34Cde\n  tollgate keys revoke key_Xy12Zab34Cde --now",
		Args:    oneKeyID,
	}
	cmd.RunE = o.onKey(func(ctx context.Context, c *admin.Client, id string) (admin.Key, error) {
		return c.RevokeKey(ctx, id, admin.Revocation{Now: now})
	}, func(w io.Writer, _ admin.Key) {
		if now {
			row(w, "answers", "those in progress end at their next event")
		} else {
			row(w, "answers", "those in progress come to their end, unless it was revoked with --now: that ends them at their next event")
		}
	})
	cmd.Flags().BoolVar(&now, "now", false, "end answers in progress as well, at their next event")
	return cmd
}

func (o *operator) newKeysDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete ID",
		Short: "Remove a key and its record; doing it twice changes nothing",
		Long: `Remove a key and its record: every replica refuses it within a second, and no list
shows it any more. What is lost is its name, its limits and its networks; usage records
go on naming its id, and the audit keeps what was done to it. Where the record is
still wanted, revoke it instead. Answers in progress come to their end. Doing it
twice changes nothing.`,
		Example: "  tollgate keys delete key_Xy12Zab34Cde",
		Args:    oneKeyID,
		RunE: o.onKey(func(ctx context.Context, c *admin.Client, id string) (admin.Key, error) {
			return c.DeleteKey(ctx, id)
		}, func(w io.Writer, _ admin.Key) {
			row(w, "deleted", "its name, limits and networks are gone; usage records and the audit go on naming its id")
		}),
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
	row(w, "ends in", ending(k.Last4))
	row(w, "models", orElse(k.Models, "all"))
	row(w, "networks", orElse(k.CIDRs, "any"))
	limitRows(w, admin.TenantLimits{
		RequestsPerMinute: k.RequestsPerMinute, Burst: k.Burst, TokensPerMinute: k.TokensPerMinute, Concurrent: k.Concurrent,
		Shadow: k.Shadow, BudgetUSD: k.BudgetUSD, BudgetPeriod: k.BudgetPeriod,
	}, "default")
	row(w, "created", day(k.CreatedAt))
	row(w, "expires", day(k.ExpiresAt))
	for _, moment := range []struct {
		what string
		at   time.Time
	}{{"changed", k.UpdatedAt}, {"rotated", k.RotatedAt}, {"old secrets", k.PreviousUntil}, {"revoked", k.RevokedAt}} {
		switch {
		case moment.at.IsZero():
		case moment.what != "old secrets":
			row(w, moment.what, day(moment.at))
		case time.Now().Before(moment.at):
			row(w, moment.what, "end "+day(moment.at))
		default:
			row(w, moment.what, "ended "+day(moment.at))
		}
	}
}

// limitRows are the limits of a key or a tenant, each with its unit; otherwise says
// what holds for one that is not set.
func limitRows(w io.Writer, l admin.TenantLimits, otherwise string) {
	row(w, "requests/min", limit(l.RequestsPerMinute, otherwise, ""))
	row(w, "burst", limit(l.Burst, "as requests/min", " request"+plural(int64(l.Burst))+" at once"))
	row(w, "tokens/min", limit(l.TokensPerMinute, otherwise, ""))
	row(w, "concurrent", limit(l.Concurrent, otherwise, " request"+plural(int64(l.Concurrent))))
	shadow := yesNo(l.Shadow)
	if l.Shadow {
		shadow += ": these limits are decided and counted, and not enforced"
	}
	row(w, "shadow", shadow)
	if l.BudgetUSD == "" {
		row(w, "budget", "none")
	} else {
		row(w, "budget", budget(l)+" (stored; not enforced yet)")
	}
}

func limit(n int, otherwise, unit string) string {
	if n == 0 {
		return otherwise
	}
	return fmt.Sprintf("%d%s", n, unit)
}
