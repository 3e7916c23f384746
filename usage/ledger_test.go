package usage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// fakeStorage notes the batches that it is given; before, when set, runs first and may fail them.
type fakeStorage struct {
	before func(batch []Record) error

	mu      sync.Mutex
	batches [][]Record
}

func (s *fakeStorage) write(_ context.Context, batch []Record) error {
	if s.before != nil {
		if err := s.before(batch); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, append([]Record(nil), batch...))
	return nil
}

// all are the records that it was given.
func (s *fakeStorage) all() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.batches...)
}

func (*fakeStorage) byRequest(context.Context, string) ([]Record, error) { return nil, nil }
func (*fakeStorage) sum(context.Context, Query) ([]Row, error)           { return nil, nil }

func TestBatchIsOneTransaction(t *testing.T) {
	l, db := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	before := transactions(t, db)
	batch := make([]Record, 500)
	for n := range batch {
		batch[n] = settle(n)
	}
	if err := l.Add(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got := transactions(t, db) - before; got != 1 {
		t.Errorf("%d transactions for a batch", got)
	}
}

func TestBatchIsNotTakenWhenTheContextHasEnded(t *testing.T) {
	s := &fakeStorage{}
	l := newLedger(s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Add(ctx, []Record{settle(1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(s.batches) != 0 {
		t.Errorf("it was written")
	}
}

func TestClosedLedgerTakesNoMore(t *testing.T) {
	s := &fakeStorage{}
	l := newLedger(s)
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := l.Add(t.Context(), []Record{settle(1)}); !errors.Is(err, ErrClosed) || len(s.batches) != 0 {
		t.Errorf("after Close: %v", err)
	}
}

// Regression title: "in-memory batch swapped out before the write commits": nobody is
// told that a record is safe when the storage failed, and the ledger goes on.
func TestFailedBatchMayBeRepeated(t *testing.T) {
	full := errors.New("no space left on device")
	s := &fakeStorage{before: func([]Record) error { return full }}
	l := newLedger(s)
	nameless := settle(0)
	nameless.RequestID = ""
	batch := []Record{settle(1), nameless, settle(2)}
	if err := l.Add(t.Context(), batch); !errors.Is(err, full) || errors.Is(err, ErrBadRecord) {
		t.Errorf("got %v, want that the disk is full and nothing else", err)
	}
	s.before = nil
	var rejected *RejectedError
	if err := l.Add(t.Context(), batch); !errors.As(err, &rejected) || len(rejected.Rejections) != 1 || len(s.batches) != 1 || len(s.batches[0]) != 2 {
		t.Errorf("got %v and %d batches", err, len(s.batches))
	}
}

// BenchmarkAdd shows what a record costs in batches of different sizes.
func BenchmarkAdd(b *testing.B) {
	for _, size := range []int{1, 50, 512} {
		b.Run(fmt.Sprintf("batches_of_%d", size), func(b *testing.B) {
			l, _ := openFile(b, filepath.Join(b.TempDir(), "ledger.db"))
			batch := make([]Record, size)
			n := 0
			for b.Loop() {
				for i := range batch {
					n++
					batch[i] = settle(n)
				}
				if err := l.Add(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
