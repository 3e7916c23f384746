package telemetry

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// tally counts for one set of labels. Counting is one atomic addition; the
// SDK's own counter walks through the labels every time.
type tally struct {
	n      atomic.Int64
	zero   atomic.Bool // shown at 0, too
	labels metric.ObserveOption
}

func (t *tally) add() { t.n.Add(1) }

// show makes the series exist before anything is counted.
func (t *tally) show() { t.zero.Store(true) }

// tallies are the tallies of one counter, which the SDK reads at a scrape.
type tallies struct {
	mu  sync.Mutex
	all map[attribute.Distinct]*tally
}

func newTallies(meter metric.Meter, counter metric.Int64ObservableCounter) (*tallies, error) {
	t := &tallies{all: make(map[attribute.Distinct]*tally)}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, one := range t.all {
			if n := one.n.Load(); n > 0 || one.zero.Load() {
				o.ObserveInt64(counter, n, one.labels)
			}
		}
		return nil
	}, counter)
	return t, err
}

// of returns the tally of these labels: always the same one.
func (t *tallies) of(attrs []attribute.KeyValue) *tally {
	labels := attribute.NewSet(attrs...)
	t.mu.Lock()
	defer t.mu.Unlock()
	one, ok := t.all[labels.Equivalent()]
	if !ok {
		one = &tally{labels: metric.WithAttributeSet(labels)}
		t.all[labels.Equivalent()] = one
	}
	return one
}
