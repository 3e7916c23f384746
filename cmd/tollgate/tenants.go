package main

import (
	"context"
	"errors"
	"io"

	"tollgate/admin"

	"github.com/spf13/cobra"
)

func newTenants(stdout, stderr io.Writer) *cobra.Command {
	o := &operator{stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "tenants",
		Short: "Limit all keys of a tenant together",
		Long: `Limit all keys of a tenant together, beside each key's own limits. A tenant needs no
entry here to have keys: only one with limits or a budget over all of them does.`,
		Example: `  tollgate tenants set acme --requests-per-minute 3000
  tollgate tenants list
  tollgate tenants delete acme`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.flags(cmd)
	o.waitFlag(cmd)
	cmd.AddCommand(o.newTenantsList(), o.newTenantsShow(), o.newTenantsSet(), o.newTenantsDelete())
	return cmd
}

func (o *operator) newTenantsList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the tenants that have limits, by name",
		Example: "  tollgate tenants list\n  tollgate tenants list -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := o.patient(cmd)
			if err != nil {
				return err
			}
			list, err := client.Tenants(cmd.Context())
			if err != nil {
				return err
			}
			return o.print(admin.TenantList{Tenants: list}, func(w io.Writer) {
				row(w, "TENANT", "REQUESTS/MIN", "BURST", "TOKENS/MIN", "CONCURRENT", "SHADOW", "BUDGET", "CHANGED")
				for _, t := range list {
					row(w, t.Name, limit(t.RequestsPerMinute, "no limit", ""), limit(t.Burst, "as requests/min", ""), limit(t.TokensPerMinute, "no limit", ""),
						limit(t.Concurrent, "no limit", ""), yesNo(t.Shadow), fallback(budget(t.TenantLimits), "none"), day(t.UpdatedAt))
				}
			})
		},
	}
}

// oneTenant takes the name of a tenant as the only argument.
func oneTenant(cmd *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(cmd, args); err != nil {
		return err
	}
	if holdsSecret(args[0]) {
		return errors.New("NAME: this is a key's secret: name the tenant, as tollgate keys list shows it")
	}
	return nil
}

// onTenant is the RunE of a command about one tenant, which it prints.
func (o *operator) onTenant(do func(ctx context.Context, client *admin.Client, name string) (admin.Tenant, error), table func(w io.Writer, t admin.Tenant)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		client, err := o.patient(cmd)
		if err != nil {
			return err
		}
		tenant, err := do(cmd.Context(), client, args[0])
		if err != nil {
			return err
		}
		return o.print(tenant, func(w io.Writer) { table(w, tenant) })
	}
}

func tenantRows(w io.Writer, t admin.Tenant) {
	row(w, "tenant", t.Name)
	limitRows(w, t.TenantLimits, "no limit")
	row(w, "changed", day(t.UpdatedAt))
}

func (o *operator) newTenantsShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show what all keys of a tenant may use together, and where that stands",
		Long: `Show what all keys of a tenant may use together, and below it each of these limits in
force: what is left of it, and when all of the burst is there again. These figures are as
of now, over all replicas together; where the shared store does not answer, they are those
of the share of the replica that was asked. A limit in shadow is decided and counted, and
not enforced.`,
		Example: "  tollgate tenants show acme\n  tollgate tenants show acme -o json",
		Args:    oneTenant,
		RunE: o.onTenant(func(ctx context.Context, c *admin.Client, name string) (admin.Tenant, error) {
			return c.ShowTenant(ctx, name)
		}, func(w io.Writer, t admin.Tenant) {
			tenantRows(w, t)
			standingRows(w, t.Standing)
		}),
	}
}

func (o *operator) newTenantsSet() *cobra.Command {
	var limits limitFlags
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Limit all keys of a tenant together: what is not named stays as it is",
		Long: `Limit all keys of a tenant together, beside each key's own limits; what is not named
stays as it is. It holds on every replica within a second.`,
		Example: `  tollgate tenants set acme --requests-per-minute 3000 --burst 200
  tollgate tenants set acme --tokens-per-minute 500000 --shadow
  tollgate tenants set acme --budget-usd 500 --budget-period month`,
		Args: oneTenant,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := limits.check(); err != nil {
			return err
		}
		change := limits.patch(cmd.Flags())
		if change == (admin.TenantPatch{}) {
			return &usageError{errors.New("name what is to change, such as --requests-per-minute 3000: tollgate tenants set --help shows what can")}
		}
		return o.onTenant(func(ctx context.Context, c *admin.Client, name string) (admin.Tenant, error) {
			return c.UpdateTenant(ctx, name, change)
		}, tenantRows)(cmd, args)
	}
	limits.add(cmd.Flags(), "no limit")
	return cmd
}

func (o *operator) newTenantsDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Take a tenant's limits away; its keys stay",
		Long: `Take a tenant's limits away: its keys stay, and are then bounded by their own limits
alone. What is lost are the limits and the budget over all of them; the audit keeps
what they were.`,
		Example: "  tollgate tenants delete acme",
		Args:    oneTenant,
		RunE: o.onTenant(func(ctx context.Context, c *admin.Client, name string) (admin.Tenant, error) {
			return c.DeleteTenant(ctx, name)
		}, func(w io.Writer, t admin.Tenant) {
			row(w, "tenant", t.Name)
			row(w, "deleted", "its keys stay, bounded by their own limits alone")
		}),
	}
}
