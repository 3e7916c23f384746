package simulator

// A batch is the events that share one write, and what is true once they have left.
type batch struct {
	frames []byte
	sent   []func()
}

// event sends one server-sent event, or leaves it for the write that it shares.
func (x *exchange) event(data []byte, sent func()) error {
	if err := x.spoil(); err != nil {
		return err
	}
	if err := x.comments(); err != nil {
		return err
	}
	if x.fault.is(Drip) && x.fault.strikesBehind(x.events+len(x.held.sent)) {
		return x.dripEvent(x.framer.event(data), func() { x.wroteEvents(sent) })
	}
	x.held.frames = append(x.held.frames, x.framer.event(data)...)
	x.held.sent = append(x.held.sent, sent)
	if len(x.held.sent) < x.framer.batch {
		return nil
	}
	return x.release()
}

// comments come before an event.
func (x *exchange) comments() error {
	for range x.behaviour.Comments {
		if len(x.held.sent) > 0 {
			x.held.frames = append(x.held.frames, x.framer.comment()...)
			continue
		}
		if err := x.send(x.framer.comment(), func() {}); err != nil {
			return err
		}
	}
	return nil
}

// release sends the events that were held back.
func (x *exchange) release() error {
	if len(x.held.sent) == 0 {
		return nil
	}
	held := x.held
	x.held = batch{}
	parts := x.framer.parts(held.frames)
	for i, part := range parts {
		sent := func() {}
		if i == len(parts)-1 {
			sent = func() { x.wroteEvents(held.sent...) }
		}
		if err := x.send(part, sent); err != nil {
			return err
		}
	}
	return nil
}

// wroteEvents notes events that were handed to the socket whole.
func (x *exchange) wroteEvents(sent ...func()) {
	x.events += len(sent)
	x.record.note(func(e *Entry) { e.EventsWritten = x.events })
	for _, each := range sent {
		each()
	}
}
