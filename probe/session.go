package probe

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"tollgate/upstream"
	"tollgate/usage"
)

// session is one run: what was asked, learned and spent so far.
type session struct {
	*Prober
	caller   context.Context // whose end is an interruption, and no bound of the run
	observed *upstream.Contract
	stopped  string // why nothing more is asked; empty: more is
	spent    Spent
	most     int // requests
	silent   int // requests in a row without any answer
	repeated int // requests that were made again

	limitField string // the field that bounds an answer
	plain      *answer
	unasked    *streamed // the stream that was not asked for usage
	strict     bool      // a field that does not exist was refused

	firstTokens []time.Duration
}

func (p *Prober) begin(ctx context.Context) *session {
	observed := *p.options.Candidate.Provider.Contract
	observed.StreamUsage = p.options.Candidate.Provider.StreamUsage
	s := &session{Prober: p, caller: ctx, observed: &observed, most: p.Estimate().Requests, limitField: "max_tokens"}
	if !observed.Takes(upstream.ParamMaxTokens) {
		s.limitField = "max_completion_tokens"
	}
	return s
}

func (s *session) candidate() *upstream.Candidate { return s.options.Candidate }

// documented is the contract that the provider is held to.
func (s *session) documented() *upstream.Contract { return s.options.Candidate.Provider.Contract }

func (s *session) stop(why string) {
	if s.stopped == "" {
		s.stopped = why
	}
}

// reception says what became of a request.
type reception uint8

const (
	unanswered reception = iota // nothing that tells
	accepted
	refused
	throttled
)

// reply is what came of a request.
type reply struct {
	reception
	status int
	answer *answer   // of a plain request that was accepted
	stream *streamed // of a streamed one
	raw    []byte    // the body of a refusal
	why    string    // what was said, or went wrong: safe to show
	// retryIn is how long to leave it alone; 0: it named no time.
	retryIn time.Duration
}

const (
	// maxWait is the longest that a throttled run waits before it asks again, and
	// maxWaits how often one request does.
	maxWait   = 30 * time.Second
	maxWaits  = 3
	usualWait = 2 * time.Second // doubled each time, where it names none
	// tooSilent is how many requests in a row may have no answer at all: those that
	// follow would take long, and tell nothing either.
	tooSilent = 6
	// maxRepeated is how many requests are made again: a provider that answers 500 to
	// whatever it does not know must not use up the run.
	maxRepeated = 6
)

// ask sends a request, once more where nothing came back that tells, and a few
// times more where it is throttled.
func (s *session) ask(ctx context.Context, r request) reply {
	for tries, waits := 1, 0; ; {
		got := s.once(ctx, r)
		switch {
		case s.stopped != "":
			return got
		case got.reception == throttled && waits < maxWaits && got.retryIn <= maxWait:
			s.wait(ctx, cmp.Or(got.retryIn, usualWait<<waits))
			waits++
		case got.reception == throttled:
			s.stop("it throttles (429): try again " + later(got.retryIn))
		case got.reception == unanswered && tries == 1 && s.repeated < maxRepeated:
			tries++
			s.repeated++
		default:
			return got
		}
		if s.stopped != "" {
			return got
		}
	}
}

func later(in time.Duration) string {
	if in == 0 {
		return "later"
	}
	return "in " + in.Round(time.Second).String()
}

func (s *session) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		s.stopAtEnd(ctx)
	}
}

// stopAtEnd stops the run when its context has ended.
func (s *session) stopAtEnd(ctx context.Context) {
	switch {
	case s.caller.Err() != nil:
		s.stop("interrupted")
	case ctx.Err() != nil:
		s.stop(fmt.Sprintf("the run took longer than %s", runTimeout))
	}
}

// once sends a request, if the bounds of the run leave room for it.
func (s *session) once(ctx context.Context, r request) reply {
	if s.spent.Requests > 0 {
		s.wait(ctx, s.options.Pause)
	}
	s.stopAtEnd(ctx)
	worst := usage.Tokens{Prompt: max(r.prompt, usualPrompt), Completion: usualLimit * max(r.choices, 1)}
	s.stopAtBounds(worst)
	if s.stopped != "" {
		return reply{}
	}
	s.spent.Requests++
	bounded, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	began := time.Now()
	response, err := s.options.Asker.Do(bounded, &upstream.Request{Candidate: s.candidate(), Body: r.body(s), Stream: r.stream})
	if err != nil {
		s.stopAtEnd(ctx)
		if upstream.OutcomeOfError(err).Cost() != upstream.CostNone {
			s.pay(nil, worst)
		}
		return s.broken(err)
	}
	defer func() { _ = response.Body.Close() }()
	silent := s.silent
	got := s.hear(response, r, began)
	s.stopAtEnd(ctx)
	if s.silent == silent {
		s.silent = 0
	}
	if response.Status == http.StatusOK { // nobody charges for a refusal
		s.pay(got.usage(), worst)
	}
	return got
}

// broken is what came of a request without an answer, or without its end.
func (s *session) broken(err error) reply {
	if s.silent++; s.silent == tooSilent {
		s.stop(fmt.Sprintf("%d requests in a row had no answer", tooSilent))
	}
	return reply{why: s.failure(err)}
}

// stopAtBounds stops the run where another request might go beyond a bound.
func (s *session) stopAtBounds(worst usage.Tokens) {
	if s.spent.Requests >= s.most {
		s.stop(fmt.Sprintf("%d requests were made, which is the most", s.most))
	}
	next, priced := s.price(worst)
	if most := s.options.MaxCost; priced && most > 0 && s.spent.Cost+next > most {
		s.stop(fmt.Sprintf("$%s are spent, and the next request might go beyond the $%s of --max-cost", s.spent.Cost, most))
	}
}

// hear reads what came back.
func (s *session) hear(response *upstream.Response, r request, began time.Time) reply {
	outcome := upstream.OutcomeOfStatus(response.Status)
	if outcome == upstream.OutcomeOK && r.stream {
		return s.hearStream(response, began)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, mostStreamed))
	if err != nil {
		return s.broken(err)
	}
	if outcome == upstream.OutcomeOK {
		return s.hearPlain(response, raw)
	}
	got := reply{status: response.Status, retryIn: response.RetryIn, raw: raw, why: s.said(raw)}
	switch {
	case outcome == upstream.OutcomeThrottled:
		got.reception = throttled
	case outcome == upstream.OutcomeRequestRefused, outcome == upstream.OutcomeForbidden && r.forbidden:
		got.reception = refused
	case outcome == upstream.OutcomeCredentialRefused:
		s.stop("it refuses the credential (401): look after the endpoint's api_keys")
	case outcome == upstream.OutcomeForbidden:
		s.stop("it forbids the request (403): the credential may not use this model, or the address is not allowed")
	case outcome == upstream.OutcomeQuota:
		s.stop("it wants to be paid (402): the account's quota is used up")
	default:
		got.why = cmp.Or(got.why, fmt.Sprintf("status %d", response.Status))
	}
	return got
}

// hearPlain reads a plain answer. An error under status 200 refuses the request as well.
func (s *session) hearPlain(response *upstream.Response, raw []byte) reply {
	var a answer
	switch err := json.Unmarshal(raw, &a); {
	case err != nil:
		return reply{status: response.Status, why: "200, but the body is not an answer in JSON"}
	case isObject(a.Error):
		return reply{reception: refused, status: response.Status, raw: raw, why: s.said(raw)}
	case len(a.Choices) == 0:
		return reply{status: response.Status, why: "200, but the answer has no choices"}
	}
	a.contentType = response.ContentType
	return reply{reception: accepted, status: response.Status, answer: &a}
}

func (s *session) hearStream(response *upstream.Response, began time.Time) reply {
	st := readStream(response.Body, began)
	st.contentType = response.ContentType
	if st.end != nil && st.events == 0 || errors.Is(st.end, context.DeadlineExceeded) {
		return s.broken(st.end)
	}
	if st.spoke {
		s.firstTokens = append(s.firstTokens, st.firstToken)
	}
	return reply{reception: accepted, status: response.Status, stream: st}
}

// usage is what was reported with an answer.
func (r reply) usage() []byte {
	switch {
	case r.answer != nil:
		return r.answer.Usage
	case r.stream != nil:
		return r.stream.tap.Usage()
	}
	return nil
}

// pay adds up what a request has cost. Where nothing is reported, the most is assumed.
func (s *session) pay(reported []byte, worst usage.Tokens) {
	tokens, err := usage.ParseTokens(reported)
	if err != nil {
		tokens = worst
	}
	s.spent.Prompt += tokens.Prompt
	s.spent.Completion += tokens.Completion
	cost, _ := s.price(tokens)
	s.spent.Cost += cost
}

// failure says what became of a request that had no answer.
func (s *session) failure(err error) string {
	switch upstream.OutcomeOfError(err) {
	case upstream.OutcomeTimeout:
		return fmt.Sprintf("no answer within %s", s.options.Timeout)
	case upstream.OutcomeUnreachable, upstream.OutcomeShortage:
		return s.quote(err.Error())
	}
	return "the connection broke"
}
