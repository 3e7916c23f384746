package e2e

import (
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
)

// phase is those who left at one point of their answer.
type phase struct {
	guests    int
	cancelled times // how long after one had left its provider knew it
}

// phase counts one more guest in it.
func (l *leaving) phase(name string) *phase {
	if l.phases[name] == nil {
		l.phases[name] = new(phase)
	}
	l.phases[name].guests++
	return l.phases[name]
}

// phaseOf is where an answer stood when it ended.
func phaseOf(e simulator.Entry) string {
	switch {
	case e.Done:
		return "after the end"
	case !e.Stream:
		return "in a plain answer"
	case e.Status == 0:
		return "before the header"
	case e.TokensWritten == 0:
		return "before the first token"
	case e.Fault != "":
		return "in a silent stream"
	}
	return "in the middle of a stream"
}

// met fails the test unless somebody has left in each of these phases.
func (l *leaving) met(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if l.phases[name] == nil {
			t.Errorf("nobody has left %s, which proves nothing about it", name)
		}
	}
}

// show adds the figures of each phase, and holds them to ten times what is promised.
func (l *leaving) show(t *testing.T, rows *table) {
	t.Helper()
	const (
		promised = 50 * time.Millisecond
		most     = 500 * time.Millisecond // on a machine that the test itself keeps busy
	)
	_, way, _ := strings.Cut(t.Name(), "/")
	// What is being written when its client leaves may have been sent, or not.
	rows.add(way, "charged, and lost on the way to a provider", l.unseen)
	if share := len(l.crowd.guests) / 100; proving() && l.unseen > share {
		t.Errorf("%d requests were charged for although no provider has seen them, want %d at most", l.unseen, share)
	}
	for _, name := range []string{
		"before anybody was asked", "before the header", "before the first token", "in the middle of a stream", "in a silent stream",
		"in a plain answer", "after the end", "drained",
	} {
		switch p := l.phases[name]; {
		case p == nil:
		case len(p.cancelled) == 0:
			rows.add(way, name, p.guests)
		default:
			rows.add(way, name, p.guests, p.cancelled.quantile(0.5), p.cancelled.quantile(0.99), p.cancelled.quantile(1))
			if median := p.cancelled.quantile(0.5); proving() && median > promised {
				t.Errorf("%s: half of the providers work on for %s, want %s at most", name, median, promised)
			}
			if proving() && p.cancelled.quantile(0.99) > most {
				t.Errorf("%s: a provider works on for %s, want %s at most", name, p.cancelled.quantile(0.99), most)
			}
		}
	}
}
