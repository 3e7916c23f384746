package sse

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// heard is everything that a relay can learn from a stream. It must not depend on how the bytes arrived.
type heard struct {
	Events       []string
	Usage        string
	Text         string
	ID           string
	Done, Over   bool
	Finished     [3]bool // of the first one, two, three choices
	ContentBytes int64
	Err          string
}

// pieces is a stream that arrives cut at the given positions, its last bytes together with io.EOF.
type pieces struct {
	rest string
	cuts []int
	at   int
}

func (p *pieces) Read(b []byte) (int, error) {
	for len(p.cuts) > 0 && p.cuts[0] <= p.at {
		p.cuts = p.cuts[1:]
	}
	n := len(p.rest)
	if len(p.cuts) > 0 {
		n = min(n, p.cuts[0]-p.at)
	}
	n = copy(b, p.rest[:n])
	p.rest = p.rest[n:]
	p.at += n
	if p.rest == "" {
		return n, io.EOF
	}
	return n, nil
}

// words is a TextSink that keeps each piece apart.
type words []string

func (w *words) AddJSON(escaped []byte) { *w = append(*w, string(escaped)) }

func (w *words) String() string { return strings.Join(*w, "|") }

// listen relays the stream as a proxy does, checks that every byte was handed out once and in order, and returns what
// was heard. An event reads "kind name data" and "oversize kind"; the last one is marked when its blank line is missing.
func listen(t testing.TB, f *Framer, stream string, cuts ...int) heard {
	t.Helper()
	var h heard
	var text words
	var tap Tap
	tap.Reset(&text)
	var out strings.Builder
	note := func(e Event, mark string) {
		out.Write(e.Raw)
		kind := tap.Observe(e)
		switch {
		case e.Fragment == Whole && e.Data == nil:
			// How many comments there are is no matter, and a late line feed may turn up as one more.
			if name := string(e.Name); name != "" {
				h.Events = append(h.Events, fmt.Sprintf("%v %s%s", kind, name, mark))
			}
		case e.Fragment == Whole:
			h.Events = append(h.Events, fmt.Sprintf("%v %s %s%s", kind, e.Name, e.Data, mark))
		case e.Fragment == FragmentLast:
			h.Events = append(h.Events, fmt.Sprintf("oversize %v", kind))
		case kind != KindContent:
			t.Fatalf("a fragment of an oversize event is %v, want content", kind)
		}
	}
	src := &pieces{rest: stream, cuts: cuts}
	for {
		_, err := f.Fill(src)
		for e, ok := f.Next(); ok; e, ok = f.Next() {
			note(e, "")
		}
		if errors.Is(err, ErrEventTooLong) {
			h.Err = err.Error()
		}
		if err != nil {
			break
		}
	}
	if e, ok := f.Final(); ok {
		note(e, " (unended)")
	}
	if got := out.String() + string(f.Rest()); h.Err == "" && got != stream {
		t.Fatalf("the events do not add up to the stream\n got %q\nwant %q", got, stream)
	}
	h.Usage, h.Text, h.ID = string(tap.Usage()), text.String(), tap.ID()
	h.Done, h.Over, h.ContentBytes = tap.Done(), tap.Over(), tap.ContentBytes()
	if h.Over {
		h.Text = strings.Join(text, "") // its pieces depend on how the bytes came
	}
	for i := range h.Finished {
		h.Finished[i] = tap.Finished(i + 1)
	}
	return h
}
