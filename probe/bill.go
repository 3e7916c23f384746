package probe

import (
	"encoding/json"
	"fmt"

	"tollgate/usage"
)

// bytesPerToken is how long a token of an answer is at least, on average: digits and words are longer.
const bytesPerToken = 4

// worst is the most that a request is expected to cost: what it asks for, or what an earlier
// one was charged, of a model that does not keep to its limit.
func (s *session) worst(r request) usage.Tokens {
	choices := max(r.choices, 1)
	return usage.Tokens{
		Prompt:     max(r.prompt, usualPrompt, s.largest.Prompt),
		Completion: choices * max(s.limitOf(r), s.largest.Completion),
	}
}

// stopAtBounds stops the run where another request might go beyond a bound.
func (s *session) stopAtBounds(worst usage.Tokens) {
	if s.spent.Requests >= s.most {
		s.stop(fmt.Sprintf("%d requests were made, which is the most", s.most))
	}
	if !s.affords(worst, s.options.MaxCost) {
		s.stop(fmt.Sprintf("$%s are spent, and the next request might go beyond the $%s of --max-cost", s.spent.Cost, s.options.MaxCost))
	}
}

// affords reports whether a bound on the cost leaves room for so much.
func (s *session) affords(worst usage.Tokens, most usage.NanoUSD) bool {
	next, priced := s.price(worst)
	return !priced || s.options.MaxCost <= 0 || s.spent.Cost+next <= most
}

// pay adds up what a request has cost. A provider charges for what it does, whatever it
// reports: where the figures cannot be true, or leave the answer out, the most is assumed
// that the request allowed, the answer's length suggests, or any of the figures says.
func (s *session) pay(got reply, r request) {
	raw := got.usage()
	tokens, err := figures(raw)
	if err != nil || tokens.Completion == 0 {
		worst, told := s.worst(r), highest(raw)
		tokens = usage.Tokens{
			Prompt:     max(worst.Prompt, told.Prompt),
			Completion: max(worst.Completion, told.Completion, got.length()/bytesPerToken),
		}
	}
	s.spent.Prompt += tokens.Prompt
	s.spent.Completion += tokens.Completion
	cost, _ := s.price(tokens)
	s.spent.Cost += cost
	choices := max(r.choices, 1)
	if each := (tokens.Completion + choices - 1) / choices; each > s.limitOf(r) {
		s.largest.Completion = max(s.largest.Completion, each)
	}
	if r.prompt == 0 {
		s.largest.Prompt = max(s.largest.Prompt, tokens.Prompt)
	}
}

// highest is the highest that a usage object can be understood to say, true or not.
func highest(raw []byte) usage.Tokens {
	var told struct {
		Prompt     json.Number `json:"prompt_tokens"`
		Completion json.Number `json:"completion_tokens"`
		Input      json.Number `json:"input_tokens"`
		Output     json.Number `json:"output_tokens"`
		Total      json.Number `json:"total_tokens"`
	}
	_ = json.Unmarshal(raw, &told) // what cannot be read says nothing; the rest is read all the same
	prompt := max(count(told.Prompt), count(told.Input))
	completion := max(count(told.Completion), count(told.Output))
	return usage.Tokens{Prompt: prompt, Completion: max(completion, count(told.Total)-prompt)}
}

// count is a figure as a count that can be priced.
func count(n json.Number) int64 {
	const most = 1<<31 - 1
	f, err := n.Float64()
	if err != nil || f < 0 {
		return 0
	}
	return int64(min(f, most))
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

// length is that of the answer's text, in bytes.
func (r reply) length() (length int64) {
	switch {
	case r.answer != nil:
		for _, c := range r.answer.Choices {
			length += int64(len(c.text()))
		}
	case r.stream != nil:
		length = r.stream.tap.ContentBytes()
	}
	return length
}
