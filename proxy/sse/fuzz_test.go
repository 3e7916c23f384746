package sse

import (
	"bytes"
	"encoding/json"
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

// hearOversize lets a new Tap hear one oversize event in the given fragments.
func hearOversize(parts ...[]byte) (Kind, *Tap) {
	tap, kind := &Tap{Text: new(words)}, KindComment
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
	return kind, tap
}

// hearWhole lets a new Tap hear the one event that raw is.
func hearWhole(t testing.TB, raw []byte) (Kind, *Tap) {
	t.Helper()
	framer, tap := NewFramer(0), &Tap{Text: new(words)}
	for src := bytes.NewReader(raw); ; {
		_, err := framer.Fill(src)
		if e, ok := framer.Next(); ok {
			return tap.Observe(e), tap
		}
		if err != nil {
			t.Fatalf("%q is no event: %v", raw, err)
		}
	}
}

// said is all text that the Tap of a test handed on.
func said(tap *Tap) string { return strings.Join(*tap.Text.(*words), "") }

// likeWhole hears a payload as one whole event and as an oversize one, each of its lines a data line, cut somewhere, under
// some name. Both must tell the same of it, as far as an oversize event tells: it knows neither empty chunks nor those of
// usage, and of broken payloads only those with something behind their first value.
func likeWhole(t testing.TB, payload []byte, cut uint) {
	t.Helper()
	payload = bytes.ReplaceAll(bytes.ReplaceAll(payload, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
	if json.NewDecoder(bytes.NewReader(payload)).Decode(new(json.RawMessage)) != nil {
		return
	}
	names := []string{"", "event: x\n", "event: error\n", "event:error\n", "event: error\nevent\n", "event:  error\n"}
	event := func(field string) []byte {
		return []byte(names[cut%uint(len(names))] + field + strings.ReplaceAll(string(payload), "\n", "\n"+field) + "\n\n")
	}
	raw := event("data:") // an oversize event does not leave out the space behind the colon
	want, whole := hearWhole(t, event("data: "))
	if want == KindEmpty || want == KindUsage {
		want = KindContent
	}
	at := cut % uint(len(raw))
	kind, over := hearOversize(nil, raw[:at], raw[at:], nil)
	switch {
	case kind != want:
		t.Fatalf("%q is %v, in an oversize event %v", raw, want, kind)
	case over.ended != whole.ended:
		t.Fatalf("%q: choices %b are finished, in an oversize event %b", raw, whole.ended, over.ended)
	case len(whole.Usage()) <= keepUsageBytes && !bytes.Equal(over.Usage(), whole.Usage()):
		t.Fatalf("%q: usage %q, in an oversize event %q", raw, whole.Usage(), over.Usage())
	case shallow(payload) && (said(over) != said(whole) || over.ContentBytes() != whole.ContentBytes()):
		t.Fatalf("%q: text %q, in an oversize event %q", raw, said(whole), said(over))
	}
}

// shallow reports whether the payload nests no deeper than an oversize event can tell names from text.
func shallow(payload []byte) bool {
	return bytes.Count(payload, []byte("["))+bytes.Count(payload, []byte("{")) <= 64
}

// FuzzOversize hears a payload as one oversize event, and must hear the same however it is cut, and what it would hear
// if the event were whole.
func FuzzOversize(f *testing.F) {
	for _, tr := range transcripts() {
		f.Add([]byte(tr.stream), uint(7))
		for _, payload := range plainly(tr.stream) {
			f.Add([]byte(payload[strings.IndexByte(payload, '=')+1:]), uint(70))
		}
	}
	for _, index := range []string{"-1", "-0", "1.5", "1e0", "0.0", "null", "18446744073709551617"} {
		f.Add([]byte(`{"choices":[{"index":`+index+`,"finish_reason":"stop"},{"finish_reason":"stop"}]}`), uint(24))
	}
	for _, content := range []string{`["x",{"type":"no","text":["y"]},"no"]`, `{"x":[],"input":{"text":"x"}}`, `null,"logprobs":{"content":"no"}`} {
		f.Add([]byte(`{"choices":[{"message":{"content":`+content+`},"text":["x",[]]},"no",{"content":"no"}]}`), uint(60))
	}
	f.Add([]byte(`[{"choices":[{"text":"no"}]}]`), uint(13))
	f.Add([]byte(`{"choices":[{"text":"x","finish_reason":"stop"}]}`+"\n{"), uint(30))
	f.Add([]byte("{\"choices\":[null,{\"index\":1,\n\"finish_reason\":null,\r\n\"x\":\"\"}],\"error\":0.0,\"prompt_filter_results\":[{\"finish_reason\":\"stop\"}]}"), uint(9))
	f.Fuzz(func(t *testing.T, raw []byte, cut uint) {
		at := min(int(cut%(1<<16)), len(raw))
		kind, tap := hearOversize(nil, raw, nil)
		kind2, tap2 := hearOversize(raw[:at], raw[at:], nil)
		if kind != kind2 || said(tap) != said(tap2) || tap.ended != tap2.ended || !bytes.Equal(tap.Usage(), tap2.Usage()) {
			t.Fatalf("%q cut at %d: %v %s %v %q, whole: %v %s %v %q", raw, at, kind2, tap2.Usage(), tap2.ended, said(tap2), kind, tap.Usage(), tap.ended, said(tap))
		}
		likeWhole(t, raw, cut)
	})
}
