package ratelimit

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// contractBank is a Bank that nobody has used, with what a test must know of it.
type contractBank struct {
	Bank
	// pass lets so much time go by on its clock.
	pass func(time.Duration)
	// live makes words of replicas hold for so long; nil: the clock moves by pass alone, and they hold for as long as usual.
	live func(time.Duration)
}

// testBank is what every Bank promises. open returns an empty one.
func testBank(t *testing.T, open func(t *testing.T) contractBank) {
	for name, test := range map[string]func(t *testing.T, b contractBank){
		"a bucket gives what is in it, and no more":             bankIsExact,
		"a bucket fills with time":                              bankFills,
		"a claim gets all or nothing":                           bankGivesAllOrNone,
		"claims are decided in turn":                            bankDecidesInTurn,
		"a part in shadow refuses nobody":                       bankHeedsShadow,
		"a lease is within its bounds":                          bankLeases,
		"another capacity gives no fresh burst":                 bankResizes,
		"what is owed is taken once":                            bankPostsOnce,
		"what is owed may be more than there is":                bankTakesDebts,
		"slots are those of all replicas":                       bankCountsSlots,
		"what a replica says it holds is true, whatever it was": bankHeals,
		"an order that comes late changes no slots":             bankIgnoresLateOrders,
		"slots of a dead replica free themselves":               bankFreesSlots,
		"limits, accounts and tenants are apart":                bankKeepsApart,
		"one bad order of several fails alone":                  bankFailsOneOrder,
		"refused claims change nothing":                         bankIsUnchangedByRefusals,
		"replicas are counted":                                  bankCountsReplicas,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// unit is what stands in the place of a request in these tests. It takes an hour to come back, so that a slow test does
// not see it.
const unit = int64(time.Hour)

// line is one of a bucket of so many units, or so many slots.
func line(limit Limit, capacity int64) Line {
	l := Line{Limit: limit, Capacity: capacity * unit}
	if limit.Dimension() == Concurrent {
		l.Capacity = capacity
	}
	if !limit.OfTenant() {
		l.Account = "key_1"
	}
	return l
}

func (l Line) leasing(least, most int64) Line {
	l.Least, l.Most = least*unit, most*unit
	return l
}

func (l Line) owing(owed int64, posting uint64) Line {
	l.Owed, l.Posting = owed*unit, posting
	return l
}

func (l Line) holding(n int64) Line {
	l.Held = n
	return l
}

// order is one of the tenant acme. A claim is its costs at the lines, in their order: "3" units, "3?" in shadow, "-" none.
func order(replica string, number uint64, lines []Line, claims ...string) *Order {
	o := &Order{Tenant: "acme", Replica: replica, Number: number, Lines: lines}
	for _, costs := range claims {
		var c Claim
		for at, text := range strings.Fields(costs) {
			digits, shadow := strings.CutSuffix(text, "?")
			cost, err := strconv.ParseInt(digits, 10, 64)
			if err != nil {
				continue
			}
			if lines[at].Limit.Dimension() != Concurrent {
				cost *= unit
			}
			c.Parts = append(c.Parts, Part{Line: at, Cost: cost, Shadow: shadow})
		}
		o.Claims = append(o.Claims, c)
	}
	return o
}

// answer is an order's, in begun units: of each line "missing of capacity, left", of each claim what was lacking.
func answer(o *Order) string {
	if o.Err != nil {
		return "error"
	}
	var said []string
	for i := range o.Lines {
		l := &o.Lines[i]
		missing, left, capacity := l.Missing, l.Left, l.Capacity
		if l.Limit.Dimension() != Concurrent {
			missing, left, capacity = (missing+unit-1)/unit, left/unit, capacity/unit
		}
		text := fmt.Sprintf("%v %d/%d", l.Limit, missing, capacity)
		if left != 0 {
			text += fmt.Sprint("+", left)
		}
		said = append(said, text)
	}
	for _, c := range o.Claims {
		text := "granted"
		if c.Refused {
			text = "refused"
		}
		for i := range c.Parts {
			if c.Lacking&(1<<i) != 0 {
				text += fmt.Sprint(" without ", i)
			}
		}
		said = append(said, text)
	}
	return strings.Join(said, ", ")
}

// wantAnswer trades one order.
func wantAnswer(t *testing.T, b Bank, o *Order, want string) {
	t.Helper()
	b.Trade(t.Context(), o)
	if got := answer(o); got != want {
		t.Errorf("got  %s\nwant %s (%v)", got, want, o.Err)
	}
}

func bankIsExact(t *testing.T, b contractBank) {
	const callers, each, capacity = 8, 20, 100
	var granted atomic.Int64
	var group sync.WaitGroup
	for n := range callers {
		group.Go(func() {
			for i := range each {
				o := order(fmt.Sprint("replica ", n), uint64(i), []Line{line(KeyRequests, capacity)}, "1")
				if b.Trade(t.Context(), o); o.Err != nil {
					t.Error(o.Err)
				}
				if !o.Claims[0].Refused {
					granted.Add(1)
				}
			}
		})
	}
	group.Wait()
	if got := granted.Load(); got != capacity {
		t.Errorf("%d were granted, want %d", got, capacity)
	}
}

func bankFills(t *testing.T, b contractBank) {
	const step = 20 * time.Millisecond
	l := Line{Limit: TenantTokens, Capacity: 3 * int64(step)}
	ask := func(steps int64) bool {
		t.Helper()
		o := &Order{Tenant: "acme", Replica: "a", Lines: []Line{l}, Claims: []Claim{{Parts: []Part{{Cost: steps * int64(step)}}}}}
		if b.Trade(t.Context(), o); o.Err != nil {
			t.Fatal(o.Err)
		}
		return !o.Claims[0].Refused
	}
	if !ask(3) {
		t.Error("a fresh bucket is not full")
	}
	if b.pass(step - time.Microsecond); ask(1) && b.live == nil {
		t.Error("a unit came back too soon")
	}
	if b.pass(time.Microsecond); !ask(1) && b.live == nil {
		t.Error("a unit did not come back in time")
	}
	if b.pass(10 * step); !ask(3) {
		t.Error("the bucket has not filled")
	}
	if b.pass(10 * step); ask(4) {
		t.Error("the bucket holds more than its capacity")
	}
}

func bankGivesAllOrNone(t *testing.T, b contractBank) {
	lines := []Line{line(KeyRequests, 10), line(TenantTokens, 2), line(KeyConcurrent, 1)}
	wantAnswer(t, b, order("a", 1, lines, "4 3 1"), "requests 0/10, tenant_tokens 0/2, concurrent 0/1, refused without 1")
	wantAnswer(t, b, order("a", 2, lines, "11 1 2"), "requests 0/10, tenant_tokens 0/2, concurrent 0/1, refused without 0 without 2")
	wantAnswer(t, b, order("a", 3, lines, "4 2 1"), "requests 4/10, tenant_tokens 2/2, concurrent 1/1, granted")
	wantAnswer(t, b, order("b", 1, lines, "6 1 1", "6 0 0"),
		"requests 10/10, tenant_tokens 2/2, concurrent 1/1, refused without 1 without 2, granted")
}

func bankDecidesInTurn(t *testing.T, b contractBank) {
	lines := []Line{line(KeyRequests, 10), line(TenantConcurrent, 2)}
	wantAnswer(t, b, order("a", 1, lines, "6 1", "6 1", "4 1", "0 1", "0 0"),
		"requests 10/10, tenant_concurrent 2/2, granted, refused without 0, granted, refused without 1, granted")
}

func bankHeedsShadow(t *testing.T, b contractBank) {
	lines := []Line{line(KeyRequests, 2), line(TenantRequests, 10)}
	wantAnswer(t, b, order("a", 1, lines, "3? 1"), "requests 0/2, tenant_requests 1/10, granted without 0")
	wantAnswer(t, b, order("a", 2, lines, "2? 1"), "requests 2/2, tenant_requests 2/10, granted")
	wantAnswer(t, b, order("a", 3, lines, "1? 9"), "requests 2/2, tenant_requests 2/10, refused without 0 without 1")
	wantAnswer(t, b, order("a", 4, lines, "1? 9?"), "requests 2/2, tenant_requests 2/10, granted without 0 without 1")
}

func bankLeases(t *testing.T, b contractBank) {
	lines := []Line{line(KeyRequests, 12).leasing(3, 5)}
	wantAnswer(t, b, order("a", 1, lines, "1"), "requests 5/12+4, granted")
	wantAnswer(t, b, order("a", 2, lines, "1", "4", "1"), "requests 10/12, granted, granted, refused without 0") // there is less than the least
	wantAnswer(t, b, order("a", 3, lines, "0"), "requests 10/12, granted")

	lines = []Line{line(TenantRequests, 12).leasing(3, 5)}
	wantAnswer(t, b, order("a", 4, lines, "10"), "tenant_requests 10/12, granted")
	lines[0] = lines[0].leasing(1, 5)
	wantAnswer(t, b, order("a", 5, lines, "1"), "tenant_requests 12/12+1, granted") // there is less than the most
	wantAnswer(t, b, order("a", 6, lines, "1"), "tenant_requests 12/12, refused without 0")

	slots := []Line{line(KeyConcurrent, 4)}
	slots[0].Least, slots[0].Most = 1, 3
	wantAnswer(t, b, order("a", 7, slots, "1"), "concurrent 3/4+2, granted")
	wantAnswer(t, b, order("b", 1, slots, "1"), "concurrent 4/4, granted")
	wantAnswer(t, b, order("a", 8, []Line{slots[0].holding(1)}, "-"), "concurrent 2/4, granted")
}

func bankResizes(t *testing.T, b contractBank) {
	with := func(capacity int64) []Line { return []Line{line(KeyTokens, capacity)} }
	wantAnswer(t, b, order("a", 1, with(10), "4"), "tokens 4/10, granted")
	wantAnswer(t, b, order("a", 2, with(100), "7"), "tokens 94/100, refused without 0")
	wantAnswer(t, b, order("a", 3, with(100), "6"), "tokens 100/100, granted")
	wantAnswer(t, b, order("a", 4, with(5)), "tokens 5/5")
	wantAnswer(t, b, order("a", 5, with(10), "1"), "tokens 10/10, refused without 0")
}
