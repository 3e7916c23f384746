package ratelimit

import (
	"context"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"tollgate/store/redistest"
)

// twins are the script and the model of it, with one clock.
type twins struct {
	mini  *movable
	redis *RedisBank
	model *modelBank
	now   atomic.Int64
	names [3]string // of the replicas, each of which numbers its orders
	last  uint64
}

func startTwins(t testing.TB) *twins {
	t.Helper()
	w := &twins{names: [3]string{"a", "m", "p:a"}}
	var client redis.UniversalClient
	w.mini, client = startMini(t)
	w.redis, w.model = NewRedisBank(client), newModelBank(w.now.Load)
	w.start()
	return w
}

// start begins anew, with nothing stored.
func (w *twins) start() {
	w.mini.FlushAll()
	w.model.forget()
	w.mini.now = aTime
	w.pass(0)
}

func (w *twins) pass(d time.Duration) {
	w.mini.pass(d)
	w.now.Store(w.mini.now.UnixMicro())
	w.model.expire()
}

// expire forgets what the server has dropped, which does not come back with a clock that is set back.
func (b *modelBank) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	maps.DeleteFunc(b.buckets, func(_ modelKey, bucket *modelBucket) bool { return bucket.expires <= now })
	maps.DeleteFunc(b.slots, func(_ modelKey, held map[string]modelHolding) bool {
		latest := int64(0)
		for _, h := range held {
			latest = max(latest, h.expires)
		}
		return latest <= now
	})
}

// The script and Line.settle and Order.decide say the same, whatever is asked and whatever the clock does, and so say
// again after it.
func TestScriptIsLikeTheModel(t *testing.T) {
	w := startTwins(t)
	rapid.Check(t, func(t *rapid.T) {
		w.start()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			w.pass(drawPause(t))
			o := w.drawOrder(t)
			mine := clone(o)
			w.redis.Trade(context.Background(), o)
			w.model.Trade(context.Background(), mine)
			wantAlike(t, o, mine)
		}
	})
}

// drawPause is how long nothing happens, in whole milliseconds, as keys expire by them.
func drawPause(t *rapid.T) time.Duration {
	short, long := rapid.Int64Range(0, 50), rapid.Int64Range(0, 45*60*1000)
	ms := rapid.OneOf(rapid.Just[int64](0), short, long, rapid.Int64Range(0, 60*24*60*60*1000)).Draw(t, "pause")
	if rapid.IntRange(0, 5).Draw(t, "back") == 0 {
		ms = -ms
	}
	return time.Duration(ms) * time.Millisecond
}

// drawOrder is one that may be wrong in any way that a program can get it wrong.
func (w *twins) drawOrder(t *rapid.T) *Order {
	w.last++
	o := &Order{Tenant: "acme", Replica: rapid.SampledFrom(w.names[:]).Draw(t, "replica"), Number: w.last}
	if rapid.IntRange(0, 3).Draw(t, "late") == 0 {
		o.Number -= min(w.last, rapid.Uint64Range(0, 5).Draw(t, "by"))
	}
	limits := rapid.SliceOfNDistinct(rapid.Uint8Range(0, uint8(LimitCount)-1), 1, LimitCount, rapid.ID[uint8]).Draw(t, "limits")
	for _, limit := range limits {
		o.Lines = append(o.Lines, drawLine(t, Limit(limit)))
	}
	for range rapid.IntRange(0, 4).Draw(t, "claims") {
		var c Claim
		for at := range o.Lines {
			if rapid.IntRange(0, 3).Draw(t, "part") != 0 {
				c.Parts = append(c.Parts, Part{Line: at, Cost: drawAmount(t, o.Lines[at].Capacity), Shadow: rapid.IntRange(0, 3).Draw(t, "shadow") == 0})
			}
		}
		o.Claims = append(o.Claims, c)
	}
	return o
}

func drawLine(t *rapid.T, limit Limit) Line {
	l := Line{Limit: limit, Capacity: rapid.OneOf(
		rapid.Int64Range(1, 20), rapid.SampledFrom([]int64{unit, 10 * unit, maxSpan}), rapid.Int64Range(1, maxSpan),
	).Draw(t, "capacity")}
	if rapid.IntRange(0, 399).Draw(t, "wrong") == 0 {
		l.Capacity = rapid.SampledFrom([]int64{-1, 0, maxSpan + 1}).Draw(t, "wrong capacity")
	}
	if !limit.OfTenant() {
		l.Account = "key_1"
	}
	if rapid.Bool().Draw(t, "leased") {
		l.Most = max(0, min(maxSpan, drawAmount(t, l.Capacity)))
		l.Least = rapid.Int64Range(0, l.Most).Draw(t, "least")
	}
	if limit.Dimension() == Concurrent {
		l.Held = max(0, drawAmount(t, l.Capacity))
		return l
	}
	if rapid.Bool().Draw(t, "owes") {
		l.Owed, l.Posting = drawAmount(t, l.Capacity), rapid.Uint64Range(0, 6).Draw(t, "posting")
		if rapid.Bool().Draw(t, "gives back") {
			l.Owed = -l.Owed
		}
	}
	return l
}

// drawAmount is one that is special where so much is there, mostly one that may be asked for.
func drawAmount(t *rapid.T, capacity int64) int64 {
	if rapid.IntRange(0, 399).Draw(t, "wrong") == 0 {
		return rapid.SampledFrom([]int64{-1, -maxSpan, maxSpan + 1, 1 << 53, 1<<63 - 1}).Draw(t, "wrong amount")
	}
	return rapid.OneOf(
		rapid.SampledFrom([]int64{0, 1, capacity / 2, capacity - 1, capacity, min(capacity+1, maxSpan), maxSpan}),
		rapid.Int64Range(0, max(1, capacity)),
	).Draw(t, "amount")
}

// wantSane is what is true of every answer.
func wantSane(t *rapid.T, o *Order) {
	granted := make([]int64, len(o.Lines))
	for _, c := range o.Claims {
		for i, p := range c.Parts {
			if !c.Refused && c.Lacking&(1<<i) == 0 {
				granted[p.Line] += p.Cost
			}
		}
	}
	for i, l := range o.Lines {
		spent := granted[i] + l.Left
		if l.Left < 0 || l.Missing < 0 || spent > 0 && l.Missing > l.Capacity || spent > l.Missing {
			t.Fatalf("%v: %d are granted and %d left, where %d of %d are missing", l.Limit, granted[i], l.Left, l.Missing, l.Capacity)
		}
	}
}

func clone(o *Order) *Order {
	c := *o
	c.Lines = append([]Line(nil), o.Lines...)
	c.Claims = append([]Claim(nil), o.Claims...)
	return &c
}

// An order all of whose claims are refused leaves what is stored as it was.
func TestRefusedClaimsLeaveNoTrace(t *testing.T) {
	w := startTwins(t)
	rapid.Check(t, func(t *rapid.T) {
		w.start()
		for range 3 {
			w.redis.Trade(context.Background(), w.drawOrder(t))
		}
		o := w.drawOrder(t)
		for i := range o.Claims {
			o.Claims[i].Parts = append(o.Claims[i].Parts, Part{Line: len(o.Lines), Cost: 2})
		}
		o.Lines = append(o.Lines, Line{Limit: KeyTokens, Account: "key_2", Capacity: 1})
		bare := clone(o)
		bare.Claims = nil
		w.redis.Trade(context.Background(), bare)
		before := w.mini.Dump()
		w.redis.Trade(context.Background(), o)
		for i, c := range o.Claims {
			if o.Err == nil && !c.Refused {
				t.Fatalf("claim %d was not refused", i)
			}
		}
		if diff := cmp.Diff(before, w.mini.Dump()); diff != "" {
			t.Fatalf("refused claims have changed something (-before +after):\n%s", diff)
		}
	})
}

// A real server does as the model does, too. Its clock cannot be set; a bucket tells what it was.
func TestRealScriptIsLikeTheModel(t *testing.T) {
	client := redis.NewClient(redistest.Start(t).Options())
	t.Cleanup(func() { _ = client.Close() })
	w := &twins{redis: NewRedisBank(client), names: [3]string{"a", "m", "p:a"}}
	w.model = newModelBank(w.now.Load)
	rapid.Check(t, func(t *rapid.T) {
		if err := client.FlushAll(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		w.model.forget()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			o := w.drawOrder(t)
			o.Lines = append(o.Lines, Line{Limit: KeyTokens, Account: "clock", Capacity: 1})
			mine := clone(o)
			w.redis.Trade(context.Background(), o)
			if o.Err == nil {
				now, err := client.HGet(context.Background(), "tollgate:limits:{acme}:tokens:clock", "a").Int64()
				if err != nil {
					t.Fatal(err)
				}
				w.now.Store(now)
			}
			w.model.Trade(context.Background(), mine)
			wantAlike(t, o, mine)
		}
	})
}

func wantAlike(t *rapid.T, o, model *Order) {
	if (o.Err == nil) != (model.Err == nil) {
		t.Fatalf("the script says %v, the model %v", o.Err, model.Err)
	}
	if o.Err != nil {
		return
	}
	if diff := cmp.Diff(model, o, cmpopts.IgnoreUnexported(Line{})); diff != "" {
		t.Fatalf("the script is not like the model (-model +script):\n%s", diff)
	}
	wantSane(t, o)
}
