package sse

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// framed returns the events of the stream as "name=data", "-" for an event without data, in reads of one byte or more.
func framed(t *testing.T, stream string, src io.Reader) []string {
	t.Helper()
	f := NewFramer(0)
	var raw strings.Builder
	var got []string
	take := func(e Event) {
		raw.Write(e.Raw)
		if e.Data == nil {
			got = append(got, "-")
			return
		}
		got = append(got, string(e.Name)+"="+string(e.Data))
	}
	for {
		_, err := f.Fill(src)
		for e, ok := f.Next(); ok; e, ok = f.Next() {
			take(e)
		}
		if err != nil {
			break
		}
	}
	if rest := raw.String() + string(f.Rest()); rest != stream {
		t.Fatalf("%q: Raw and Rest add up to %q", stream, rest)
	}
	return got
}

func TestFields(t *testing.T) {
	f := func(stream string, want ...string) {
		t.Helper()
		if got := framed(t, stream, strings.NewReader(stream)); !slices.Equal(got, want) {
			t.Errorf("%q\n got %q\nwant %q", stream, got, want)
		}
	}
	f("")
	f("data: a\n\n", "=a")
	f("data:a\n\n", "=a")
	f("data:  a \n\n", "= a ")
	f("data\n\n", "=")
	f("data:\n\n", "=")
	f("data: \n\n", "=")
	f("data: a: b\n\n", "=a: b")
	f("data: a\ndata: b\n\n", "=a\nb")
	f("data\ndata\n\n", "=\n")
	f("data: a\ndata: b\ndata:c\n\ndata: d\n\n", "=a\nb\nc", "=d")
	f("event: x\ndata: a\n\n", "x=a")
	f("data: a\nevent:x\n\n", "x=a")
	f("event: x\nevent: y\ndata: a\n\ndata: b\n\n", "y=a", "=b")
	f("id: 1\nretry: 5\n: comment\nunknown: z\ndata: a\n\n", "=a")
	f("Data: a\ndatas: b\n data: c\ndat: d\n\n", "-")
	f(": comment\n\n", "-")
	f("event: x\n\ndata: a\n\n", "-", "=a")
	f("\n\ndata: a\n\n\n", "-", "-", "=a", "-")

	// Line ends in any mixture.
	f("data: a\r\n\r\n", "=a")
	f("data: a\r\r", "=a")
	f("data: a\n\r\ndata: b\r\n\ndata: c\r\n\rdata: d\n\r", "=a", "=b", "=c", "=d")
	f("data: a\rdata: b\ndata: c\r\ndata: d\r\r\n", "=a\nb\nc\nd")
	f("data: a\n\n\r\rdata: b\n\n", "=a", "-", "-", "=b")

	// A byte order mark is skipped once, and only at the start of the stream.
	f("\xef\xbb\xbfdata: a\n\n", "=a")
	f("\xef\xbb\xbf\n", "-")
	f("\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", "-")
	f("data: \xef\xbb\xbfa\n\n\xef\xbb\xbfdata: b\n\n", "=\xef\xbb\xbfa", "-")

	// Without its blank line an event is not an event yet.
	f("data: a")
	f("data: a\n")
	f("data: a\n\ndata: b\n", "=a")
}

func TestOneByteAtATime(t *testing.T) {
	const stream = "\xef\xbb\xbfdata: a\ndata: b\r\n\r\n: c\r\revent:e\rdata\r\n\n\r\n"
	got := framed(t, stream, iotest.OneByteReader(strings.NewReader(stream)))
	if want := []string{"=a\nb", "-", "e=", "-"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// feed is a source that hands out one chunk per Read.
type feed []string

func (s *feed) Read(b []byte) (int, error) {
	if len(*s) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*s)[0])
	*s = (*s)[1:]
	return n, nil
}

// raws returns what comes out after each of the reads.
func raws(t *testing.T, f *Framer, reads ...string) [][]string {
	t.Helper()
	src := feed(reads)
	var all [][]string
	for range reads {
		if _, err := f.Fill(&src); err != nil {
			t.Fatal(err)
		}
		var now []string
		for e, ok := f.Next(); ok; e, ok = f.Next() {
			now = append(now, string(e.Raw))
		}
		all = append(all, now)
	}
	return all
}

func TestLoneCREndsAnEventAtOnce(t *testing.T) {
	f := func(reads []string, want ...[]string) {
		t.Helper()
		if got := raws(t, NewFramer(0), reads...); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%q\n got %q\nwant %q", reads, got, want)
		}
	}
	f([]string{"data: a\r\r", "data: b\r\r"}, []string{"data: a\r\r"}, []string{"data: b\r\r"})
	// The line feed that comes late belongs to the line end before, and is no blank line of its own.
	f([]string{"data: a\r\n\r", "\ndata: b\r\n\r\n"}, []string{"data: a\r\n\r"}, []string{"\ndata: b\r\n\r\n"})
	f([]string{"data: a\r", "\ndata: b\r\n", "\r\n"}, nil, nil, []string{"data: a\r\ndata: b\r\n\r\n"})
	f([]string{"data: a\r", "\n", "\n"}, nil, nil, []string{"data: a\r\n\n"})
	f([]string{"data: a\r", "\r", "\n", "\n"}, nil, []string{"data: a\r\r"}, nil, []string{"\n\n"})
}

func TestRestAndFinal(t *testing.T) {
	f := func(stream, rest, data string, fine bool) {
		t.Helper()
		fr := NewFramer(0)
		raws(t, fr, stream)
		if got := string(fr.Rest()); got != rest {
			t.Errorf("%q: Rest is %q, want %q", stream, got, rest)
		}
		e, ok := fr.Final()
		if ok != fine || string(e.Raw) != rest || string(e.Data) != data {
			t.Errorf("%q: Final is %q with data %q, %v", stream, e.Raw, e.Data, ok)
		}
		if again, ok := fr.Final(); ok || len(fr.Rest()) > 0 {
			t.Errorf("%q: Final handed out %q twice", stream, again.Raw)
		}
	}
	f("data: a\n\n", "", "", false)
	f("data: a\n\ndata: b", "data: b", "b", true)
	f("data: a\n\ndata: b\n", "data: b\n", "b", true)
	f("data: a\n\ndata: b\ndata: c", "data: b\ndata: c", "b\nc", true)
	f("data: b\r", "data: b\r", "b", true)
	f("\xef\xbb\xbfdata: b", "\xef\xbb\xbfdata: b", "b", true)
	f("data: a\n\n: c", ": c", "", true)
	f("dat", "dat", "", true)

	late := NewFramer(0)
	raws(t, late, "data: a\r\n\r", "\n")
	if e, ok := late.Final(); !ok || string(e.Raw) != "\n" || e.Data != nil {
		t.Errorf("a late line feed alone is %q with data %q, %v", e.Raw, e.Data, ok)
	}
}

func TestRawSlicesTouch(t *testing.T) {
	f := NewFramer(0)
	src := feed{"data: a\n\n: c\n\ndata: b\r\n\r\ndata: un"}
	if _, err := f.Fill(&src); err != nil {
		t.Fatal(err)
	}
	first, _ := f.Next()
	run := first.Raw
	for e, ok := f.Next(); ok; e, ok = f.Next() {
		run = run[:len(run)+len(e.Raw)]
		if &run[len(run)-1] != &e.Raw[len(e.Raw)-1] {
			t.Fatalf("%q lies elsewhere in memory than the end of %q", e.Raw, run)
		}
	}
	if want := "data: a\n\n: c\n\ndata: b\r\n\r\n"; string(run) != want {
		t.Errorf("the first Raw extends to %q, want %q", run, want)
	}
}

func TestFillReturnsWhatReadReturned(t *testing.T) {
	boom := errors.New("connection reset")
	f := NewFramer(0)
	if n, err := f.Fill(iotest.DataErrReader(strings.NewReader("data: a\n\n"))); n != 9 || !errors.Is(err, io.EOF) {
		t.Errorf("bytes together with the end: %d, %v", n, err)
	}
	if e, ok := f.Next(); !ok || string(e.Data) != "a" {
		t.Errorf("the event that came with the end: %q, %v", e.Raw, ok)
	}
	if n, err := f.Fill(iotest.ErrReader(boom)); n != 0 || !errors.Is(err, boom) {
		t.Errorf("a failed read: %d, %v", n, err)
	}

	full := NewFramer(0)
	endless := strings.NewReader(strings.Repeat("data: a\n\n", maxBuffer))
	for {
		if _, err := full.Fill(endless); err != nil {
			if !errors.Is(err, io.ErrShortBuffer) {
				t.Errorf("a buffer full of events that nobody takes: %v", err)
			}
			break
		}
	}
}

func TestMemory(t *testing.T) {
	f := NewFramer(0)
	size := func(want int) {
		t.Helper()
		if len(f.buf) > want {
			t.Errorf("the buffer holds %d bytes, want at most %d", len(f.buf), want)
		}
	}
	raws(t, f, slices.Repeat([]string{"data: short\n\n"}, 10_000)...)
	size(4 << 10)
	drain(f, io.LimitReader(letters{}, 10<<20))
	size(68 << 10)
	f.Reset(0)
	size(0)
	raws(t, f, "data: again\n\n")
	size(4 << 10)
	f.Reset(0)
	if len(f.buf) != 4<<10 {
		t.Error("a buffer of the usual size is not kept")
	}
	raws(t, f, slices.Repeat([]string{"data: " + strings.Repeat("x", 500) + "\n"}, 20)...)
	f.Reset(0)
	if cap(f.fields.joined) > 4<<10 {
		t.Errorf("%d bytes of joined data lines are kept", cap(f.fields.joined))
	}
}

// letters is a stream that never ends its first line.
type letters struct{}

func (letters) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// drain reads src to its end and returns the number of events and fragments, and the error.
func drain(f *Framer, src io.Reader) (int, error) {
	for n := 0; ; {
		_, err := f.Fill(src)
		for _, ok := f.Next(); ok; _, ok = f.Next() {
			n++
		}
		if err != nil {
			return n, err
		}
	}
}

// TestLinearTime compares the cost of hostile streams with that of a friendly one of the same length, read in the same
// way. They would cost 40 times as much and more if bytes were searched anew for each line or with each read.
func TestLinearTime(t *testing.T) {
	const size = 120_000
	cost := func(stream string, pieces func(io.Reader) io.Reader) time.Duration {
		best := time.Hour
		for range 5 {
			start := time.Now()
			drain(NewFramer(0), pieces(strings.NewReader(stream)))
			best = min(best, time.Since(start))
		}
		return best
	}
	f := func(name, hostile, friendly string, pieces func(io.Reader) io.Reader) {
		t.Helper()
		const attempts = 5 // a busy machine may interrupt what lasts long; a true difference fails them all
		var slow, fast time.Duration
		for range attempts {
			if slow, fast = cost(hostile, pieces), cost(friendly, pieces); slow <= 12*fast {
				return
			}
		}
		t.Errorf("%s: %v for %d bytes, %v for %d friendly ones", name, slow, len(hostile), fast, len(friendly))
	}
	whole := func(r io.Reader) io.Reader { return r }
	for _, end := range []string{"\r", "\n", "\r\n"} {
		lines := size / (1 + len(end))
		f("short lines ended by "+end, strings.Repeat(":"+end, lines)+end, strings.Repeat(":"+end+":"+end+end, lines/2), whole)
		f("byte by byte, long line ended by "+end, "data: "+strings.Repeat("x", size)+end+end, strings.Repeat("data: x"+end+end, size/(7+2*len(end))), iotest.OneByteReader)
		f("byte by byte, many data lines ended by "+end, strings.Repeat("data:"+end, size/8)+end, strings.Repeat("data:"+end+end, size/8), iotest.OneByteReader)
	}
}

func TestReset(t *testing.T) {
	f := new(Framer)
	f.Reset(20)
	raws(t, f, "event: x\ndata: lost\r")
	f.Reset(0)
	if got := raws(t, f, "\xef\xbb\xbfdata: a much longer event than before\n\n"); len(got[0]) != 1 {
		t.Errorf("after Reset: %q", got)
	}
	var e Event
	f.Reset(0)
	src := feed{"\n\xef\xbb\xbfdata: x\n\ndata: y\n\n"}
	if _, err := f.Fill(&src); err != nil {
		t.Fatal(err)
	}
	for next, ok := f.Next(); ok; next, ok = f.Next() {
		e = next
	}
	if !bytes.Equal(e.Data, []byte("y")) || e.Name != nil {
		t.Errorf("after Reset the last event is %q of %q", e.Data, e.Name)
	}
}
