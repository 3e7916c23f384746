package proxy

import (
	"context"
	"runtime/debug"
	"strings"
	"time"

	"tollgate/proxy/scan"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"
)

// promptSample bounds the prompt text kept for an estimate, in bytes; what is
// beyond is extrapolated.
const promptSample = 64 << 10

// recordTimeout is how long a record may take to become durable, in a disk's worst hour.
const recordTimeout = 30 * time.Second

// openRecord begins the request's usage record: one per admitted request,
// whatever its end.
func (x *exchange) openRecord() {
	x.record = usage.Record{
		RequestID:  x.id,
		Kind:       usage.KindSettle,
		Tenant:     x.key.Tenant,
		KeyID:      x.key.ID,
		Model:      x.model.Name,
		Stream:     x.document.Stream,
		AcceptedAt: x.accepted.UTC(),
		TraceID:    x.span.TraceID(),
	}
	x.allow(x.document.MaxTokens)
}

// allowance is how many tokens an answer may have, all choices together; 0: the client
// named no limit.
type allowance struct {
	most  int64 // as it was asked for: a provider that reports more is not believed
	worst int64 // what of it an answer may have cost that broke off
}

// allow sets what each choice may have. A client may name any limit, and a cost that
// nobody saw is reckoned within limits.max_completion_tokens, as a reservation is.
func (x *exchange) allow(each int64) {
	choices := max(1, x.document.N)
	x.allowance = allowance{most: max(0, each) * choices, worst: max(0, min(each, x.plan.MaxCompletionTokens)) * choices}
}

// end settles a request whose answer has ended for that reason, with what the
// listener heard. It does nothing when the request was settled before.
func (x *exchange) end(reason usage.EndReason) error {
	if x.settled {
		return nil
	}
	answer := usage.Answer{End: reason, MaxCompletion: x.allowance.most, WorstCompletion: x.allowance.worst, Estimate: x.estimate}
	if s := x.serving; s != nil {
		answer.Reported = s.tap.Usage()
		answer.Delivered = x.delivered
		x.record.UpstreamID = s.unlessSecret(s.tap.ID())
	}
	return x.settle(answer)
}

// settle decides the record and makes it durable. An error means that the bill
// is not safe, so the answer must not look complete.
func (x *exchange) settle(answer usage.Answer) error {
	verdict := usage.Decide(answer)
	r := &x.record
	r.EndReason, r.Source, r.Tokens, r.MaxCompletion = answer.End, verdict.Source, verdict.Tokens, x.allowance.most
	r.Delivered = x.deliveredTokens(answer.End)
	r.Rejected = string(verdict.Quarantined)
	if x.serving != nil {
		r.Rejected = x.serving.unlessSecret(r.Rejected)
	}
	r.EndedAt = time.Now().UTC()
	r.Trail = x.trail.encode(r)
	var err error
	if verdict.Charged {
		if r.Charge, r.ChargePrice, err = x.plan.Prices.Charge(r.Model, verdict.Tokens, r.AcceptedAt); err != nil {
			x.log().Error("charge not computed", telemetry.FieldError, err)
		}
	}
	r.Cost, r.CostPrice = x.costOf(verdict.Cost)
	// Not the request's context: a client that left still owes its record.
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	err = x.gateway.Recorder.Settle(ctx, r)
	x.settled = true
	x.endPermit() // before the last byte is released: whoever has read it finds the place free
	if err != nil {
		x.log().Error("answer withheld: its bill is not on record yet", telemetry.FieldError, err, telemetry.FieldEndReason, string(r.EndReason))
		return errLedger
	}
	return nil
}

// costOf is what the provider that was asked last charges for so much.
func (x *exchange) costOf(t usage.Tokens) (cost usage.NanoUSD, price string) {
	r := &x.record
	cost, price, err := x.plan.Prices.Cost(r.Provider, r.UpstreamModel, t, r.AcceptedAt)
	if err != nil {
		x.log().Error("cost not computed", telemetry.FieldError, err)
	}
	return cost, price
}

// deliveredTokens is how much of an answer's text its client got when it did not
// get the end.
func (x *exchange) deliveredTokens(end usage.EndReason) int64 {
	s := x.serving
	if end == usage.EndCompleted || end == usage.EndNoOutput || s == nil || x.textOut == 0 {
		return 0
	}
	return x.gateway.count(s.meter.Bytes(), s.meter.Tokens) * x.textOut / s.meter.Bytes()
}

// expectUsage prepares for an answer whose provider will send no usage: the
// answer is counted as it passes, and the prompt while the provider works.
func (x *exchange) expectUsage(c *upstream.Candidate) {
	if c.Provider.StreamUsage != upstream.StreamUsageNever || x.promptTokens != nil {
		return
	}
	text, tokens := samplePrompt(x.document), make(chan int64, 1)
	x.prompt.total, x.promptTokens = text.total, tokens
	x.gateway.background.Go(func() { tokens <- x.gateway.countPrompt(text) })
}

// estimate is the local count of the prompt and of the answer's text so far; zero
// when the last provider asked cannot have got the request, or has failed. (What those
// who failed may charge for it is not the tenant's.)
func (x *exchange) estimate() usage.Tokens {
	var t usage.Tokens
	if !x.reached {
		return t
	}
	t.Prompt = x.promptCount()
	if x.serving != nil {
		meter := x.serving.meter
		t.Completion = x.gateway.count(meter.Bytes(), meter.Tokens)
	}
	return t
}

// promptCount is the prompt's count. It is made once, however many attempts fail.
func (x *exchange) promptCount() int64 {
	if x.promptTokens == nil {
		if x.document != nil {
			x.prompt = samplePrompt(x.document)
		}
		x.promptTokens = make(chan int64, 1)
		x.promptTokens <- x.gateway.countPrompt(x.prompt)
		x.prompt.sample = nil
	}
	n := <-x.promptTokens
	x.promptTokens <- n
	return n
}

func (g *Gateway) countPrompt(p promptText) int64 {
	return g.count(p.total, func() int64 { return p.count(g.Estimator) })
}

// count guards a local count: the tokenizer is other people's code, it is given
// other people's text, and it runs where a panic would end the process or lose a
// record. A count that fails is made from the length, four bytes to a token.
func (g *Gateway) count(length int64, tokens func() int64) (counted int64) {
	defer func() {
		if recover() != nil {
			g.Log.Error("token count failed, estimating by length", telemetry.FieldStack, string(debug.Stack()))
			counted = lengthTokens(length)
		}
	}()
	return tokens()
}

// lengthTokens is how many tokens a text of so many bytes is taken for.
func lengthTokens(length int64) int64 { return (length + 3) / 4 }

// promptText is enough of a prompt to estimate its tokens after its body was
// given back. Only text is in it, never an image's base64.
type promptText struct {
	sample []byte // JSON string contents, still escaped
	total  int64  // how long the whole text is, in the same form
}

func samplePrompt(d *scan.Document) promptText {
	var p promptText
	for _, span := range d.Texts {
		p.total += int64(span.End - span.Start)
	}
	p.sample = make([]byte, 0, min(p.total+2*int64(len(d.Texts)), promptSample))
	for _, span := range d.Texts {
		if len(p.sample) > 0 {
			p.sample = append(p.sample, `\n`...) // as a chat template would part two messages
		}
		text := d.Body[span.Start:span.End]
		room := promptSample - len(p.sample)
		if room <= 0 {
			break
		}
		p.sample = append(p.sample, text[:min(len(text), room)]...)
	}
	return p
}

func (p promptText) count(e *usage.Estimator) int64 {
	if len(p.sample) == 0 {
		return 0
	}
	counted := e.CountJSON(p.sample)
	if p.total <= int64(len(p.sample)) {
		return counted
	}
	return counted * p.total / int64(len(p.sample))
}

// logAttempt leaves a line for an attempt that failed: the client sees only
// the answer of the one that did not.
func (x *exchange) logAttempt(a *upstream.Attempt, outcome upstream.Outcome) {
	if outcome == upstream.OutcomeClientGone {
		return // nothing failed
	}
	log := x.log()
	if x.lastLimit != nil {
		log = log.With(telemetry.FieldError, x.lastLimit)
	}
	log.Warn("attempt failed",
		telemetry.FieldModel, x.model.Name,
		telemetry.FieldProvider, a.Provider.Name,
		telemetry.FieldUpstream, strings.TrimSuffix(a.Endpoint.URL, "/"),
		telemetry.FieldAttempts, x.attempts,
		telemetry.FieldOutcome, outcome.String(),
		telemetry.FieldCost, outcome.Cost().String(),
	)
}
