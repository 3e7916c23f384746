package sse

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

// loop is an endless stream of the same chunks, each in a Read of its own, as a live upstream sends them.
type loop struct {
	chunks []string
	next   int
}

func (l *loop) Read(b []byte) (int, error) {
	n := copy(b, l.chunks[l.next])
	l.next = (l.next + 1) % len(l.chunks)
	return n, nil
}

// counter is a TextSink that keeps nothing.
type counter int

func (c *counter) AddJSON(escaped []byte) { *c += counter(len(escaped)) }

// chunks are eight chunks as OpenAI and its likes send them, with tail behind their choices.
func chunks(tail string) []string {
	var all []string
	for _, word := range []string{"Hello", " there", ",", " \\u00e9t\\u00e9", " is", " summer", ".\\n", " And so on"} {
		all = append(all, "data: "+openAI+`"choices":[{"index":0,"delta":{"content":"`+word+`"},"logprobs":null,"finish_reason":null}]`+tail+"}\n\n")
	}
	return all
}

func steadyStreams() map[string][]string {
	return map[string][]string{
		"content":      chunks(""),
		"usage null":   chunks(`,"usage":null`),
		"usage every":  chunks(`,"usage":` + starMagicUsage),
		"totals every": chunks(`,"usage":{"prompt_tokens":13,"completion_tokens":1891,"total_tokens":1904}`),
		"tool calls": {
			"data: " + openAI + `"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]},"finish_reason":null}]}` + "\n\n",
		},
		"CR LF, multi-line": {"data: {\r\ndata: \"choices\":[{\"delta\":{\"content\":\"x\"}}]\r\ndata: }\r\n\r\n"},
		"comments":          {": keep-alive\n\n"},
		"changing preamble": {`data: {"id":"a","created":1,"choices":[]}` + "\n\n", `data: {"id":"a","created":2,"choices":[]}` + "\n\n"},
	}
}

// TestNothingIsAllocated covers the whole way of an event, read, cut and heard, in the steady state of a stream.
func TestFramerAndTapAllocateNothing(t *testing.T) {
	for name, stream := range steadyStreams() {
		f, tap, src := NewFramer(0), new(Tap), &loop{chunks: stream}
		text := new(counter)
		tap.Reset(text)
		one := func() {
			if _, err := f.Fill(src); err != nil {
				t.Fatal(err)
			}
			e, ok := f.Next()
			if kind := tap.Observe(e); !ok || kind == KindInvalid {
				t.Fatalf("%s: %v of %q", name, kind, e.Raw)
			}
		}
		for range 2 * len(stream) {
			one()
		}
		if n := testing.AllocsPerRun(1_000, one); n != 0 {
			t.Errorf("%s: %v allocations per event", name, n)
		}
	}
}

// TestReuseAllocatesNothing: with Framer and Tap from a pool, a further stream costs no memory at all.
func TestReuseAllocatesNothing(t *testing.T) {
	f, tap, text, src := NewFramer(0), new(Tap), new(counter), strings.NewReader("")
	var usage []byte
	whole := func() {
		f.Reset(0)
		tap.Reset(text)
		src.Reset(plainTranscripts()[1].stream)
		usage = relay(f, tap, src)
	}
	base := testing.AllocsPerRun(100, func() { src.Reset(plainTranscripts()[1].stream) })
	if n := testing.AllocsPerRun(100, whole); n > base || string(usage) != starMagicUsage {
		t.Errorf("%v allocations per stream, with usage %s", n-base, usage)
	}
}

// TestOversizeAllocatesNothing: an event that is never in memory whole costs none beyond the Framer's buffer.
func TestOversizeAllocatesNothing(t *testing.T) {
	f, tap, text, src := NewFramer(0), new(Tap), new(counter), strings.NewReader("")
	tap.Reset(text)
	stream := `data: {"x":"` + strings.Repeat("x", 2*maxBuffer) + `","error":null,"choices":[{"index":-0.0},` + "\ndata: " +
		`{"index":1,"delta":{"content":"hello"},"finish_reason":"stop"}]}` + "\n\n"
	one := func() {
		src.Reset(stream)
		relay(f, tap, src)
	}
	one()
	if n := testing.AllocsPerRun(100, one); n != 0 || !tap.Over() || tap.ended != (bitset{1 << 1}) {
		t.Errorf("%v allocations per event, choices %b finished", n, tap.ended)
	}
}

func relay(f *Framer, tap *Tap, src io.Reader) []byte {
	for {
		_, err := f.Fill(src)
		for e, ok := f.Next(); ok; e, ok = f.Next() {
			tap.Observe(e)
		}
		if err != nil {
			return tap.Usage()
		}
	}
}

func BenchmarkRelay(b *testing.B) {
	for _, name := range []string{"content", "usage null", "totals every", "usage every", "tool calls", "changing preamble"} {
		stream := steadyStreams()[name]
		b.Run(name, func(b *testing.B) {
			f, tap, src := NewFramer(0), new(Tap), &loop{chunks: stream}
			tap.Reset(new(counter))
			b.SetBytes(int64(len(stream[0])))
			b.ReportAllocs()
			for b.Loop() {
				f.Fill(src)
				e, _ := f.Next()
				tap.Observe(e)
			}
		})
	}
}

func BenchmarkFramer(b *testing.B) {
	f, src := NewFramer(0), &loop{chunks: chunks("")}
	b.ReportAllocs()
	for b.Loop() {
		f.Fill(src)
		f.Next()
	}
}

func BenchmarkTap(b *testing.B) {
	for _, name := range []string{"content", "usage null", "totals every", "usage every", "tool calls", "changing preamble"} {
		f := NewFramer(0)
		var events []Event
		f.Fill(&loop{chunks: []string{strings.Join(steadyStreams()[name], "")}})
		for e, ok := f.Next(); ok; e, ok = f.Next() {
			events = append(events, e)
		}
		b.Run(name, func(b *testing.B) {
			var tap Tap
			tap.Reset(new(counter))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tap.Observe(events[i%len(events)])
			}
		})
	}
}

// BenchmarkLongContent is one chunk with a long text, where the search for the end of the string decides.
func BenchmarkLongContent(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var tap Tap
			tap.Reset(new(counter))
			data := []byte("{" + `"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("word ", n/5) + `"},"finish_reason":null}]}`)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				tap.Observe(Event{Data: data})
			}
		})
	}
}

// BenchmarkOversize is the cost of listening to an image that passes in fragments.
func BenchmarkOversize(b *testing.B) {
	stream := `data: {"choices":[{"index":0,"delta":{"images":["` + strings.Repeat("iVBORw0KGgo/", 1<<16) + `"]},"finish_reason":"stop"}]}` + "\n\n"
	f, tap := NewFramer(0), new(Tap)
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		f.Reset(0)
		relay(f, tap, strings.NewReader(stream))
	}
}

// answer is a plain answer of some 1.2 KB, as a provider sends it.
func answer() []byte {
	return []byte(`{"id":"chatcmpl-0192f0c1","object":"chat.completion","created":1753000000,"model":"gemini-2.5-flash-lite","choices":[{"index":0,` +
		`"message":{"role":"assistant","content":"` + strings.Repeat(`The quick brown fox jumps over the lazy dog, again and again.\n`, 12) +
		`","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":` + starMagicUsage + `}`)
}

func BenchmarkValidChunk(b *testing.B) {
	data := answer()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		ValidChunk(data)
	}
}

// BenchmarkValid compares ours with encoding/json's, which a stranger would use.
func BenchmarkValid(b *testing.B) {
	run := func(name string, valid func([]byte) bool) {
		b.Run(name, func(b *testing.B) {
			data := answer()
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				valid(data)
			}
		})
	}
	run("ours", valid)
	run("encoding json", json.Valid)
}
