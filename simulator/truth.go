package simulator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
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
	// Usage is the cost of the whole answer, sent or not.
	Usage Usage `json:"usage"`
	// TokensWritten counts the pieces handed to the socket whole. A complete
	// answer has Usage.Completion less Usage.Reasoning of them.
	TokensWritten int64 `json:"tokens_written"`
	// UsageSent says that the client was sent a usage object, whose figures are Usage.
	UsageSent bool `json:"usage_sent"`
	// Choices are what was written of each choice.
	Choices []Delivered `json:"choices,omitempty"`
	// Done says that the answer's last byte was handed to the socket: `[DONE]`
	// of a stream, the end of a plain body.
	Done bool `json:"done"`

	// ClientGone says that the client left before the answer ended.
	ClientGone bool `json:"client_gone"`
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

// A record is an entry being written.
type record struct {
	log   *truth
	mu    sync.Mutex
	entry Entry
	said  []strings.Builder // of each choice
	most  int               // bytes kept of the body and of each text
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

// settled reports whether so many requests have come and all have ended.
func (t *truth) settled(requests int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total >= int64(requests) && t.open == 0
}

// note changes the entry. The log shows the change at once.
func (r *record) note(change func(*Entry)) {
	r.mu.Lock()
	change(&r.entry)
	r.mu.Unlock()
	r.log.notify()
}

// snapshot copies the entry; what it shares with the record is never changed.
func (r *record) snapshot() Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry
	e.Choices = make([]Delivered, len(r.entry.Choices))
	copy(e.Choices, r.entry.Choices)
	for i := range e.Choices {
		if said := r.said[i].String(); e.Choices[i].Call != "" {
			e.Choices[i].Arguments = said
		} else {
			e.Choices[i].Text = said
		}
	}
	return e
}

func (r *record) body(raw []byte) {
	sum := sha256.Sum256(raw)
	r.note(func(e *Entry) {
		e.BodyBytes = int64(len(raw))
		e.BodySHA256 = hex.EncodeToString(sum[:])
		e.Body = string(raw[:min(len(raw), r.most)])
	})
}

func (r *record) planned(a *answer) {
	r.note(func(e *Entry) {
		e.Usage = a.usage
		e.Choices = make([]Delivered, len(a.choices))
		r.said = make([]strings.Builder, len(a.choices))
	})
}

// wrote notes pieces of a choice that were handed to the socket.
func (r *record) wrote(i int, c *choice, pieces ...string) {
	r.note(func(e *Entry) {
		e.Choices[i].Call = c.call
		e.TokensWritten += int64(len(pieces))
		for _, p := range pieces {
			if r.said[i].Len() < r.most {
				r.said[i].WriteString(p)
			}
		}
	})
}

// seenHeader is what the log keeps of a request's header.
func seenHeader(r *http.Request) http.Header {
	h := r.Header.Clone()
	h.Set("Host", r.Host)
	for i, v := range h["Authorization"] {
		h["Authorization"][i] = redact(v)
	}
	return h
}

// redact keeps the last 4 characters of a key that is long enough to spare them.
func redact(credentials string) string {
	scheme, key, ok := strings.Cut(credentials, " ")
	if !ok {
		return "****"
	}
	if len(key) < 8 {
		return scheme + " ****"
	}
	return scheme + " ****" + key[len(key)-4:]
}
