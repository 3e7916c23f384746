package upstream

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goccy/go-yaml"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parse reads a piece of config.yaml as strictly as the gateway does.
func parse(t *testing.T, text string) Config {
	t.Helper()
	var c Config
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatalf("the test's own configuration is wrong: %v", err)
	}
	return c
}

// build makes a table of a piece of config.yaml.
func build(t *testing.T, text string) *Table {
	t.Helper()
	table, err := NewTable(parse(t, text), TableOptions{})
	if err != nil {
		t.Fatalf("NewTable: %v", err)
	}
	return table
}

// model returns the one model of a table.
func model(t *testing.T, table *Table) *Model {
	t.Helper()
	m, ok := table.Model(table.Names()[0])
	if !ok || len(table.Names()) != 1 {
		t.Fatalf("the table has the models %v, want one", table.Names())
	}
	return m
}

// seeded builds the table of a piece of config.yaml with a random source that
// is the same in every run.
func seeded(t *testing.T, text string) *Table {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	return newTable(parse(t, text), TableOptions{Log: slog.New(slog.DiscardHandler)}, random.Uint64N)
}

// in runs a test with a clock of its own.
func in(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// attempt begins the first attempt of a request, or returns why there is none.
func attempt(m *Model) (*Attempt, error) { return attemptOf(m, RouteOptions{}) }

func attemptOf(m *Model, o RouteOptions) (*Attempt, error) {
	route, err := m.Route(&Needs{}, o)
	if err != nil {
		return nil, err
	}
	return onward(&route)
}

func onward(r *Route) (*Attempt, error) {
	a := new(Attempt)
	if err := r.Next(a); err != nil {
		return nil, err
	}
	return a, nil
}

// asks is how a tenant asks for a plain answer, as Route knows it.
func asks(tenant string) RouteOptions {
	return RouteOptions{Tenant: tenant}
}

// must begins an attempt that has to be let through.
func must(t *testing.T, m *Model) *Attempt {
	t.Helper()
	return mustOf(t, m, RouteOptions{})
}

func mustOf(t *testing.T, m *Model, o RouteOptions) *Attempt {
	t.Helper()
	a, err := attemptOf(m, o)
	if err != nil {
		t.Fatalf("no attempt is let through: %v", err)
	}
	return a
}

// finish ends an attempt like this. A stream that has begun is whole.
func finish(a *Attempt, o Outcome) {
	a.Report(Report{Outcome: o, Took: time.Second})
	a.End(EndingWhole)
}

// report makes n attempts, one after the other, that all end like this.
func report(t *testing.T, m *Model, n int, o Outcome) {
	t.Helper()
	for range n {
		finish(must(t, m), o)
	}
}

// burst makes n attempts at once that all end like this.
func burst(t *testing.T, m *Model, n int, o Outcome) {
	t.Helper()
	attempts := make([]*Attempt, n)
	for i := range attempts {
		attempts[i] = must(t, m)
	}
	for _, a := range attempts {
		finish(a, o)
	}
}

// refused checks that no attempt is let through, and returns the time to wait.
func refused(t *testing.T, m *Model) time.Duration {
	t.Helper()
	a, err := attempt(m)
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("Next = %v, %v; want it unavailable", a, err)
	}
	return unavailable.RetryAfter
}

// state is that of a model's only candidate.
func state(m *Model) State { return m.candidates[0].State() }

// standing is what operators see of a candidate.
func standing(c *Candidate) EndpointState { return c.view(c.clock.now()) }

// trip opens the breaker of a candidate's answers.
func trip(t interface{ Fatal(args ...any) }, c *Candidate) {
	force(t, c, c.lane.breaker, breakerStreak)
}

// force opens a breaker with at most so many failures.
func force(t interface{ Fatal(args ...any) }, c *Candidate, b *breaker, failures int) {
	for range failures {
		p := permit{}
		if b.admit(&p, c.clock.now(), onTime); b.phase.Load() != phaseClosed {
			return
		}
		settled(&p, effectFailure)
	}
	if b.phase.Load() == phaseClosed {
		t.Fatal("the breaker is still closed")
	}
}

// settled reports how an attempt ended that holds nothing but a permit.
func settled(p *permit, e effect) { p.report(e, p.breaker.clock.now(), tenantOf("").bit()) }

// label tells candidates apart in expectations.
func label(c *Candidate) string {
	return c.Provider.Name + "/" + c.Model + " " + c.Endpoint.String()
}

// logged is a log whose lines can be read while it is written to.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.text.String(), "\n"), "\n")
}

// newLog returns a log without times, and what was written to it.
func newLog() (*slog.Logger, *logged) {
	var l logged
	return slog.New(slog.NewTextHandler(&l, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})), &l
}

// withoutKey makes lines comparable whichever credential was chosen.
func withoutKey(lines []string) []string {
	for i := range lines {
		lines[i] = strings.NewReplacer("key #1", "key #N", "key #2", "key #N").Replace(lines[i])
	}
	return lines
}
