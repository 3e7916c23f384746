//go:build !race

package telemetry

import (
	"io"
	"testing"
)

// The race detector allocates on its own, so this one runs without it.
func TestMeasurementsDoNotAllocate(t *testing.T) {
	m := newTestMetrics(t)
	measure(m)
	if n := testing.AllocsPerRun(1000, func() { measure(m) }); n != 0 {
		t.Errorf("%v allocations for the measurements of one request, want 0", n)
	}
}

func TestCountsOfUpstreamsDoNotAllocate(t *testing.T) {
	m := newTestMetrics(t)
	count := func() {
		m.UpstreamChanged("starmagic", "gemini-2.5-flash-lite", "open")
		m.Retry("gemini-flash", "made")
	}
	count()
	if n := testing.AllocsPerRun(1000, count); n != 0 {
		t.Errorf("%v allocations for a change and a retry, want 0", n)
	}
}

func TestNoTracesDoNotAllocate(t *testing.T) {
	var traces *Traces
	if n := testing.AllocsPerRun(1000, func() {
		span := traces.Begin(RequestHead{Method: "POST"})
		span.Attempt(AttemptHead{Provider: "starmagic"}).End(AttemptEnd{Outcome: "ok"})
		span.End(Access{Status: 200})
	}); n != 0 {
		t.Errorf("%v allocations for the spans of nobody, want 0", n)
	}
}

func TestAccessLineDoesNotAllocate(t *testing.T) {
	log, end, err := NewLogger(io.Discard, Config{LogLevel: "info", LogFormat: "json"})
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if n := testing.AllocsPerRun(1000, func() { LogAccess(t.Context(), log, access()) }); n != 0 {
		t.Errorf("%v allocations for the access line of one request, want 0", n)
	}
}
