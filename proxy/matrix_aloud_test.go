package proxy

import (
	"testing"

	"tollgate/simulator"
	"tollgate/upstream"
)

// TestMatrixAloud has comments sent before the first token
// (server.keepalive_before_first_token): from the first one on the status is 200,
// and what would have been another is an error event. Nothing else is different.
func TestMatrixAloud(t *testing.T) {
	cast := newCast(t)
	play := func(name string, s scene, want string) {
		s.stream, s.config = true, func(c *Config) {
			c.KeepaliveBeforeFirstToken = true
			if s.comment || s.fault.Kind == simulator.HangBeforeHeaders {
				keptAlive(c)
			}
		}
		cast.play(name, s, want)
	}
	f := func(name string, s scene, want string) {
		for _, policy := range []upstream.ProviderConfig{cancels(), drains()} {
			s.policy = policy
			play(name+"/"+policy.OnDisconnect, s, want)
		}
	}
	const (
		whole = "ok kept | 200 whole | completed upstream"
		late  = "timeout cancelled | 200 cut upstream_timeout | upstream_timeout partial"
	)
	status := func(code int) simulator.Fault { return simulator.Fault{Kind: simulator.Respond, Status: code} }
	hang := simulator.Fault{Kind: simulator.HangBeforeHeaders}
	slow, head := upstream.Timeouts{FirstToken: soon}, &spot{head: true}

	f("at once", scene{}, whole)
	f("at once, 400", scene{fault: status(400)}, "request_refused kept | 400 simulated_fault | refused none")
	f("at once, 500", scene{fault: status(500)}, "server_error kept, "+whole)
	f("behind a comment", scene{holds: &spot{}, comment: true, deed: (*matrix).goOn}, whole)
	f("behind a comment, 400", scene{holds: head, comment: true, deed: (*matrix).goOn, fault: status(400)}, "request_refused kept | 200 cut simulated_fault | refused none")
	f("behind a comment, 500", scene{holds: head, comment: true, deed: (*matrix).goOn, fault: status(500)}, "server_error kept, "+whole)
	f("behind a comment, 500, both", scene{holds: head, comment: true, deed: (*matrix).goOn, fault: status(500), both: true}, "server_error kept, server_error kept | 200 cut upstream_error | upstream_failed none")
	f("hang", scene{fault: hang, limits: slow}, "timeout cancelled, "+whole)
	f("hang, both", scene{fault: hang, limits: slow, both: true}, "timeout cancelled, "+late)
	f("hang for all the time there is", scene{fault: hang, limits: upstream.Timeouts{Total: 2 * soon}}, late)
	f("cut behind a comment", scene{holds: &spot{}, comment: true, deed: (*matrix).goOn, fault: simulator.Fault{Kind: simulator.CutBetween, Events: 9}}, "ok cut | 200 cut upstream_interrupted | upstream_cut partial")
	f("shut down before a comment", scene{holds: head, deed: (*matrix).haltAtOnce}, "abandoned cancelled | 503 shutting_down | shutdown partial")
	f("shut down behind a comment", scene{holds: head, comment: true, deed: (*matrix).halt}, "abandoned cancelled | 200 cut shutting_down | shutdown partial")

	leave := func(name string, s scene, cancelled, drained string) {
		for _, end := range []struct {
			name string
			how  func(*caller)
		}{{"FIN", (*caller).hangUp}, {"RST", (*caller).reset}} {
			s.deed = func(m *matrix) { m.leave(end.how) }
			s.policy = cancels()
			play(name+"/"+end.name+"/cancel", s, cancelled)
			s.policy = drains()
			play(name+"/"+end.name+"/drain", s, drained)
		}
	}
	leave("leaving before a comment", scene{holds: head}, "client_gone cancelled | left 499 | client_gone partial", "ok kept | left 499 | client_gone upstream")
	leave("leaving behind a comment", scene{holds: head, comment: true}, "client_gone cancelled | left 200 | client_gone partial", "ok kept | left 200 | client_gone upstream")
	leave("leaving behind a comment and a role", scene{holds: &spot{writes: 1}, comment: true}, "client_gone cancelled | left 200 | client_gone partial", "ok kept | left 200 | client_gone upstream")
	leave("leaving amid silence", scene{holds: &spot{writes: 9}, reads: 8}, "ok cancelled | left 200 | client_gone partial", "ok kept | left 200 | client_gone upstream")
	cast.leave()
}
