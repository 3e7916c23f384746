package usage

import (
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// addIn hands a text over in pieces, as a stream's events do.
func addIn(m *Meter, body string, size int) {
	for len(body) > 0 {
		n := min(size, len(body))
		m.AddJSON([]byte(body[:n]))
		body = body[n:]
	}
}

func TestMeterCountsDeltasAsOneText(t *testing.T) {
	e := NewEstimator()
	f := func(counting Counting, body string, size int, tolerance int64) {
		t.Helper()
		m := e.NewMeter(counting)
		addIn(m, body, size)
		want := e.CountJSON([]byte(body))
		if got := m.Tokens(); got < want-tolerance || got > want+tolerance {
			t.Errorf("mode %d, steps of %d, %.20q: %d tokens, want %d within %d", counting, size, body, got, want, tolerance)
		}
		if m.Bytes() != int64(len(body)) {
			t.Errorf("%d bytes, want %d", m.Bytes(), len(body))
		}
		if again := m.Tokens(); again != m.Tokens() {
			t.Errorf("asked again: %d", again)
		}
	}
	long := strings.Repeat(prose, 120)
	escaped := strings.Repeat(`line one\nline \"two\"\t\u4e2d\u6587 `, 300)
	chinese := strings.Repeat(`\u91cf\u5b50\u529b\u5b66\ud83d\ude00`, 350)
	for _, size := range []int{1, 7, 1 << 20} {
		for _, counting := range []Counting{CountAtEnd, CountEagerly} {
			f(counting, "hello world", size, 0)
			f(counting, long, size, 3)
			f(counting, escaped, size, 20)
			f(counting, chinese, size, 30)
			f(counting, "", size, 0)
		}
	}
}

// Regression title: "usage of a cancelled stream is recorded as 0 or 1 token": a
// meter may be asked at any moment, and knows then what has passed.
func TestMeterMayBeAskedWhileTheAnswerGoesOn(t *testing.T) {
	m := NewEstimator().NewMeter(CountEagerly)
	var last int64
	for range 200 {
		m.AddJSON([]byte(prose))
		now := m.Tokens()
		if now <= last {
			t.Fatalf("%d tokens after %d", now, last)
		}
		last = now
	}
	if want := NewEstimator().CountText(strings.Repeat(prose, 200)); last < want || last > want+200 {
		t.Fatalf("%d tokens, want %d and at most one more per question", last, want)
	}
}

func TestMeterKeepsAtMost64KiBAndExtrapolates(t *testing.T) {
	e := NewEstimator()
	body := strings.Repeat(prose, 10*sampleBytes/len(prose))
	want := e.CountText(body[:sampleBytes]) * 10
	for counting, most := range map[Counting]int{CountAtEnd: sampleBytes, CountEagerly: 3 * eagerBytes} {
		m := e.NewMeter(counting)
		for _, part := range strings.SplitAfter(body, ",") {
			m.AddJSON([]byte(part))
			if len(m.kept) > most {
				t.Fatalf("mode %d keeps %d bytes, want at most %d", counting, len(m.kept), most)
			}
		}
		if got := m.Tokens(); got < want*98/100 || got > want*102/100 {
			t.Errorf("mode %d: %d tokens, want %d within 2 %%", counting, got, want)
		}
	}
}

func TestEagerMeterLeavesLittleForTheEnd(t *testing.T) {
	m := NewEstimator().NewMeter(CountEagerly)
	for name, body := range map[string]string{
		"prose":      strings.Repeat(prose, 400),
		"one letter": strings.Repeat("a", 40000),
		"escapes":    strings.Repeat(`\n`, 20000),
		"spaces":     strings.Repeat(" ", 40000),
	} {
		m.Reset()
		m.AddJSON([]byte(body))
		if len(m.kept) >= 2*eagerBytes || cap(m.kept) > 8*eagerBytes {
			t.Errorf("%s: %d bytes of %d are kept, in %d", name, len(m.kept), len(body), cap(m.kept))
		}
	}
}

func TestLastWord(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := text[:lastWord([]byte(text))]; got != want {
			t.Errorf("lastWord(%q) ends %q, want %q", text, got, want)
		}
	}
	f(`one two three`, `one two`)
	f(`one two `, `one two`)
	f(`one two   three`, `one two`)
	f(`one\n two\t three`, ``)
	f(`one a\n two`, `one`)
	f(` one`, ``)
	f(`one`, ``)
	f(``, ``)
}

func TestMeterResets(t *testing.T) {
	m := NewEstimator().NewMeter(CountEagerly)
	m.AddJSON([]byte(strings.Repeat(prose, 1000)))
	m.Reset()
	if m.Tokens() != 0 || m.Bytes() != 0 {
		t.Fatalf("after Reset: %d tokens, %d bytes", m.Tokens(), m.Bytes())
	}
	m.AddJSON([]byte("hello world"))
	if m.Tokens() != 2 || m.Bytes() != 11 {
		t.Fatalf("the next answer: %d tokens, %d bytes", m.Tokens(), m.Bytes())
	}
}

func TestMeterNeverPanicsOnBrokenJSON(t *testing.T) {
	e := NewEstimator()
	random := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		m := e.NewMeter(CountEagerly)
		for range 20 {
			body := make([]byte, random.IntN(2000))
			for i := range body {
				body[i] = `\\\u d8"nxé`[random.IntN(11)]
			}
			m.AddJSON(body)
		}
		if m.Tokens() <= 0 {
			t.Fatalf("%d tokens", m.Tokens())
		}
	}
}

func TestMeterAllocatesNothingPerDelta(t *testing.T) {
	m := NewEstimator().NewMeter(CountAtEnd)
	delta := []byte(` some words of a delta\n`)
	addIn(m, strings.Repeat("x", sampleBytes), 100)
	allocs := testing.AllocsPerRun(1000, func() {
		if m.Bytes() > 60000 {
			m.Reset()
		}
		m.AddJSON(delta)
	})
	if allocs != 0 {
		t.Fatalf("%v allocations per delta, want none", allocs)
	}
}

func BenchmarkMeterAddJSON(b *testing.B) {
	for name, counting := range map[string]Counting{"at_end": CountAtEnd, "eagerly": CountEagerly} {
		b.Run(name, func(b *testing.B) {
			e := NewEstimator()
			e.Load()
			m := e.NewMeter(counting)
			delta := []byte(` some words of a delta\n`)
			b.ReportAllocs()
			for b.Loop() {
				if m.Bytes() > 60000 {
					m.Reset()
				}
				m.AddJSON(delta)
			}
		})
	}
}

// drawText draws a text in the form that it has in JSON: words, numbers, punctuation, line breaks and emoji.
func drawText(t *rapid.T) string {
	words := [...]string{"the ", "quantum ", "well-known ", "answer, ", "it's 1234567 ", "(of) ", `\"quoted\" `, `end.\n\n`, `\tindented `, `\u4e2d\u6587 `, "😀 ", "  ", "x"}
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	var text strings.Builder
	for range rapid.IntRange(1, 1500).Draw(t, "words") {
		text.WriteString(words[random.IntN(len(words))])
	}
	return text.String()
}

// Asking how far an answer has come changes its count by a token per question at most.
func TestSoFarLeavesTheCountAsItIs(t *testing.T) {
	e := NewEstimator()
	rapid.Check(t, func(t *rapid.T) {
		body := drawText(t)
		counting := rapid.SampledFrom([]Counting{CountAtEnd, CountEagerly}).Draw(t, "counting")
		silent, asked := e.NewMeter(counting), e.NewMeter(counting)
		var last, calls int64
		for rest := body; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "bytes")
			silent.AddJSON([]byte(rest[:n]))
			asked.AddJSON([]byte(rest[:n]))
			rest = rest[n:]
			if !rapid.Bool().Draw(t, "ask") {
				continue
			}
			calls++
			now := asked.SoFar()
			if now < last-1 {
				t.Fatalf("%d tokens so far, after %d", now, last)
			}
			last = now
		}
		want, got := silent.Tokens(), asked.Tokens()
		if got < want-calls || got > want+calls || got < last-1 {
			t.Fatalf("%q: %d tokens, want %d within %d; %d so far", body, got, want, calls, last)
		}
	})
}

func TestSoFarKeepsUpWithTheAnswer(t *testing.T) {
	e := NewEstimator()
	f := func(name, unit string, behind, tolerance int64) {
		t.Helper()
		unit = strings.Repeat(unit, 1+1024/len(unit))
		whole := e.CountText(strings.Repeat(unit, 64))
		for _, counting := range []Counting{CountAtEnd, CountEagerly} {
			m := e.NewMeter(counting)
			for i := range int64(150) {
				m.AddJSON([]byte(unit))
				if got, want := m.SoFar(), (i+1)*whole/64; got > want+tolerance || got < want-behind-tolerance {
					t.Errorf("mode %d, %s: %d tokens so far after %d bytes, want %d, at most %d behind", counting, name, got, m.Bytes(), want, behind)
					return
				}
			}
		}
	}
	f("prose", prose, 20, 20)
	f("one word", "abcdefgh", 400, 150)
	f("chinese", "量子力学的意义是什么", 700, 250)
}
