package simulator

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// An Entry is the truth about one request: what was asked, and what left the
// simulator. It is written while the request runs: until Ended is set, the
// figures are those of the moment.
type Entry struct {
	Number   int64    `json:"number"` // 1 for the first request since the start or the last Reset
	Provider Provider `json:"provider,omitempty"`
	Method   string   `json:"method"`
	Path     string   `json:"path"`
	// Connection is the number of the TCP connection that the request came by, 1 for the first that
	// the simulator has accepted; 0 when it came by none (a Handler that another server serves).
	Connection int64 `json:"connection,omitempty"`

	// What was asked. Model, Stream and IncludeUsage are known of accepted requests only.
	Model        string      `json:"model,omitempty"`
	Stream       bool        `json:"stream"`
	IncludeUsage bool        `json:"include_usage"`
	Header       http.Header `json:"header"` // Host included; of Authorization the last 4 characters
	BodyBytes    int64       `json:"body_bytes"`
	BodySHA256   string      `json:"body_sha256,omitempty"` // hexadecimal
	Body         string      `json:"body,omitempty"`        // its first Options.TruthBytes

	// What was answered.
	Status    int    `json:"status"` // 0: no header was sent
	ErrorCode string `json:"error_code,omitempty"`
	Fault     string `json:"fault,omitempty"` // the fault that struck
	// Usage is the cost of the whole answer that was planned, sent or not; of nothing when a fault left no answer
	// to plan (Respond, HTML, Drop).
	Usage Usage `json:"usage"`
	// TokensWritten counts the tokens of the pieces handed to the socket whole: one each, but for
	// GiantEvent's. A complete answer has Usage.Completion less Usage.Reasoning of them.
	TokensWritten int64 `json:"tokens_written"`
	// EventsWritten counts the events of the answer's stream handed to the socket whole, [DONE] included;
	// no comments, and not the events that a fault adds.
	EventsWritten int `json:"events_written"`
	// BytesWritten counts the bytes of the body handed to the socket, without its transfer coding.
	BytesWritten int64 `json:"bytes_written"`
	// UsageSent says that the client was sent the usage object of the whole answer, whose figures are Usage, unless
	// the fault is WrongUsage or the provider's Deviations have other Figures.
	UsageSent bool `json:"usage_sent"`
	// Choices are what was written of each choice.
	Choices []Delivered `json:"choices,omitempty"`
	// Done says that the answer's last byte was handed to the socket: `[DONE]` of a stream (its last
	// chunk where Deviations have NoDone), the end of a whole plain answer, or of what Respond and HTML send instead.
	Done bool `json:"done"`
	// CleanEnd says that the body was ended as HTTP ends one, by its announced length or the last
	// chunk, be it the whole answer or not.
	CleanEnd bool `json:"clean_end"`

	// ClientGone says that the client left before the answer was Done.
	ClientGone bool `json:"client_gone"`
	// Gone is when the simulator saw the end of its client's connection while the request was in flight, whatever
	// it was doing then, waiting included; the zero time when it did not. A client that
	// leaves between an answer's last byte and the request's end has a Gone and is not ClientGone.
	Gone time.Time `json:"gone,omitzero"`
	// Closed says that the server closed before the answer ended.
	Closed bool `json:"closed"`

	Received  time.Time `json:"received"`
	FirstByte time.Time `json:"first_byte,omitzero"` // the first byte of the body was handed to the socket
	Ended     time.Time `json:"ended,omitzero"`
}

// Delivered is what was written of one choice.
type Delivered struct {
	Text      string `json:"text,omitempty"`
	Call      string `json:"call,omitempty"`      // the called function
	Arguments string `json:"arguments,omitempty"` // of the call
	Finish    string `json:"finish,omitempty"`    // the finish_reason, once written
}

// truth is the log of all requests: the last of them, and how many are running.
type truth struct {
	mu    sync.Mutex
	ring  []*record // entry number n stands at (n-1) % len
	total int64
	open  int

	changed atomic.Pointer[chan struct{}] // closed at the next change; nil: nobody waits
}

func newTruth(entries int) *truth {
	return &truth{ring: make([]*record, entries)}
}

func (t *truth) begin(r *record) {
	r.log = t
	t.mu.Lock()
	t.total++
	t.open++
	r.entry.Number = t.total
	t.ring[(t.total-1)%int64(len(t.ring))] = r
	t.mu.Unlock()
	t.notify()
}

func (t *truth) end(r *record, now time.Time) {
	r.note(func(e *Entry) { e.Ended = now })
	t.mu.Lock()
	t.open--
	t.mu.Unlock()
	t.notify()
}

// notify wakes those who wait for a change; it costs nothing when there are none.
func (t *truth) notify() {
	if t.changed.Load() == nil {
		return
	}
	if waited := t.changed.Swap(nil); waited != nil {
		close(*waited)
	}
}

// change is closed at the next change after this call.
func (t *truth) change() <-chan struct{} {
	fresh := make(chan struct{})
	for {
		if t.changed.CompareAndSwap(nil, &fresh) {
			return fresh
		}
		if waited := t.changed.Load(); waited != nil {
			return *waited
		}
	}
}

// await waits until reached says so.
func (t *truth) await(ctx context.Context, reached func() bool) error {
	for {
		change := t.change() // before the look, or the change between the two would be missed
		if reached() {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (t *truth) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total = 0
	clear(t.ring)
}

func (t *truth) entries() []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	size := int64(len(t.ring))
	found := []Entry{}
	for n := max(t.total-size, 0); n < t.total; n++ {
		found = append(found, t.ring[n%size].snapshot())
	}
	return found
}

// inFlight is how many requests have come and not ended.
func (t *truth) inFlight() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

// settled reports whether so many requests have come and all have ended.
func (t *truth) settled(requests int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total >= int64(requests) && t.open == 0
}
