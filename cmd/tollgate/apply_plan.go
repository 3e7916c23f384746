package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"tollgate/admin"
	"tollgate/keys"
)

// plan is what makes the gateway's keys those of a file.
type plan struct {
	steps     []*step
	unchanged int
}

// step is one change of one tenant or key.
type step struct {
	Action keys.Action `json:"action"`
	Result result      `json:"result"`
	Tenant string      `json:"tenant"`
	// Name and ID are the key's; a tenant has neither, and a new key no id yet.
	Name   string              `json:"name,omitempty"`
	ID     string              `json:"id,omitempty"`
	Fields []admin.FieldChange `json:"fields"`
	// Succeeds is the id of the revoked key with the same tenant and name that a new key comes after.
	Succeeds string `json:"succeeds,omitempty"`
	// Secret is that of a new key, where it is not kept in a file.
	Secret string `json:"secret,omitempty"`

	limits admin.TenantLimits // what a tenant shall have
	key    wantedKey          // what a key shall be
	known  map[string]bool    // ids that the file has, or that were found for it: no successor of them is missing
}

// result is what became of a step.
type result string

const (
	planned result = "planned"
	done    result = "done"
	failed  result = "failed"
	unknown result = "unknown" // its answer was lost
	notDone result = "not done"
)

// present is what the gateway has.
type present struct {
	tenants map[string]admin.Tenant
	keys    []admin.Key
}

func readPresent(ctx context.Context, client *admin.Client) (present, error) {
	now := present{tenants: make(map[string]admin.Tenant)}
	tenants, err := client.Tenants(ctx)
	if err != nil {
		return now, err
	}
	for _, t := range tenants {
		now.tenants[t.Name] = t
	}
	for k, err := range client.Keys(ctx, admin.KeyQuery{}) {
		if err != nil {
			return now, err
		}
		now.keys = append(now.keys, k)
	}
	return now, nil
}

// pruning says what becomes of keys that are not in the file.
type pruning string

const (
	keepOthers   pruning = "keep"
	revokeOthers pruning = "revoke" // those of the tenants in the file
)

// newPlan compares the file with what the gateway has. Its error has a line for each key
// that cannot be what the file says.
func newPlan(f *keysFile, have present, others pruning) (plan, error) {
	var p plan
	for _, t := range f.tenants {
		before := have.tenants[t.name].TenantLimits
		after := admin.TenantLimits{
			RequestsPerMinute: t.RequestsPerMinute, Burst: t.Burst, TokensPerMinute: t.TokensPerMinute, Concurrent: t.Concurrent,
			Shadow: t.Shadow, BudgetUSD: t.Budget.USD(), BudgetPeriod: string(t.Budget.Per),
		}
		p.add(&step{Action: keys.ActionSetTenant, Tenant: t.name, Fields: differences(limitTexts(before), limitTexts(after)), limits: after})
	}
	m := newMatcher(f, have)
	for _, k := range f.keys {
		p.addKey(m, k)
	}
	if others == revokeOthers {
		p.prune(f, have, m)
	}
	return p, errors.Join(f.mistakes...)
}

// add adds a step, unless there is nothing to do.
func (p *plan) add(s *step) {
	if len(s.Fields) == 0 && s.Action != keys.ActionCreate && s.Action != keys.ActionImport {
		p.unchanged++
		return
	}
	s.Result = planned
	p.steps = append(p.steps, s)
}

func (p *plan) addKey(m *matcher, k wantedKey) {
	live, found := m.find(k)
	if found && !k.saysDisabled {
		k.Disabled = live.Disabled
	}
	if !k.ExpiresAt.IsZero() && !k.ExpiresAt.Equal(live.ExpiresAt) {
		m.file.complainOfFields(k.path, k.Validate(time.Now())) // what is left to be wrong is the expiry
	}
	s := &step{Action: keys.ActionUpdate, Tenant: k.Tenant, Name: k.Name, ID: live.ID, key: k, known: m.taken}
	switch {
	case found:
		s.Fields = differences(liveTexts(live), wantedTexts(k.Spec))
	case k.sha256 != "":
		s.Action = keys.ActionImport
		s.Fields = differences(liveTexts(admin.Key{Name: k.Name}), wantedTexts(k.Spec))
	default:
		s.Action = keys.ActionCreate
		s.Fields = differences(liveTexts(admin.Key{Name: k.Name}), wantedTexts(k.Spec))
	}
	if !found {
		s.Succeeds = m.revokedBefore(k)
	}
	p.add(s)
}

// prune revokes what the file does not have, of tenants that it has.
func (p *plan) prune(f *keysFile, have present, m *matcher) {
	mine := make(map[string]bool)
	for _, t := range f.tenants {
		mine[t.name] = true
	}
	for _, k := range have.keys {
		if mine[k.Tenant] && k.State != keys.StateRevoked && !m.taken[k.ID] {
			p.add(&step{
				Action: keys.ActionRevoke, Tenant: k.Tenant, Name: k.Name, ID: k.ID,
				Fields: []admin.FieldChange{{Field: "state", From: string(k.State), To: string(keys.StateRevoked)}},
			})
		}
	}
}

// matcher finds the gateway's keys that the file speaks of.
type matcher struct {
	file   *keysFile
	byID   map[string]admin.Key
	byName map[[2]string][]admin.Key // by tenant and name, the revoked ones left out
	taken  map[string]bool           // ids that the file has, or that were found for it
	ended  map[[2]string]admin.Key   // the last revoked key by tenant and name
}

func newMatcher(f *keysFile, have present) *matcher {
	m := &matcher{file: f, byID: make(map[string]admin.Key), byName: make(map[[2]string][]admin.Key), taken: make(map[string]bool), ended: make(map[[2]string]admin.Key)}
	for _, k := range f.keys {
		m.taken[k.id] = true
	}
	for _, k := range have.keys {
		m.byID[k.ID] = k
		switch name := [2]string{k.Tenant, k.Name}; {
		case k.State == keys.StateRevoked:
			if k.RevokedAt.After(m.ended[name].RevokedAt) {
				m.ended[name] = k
			}
		case !m.taken[k.ID]:
			m.byName[name] = append(m.byName[name], k)
		}
	}
	return m
}

// revokedBefore is the id of the last key of this tenant and name, which is revoked; empty: there is none. A secret
// that was imported for it, as far as its end tells, is revoked with it, which is a mistake of the file.
func (m *matcher) revokedBefore(k wantedKey) string {
	last := m.ended[[2]string{k.Tenant, k.Name}]
	if last.ID != "" && k.sha256 != "" && last.Last4 == k.last4 {
		m.file.complainOf(k.path+".secret_sha256", last.ID+", whose secret ends the same, is revoked: take it out, or give another hash, with its last4")
	}
	return last.ID
}

// find is the key by its id, else by its tenant and name. What is wrong with it is a mistake of the file.
func (m *matcher) find(k wantedKey) (live admin.Key, found bool) {
	if k.id != "" {
		live, found = m.byID[k.id]
		switch {
		case !found:
			m.file.complainOf(k.path+".id", "no key has this id: leave it out for a new key")
		case live.Tenant != k.Tenant:
			m.file.complainOf(k.path+".tenant", fmt.Sprintf("cannot change: %s is %s's; leave the id out for a new key of %s", k.id, live.Tenant, k.Tenant))
		case live.State == keys.StateRevoked:
			m.file.complainOf(k.path+".id", "this key is revoked for good: take it out of the file, or leave the id out for a new key")
		}
		return live, found
	}
	named := m.byName[[2]string{k.Tenant, k.Name}]
	switch len(named) {
	case 0:
		return admin.Key{}, false
	case 1:
	default:
		ids := make([]string, len(named))
		for i, one := range named {
			ids[i] = one.ID
			m.taken[one.ID] = true
		}
		m.file.complainOf(k.path+".name", fmt.Sprintf("%d keys of %s have this name, %s: say which one with id, or revoke all but one",
			len(named), k.Tenant, strings.Join(ids, " and ")))
	}
	m.taken[named[0].ID] = true
	return named[0], true
}

// fieldText is a field in words, as the audit has them: empty is none, or the default.
type fieldText struct{ field, text string }

func limitTexts(l admin.TenantLimits) []fieldText {
	return []fieldText{
		{"requests_per_minute", figure(l.RequestsPerMinute)},
		{"burst", figure(l.Burst)},
		{"tokens_per_minute", figure(l.TokensPerMinute)},
		{"concurrent", figure(l.Concurrent)},
		{"shadow", figureOf(l.Shadow)},
		{"budget_usd", l.BudgetUSD},
		{"budget_period", l.BudgetPeriod},
	}
}

func liveTexts(k admin.Key) []fieldText {
	texts := append([]fieldText{{"name", k.Name}, {"models", strings.Join(k.Models, ",")}, {"cidrs", strings.Join(k.CIDRs, ",")}},
		limitTexts(admin.TenantLimits{
			RequestsPerMinute: k.RequestsPerMinute, Burst: k.Burst, TokensPerMinute: k.TokensPerMinute, Concurrent: k.Concurrent,
			Shadow: k.Shadow, BudgetUSD: k.BudgetUSD, BudgetPeriod: k.BudgetPeriod,
		})...)
	return append(texts, fieldText{"expires", momentText(k.ExpiresAt)}, fieldText{"disabled", figureOf(k.Disabled)})
}

// wantedTexts are liveTexts of the key that the spec asks for.
func wantedTexts(s keys.Spec) []fieldText {
	return liveTexts(admin.Key{
		Name: s.Name, Models: s.Models, CIDRs: prefixTexts(s.CIDRs),
		RequestsPerMinute: s.RequestsPerMinute, Burst: s.Burst, TokensPerMinute: s.TokensPerMinute, Concurrent: s.Concurrent,
		Shadow: s.Shadow, BudgetUSD: s.Budget.USD(), BudgetPeriod: string(s.Budget.Per), ExpiresAt: s.ExpiresAt, Disabled: s.Disabled,
	})
}

func prefixTexts(prefixes []netip.Prefix) []string {
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	return texts
}

func differences(before, after []fieldText) []admin.FieldChange {
	changes := []admin.FieldChange{}
	for i, a := range after {
		if from := before[i].text; from != a.text {
			changes = append(changes, admin.FieldChange{Field: a.field, From: from, To: a.text})
		}
	}
	return changes
}

func figure(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func figureOf(yes bool) string {
	if yes {
		return "true"
	}
	return ""
}

func momentText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
