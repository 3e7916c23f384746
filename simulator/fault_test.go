package simulator

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inject replaces the faults.
func inject(t *testing.T, s *Simulator, faults ...Fault) {
	t.Helper()
	s.ClearFaults()
	if err := s.Inject(faults...); err != nil {
		t.Fatal(err)
	}
}

func TestWhichRequestsAreStruck(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Tokens: 1}})
	// f asks the three providers in turn, rounds times, and wants "s" where a request was struck.
	f := func(want string, faults ...Fault) {
		t.Helper()
		inject(t, s, faults...)
		var got strings.Builder
		for i := range 9 {
			p := Providers()[i%3]
			struck := send(s, p, hi(p, "")).Code != http.StatusOK
			got.WriteByte(map[bool]byte{true: 's', false: '.'}[struck])
		}
		if got.String() != want {
			t.Errorf("%+v: got %s, want %s", faults, got.String(), want)
		}
	}
	bad := Fault{Kind: Respond, Status: 503}
	f(".........")
	f("sssssssss", bad)
	with := func(change func(*Fault)) Fault {
		one := bad
		change(&one)
		return one
	}
	f("s..s..s..", with(func(f *Fault) { f.Provider = StarMagic }))
	f(".s..s..s.", with(func(f *Fault) { f.Model = "gemini-1.5-pro" }))
	f("...s.....", with(func(f *Fault) { f.Nth = 4 }))
	f(".s.s.s.s.", with(func(f *Fault) { f.Every = 2 }))
	f(".s.s.....", with(func(f *Fault) { f.Every, f.Times = 2, 2 }))
	f("..s..s...", with(func(f *Fault) { f.Provider, f.Times = Evolink, 2 }))
	f(".........", with(func(f *Fault) { f.Provider, f.Model = Evolink, "gemini-1.5-pro" }))
	f("ss.......", with(func(f *Fault) { f.Times = 1 }), with(func(f *Fault) { f.Nth = 2 }))

	// A request that the provider refuses is not counted.
	inject(t, s, with(func(f *Fault) { f.Nth = 1 }))
	if w := send(s, Evolink, hi(Evolink, `"n":2,`)); w.Code != http.StatusBadRequest {
		t.Errorf("a refused request was struck: status %d", w.Code)
	}
	if w := send(s, Evolink, hi(Evolink, ``)); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a refused request was counted: status %d", w.Code)
	}
}

func TestFaultsThatMakeNoSense(t *testing.T) {
	s := New(Options{})
	for _, bad := range []Fault{
		{},
		{Kind: "explode"},
		{Kind: Respond, Status: 42},
		{Kind: Cut, AtByte: -1},
		{Kind: Stall, Events: -1},
		{Kind: Drop, Provider: "nobody"},
		{Kind: Drip, Interval: -1},
		{Kind: Stall, For: -1},
		{Kind: GiantEvent, Size: 16<<20 + 1},
		{Kind: WrongUsage, Body: "{"},
		{Kind: Respond, Status: 304, Body: "x"},
		{Kind: Respond, Header: map[string]string{"content-length": "1"}},
	} {
		if err := s.Inject(Fault{Kind: Drop}, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if w := send(s, Evolink, hi(Evolink, "")); w.Code != http.StatusOK {
		t.Errorf("a fault was added beside one that was refused: status %d", w.Code)
	}
}

func TestRespond(t *testing.T) {
	s := New(Options{})
	f := func(fault Fault, wantStatus int, wantType, wantBody string) *http.Response {
		t.Helper()
		inject(t, s, fault)
		w := send(s, Evolink, hi(Evolink, `"stream":true,`))
		if w.Code != wantStatus || w.Header().Get("Content-Type") != wantType || w.Body.String() != wantBody {
			t.Errorf("got %d %q %s", w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		return w.Result()
	}
	limited := f(Fault{Kind: Respond, Status: 429, Header: map[string]string{"Retry-After": "7"}}, 429, "application/json",
		`{"error":{"message":"Simulated fault: 429 Too Many Requests.","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`)
	if got := limited.Header.Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After is %q", got)
	}
	f(Fault{Kind: Respond, Status: 500}, 500, "application/json",
		`{"error":{"message":"Simulated fault: 500 Internal Server Error.","type":"server_error","param":null,"code":"simulated_fault"}}`)
	f(Fault{Kind: Respond, Status: 502, Header: map[string]string{"content-type": "text/html"}, Body: "<h1>Bad Gateway</h1>"}, 502, "text/html", "<h1>Bad Gateway</h1>")
	f(Fault{Kind: Respond}, 200, "application/json", "")
	f(Fault{Kind: Respond, Header: map[string]string{"Content-Type": "text/event-stream"}, Body: "data: nonsense\n\n"}, 200, "text/event-stream", "data: nonsense\n\n")
}

// bodyOf takes the transfer coding off an answer; what of it is missing is missing.
func bodyOf(raw string) string {
	_, body, _ := strings.Cut(raw, "\r\n\r\n")
	if !strings.Contains(raw, "Transfer-Encoding: chunked") {
		return body
	}
	var whole strings.Builder
	for body != "" {
		_, rest, _ := strings.Cut(body, "\r\n")
		chunk, after, _ := strings.Cut(rest, "\r\n")
		whole.WriteString(chunk)
		body = after
	}
	return whole.String()
}

func TestCutAtEveryPlace(t *testing.T) {
	s := New(Options{Now: fixed, Behaviour: Behaviour{Text: "one two"}})
	addr := start(t, s).Addr()
	for _, added := range []string{``, `"stream":true,`} {
		s.ClearFaults()
		whole := send(s, TheTurbo, hi(TheTurbo, added)).Body.String()
		for _, at := range []int{0, 1, 100, len(whole) / 2, len(whole) - 1, len(whole)} {
			inject(t, s, Fault{Kind: Cut, AtByte: int64(at)})
			s.Reset()
			raw, end := exchangeRaw(t, addr, TheTurbo, hi(TheTurbo, added))
			if got := bodyOf(raw); got != whole[:at] || !errors.Is(end, io.EOF) {
				t.Errorf("cut at %d of %d: got %d bytes, end %v", at, len(whole), len(got), end)
			}
			if strings.HasSuffix(raw, "0\r\n\r\n") {
				t.Errorf("cut at %d: the transfer coding was ended", at)
			}
			e := settled(t, s, 1)[0]
			if e.Done != (at == len(whole)) || e.CleanEnd || e.ClientGone || e.Fault != "cut" || e.Status != 200 || e.BytesWritten != int64(at) {
				t.Errorf("cut at %d: the truth says %+v", at, e)
			}
		}
		inject(t, s, Fault{Kind: Cut, AtByte: int64(len(whole)) + 1, Reset: true})
		r, err := http.DefaultClient.Do(newRequest("http://"+addr, TheTurbo, hi(TheTurbo, added)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r.Body); string(got) != whole || err != nil {
			t.Errorf("a cut behind the end harmed the answer: %q, %v", got, err)
		}
		r.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestCutCountsOnlyWholeTokens(t *testing.T) {
	s := New(Options{Now: fixed, Behaviour: Behaviour{Text: "one two three"}})
	addr := start(t, s).Addr()
	whole := send(s, Evolink, hi(Evolink, `"stream":true,`)).Body.String()
	end := strings.Index(whole, `"delta":{"content":" three"`)
	inject(t, s, Fault{Name: "torn", Kind: Cut, AtByte: int64(end)})
	s.Reset()
	exchangeRaw(t, addr, Evolink, hi(Evolink, `"stream":true,`))
	e := settled(t, s, 1)[0]
	if e.TokensWritten != 2 || e.Usage.Completion != 3 || e.Choices[0] != (Delivered{Text: "one two"}) || e.Fault != "torn" {
		t.Errorf("the truth says %+v", e)
	}
}

func TestResets(t *testing.T) {
	s := New(Options{})
	addr := start(t, s).Addr()
	f := func(fault Fault, wantBytes bool, want error) {
		t.Helper()
		inject(t, s, fault)
		raw, end := exchangeRaw(t, addr, StarMagic, hi(StarMagic, `"stream":true,`))
		if (raw != "") != wantBytes || !errors.Is(end, want) {
			t.Errorf("%+v: got %d bytes, end %v", fault, len(raw), end)
		}
	}
	f(Fault{Kind: Cut, AtByte: 300, Reset: true}, true, syscall.ECONNRESET)
	f(Fault{Kind: Cut, AtByte: 0, Reset: true}, true, syscall.ECONNRESET)
	f(Fault{Kind: Drop, Reset: true}, false, syscall.ECONNRESET)
	f(Fault{Kind: Drop}, false, io.EOF)
}

func TestSilences(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "one two three"}})
	addr := start(t, s).Addr()
	// f sends a request, reads what comes before the silence, and leaves.
	f := func(fault Fault, added string, read func(net.Conn), wantStatus int, wantTokens int64) {
		t.Helper()
		inject(t, s, fault)
		s.Reset()
		conn := dial(t, addr, StarMagic, hi(StarMagic, added))
		read(conn)
		// The silence is real: nothing arrives before the client gives up.
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
			t.Errorf("%s: read %d bytes, %v", fault.Kind, n, err)
		}
		conn.Close()
		e := settled(t, s, 1)[0]
		if !e.ClientGone || e.Closed || e.Done || e.Status != wantStatus || e.TokensWritten != wantTokens || e.Fault != string(fault.Kind) {
			t.Errorf("%s: the truth says %+v", fault.Kind, e)
		}
	}
	nothing := func(net.Conn) {}
	header := func(c net.Conn) { events(t, c, 0) }
	three := func(c net.Conn) { events(t, c, 3) }
	f(Fault{Kind: HangBeforeHeaders}, `"stream":true,`, nothing, 0, 0)
	f(Fault{Kind: HangBeforeHeaders}, ``, nothing, 0, 0)
	f(Fault{Kind: HangBeforeFirstEvent}, `"stream":true,`, header, 200, 0)
	f(Fault{Kind: HangBeforeFirstEvent}, ``, header, 200, 0)
	f(Fault{Kind: Stall, Events: 3}, `"stream":true,`, three, 200, 2)
	f(Fault{Kind: Stall, Events: 3}, ``, header, 200, 0)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestSilencesThatEnd(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Text: "one two three"}})
	for _, kind := range []FaultKind{HangBeforeHeaders, HangBeforeFirstEvent, Stall} {
		for _, added := range []string{``, `"stream":true,`} {
			inject(t, s, Fault{Kind: kind, Events: 2, For: time.Millisecond})
			e := told(s, StarMagic, hi(StarMagic, added))
			if !e.Done || e.Choices[0].Text != "one two three" || e.Ended.Sub(e.Received) < time.Millisecond {
				t.Errorf("%s: the truth says %+v", kind, e)
			}
		}
	}
}

// Of two faults that are due, the first strikes and is spent; the second is left for later.
func TestTheFirstFaultStrikes(t *testing.T) {
	s := New(Options{})
	inject(t, s, Fault{Kind: Respond, Status: 503, Times: 1}, Fault{Kind: Respond, Status: 429, Times: 1})
	for i, want := range []int{503, 429, 200} {
		if w := send(s, Evolink, hi(Evolink, "")); w.Code != want {
			t.Errorf("request %d has status %d, want %d", i+1, w.Code, want)
		}
	}
}
