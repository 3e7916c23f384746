package simulator

import (
	"net/http"
	"slices"
)

// stream sends the answer as server-sent events, each flushed by itself.
func (x *exchange) stream(a *answer) error {
	for _, part := range []func(*answer) error{x.begin, x.roles, x.pieces, x.finishes, x.usage, x.done, x.end} {
		if err := part(a); err != nil {
			return err
		}
	}
	return nil
}

func (x *exchange) begin(*answer) error {
	x.w.Header().Set("Content-Type", "text/event-stream")
	x.w.Header().Set("Cache-Control", "no-cache")
	x.header(http.StatusOK)
	if err := x.flush(); err != nil {
		return err
	}
	return x.pause(x.behaviour.FirstToken)
}

func (x *exchange) roles(a *answer) error {
	for i := range a.choices {
		d := delta{Role: "assistant"}
		if a.choices[i].call == "" {
			d.Content = new(string)
		}
		if err := x.chunk(a, chunkChoice{Index: i, Delta: d}, func() {}); err != nil {
			return err
		}
	}
	return nil
}

// pieces sends the choices' pieces in turn: the first of each, the second of each...
func (x *exchange) pieces(a *answer) error {
	for n := range a.longest() {
		if n > 0 {
			if err := x.pause(x.behaviour.Gap); err != nil {
				return err
			}
		}
		for i := range a.choices {
			c := &a.choices[i]
			if n >= len(c.pieces) {
				continue
			}
			x.told += c.tokens(n, n+1)
			if err := x.chunk(a, a.pieceOf(i, n), func() { x.record.wrote(i, c, n, n+1) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// pieceOf is the chunk with the nth piece of a choice.
func (a *answer) pieceOf(i, n int) chunkChoice {
	c := &a.choices[i]
	if c.call == "" {
		return chunkChoice{Index: i, Delta: delta{Content: &c.pieces[n]}, Logprobs: a.logprobs(c, n, n+1)}
	}
	part := toolCallPart{Function: functionPart{Arguments: c.pieces[n]}}
	if n == 0 {
		part.ID, part.Type, part.Function.Name = c.callID, "function", c.call
	}
	return chunkChoice{Index: i, Delta: delta{ToolCalls: []toolCallPart{part}}}
}

func (x *exchange) finishes(a *answer) error {
	if x.fault.is(DoneWithoutFinish) {
		return nil
	}
	for i := range a.choices {
		c := &a.choices[i]
		finished := func() {
			x.record.note(func(e *Entry) {
				e.Choices[i].Finish = c.finish
				e.UsageSent = i == len(a.choices)-1 && x.soFar(a) != nil
			})
		}
		if err := x.chunk(a, chunkChoice{Index: i, FinishReason: &c.finish}, finished); err != nil {
			return err
		}
	}
	return nil
}

// usage sends the chunk without choices, where it is due.
func (x *exchange) usage(a *answer) error {
	told := a.report(a.usage)
	if !x.tellsUsage(a) || told == nil || x.fault.is(DoneWithoutFinish) {
		return nil
	}
	data := encode(x.contract.event(a, []chunkChoice{}, told))
	return x.event(data, func() { x.record.note(func(e *Entry) { e.UsageSent = true }) })
}

// tellsUsage reports whether the chunk of usage alone is due: where it is
// documented and was asked for, unless the provider deviates.
func (x *exchange) tellsUsage(a *answer) bool {
	switch x.behaviour.Deviations.StreamUsage {
	case UsageNever:
		return false
	case UsageAlways:
		return true
	}
	return a.ask.includeUsage
}

// soFar is the usage in a chunk with choices; nil, as documented, for none.
func (x *exchange) soFar(a *answer) any {
	if x.behaviour.Deviations.StreamUsage != UsageEveryChunk {
		return nil
	}
	u := a.usage
	u.Completion = u.Reasoning + x.told
	return a.report(u)
}

func (x *exchange) done(*answer) error {
	switch {
	case x.fault.is(NoDone):
		return nil
	case x.behaviour.Deviations.NoDone:
		err := x.release()
		if err == nil {
			x.record.complete(func(*Entry) {})
		}
		return err
	}
	return x.event([]byte("[DONE]"), func() { x.record.complete(func(*Entry) {}) })
}

// end is what comes behind the last event: what was held back, and late faults.
func (x *exchange) end(a *answer) error {
	if err := x.release(); err != nil {
		return err
	}
	if x.fault.is(AfterDone) {
		return x.add(x.late(a))
	}
	return x.spoil()
}

// late is what AfterDone sends.
func (x *exchange) late(a *answer) []byte {
	if x.fault.Body != "" {
		return []byte(x.fault.Body)
	}
	said := " late"
	event := encode(x.contract.event(a, []chunkChoice{{Delta: delta{Content: &said}}}, nil))
	return slices.Concat(x.framer.event(event), x.framer.event([]byte("[DONE]")))
}

func (x *exchange) chunk(a *answer, c chunkChoice, sent func()) error {
	return x.event(encode(x.contract.event(a, []chunkChoice{c}, x.soFar(a))), sent)
}
