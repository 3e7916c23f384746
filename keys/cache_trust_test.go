package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/store"
)

// A key that nobody used for a while may have been revoked long ago: then the truth is worth waiting for.
func TestCacheWaitsForTheTruth(t *testing.T) {
	inBubble(t, "about a key that was not used lately", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.set(contractRecord(1).Secrets[0].Digest, renamed("changed elsewhere"))
		r.shared.answers(80*time.Millisecond, nil)
		time.Sleep(3 * time.Second)
		r.finds(1, "changed elsewhere", 80*time.Millisecond, 1)
	})
	inBubble(t, "but not about one that was", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.answers(80*time.Millisecond, nil)
		time.Sleep(3*time.Second - 1)
		r.finds(1, "ci", 50*time.Millisecond, 1)
	})
	inBubble(t, "nor of a store that fails", func(t *testing.T, r replica) {
		r.shared.set(contractRecord(2).Secrets[0].Digest, contractRecord(2))
		r.finds(1, "ci", 0, 1)
		r.finds(2, "ci", 0, 1)
		r.shared.answers(never, nil)
		time.Sleep(time.Minute)
		r.finds(1, "ci", questionTime, 1)
		synctest.Wait() // the end of the question is noted in the same instant
		r.finds(2, "ci", 50*time.Millisecond, 1)
		time.Sleep(2 * time.Second) // what was known of the store is old now
		r.finds(1, "ci", questionTime, 1)
		synctest.Wait()
		r.shared.answers(0, nil)
		r.fails(3, ErrNotFound, 0, 1) // it answers
		r.shared.answers(never, nil)
		r.finds(2, "ci", questionTime, 1)
	})
}

// A flood of made-up secrets ends where the connections for known keys begin.
func TestCacheConfirmsInAFlood(t *testing.T) {
	inBubble(t, "of unknown secrets", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		time.Sleep(time.Minute)
		r.shared.answers(40*time.Millisecond, nil)
		for range 3 { // what was asked once may be asked again
			var flood sync.WaitGroup
			for n := range 32 {
				flood.Go(func() {
					if _, _, err := r.look(n + 2); !errors.Is(err, ErrNotFound) {
						t.Errorf("one of the first: %v", err)
					}
				})
			}
			synctest.Wait()
			r.fails(100, ErrUnavailable, 0, 32)
			r.fails(100, errBusy, 0, 0)
			r.finds(1, "ci", 40*time.Millisecond, 1)
			flood.Wait()
			r.fails(100, ErrNotFound, 40*time.Millisecond, 1)
			time.Sleep(time.Minute)
		}
	})
}

// logging returns a replica over shared, and what it logs.
func logging(t *testing.T, shared Shared) (*CachedStore, *lockedText) {
	var text lockedText
	clock := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	s := NewCachedStore(shared, DefaultConfig(), slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: clock})))
	t.Cleanup(s.Close)
	return s, &text
}

// lockedText is a log that questions write while a test reads it.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// withoutFeed leaves out what is said of a feed that is not there.
func (l *lockedText) withoutFeed() string {
	var lines strings.Builder
	for line := range strings.Lines(l.String()) {
		if !strings.Contains(line, errNoFeed.Error()) {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestCacheLogsWhyItCannotAsk(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			t.Helper()
			s, text := logging(t, funcStore{answer: func() (Record, error) { return Record{}, err }})
			for range 100 {
				_, _ = s.ByDigest(t.Context(), Digest{}, netip.Addr{})
				synctest.Wait()
				time.Sleep(time.Second)
			}
			if got := text.withoutFeed(); got != want {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
			}
		})
	}
	f(errors.New("NOPERM this user has no permissions"),
		`level=ERROR msg="keys cannot be looked up, though redis is not down" error="NOPERM this user has no permissions" count=1
level=ERROR msg="keys cannot be looked up, though redis is not down" error="NOPERM this user has no permissions" count=60
`)
	f(ErrNotFound, "")
	f(fmt.Errorf("%w: %w", ErrUnavailable, store.ErrRedisDown), "")
}

func TestCacheLogsAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newFakeShared()
		shared.answers(never, nil)
		s, text := logging(t, shared)
		var flood sync.WaitGroup
		for n := range 40 {
			flood.Go(func() { _, _ = s.ByDigest(t.Context(), contractRecord(n).Secrets[0].Digest, netip.Addr{}) })
		}
		synctest.Wait()
		const want = `level=WARN msg="requests with unknown keys are refused: too many are looked up at once" count=1` + "\n"
		if got := text.withoutFeed(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		flood.Wait()
	})
}

// A panic costs the requests that wait for this answer, not the process.
func TestCacheSurvivesAPanic(t *testing.T) {
	panics := true
	s, text := logging(t, funcStore{answer: func() (Record, error) {
		if panics {
			panic("a bug")
		}
		return contractRecord(1), nil
	}})
	_, err := s.ByDigest(t.Context(), Digest{}, netip.Addr{})
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errPanic) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if got := text.String(); !strings.Contains(got, `msg="panic in the look-up of a key" stack="goroutine `) || !strings.Contains(got, "cache_trust_test.go") {
		t.Errorf("logged: %s", got)
	}
	panics = false
	if _, err := s.ByDigest(t.Context(), Digest{}, netip.Addr{}); err != nil {
		t.Error(err)
	}
}

// What a newer binary wrote may be a revocation: what was known before is not served any more.
func TestCacheForgetsWhatBecameUnreadable(t *testing.T) {
	inBubble(t, "a record", func(t *testing.T, r replica) {
		r.finds(1, "ci", 0, 1)
		r.shared.answers(0, unreadable("key_1", errors.New("record version 2")))
		time.Sleep(time.Second)
		r.fails(1, ErrUnreadable, 0, 1)
		r.fails(1, ErrUnavailable, 0, 1)
		r.shared.answers(0, errDown)
		r.fails(1, ErrUnavailable, 0, 1)
		r.shared.answers(0, nil)
		r.finds(1, "ci", 0, 1)
	})
}

// One record of a newer binary hides neither the others nor itself.
func TestListWithoutTheUnreadable(t *testing.T) {
	mini, shared := miniRedis(t)
	mustInsert(t, shared, contractRecord(1), contractRecord(2))
	mini.HSet(redisRecords, "key_newer", `{"v":4}`)
	s, text := logging(t, shared)
	d := New(s, DefaultConfig())
	all, _, err := d.List(context.Background(), Filter{})
	if err != nil || len(all) != 2 || all[0].ID != contractRecord(1).Key.ID {
		t.Errorf("List: got %v, %v", all, err)
	}
	if !strings.Contains(text.String(), `key \"key_newer\": record version 4`) {
		t.Errorf("logged: %s", text)
	}
	if _, err := d.Mispeppered(t.Context()); err != nil {
		t.Errorf("Mispeppered: %v", err)
	}
	if _, err := d.Show(t.Context(), "key_newer"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Show: %v", err)
	}
}
