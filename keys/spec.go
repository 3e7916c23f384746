package keys

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The bounds of a Spec.
const (
	maxTenant            = 32
	maxName              = 64
	maxModels            = 64
	maxModelPattern      = 128
	maxRequestsPerMinute = 1_000_000_000
)

// Spec is what an operator asks of a new key.
type Spec struct {
	// Tenant is who pays: 1 to 32 lower-case letters, digits and inner hyphens. Nothing that separates or tags parts of a
	// store's keys (':', '{', '}') may stand in it, so that no two tenants can ever be confused.
	Tenant string
	// Name is the operator's label: 1 to 64 printable characters, without a space at either end.
	Name string
	// Models lists what the key may use, exact names or "prefix*", at most 64; none means every model.
	Models []string
	// RequestsPerMinute is the key's own rate limit, at most 1e9; 0 means the configured default.
	RequestsPerMinute int
	// ExpiresAt is the first moment at which the key is refused, in the future; zero means never.
	ExpiresAt time.Time
}

// Validate returns one *FieldError for each bad field, joined; now is what the expiry must lie behind.
func (s Spec) Validate(now time.Time) error {
	var errs []error
	check := func(field, problem string) {
		if problem != "" {
			errs = append(errs, &FieldError{Field: field, Problem: problem})
		}
	}
	check("tenant", tenantProblem(s.Tenant))
	check("name", nameProblem(s.Name))
	check("models", modelsProblem(s.Models))
	check("requests_per_minute", rateProblem(s.RequestsPerMinute))
	check("expires", expiryProblem(s.ExpiresAt, now))
	return errors.Join(errs...)
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

func nameProblem(name string) string {
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

func rateProblem(perMinute int) string {
	if perMinute < 0 || perMinute > maxRequestsPerMinute {
		return fmt.Sprintf("must be 0 (the configured default) to %d, got %d", maxRequestsPerMinute, perMinute)
	}
	return ""
}

func expiryProblem(expires, now time.Time) string {
	if !expires.IsZero() && !expires.After(now) {
		return "must be in the future, got " + expires.UTC().Format(time.RFC3339)
	}
	return ""
}

// excerpt quotes what was given, short enough for a log line and with its control characters escaped.
func excerpt(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.QuoteToASCII(s)
}
