package probe

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"tollgate/upstream"
)

// effect says whether a field has done what it is for.
type effect uint8

const (
	effectNone   effect = iota // it has none that could be seen
	effectUnseen               // this answer does not tell
	effectShown
	effectMissing
)

// trial is how a field is tried.
type trial struct {
	param upstream.Param
	// value is harmless and cheap, in JSON; empty where limit is set.
	value string
	// with are further members that it needs, in JSON, each with a comma before it.
	with     string
	messages string // empty: the usual ones
	choices  int64  // 0: one
	// limit says that the field bounds the answer, in place of the usual one.
	limit bool
	// apart says that what it brings is charged apart from tokens: it is tried where it should be refused only.
	apart  bool
	effect func(s *session, a *answer) effect // nil: nothing can be seen
}

// trials are the fields that are tried one by one. model, messages, stream and
// stream_options have checks of their own, and so have numbers with a range, stop, and tools.
func trials() []trial {
	return []trial{
		{param: upstream.ParamMaxTokens, limit: true, effect: boundsTokens},
		{param: upstream.ParamMaxCompletionTokens, limit: true, effect: boundsTokens},
		{param: upstream.ParamTemperature, value: "0.5"},
		{param: upstream.ParamTopP, value: "0.9"},
		{param: upstream.ParamTopK, value: "40"},
		{param: upstream.ParamN, value: "2", choices: 2, effect: givesTwo},
		{param: upstream.ParamFrequencyPenalty, value: "0.5"},
		{param: upstream.ParamPresencePenalty, value: "0.5"},
		{param: upstream.ParamSeed, value: "7"},
		{param: upstream.ParamLogprobs, value: "true", effect: hasLogprobs},
		{param: upstream.ParamTopLogprobs, value: "2", with: `,"logprobs":true`, effect: hasTopLogprobs},
		{
			param: upstream.ParamResponseFormat, value: `{"type":"json_object"}`, effect: isJSON,
			messages: `[{"role":"user","content":"Answer with a JSON object whose only member, answer, is the number 7."}]`,
		},
		{param: upstream.ParamReasoningEffort, value: `"low"`},
		{param: upstream.ParamExtraBody, value: `{"google":{"thinking_config":{"include_thoughts":false}}}`},
		{param: upstream.ParamLogitBias, value: `{"50256":-1}`},
		{param: upstream.ParamAudio, value: `{"voice":"alloy","format":"wav"}`, apart: true},
		{param: upstream.ParamWebSearchOptions, value: `{"search_context_size":"low"}`, apart: true},
	}
}

// paramChecks try every known field once.
func paramChecks(c *upstream.Contract) []check {
	var all []check
	for _, t := range trials() {
		if t.apart && c.Takes(t.param) {
			all = append(all, check{name: t.param.String(), expected: seenTaken, run: func(context.Context, *session) result {
				return notTried("what it brings is charged apart")
			}})
			continue
		}
		t.value = wordOf(c, t)
		ends := endsOf(c, t)
		if len(ends.tried) > 0 {
			all = append(all, check{name: t.param.String(), expected: ends.String(), requests: len(ends.tried), run: ends.run})
			continue
		}
		all = append(all, check{name: t.param.String(), expected: documentedAs(c, t.param), requests: 1, choices: t.choices, seen: t.effect != nil && !t.limit, run: t.run})
	}
	all = append(all, stopCheck(c))
	all = append(all, toolChecks(c)...)
	return append(all, otherChecks(c)...)
}

// wordOf is the value that a field is tried with: where the contract lists some and
// leaves out the usual one, the first of them.
func wordOf(c *upstream.Contract, t trial) string {
	for _, w := range c.Words {
		if w.Param == t.param && t.param == upstream.ParamReasoningEffort && !slices.Contains(w.List, strings.Trim(t.value, `"`)) {
			return quoted(w.List[0])
		}
	}
	return t.value
}

// request is the one that tries the field.
func (t trial) request(value string) request {
	if t.limit {
		return request{limit: member(t.param.String(), shortLimit)}
	}
	return request{messages: t.messages, more: "," + quoted(t.param.String()) + ":" + value + t.with, choices: t.choices, seen: t.effect != nil}
}

func (t trial) run(ctx context.Context, s *session) result {
	got := s.ask(ctx, t.request(t.value))
	seen := effectNone
	if got.reception == accepted && t.effect != nil {
		seen = t.effect(s, got.answer)
	}
	if t.limit && seen == effectMissing && s.documented().Takes(t.param) {
		// That answers are too long is no reason to keep the field from it, nor requests.
		return deviates(seenIgnored, "the answer is longer: nothing bounds what it costs")
	}
	return s.judgeParam(t.param, got, seen)
}

// judgeParam compares what became of a field with the contract, and takes note of it.
func (s *session) judgeParam(p upstream.Param, got reply, e effect) result {
	documented := s.documented().Takes(p)
	switch {
	case got.reception == refused && documented:
		s.refuse(p)
		return deviates(seenRefused, got.why)
	case got.reception == refused:
		return asDocumented(seenRefused)
	case got.reception != accepted:
		return undecided(got.why)
	case e == effectMissing && documented:
		s.refuse(p)
		return deviates(seenIgnored, "accepted without an effect")
	case e == effectMissing:
		return asDocumented(seenIgnored)
	case documented:
		return asDocumented(seenTaken).but(e.remark())
	case e != effectShown && !s.strict:
		return asDocumented("accepted").but("so is a field that does not exist")
	}
	s.take(p)
	return deviates(seenTaken, e.remark())
}

// remark says what a field leaves open that was taken.
func (e effect) remark() string {
	if e == effectUnseen {
		return "its effect could not be seen"
	}
	return ""
}

// boundsTokens looks whether the answer is as short as it was told to be.
func boundsTokens(s *session, a *answer) effect {
	got, err := figures(a.Usage)
	if err != nil {
		return effectUnseen
	}
	if got.Check(shortLimit) != nil {
		return effectMissing
	}
	if whole, err := figures(s.plain.Usage); err == nil && whole.Completion > shortLimit {
		return effectShown
	}
	return effectUnseen
}

func givesTwo(_ *session, a *answer) effect { return shown(len(a.Choices) == 2) }

func shown(yes bool) effect {
	if yes {
		return effectShown
	}
	return effectMissing
}

func hasLogprobs(_ *session, a *answer) effect {
	c := a.first()
	if c.text() == "" {
		return effectUnseen
	}
	if c.Logprobs != nil {
		for _, token := range c.Logprobs.Content {
			if token != nil && token.Logprob != nil {
				return effectShown
			}
		}
	}
	return effectMissing
}

func hasTopLogprobs(s *session, a *answer) effect {
	c := a.first()
	if hasLogprobs(s, a) != effectShown {
		return hasLogprobs(s, a)
	}
	for _, token := range c.Logprobs.Content {
		if token != nil && len(token.TopLogprobs) > 0 {
			return effectShown
		}
	}
	return effectMissing
}

func isJSON(_ *session, a *answer) effect {
	c := a.first()
	switch {
	case isObject(json.RawMessage(c.text())) && json.Valid([]byte(c.text())):
		return effectShown
	case c.cutShort():
		return effectUnseen
	}
	return effectMissing
}

// number writes a figure as a request has it.
func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
