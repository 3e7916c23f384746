package proxy

import (
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/upstream"
)

// soon is a time limit that a scene runs into. All others are the defaults, of
// which no test lives to see the end.
const soon = 1500 * time.Millisecond

// slowly is a gap between words that leaves time to react to one before the next.
const slowly = 20 * time.Millisecond

func cancels() upstream.ProviderConfig { return upstream.ProviderConfig{OnDisconnect: "cancel"} }

func drains() upstream.ProviderConfig { return upstream.ProviderConfig{OnDisconnect: "drain"} }

// TestMatrixProviders lets providers do what can go wrong, to a client that waits
// for its answer. on_disconnect says nothing about that: both policies must give
// the same. A line is one scene and its fate, for a stream and for a plain answer;
// see fate for how to read it.
func TestMatrixProviders(t *testing.T) {
	cast := newCast(t)
	f := func(name string, s scene, stream, plain string) {
		for _, policy := range []upstream.ProviderConfig{cancels(), drains()} {
			s.policy = policy
			cast.both(name, s, stream, plain)
		}
	}
	const (
		whole   = "ok kept | 200 whole | completed upstream"
		refused = "request_refused kept | 400 simulated_fault | refused none"
		late    = "timeout cancelled | 504 upstream_timeout | upstream_timeout partial"
		stalled = "ok cancelled | 200 cut upstream_timeout | upstream_timeout partial"
		failed  = " | 502 upstream_error | upstream_failed none"
	)
	over := func(first string) string { return first + ", " + whole }
	cut := func(connection string) string {
		return "ok " + connection + " | 200 cut upstream_interrupted | upstream_cut partial"
	}
	fault := func(kind simulator.FaultKind) simulator.Fault { return simulator.Fault{Kind: kind} }
	behind := func(events int, kind simulator.FaultKind) simulator.Fault {
		return simulator.Fault{Kind: kind, Events: events}
	}
	at := func(bytes int64, kind simulator.FaultKind) simulator.Fault {
		return simulator.Fault{Kind: kind, AtByte: bytes}
	}
	status := func(code int) simulator.Fault { return simulator.Fault{Kind: simulator.Respond, Status: code} }
	reset := func(f simulator.Fault) simulator.Fault { f.Reset = true; return f }
	slow, silent := upstream.Timeouts{FirstToken: soon, Answer: soon}, upstream.Timeouts{Idle: soon, Answer: soon}
	total, events := upstream.Timeouts{Total: soon}, leftOut("a plain answer has no events")

	f("all is well", scene{}, whole, whole)
	f("400", scene{fault: status(400)}, refused, refused)
	f("401", scene{fault: status(401)}, over("credential_refused kept"), over("credential_refused kept"))
	f("402", scene{fault: status(402)}, over("quota kept"), over("quota kept"))
	f("429", scene{fault: status(429)}, over("throttled kept"), over("throttled kept"))
	f("500", scene{fault: status(500)}, over("server_error kept"), over("server_error kept"))
	f("500, slow", scene{fault: status(500), holds: &spot{bytes: 20}}, over("server_error cancelled"), over("server_error cancelled"))
	f("503, both", scene{fault: status(503), both: true}, "server_error kept, server_error kept"+failed, "server_error kept, server_error kept"+failed)
	f("a redirect", scene{fault: status(307)}, over("invalid_answer kept"), over("invalid_answer kept"))

	f("hang before the head", scene{fault: fault(simulator.HangBeforeHeaders), limits: slow}, over("timeout cancelled"), over("timeout cancelled"))
	f("hang before the head, both", scene{fault: fault(simulator.HangBeforeHeaders), limits: slow, both: true}, "timeout cancelled, "+late, "timeout cancelled, "+late)
	f("hang for all the time there is", scene{fault: fault(simulator.HangBeforeHeaders), limits: total}, late, late)
	f("hang before the first event", scene{fault: fault(simulator.HangBeforeFirstEvent), limits: slow}, over("timeout cancelled"), over("timeout cancelled"))
	f("hang behind the role", scene{fault: behind(1, simulator.Stall), limits: slow}, over("timeout cancelled"), events)
	f("stall", scene{fault: behind(9, simulator.Stall), limits: silent}, stalled, events)
	f("stall for all the time there is", scene{fault: behind(9, simulator.Stall), limits: total}, stalled, events)
	f("drip without end", scene{fault: simulator.Fault{Kind: simulator.Drip, Events: 9, For: time.Minute}, limits: silent}, stalled, over("timeout cancelled"))
	f("drip", scene{fault: behind(9, simulator.Drip)}, whole, whole)

	f("drop", scene{fault: fault(simulator.Drop)}, over("cut cut"), over("cut cut"))
	f("drop by reset", scene{fault: reset(fault(simulator.Drop))}, over("cut cut"), over("cut cut"))
	f("drop, both", scene{fault: fault(simulator.Drop), both: true}, "cut cut, cut cut"+failed, "cut cut, cut cut"+failed)
	f("cut before the first event", scene{fault: at(0, simulator.Cut)}, over("cut cut"), over("cut cut"))
	f("cut inside the first event", scene{fault: at(50, simulator.Cut)}, over("cut cut"), over("cut cut"))
	f("cut behind the role", scene{fault: behind(1, simulator.CutBetween)}, over("cut cut"), leftOut("the same as between events"))
	f("cut between events", scene{fault: behind(9, simulator.CutBetween)}, cut("cut"), over("cut cut"))
	f("cut inside an event", scene{fault: at(2000, simulator.Cut)}, cut("cut"), leftOut("as inside the first event"))
	f("cut by reset", scene{fault: reset(behind(12, simulator.CutBetween)), gap: slowly}, cut("cut"), leftOut("a reset may overtake the body, which changes nothing"))
	f("cut behind [DONE]", scene{fault: behind(matrixWords+4, simulator.CutBetween)}, "ok cut | 200 whole | completed upstream", events)
	f("cut inside the first chunk", scene{fault: at(50, simulator.CutInside)}, over("cut cut"), over("cut cut"))
	f("cut inside a chunk", scene{fault: at(2000, simulator.CutInside)}, cut("cut"), leftOut("it has one chunk"))
	f("a short body", scene{fault: at(2000, simulator.ShortBody)}, cut("cut"), over("cut cut"))
	f("a malformed first chunk", scene{fault: behind(0, simulator.MalformedChunk)}, over("cut cut"), over("cut cut"))
	f("a malformed chunk", scene{fault: behind(9, simulator.MalformedChunk)}, cut("cut"), leftOut("it has one chunk"))

	f("HTML", scene{fault: fault(simulator.HTML)}, over("invalid_answer kept"), over("invalid_answer kept"))
	f("nothing", scene{fault: fault(simulator.Empty)}, over("invalid_answer kept"), over("invalid_answer kept"))
	f("nothing, both", scene{fault: fault(simulator.Empty), both: true}, "invalid_answer kept, invalid_answer kept"+failed, "invalid_answer kept, invalid_answer kept"+failed)
	f("an error first", scene{fault: behind(0, simulator.ErrorEvent)}, over("invalid_answer kept"), over("invalid_answer kept"))
	f("an error behind the role", scene{fault: behind(1, simulator.ErrorEvent)}, over("invalid_answer kept"), events)
	f("an error mid-stream", scene{fault: behind(9, simulator.ErrorEvent)}, cut("kept"), events)
	f("no JSON first", scene{fault: behind(0, simulator.MalformedEvent), gap: slowly}, over("invalid_answer cancelled"), over("invalid_answer kept"))
	f("no JSON mid-stream", scene{fault: behind(9, simulator.MalformedEvent), gap: slowly}, cut("cancelled"), events)
	f("a clean end behind the role", scene{fault: behind(1, simulator.EndEarly)}, over("invalid_answer kept"), over("invalid_answer kept"))
	f("a clean end mid-stream", scene{fault: behind(9, simulator.EndEarly)}, cut("kept"), events)
	f("no [DONE]", scene{fault: fault(simulator.NoDone)}, "ok kept | 200 cut upstream_interrupted | upstream_cut upstream", events)
	f("[DONE] without a finish", scene{fault: fault(simulator.DoneWithoutFinish)}, cut("kept"), over("invalid_answer kept"))
	f("more behind [DONE]", scene{fault: fault(simulator.AfterDone)}, whole, events)
	f("a giant event", scene{fault: behind(9, simulator.GiantEvent)}, whole, whole)

	f("wrong figures", scene{fault: fault(simulator.WrongUsage)}, "ok kept | 200 whole | completed rejected", "ok kept | 200 whole | completed rejected")
	f("no figures", scene{fault: fault(simulator.NoUsage)}, "ok kept | 200 whole | completed estimated", "ok kept | 200 whole | completed estimated")
	f("never figures", scene{contract: "theturbo"}, "ok kept | 200 whole | completed estimated", whole)
	f("never figures, cut", scene{contract: "theturbo", fault: behind(9, simulator.CutBetween)}, cut("cut"), leftOut("as between events"))
	cast.leave()
}

// byPolicy are the fates of a scene under on_disconnect's two values.
type byPolicy struct{ cancel, drain string }

// TestMatrixClients lets clients leave at each moment, with a FIN and with an RST.
// Where the answer is drained, the provider goes on only when the gateway has
// noticed: what it says from then on nobody hears.
func TestMatrixClients(t *testing.T) {
	cast := newCast(t)
	leave := func(name string, s scene, stream, plain byPolicy) {
		for _, end := range []struct {
			name string
			how  func(*caller)
		}{{"FIN", (*caller).hangUp}, {"RST", (*caller).reset}} {
			s.deed = func(m *matrix) { m.leave(end.how) }
			s.policy = cancels()
			cast.both(name+"/"+end.name, s, stream.cancel, plain.cancel)
			s.policy.OnDisconnect, s.policy.DrainTime, s.policy.DrainTokens = "drain", s.drainTime, s.drainTokens
			cast.both(name+"/"+end.name, s, stream.drain, plain.drain)
		}
	}
	const (
		cancelled = "client_gone cancelled | left 499 | client_gone partial"
		drained   = "ok kept | left 499 | client_gone upstream"
		ended     = "ok cancelled | left 200 | client_gone partial"
		heard     = "ok kept | left 200 | client_gone upstream"
	)
	early, begun := byPolicy{cancelled, drained}, byPolicy{ended, heard}
	events := byPolicy{leftOut("a plain answer has no events"), leftOut("a plain answer has no events")}
	only := func(drain string) byPolicy { return byPolicy{leftOut("as before"), drain} }
	head, nothing := &spot{head: true}, &spot{}

	leave("before the head", scene{holds: head}, early, early)
	leave("before the first event", scene{holds: nothing}, early, early)
	leave("behind the role", scene{holds: &spot{writes: 1}}, early, events)
	leave("inside the first token", scene{holds: &spot{writes: 1, bytes: 150}}, early, events)
	leave("amid a plain answer", scene{holds: &spot{bytes: 150}}, events, early)
	leave("mid-stream", scene{holds: &spot{writes: 100}, gap: 2 * time.Millisecond, words: 120, reads: 3}, begun, events)
	leave("amid silence", scene{holds: &spot{writes: 9}, reads: 8}, begun, events)
	leave("amid an event", scene{holds: &spot{writes: 9, bytes: 150}, reads: 8}, begun, events)
	leave("before the head, never figures", scene{contract: "theturbo", holds: head}, byPolicy{cancelled, "ok kept | left 499 | client_gone partial"}, early)
	leave("amid silence, never figures", scene{contract: "theturbo", holds: &spot{writes: 9}, reads: 8}, byPolicy{ended, "ok kept | left 200 | client_gone partial"}, events)
	leave("behind an unread request", scene{holds: nothing, pipelined: true}, early, early)
	leave("amid a second attempt", scene{fault: simulator.Fault{Kind: simulator.Respond, Status: 500}, holds: nothing, holdsSecond: true},
		byPolicy{"server_error kept, " + cancelled, "server_error kept, " + drained}, byPolicy{"server_error kept, " + cancelled, "server_error kept, " + drained})
	leave("no drain allowed", scene{holds: nothing, stuck: true, config: func(c *Config) { c.MaxDrains = 0 }}, only(cancelled), only(cancelled))
	leave("no drain allowed, amid silence", scene{holds: &spot{writes: 9}, reads: 8, stuck: true, config: func(c *Config) { c.MaxDrains = 0 }}, only(ended), events)
	leave("drain_time over", scene{holds: nothing, stuck: true, drainTime: soon}, only(cancelled), only(cancelled))
	leave("drain_time over, amid silence", scene{holds: &spot{writes: 9}, reads: 8, stuck: true, drainTime: soon}, only(ended), events)
	leave("drain_tokens spent", scene{holds: &spot{writes: 9}, reads: 8, words: 400, gap: 2 * time.Millisecond, drainTokens: 10}, only(ended), events)
	leave("cut while drained", scene{holds: &spot{writes: 9}, reads: 8, fault: simulator.Fault{Kind: simulator.CutBetween, Events: 20}}, only("ok cut | left 200 | client_gone partial"), events)
	leave("cut before a drain's first event", scene{holds: nothing, fault: simulator.Fault{Kind: simulator.Cut, AtByte: 50}}, only("cut cut | left 499 | upstream_failed none"), only("cut cut | left 499 | upstream_failed none"))

	// One that stays and accepts nothing is no better than one that has left, once
	// write_timeout is over. A plain answer was whole before.
	const more = 5 << 20 // than sockets hold
	s := scene{fault: simulator.Fault{Kind: simulator.GiantEvent, Events: 9, Size: more + 1<<20}, holds: &spot{writes: 9, bytes: more}, untimed: true}
	s.deed = func(m *matrix) {
		m.client.left = time.Now()
		if m.policy.OnDisconnect == "drain" {
			m.gate.open()
		}
	}
	s.config = func(c *Config) { c.WriteTimeout = soon }
	s.policy = cancels()
	cast.both("accepting nothing", s, ended, "ok kept | left 200 | completed upstream")
	s.policy = upstream.ProviderConfig{OnDisconnect: "drain", DrainTokens: more}
	cast.both("accepting nothing", s, heard, "ok kept | left 200 | completed upstream")
	cast.leave()
}

// TestMatrixShutdown ends the gateway at each moment.
func TestMatrixShutdown(t *testing.T) {
	cast := newCast(t)
	f := func(name string, s scene, stream, plain string) {
		for _, policy := range []upstream.ProviderConfig{cancels(), drains()} {
			s.policy = policy
			cast.both(name, s, stream, plain)
		}
	}
	const (
		abandoned = "abandoned cancelled | 503 shutting_down | shutdown partial"
		cut       = "ok cancelled | 200 cut shutting_down | shutdown partial"
		whole     = "ok kept | 200 whole | completed upstream"
	)
	events := leftOut("a plain answer has no events")
	halt := func(m *matrix) { m.halt() }
	finish := func(m *matrix) { m.finish() }
	f("before the head", scene{deed: halt, holds: &spot{head: true}}, abandoned, abandoned)
	f("before the first event", scene{deed: halt, holds: &spot{}}, abandoned, abandoned)
	f("behind the role", scene{deed: halt, holds: &spot{writes: 1}}, abandoned, events)
	f("amid a plain answer", scene{deed: halt, holds: &spot{bytes: 150}}, events, abandoned)
	f("mid-stream", scene{deed: halt, holds: &spot{writes: 200}, gap: 2 * time.Millisecond, words: 220, reads: 3}, cut, events)
	f("amid silence", scene{deed: halt, holds: &spot{writes: 9}, reads: 8}, cut, events)
	f("amid an event", scene{deed: halt, holds: &spot{writes: 9, bytes: 150}, reads: 8}, cut, events)
	f("in time, before the head", scene{deed: finish, holds: &spot{head: true}}, whole, whole)
	f("in time, amid silence", scene{deed: finish, holds: &spot{writes: 9}, reads: 8}, whole, events)

	// A client that has left is not waited for, however long others are.
	s := scene{deed: func(m *matrix) { m.abandon() }, policy: drains(), holds: &spot{}}
	cast.both("while drained", s, "client_gone cancelled | left 499 | client_gone partial", "client_gone cancelled | left 499 | client_gone partial")
	s.holds, s.reads = &spot{writes: 9}, 8
	cast.both("while drained, amid silence", s, "ok cancelled | left 200 | client_gone partial", events)
	cast.leave()
}
