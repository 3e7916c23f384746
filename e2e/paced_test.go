package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPaced holds many streams open whose providers say a word now and then.
// Each word goes on at once and by itself, and a stream that waits costs little.
func TestPaced(t *testing.T) {
	alone(t)
	streams, ticks := 100, 20
	if proving() {
		streams, ticks = 2_000, 600
	}
	const gap = 100 * time.Millisecond
	m := newMetronome(t, gap)
	f := newFleet(t, measured(t, environment{"FOURTH": m.url, "REQUESTS_PER_MINUTE": "0"}))
	p := &paced{fleet: f, metronome: m, request: completion(f.issue(t).Secret, inStream(question("fourth", "Please keep time")))}
	m.ticks.Store(5)
	p.hear(t, 10, gap) // so that everything is in memory that a stream needs
	f.atRest(t)
	before, err := f.memory()
	if err != nil {
		t.Fatal(err)
	}
	m.ticks.Store(int64(ticks))
	most := p.hear(t, streams, time.Duration(streams)*time.Millisecond)
	p.check(t, before, most)
}

// paced are streams through the gateway, and beside them a few that come to the
// client directly: the time that these take is the machine's own.
type paced struct {
	*fleet
	metronome *metronome
	request   string

	through, direct []heardBeats
}

// hear listens to so many streams, which begin within spread. It returns the
// most memory that the gateway had while all of them were open.
func (p *paced) hear(t *testing.T, streams int, spread time.Duration) memory {
	t.Helper()
	const each = 20 // of so many streams one is direct
	p.through, p.direct = make([]heardBeats, streams), make([]heardBeats, max(1, streams/each))
	m := p.metronome
	until(t, "the end of all earlier streams", patience, func() bool { return m.begun.Load() == m.ended.Load() })
	all, none := m.begun.Load()+int64(len(p.through)+len(p.direct)), m.ended.Load()
	ctx := within(t, patience+spread+time.Duration(m.ticks.Load())*m.gap)
	_, gateway, _ := strings.Cut(p.url, "://")
	_, provider, _ := strings.Cut(m.url, "://")
	var listening sync.WaitGroup
	begin := func(all []heardBeats, address string) {
		for n := range all {
			late := time.NewTimer(spread * time.Duration(n) / time.Duration(len(all)))
			listening.Go(func() {
				<-late.C
				all[n] = m.listen(ctx, address, p.request)
			})
		}
	}
	begin(p.through, gateway)
	begin(p.direct, strings.TrimSuffix(provider, "/v1"))
	until(t, "all streams to be open", patience+spread, func() bool { return m.begun.Load() == all || m.ended.Load() > none })
	most := p.watchMemory(t)
	until(t, "the first stream to end", patience+time.Duration(m.ticks.Load())*m.gap, func() bool { return m.ended.Load() > none })
	sum := most()
	listening.Wait()
	return sum
}

func (p *paced) check(t *testing.T, before, most memory) {
	t.Helper()
	var wrong complaints
	sum := func(all []heardBeats) (delays times, merged int) {
		for _, h := range all {
			if h.err != nil {
				wrong.add("%v", h.err)
			}
			merged += h.merged
			for _, b := range h.beats {
				delays = append(delays, b.after)
			}
		}
		return delays, merged
	}
	through, merged := sum(p.through)
	direct, mergedDirectly := sum(p.direct)
	wrong.fail(t)
	perStream := (most.resident - before.resident) / int64(len(p.through))
	if proving() {
		rows := newTable("", "streams", "events", "merged", "a word takes: median", "p99", "longest")
		rows.add("through the gateway", len(p.through), len(through), merged, through.quantile(0.5), through.quantile(0.99), through.quantile(1))
		rows.add("directly", len(p.direct), len(direct), mergedDirectly, direct.quantile(0.5), direct.quantile(0.99), direct.quantile(1))
		rows.add("added", "", "", "", through.quantile(0.5)-direct.quantile(0.5), through.quantile(0.99)-direct.quantile(0.99))
		rows.add("memory", mebibytes(before.resident)+" before", mebibytes(most.resident)+" at most", float64(perStream)/1024, "KiB per stream")
		rows.log(t)
		p.bounds(t, through.quantile(0.5)-direct.quantile(0.5), perStream)
	}
	// A process that gets no time for a while merges what came meanwhile. One that
	// waits for more before it writes merges most of all.
	bound := len(through) / 4
	if proving() {
		bound = len(through) / 20 // the race detector makes the clients slow
	}
	if merged > bound {
		t.Errorf("%d of %d words shared a write with another one, want %d at most", merged, len(through), bound)
	}
}

// bounds are several times what is promised.
func (p *paced) bounds(t *testing.T, added time.Duration, perStream int64) {
	t.Helper()
	const longest, largest = 5 * time.Millisecond, 120 << 10
	if added > longest || perStream > largest {
		t.Errorf("a word takes %s more, half of them longer, and a stream %d bytes: want %s and %d at most", added, perStream, longest, largest)
	}
}
