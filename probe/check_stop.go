package probe

import (
	"context"
	"fmt"
	"strings"

	"tollgate/upstream"
)

// usualStops is how many stop sequences are tried where no limit is documented.
const usualStops = 2

// stopCheck tries a stop sequence as a string, and as many as are documented as an
// array: whatever the contract says may be sent.
func stopCheck(c *upstream.Contract) check {
	expected := notDocumented
	if c.Takes(upstream.ParamStop) {
		expected = stopsText(c)
	}
	return check{name: "stop", expected: expected, requests: 2, seen: true, run: checkStop}
}

// takesStopString and takesStopArray report whether stop sequences are sent in this form.
func takesStopString(c *upstream.Contract) bool { return c.StopForm != upstream.StopArray }

func takesStopArray(c *upstream.Contract) bool {
	return c.StopForm != upstream.StopString || c.MaxStops != 1
}

// stopsText says which forms are sent.
func stopsText(c *upstream.Contract) string {
	array := fmt.Sprintf("an array of %d", stopsOf(c))
	switch {
	case !takesStopString(c):
		return array
	case !takesStopArray(c):
		return "a string"
	}
	return "a string, " + array
}

func stopsOf(c *upstream.Contract) int {
	if c.MaxStops > 0 {
		return min(c.MaxStops, 16)
	}
	return usualStops
}

func checkStop(ctx context.Context, s *session) result {
	c, word := s.documented(), s.stopWord()
	if !c.Takes(upstream.ParamStop) || !takesStopArray(c) {
		one := s.askStop(ctx, word)
		return s.judgeStop(one, s.cutAt(word, one.answer))
	}
	several := s.askStops(ctx, word, stopsOf(c))
	one := several
	if takesStopString(c) && several.reception != unanswered {
		one = s.askStop(ctx, word)
	}
	cut, severalCut := s.cutAt(word, one.answer), s.cutAt(word, several.answer)
	switch {
	case one.reception == unanswered:
		return undecided(one.why)
	case one.reception == accepted && several.reception == refused:
		return s.fewerStops(ctx, word, several.why)
	case one.reception == accepted && cut != effectMissing && severalCut == effectMissing:
		return s.fewerStops(ctx, word, "the array is ignored")
	case one.reception == refused && several.reception == accepted:
		s.observed.StopForm = upstream.StopArray
		return deviates(stopsText(s.observed), one.why)
	}
	return s.judgeStop(one, cut)
}

func (s *session) judgeStop(one reply, cut effect) result {
	r := s.judgeParam(upstream.ParamStop, one, cut)
	if r.verdict == AsDocumented && r.seen == seenTaken {
		r.seen = stopsText(s.documented())
	}
	return r
}

// fewerStops looks how many stop sequences are taken where the documented number is not.
func (s *session) fewerStops(ctx context.Context, word, why string) result {
	if stopsOf(s.documented()) > usualStops {
		got := s.askStops(ctx, word, usualStops)
		if got.reception == unanswered {
			return undecided(got.why)
		}
		if got.reception == accepted && s.cutAt(word, got.answer) != effectMissing {
			s.observed.MaxStops = usualStops
			return deviates(stopsText(s.observed), why)
		}
	}
	s.observed.MaxStops, s.observed.StopForm = 1, upstream.StopString
	return deviates(stopsText(s.observed), why)
}

func (s *session) askStop(ctx context.Context, word string) reply {
	return s.ask(ctx, request{more: `,"stop":` + quoted(word), seen: true})
}

// askStops asks with so many sequences, the last of which matters.
func (s *session) askStops(ctx context.Context, word string, n int) reply {
	stops := strings.Builder{}
	for i := range n - 1 {
		stops.WriteString(quoted(fmt.Sprintf("never-said-%d", i+1)) + ",")
	}
	return s.ask(ctx, request{more: `,"stop":[` + stops.String() + quoted(word) + `]`, seen: true})
}

// stopWord is a word from the middle of the usual answer.
func (s *session) stopWord() string {
	words := strings.Fields(s.plain.first().text())
	if len(words) < 3 {
		return "10"
	}
	return words[len(words)/2]
}

// cutAt looks whether the usual answer ends before the word.
func (s *session) cutAt(word string, a *answer) effect {
	whole, got := s.plain.first().text(), a.first().text()
	switch {
	case a == nil:
		return effectUnseen
	case strings.Contains(got, word):
		return effectMissing
	case strings.Contains(whole, word):
		return effectShown
	}
	return effectUnseen
}
