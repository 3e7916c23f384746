package proxy

import (
	"errors"
	"io"
	"strings"
	"time"

	"tollgate/proxy/sse"
	"tollgate/upstream"
)

// readPlain takes a whole plain answer. Only a body that ended as its framing
// says, and that is a JSON object without an error on top, is an answer.
func (s *serving) readPlain(hold func(n int) bool) (upstream.Outcome, error) {
	body, err := s.readBounded(hold)
	switch {
	case errors.Is(err, errBodyMemory):
		return upstream.OutcomeAbandoned, err // our own want of memory
	case errors.Is(err, errNotAnAnswer):
		return upstream.OutcomeInvalidAnswer, err
	case err != nil:
		return s.outcomeOf(err), err
	}
	s.ended = true
	if !sse.ValidChunk(body) {
		return upstream.OutcomeInvalidAnswer, errNotAnAnswer
	}
	// The same listener as for a stream: the whole answer is one event to it.
	s.hear(sse.Event{Raw: body, Data: body})
	// One finish reason is asked for, whatever n was: a documented plain answer
	// does not number its choices.
	if !s.tap.Finished(1) {
		return upstream.OutcomeInvalidAnswer, errNotAnAnswer
	}
	s.answer = body
	return upstream.OutcomeOK, nil
}

// readBounded reads to the end, at most server.max_answer. Its memory grows with
// what has arrived, not with what was declared, and is held against the bound
// of all bodies together.
func (s *serving) readBounded(hold func(n int) bool) ([]byte, error) {
	const first = 4 << 10
	limit := int(s.gateway.Config.MaxAnswer)
	length := s.response.ContentLength
	if length > int64(limit) {
		return nil, errNotAnAnswer
	}
	size, most := first, limit+1 // one more, to see the end, or the excess
	if length >= 0 {
		most = int(length) + 1
		size = min(most, firstStep)
	}
	var body []byte
	for {
		if !hold(size - cap(body)) {
			return nil, errBodyMemory
		}
		body = append(make([]byte, 0, size), body...)
		for len(body) < cap(body) {
			began := time.Now()
			n, err := s.response.Body.Read(body[len(body):cap(body)])
			s.waited += since(began)
			body = body[:len(body)+n]
			switch {
			case len(body) >= most:
				return nil, errNotAnAnswer
			case errors.Is(err, io.EOF):
				return body, nil
			case err != nil:
				return nil, err
			}
		}
		size = min(2*size, most)
	}
}

// awaitEvent holds everything back until an event carries content, a finish
// reason or usage. Until then the provider can be changed for another.
func (s *serving) awaitEvent() (upstream.Outcome, error) {
	if !strings.HasPrefix(s.response.ContentType, "text/event-stream") {
		return upstream.OutcomeInvalidAnswer, errNotAnAnswer
	}
	s.framer, _ = s.gateway.framers.Get().(*sse.Framer)
	var end error
	for {
		decided, outcome := s.holdBack()
		switch {
		case decided && outcome == upstream.OutcomeOK:
			return outcome, nil
		case decided:
			return outcome, errNotAnAnswer
		case errors.Is(end, io.EOF), errors.Is(end, sse.ErrEventTooLong):
			return upstream.OutcomeInvalidAnswer, errNotAnAnswer
		case end != nil:
			return s.outcomeOf(end), end
		}
		began := time.Now()
		_, end = s.framer.Fill(s.response.Body)
		s.waited += since(began)
	}
}

// unlessSecret is a provider's text, or nothing where it holds the credential that
// the provider was asked with.
func (s *serving) unlessSecret(text string) string {
	if c := s.attempt.Candidate; c != nil && c.Endpoint.Reveals(text) {
		return ""
	}
	return text
}

// holdBack takes the events in memory, up to the one that decides the attempt.
func (s *serving) holdBack() (decided bool, outcome upstream.Outcome) {
	for e, ok := s.framer.Next(); ok; e, ok = s.framer.Next() {
		if e.Data != nil && !s.begun {
			s.begun = true
			if !sse.ValidChunk(e.Data) {
				return true, upstream.OutcomeInvalidAnswer
			}
		}
		verdict, carries := s.hear(e)
		if verdict == verdictEnd || verdict == verdictBroken {
			return true, upstream.OutcomeInvalidAnswer
		}
		switch verdict {
		case verdictForward:
			s.held = append(s.held, e.Raw...)
			s.midEvent = !e.EndsEvent()
		case verdictStrip:
			s.held = append(s.held, leadingLF(e).Raw...)
		}
		if carries || len(s.held) > heldBytes {
			return true, upstream.OutcomeOK
		}
	}
	return false, upstream.OutcomeOK
}

// verdict says what becomes of an event.
type verdict uint8

const (
	verdictForward verdict = iota
	verdictStrip           // the usage chunk that only Tollgate asked for
	verdictEnd             // [DONE]
	verdictBroken          // an error, or no event at all
)

// hear listens to an event. carries reports whether it commits the stream.
func (s *serving) hear(e sse.Event) (v verdict, carries bool) {
	switch s.tap.Observe(e) {
	case sse.KindDone:
		return verdictEnd, false
	case sse.KindError, sse.KindInvalid:
		return verdictBroken, false
	case sse.KindUsage:
		if s.injected && !s.asked {
			return verdictStrip, true
		}
		return verdictForward, true
	case sse.KindContent:
		s.content = true
		return verdictForward, true
	case sse.KindFinish:
		return verdictForward, true
	}
	return verdictForward, false
}
