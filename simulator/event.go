package simulator

// A batch is the events that share one write.
type batch struct {
	frames []byte
	events []heldEvent
}

type heldEvent struct {
	end  int    // in frames
	sent func() // notes what is true once it has left
}

// event sends one server-sent event, or leaves it for the write that it shares.
func (x *exchange) event(data []byte, sent func()) error {
	if err := x.spoil(); err != nil {
		return err
	}
	if err := x.comments(); err != nil {
		return err
	}
	if x.fault.is(Drip) && x.fault.strikesBehind(x.planned()) {
		return x.dripEvent(x.framer.event(data), sent)
	}
	x.held.frames = append(x.held.frames, x.framer.event(data)...)
	x.held.events = append(x.held.events, heldEvent{len(x.held.frames), sent})
	if len(x.held.events) < x.framer.batch {
		return nil
	}
	return x.release()
}

// planned is how many events come before the next one.
func (x *exchange) planned() int { return x.events + len(x.held.events) }

// comments come before an event.
func (x *exchange) comments() error {
	for range x.behaviour.Comments {
		if len(x.held.events) > 0 {
			x.held.frames = append(x.held.frames, x.framer.comment()...)
			continue
		}
		if err := x.add(x.framer.comment()); err != nil {
			return err
		}
	}
	return nil
}

// add sends what is no event of the answer.
func (x *exchange) add(body []byte) error {
	_, err := x.send(body)
	return err
}

// release sends the events that were held back.
func (x *exchange) release() error {
	held := x.held
	x.held = batch{}
	left := 0
	for _, part := range x.framer.parts(held.frames) {
		sent, err := x.send(part)
		left += sent
		for len(held.events) > 0 && held.events[0].end <= left {
			x.wroteEvent(held.events[0].sent)
			held.events = held.events[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wroteEvent notes an event that was handed to the socket whole.
func (x *exchange) wroteEvent(sent func()) {
	x.events++
	x.record.note(func(e *Entry) { e.EventsWritten = x.events })
	sent()
}
