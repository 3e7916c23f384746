package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/simulator"

	"github.com/google/go-cmp/cmp"
)

// What is measured at the end of a stream begins with its last content, and ends with
// [DONE]: neither the content before nor the end of the connection's coding is in it.
func TestEndOfStream(t *testing.T) {
	event := func(text string) string { return fmt.Sprintf("%x\r\n%s\n\n\r\n", len(text)+2, text) }
	synctest.Test(t, func(t *testing.T) {
		conn := &slow{parts: []part{
			{10 * time.Millisecond, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
			{20 * time.Millisecond, event("data: role")},
			{30 * time.Millisecond, event("data: a") + event("data: b")},
			{40 * time.Millisecond, event("data: finish")},
			{50 * time.Millisecond, event("data: usage") + "e\r\ndata: [DO"},
			{60 * time.Millisecond, "NE]\n\n"},
			{70 * time.Millisecond, "\r\n0\r\n\r\n"},
		}}
		l := newLoad(&gateway{name: "slow"}, "{}", answer{size: 71, lines: 2 * (3 + 3), stream: true})
		due := time.Now()
		time.Sleep(time.Millisecond)
		got, err := l.exchange(t.Context(), newClient(conn, l.meter))
		if err != nil {
			t.Fatal(err)
		}
		want := sample{
			stream: true,
			late:   time.Millisecond,
			first:  (1 + 10 + 20) * time.Millisecond,
			whole:  (1 + 10 + 20 + 30 + 40 + 50 + 60) * time.Millisecond,
			gap:    (40 + 50 + 60) * time.Millisecond,
		}
		if s := sampleOf(got, due); s != want {
			t.Errorf("got %+v, want %+v", s, want)
		}
	})
}

// slow is a connection whose parts come after a while each.
type slow struct {
	net.Conn
	parts []part
}

type part struct {
	after time.Duration
	text  string
}

func (s *slow) Write(p []byte) (int, error) { return len(p), nil }

func (s *slow) Read(p []byte) (int, error) {
	next := s.parts[0]
	s.parts = s.parts[1:]
	time.Sleep(next.after)
	return copy(p, next.text), nil
}

// The provider's streams end as the client takes it: three events behind the content.
func TestTailOfStream(t *testing.T) {
	g := fastProvider(t, simulator.FastOptions{})
	three, err := ask(t.Context(), g, promptOf(300, streamOf(3)))
	if err != nil {
		t.Fatal(err)
	}
	const roleAndContent = 2 * (1 + 3)
	if three.lines-tailLines != roleAndContent {
		t.Errorf("a stream of 3 tokens has %d lines, %d of them behind its content", three.lines, tailLines)
	}
}

func TestMixedLoop(t *testing.T) {
	g := fastProvider(t, simulator.FastOptions{Gap: 5 * time.Millisecond})
	body, stream := promptOf(300, ""), promptOf(300, streamOf(3))
	want, err := ask(t.Context(), g, body)
	if err != nil {
		t.Fatal(err)
	}
	flows, err := ask(t.Context(), g, stream)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoad(g, body, want)
	l.inTurnsWith(stream, flows)
	found, u, err := l.mixedLoop(t.Context(), pace{100, 100 * time.Millisecond, 200 * time.Millisecond}, watch{})
	if err != nil || len(found) != 20 || u.requests < 1 {
		t.Fatalf("%+v, %+v, %v", found, u, err)
	}
	const twoGaps = 2 * 5 * time.Millisecond // counted from the request: its first byte may be seen late
	for n, s := range found {
		if s.stream != (n%2 == 1) || s.late < 0 || s.first < s.late || s.whole < s.first || s.stream && s.whole < s.late+twoGaps {
			t.Errorf("%d: %+v", n, s)
		}
	}
	if n := g.served.Load(); n != 2+30 {
		t.Errorf("%d served", n)
	}
	l.streams.want.size++
	if _, _, err := l.mixedLoop(t.Context(), pace{100, 0, 200 * time.Millisecond}, watch{}); err == nil || !strings.Contains(err.Error(), "the provider itself sends") {
		t.Errorf("a stream that is not the provider's: %v", err)
	}
}

func TestSamples(t *testing.T) {
	var all samples
	for n := range 100 {
		d := time.Duration(n+1) * time.Millisecond
		all = append(all,
			sample{stream: true, gap: d, first: d / 10, whole: time.Hour},
			sample{whole: 2 * d, first: time.Hour, gap: time.Hour, late: d / 10})
	}
	if diff := cmp.Diff([]float64{50, 99, 100, 100, 198, 5}, all.figures()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if late := all.late(); late != 45 {
		t.Errorf("%g %% are late", late)
	}
}

// Requests arrive when the clock says so, those whose time has passed while nobody looked, too.
func TestArrivals(t *testing.T) {
	const stall = 100 * time.Millisecond
	var all []arrival
	behind := 0
	err := arrive(t.Context(), pace{1000, 100 * time.Millisecond, 100 * time.Millisecond}, func(a arrival) {
		all = append(all, a)
		late := time.Since(a.due)
		switch {
		case late < 0:
			t.Errorf("%d arrives %s too early", a.n, -late)
		case a.n == 0:
			time.Sleep(stall)
		case late > stall/2:
			behind++
		}
	})
	if err != nil || len(all) != 200 || behind < 40 || proving() && behind > 75 {
		t.Errorf("%d arrivals, %d of them late, %v", len(all), behind, err)
	}
	for n := range all {
		if all[n].n != n || all[n].due.Sub(all[0].due) != time.Duration(n)*time.Millisecond {
			t.Errorf("arrival %d: %+v", n, all[n])
		}
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(enough) })
	if err := arrive(ctx, pace{1, 0, time.Hour}, func(a arrival) { t.Errorf("%+v", a) }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

// proving reports whether what a quiet machine does in time must be done in time.
func proving() bool { return os.Getenv("TOLLGATE_PROVE") == "1" }

// Those whose time has passed arrive at once, so that the ones behind them are in time again, after a while where others keep
// the machine busy. Were each to wait for the one before, no arrival would ever be less late than the first one lasted.
func TestArrivalsCatchUp(t *testing.T) {
	const stall = 100 * time.Millisecond
	never, caughtUp := errors.New("never in time again"), errors.New("in time again")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, never)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	begun := 0
	err := arrive(ctx, pace{1000, 0, time.Hour}, func(a arrival) {
		begun++
		if a.n == 0 {
			time.Sleep(stall)
		} else if time.Since(a.due) < stall/2 {
			end(caughtUp)
		}
	})
	if !errors.Is(err, caughtUp) {
		t.Errorf("%d arrivals after a stall: %v", begun, err)
	}
}

func TestDisk(t *testing.T) {
	folder := t.TempDir()
	d, err := measureDisk(t.Context(), folder)
	if err != nil || d.write[0] <= 0 || d.write[1] < d.write[0] || d.sync[0] <= 0 || d.sync[1] < d.sync[0] {
		t.Errorf("%+v, %v", d, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errHangs)
	if _, err := measureDisk(ctx, folder); !errors.Is(err, errHangs) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}
