package probe

import (
	"context"
	"encoding/json"

	"tollgate/upstream"
)

// pair is a field that offers functions, and the one that says which is called.
type pair struct {
	offer, choice upstream.Param
	offered       string // JSON
	chosen        string
}

const (
	toolFunction = `{"name":"get_time","description":"The time in a city","parameters":{"type":"object",` +
		`"properties":{"city":{"type":"string"}},"required":["city"]}}`
	toolOffered  = `[{"type":"function","function":` + toolFunction + `}]`
	toolMessages = `[{"role":"user","content":"What time is it in Paris? Call get_time."}]`
)

// toolChecks try tools and functions, each with its choice. Both members of a pair
// are judged by the same requests: one asks for a call, and where that is refused
// another only offers.
func toolChecks(c *upstream.Contract) []check {
	var all []check
	for _, p := range [...]pair{
		{upstream.ParamTools, upstream.ParamToolChoice, toolOffered, `"required"`},
		{upstream.ParamFunctions, upstream.ParamFunctionCall, "[" + toolFunction + "]", `{"name":"get_time"}`},
	} {
		requests := 1
		if !c.Takes(p.offer) {
			requests = 2
		}
		var both, alone reply
		all = append(all,
			check{
				name: p.offer.String(), expected: documentedAs(c, p.offer), requests: requests, prompt: toolPrompt, seen: true,
				run: func(ctx context.Context, s *session) result {
					both, alone = p.ask(ctx, s)
					return p.judgeOffer(s, both, alone)
				},
			},
			check{name: p.choice.String(), expected: documentedAs(c, p.choice), run: func(_ context.Context, s *session) result {
				return p.judgeChoice(s, both, alone)
			}})
	}
	return all
}

func (p pair) ask(ctx context.Context, s *session) (both, alone reply) {
	offer := "," + quoted(p.offer.String()) + ":" + p.offered
	choice := "," + quoted(p.choice.String()) + ":" + p.chosen
	both = s.ask(ctx, request{messages: toolMessages, more: offer + choice, prompt: toolPrompt, seen: true})
	if both.reception != refused {
		return both, reply{}
	}
	return both, s.ask(ctx, request{messages: toolMessages, more: offer, prompt: toolPrompt, seen: true})
}

func (p pair) judgeOffer(s *session, both, alone reply) result {
	if both.reception == refused {
		return s.judgeParam(p.offer, alone, effectNone)
	}
	return s.judgeParam(p.offer, both, called(both))
}

func (p pair) judgeChoice(s *session, both, alone reply) result {
	switch {
	case both.reception == refused && alone.reception == refused && s.documented().Takes(p.choice):
		return notTried("it needs " + p.offer.String())
	case both.reception == refused && alone.reception == unanswered:
		return undecided(alone.why)
	}
	return s.judgeParam(p.choice, both, called(both))
}

// called looks whether the answer calls the function, with arguments in JSON.
func called(r reply) effect {
	if r.reception != accepted {
		return effectUnseen
	}
	c := r.answer.first()
	for _, call := range c.calls() {
		if call.Name == "get_time" && json.Valid([]byte(call.Arguments)) {
			return effectShown
		}
	}
	if c.cutShort() {
		return effectUnseen
	}
	return effectMissing
}
