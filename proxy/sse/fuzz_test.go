package sse

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// plainly frames a stream by the book: normalise the line ends, split, interpret. It knows nothing of reads.
func plainly(stream string) (events []string) {
	stream = strings.TrimPrefix(stream, byteOrderMark)
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	lines := strings.Split(stream, "\n")
	var name, data []string
	dispatch := func() {
		if data != nil {
			events = append(events, strings.Join(name[max(0, len(name)-1):], "")+"="+strings.Join(data, "\n"))
		}
		name, data = nil, nil
	}
	for i, line := range lines {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && i < len(lines)-1:
			dispatch()
		case field == "data":
			data = append(data, value)
		case field == "event":
			name = append(name, value)
		}
	}
	dispatch()
	return events
}

// dispatched are the events with data that the Framer cuts from the stream.
func dispatched(f *Framer, stream string, cuts []int) (events []string) {
	src := &pieces{rest: stream, cuts: cuts}
	for err := error(nil); err == nil; {
		_, err = f.Fill(src)
		for e, ok := f.Next(); ok; e, ok = f.Next() {
			if e.Data != nil {
				events = append(events, string(e.Name)+"="+string(e.Data))
			}
		}
	}
	if e, ok := f.Final(); ok && e.Data != nil {
		events = append(events, string(e.Name)+"="+string(e.Data))
	}
	return events
}

// TestLongStreams makes the buffer grow, and its bytes move, at random places.
func TestLongStreams(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	ends := []string{"\n", "\r", "\r\n"}
	f := NewFramer(0)
	for range 200 {
		var b strings.Builder
		for range 1 + random.IntN(60) {
			end := ends[random.IntN(len(ends))]
			for range random.IntN(4) {
				field := []string{"data: ", "data:", "event: ", ": ", "id: "}[random.IntN(5)]
				b.WriteString(field + strings.Repeat(string(rune('a'+random.IntN(26))), 1+random.IntN(20)<<random.IntN(10)) + end)
			}
			b.WriteString(end)
		}
		stream := b.String()
		cuts := randomCuts(random, len(stream), random.IntN(100))
		f.Reset(0)
		if got, book := dispatched(f, stream, cuts), plainly(stream); !slices.Equal(got, book) {
			t.Fatalf("cut at %v\n got %.5000q\nwant %.5000q", cuts, got, book)
		}
	}
}

func FuzzFramer(f *testing.F) {
	for _, tr := range transcripts() {
		f.Add(tr.stream, []byte{1, 2, 3, 200})
	}
	f.Add("data: a\r\r\n\ndata\r\n\r\n", []byte{9, 1})
	f.Add("\xef\xbb\xbf\n\xef\xbb\xbf\r", []byte{1, 1, 1})
	f.Add("data: a\n\r\n\revent: b\revent\rdata:c\rdata", []byte{7, 1, 1})
	f.Fuzz(func(t *testing.T, stream string, steps []byte) {
		var cuts []int
		for i, at := 0, 0; i < len(steps); i++ {
			at += int(steps[i])
			cuts = append(cuts, at)
		}
		want := listen(t, NewFramer(0), stream)
		same(t, want, listen(t, NewFramer(0), stream, cuts...), stream, cuts...)
		if want.Over {
			return
		}
		if got, book := dispatched(NewFramer(0), stream, cuts), plainly(stream); !slices.Equal(got, book) {
			t.Fatalf("%q\n got %q\nwant %q", stream, got, book)
		}
	})
}

// FuzzTap hears each line as one payload.
func FuzzTap(f *testing.F) {
	for _, tr := range transcripts() {
		f.Add([]byte(strings.NewReplacer("data: ", "", "data:", "").Replace(tr.stream)))
	}
	f.Add([]byte(`{"choices":[{"delta":{"reasoning":"a","reasoning_content":"b"}}]}` + "\n" + `{"choices":[{"delta":{"reasoning":"","reasoning_content":"b"}}]}`))
	f.Add([]byte(`{"usage":{"a":1},"choices":[{"delta":{"content":["x",{"type":"y"},"z"]}}]}` + "\n" + `{"error":{}}`))
	f.Add([]byte(`{"id":"\"","choices":null,"usage":{}}{`))
	f.Add([]byte(`{"choices":[{"index":-0,"finish_reason":"stop"}]}`))
	f.Add([]byte(`{"choices":[{"delta":{"content":"a"}}]}` + "\n" + `{"choices":[{"delta":{"content":"b"}}],"choices":[{"finish_reason":"stop"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		agree(t, slices.DeleteFunc(bytes.Split(data, []byte("\n")), func(line []byte) bool { return len(line) == 0 }))
	})
}

// FuzzOversize hears a payload as one oversize event, and must hear the same however it is cut.
func FuzzOversize(f *testing.F) {
	for _, tr := range transcripts() {
		f.Add([]byte(tr.stream), uint(7))
	}
	f.Fuzz(func(t *testing.T, raw []byte, cut uint) {
		hear := func(parts ...[]byte) (Kind, string, bitset) {
			var tap Tap
			kind := KindComment
			for i, part := range parts {
				fragment := FragmentMiddle
				switch i {
				case 0:
					fragment = FragmentFirst
				case len(parts) - 1:
					fragment = FragmentLast
				}
				kind = tap.Observe(Event{Raw: part, Fragment: fragment})
			}
			return kind, string(tap.Usage()), tap.ended
		}
		at := min(int(cut%(1<<16)), len(raw))
		kind, usage, ended := hear(nil, raw, nil)
		kind2, usage2, ended2 := hear(raw[:at], raw[at:], nil)
		if kind != kind2 || usage != usage2 || ended != ended2 {
			t.Fatalf("%q cut at %d: %v %s %v, whole: %v %s %v", raw, at, kind2, usage2, ended2, kind, usage, ended)
		}
	})
}
