package proxy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"tollgate/upstream"
)

// change of an endpoint's state, as operators see it.
type change struct {
	at    time.Duration
	state upstream.State
}

func (c change) String() string { return fmt.Sprintf("%s at %s", c.state, c.at) }

// history is how an endpoint's state changed.
type history struct {
	storm    *storm
	provider string
	every    time.Duration
	mu       sync.Mutex
	changes  []change
	stop     context.CancelFunc
}

// watch notes the state of a provider's endpoint until the history is closed.
func (s *storm) watch(provider string, every time.Duration) *history {
	ctx, cancel := context.WithCancel(s.t.Context())
	h := &history{storm: s, provider: provider, every: every, stop: cancel}
	h.look()
	go func() {
		for pause(ctx, every) == nil {
			h.look()
		}
	}()
	return h
}

func (h *history) look() {
	state := h.storm.state(h.provider)
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.changes); n == 0 || h.changes[n-1].state != state {
		h.changes = append(h.changes, change{h.storm.now(), state})
	}
}

// close ends the watch and returns what was seen.
func (h *history) close() []change {
	h.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changes
}

// first is when a state was seen first, from a time on.
func first(changes []change, state upstream.State, from time.Duration) (time.Duration, bool) {
	for _, c := range changes {
		if c.state == state && c.at >= from {
			return c.at, true
		}
	}
	return 0, false
}

// stays are how long each stay in a state took, without one that goes on.
func stays(changes []change, state upstream.State) (times []time.Duration) {
	for i, c := range changes {
		if c.state == state && i+1 < len(changes) {
			times = append(times, changes[i+1].at-c.at)
		}
	}
	return times
}

// count is how often a state was entered.
func count(changes []change, state upstream.State) (n int) {
	for _, c := range changes {
		if c.state == state {
			n++
		}
	}
	return n
}

// state is that of a provider's one endpoint.
func (s *storm) state(provider string) upstream.State {
	for _, e := range s.table.Endpoints() {
		if e.Provider == provider {
			return e.State
		}
	}
	s.t.Fatalf("no endpoint of %q", provider)
	return ""
}

// servedOf counts the clients that got what they wanted.
func servedOf(visits []visit) (n int) {
	for i := range visits {
		if visits[i].served() {
			n++
		}
	}
	return n
}

// rate is a part of a whole.
func rate(part, whole int) float64 { return float64(part) / float64(max(1, whole)) }

// shares is the part of all upstream requests that each provider got, for the log.
func (s *storm) shares(from, to time.Duration) string {
	total := 0
	for _, p := range s.providers {
		total += p.between(from, to)
	}
	var text strings.Builder
	for _, p := range s.providers {
		fmt.Fprintf(&text, "%s %.1f%% ", p.name, 100*rate(p.between(from, to), total))
	}
	return text.String()
}

// asked is how many upstream requests there were.
func (s *storm) asked() (n int) {
	for _, p := range s.providers {
		n += len(p.all())
	}
	return n
}
