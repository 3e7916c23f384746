package simulator

import "net/http"

// stream sends the answer as server-sent events, each flushed by itself.
func (x *exchange) stream(a *answer) error {
	for _, part := range []func(*answer) error{x.begin, x.roles, x.pieces, x.finishes, x.usage, x.done} {
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
		if err := x.chunk(a, chunkChoice{Index: i, Delta: d}); err != nil {
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
			if err := x.chunk(a, a.pieceOf(i, n)); err != nil {
				return err
			}
			x.record.wrote(i, c, c.pieces[n])
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
	for i := range a.choices {
		c := &a.choices[i]
		if err := x.chunk(a, chunkChoice{Index: i, FinishReason: &c.finish}); err != nil {
			return err
		}
		x.record.note(func(e *Entry) { e.Choices[i].Finish = c.finish })
	}
	return nil
}

// usage sends the chunk without choices, where it is documented and was asked for.
func (x *exchange) usage(a *answer) error {
	if !a.ask.includeUsage {
		return nil
	}
	if err := x.event(encode(x.contract.event(a, []chunkChoice{}, detailed(a.usage)))); err != nil {
		return err
	}
	x.record.note(func(e *Entry) { e.UsageSent = true })
	return nil
}

func (x *exchange) done(*answer) error {
	if err := x.event([]byte("[DONE]")); err != nil {
		return err
	}
	x.record.note(func(e *Entry) { e.Done = true })
	return nil
}

func (x *exchange) chunk(a *answer, c chunkChoice) error {
	return x.event(encode(x.contract.event(a, []chunkChoice{c}, nil)))
}

// event sends one server-sent event.
func (x *exchange) event(data []byte) error {
	if x.fault.stallsAt(x.events) {
		if err := x.hang(); err != nil {
			return err
		}
	}
	frame := make([]byte, 0, len("data: ")+len(data)+len("\n\n"))
	frame = append(frame, "data: "...)
	frame = append(frame, data...)
	frame = append(frame, "\n\n"...)
	if err := x.send(frame); err != nil {
		return err
	}
	x.events++
	return nil
}
