package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A scenario is one kind of load, and what is measured under it.
type scenario struct {
	name    string
	body    func(scale) string
	streams func(scale) string        // of a second request, sent in turns with the first; nil: there is none
	gap     func(scale) time.Duration // between a stream's tokens; nil: none
	// fresh gives every measurement a gateway of its own, because heaps that have grown do not shrink.
	fresh bool
	// added measures the provider itself too, and takes its figures off.
	added bool
	// relaxed measures a Tollgate with usage.sync relaxed, too; the rows have a table of their own.
	relaxed bool
	rows    []row
	measure func(context.Context, *load, settings) (figures, error)
	takes   func(settings) time.Duration // of one measurement, for the progress
}

// A row is one line of the table.
type row struct {
	what, unit string
	digits     int // behind the point
	goal       goal
	worst      bool // the greatest figure of the rounds is shown, not their median
}

// A goal is what Tollgate promises; the zero goal is none.
type goal struct {
	most float64
	of   quantity
}

// A quantity is what a goal bounds.
type quantity uint8

const (
	theFigure  quantity = iota
	theRatio            // to nginx
	overNginx           // what Tollgate adds to nginx's figure
	overBefore          // what it adds to that of an earlier Tollgate; unknown where none is measured
)

// settings say how a scenario is measured.
type settings struct {
	scale
	window time.Duration
	watch  watch
}

// A scale is how large the loads are.
type scale struct {
	warmUp       time.Duration
	clients      int // of saturated loads
	streamTokens int // of their streams
	paced        int // streams at once, at pace
	pacedTokens  int
	pace         time.Duration // between their tokens
	perSecond    int           // streams, for the time to the first byte
	mixed        int           // requests per second, every other one a stream
	held         int           // streams open at once, for their memory
	heldPace     time.Duration
	settle       time.Duration // before the memory of an idle gateway is read
}

func full() scale {
	return scale{
		warmUp: 500 * time.Millisecond, clients: 32, streamTokens: 200,
		paced: 500, pacedTokens: 100, pace: 20 * time.Millisecond,
		perSecond: 100, mixed: 500, held: 2000, heldPace: 500 * time.Millisecond, settle: time.Second,
	}
}

func small() scale {
	return scale{
		warmUp: 50 * time.Millisecond, clients: 4, streamTokens: 50,
		paced: 10, pacedTokens: 20, pace: 10 * time.Millisecond,
		perSecond: 50, mixed: 100, held: 20, heldPace: 100 * time.Millisecond, settle: 50 * time.Millisecond,
	}
}

const (
	streaming  = `"stream":true,"stream_options":{"include_usage":true},`
	heldTokens = 16
)

func streamOf(tokens int) string { return fmt.Sprintf(`%s"max_tokens":%d,`, streaming, tokens) }

// scenarios are all there are, in the order of the table.
func scenarios() []*scenario {
	return []*scenario{
		plain("plain-300", 300, "plain, 300 B body", goal{most: 4, of: theRatio}),
		plain("plain-100k", 100<<10, "plain, 100 KiB body", goal{}),
		plain("plain-1m", 1<<20, "plain, 1 MiB body", goal{}),
		saturatedStreams(),
		pacedStreams(),
		firstByte(),
		journal(),
		heldStreams(),
		idle(),
	}
}

func plain(name string, size int, what string, g goal) *scenario {
	return &scenario{
		name: name,
		body: func(scale) string { return promptOf(size, "") },
		rows: []row{
			{what: what, unit: "CPU us/request", digits: 1, goal: g},
			{what: what, unit: "requests/s", digits: 0},
		},
		measure: func(ctx context.Context, l *load, s settings) (figures, error) {
			u, err := l.closedLoop(ctx, s.saturated(), s.watch)
			return u.figures(
				each(u.cpu, u.requests),
				float64(u.requests)/u.wall.Seconds(),
			), err
		},
		takes: func(s settings) time.Duration { return s.warmUp + s.window },
	}
}

func (s settings) saturated() loop {
	return loop{clients: s.clients, warmUp: s.warmUp, window: s.window}
}

func saturatedStreams() *scenario {
	return &scenario{
		name: "sse-saturated",
		body: func(s scale) string { return promptOf(300, streamOf(s.streamTokens)) },
		rows: []row{{what: "SSE, saturated", unit: "CPU us/event", digits: 2, goal: goal{most: 1.6, of: theRatio}}},
		measure: func(ctx context.Context, l *load, s settings) (figures, error) {
			u, err := l.closedLoop(ctx, s.saturated(), s.watch)
			return u.figures(each(u.cpu, u.events)), err
		},
		takes: func(s settings) time.Duration { return s.warmUp + s.window },
	}
}

func pacedStreams() *scenario {
	lasts := func(s scale) time.Duration { return s.pace * time.Duration(s.pacedTokens) }
	return &scenario{
		name: "sse-paced",
		body: func(s scale) string { return promptOf(300, streamOf(s.pacedTokens)) },
		gap:  func(s scale) time.Duration { return s.pace },
		rows: []row{{what: "SSE, 500 streams at 20 ms", unit: "CPU us/event", digits: 2}},
		measure: func(ctx context.Context, l *load, s settings) (figures, error) {
			// The streams begin all over the time that one lasts, so that their ends do not come together.
			u, err := l.closedLoop(ctx, loop{clients: s.paced, spread: lasts(s.scale), warmUp: s.warmUp, window: s.window}, s.watch)
			return u.figures(each(u.cpu, u.events)), err
		},
		takes: func(s settings) time.Duration { return 2*lasts(s.scale) + s.warmUp + s.window },
	}
}

func firstByte() *scenario {
	return &scenario{
		name:  "ttfb",
		body:  func(scale) string { return promptOf(300, streamOf(10)) },
		gap:   func(s scale) time.Duration { return s.pace },
		added: true,
		rows:  []row{{what: "added time to first byte, 100 streams/s", unit: "ms, median", digits: 3, goal: goal{most: 0.5}}},
		measure: func(ctx context.Context, l *load, s settings) (figures, error) {
			took, err := l.firstBytes(ctx, pace{s.perSecond, s.warmUp, s.window})
			return figures{values: []float64{ms(medianOf(took))}}, err
		},
		takes: func(s settings) time.Duration { return s.warmUp + s.window },
	}
}

func heldStreams() *scenario {
	return &scenario{
		name:  "memory",
		body:  func(scale) string { return promptOf(1<<10, streamOf(heldTokens)) },
		gap:   func(s scale) time.Duration { return s.heldPace },
		fresh: true,
		rows:  []row{{what: "memory, 2,000 streams open", unit: "KiB/stream", digits: 1, goal: goal{most: 60}}},
		measure: func(ctx context.Context, l *load, s settings) (figures, error) {
			grown, err := l.growth(ctx, s.scale)
			return figures{values: []float64{float64(grown) / 1024 / float64(s.held)}}, err
		},
		takes: func(s settings) time.Duration { return s.heldPace * (heldTokens + 4) },
	}
}

// growth is how much resident memory the gateway gains by having the streams open.
func (l *load) growth(ctx context.Context, s scale) (int64, error) {
	// One short stream, so that the code is loaded that every stream needs.
	if _, err := ask(ctx, l.gateway, promptOf(1<<10, streamOf(1))); err != nil {
		return 0, err
	}
	before, err := resident(l.gateway.pids)
	if err != nil {
		return 0, err
	}
	var most int64
	err = l.hold(ctx, s.held, 4*s.heldPace, func(ctx context.Context) error {
		for range 20 {
			now, err := resident(l.gateway.pids)
			if err != nil {
				return err
			}
			most = max(most, now)
			if err := sleep(ctx, s.heldPace/5); err != nil {
				return err
			}
		}
		return l.gateway.alive()
	})
	return most - before, err
}

func idle() *scenario {
	return &scenario{
		name:  "idle",
		body:  func(scale) string { return promptOf(300, "") },
		fresh: true,
		rows:  []row{{what: "memory, idle", unit: "MiB", digits: 1}},
		measure: func(ctx context.Context, l *load, s settings) (figures, error) {
			if err := sleep(ctx, s.settle); err != nil {
				return figures{}, err
			}
			bytes, err := resident(l.gateway.pids)
			return figures{values: []float64{float64(bytes) / (1 << 20)}}, err
		},
		takes: func(s settings) time.Duration { return s.settle },
	}
}

// choose returns the scenarios that a list of names speaks of, all for none.
func choose(all []*scenario, only string) ([]*scenario, error) {
	if only == "" {
		return all, nil
	}
	var chosen []*scenario
	for name := range strings.SplitSeq(only, ",") {
		at := slices.IndexFunc(all, func(s *scenario) bool { return s.name == name })
		if at < 0 {
			return nil, fmt.Errorf("-only: there is no scenario %q; there are %s", name, names(all))
		}
		chosen = append(chosen, all[at])
	}
	return chosen, nil
}

func names(all []*scenario) string {
	var list []string
	for _, s := range all {
		list = append(list, s.name)
	}
	return strings.Join(list, ", ")
}
