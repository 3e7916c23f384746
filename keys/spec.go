package keys

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The bounds of a Spec.
const (
	maxTenant       = 32
	maxName         = 64
	maxModels       = 64
	maxModelPattern = 128
	maxCIDRs        = 64
	maxPerMinute    = 1_000_000_000
	maxTokens       = 1_000_000_000_000
	maxConcurrent   = 1_000_000
)

// Spec is what an operator asks of a key: all of it that can be chosen.
type Spec struct {
	// Tenant is who pays: 1 to 32 lower-case letters, digits and inner hyphens. Nothing that separates or tags parts of a
	// store's keys (':', '{', '}') may stand in it, so that no two tenants can ever be confused. It never changes.
	Tenant string
	// Name is the operator's label: 1 to 64 printable characters, without a space at either end.
	Name string
	// Models lists what the key may use, exact names or "prefix*", at most 64; none means every model.
	Models []string
	// CIDRs lists where its requests may come from, at most 64 prefixes; none means anywhere.
	CIDRs []netip.Prefix
	// Limits are the key's own.
	Limits
	// Budget is what the key may spend; the zero Budget bounds nothing.
	Budget Budget
	// ExpiresAt is the first moment at which the key is refused, in the future; zero means never.
	ExpiresAt time.Time
	// Disabled keys are refused until they are enabled again.
	Disabled bool
}

// TenantSpec is what an operator asks for all keys of a tenant.
type TenantSpec struct {
	Limits
	Budget Budget
}

// take gives the key what the spec asks for.
func (k *Key) take(s Spec) {
	s = normal(s)
	k.Name, k.Models, k.CIDRs, k.Limits, k.Budget = s.Name, s.Models, s.CIDRs, s.Limits, s.Budget
	k.ExpiresAt, k.Disabled = s.ExpiresAt, s.Disabled
}

// specOf is what an operator would have asked for to get this key.
func specOf(k *Key) Spec {
	return normal(Spec{
		Tenant: k.Tenant, Name: k.Name, Models: k.Models, CIDRs: k.CIDRs, Limits: k.Limits, Budget: k.Budget,
		ExpiresAt: k.ExpiresAt, Disabled: k.Disabled,
	})
}

// normal is the spec as it is stored, with nothing in it that its caller could still change.
func normal(s Spec) Spec {
	s.Models, s.CIDRs = slices.Clone(s.Models), slices.Clone(s.CIDRs)
	if len(s.Models) == 0 {
		s.Models = nil
	}
	if len(s.CIDRs) == 0 {
		s.CIDRs = nil
	}
	s.ExpiresAt = inUTC(s.ExpiresAt)
	return s
}

// Validate returns one *FieldError for each bad field, joined; now is what the expiry must lie behind.
func (s Spec) Validate(now time.Time) error {
	return s.validate(expiryProblem(s.ExpiresAt, now))
}

func (s Spec) validate(expiry string) error {
	var p problems
	p.add("tenant", tenantProblem(s.Tenant))
	p.add("name", nameProblem(s.Name))
	p.add("models", modelsProblem(s.Models))
	p.add("cidrs", cidrsProblem(s.CIDRs))
	p.limits(s.Limits)
	p.budget(s.Budget)
	p.add("expires", expiry)
	return errors.Join(p...)
}

// Validate returns one *FieldError for each bad field, joined.
func (s TenantSpec) Validate() error {
	var p problems
	p.limits(s.Limits)
	p.budget(s.Budget)
	return errors.Join(p...)
}

// problems are *FieldErrors.
type problems []error

func (p *problems) add(field, problem string) {
	if problem != "" {
		*p = append(*p, &FieldError{Field: field, Problem: problem})
	}
}

func (p *problems) limits(l Limits) {
	p.add("requests_per_minute", rangeProblem(l.RequestsPerMinute, maxPerMinute))
	p.add("burst", burstProblem(l))
	p.add("tokens_per_minute", rangeProblem(l.TokensPerMinute, maxTokens))
	p.add("concurrent", rangeProblem(l.Concurrent, maxConcurrent))
}

func (p *problems) budget(b Budget) {
	switch {
	case b.NanoUSD < 0:
		p.add("budget_usd", "must be an amount of dollars such as \"25\" or \"0.50\", or \"\" for no budget")
	case b.NanoUSD == 0 && b.Per != "":
		p.add("budget_usd", "must be above 0 where budget_period is given")
	}
	switch b.Per {
	case PerDay, PerMonth, InTotal:
	case "":
		if b.NanoUSD > 0 {
			p.add("budget_period", "must be day, month or total where budget_usd is given")
		}
	default:
		p.add("budget_period", "must be day, month or total, got "+excerpt(string(b.Per)))
	}
}

func tenantProblem(tenant string) string {
	const want = "must be 1 to 32 lower-case letters, digits and inner hyphens, got "
	ok := len(tenant) >= 1 && len(tenant) <= maxTenant && tenant[0] != '-' && tenant[len(tenant)-1] != '-'
	for i := 0; ok && i < len(tenant); i++ {
		c := tenant[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-'
	}
	if ok {
		return ""
	}
	return want + excerpt(tenant)
}

// secretLike matches what may be a secret of ours, with some of its end missing or more behind it. What an operator gives is
// stored and shown: a secret that was pasted into the wrong field would stay in the records and in the audit in clear.
var secretLike = regexp.MustCompile(`tg_[0-9A-Za-z]{30,}`)

// heldSecret does not repeat what was given, and so does no error about a field that holds a secret.
const heldSecret = "must not hold a secret: rotate the key whose it is"

func nameProblem(name string) string {
	if secretLike.MatchString(name) {
		return heldSecret
	}
	n := utf8.RuneCountInString(name)
	unprintable := strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError })
	if n < 1 || n > maxName || unprintable || strings.TrimSpace(name) != name {
		return "must be 1 to 64 printable characters without a space at either end, got " + excerpt(name)
	}
	return ""
}

func modelsProblem(models []string) string {
	if len(models) > maxModels {
		return fmt.Sprintf("must be at most %d entries, got %d", maxModels, len(models))
	}
	for _, pattern := range models {
		if secretLike.MatchString(pattern) {
			return heldSecret
		}
		if !isModelPattern(pattern) {
			return fmt.Sprintf("each must be a model name or a prefix and \"*\", 1 to %d letters, digits and . _ : / @ + -, got %s",
				maxModelPattern, excerpt(pattern))
		}
	}
	return ""
}

func isModelPattern(pattern string) bool {
	if len(pattern) < 1 || len(pattern) > maxModelPattern {
		return false
	}
	for _, c := range []byte(strings.TrimSuffix(pattern, "*")) {
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && strings.IndexByte("._:/@+-", c) < 0 {
			return false
		}
	}
	return true
}

func cidrsProblem(cidrs []netip.Prefix) string {
	if len(cidrs) > maxCIDRs {
		return fmt.Sprintf("must be at most %d entries, got %d", maxCIDRs, len(cidrs))
	}
	for _, p := range cidrs {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return fmt.Sprintf("each must be a prefix such as 203.0.113.0/24 or 2001:db8::/32, without bits behind its length, got %s", excerpt(p.String()))
		}
	}
	return ""
}

func rangeProblem(n, most int) string {
	if n < 0 || n > most {
		return fmt.Sprintf("must be 0 (none of its own) to %d, got %d", most, n)
	}
	return ""
}

func burstProblem(l Limits) string {
	if l.Burst > 0 && l.RequestsPerMinute == 0 {
		return "must come with requests_per_minute, whose bucket it sizes"
	}
	if l.Burst < 0 || l.Burst > maxPerMinute {
		return fmt.Sprintf("must be 0 (as many as requests_per_minute) to %d, got %d", maxPerMinute, l.Burst)
	}
	return ""
}

func expiryProblem(expires, now time.Time) string {
	expires = inUTC(expires)
	switch {
	case !expires.IsZero() && !expires.After(now):
		return "must be in the future, got " + expires.Format(time.RFC3339)
	case expires.Year() > 9999: // it could not be written down in RFC 3339
		return "must be before the year 10000, or not given for never"
	default:
		return ""
	}
}

// excerpt quotes what was given, short enough for a log line, without secrets and with its control characters escaped.
func excerpt(s string) string {
	const most = 80
	s = secretLike.ReplaceAllString(s, "[redacted]")
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.QuoteToASCII(s)
}
