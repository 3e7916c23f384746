package sse

// An Event is one server-sent event, or one fragment of an event that is too long to be held in memory.
type Event struct {
	// Raw is the event exactly as sent, up to and including the blank line that ends it. It is a window into the
	// Framer's buffer and valid until the next Fill or Reset. The Raw slices of consecutive events touch: a caller may
	// extend the first one over those that follow, raw[:len(raw)+len(next.Raw)], to write them in one go. For the same
	// reason nobody may append to it.
	Raw []byte
	// Data is the payload: nil without a data field, and nil in a fragment. Several data lines are joined by LF in a
	// buffer of their own, which is valid until the next call of Next.
	Data []byte
	// Name is the value of the last event field, nil when there is none. It lives as long as Raw.
	Name []byte
	// Fragment tells a whole event from the pieces of an oversize one.
	Fragment Fragment
}

// A Fragment says which part of an event the Raw bytes are.
type Fragment uint8

// An event of at most 64 KiB is Whole. A longer one is a FragmentFirst, any number of FragmentMiddle, a FragmentLast.
const (
	Whole Fragment = iota
	FragmentFirst
	FragmentMiddle
	FragmentLast
)

// EndsEvent reports whether the byte after Raw begins a new event: only there may a comment be inserted.
func (e Event) EndsEvent() bool { return e.Fragment == Whole || e.Fragment == FragmentLast }
