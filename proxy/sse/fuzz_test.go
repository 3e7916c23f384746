package sse

import (
	"bytes"
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

func FuzzFramer(f *testing.F) {
	for _, tr := range transcripts() {
		f.Add(tr.stream, []byte{1, 2, 3, 200})
	}
	f.Add("data: a\r\r\n\ndata\r\n\r\n", []byte{9, 1})
	f.Add("\xef\xbb\xbf\n\xef\xbb\xbf\r", []byte{1, 1, 1})
	f.Add(strings.Repeat("data: "+strings.Repeat("x", 5_000)+"\r\n", 15)+"\r\ndata: [DONE]", []byte{255, 255})
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
		fr := NewFramer(0)
		var got []string
		src := &pieces{rest: stream, cuts: cuts}
		for err := error(nil); err == nil; {
			_, err = fr.Fill(src)
			for e, ok := fr.Next(); ok; e, ok = fr.Next() {
				if e.Data != nil {
					got = append(got, string(e.Name)+"="+string(e.Data))
				}
			}
		}
		if e, ok := fr.Final(); ok && e.Data != nil {
			got = append(got, string(e.Name)+"="+string(e.Data))
		}
		if book := plainly(stream); !slices.Equal(got, book) {
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
