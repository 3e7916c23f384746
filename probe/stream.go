package probe

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"tollgate/proxy/sse"
)

// streamed is what a stream did.
type streamed struct {
	contentType string
	tap         sse.Tap
	events      int
	bad         string // the first event that is none, or an error; empty: none is
	behindDone  bool   // something came behind [DONE]
	ownChunk    bool   // usage came in a chunk without choices, before [DONE]
	lateUsage   bool   // usage came behind [DONE]
	spoke       bool   // something of the answer came
	firstToken  time.Duration
	end         error // nil: the transfer ended as its framing says
}

// maxEvent bounds an event of a stream.
const maxEvent = 1 << 20

// readStream reads a stream to its end. began is when it was asked for.
func readStream(body io.Reader, began time.Time) *streamed {
	st := new(streamed)
	framer := sse.NewFramer(maxEvent)
	for read := 0; ; {
		n, err := framer.Fill(body)
		for e, ok := framer.Next(); ok; e, ok = framer.Next() {
			st.hear(e, began)
		}
		switch read += n; {
		case errors.Is(err, io.EOF):
			if e, ok := framer.Final(); ok {
				st.hear(e, began)
			}
			return st
		case err != nil:
			st.end = err
			return st
		case read > mostHeard:
			st.end = errTooLong
			return st
		}
	}
}

func (st *streamed) hear(e sse.Event, began time.Time) {
	wasDone := st.tap.Done()
	kind := st.tap.Observe(e)
	if kind == sse.KindComment {
		return
	}
	st.events++
	if wasDone {
		st.behindDone = true
		st.lateUsage = st.lateUsage || kind == sse.KindUsage
		return
	}
	switch kind {
	case sse.KindUsage:
		st.ownChunk = true
	case sse.KindContent, sse.KindFinish:
		if !st.spoke {
			st.spoke, st.firstToken = true, time.Since(began)
		}
	case sse.KindError:
		st.note("event %d is an error", st.events)
	}
	if kind != sse.KindDone && kind != sse.KindError && e.Data != nil && !sse.ValidChunk(e.Data) {
		st.note("event %d is not valid JSON", st.events)
	}
}

func (st *streamed) note(format string, args ...any) {
	if st.bad == "" {
		st.bad = fmt.Sprintf(format, args...)
	}
}

// isEvents says that the header announced a stream.
func (st *streamed) isEvents() bool { return strings.HasPrefix(st.contentType, "text/event-stream") }
