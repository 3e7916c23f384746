package usage

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeStorage notes the batches that it is given; before, when set, runs first and may fail them.
type fakeStorage struct {
	before  func(batch []Record) error
	batches [][]Record
}

func (s *fakeStorage) write(_ context.Context, batch []Record) error {
	if s.before != nil {
		if err := s.before(batch); err != nil {
			return err
		}
	}
	s.batches = append(s.batches, append([]Record(nil), batch...))
	return nil
}

func (*fakeStorage) byRequest(context.Context, string) ([]Record, error) { return nil, nil }
func (*fakeStorage) sum(context.Context, Query) ([]Row, error)           { return nil, nil }

func TestAllWhoWaitShareOneCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &fakeStorage{before: func([]Record) error { time.Sleep(5 * time.Millisecond); return nil }}
		l := newLedger(slow)
		var all sync.WaitGroup
		for n := range 64 {
			all.Go(func() {
				if err := l.Record(t.Context(), settle(n)); err != nil {
					t.Error(err)
				}
			})
			if n == 0 {
				synctest.Wait() // the first is being committed; the others come meanwhile
			}
		}
		all.Wait()
		l.Close()
		if len(slow.batches) != 2 || len(slow.batches[0]) != 1 || len(slow.batches[1]) != 63 {
			t.Fatalf("%d commits, want 2, of 1 and 63 records", len(slow.batches))
		}
	})
}

func TestConcurrentRecordersShareTransactionsOfTheFile(t *testing.T) {
	l, db := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	before := transactions(t, db)
	const recorders, each = 64, 5
	var all sync.WaitGroup
	for recorder := range recorders {
		all.Go(func() {
			for n := range each {
				if err := l.Record(t.Context(), settle(recorder*each+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := transactions(t, db) - before; got > recorders*each/4 {
		t.Errorf("%d transactions for %d records of %d recorders", got, recorders*each, recorders)
	}
}

// A batch is bounded, and so is the queue: with both full, a caller waits until its
// context ends, and then nothing of its record is written.
func TestFullQueueRespectsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		stuck := &fakeStorage{before: func([]Record) error { <-open; return nil }}
		l := newLedger(stuck)
		var all sync.WaitGroup
		var refused atomic.Int64
		add := func(n int) {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if n < 1+maxWaiting {
					ctx = t.Context()
				}
				if err := l.Record(ctx, settle(n)); err != nil {
					if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "the usage record was not written, the queue is full") {
						t.Error(err)
					}
					refused.Add(1)
				}
			})
		}
		add(0)
		synctest.Wait()
		for n := 1; n < 1+maxWaiting; n++ {
			add(n)
		}
		synctest.Wait()
		add(1 + maxWaiting)
		add(2 + maxWaiting)
		time.Sleep(2 * time.Second)
		if refused.Load() != 2 {
			t.Errorf("%d records were refused, want 2", refused.Load())
		}
		close(open)
		all.Wait()
		l.Close()
		written := 0
		for _, batch := range stuck.batches {
			if len(batch) > maxBatch {
				t.Errorf("a batch of %d records", len(batch))
			}
			written += len(batch)
		}
		if written != 1+maxWaiting {
			t.Errorf("%d records were written, want %d", written, 1+maxWaiting)
		}
	})
}

// A caller that gives up loses the answer, not the record.
func TestRecordThatWasTakenIsWrittenThoughItsCallerGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &fakeStorage{before: func([]Record) error { time.Sleep(time.Minute); return nil }}
		l := newLedger(slow)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := l.Record(ctx, settle(1))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "still being written") {
			t.Fatalf("got %v", err)
		}
		l.Close()
		if len(slow.batches) != 1 || slow.batches[0][0].RequestID != settle(1).RequestID {
			t.Fatalf("got %+v", slow.batches)
		}
	})
}

func TestRecordIsNotTakenWhenTheContextHasEnded(t *testing.T) {
	s := &fakeStorage{}
	l := newLedger(s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Record(ctx, settle(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	l.Close()
	if len(s.batches) != 0 {
		t.Errorf("it was written")
	}
}

// Regression title: "every deploy loses spend rows".
func TestCloseWritesAllThatWasTakenAndRefusesMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &fakeStorage{before: func([]Record) error { time.Sleep(time.Second); return nil }}
		l := newLedger(slow)
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() {
				if err := l.Record(t.Context(), settle(n)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		l.Close()
		written := 0
		for _, batch := range slow.batches {
			written += len(batch)
		}
		if written != 100 {
			t.Errorf("%d records were written when Close returned, want 100", written)
		}
		all.Wait()
		if err := l.Record(t.Context(), settle(1)); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	})
}

// Regression title: "in-memory batch swapped out before the write commits": nobody is
// told that a record is safe when the storage failed, and the ledger goes on.
func TestFailedCommitIsToldToEverybodyAndMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left on device")
		fails := true
		s := &fakeStorage{before: func([]Record) error {
			if fails {
				return full
			}
			return nil
		}}
		l := newLedger(s)
		defer l.Close()
		record := func(want error) {
			var all sync.WaitGroup
			for n := range 10 {
				all.Go(func() {
					if err := l.Record(t.Context(), settle(n)); !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
				})
			}
			all.Wait()
		}
		record(full)
		synctest.Wait()
		fails = false
		record(nil)
	})
}

func TestRejectedRecordLeavesItsBatchAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		s := &fakeStorage{before: func(batch []Record) error {
			if first {
				first = false
				time.Sleep(time.Second)
			}
			for i, r := range batch {
				if r.Tenant == "bad" {
					return &rejection{index: i, err: ErrOverflow}
				}
			}
			return nil
		}}
		l := newLedger(s)
		defer l.Close()
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				r := settle(n)
				if n%5 == 4 {
					r.Tenant = "bad"
				}
				if err := l.Record(t.Context(), r); (err != nil) != (r.Tenant == "bad") {
					t.Errorf("record %d: %v", n, err)
				}
			})
		}
		all.Wait()
	})
}

// BenchmarkRecord shows the group commit: the more recorders, the less each pays for the fsync.
func BenchmarkRecord(b *testing.B) {
	for name, recorders := range map[string]int{"1_recorder": 1, "64_recorders": 64, "256_recorders": 256} {
		b.Run(name, func(b *testing.B) {
			l, db := openFile(b, filepath.Join(b.TempDir(), "ledger.db"))
			before := transactions(b, db)
			var n atomic.Int64
			var all sync.WaitGroup
			b.ResetTimer()
			for range recorders {
				all.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						if err := l.Record(b.Context(), settle(int(i))); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/float64(transactions(b, db)-before), "records/commit")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
