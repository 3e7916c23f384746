package proxy

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"tollgate/ratelimit"
	"tollgate/usage"

	"github.com/valyala/fasthttp"
)

// modelObject is a model as the models API lists it.
// See https://platform.openai.com/docs/api-reference/models/object.
type modelObject struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func newModelObject(name string) modelObject {
	return modelObject{ID: name, Object: "model", OwnedBy: "tollgate"}
}

// listModels lists the models that the key may use.
func (x *exchange) listModels(ctx *fasthttp.RequestCtx) error {
	list := struct {
		Object string        `json:"object"`
		Data   []modelObject `json:"data"`
	}{Object: "list", Data: []modelObject{}}
	for _, name := range x.plan.Table.Names() {
		if x.key.MayUse(name) {
			list.Data = append(list.Data, newModelObject(name))
		}
	}
	return x.replyJSON(ctx, list)
}

// showModel shows one of them. A model's name may hold a slash, which clients
// escape; the name is only looked up, so nothing can be reached through it.
func (x *exchange) showModel(ctx *fasthttp.RequestCtx) error {
	name, err := url.PathUnescape(x.tail)
	if err != nil {
		return errModelNotFound
	}
	if _, ok := x.plan.Table.Model(name); !ok || !x.key.MayUse(name) {
		return errModelNotFound
	}
	return x.replyJSON(ctx, newModelObject(name))
}

// ownUsage is what a key may know about itself.
type ownUsage struct {
	Object string   `json:"object"`
	Key    ownKey   `json:"key"`
	From   string   `json:"from"`
	To     string   `json:"to"`
	Rows   []ownRow `json:"rows"`
}

// ownRow is a row of the ledger without what providers charge the operator.
type ownRow struct {
	Day              string    `json:"day"`
	Model            string    `json:"model"`
	Requests         int64     `json:"requests"`
	PromptTokens     int64     `json:"prompt_tokens"`
	CachedTokens     int64     `json:"cached_tokens"`
	CompletionTokens int64     `json:"completion_tokens"`
	ReasoningTokens  int64     `json:"reasoning_tokens"`
	Charge           usage.USD `json:"charge_usd"`
	Estimated        int64     `json:"estimated_requests"`
}

type ownKey struct {
	ID        string      `json:"id"`
	Tenant    string      `json:"tenant"`
	Name      string      `json:"name"`
	Models    []string    `json:"models,omitempty"`
	ExpiresAt *time.Time  `json:"expires_at"`
	Requests  *ownRequest `json:"requests_per_minute"` // null: no limit
	// OfTenant is what all keys of the tenant may use together; left out where there is no such limit.
	OfTenant *ownRequest `json:"tenant_requests_per_minute,omitempty"`
	// Limits are all that are in force, those two among them.
	Limits []ownLimit `json:"limits"`
}

type ownRequest struct {
	Limit     int64  `json:"limit"`
	Remaining int64  `json:"remaining"`
	Reset     string `json:"reset"`
}

// ownLimit is one limit of the key, or of its tenant over all keys.
type ownLimit struct {
	// Limit is the name, such as "tokens" or "tenant_tokens".
	Limit string `json:"limit"`
	Max   int64  `json:"max"`
	Left  int64  `json:"left"`
	// Reset is when all of it is there again. Nobody knows it of requests that are in progress.
	Reset string `json:"reset,omitempty"`
	// Shadow says that it is not enforced.
	Shadow bool `json:"shadow,omitempty"`
}

// showUsage shows the key's own spend by day and model, of the present month
// unless from and to (days, UTC, both included) say otherwise, and its limits.
func (x *exchange) showUsage(ctx *fasthttp.RequestCtx) error {
	from, to, err := period(x.tail, time.Now().UTC())
	if err != nil {
		return err
	}
	if err := x.enter(); err != nil {
		return err
	}
	if err := x.take(0); err != nil { // a look into the ledger costs more than many a request
		return err
	}
	rows, err := x.gateway.Spending.Sum(x.gateway.running, usage.Query{
		From: from, To: to.AddDate(0, 0, 1), KeyID: x.key.ID, By: []usage.Dimension{usage.ByDay, usage.ByModel},
	})
	if err != nil {
		return errSpending
	}
	answer := ownUsage{
		Object: "usage", From: from.Format(time.DateOnly), To: to.Format(time.DateOnly), Rows: ownRows(rows),
		Key: ownKey{ID: x.key.ID, Tenant: x.key.Tenant, Name: x.key.Name, Models: x.key.Models},
	}
	if !x.key.ExpiresAt.IsZero() {
		answer.Key.ExpiresAt = &x.key.ExpiresAt
	}
	standing := x.gateway.Standing(x.gateway.running, x.key)
	answer.Key.Requests, answer.Key.OfTenant = ownRequests(standing[ratelimit.KeyRequests]), ownRequests(standing[ratelimit.TenantRequests])
	answer.Key.Limits = ownLimits(&standing)
	return x.replyJSON(ctx, answer)
}

// ownRequests is nil where there is no limit.
func ownRequests(d ratelimit.Decision) *ownRequest {
	if d.Limit == 0 {
		return nil
	}
	return &ownRequest{d.Limit, d.Remaining, d.Reset.String()}
}

func ownLimits(a *ratelimit.Answer) []ownLimit {
	own := []ownLimit{}
	for i := range a {
		limit, d := ratelimit.Limit(i), a[i] //nolint:gosec // of six
		if d.Limit == 0 {
			continue
		}
		l := ownLimit{Limit: limit.String(), Max: d.Limit, Left: d.Remaining, Shadow: d.Shadow}
		if limit.Dimension() != ratelimit.Concurrent {
			l.Reset = d.Reset.String()
		}
		own = append(own, l)
	}
	return own
}

func ownRows(rows []usage.Row) []ownRow {
	own := make([]ownRow, len(rows))
	for i, r := range rows {
		own[i] = ownRow{
			Day: r.Day, Model: r.Model, Requests: r.Requests,
			PromptTokens: r.PromptTokens, CachedTokens: r.CachedTokens,
			CompletionTokens: r.CompletionTokens, ReasoningTokens: r.ReasoningTokens,
			Charge: r.Charge, Estimated: r.EstimatedRequests,
		}
	}
	return own
}

// longestPeriod bounds what one question may make the ledger read, in days.
const longestPeriod = 366

// period reads from=2026-01-01&to=2026-01-31.
func period(query string, now time.Time) (from, to time.Time, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return from, to, &dayError{param: "from"}
	}
	for name := range values {
		if name != "from" && name != "to" {
			return from, to, errUnknownParameter
		}
	}
	day := func(param string, fallback time.Time) time.Time {
		text := values.Get(param)
		if text == "" {
			return fallback
		}
		t, parseErr := time.Parse(time.DateOnly, text)
		if parseErr != nil && err == nil {
			err = &dayError{param: param}
		}
		return t
	}
	from = day("from", time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC))
	to = day("to", time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC))
	if err == nil && (to.Before(from) || to.After(from.AddDate(0, 0, longestPeriod))) {
		err = &dayError{param: "to"}
	}
	return from, to, err
}

// dayError is a query parameter that is no day.
type dayError struct{ param string }

func (e *dayError) Error() string {
	return fmt.Sprintf("%s must be a day such as 2026-01-31 (UTC), from must not be after to, and at most %d days before it", e.param, longestPeriod)
}

func (x *exchange) replyJSON(ctx *fasthttp.RequestCtx, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	ctx.SetStatusCode(fasthttp.StatusOK)
	x.reply(ctx, body)
	return nil
}
