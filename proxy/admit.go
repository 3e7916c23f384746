package proxy

import (
	"context"
	"fmt"
	"strings"

	"tollgate/keys"
	"tollgate/ratelimit"
	"tollgate/usage"
)

// admit takes what the request needs of its key's limits, and of its tenant's. From here on a
// usage record is owed, whatever happens.
func (x *exchange) admit() error {
	if err := x.take(x.reservation()); err != nil {
		return err
	}
	x.admitted = true
	x.openRecord()
	return nil
}

// take takes one request with so many tokens, and a slot where it has some; or refuses, and takes nothing. The gateway's
// own context bounds it: fasthttp's ends with a shutdown, which is to let requests go on.
func (x *exchange) take(tokens int64) error {
	x.taken = true
	x.gateway.Limiter.Take(x.gateway.running, &x.permit, x.gateway.spending(x.key, tokens))
	answer := &x.permit.Answer
	x.gateway.countDecisions(answer, tokens)
	return refusedBy(answer, tokens)
}

// spending is a request of a key and its tenant, as their limits are now.
func (g *Gateway) spending(key *keys.Key, tokens int64) ratelimit.Request {
	return ratelimit.Request{Key: account(key.ID, key.Limits), Tenant: g.tenant(key.Tenant), Tokens: tokens}
}

func (g *Gateway) tenant(name string) ratelimit.Account {
	return account(name, g.Keys.TenantLimits(name))
}

func account(id string, l keys.Limits) ratelimit.Account {
	return ratelimit.Account{ID: id, Shadow: l.Shadow, Limits: ratelimit.Limits{
		RequestsPerMinute: l.RequestsPerMinute, Burst: l.Burst, TokensPerMinute: l.TokensPerMinute, Concurrent: l.Concurrent,
	}}
}

// countDecisions counts what each limit has decided. One that would have let the request pass, which another refuses, has
// decided nothing; nor has one that a request without tokens does not meet.
func (g *Gateway) countDecisions(answer *ratelimit.Answer, tokens int64) {
	allowed := answer.Allowed()
	for i := range answer {
		limit, d := ratelimit.Limit(i), &answer[i] //nolint:gosec // of six
		switch {
		case d.Limit == 0, tokens == 0 && limit.Dimension() != ratelimit.Requests:
		case d.Allowed && allowed:
			g.Metrics.Limit(limit.String(), "allowed")
		case d.Allowed:
		case d.Shadow:
			g.Metrics.Limit(limit.String(), "shadowed")
		default:
			g.Metrics.Limit(limit.String(), "refused")
		}
	}
}

// endPermit gives back what the request holds of its limits, and settles its tokens with those of its record: none,
// where nothing was charged. It does so once.
func (x *exchange) endPermit() {
	if !x.taken || x.returned {
		return
	}
	x.returned = true
	used := x.record.Tokens
	x.permit.End(used.Prompt + used.Completion)
	if x.record.EndReason == usage.EndCompleted && isCounted(&x.permit.Answer) {
		x.gateway.Forecast.Learn(x.key.ID, x.record.Model, used.Completion/int64(max(1, x.serving.choices)))
	}
}

// isCounted tells whether a limit of tokens is in force.
func isCounted(a *ratelimit.Answer) bool {
	return a[ratelimit.KeyTokens].Limit > 0 || a[ratelimit.TenantTokens].Limit > 0
}

// limitError is a refusal by a limit.
type limitError struct {
	limit    ratelimit.Limit
	decision ratelimit.Decision
	tokens   int64 // that the request was taken for
}

// refusedBy is nil where the request may pass.
func refusedBy(a *ratelimit.Answer, tokens int64) error {
	if a.Allowed() {
		return nil
	}
	strictest := a.Strictest()
	return &limitError{limit: strictest, decision: a[strictest], tokens: tokens}
}

// Error names the limit, whose it is, and when to try again: it is what the client reads.
func (e *limitError) Error() string {
	return fmt.Sprintf("%s; try again in %s", e.reason(), e.decision.RetryAfter)
}

func (e *limitError) reason() string {
	most := e.decision.Limit
	switch e.limit.Dimension() {
	case ratelimit.Tokens:
		// More than a full bucket is not asked of it.
		return fmt.Sprintf("rate limit reached: %s limit is %s per minute, and this request was taken for %d",
			e.whose(), quantity(most, "token"), min(e.tokens, most))
	case ratelimit.Concurrent:
		return fmt.Sprintf("concurrency limit reached: %s limit is %s at once", e.whose(), quantity(most, "request"))
	}
	return fmt.Sprintf("rate limit reached: %s limit is %s per minute", e.whose(), quantity(most, "request"))
}

func (e *limitError) whose() string {
	if e.limit.OfTenant() {
		return "the tenant's"
	}
	return "the key's"
}

// code is the error's code: clients back off from a rate, and queue for a slot.
func (e *limitError) code() string {
	if e.limit.Dimension() == ratelimit.Concurrent {
		return "concurrency_limit"
	}
	return "rate_limit_exceeded"
}

// quantity is 1 request, and 2 requests.
func quantity(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// shadowed names the limits that would have refused the request, if they were enforced; empty: none would.
func shadowed(a *ratelimit.Answer) string {
	var names []string
	for i := range a {
		if d := &a[i]; d.Shadow && !d.Allowed && d.Limit > 0 {
			names = append(names, ratelimit.Limit(i).String()) //nolint:gosec // of six
		}
	}
	return strings.Join(names, ", ")
}

// refusing names the limit that a refused client was told of; empty: none has refused.
func refusing(a *ratelimit.Answer) string {
	if a.Allowed() {
		return ""
	}
	return a.Strictest().String()
}

// Standing is what the key and its tenant may spend at this moment, as all replicas know it. Nothing is spent.
func (g *Gateway) Standing(ctx context.Context, key *keys.Key) (a ratelimit.Answer) {
	g.Limiter.Standing(ctx, &a, g.spending(key, 0))
	return a
}

// TenantStanding is the same of a tenant alone: of no key, there are no decisions.
func (g *Gateway) TenantStanding(ctx context.Context, tenant string) (a ratelimit.Answer) {
	g.Limiter.Standing(ctx, &a, ratelimit.Request{Tenant: g.tenant(tenant)})
	return a
}
