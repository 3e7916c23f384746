package simulator

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestWhenTheClientLeft: in each phase of an exchange the truth has the moment
// at which the client left, though nothing is being written to it then.
func TestWhenTheClientLeft(t *testing.T) {
	s := New(Options{})
	addr := start(t, s).Addr()
	slow := Behaviour{Text: "one two three", FirstToken: time.Hour}
	halting := Behaviour{Text: "one two three", Gap: time.Hour}
	told := Behaviour{Text: "one two three"}
	// f asks, waits until the truth is as wanted, leaves with a FIN or a RST, and wants to read of it.
	f := func(phase, added string, b Behaviour, fault Fault, there func(Entry) bool, want string) {
		t.Helper()
		for _, reset := range []bool{false, true} {
			s.Behave(b)
			s.ClearFaults()
			if fault.Kind != "" {
				inject(t, s, fault)
			}
			s.Reset()
			conn := dial(t, addr, StarMagic, hi(StarMagic, added))
			if _, err := s.Await(within(t), func(e []Entry) bool { return len(e) == 1 && e[0].Model != "" && there(e[0]) }); err != nil {
				t.Fatalf("%s: %v: %+v", phase, err, s.Truth())
			}
			if s.InFlight() != 1 || s.Connections() != 1 {
				t.Errorf("%s: %d in flight on %d connections", phase, s.InFlight(), s.Connections())
			}
			if reset {
				_ = conn.(*net.TCPConn).SetLinger(0)
			}
			left := time.Now()
			conn.Close()
			e := settled(t, s, 1)[0]
			if got := brief(e); got != want {
				t.Errorf("%s: the truth says %s, want %s", phase, got, want)
			}
			if e.Gone.Before(left) || e.Gone.After(e.Ended) || e.Gone.Sub(left) > patience/2 {
				t.Errorf("%s: gone at %v, %v after it left; the exchange ended at %v", phase, e.Gone, e.Gone.Sub(left), e.Ended)
			}
			if _, err := s.Await(within(t), func([]Entry) bool { return s.InFlight() == 0 && s.Connections() == 0 }); err != nil {
				t.Errorf("%s: %d in flight on %d connections", phase, s.InFlight(), s.Connections())
			}
		}
	}
	struck := func(e Entry) bool { return e.Fault != "" && e.Usage.Completion == 3 }
	accepted := func(Entry) bool { return true }
	header := func(e Entry) bool { return e.Status == 200 }
	wrote := func(events int) func(Entry) bool { return func(e Entry) bool { return e.EventsWritten == events } }
	body := func(n int64) func(Entry) bool { return func(e Entry) bool { return e.BytesWritten >= n } }

	f("before the header", asStream, told, Fault{Kind: HangBeforeHeaders}, struck, "0: 0 of 3 tokens, 0 events, gone")
	f("before the header", asPlain, told, Fault{Kind: HangBeforeHeaders}, struck, "0: 0 of 3 tokens, 0 events, gone")
	f("before a plain answer", asPlain, slow, Fault{}, accepted, "0: 0 of 3 tokens, 0 events, gone")
	f("before the first event", asStream, slow, Fault{}, header, "200: 0 of 3 tokens, 0 events, gone")
	f("before the first event", asStream, told, Fault{Kind: HangBeforeFirstEvent}, header, "200: 0 of 3 tokens, 0 events, gone")
	f("before the body", asPlain, told, Fault{Kind: HangBeforeFirstEvent}, header, "200: 0 of 3 tokens, 0 events, gone")
	f("between two tokens", asStream, halting, Fault{}, wrote(2), "200: 1 of 3 tokens, 2 events, gone")
	f("in a silence", asStream, told, Fault{Kind: Stall, Events: 3}, wrote(3), "200: 2 of 3 tokens, 3 events, gone")
	f("behind the header", asPlain, told, Fault{Kind: Stall, Events: 3}, header, "200: 0 of 3 tokens, 0 events, gone")
	f("in an event", asStream, told, Fault{Kind: Drip, Events: 1, Interval: 20 * time.Second}, body(200), "200: 0 of 3 tokens, 1 events, gone")
	f("in what never ends", asStream, told, Fault{Kind: Drip, For: time.Hour}, body(300), "200: 0 of 3 tokens, 0 events, gone")
	f("in a plain body", asPlain, told, Fault{Kind: Drip, Interval: 20 * time.Second}, body(1), "200: 0 of 3 tokens, 0 events, gone")
	f("in spaces", asPlain, told, Fault{Kind: Drip, For: time.Hour}, body(3), "200: 0 of 3 tokens, 0 events, gone")
	// It was given everything and has left all the same: that is no departure from an answer.
	f("behind [DONE]", asStream, told, Fault{Kind: Stall, Events: 7}, wrote(7), "200: 3 of 3 tokens, 7 events, usage, done")
}

// A client that takes nothing blocks the simulator in a write; it is seen to
// leave there too, even when it only says that it will send no more.
func TestWhenADeafClientLeft(t *testing.T) {
	s := New(Options{})
	addr := start(t, s).Addr()
	inject(t, s, Fault{Kind: GiantEvent, Size: 16 << 20})
	f := func(leave func(*net.TCPConn) error) {
		t.Helper()
		s.Reset()
		conn := dial(t, addr, StarMagic, hi(StarMagic, asStream))
		defer conn.Close()
		if _, err := s.Await(within(t), func(e []Entry) bool { return len(e) == 1 && e[0].EventsWritten == 1 }); err != nil {
			t.Fatal(err)
		}
		left := time.Now()
		if err := leave(conn.(*net.TCPConn)); err != nil {
			t.Fatal(err)
		}
		if e := settled(t, s, 1)[0]; !e.ClientGone || e.Gone.Before(left) || e.EventsWritten != 1 || e.TokensWritten != 0 {
			t.Errorf("gone at %v, left at %v: %s", e.Gone, left, brief(e))
		}
	}
	f((*net.TCPConn).Close)
	f((*net.TCPConn).CloseWrite)
}

// A client that leaves before its request is whole was never answered.
func TestWhenTheClientLeftInItsRequest(t *testing.T) {
	s := New(Options{})
	addr := start(t, s).Addr()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "POST /evolink/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Await(within(t), func(e []Entry) bool { return len(e) == 1 }); err != nil {
		t.Fatal(err)
	}
	left := time.Now()
	conn.Close()
	if e := settled(t, s, 1)[0]; brief(e) != "0: 0 of 0 tokens, 0 events, gone" || e.Gone.Before(left) {
		t.Errorf("gone at %v, left at %v: %s", e.Gone, left, brief(e))
	}
}

// A client that stays is not gone, and neither is one that the simulator leaves.
func TestClientsThatStay(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "one two"}})
	addr := start(t, s).Addr()
	for _, fault := range []Fault{{Kind: Cut, AtByte: 10}, {Kind: Drop}, {Kind: CutInside}, {Kind: EndEarly, Events: 1}, {Kind: NoDone}} {
		inject(t, s, fault)
		s.Reset()
		exchangeOnce(t, addr, StarMagic, hi(StarMagic, asStream))
		if e := settled(t, s, 1)[0]; e.ClientGone || !e.Gone.IsZero() {
			t.Errorf("%s: gone at %v: %s", fault.Kind, e.Gone, brief(e))
		}
	}
}

// TestConnections: a connection that can be used again has a number, one that
// was broken is closed and has another.
func TestConnections(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "one two"}})
	url := start(t, s).URL()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	inject(t, s, Fault{Kind: CutBetween, Events: 1, Nth: 3}, Fault{Kind: AfterDone, Nth: 4}, Fault{Kind: EndEarly, Nth: 6})
	var got strings.Builder
	for n := range 7 {
		r, err := client.Do(newRequest(url, StarMagic, hi(StarMagic, asStream)))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body) // its error is told by the connection's number
		r.Body.Close()
		entries := settled(t, s, n+1)
		got.WriteByte('0' + byte(entries[n].Connection))
		open := 1
		if n == 2 {
			open = 0
		}
		if _, err := s.Await(within(t), func([]Entry) bool { return s.Connections() == open && s.InFlight() == 0 }); err != nil {
			t.Errorf("request %d: %d connections are open, %d requests in flight", n+1, s.Connections(), s.InFlight())
		}
	}
	if got.String() != "1112222" {
		t.Errorf("the requests came by the connections %s", got.String())
	}
	client.CloseIdleConnections()
	if _, err := s.Await(within(t), func([]Entry) bool { return s.Connections() == 0 }); err != nil {
		t.Errorf("%d connections are open", s.Connections())
	}
}
