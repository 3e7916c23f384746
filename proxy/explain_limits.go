package proxy

import (
	"fmt"
	"strings"
	"time"

	"tollgate/ratelimit"
)

// admit says what the limits would decide, and takes nothing of them.
func (w *walk) admit() (string, error) {
	x := w.x
	tokens := x.reservation()
	var a ratelimit.Answer
	x.gateway.Limiter.Peek(&a, x.gateway.spending(x.key, tokens))
	if isCounted(&a) {
		w.e.Request.ReservedTokens = tokens
	}
	for i := range a {
		if d := a[i]; d.Limit > 0 {
			w.e.Limits = append(w.e.Limits, newLimitLeft(ratelimit.Limit(i), d)) //nolint:gosec // of six
		}
	}
	if err := refusedBy(&a, tokens); err != nil {
		return "", err
	}
	var details []string
	for _, dimension := range [...]ratelimit.Dimension{ratelimit.Requests, ratelimit.Tokens, ratelimit.Concurrent} {
		if detail := leftOf(&a, dimension, tokens); detail != "" {
			details = append(details, detail)
		}
	}
	if names := shadowed(&a); names != "" {
		details = append(details, "in shadow, and so not refused by: "+names)
	}
	if len(details) == 0 {
		return "no limit", nil
	}
	return strings.Join(details, "; "), nil
}

// leftOf says what is left of the tighter limit of a dimension; empty: there is none.
func leftOf(a *ratelimit.Answer, dimension ratelimit.Dimension, tokens int64) string {
	d, ok := a.Tightest(dimension)
	if !ok {
		return ""
	}
	whose := ""
	if a[2*dimension] != d {
		whose = " to the tenant"
	}
	switch {
	case dimension == ratelimit.Tokens:
		return fmt.Sprintf("%d of %s per minute %s left%s, and the request would reserve %d",
			d.Remaining, quantity(d.Limit, "token"), agreeing(d.Remaining, "is", "are"), whose, min(tokens, d.Limit))
	case dimension == ratelimit.Concurrent:
		return fmt.Sprintf("%d of %s at once %s left%s", d.Remaining, quantity(d.Limit, "request"), agreeing(d.Remaining, "is", "are"), whose)
	case d.Remaining > d.Limit: // of a burst
		return fmt.Sprintf("%d requests are left%s, and %d per minute %s back", d.Remaining, whose, d.Limit, agreeing(d.Limit, "comes", "come"))
	}
	return fmt.Sprintf("%d of %s per minute %s left%s", d.Remaining, quantity(d.Limit, "request"), agreeing(d.Remaining, "is", "are"), whose)
}

// agreeing is the verb of so many.
func agreeing(n int64, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}

func newLimitLeft(l ratelimit.Limit, d ratelimit.Decision) LimitLeft {
	return LimitLeft{
		Name: l.String(), Limit: d.Limit, Remaining: d.Remaining, ResetMS: roundUp(d.Reset, time.Millisecond),
		Refuses: !d.Allowed, Shadow: d.Shadow,
	}
}
