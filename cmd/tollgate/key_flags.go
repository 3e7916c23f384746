package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"tollgate/admin"
	"tollgate/keys"

	"github.com/spf13/pflag"
)

// limitFlags are the flags that keys and tenants share.
type limitFlags struct {
	requests, burst, tokens, concurrent int
	shadow                              bool
	budgetUSD, budgetPeriod             string
}

func (l *limitFlags) add(f *pflag.FlagSet, otherwise string) {
	wholeNumberVar(f, &l.requests, "requests-per-minute", 0, "requests per minute; 0: "+otherwise)
	wholeNumberVar(f, &l.burst, "burst", 0, "requests that may come at once; 0: as many as requests-per-minute")
	wholeNumberVar(f, &l.tokens, "tokens-per-minute", 0, "prompt and completion tokens per minute; 0: "+otherwise)
	wholeNumberVar(f, &l.concurrent, "concurrent", 0, "requests in progress at once; 0: "+otherwise)
	f.BoolVar(&l.shadow, "shadow", false, "decide and count the limits, and enforce none of them; --shadow=false enforces them")
	f.StringVar(&l.budgetUSD, "budget-usd", "", "the most to spend, in US dollars such as 25 or 0.50; 0: no budget (stored; not enforced yet)")
	f.StringVar(&l.budgetPeriod, "budget-period", "", "when a budget begins anew: day, month (both in UTC) or total: never")
}

// budget is what the API is told: 0 dollars are no budget, and have no period.
func (l *limitFlags) budget() (usd, period string) {
	if l.budgetUSD == "0" {
		return "", ""
	}
	return l.budgetUSD, l.budgetPeriod
}

func (l *limitFlags) check() error {
	if _, ok := keys.ParseUSD(l.budgetUSD); !ok && l.budgetUSD != "" {
		return &usageError{fmt.Errorf("--budget-usd: must be an amount of dollars such as 25 or 0.50, or 0 for none, got %q", l.budgetUSD)}
	}
	return nil
}

// patch has the flags that were given; with --budget-usd 0 the period goes as well.
func (l *limitFlags) patch(f *pflag.FlagSet) admin.TenantPatch {
	usd, period := l.budget()
	p := admin.TenantPatch{
		RequestsPerMinute: given(f, "requests-per-minute", l.requests), Burst: given(f, "burst", l.burst),
		TokensPerMinute: given(f, "tokens-per-minute", l.tokens), Concurrent: given(f, "concurrent", l.concurrent),
		Shadow: given(f, "shadow", l.shadow), BudgetUSD: given(f, "budget-usd", usd), BudgetPeriod: given(f, "budget-period", period),
	}
	if p.BudgetUSD != nil && usd == "" {
		p.BudgetPeriod = &period
	}
	return p
}

// given is the value of a flag that stands in the command line, else nil.
func given[T any](f *pflag.FlagSet, name string, value T) *T {
	if !f.Changed(name) {
		return nil
	}
	return &value
}

// keyFlags are the flags of a key.
type keyFlags struct {
	name          string
	models, cidrs []string
	limits        limitFlags
	expires       string
	disabled      bool
}

func (k *keyFlags) add(f *pflag.FlagSet) {
	f.StringVar(&k.name, "name", "", "what it is for, such as batch")
	f.StringSliceVar(&k.models, "models", nil, "models it may use, exact or prefix*; all: every model")
	f.StringSliceVar(&k.cidrs, "cidrs", nil, "networks its requests may come from, such as 203.0.113.0/24; any: everywhere")
	k.limits.add(f, "limits.default of the configuration")
	f.StringVar(&k.expires, "expires", "", "when it ends: a duration from now such as 720h, a moment such as 2027-01-31T00:00:00Z, or never")
	f.BoolVar(&k.disabled, "disabled", false, "refuse it until it is enabled")
}

// newKey is the key that the flags ask for. Its expiry is a moment, so that the call can be made again.
func (k *keyFlags) newKey(tenant string, now time.Time) (admin.NewKey, error) {
	expires, err := expiry(k.expires, now)
	usd, period := k.limits.budget()
	return admin.NewKey{
		Tenant: tenant, Name: k.name, Models: unless("all", k.models), CIDRs: unless("any", k.cidrs),
		RequestsPerMinute: k.limits.requests, Burst: k.limits.burst, TokensPerMinute: k.limits.tokens, Concurrent: k.limits.concurrent,
		Shadow: k.limits.shadow, BudgetUSD: usd, BudgetPeriod: period, Expires: expires, Disabled: k.disabled,
	}, cmp.Or(k.checkOwner(tenant), k.check(), err)
}

// checkOwner is about what a new key cannot be without.
func (k *keyFlags) checkOwner(tenant string) error {
	switch {
	case tenant == "":
		return &usageError{errors.New("--tenant: say whose key it is")}
	case k.name == "":
		return &usageError{errors.New("--name: say what the key is for, such as batch")}
	}
	return nil
}

// check finds what would make a key wider than it was meant to be, and a budget that is none.
func (k *keyFlags) check() error {
	switch {
	case len(k.models) > 1 && slices.Contains(k.models, "all"):
		return &usageError{errors.New("--models: all stands for every model, and must stand alone")}
	case len(k.cidrs) > 1 && slices.Contains(k.cidrs, "any"):
		return &usageError{errors.New("--cidrs: any stands for every network, and must stand alone")}
	}
	return k.limits.check()
}

// patch has the flags that were given.
func (k *keyFlags) patch(f *pflag.FlagSet, now time.Time) (admin.KeyPatch, error) {
	l := k.limits.patch(f)
	p := admin.KeyPatch{
		Name: given(f, "name", k.name), Models: given(f, "models", unless("all", k.models)), CIDRs: given(f, "cidrs", unless("any", k.cidrs)),
		RequestsPerMinute: l.RequestsPerMinute, Burst: l.Burst, TokensPerMinute: l.TokensPerMinute, Concurrent: l.Concurrent,
		Shadow: l.Shadow, BudgetUSD: l.BudgetUSD, BudgetPeriod: l.BudgetPeriod, Disabled: given(f, "disabled", k.disabled),
	}
	expires, err := expiry(k.expires, now)
	p.Expires = given(f, "expires", expires)
	return p, cmp.Or(k.check(), err)
}

// unless is the list, empty where it is the one word that stands for everything.
func unless(everything string, list []string) []string {
	if len(list) == 1 && list[0] == everything || len(list) == 0 {
		return []string{}
	}
	return list
}

// expiry is the moment that --expires names, to the millisecond; empty: never.
func expiry(text string, now time.Time) (string, error) {
	if text == "" || text == "never" {
		return "", nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		d, err := time.ParseDuration(text)
		if err != nil {
			return "", &usageError{fmt.Errorf("--expires: must be a duration such as 720h, a moment such as 2027-01-31T00:00:00Z, or never, got %q", text)}
		}
		at = now.Add(d)
	}
	return at.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano), nil
}
