package simulator

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// spoil does what the fault does between two events of a stream.
func (x *exchange) spoil() error {
	if !x.fault.strikesBehind(x.planned()) {
		return nil
	}
	if err := x.release(); err != nil {
		return err
	}
	switch x.fault.Kind {
	case HangBeforeFirstEvent, Stall:
		return x.hang()
	case CutBetween:
		return errCut
	case Empty, EndEarly:
		return errEnded
	case MalformedChunk:
		return x.malformedChunk()
	case MalformedEvent:
		return x.add(x.framer.event([]byte(cmp.Or(x.fault.Body, `{"choices":[{"delta":`))))
	case ErrorEvent:
		return cmp.Or(x.add(x.framer.event(x.simulatedError())), errEnded)
	}
	return nil
}

// dripEvent sends an event as Drip does.
func (x *exchange) dripEvent(frame []byte, sent func()) error {
	switch {
	case x.fault.For == 0:
		_, err := x.drip(frame)
		if err == nil {
			x.wroteEvent(sent)
		}
		return err
	case x.fault.Body != "":
		return x.dripInVain(nil, x.fault.Body)
	}
	end := x.framer.end()
	open := frame[:len(frame)-len(end)] // without the blank line, which alone completes it
	return x.dripInVain(open, ": drip"+end)
}

// drip sends bytes one by one, and returns how many.
func (x *exchange) drip(body []byte) (int, error) {
	for i := range body {
		if i > 0 {
			if err := x.pause(cmp.Or(x.fault.Interval, usualInterval)); err != nil {
				return i, err
			}
		}
		if err := x.write(body[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(body), nil
}

// dripInVain drips as long as the fault says, something first and then something
// over and over, and cuts.
func (x *exchange) dripInVain(first []byte, again string) error {
	until := time.Now().Add(x.fault.For)
	for next := first; ; next = []byte(again) {
		for i := range next {
			if err := x.write(next[i : i+1]); err != nil {
				return err
			}
			if err := x.pause(min(cmp.Or(x.fault.Interval, usualInterval), time.Until(until))); err != nil {
				return err
			}
			if !time.Now().Before(until) {
				return errCut
			}
		}
	}
}

// A giantPiece is one piece of many tokens.
type giantPiece struct {
	at     int // its place among the choice's pieces
	tokens int64
}

// swell puts a giant piece into the first choice, where its event is the one
// behind so many, or the next one that can be.
func (a *answer) swell(events, size int) {
	const word = " giant"
	c := &a.choices[0]
	at := 0
	if c.call != "" {
		at = 1 // behind the opening
	}
	for at < len(c.pieces) && a.eventsBefore(at) < events {
		at++
	}
	text := strings.Repeat(word, size/len(word)+1)[:size]
	c.pieces = slices.Insert(slices.Clone(c.pieces), at, text)
	c.giant = giantPiece{at: at, tokens: int64(len(wordsOf(text)))}
	a.usage.Completion += c.giant.tokens
}

// eventsBefore is how many events come before the nth piece of the first choice.
func (a *answer) eventsBefore(n int) int {
	events := len(a.choices)
	for i := range a.choices {
		events += min(n, len(a.choices[i].pieces))
	}
	return events
}
