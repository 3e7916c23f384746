package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A record is an entry being written.
type record struct {
	log   *truth
	mu    sync.Mutex
	entry Entry
	said  []strings.Builder // of each choice
	most  int               // bytes kept of the body and of each text
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

// asked notes what an accepted request asks for, heeded or not.
func (r *record) asked(body members) {
	r.note(func(e *Entry) {
		e.Model, e.Stream = body.text("model"), body.flag("stream")
		e.IncludeUsage = body.object("stream_options").flag("include_usage")
	})
}

func (r *record) planned(a *answer) {
	r.note(func(e *Entry) {
		e.Usage = a.usage
		e.Choices = make([]Delivered, len(a.choices))
		r.said = make([]strings.Builder, len(a.choices))
	})
}

// wrote notes the pieces [from, to) of a choice, which were handed to the socket.
func (r *record) wrote(i int, c *choice, from, to int) {
	r.note(func(e *Entry) {
		e.Choices[i].Call = c.call
		e.TokensWritten += c.tokens(from, to)
		for _, p := range c.pieces[from:to] {
			room := max(r.most-r.said[i].Len(), 0)
			r.said[i].WriteString(p[:min(len(p), room)])
		}
	})
}

// wroteAll notes a plain answer that was handed to the socket whole.
func (r *record) wroteAll(a *answer) {
	for i := range a.choices {
		r.wrote(i, &a.choices[i], 0, len(a.choices[i].pieces))
	}
	r.complete(func(e *Entry) {
		e.UsageSent = a.report(a.usage) != nil
		for i := range a.choices {
			if finish := a.finish(i); finish != nil {
				e.Choices[i].Finish = *finish
			}
		}
	})
}

// complete notes that the answer's last byte was handed to the socket. A client
// that left in the same moment was given everything.
func (r *record) complete(change func(*Entry)) {
	r.note(func(e *Entry) {
		e.Done, e.ClientGone = true, false
		change(e)
	})
}

// left notes that the client has gone, when it is seen for the first time.
func (r *record) left(now time.Time) {
	r.note(func(e *Entry) {
		if !e.Gone.IsZero() || !e.Ended.IsZero() {
			return
		}
		e.Gone, e.ClientGone = now, !e.Done
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
