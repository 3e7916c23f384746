package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMonitor is every line that an operator may read, of one subject after the other.
func TestMonitor(t *testing.T) {
	log, lines := newLog()
	m := NewMonitor(log, nil)
	for what := subjectAnswers; what <= subjectRest; what++ {
		s, called := subject{what: what, provider: "p"}, "https://h/v1"
		if what != subjectAddress {
			s.model, called = "m", "https://h/v1 key #1"
		}
		var label atomic.Pointer[string]
		label.Store(&called)
		tell := m.of(s, &label)
		if what == subjectRest {
			tell(change{state: StateCooling, cause: OutcomeQuota, wait: 2500 * time.Millisecond})
			tell(change{state: StateQuarantined, cause: OutcomeForbidden, wait: 5 * time.Minute})
		} else {
			tell(change{state: StateOpen, wait: 9 * time.Second})
			tell(change{state: StateHalfOpen})
		}
		tell(change{state: StateReady})
	}
	m.Close()
	const want = `level=WARN msg="circuit breaker opened: the upstream keeps failing" provider=p upstream="https://h/v1 key #1" model=m duration_ms=9000
level=INFO msg="circuit breaker half open: probing" provider=p upstream="https://h/v1 key #1" model=m
level=INFO msg="circuit breaker closed: the upstream works again" provider=p upstream="https://h/v1 key #1" model=m
level=WARN msg="circuit breaker of streams opened: the upstream keeps breaking off its streams" provider=p upstream="https://h/v1 key #1" model=m duration_ms=9000
level=INFO msg="circuit breaker of streams half open: probing" provider=p upstream="https://h/v1 key #1" model=m
level=INFO msg="circuit breaker of streams closed: the upstream works again" provider=p upstream="https://h/v1 key #1" model=m
level=WARN msg="circuit breaker of an address opened: the upstream keeps failing" provider=p upstream=https://h/v1 duration_ms=9000
level=INFO msg="circuit breaker of an address half open: probing" provider=p upstream=https://h/v1
level=INFO msg="circuit breaker of an address closed: the upstream works again" provider=p upstream=https://h/v1
level=INFO msg="left alone for a while: the provider asked for it" provider=p upstream="https://h/v1 key #1" model=m duration_ms=2500 outcome=quota
level=ERROR msg="credential not used for a tenant: the provider forbids what it asks; if no tenant gets answers, replace it, or ask the provider" provider=p upstream="https://h/v1 key #1" model=m duration_ms=300000 outcome=forbidden
level=INFO msg="credential accepted again" provider=p upstream="https://h/v1 key #1" model=m`
	if diff := cmp.Diff(want, strings.Join(lines.lines(), "\n")); diff != "" {
		t.Error(diff)
	}
}

// slowLog is a log whose every line takes a while.
type slowLog struct {
	nosy
	lines *[]string
}

func (l slowLog) Handle(_ context.Context, r slog.Record) error {
	time.Sleep(time.Second)
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%s", a.Key, a.Value)
		return true
	})
	*l.lines = append(*l.lines, line)
	return nil
}

func (l slowLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// TestMonitorNeverBlocks has more to tell than its log takes. What is lost is counted.
func TestMonitorNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		m := NewMonitor(slog.New(slowLog{lines: &lines}), nil)
		var label atomic.Pointer[string]
		label.Store(new(string))
		tell := m.of(subject{what: subjectAnswers, provider: "p"}, &label)
		begin := time.Now()
		tell(change{state: StateOpen})
		synctest.Wait() // it is being told
		for range pendingChanges + 44 {
			tell(change{state: StateHalfOpen})
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("telling takes %s", took)
		}
		m.Close()
		lost := 0
		for _, line := range lines {
			if line == "changes of upstreams' states were too many to be told count=44" {
				lost++
			}
		}
		if len(lines) != 1+pendingChanges+1 || lost != 1 {
			t.Errorf("of 1+256+44 changes %d lines are told, %d of them of what was lost", len(lines), lost)
		}
	})
}
