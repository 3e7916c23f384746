package upstream

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// latencyMemory is the time constant of the mean: of a measurement so old a
	// third is left.
	latencyMemory = 10 * time.Second
	// latencyForgets is after how long without any measurement nothing is known any more.
	latencyForgets = 3 * latencyMemory
	// latencyPenalty is the least that a failure counts for, and latencyMost what it
	// counts for at most, unless it took longer: an upstream that fails fast must not look quick.
	latencyPenalty = 100 * time.Millisecond
	latencyMost    = 5 * time.Second
	// latencyPatience is how long failures do not add up: many come at once.
	latencyPatience = time.Second
)

// latency is a peak-sensitive, exponentially weighted mean (peak EWMA, as in
// Twitter's Finagle): a slower measurement counts at once and whole, quicker
// ones by and by. It fades while nothing is measured, so that an upstream which
// was slow is tried again. The zero value knows nothing. The mean is one atomic word:
// it in seconds (float32), and when it was taken in milliseconds (uint32, which
// comes round after 49 days).
type latency struct {
	word      atomic.Uint64
	undecided atomic.Int64 // attempts of which nothing has come yet
	silent    atomic.Int64 // the instant since which some are awaited, and none was decided
	penalised atomic.Int64 // the instant at which a failure last counted as twice as slow
}

// read returns the mean in seconds, zero when it is not known.
func (l *latency) read(now instant) float64 {
	mean, age := unpack(l.word.Load(), now)
	if mean == 0 || age > latencyForgets {
		return 0
	}
	return mean * fade(age)
}

// begin notes an attempt that is awaited from now on.
func (l *latency) begin(now instant) {
	if l.undecided.Add(1) == 1 {
		l.silent.Store(int64(now))
	}
}

// end notes that it is not any more.
func (l *latency) end() { l.undecided.Add(-1) }

// awaited is for how long nothing has come although something is awaited, in
// seconds: no mean that was taken before is worth more.
func (l *latency) awaited(now instant) float64 {
	if l.undecided.Load() == 0 {
		return 0
	}
	return instant(l.silent.Load()).until(now).Seconds()
}

// heard notes that something has come that says nothing of how quick answers are.
func (l *latency) heard(now instant) { l.silent.Store(int64(now)) }

// atLeast takes in that somebody has waited for so long in vain.
func (l *latency) atLeast(now instant, waited time.Duration) {
	if mean := l.read(now); mean > 0 && waited.Seconds() > mean {
		l.update(now, waited)
	}
}

// observe takes a measurement in.
func (l *latency) observe(now instant, took time.Duration) {
	l.heard(now)
	l.update(now, took)
}

func (l *latency) update(now instant, took time.Duration) {
	measured := max(took, time.Microsecond).Seconds()
	for {
		old := l.word.Load()
		mean, age := unpack(old, now)
		switch kept := fade(age); {
		case mean == 0, age > latencyForgets, measured >= mean:
			mean = measured
		default:
			mean = mean*kept + measured*(1-kept)
		}
		if l.word.CompareAndSwap(old, pack(mean, now)) {
			return
		}
	}
}

// penalise takes a failure in: it counts as twice as slow as what is usual.
func (l *latency) penalise(now instant, took time.Duration) {
	usual := seconds(l.read(now))
	if last := l.penalised.Load(); (last == 0 || instant(last).until(now) >= latencyPatience) && l.penalised.CompareAndSwap(last, int64(now)) {
		usual = max(usual, min(2*usual, latencyMost))
	}
	l.observe(now, max(took, usual, latencyPenalty))
}

// fade is how much is left of a measurement of that age.
func fade(age time.Duration) float64 { return math.Exp(-age.Seconds() / latencyMemory.Seconds()) }

func pack(mean float64, now instant) uint64 {
	return uint64(math.Float32bits(float32(mean)))<<32 | uint64(milliseconds(now))
}

func unpack(word uint64, now instant) (mean float64, age time.Duration) {
	difference := int32(milliseconds(now) - uint32(word)) //nolint:gosec // wraps as it should
	if age = time.Duration(difference) * time.Millisecond; age < -latencyForgets {
		age = math.MaxInt64 // it has come round
	}
	return float64(math.Float32frombits(uint32(word >> 32))), max(0, age) //nolint:gosec // the upper half
}

func milliseconds(i instant) uint32 { return uint32(time.Duration(i).Milliseconds()) } //nolint:gosec // wraps, see latency
