package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/usage"
)

// TestMatrixLetters has streams written in every way that the standard allows:
// the client gets the provider's bytes, with the usage chunk or without it as it
// has asked, and the bill is the same.
func TestMatrixLetters(t *testing.T) {
	cast := newCast(t)
	const whole = "ok kept | 200 whole | completed upstream"
	cut := func(events int) simulator.Fault { return simulator.Fault{Kind: simulator.CutBetween, Events: events} }
	for _, style := range simulator.Styles() {
		amid := &spot{writes: 9}
		if style == simulator.Torn || style == simulator.Mixed {
			amid.writes = 300 // of a few bytes each
		}
		f := func(name string, s scene, want string) {
			s.stream, s.style, s.policy = true, style, cancels()
			cast.play(string(style)+"/"+name, s, want)
		}
		f("whole", scene{}, whole)
		f("whole, with usage", scene{usage: true}, whole)
		f("comments between", scene{comments: 2}, whole)
		f("cut", scene{fault: cut(9)}, "ok cut | 200 cut upstream_interrupted | upstream_cut partial")
		f("cut behind a comment", scene{fault: cut(9), comments: 1}, "ok cut | 200 cut upstream_interrupted | upstream_cut partial")
		f("cut inside an event", scene{fault: simulator.Fault{Kind: simulator.Cut, AtByte: 2500}}, "ok cut | 200 cut upstream_interrupted | upstream_cut partial")
		f("keep-alive", scene{config: keptAlive, holds: amid, comment: true, deed: (*matrix).goOn}, whole)
		f("never figures, with usage", scene{contract: "theturbo", usage: true}, "ok kept | 200 whole | completed estimated")
	}
	cast.leave()
}

// keptAlive has comments sent after a short silence.
func keptAlive(c *Config) { c.KeepaliveComment = 100 * time.Millisecond }

// TestMatrixGiants sends an event of a MiB: it passes as it comes, not when it is
// whole, up to the largest that is taken.
func TestMatrixGiants(t *testing.T) {
	const size = 1 << 20
	giant := simulator.Fault{Kind: simulator.GiantEvent, Events: 9, Size: size}
	cast := newCast(t)
	s := scene{stream: true, policy: cancels(), fault: giant, holds: &spot{writes: 9, bytes: size / 2}}
	s.deed = func(m *matrix) {
		m.reach()
		m.client.readBytes(size / 4) // the provider holds half of it back
		m.gate.open()
		m.client.all()
	}
	cast.play("passes as it comes", s, "ok kept | 200 whole | completed upstream")
	s.config = keptAlive // which finds no place within an event
	s.deed = func(m *matrix) {
		m.reach()
		m.client.readBytes(size / 4)
		time.Sleep(3 * m.gateway.Config.KeepaliveComment)
		m.gate.open()
		m.client.all()
	}
	cast.play("keep-alive amid it", s, "ok kept | 200 whole | completed upstream")
	s.deed = func(m *matrix) { m.client.all() } // the provider is held where the event is too long already
	s.config = func(c *Config) { c.MaxEvent = size / 4 }
	cast.play("beyond max_event", s, "ok cancelled | 200 cut upstream_interrupted | upstream_cut partial")
	cast.leave()
}

// checkLetters compares what the client got with what the provider sent, byte
// for byte.
func (m *matrix) checkLetters(bill usage.Record) {
	m.t.Helper()
	transfers := m.stand(bill.Provider).transfers()
	sent, got := transfers[len(transfers)-1].bytes(), m.client.got.String()
	if commented := got; strings.Contains(got, string(keepalive())) {
		got = strings.ReplaceAll(commented, string(keepalive()), "")
		if !slices.Equal(eventsOf(commented), eventsOf(got)) {
			m.t.Errorf("a comment stands within an event: %q", tail(commented))
		}
	}
	differ := func() { m.t.Errorf("\n got: %q\nsent: %q", tail(got), tail(sent)) }
	if !m.stream {
		if got != sent {
			differ()
		}
		return
	}
	if m.client.end != nil { // Tollgate's own event comes last, and ends one that stands open
		got = got[:strings.LastIndex(got, "data: {")]
		if whole := strings.TrimRight(got, "\n"); !strings.HasPrefix(withoutUsage(sent), whole) || len(got)-len(whole) > 2 {
			differ()
		}
		return
	}
	if whole := throughDone(sent); withoutUsage(got) != withoutUsage(whole) || m.usage && m.contract == "" && got != whole {
		differ()
	}
	want := 0
	if m.usage {
		want = 1
	}
	figures := fmt.Sprintf(`"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d`, bill.Prompt, bill.Completion, bill.Prompt+bill.Completion)
	flat := strings.Join(eventsOf(got), "\n")
	if n := strings.Count(flat, `"choices":[],`); n != want || n > 0 && !strings.Contains(strings.ReplaceAll(flat, ",\n", ","), figures) {
		m.t.Errorf("%d usage chunks, want %d with %s: %q", n, want, figures, tail(got))
	}
}

// withoutUsage is a stream without its usage chunk.
func withoutUsage(stream string) string {
	var rest strings.Builder
	for _, event := range rawEvents(stream) {
		if !strings.Contains(event, `"choices":[],`) {
			rest.WriteString(event)
		}
	}
	return rest.String()
}

// throughDone is a stream up to its first [DONE]: what stands behind is no part
// of the answer.
func throughDone(stream string) string {
	var answer strings.Builder
	for _, event := range rawEvents(stream) {
		answer.WriteString(event)
		if strings.Contains(event, "[DONE]") {
			break
		}
	}
	return answer.String()
}

// rawEvents cuts a stream behind each blank line, however its lines end.
func rawEvents(stream string) (events []string) {
	for len(stream) > 0 {
		end := len(stream)
		for _, blankLine := range []string{"\n\n", "\r\r", "\r\n\r\n"} {
			if at := strings.Index(stream[:end], blankLine); at >= 0 {
				end = at + len(blankLine)
			}
		}
		events, stream = append(events, stream[:end]), stream[end:]
	}
	return events
}
