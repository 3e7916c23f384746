package usage

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// takes is a storage whose every commit takes that long.
func takes(d time.Duration) *fakeStorage {
	return &fakeStorage{before: func([]Record) error { time.Sleep(d); return nil }}
}

// record is mustRecord for goroutines other than the test's own.
func record(t *testing.T, l *Ledger, n int) {
	t.Helper()
	if err := l.Record(t.Context(), settle(n)); err != nil {
		t.Error(err)
	}
}

// recordTogether has two records committed at the same time, while a third one is:
// now the next commit has somebody to wait for.
func recordTogether(t *testing.T, l *Ledger) {
	t.Helper()
	var all sync.WaitGroup
	for n := range 3 {
		all.Go(func() { record(t, l, n) })
		if n == 0 {
			synctest.Wait()
		}
	}
	all.Wait()
}

func TestClientThatIsAloneWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(takes(5 * time.Millisecond))
		defer l.Close()
		began := time.Now()
		for n := range 10 {
			mustRecord(t, l, settle(n))
		}
		if took := time.Since(began); took != 50*time.Millisecond {
			t.Errorf("ten records took %s, want 10 commits of 5ms", took)
		}
	})
}

// Two who met once are not yet a crowd.
func TestCommitAfterALoneOneDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(takes(5 * time.Millisecond))
		defer l.Close()
		began := time.Now()
		var other sync.WaitGroup
		other.Go(func() { record(t, l, 0) })
		time.Sleep(time.Millisecond)
		record(t, l, 1)
		if took := time.Since(began); took != 10*time.Millisecond {
			t.Errorf("two records, the second while the first was committed, took %s, want 2 commits of 5ms", took)
		}
		other.Wait()
	})
}

// They are at work for different times, all shorter than a commit: each commit takes
// them all, instead of those who happen to be ready.
func TestRecordersThatComeBackShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := takes(2 * time.Millisecond)
		l := newLedger(s)
		const recorders, rounds = 32, 10
		var all sync.WaitGroup
		for recorder := range recorders {
			all.Go(func() {
				for round := range rounds {
					time.Sleep(time.Duration(recorder) * 20 * time.Microsecond)
					record(t, l, recorder*rounds+round)
				}
			})
		}
		all.Wait()
		l.Close()
		if len(s.batches) > rounds+4 {
			t.Errorf("%d commits for %d records each of %d recorders", len(s.batches), rounds, recorders)
		}
	})
}

func TestCommitWaitsNoLongerThanItTakes(t *testing.T) {
	f := func(commit, want time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			l := newLedger(takes(commit))
			defer l.Close()
			recordTogether(t, l)
			began := time.Now()
			mustRecord(t, l, settle(3))
			if took := time.Since(began); took != want+commit {
				t.Errorf("a commit of %s waited for %s, want %s", commit, took-commit, want)
			}
			began = time.Now()
			mustRecord(t, l, settle(4))
			if took := time.Since(began); took != commit {
				t.Errorf("nobody came, but the next commit of %s waited again, for %s", commit, took-commit)
			}
		})
	}
	f(200*time.Microsecond, 200*time.Microsecond)
	f(time.Minute, time.Millisecond)
}

func TestCommitBeginsWhenThoseWhoWereLikelyHaveCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := takes(5 * time.Millisecond)
		l := newLedger(s)
		defer l.Close()
		recordTogether(t, l)
		began := time.Now()
		var both sync.WaitGroup
		both.Go(func() { record(t, l, 3) })
		time.Sleep(300 * time.Microsecond)
		both.Go(func() { record(t, l, 4) })
		both.Wait()
		if took := time.Since(began); took != 5300*time.Microsecond || len(s.batches) != 3 {
			t.Errorf("%s and %d commits, want 5.3ms and 3", took, len(s.batches))
		}
	})
}

func TestCloseEndsTheWaitingForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := takes(5 * time.Millisecond)
		l := newLedger(s)
		recordTogether(t, l)
		began := time.Now()
		var one sync.WaitGroup
		one.Go(func() { record(t, l, 3) })
		time.Sleep(300 * time.Microsecond)
		l.Close()
		if took := time.Since(began); took != 5300*time.Microsecond || len(s.batches) != 3 {
			t.Errorf("closed after %s and %d commits, want 5.3ms and 3", took, len(s.batches))
		}
		one.Wait()
	})
}

// An fsync keeps the only core for itself: without a yield before it, each record
// would wake the committer and be committed alone.
func TestRecordersShareCommitsOnOneCore(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	keepsTheCore := &fakeStorage{before: func([]Record) error {
		for began := time.Now(); time.Since(began) < 200*time.Microsecond; {
			continue
		}
		return nil
	}}
	l := newLedger(keepsTheCore)
	const recorders, rounds = 32, 20
	var all sync.WaitGroup
	for recorder := range recorders {
		all.Go(func() {
			for round := range rounds {
				record(t, l, recorder*rounds+round)
			}
		})
	}
	all.Wait()
	l.Close()
	if got := len(keepsTheCore.batches); got > recorders*rounds/8 {
		t.Errorf("%d commits for %d records of %d recorders", got, recorders*rounds, recorders)
	}
}
