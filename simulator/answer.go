package simulator

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"strings"
)

// Usage is what an answer costs, by this package's definition of a token.
type Usage struct {
	Prompt     int64 `json:"prompt"`
	Cached     int64 `json:"cached"`     // of Prompt
	Media      int64 `json:"media"`      // of Prompt
	Completion int64 `json:"completion"` // over all choices
	Reasoning  int64 `json:"reasoning"`  // of Completion
}

// Total is the prompt's tokens and the completion's.
func (u Usage) Total() int64 { return u.Prompt + u.Completion }

// An answer is everything that will be said, decided before the first byte.
type answer struct {
	id, model    string
	created      int64
	choices      []choice
	usage        Usage
	ask          *ask
	fault        *Fault          // nil: none struck
	tell         func(Usage) any // the usage object; nil for none
	placeholders bool            // see Deviations
}

// A choice is one of an answer's n candidates.
type choice struct {
	// pieces hold one completion token each: of the text, or of the arguments
	// of the tool call, whose first piece is empty and stands for its opening.
	pieces    []string
	call      string // the called function's name; empty: a text
	callID    string
	reasoning int64
	finish    string
	giant     giantPiece
}

// tokens are those of the pieces [from, to).
func (c *choice) tokens(from, to int) int64 {
	n := int64(to - from)
	if c.giant.tokens > 0 && from <= c.giant.at && c.giant.at < to {
		n += c.giant.tokens - 1
	}
	return n
}

// finish is the finish_reason of a choice; nil, JSON's null, when a fault keeps it back.
func (a *answer) finish(i int) *string {
	if a.fault.is(DoneWithoutFinish) {
		return nil
	}
	return &a.choices[i].finish
}

// report is the usage object that is sent for this usage; nil for none.
func (a *answer) report(u Usage) any {
	switch {
	case a.fault.is(NoUsage):
		return nil
	case a.fault.is(WrongUsage):
		return json.RawMessage(cmp.Or(a.fault.Body, `{"prompt_tokens":-1,"completion_tokens":-1,"total_tokens":-2}`))
	}
	return a.tell(u)
}

// compose decides the answer.
func (c *contract) compose(q *ask, b Behaviour, seed uint64) *answer {
	if !c.reasons || q.noReasoning {
		b.ReasoningTokens = 0
	}
	d := &b.Deviations
	a := &answer{id: c.id, model: cmp.Or(d.Model, q.model), ask: q, choices: make([]choice, q.choices), placeholders: d.Placeholders}
	a.tell = func(u Usage) any {
		if d.Figures == FiguresAbsent {
			return nil
		}
		return c.usage(u, d.Figures.of(u))
	}
	for i := range a.choices {
		made := q.choose(b, diceFor(seed, c.provider, q, i))
		a.choices[i] = made
		a.usage.Completion += int64(len(made.pieces)) + made.reasoning
		a.usage.Reasoning += made.reasoning
	}
	a.usage.Prompt, a.usage.Media = q.promptTokens()
	a.usage.Cached = min(int64(b.CachedTokens), a.usage.Prompt)
	return a
}

func (q *ask) choose(b Behaviour, dice *rand.Rand) choice {
	c := choice{finish: "stop", reasoning: int64(b.ReasoningTokens)}
	switch {
	case q.tool != nil:
		c.finish = "tool_calls"
		c.call = q.tool.text("name")
		c.callID = callID(dice)
		arguments := encode(example(q.tool.object("parameters"), exampleDepth))
		c.pieces = append([]string{""}, fragments(string(arguments), jsonFragment)...)
	case q.schema != nil:
		c.pieces = fragments(string(encode(example(q.schema, exampleDepth))), jsonFragment)
	case q.json:
		said := strings.Join(q.say(b, dice), "")
		c.pieces = fragments(string(encode(map[string]string{"answer": said})), jsonFragment)
	default:
		c.pieces = q.say(b, dice)
	}
	if c.call == "" {
		c.pieces = stopAt(c.pieces, q.stops)
	}
	if q.maxTokens > 0 {
		c.limit(q.maxTokens)
	}
	return c
}

// limit applies max_tokens, which reasoning uses up first. A call that was not
// even opened is no call.
func (c *choice) limit(most int64) {
	if c.reasoning+int64(len(c.pieces)) <= most {
		return
	}
	c.reasoning = min(c.reasoning, most)
	c.pieces = c.pieces[:most-c.reasoning]
	c.finish = "length"
	if len(c.pieces) == 0 {
		c.call = ""
	}
}

// content is the message's text; nil, JSON's null, beside a tool call.
func (c *choice) content() *string {
	if c.call != "" {
		return nil
	}
	s := strings.Join(c.pieces, "")
	return &s
}

func (c *choice) toolCall() *toolCall {
	if c.call == "" {
		return nil
	}
	return &toolCall{
		ID:       c.callID,
		Type:     "function",
		Function: functionCall{Name: c.call, Arguments: strings.Join(c.pieces, "")},
	}
}

// longest is the number of pieces of the longest choice.
func (a *answer) longest() int {
	longest := 0
	for i := range a.choices {
		longest = max(longest, len(a.choices[i].pieces))
	}
	return longest
}

func callID(dice *rand.Rand) string {
	var raw [12]byte
	for i := range raw {
		raw[i] = byte(dice.Uint32())
	}
	return "call_" + hex.EncodeToString(raw[:])
}

type logprobs struct {
	Content []tokenLogprob `json:"content"`
}

// tokenLogprob has StarMagic's four members, which its example prints as nulls.
type tokenLogprob struct {
	Token       *string        `json:"token"`
	Logprob     *float64       `json:"logprob"`
	Bytes       []int          `json:"bytes"`
	TopLogprobs []tokenLogprob `json:"top_logprobs"`
}

// logprobs are made-up figures for the pieces [from, to) of a text; nil when
// they were not asked for.
func (a *answer) logprobs(c *choice, from, to int) *logprobs {
	if !a.ask.logprobs || c.call != "" {
		return nil
	}
	found := &logprobs{Content: []tokenLogprob{}}
	for _, piece := range c.pieces[from:to] {
		certain := -0.25
		made := tokenLogprob{Token: &piece, Logprob: &certain, Bytes: []int{}}
		for _, b := range []byte(piece) {
			made.Bytes = append(made.Bytes, int(b))
		}
		for i := range a.ask.runners {
			likely := certain * float64(1+i)
			made.TopLogprobs = append(made.TopLogprobs, tokenLogprob{Token: &piece, Logprob: &likely, Bytes: made.Bytes})
		}
		found.Content = append(found.Content, made)
	}
	return found
}

// stopAt ends the text before the first stop sequence in it.
func stopAt(pieces, stops []string) []string {
	if len(stops) == 0 {
		return pieces
	}
	said := strings.Join(pieces, "")
	end := len(said)
	for _, s := range stops {
		if i := strings.Index(said, s); i >= 0 {
			end = min(end, i)
		}
	}
	for i, piece := range pieces {
		if end <= len(piece) {
			kept := append([]string(nil), pieces[:i]...)
			if end > 0 {
				kept = append(kept, piece[:end])
			}
			return kept
		}
		end -= len(piece)
	}
	return pieces
}
