package ratelimit

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"
)

// A limit that was lowered while tokens are reserved makes no debt of what was reserved; what is used beyond that is one.
func TestLimitIsLoweredWhileTokensAreReserved(t *testing.T) {
	for _, c := range []struct {
		used int64
		want string
	}{
		{0, "allowed limit=60 remaining=60 reset=0s retry=0s"},
		{30, "allowed limit=60 remaining=57 reset=3s retry=0s"},
		{300, "allowed limit=60 remaining=30 reset=30s retry=0s"},
		{360, "allowed limit=60 remaining=24 reset=36s retry=0s"},
		{900, "allowed limit=60 remaining=0 reset=1m30s retry=0s"},
	} {
		l, _ := newLimiter(Config{})
		_, p := reserve(l, tokensOf("k", 600), 300)
		want(t, seeTokens(l, tokensOf("k", 60), 0), "allowed limit=60 remaining=30 reset=30s retry=0s")
		p.End(c.used)
		want(t, seeTokens(l, tokensOf("k", 60), 0), c.want)
	}
}

// An idle tenant keeps nothing of the requests that it has had: each is part of something large.
func TestIdleTenantKeepsNoRequests(t *testing.T) {
	for name, key := range map[string]Account{"the bank is asked for each": perMinute("key", 60), "for all": perMinute("key", 60_000)} {
		t.Run(name, func(t *testing.T) {
			bank := &wire{bank: newModelBank(func() int64 { return time.Now().UnixMicro() })}
			l := New(Options{Bank: bank, Replica: "only"})
			defer func() {
				if err := l.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			for _, size := range []int{1, 7, 8} {
				permits := make([]weak.Pointer[Permit], size)
				var open sync.WaitGroup
				for i := range permits {
					open.Go(func() { // the first asks the bank, and the others wait
						p := new(Permit)
						permits[i] = weak.Make(p)
						l.Take(context.Background(), p, Request{Key: key, Tenant: Account{ID: fmt.Sprint(size)}, Tokens: 1})
						p.End(1)
					})
				}
				open.Wait()
				if n := inMemory(permits); n > 0 {
					t.Errorf("%d of %d permits are still in memory", n, size)
				}
			}
			runtime.KeepAlive(l)
		})
	}
}

// inMemory counts those that are not collected, though all that could be is.
func inMemory(permits []weak.Pointer[Permit]) (count int) {
	for range 20 {
		runtime.GC()
		count = 0
		for _, p := range permits {
			if p.Value() != nil {
				count++
			}
		}
		if count == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond) // a stack may not be left yet
	}
	return count
}
