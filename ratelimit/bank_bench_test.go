package ratelimit

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"tollgate/store/redistest"
)

// BenchmarkTrade is one claim at four limits, over a real Redis on this machine: the whole round trip.
func BenchmarkTrade(b *testing.B) {
	client := redis.NewClient(redistest.Start(b).Options())
	b.Cleanup(func() { _ = client.Close() })
	benchmarkTrade(b, client)
}

// BenchmarkTradeAlone is the same without the round trip: what the client takes, and what it throws away.
func BenchmarkTradeAlone(b *testing.B) {
	client := redis.NewClient(&redis.Options{Addr: "nowhere"})
	b.Cleanup(func() { _ = client.Close() })
	client.AddHook(echo{"0 0 0 0 0 0 0 0 0"})
	benchmarkTrade(b, client)
}

func benchmarkTrade(b *testing.B, client redis.UniversalClient) {
	bank := NewRedisBank(client)
	o := order("a", 1, []Line{line(KeyRequests, 1000), line(TenantRequests, 1000), line(KeyTokens, 1000), line(TenantConcurrent, 1000)}, "0 0 0 1")
	b.ReportAllocs()
	for b.Loop() {
		o.Number++
		if bank.Trade(context.Background(), o); o.Err != nil || o.Claims[0].Refused {
			b.Fatal(answer(o), o.Err)
		}
	}
}

// echo is a hook that answers each command with the same.
type echo struct{ text string }

func (e echo) DialHook(next redis.DialHook) redis.DialHook { return next }

func (e echo) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		cmd.(*redis.Cmd).SetVal(e.text)
		return nil
	}
}

func (e echo) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
