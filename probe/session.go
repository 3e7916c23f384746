package probe

import (
	"cmp"
	"context"
	"fmt"
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
	most     int          // requests
	silent   int          // requests in a row without any answer
	repeated int          // requests that were made again
	closer   int          // requests that may look closer at refused ends
	largest  usage.Tokens // the longest usual prompt, and of each choice that went beyond its limit

	limitField string // the field that bounds an answer; empty: none is taken
	roomy      bool   // an answer of the usual length was cut short: effects need more
	plain      *answer
	unasked    *streamed // the stream that was not asked for usage
	strict     bool      // a field that does not exist was refused
	noRole     control
	noPicture  control

	firstTokens []time.Duration
}

func (p *Prober) begin(ctx context.Context) *session {
	observed := *p.options.Candidate.Provider.Contract
	observed.StreamUsage = p.options.Candidate.Provider.StreamUsage
	s := &session{
		Prober: p, caller: ctx, observed: &observed, most: p.Estimate().Requests,
		noRole: nonsenseRole(), noPicture: nonsensePicture(),
	}
	for _, field := range [...]upstream.Param{upstream.ParamMaxTokens, upstream.ParamMaxCompletionTokens} {
		if observed.Takes(field) {
			s.limitField = field.String()
			break
		}
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
	silent bool      // nothing came, or not its end
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
	r.seen = r.seen && s.affords(s.worst(r), s.options.MaxCost/2) // the rest is for all other checks
	s.stopAtBounds(s.worst(r))
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
			s.pay(reply{}, r)
		}
		return s.heard(s.broken(err))
	}
	defer func() { _ = response.Body.Close() }()
	got := s.hear(response, r, began)
	s.stopAtEnd(ctx)
	if response.Status == http.StatusOK { // nobody charges for a refusal
		s.pay(got, r)
	}
	return s.heard(got)
}

// heard stops the run where too many requests in a row had no answer.
func (s *session) heard(got reply) reply {
	if !got.silent {
		s.silent = 0
		return got
	}
	if s.silent++; s.silent == tooSilent {
		s.stop(fmt.Sprintf("%d requests in a row had no answer", tooSilent))
	}
	return got
}
