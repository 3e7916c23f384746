package e2e

import (
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/telemetry/otlptest"
)

// TestLeaving lets clients leave at any moment and in any way. However many
// they are, each request that was let in has one record, which charges for what
// was sent and no more, and no provider works for somebody who is not there.
func TestLeaving(t *testing.T) {
	alone(t)
	size := func(check, prove int) int {
		if proving() {
			return prove
		}
		return check
	}
	everyone := []string{"gemini-2.5-flash-lite", "gemini-2.0-flash", "gemini-3-pro-preview"}
	everywhere := []string{"before the header", "before the first token", "in the middle of a stream", "in a silent stream", "in a plain answer"}
	figures := newTable("", "left", "clients", "cancelled after: median", "p99", "longest")
	t.Run("cancel", func(t *testing.T) {
		alone(t)
		c := newCrowd(size(150, 6_000), 40, everyone...)
		l := newLeaving(t, c, nil)
		l.silences(t, 0)
		l.run(t)
		l.check(t, (*leaving).cancelled)
		l.met(t, everywhere...)
		l.show(t, figures)
	})
	t.Run("cancel over TLS", func(t *testing.T) {
		alone(t)
		c := newCrowd(size(75, 2_000), 40, everyone...)
		a := newAuthority(t)
		a.issue(t, 2)
		c.secure = a.trust()
		l := newLeaving(t, c, a.environment())
		l.silences(t, 0)
		l.run(t)
		l.check(t, (*leaving).cancelled)
		l.met(t, everywhere...)
		l.show(t, figures)
	})
	t.Run("drain", func(t *testing.T) {
		alone(t)
		c := newCrowd(size(75, 2_000), 40, "gemini-2.5-flash-lite")
		l := newLeaving(t, c, environment{"ON_DISCONNECT": "drain", "MAX_DRAINS": "1000"})
		l.silences(t, 200*time.Millisecond)
		l.run(t)
		l.check(t, (*leaving).drained)
		l.met(t, "drained")
		l.show(t, figures)
	})
	figures.log(t)
}

// leaving is a crowd, and all that is known about it when it has left.
type leaving struct {
	*fleet
	crowd   *crowd
	entries map[int]simulator.Entry // by guest: what a provider was asked
	lines   map[int]logLine
	records map[int]record
	phases  map[string]*phase
	unseen  int // were charged for the question, which was lost on its way
	wrong   complaints
}

func newLeaving(t *testing.T, c *crowd, changes environment) *leaving {
	t.Helper()
	env := environment{"REQUESTS_PER_MINUTE": "0", "COLLECTOR": otlptest.Start(t).GRPCURL()} // without traces no line names one
	for name, value := range changes {
		env[name] = value
	}
	l := &leaving{crowd: c, phases: map[string]*phase{}}
	l.fleet = newFleetWith(t, simulator.Options{TruthEntries: 2 * len(c.guests)}, measured(t, env))
	l.behave(simulator.Behaviour{FirstToken: unhurried() * 60 * time.Millisecond, Tokens: 30, Gap: unhurried() * 18 * time.Millisecond})
	return l
}

// silences make some providers say nothing for so long before the header, and
// in the middle of a stream; 0: until the client has left.
func (l *leaving) silences(t *testing.T, d time.Duration) {
	t.Helper()
	for _, p := range simulator.Providers() {
		l.inject(t,
			simulator.Fault{Kind: simulator.HangBeforeHeaders, Provider: p, Every: 6, For: d},
			simulator.Fault{Kind: simulator.Stall, Provider: p, Every: 5, Events: 6, For: d})
	}
}

// run lets the crowd come and leave, and gathers what is known of it. The
// gateway ends before the books are read: there will be nothing more in them.
func (l *leaving) run(t *testing.T) {
	t.Helper()
	secret := l.issue(t).Secret
	l.crowd.visit(t, l.gateway, secret)
	l.atRest(t)
	truth, err := l.providers.Settled(within(t, patience), 0)
	if err != nil {
		t.Fatalf("a provider is still working: %v", err)
	}
	until(t, "the end of every answer that was read on", patience, func() bool { return l.scrape(t)["tollgate_drains_active"] == "0" })
	until(t, "the line of each request that a provider was asked", patience, func() bool {
		truth = l.providers.Truth()
		return l.accounted(truth)
	})
	if _, body := l.get(t, "/admin/v1/upstreams"); strings.Count(body, `"state":"ready"`) != strings.Count(body, `"state":`) {
		t.Errorf("clients who leave are no reason to avoid a provider: %s", body)
	}
	first := l.gateway
	l.restart(t)
	l.gather(t, truth, first.accessLines())
}

// accounted reports whether each of these requests has left its line.
func (l *leaving) accounted(truth []simulator.Entry) bool {
	told := map[int]bool{}
	for _, line := range l.accessLines() {
		told[guestOfTrace(line.TraceID)] = true
	}
	for _, e := range truth {
		if !told[guestOf(e)] {
			return false
		}
	}
	return true
}

// gather sorts by guest what the providers, the log and the ledger know.
func (l *leaving) gather(t *testing.T, truth []simulator.Entry, lines []logLine) {
	t.Helper()
	l.entries, l.lines, l.records = map[int]simulator.Entry{}, map[int]logLine{}, map[int]record{}
	for _, e := range truth {
		if other, twice := l.entries[guestOf(e)]; twice {
			l.wrong.add("a provider was asked twice: %+v and %+v", other, e)
		}
		l.entries[guestOf(e)] = e
	}
	var ids []string
	for _, line := range lines {
		if line.EndReason == "" {
			continue // it was not let in
		}
		if other, twice := l.lines[guestOfTrace(line.TraceID)]; twice {
			l.wrong.add("a request ended twice: %+v and %+v", other, line)
		}
		l.lines[guestOfTrace(line.TraceID)] = line
		ids = append(ids, line.RequestID)
	}
	for id, found := range l.gateway.records(t, ids) {
		bills := settles(found)
		if len(bills) != 1 || bills[0].RequestID != id {
			l.wrong.add("the records of %s are %+v, want one that settles it", id, found)
			continue
		}
		l.records[guestOfTrace(bills[0].TraceID)] = bills[0]
	}
	var charge int64
	for _, r := range l.records {
		charge += r.Charge
	}
	if sum := l.ledger(t); sum.Requests != int64(len(l.lines)) || nanos(t, sum.Charge) != charge {
		t.Errorf("the bill is %+v, the records of %d requests say %d nano-dollars", sum, len(l.lines), charge)
	}
}

// check holds guest by guest what is known against what must be.
func (l *leaving) check(t *testing.T, asAgreed func(*leaving, *guest, simulator.Entry, record)) {
	t.Helper()
	finished := 0
	for n := range l.crowd.guests {
		g := &l.crowd.guests[n]
		if g.err != nil {
			l.wrong.add("guest %d: %v, after %q", n, g.err, g.got)
			continue
		}
		e, asked := l.entries[n]
		r, recorded := l.records[n]
		_, admitted := l.lines[n]
		switch {
		case asked && !recorded:
			l.wrong.add("a provider was asked and nothing was recorded: %+v", e)
		case admitted != recorded:
			l.wrong.add("guest %d was let in: %v, and has a record: %v", n, admitted, recorded)
		case g.whole() && r.EndReason != "completed":
			l.wrong.add("guest %d has a whole answer, and the record %+v", n, r)
		case recorded:
			l.checkBill(g, e, r)
		}
		if asked && recorded {
			asAgreed(l, g, e, r)
		}
		if g.whole() {
			finished++
		}
		if !asked {
			l.phase("before anybody was asked")
		}
	}
	l.wrong.fail(t)
	if len(l.entries) < len(l.crowd.guests)/2 || finished > len(l.crowd.guests)/2 {
		t.Errorf("of %d clients %d were let in and %d stayed to the end, which proves little", len(l.crowd.guests), len(l.entries), finished)
	}
}

// checkBill holds the charge against what was sent for the request.
func (l *leaving) checkBill(g *guest, e simulator.Entry, r record) {
	words := int64(len(strings.Fields(guestPrompt)) + 1)
	figures := r.figures()
	switch {
	case r.Source == "upstream" && (!e.UsageSent || figures != reported(e)):
		l.wrong.add("billed %+v as the provider's own figures, which are %+v", r, e)
	case r.Source == "upstream":
	case figures.completion > 2*e.TokensWritten+2 || e.TokensWritten == 0 && figures.completion > 0 || figures.prompt > 3*words:
		l.wrong.add("billed %+v for %d tokens sent", r, e.TokensWritten)
	case e.Number == 0 && (r.EndReason != "client_gone" || len(g.got) > 0):
		l.wrong.add("no provider was asked, and the record says %+v", r)
	case e.Number == 0 && r.Charge > 0:
		l.unseen++
	}
	// What a client was passed is a share of the estimate, by length: words differ in it.
	about := func(a, b int64) bool { return a <= 2*b+2 }
	if r.EndReason == "completed" && r.Delivered != 0 || r.EndReason != "completed" && (!about(r.Delivered, e.TokensWritten) || !about(g.words(), r.Delivered)) {
		l.wrong.add("guest %d has seen %d tokens of %d sent, and the record says %+v", g.number, g.words(), e.TokensWritten, r)
	}
	if want := tariffs()[r.Model].charge(figures); r.Charge != want {
		l.wrong.add("charged %d nano-dollars, want %d: %+v", r.Charge, want, r)
	}
	if r.Model != g.model || r.Stream != g.stream {
		l.wrong.add("guest %d asked %s, stream: %v, and was billed %+v", g.number, g.model, g.stream, r)
	}
}

// cancelled is what becomes of an answer whose client has left, unless the
// provider was finished before it knew.
func (l *leaving) cancelled(g *guest, e simulator.Entry, r record) {
	phase := l.phase(phaseOf(e))
	switch {
	case e.Done && (r.EndReason == "completed" || r.EndReason == "client_gone"):
	case e.Done || !e.ClientGone || r.EndReason != "client_gone":
		l.wrong.add("an answer that nobody waited for: %+v, recorded as %+v", e, r)
	default:
		phase.cancelled = append(phase.cancelled, e.Gone.Sub(g.left))
	}
}

// drained is what becomes of it where the provider's on_disconnect says drain.
func (l *leaving) drained(_ *guest, e simulator.Entry, r record) {
	if !e.Done || r.Source != "upstream" || r.EndReason != "completed" && r.EndReason != "client_gone" {
		l.wrong.add("an answer that should have been read to its end: %+v, recorded as %+v", e, r)
	}
	l.phase("drained")
}
