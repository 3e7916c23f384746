package proxy

import (
	"bytes"
	"fmt"
	"time"

	"tollgate/keys"
	"tollgate/ratelimit"

	"github.com/valyala/fasthttp"
)

// authenticate finds the key whose secret was sent. It comes before the body is
// taken: a stranger costs one hash, and the 8 KiB that fasthttp reads ahead.
func (x *exchange) authenticate(ctx *fasthttp.RequestCtx) error {
	secret, ok := bearer(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization))
	if !ok {
		return errMissingKey
	}
	key, err := x.gateway.Keys.Authenticate(x.gateway.running, secret, x.from)
	if err != nil {
		return err
	}
	x.key, x.watch = key, x.gateway.Keys.Cuts().Watch(key.ID)
	if !key.MayComeFrom(x.from) {
		return &addressError{client: x.from}
	}
	x.showLimit(x.gateway.Limiter.Peek(x.accounts()))
	return nil
}

// accounts are whose rates a request spends of.
func (x *exchange) accounts() (key, tenant ratelimit.Account) {
	return ratelimit.Account{ID: x.key.ID, Rate: rateOf(x.key.Limits)},
		ratelimit.Account{ID: x.key.Tenant, Rate: rateOf(x.gateway.Keys.TenantLimits(x.key.Tenant))}
}

func rateOf(l keys.Limits) ratelimit.Rate {
	return ratelimit.Rate{PerMinute: l.RequestsPerMinute, Burst: l.Burst}
}

// bearer returns the secret of an Authorization header. RFC 9110, section
// 11.1: the scheme's name has no case.
func bearer(header []byte) ([]byte, bool) {
	scheme, secret, found := bytes.Cut(header, []byte(" "))
	if !found || !bytes.EqualFold(scheme, []byte("Bearer")) {
		return nil, false
	}
	secret = bytes.Trim(secret, " \t")
	return secret, len(secret) > 0
}

// authorize asks whether the key may use the model, which is also the moment
// the model is found. A model that is not configured and one that the key may
// not use are the same 404: a tenant cannot list what others have.
func (x *exchange) authorize() error {
	model, ok := x.plan.Table.Model(x.document.Model)
	if !ok || !x.key.MayUse(x.document.Model) {
		return errModelNotFound
	}
	x.model = model
	if x.document.Stream && !x.http11 {
		return errOldStream
	}
	return nil
}

// admit spends one request of the key's rate, and of its tenant's. From here on a
// usage record is owed, whatever happens.
func (x *exchange) admit() error {
	if err := x.take(); err != nil {
		return err
	}
	x.admitted = true
	x.openRecord()
	return nil
}

// take spends one request, or refuses and spends nothing.
func (x *exchange) take() error {
	answer := x.gateway.Limiter.Take(x.accounts())
	x.showLimit(answer)
	x.countDecision("requests", answer.Key, answer)
	x.countDecision("tenant_requests", answer.Tenant, answer)
	return refusedBy(answer)
}

// countDecision counts what one limit has decided. One that would have let the request
// pass, which another refuses, has decided nothing.
func (x *exchange) countDecision(limit string, d ratelimit.Decision, answer ratelimit.Answer) {
	switch {
	case d.Limit == 0:
	case answer.Allowed():
		x.gateway.Metrics.Limit(limit, "allowed")
	case !d.Allowed:
		x.gateway.Metrics.Limit(limit, "refused")
	}
}

func (x *exchange) showLimit(a ratelimit.Answer) { x.limit, x.limited = a, true }

// rateError is a refusal by a limit of requests per minute.
type rateError struct {
	ofTenant   bool // it is the tenant's limit, over all its keys
	limit      int
	retryAfter time.Duration
}

// refusedBy is nil where the request may pass.
func refusedBy(a ratelimit.Answer) error {
	if a.Allowed() {
		return nil
	}
	stricter, ofTenant := a.Stricter()
	return &rateError{ofTenant: ofTenant, limit: stricter.Limit, retryAfter: stricter.RetryAfter}
}

func (e *rateError) Error() string {
	whose := "the key's"
	if e.ofTenant {
		whose = "the tenant's"
	}
	return fmt.Sprintf("rate limit reached: %s limit is %d requests per minute; try again in %s", whose, e.limit, e.retryAfter.Round(time.Millisecond))
}
