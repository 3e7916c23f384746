package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"tollgate/keys"
	"tollgate/proxy/scan"
	"tollgate/upstream"
	"tollgate/usage"
)

// Explain says what would happen to a chat completion with this key and this
// body if it came now, by the very stages that it would pass. Nothing is spent,
// nobody is asked, and the body is not kept. It is safe for concurrent use.
func (g *Gateway) Explain(ctx context.Context, key *keys.Key, body []byte) Explanation {
	x := &exchange{gateway: g, plan: g.plan.Load(), accepted: time.Now(), key: key, http11: true}
	defer x.releaseBody()
	w := walk{ctx: ctx, x: x}
	w.stage("authenticate", w.authenticate)
	w.stage("read", func() (string, error) { return w.read(body) })
	w.stage("authorize", w.authorize)
	w.stage("route", w.route)
	w.stage("admit", w.admit)
	w.stage("attempt", w.attempt)
	w.e.Sent = w.refused == nil
	w.describe()
	return w.e
}

// walk takes a request through the stages that can be foreseen.
type walk struct {
	ctx      context.Context
	x        *exchange
	limit    int64 // the most tokens that any candidate would be asked for; 0: no limit
	e        Explanation
	outlooks []upstream.Outlook
	refused  error
}

// stage takes one stage, unless one before it has refused.
func (w *walk) stage(name string, pass func() (detail string, err error)) {
	s := Stage{Name: name, Result: "not_reached"}
	if w.refused == nil {
		var err error
		s.Detail, err = pass()
		s.Result = "passed"
		if err != nil {
			s.Result = "refused"
			w.refuse(err, &s)
		}
	}
	w.e.Stages = append(w.e.Stages, s)
}

func (w *walk) refuse(err error, s *Stage) {
	w.refused = err
	f := failureOf(err)
	if s.Detail == "" {
		s.Detail = f.Message
	}
	w.e.Refusal = &Refusal{
		Status: f.Status, Type: f.Type, Code: f.Code, Param: f.Param, Message: f.Message,
		RetryAfterMS: roundUp(f.RetryAfter, time.Millisecond),
	}
}

// authenticate tells operators what a client is not told: in which way a key is not valid.
func (w *walk) authenticate() (string, error) {
	k, now := w.x.key, time.Now()
	whose := fmt.Sprintf("key %s of tenant %s", k.ID, k.Tenant)
	switch k.State(now) {
	case keys.StateRevoked:
		return whose + " was revoked at " + k.RevokedAt.UTC().Format(time.RFC3339), keys.ErrRevoked
	case keys.StateExpired:
		return whose + " has expired at " + k.ExpiresAt.UTC().Format(time.RFC3339), keys.ErrExpired
	case keys.StateDisabled:
		return whose + " is disabled", keys.ErrDisabled
	}
	if len(k.CIDRs) > 0 {
		// Where the request would come from is not known here.
		whose += ", from these networks alone: " + joined(k.CIDRs)
	}
	return whose, nil
}

func joined(networks []netip.Prefix) string {
	var text strings.Builder
	for i, n := range networks {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(n.String())
	}
	return text.String()
}

func (w *walk) read(body []byte) (string, error) {
	x := w.x
	if limit := x.gateway.Config.MaxRequestBody; int64(len(body)) > int64(limit) {
		return fmt.Sprintf("%d bytes, the limit is %d (server.max_request_body)", len(body), limit), errBodyTooLarge
	}
	x.document, _ = x.gateway.documents.Get().(*scan.Document)
	if err := x.document.Parse(body); err != nil {
		return "", err
	}
	w.e.Request = w.summary()
	return fmt.Sprintf("%d bytes, %d fields", len(body), len(x.document.Members)), nil
}

// summary is what operators are told of a body that was read.
func (w *walk) summary() *RequestSummary {
	x := w.x
	d := x.document
	x.prepareFields()
	r := &RequestSummary{
		Model: d.Model, Stream: d.Stream, Bytes: len(d.Body),
		PromptTokens:        x.gateway.countPrompt(samplePrompt(d)),
		MaxCompletionTokens: d.MaxTokens * max(1, d.N),
		Needs:               x.fields.needs.Names(),
	}
	if _, ok := x.plan.Table.Model(d.Model); !ok {
		r.Model = "" // any text of the client's
	}
	return r
}

func (w *walk) authorize() (string, error) {
	x := w.x
	if err := x.authorize(); err != nil {
		if _, known := x.plan.Table.Model(x.document.Model); errors.Is(err, errModelNotFound) && known {
			return "the model is configured, but the key may not use it: its models are " + strings.Join(x.key.Models, ", "), err
		} else if errors.Is(err, errModelNotFound) {
			return "no model of this name is configured", err
		}
		return "", err
	}
	return "the key may use " + x.model.Name, nil
}

func (w *walk) route() (string, error) {
	x := w.x
	options := x.routeOptions()
	w.outlooks = x.model.Outlooks(&x.fields.needs, options)
	_, err := x.beginRoute(options)
	able := 0
	for _, o := range w.outlooks {
		if o.Why == "" {
			able++
		}
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d of %d candidates", able, len(w.outlooks)), nil
}

func (w *walk) attempt() (string, error) {
	first := w.outlooks[0]
	for _, o := range w.outlooks {
		if o.Why == "" {
			first = o
			break
		}
	}
	return fmt.Sprintf("%s (%s) first; at most %d attempts within %s", first.Provider.Name, first.Model,
		w.x.model.MaxAttempts, w.x.model.Timeouts.Total), nil
}

// describe adds what is known of the candidates and of the money, also where a
// stage has refused.
func (w *walk) describe() {
	x := w.x
	if x.model == nil {
		return
	}
	for _, o := range w.outlooks {
		if w.ctx.Err() != nil {
			return // nobody waits for it
		}
		w.e.Candidates = append(w.e.Candidates, w.candidate(o))
	}
	if w.limit == 0 {
		w.limit = w.e.Request.MaxCompletionTokens
	}
	w.e.Charge = w.priced(w.limit, func(t usage.Tokens) (usage.NanoUSD, string, error) {
		return x.plan.Prices.Charge(x.model.Name, t, x.accepted)
	})
}

func (w *walk) candidate(o upstream.Outlook) CandidateOutlook {
	x := w.x
	view := CandidateOutlook{
		Provider: o.Provider.Name, URL: o.Endpoint.URL, Credential: o.Endpoint.Credential, Model: o.Model,
		Tier: o.Tier, Weight: o.Weight, State: string(o.State), StateWhy: o.StateWhy, Share: o.Share,
	}
	if o.LastResort {
		view.StateWhy += ", but nobody else is there"
	}
	if o.Why != "" {
		view.Excluded = &Exclusion{Param: o.Param, Why: o.Why}
	}
	if o.Param != "" {
		return view // what would be sent there is no question
	}
	var version revision
	version.decide(x, o.Candidate)
	view.Dropped, view.Adapted = plainWords(version.dropped), version.adapted
	limit := version.limit * max(1, x.document.N)
	w.limit = max(w.limit, limit)
	view.Cost = w.priced(limit, func(t usage.Tokens) (usage.NanoUSD, string, error) {
		return x.plan.Prices.Cost(o.Provider.Name, o.Model, t, x.accepted)
	})
	return view
}

// priced is the range between an answer of nothing, to a prompt that the provider
// had in its cache, and the longest answer that the request allows; nil without a
// price. Where the request has media, whose tokens nobody counts beforehand, or names no
// limit, there is no upper end.
func (w *walk) priced(limit int64, price func(usage.Tokens) (usage.NanoUSD, string, error)) *CostRange {
	prompt := w.e.Request.PromptTokens
	least, entry, err := price(usage.Tokens{Prompt: prompt, Cached: prompt})
	if err != nil || entry == "" {
		return nil
	}
	r := &CostRange{Least: least, Price: entry}
	if limit > 0 && len(w.x.document.Media) == 0 {
		if most, _, err := price(usage.Tokens{Prompt: prompt, Completion: limit}); err == nil {
			r.Most = &most
		}
	}
	return r
}
