package ratelimit

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func bankPostsOnce(t *testing.T, b contractBank) {
	tokens := line(TenantTokens, 10)
	post := func(replica string, owed int64, posting uint64, want string) {
		t.Helper()
		wantAnswer(t, b, order(replica, 1, []Line{tokens.owing(owed, posting)}), want)
	}
	for range 3 {
		post("a", 3, 1, "tenant_tokens 3/10")
	}
	post("a", 2, 7, "tenant_tokens 5/10")
	post("a", 3, 1, "tenant_tokens 5/10")
	post("a", 4, 6, "tenant_tokens 5/10")
	post("b", 4, 6, "tenant_tokens 9/10")
	post("a", -1, 8, "tenant_tokens 8/10")
	post("a", -1, 8, "tenant_tokens 8/10")
	post("a", 0, 9, "tenant_tokens 8/10") // it owes nothing, so nothing is known of it
	post("a", -10, 9, "tenant_tokens 0/10")
	wantAnswer(t, b, order("a", 1, []Line{tokens}, "10"), "tenant_tokens 10/10, granted")

	// It is settled before the claims, and is no part of what they get.
	requests := line(KeyRequests, 10)
	wantAnswer(t, b, order("a", 1, []Line{requests.owing(4, 1)}, "7", "6"), "requests 10/10, refused without 0, granted")
	wantAnswer(t, b, order("a", 1, []Line{requests.owing(-4, 2)}, "4"), "requests 10/10, granted")
}

func bankTakesDebts(t *testing.T, b contractBank) {
	tokens := line(KeyTokens, 10)
	wantAnswer(t, b, order("a", 1, []Line{tokens.owing(10, 1)}, "1"), "tokens 10/10, refused without 0")
	wantAnswer(t, b, order("a", 2, []Line{tokens.owing(10, 2)}, "0"), "tokens 20/10, granted")
	wantAnswer(t, b, order("a", 3, []Line{tokens.owing(-9, 3)}, "1"), "tokens 11/10, refused without 0")
	wantAnswer(t, b, order("a", 4, []Line{tokens.owing(-9, 4)}, "8"), "tokens 10/10, granted")
}

func bankCountsSlots(t *testing.T, b contractBank) {
	slots := line(TenantConcurrent, 3)
	wantAnswer(t, b, order("a", 1, []Line{slots}, "1", "1"), "tenant_concurrent 2/3, granted, granted")
	wantAnswer(t, b, order("b", 1, []Line{slots}, "1", "1"), "tenant_concurrent 3/3, granted, refused without 0")
	wantAnswer(t, b, order("a", 2, []Line{slots.holding(1)}), "tenant_concurrent 2/3")
	wantAnswer(t, b, order("b", 2, []Line{slots.holding(1)}, "1", "1"), "tenant_concurrent 3/3, granted, refused without 0")
	wantAnswer(t, b, order("a", 3, []Line{slots}, "1?"), "tenant_concurrent 3/3, granted")
}

func bankHeals(t *testing.T, b contractBank) {
	slots := line(KeyConcurrent, 2)
	wantAnswer(t, b, order("a", 1, []Line{slots.holding(5)}, "1"), "concurrent 5/2, refused without 0")
	wantAnswer(t, b, order("b", 1, []Line{slots.holding(2)}, "1?"), "concurrent 7/2, granted without 0")
	wantAnswer(t, b, order("a", 2, []Line{slots}, "1"), "concurrent 2/2, refused without 0")
	wantAnswer(t, b, order("b", 2, []Line{slots.holding(1)}, "1"), "concurrent 2/2, granted")
}

func bankIgnoresLateOrders(t *testing.T, b contractBank) {
	slots, requests := line(KeyConcurrent, 3), line(KeyRequests, 10)
	lines := []Line{requests, slots.holding(1)}
	wantAnswer(t, b, order("a", 5, lines, "1 1"), "requests 1/10, concurrent 2/3, granted")
	wantAnswer(t, b, order("a", 4, []Line{requests, slots}, "2 1"), "requests 1/10, concurrent 2/3, refused without 1")
	wantAnswer(t, b, order("a", 4, []Line{requests, slots.holding(3)}, "2 1?", "- 0"), "requests 3/10, concurrent 2/3, granted without 1, granted")
	wantAnswer(t, b, order("b", 1, lines, "1 1"), "requests 3/10, concurrent 3/3, refused without 1")
	wantAnswer(t, b, order("a", 5, lines, "1 0"), "requests 4/10, concurrent 2/3, granted") // it was sent again
	wantAnswer(t, b, order("a", 6, []Line{slots}), "concurrent 1/3")
	wantAnswer(t, b, order("a", 5, lines, "- 1"), "requests 4/10, concurrent 1/3, refused without 0") // the slots were given back since
}

func bankFreesSlots(t *testing.T, b contractBank) {
	slots := line(TenantConcurrent, 2)
	dies := func() {
		t.Helper()
		wantAnswer(t, b, order("dead", 9, []Line{slots}, "1"), "tenant_concurrent 1/2, granted")
	}
	if b.live == nil {
		dies()
		b.pass(slotTTL / 2)
		wantAnswer(t, b, order("b", 1, []Line{slots}, "1"), "tenant_concurrent 2/2, granted")
		b.pass(slotTTL/2 - time.Microsecond)
		wantAnswer(t, b, order("b", 2, []Line{slots.holding(1)}, "1"), "tenant_concurrent 2/2, refused without 0")
		b.pass(time.Microsecond)
	} else {
		const soon = 100 * time.Millisecond
		b.live(soon)
		dies()
		b.live(slotTTL)
		b.pass(soon)
	}
	wantAnswer(t, b, order("b", 3, []Line{slots.holding(1)}, "1"), "tenant_concurrent 2/2, granted")
	// The name may be another process' now, which has begun to count anew.
	wantAnswer(t, b, order("dead", 1, []Line{slots.holding(1)}), "tenant_concurrent 3/2")
}

func bankKeepsApart(t *testing.T, b contractBank) {
	take := func(tenant, account string) {
		t.Helper()
		for limit := range Limit(LimitCount) {
			if limit.OfTenant() != (account == "") {
				continue
			}
			l := line(limit, 1)
			l.Account = account
			o := order("a", 1, []Line{l}, "1", "1")
			o.Tenant = tenant
			wantAnswer(t, b, o, fmt.Sprint(limit, " 1/1, granted, refused without 0"))
		}
	}
	for _, tenant := range []string{"acme", "globex", "replicas", "a-b"} {
		take(tenant, "")
		take(tenant, tenant)
		take(tenant, "key_1")
	}
}

func bankFailsOneOrder(t *testing.T, b contractBank) {
	var orders []*Order
	for _, tenant := range []string{"acme", "globex", "initech", "umbrella", "hooli"} {
		o := order("a", 1, []Line{line(KeyRequests, 1)}, "1")
		o.Tenant = tenant
		orders = append(orders, o)
	}
	orders[1].Claims[0].Parts[0].Cost = -1
	orders[3].Lines = append(orders[3].Lines, orders[3].Lines[0]) // twice the same
	b.Trade(t.Context(), orders...)
	for i, o := range orders {
		want := "requests 1/1, granted"
		if i == 1 || i == 3 {
			want = "error"
		}
		if got := answer(o); got != want {
			t.Errorf("order %d: got %s, want %s (%v)", i, got, want, o.Err)
		}
	}
	b.Trade(t.Context())
	orders[1].Claims[0].Parts[0].Cost = 1
	wantAnswer(t, b, orders[1], "requests 1/1, granted") // the error is gone
}

func bankIsUnchangedByRefusals(t *testing.T, b contractBank) {
	lines := []Line{
		line(KeyRequests, 10), line(TenantRequests, 10).leasing(1, 5), line(TenantTokens, 10), line(KeyConcurrent, 2), line(TenantConcurrent, 5),
	}
	wantAnswer(t, b, order("a", 1, lines, "3 3 10 1 1"),
		"requests 3/10, tenant_requests 5/10+2, tenant_tokens 10/10, concurrent 1/2, tenant_concurrent 1/5, granted")
	const want = "requests 3/10, tenant_requests 5/10, tenant_tokens 10/10, concurrent 1/2, tenant_concurrent 1/5"
	const refused, each = 10_000, 50
	lines[3].Held, lines[4].Held = 1, 1
	claims, all := make([]string, each), want
	for i := range claims {
		claims[i] = "1 1 1 1 1"
		all += ", refused without 2"
	}
	for n := range refused / each {
		wantAnswer(t, b, order("a", uint64(n)+2, lines, claims...), all)
	}
	wantAnswer(t, b, order("a", refused, lines), want)
	wantAnswer(t, b, order("b", 1, lines[:2], "7 5"), "requests 10/10, tenant_requests 10/10, granted")
}

func bankCountsReplicas(t *testing.T, b contractBank) {
	beat := func(replica string, want int) {
		t.Helper()
		if live, err := b.Beat(t.Context(), replica); live != want || err != nil {
			t.Errorf("Beat of %s: got %d, %v, want %d", replica, live, err, want)
		}
	}
	beat("a", 1)
	beat("b", 2)
	beat("a", 2)
	beat("c", 3)
	if err := errors.Join(b.Leave(t.Context(), "b"), b.Leave(t.Context(), "b")); err != nil {
		t.Error(err)
	}
	beat("a", 2)
	if b.live == nil {
		b.pass(beatTTL - time.Millisecond)
		beat("a", 2)
		b.pass(time.Millisecond)
		beat("a", 1)
		b.pass(beatTTL)
	} else {
		const soon = 100 * time.Millisecond
		b.live(soon)
		beat("a", 2) // and c has no longer than a, as if the clock had been set back
		b.pass(soon)
	}
	beat("d", 1)
}
