package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"tollgate/admin"
	"tollgate/keys"
)

// do makes one change after the other, until one fails.
func (p *plan) do(ctx context.Context, client *admin.Client, secrets *secretsFile) error {
	for _, s := range p.steps {
		s.Result = notDone
	}
	for i, s := range p.steps {
		err := s.do(ctx, client, secrets)
		if err == nil {
			s.Result = done
			continue
		}
		const again = "Once that is mended, apply the file again: what was done stays done"
		if s.Result = unknown; admin.Unsettled(err) {
			return fmt.Errorf("%d of %d changes were made; what became of %s is not known: %w. %s%s", i, len(p.steps), s, err, again, s.keepHint(secrets))
		}
		s.Result, s.Secret = failed, ""
		return fmt.Errorf("%d of %d changes were made; %s failed: %w. %s", i, len(p.steps), s, err, again)
	}
	return nil
}

// keepHint says what to do with the secret of a key that may have been issued.
func (s *step) keepHint(secrets *secretsFile) string {
	switch {
	case s.Action != keys.ActionCreate:
		return ""
	case secrets != nil:
		return ". Where this key was issued, its secret is in the last line of --secrets"
	}
	return ". Keep the secret that is shown for this key: it is the key's, where it was issued"
}

// String names the step in a sentence.
func (s *step) String() string {
	if s.Name == "" {
		return fmt.Sprintf("%s of %s", s.Action, s.Tenant)
	}
	return strings.TrimSpace(fmt.Sprintf("%s of %s's %q %s", s.Action, s.Tenant, s.Name, s.ID))
}

func (s *step) do(ctx context.Context, client *admin.Client, secrets *secretsFile) error {
	switch s.Action {
	case keys.ActionSetTenant:
		_, err := client.SetTenant(ctx, s.Tenant, s.limits)
		return err
	case keys.ActionUpdate:
		_, err := client.UpdateKey(ctx, s.ID, s.patch())
		return err
	case keys.ActionRevoke:
		_, err := client.RevokeKey(ctx, s.ID, admin.Revocation{})
		return err
	case keys.ActionImport:
		return s.issue(ctx, client, newSecret{sha256: s.key.sha256, last4: s.key.last4})
	}
	return s.create(ctx, client, secrets)
}

// create issues a key with a new secret, which is kept or shown. One whose answer was lost is shown as well.
func (s *step) create(ctx context.Context, client *admin.Client, secrets *secretsFile) error {
	if err := s.stillNew(ctx, client); err != nil {
		return err
	}
	made := mintSecret()
	named := func(string) error { return nil }
	if secrets != nil {
		var err error
		if named, err = secrets.keep(s.Tenant, s.Name, made); err != nil {
			return err
		}
	} else {
		s.Secret = made.secret.Reveal()
	}
	if err := s.issue(ctx, client, made); err != nil {
		return err
	}
	if err := named(s.ID); err != nil {
		return fmt.Errorf("the key was issued, and its secret kept, but not its id: %w", err)
	}
	return nil
}

// stillNew refuses to issue a key that somebody else has issued since the plan was made. It looks once more just
// before, which leaves a moment: apply is for one run at a time.
func (s *step) stillNew(ctx context.Context, client *admin.Client) error {
	for k, err := range client.Keys(ctx, admin.KeyQuery{Tenant: s.Tenant, Name: s.Name}) {
		switch {
		case err != nil:
			return &notAskedError{err}
		case k.State != keys.StateRevoked && !s.known[k.ID]:
			return fmt.Errorf("%s was issued by somebody else in the meantime: run one apply at a time", k.ID)
		}
	}
	return nil
}

// notAskedError is the error of a look before a change: nothing was changed, whatever became of it.
type notAskedError struct{ err error }

func (e *notAskedError) Error() string { return e.err.Error() }

func (s *step) issue(ctx context.Context, client *admin.Client, secret newSecret) error {
	k := s.key
	issued, err := client.CreateKey(ctx, admin.NewKey{
		Tenant: k.Tenant, Name: k.Name, Models: k.Models, CIDRs: prefixTexts(k.CIDRs),
		RequestsPerMinute: k.RequestsPerMinute, Burst: k.Burst, TokensPerMinute: k.TokensPerMinute, Concurrent: k.Concurrent,
		Shadow: k.Shadow, BudgetUSD: k.Budget.USD(), BudgetPeriod: string(k.Budget.Per), Expires: momentText(k.ExpiresAt), Disabled: k.Disabled,
		SHA256: secret.sha256, Last4: secret.last4,
	})
	s.ID = issued.ID
	return err
}

// patch has the fields of the key that are to change.
func (s *step) patch() admin.KeyPatch {
	var p admin.KeyPatch
	k, usd, period, expires := s.key, s.key.Budget.USD(), string(s.key.Budget.Per), momentText(s.key.ExpiresAt)
	for _, f := range s.Fields {
		switch f.Field {
		case "name":
			p.Name = &k.Name
		case "models":
			p.Models = listed(k.Models)
		case "cidrs":
			p.CIDRs = listed(prefixTexts(k.CIDRs))
		case "requests_per_minute":
			p.RequestsPerMinute = &k.RequestsPerMinute
		case "burst":
			p.Burst = &k.Burst
		case "tokens_per_minute":
			p.TokensPerMinute = &k.TokensPerMinute
		case "concurrent":
			p.Concurrent = &k.Concurrent
		case "shadow":
			p.Shadow = &k.Shadow
		case "budget_usd":
			p.BudgetUSD = &usd
		case "budget_period":
			p.BudgetPeriod = &period
		case "expires":
			p.Expires = &expires
		case "disabled":
			p.Disabled = &k.Disabled
		}
	}
	return p
}

// listed is a list that is sent as one, and not as null.
func listed(list []string) *[]string {
	if list == nil {
		list = []string{}
	}
	return &list
}

// appliedFile is a plan, or what became of it, as JSON.
type appliedFile struct {
	DryRun    bool    `json:"dry_run"`
	Changes   []*step `json:"changes"`
	Unchanged int     `json:"unchanged"`
}

// report prints the plan, or what became of it.
func (a *applying) report(f *keysFile, p plan) error {
	answer := appliedFile{DryRun: a.dryRun, Changes: p.steps, Unchanged: p.unchanged}
	if answer.Changes == nil {
		answer.Changes = []*step{}
	}
	if err := a.print(answer, func(w io.Writer) { p.table(w) }); err != nil || a.output == outputJSON {
		return err
	}
	_, err := fmt.Fprintln(a.stdout, a.summary(f, p))
	return err
}

// table shows the steps, and their secrets where there are any.
func (p *plan) table(w io.Writer) {
	if len(p.steps) == 0 {
		return
	}
	head := []any{"RESULT", "ACTION", "TENANT", "NAME", "ID"}
	secret := false
	for _, s := range p.steps {
		secret = secret || s.Secret != ""
	}
	if secret {
		head = append(head, "SECRET (SHOWN THIS ONCE)")
	}
	row(w, append(head, "CHANGES")...)
	for _, s := range p.steps {
		cells := []any{s.Result, s.Action, s.Tenant, printable(s.Name), s.ID}
		if secret {
			cells = append(cells, s.Secret)
		}
		changes := fieldChanges(s.Fields)
		if s.Succeeds != "" {
			changes = strings.TrimPrefix(changes+"; the last one, "+s.Succeeds+", is revoked", "; ")
		}
		row(w, append(cells, changes)...)
	}
}

// summary is the last line of the report.
func (a *applying) summary(f *keysFile, p plan) string {
	made := 0
	for _, s := range p.steps {
		if s.Result == done {
			made++
		}
	}
	switch n := len(p.steps); {
	case n == 0:
		return fmt.Sprintf("nothing to change: tenants and keys are as %s says", f.name)
	case a.dryRun:
		return fmt.Sprintf("dry run: %d to change, %d unchanged; nothing was done", n, p.unchanged)
	default:
		return fmt.Sprintf("%d of %d changed, %d unchanged", made, n, p.unchanged)
	}
}

// unshown is the error of a report that could not be printed, with the keys whose secrets were lost with it.
func (p *plan) unshown(err error) error {
	var lost []string
	for _, s := range p.steps {
		if s.Secret != "" && s.ID != "" {
			lost = append(lost, s.ID)
		}
	}
	if len(lost) == 0 {
		return err
	}
	return fmt.Errorf("the secrets of %s could not be shown: rotate these keys: %w", strings.Join(lost, ", "), err)
}
