package journal

import (
	"context"
	"sync/atomic"
	"testing"
)

// BenchmarkAppend is what an intent costs: an entry of a usual size that nobody waits for.
func BenchmarkAppend(b *testing.B) {
	l, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	payload := make([]byte, 600)
	b.ReportAllocs()
	for b.Loop() {
		for {
			if _, err := l.Append(Settle, Room{Class: Owed}, payload); err == nil {
				break
			}
		}
		l.Prune(l.Durable())
	}
}

// BenchmarkAwait is how many settles a second become durable, and how many fsyncs they share.
func BenchmarkAwait(b *testing.B) {
	l, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	payload := make([]byte, 900)
	b.ReportAllocs()
	b.SetParallelism(32)
	var done atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			var sequence uint64
			var err error
			for {
				if sequence, err = l.Append(Settle, Room{Class: Owed}, payload); err == nil {
					break
				}
			}
			if err := l.Await(context.Background(), sequence); err != nil {
				b.Error(err)
				return
			}
			if done.Add(1)%1000 == 0 {
				l.Prune(sequence)
			}
		}
	})
}
