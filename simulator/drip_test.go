package simulator

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDrip: one event, or one plain answer, comes byte by byte, and nothing is lost.
func TestDrip(t *testing.T) {
	f := wireTest(t)
	const whole = "200: 2 of 2 tokens, 6 events, usage, done, clean end"
	bytewise := func(event string) string { return chunked(strings.Split(event, "")...) }
	f(asStream, Fault{Kind: Drip, Interval: time.Microsecond},
		bytewise(roleEvent)+chunked(oneEvent, twoEvent, finishEvent, usageEvent, doneEvent)+wireEnd, whole)
	f(asStream, Fault{Kind: Drip, Events: 2, Interval: time.Microsecond},
		chunked(roleEvent, oneEvent)+bytewise(twoEvent)+chunked(finishEvent, usageEvent, doneEvent)+wireEnd, whole)
	f(asStream, Fault{Kind: Drip, Events: 5, Interval: time.Microsecond},
		chunked(roleEvent, oneEvent, twoEvent, finishEvent, usageEvent)+bytewise(doneEvent)+wireEnd, whole)
	f(asStream, Fault{Kind: Drip, Events: 6},
		chunked(roleEvent, oneEvent, twoEvent, finishEvent, usageEvent, doneEvent)+wireEnd, whole)
	f(asPlain, Fault{Kind: Drip, Interval: time.Microsecond}, plainBody, "200: 2 of 2 tokens, 0 events, usage, done, clean end")
}

// TestDripTakesItsTime: there is an interval between any two bytes, 1 ms when none is given.
func TestDripTakesItsTime(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "one"}})
	f := func(interval, least time.Duration) {
		t.Helper()
		inject(t, s, Fault{Kind: Drip, Events: 4, Interval: interval})
		begun := time.Now()
		if e := told(s, StarMagic, hi(StarMagic, asStream)); !e.Done || time.Since(begun) < least {
			t.Errorf("%v: it took %v, want %v or more: %s", interval, time.Since(begun), least, brief(e))
		}
	}
	const gaps = time.Duration(len(doneEvent) - 1)
	f(2*time.Millisecond, 2*time.Millisecond*gaps)
	f(0, time.Millisecond*gaps)
}

// TestDripInVain: what is dripped for a time completes nothing.
func TestDripInVain(t *testing.T) {
	s := New(Options{Now: fixed})
	addr := start(t, s).Addr()
	// f reads what comes first and three repetitions, and leaves.
	f := func(added string, fault Fault, style Style, first, again, wantTruth string) {
		t.Helper()
		s.Behave(Behaviour{Text: "one two", Style: style})
		fault.Kind, fault.For, fault.Interval = Drip, time.Hour, time.Microsecond
		inject(t, s, fault)
		s.Reset()
		conn := dial(t, addr, StarMagic, hi(StarMagic, added))
		defer conn.Close()
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := first + again + again + again
		got := make([]byte, len(want))
		if n, err := io.ReadFull(r.Body, got); err != nil || string(got) != want {
			t.Errorf("%+v, %q: the body begins with %q, %v\nwant %q", fault, style, got[:n], err, want)
		}
		conn.Close()
		if got := brief(settled(t, s, 1)[0]); got != wantTruth {
			t.Errorf("%+v, %q: the truth says %s, want %s", fault, style, got, wantTruth)
		}
	}
	open := strings.TrimSuffix(oneEvent, "\n")
	f(asStream, Fault{Events: 1}, LF, roleEvent+open, ": drip\n", "200: 0 of 2 tokens, 1 events, gone")
	f(asStream, Fault{Events: 1}, CRLF, strings.ReplaceAll(roleEvent+open, "\n", "\r\n"), ": drip\r\n", "200: 0 of 2 tokens, 1 events, gone")
	f(asStream, Fault{Events: 1}, CR, strings.ReplaceAll(roleEvent+open, "\n", "\r"), ": drip\r", "200: 0 of 2 tokens, 1 events, gone")
	f(asStream, Fault{Events: 2, Body: ": PROCESSING\n\n"}, LF, roleEvent+oneEvent, ": PROCESSING\n\n", "200: 1 of 2 tokens, 2 events, gone")
	f(asStream, Fault{Body: "x"}, LF, "", "x", "200: 0 of 2 tokens, 0 events, gone")
	f(asPlain, Fault{}, LF, "", " ", "200: 0 of 2 tokens, 0 events, gone")
	f(asPlain, Fault{Body: "{"}, LF, "", "{", "200: 0 of 2 tokens, 0 events, gone")
}

// TestDripEnds: when its time is over the connection ends, as a cut one does.
func TestDripEnds(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "one two"}})
	addr := start(t, s).Addr()
	const long = 30 * time.Millisecond
	for _, added := range []string{asStream, asPlain} {
		inject(t, s, Fault{Kind: Drip, Body: "xyz", Interval: time.Hour, For: long})
		s.Reset()
		begun := time.Now()
		_, wire, end := exchangeOnce(t, addr, StarMagic, hi(StarMagic, added))
		if wire != chunked("x") || end != nil || time.Since(begun) < long {
			t.Errorf("%q: ended after %v with %q, %v", added, time.Since(begun), wire, end)
		}
		if got := brief(settled(t, s, 1)[0]); got != "200: 0 of 2 tokens, 0 events" {
			t.Errorf("%q: the truth says %s", added, got)
		}
	}
}
