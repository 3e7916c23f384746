package ratelimit

import (
	"context"
	"testing"
	"time"
)

// brokenBank panics at its first order, as a fault in a library might.
type brokenBank struct {
	*modelBank
	broken bool
}

func (b *brokenBank) Trade(ctx context.Context, orders ...*Order) {
	if !b.broken {
		b.broken = true
		panic("broken")
	}
	b.modelBank.Trade(ctx, orders...)
}

// A panic while the bank is asked is that one request's: those that come after it are decided.
func TestBankPanics(t *testing.T) {
	l := New(Options{Bank: &brokenBank{modelBank: newModelBank(func() int64 { return time.Now().UnixMicro() })}, Replica: "a"})
	defer func() { _ = l.Close(t.Context()) }()
	r := Request{Key: perMinute("key", 60), Tenant: Account{ID: "acme"}, Tokens: 1}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is kept from its request")
			}
		}()
		var p Permit
		l.Take(t.Context(), &p, r)
	}()
	answered := make(chan bool)
	go func() {
		var p Permit
		l.Take(t.Context(), &p, r)
		answered <- p.Answer.Allowed()
		p.End(1)
	}()
	select {
	case allowed := <-answered:
		if !allowed {
			t.Error("the next request is refused")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the next request waits for ever")
	}
}
