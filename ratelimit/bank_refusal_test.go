package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"tollgate/store"
)

// What no bank must be asked is refused with a word of what is wrong, and not sent.
func TestBadOrdersAreNotSent(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "nowhere"})
	t.Cleanup(func() { _ = client.Close() })
	client.AddHook(unsent{t})
	b := NewRedisBank(client)
	f := func(want string, spoil func(*Order)) {
		t.Helper()
		o := order("a", 1, []Line{line(KeyRequests, 10), line(TenantConcurrent, 10)}, "1 1")
		spoil(o)
		b.Trade(t.Context(), o)
		if got := strings.TrimPrefix(fmt.Sprint(o.Err), "limits: no bank may be asked such a thing: "); got != want || !errors.Is(o.Err, ErrBadOrder) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f(`the order is of tenant "": must be a name without braces`, func(o *Order) { o.Tenant = "" })
	f(`the order is of tenant "a}b": must be a name without braces`, func(o *Order) { o.Tenant = "a}b" })
	f(`the order names no replica`, func(o *Order) { o.Replica = "" })
	f(`the order has number 9007199254740992: must be below 2^53`, func(o *Order) { o.Number = 1 << 53 })
	f(`the order has no lines`, func(o *Order) { o.Lines = nil })

	f(`line 0 of the order: no limit is Limit(6)`, func(o *Order) { o.Lines[0].Limit = 6 })
	f(`line 0 of the order: requests is not a limit of account ""`, func(o *Order) { o.Lines[0].Account = "" })
	f(`line 1 of the order: tenant_concurrent is not a limit of account "key_1"`, func(o *Order) { o.Lines[1].Account = "key_1" })
	f(`line 0 of the order: capacity: must be 1 to 4000000000000000, got 0`, func(o *Order) { o.Lines[0].Capacity = 0 })
	f(`line 1 of the order: capacity: must be 1 to 4000000000000000, got -1`, func(o *Order) { o.Lines[1].Capacity = -1 })
	f(`line 0 of the order: capacity: must be 1 to 4000000000000000, got 4000000000000001`, func(o *Order) { o.Lines[0].Capacity = maxSpan + 1 })
	f(`line 0 of the order: drawn: must be 0 to 4000000000000000, the least first, got 2 to 1`, func(o *Order) { o.Lines[0].Least, o.Lines[0].Most = 2, 1 })
	f(`line 0 of the order: drawn: must be 0 to 4000000000000000, the least first, got -1 to 1`, func(o *Order) { o.Lines[0].Least, o.Lines[0].Most = -1, 1 })
	f(`line 0 of the order: drawn: must be 0 to 4000000000000000, the least first, got 0 to 4000000000000001`, func(o *Order) { o.Lines[0].Most = maxSpan + 1 })
	f(`line 0 of the order: owed: must be -36000000000000 to 36000000000000, got 36000000000001`, func(o *Order) { o.Lines[0].Owed = 10*unit + 1 })
	f(`line 0 of the order: owed: must be -36000000000000 to 36000000000000, got -36000000000001`, func(o *Order) { o.Lines[0].Owed = -10*unit - 1 })
	f(`line 0 of the order: posting: must be below 2^53, got 9007199254740992`, func(o *Order) { o.Lines[0].Posting = 1 << 53 })
	f(`line 0 of the order: held: nobody holds a bucket, got 1`, func(o *Order) { o.Lines[0].Held = 1 })
	f(`line 1 of the order: owed: slots are held, not owed, got 1`, func(o *Order) { o.Lines[1].Owed = 1 })
	f(`line 1 of the order: held: must be 0 to 4000000000000000, got -1`, func(o *Order) { o.Lines[1].Held = -1 })

	f(`claim 0 of the order: part 0: must be at line 0 to 1, got 2`, func(o *Order) { o.Claims[0].Parts[0].Line = 2 })
	f(`claim 0 of the order: part 1: must be at line 0 to 1, got -1`, func(o *Order) { o.Claims[0].Parts[1].Line = -1 })
	f(`claim 0 of the order: part 1: line 0 has a part already`, func(o *Order) { o.Claims[0].Parts[1].Line = 0 })
	f(`claim 0 of the order: part 0: cost: must be 0 to 4000000000000000, got -1`, func(o *Order) { o.Claims[0].Parts[0].Cost = -1 })
	f(`claim 0 of the order: part 0: cost: must be 0 to 4000000000000000, got 9223372036854775807`, func(o *Order) { o.Claims[0].Parts[0].Cost = math.MaxInt64 })
	f(`claim 0 of the order: must have 8 parts at most, got 9`, func(o *Order) { o.Claims[0].Parts = make([]Part, 9) })
}

// unsent is a hook that no command may come by.
type unsent struct{ t *testing.T }

func (u unsent) DialHook(next redis.DialHook) redis.DialHook { return next }

func (u unsent) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		u.t.Errorf("was sent: %v", cmd)
		return nil
	}
}

func (u unsent) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		if len(cmds) > 0 {
			u.t.Errorf("were sent: %v", cmds)
		}
		return nil
	}
}

// Who trades without Redis hears so, of each order, and can tell that it is an outage.
func TestBankIsGone(t *testing.T) {
	mini, _ := startMini(t)
	client, err := store.OpenRedis(store.RedisConfig{Addresses: []string{mini.Addr()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	b := NewRedisBank(client)
	ask := func(ctx context.Context, count int) []*Order {
		var orders []*Order
		for range count {
			orders = append(orders, order("a", 1, []Line{line(KeyRequests, 10)}, "1"))
		}
		b.Trade(ctx, orders...)
		return orders
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if o := ask(ended, 1)[0]; !errors.Is(o.Err, context.Canceled) {
		t.Errorf("after the end: got %v", o.Err)
	}
	mini.Close()
	for count := 1; count <= 8; count++ { // the breaker opens in the midst of it
		for i, o := range ask(t.Context(), count) {
			if !errors.Is(o.Err, store.ErrRedisDown) {
				t.Errorf("order %d of %d: got %v", i, count, o.Err)
			}
		}
	}
	if _, err := b.Beat(t.Context(), "a"); !errors.Is(err, store.ErrRedisDown) {
		t.Errorf("Beat: got %v", err)
	}
	if err := b.Leave(t.Context(), "a"); !errors.Is(err, store.ErrRedisDown) {
		t.Errorf("Leave: got %v", err)
	}
}

// Where the clock is set back, buckets lose the time between and fill on, and slots and replicas end when they would.
func TestRedisClockIsSetBack(t *testing.T) {
	mini, client := startMini(t)
	b := NewRedisBank(client)
	lines := []Line{line(KeyRequests, 10), line(KeyConcurrent, 10)}
	wantAnswer(t, b, order("dead", 1, lines, "10 4"), "requests 10/10, concurrent 4/10, granted")
	if _, err := b.Beat(t.Context(), "dead"); err != nil {
		t.Fatal(err)
	}
	mini.pass(-24 * time.Hour)
	wantAnswer(t, b, order("a", 1, lines, "1 1"), "requests 10/10, concurrent 4/10, refused without 0")
	if live, err := b.Beat(t.Context(), "a"); live != 2 || err != nil {
		t.Errorf("%d replicas live, %v, want 2", live, err)
	}
	mini.pass(beatTTL)
	wantAnswer(t, b, order("a", 2, lines[1:]), "concurrent 4/10")
	if live, err := b.Beat(t.Context(), "a"); live != 1 || err != nil {
		t.Errorf("%d replicas live, %v, want 1", live, err)
	}
	mini.pass(slotTTL - beatTTL)
	wantAnswer(t, b, order("a", 3, lines, "0 1"), "requests 10/10, concurrent 1/10, granted")
	mini.pass(2 * time.Hour)
	wantAnswer(t, b, order("a", 4, lines, "2 1"), "requests 10/10, concurrent 1/10, granted")
}

// A bucket remembers the postings of many replicas, and not of any number.
func TestPostingsArePruned(t *testing.T) {
	for name, open := range map[string]func(*testing.T) (Bank, func(time.Duration)){
		"miniredis": func(t *testing.T) (Bank, func(time.Duration)) {
			mini, client := startMini(t)
			return NewRedisBank(client), mini.pass
		},
		"model": func(*testing.T) (Bank, func(time.Duration)) {
			now := aTime.UnixMicro()
			return newModelBank(func() int64 { return now }), func(d time.Duration) { now += d.Microseconds() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, pass := open(t)
			posts := func(n, owed int64) int64 {
				o := order(fmt.Sprintf("replica %03d", n), 1, []Line{line(TenantTokens, 1000).owing(owed, 1)})
				if b.Trade(t.Context(), o); o.Err != nil {
					t.Fatal(o.Err)
				}
				pass(time.Millisecond)
				return (o.Lines[0].Missing + unit - 1) / unit
			}
			for n := range int64(256) {
				if got := posts(n, 1); got != n+1 {
					t.Fatalf("after %d: %d are missing", n, got)
				}
			}
			if got := posts(0, 1); got != 256 {
				t.Errorf("the first was posted again: %d are missing", got)
			}
			posts(256, 1) // the first 128 are forgotten
			for n, want := range map[int64]int64{128: 257, 255: 257, 256: 257} {
				if got := posts(n, 1); got != want {
					t.Errorf("%d was posted again: %d are missing, want %d", n, got, want)
				}
			}
			for n := range int64(127) {
				if got := posts(n, 1); got != 258+n {
					t.Fatalf("after %d again: %d are missing, want %d", n, got, 258+n)
				}
			}
		})
	}
}

// FuzzAnswer reads what a script may have said. What is read is in bounds, and all that was said.
func FuzzAnswer(f *testing.F) {
	f.Add("0 0 5 0 0 3")
	f.Add("36000000000000 0 10 3 1 0")
	f.Add("4000000000000001 0 0 0 0 0")
	f.Add("0 0 5 0 0 3 1")
	f.Add("1 2 3")
	f.Add("")
	f.Add("0 0 0 0 0 0 ")
	f.Add("-1 +1 0x1 1e3 4 0")
	f.Fuzz(func(t *testing.T, text string) {
		o := order("a", 1, []Line{line(KeyRequests, 10), line(KeyConcurrent, 10)}, "1 1?", "1? 1?")
		if o.read(text) != nil {
			return
		}
		var said []string
		for _, l := range o.Lines {
			if l.Missing < 0 || l.Missing > maxSpan || l.Left < 0 || l.Left > l.Capacity {
				t.Errorf("%q: %d is missing, %d left", text, l.Missing, l.Left)
			}
			said = append(said, fmt.Sprint(l.Missing), fmt.Sprint(l.Left))
		}
		for i, c := range o.Claims {
			if c.Lacking > 3 || c.Refused != (i == 0 && c.Lacking&1 != 0) {
				t.Errorf("%q: claim %d lacks %d, refused: %v", text, i, c.Lacking, c.Refused)
			}
			said = append(said, fmt.Sprint(c.Lacking))
		}
		fields := strings.Fields(text)
		for i := range fields {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			fields[i] = strconv.FormatInt(n, 10)
		}
		if diff := cmp.Diff(fields, said); diff != "" {
			t.Errorf("%q was read otherwise (-said +read):\n%s", text, diff)
		}
	})
}
