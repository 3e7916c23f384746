package watch_test

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/proxy/watch"
)

// ignore is what is called when nobody wants to know.
func ignore() {}

// BenchmarkLeft measures from the client's close to the call of left, with dialling left out.
func BenchmarkLeft(b *testing.B) {
	w := newWatcher(b)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	var total, longest time.Duration
	for b.Loop() {
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		server, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		left := make(chan time.Time, 1)
		token := add(b, w, server, func() { left <- time.Now() })
		begin := time.Now()
		client.Close()
		took := (<-left).Sub(begin)
		total, longest = total+took, max(longest, took)
		w.Remove(token)
		server.Close()
	}
	b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "ns/left")
	b.ReportMetric(float64(longest.Nanoseconds()), "ns/longest")
	b.ReportMetric(0, "ns/op") // dialling
}

// crowd is how many connections the measurements below watch at once.
const crowd = 2000

// cycle is what one connection costs.
func cycle(b *testing.B, w *watch.Watcher, c net.Conn) {
	token, err := w.Add(c, ignore)
	if err != nil {
		b.Error(err)
	}
	w.Remove(token)
}

// rounds calls f with a fresh watcher, before which none of the connections was, until b is content.
func rounds(b *testing.B, servers []*net.TCPConn, f func(w *watch.Watcher, n int)) {
	b.ResetTimer()
	for left := b.N; left > 0; left -= len(servers) {
		b.StopTimer()
		w, err := watch.New()
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		f(w, min(left, len(servers)))
		b.StopTimer()
		w.Close()
		b.StartTimer()
	}
}

// BenchmarkAdd measures Add and Remove of one connection, from one goroutine.
func BenchmarkAdd(b *testing.B) {
	_, servers := open(b, crowd)
	b.ReportAllocs()
	rounds(b, servers, func(w *watch.Watcher, n int) {
		for _, s := range servers[:n] {
			cycle(b, w, s)
		}
	})
}

// BenchmarkAddParallel measures the same from as many goroutines as there are processors.
func BenchmarkAddParallel(b *testing.B) {
	_, servers := open(b, crowd)
	rounds(b, servers, func(w *watch.Watcher, n int) {
		var next atomic.Int64
		done := make(chan struct{})
		workers := runtime.GOMAXPROCS(0)
		for range workers {
			go func() {
				for i := next.Add(1); i <= int64(n); i = next.Add(1) {
					cycle(b, w, servers[i-1])
				}
				done <- struct{}{}
			}()
		}
		for range workers {
			<-done
		}
	})
}

// BenchmarkWatched reports the heap that a watched connection holds. The kernel's part comes on top.
func BenchmarkWatched(b *testing.B) {
	_, servers := open(b, crowd)
	var before, after runtime.MemStats
	for b.Loop() {
		w := newWatcher(b)
		runtime.GC()
		runtime.ReadMemStats(&before)
		for _, s := range servers {
			add(b, w, s, ignore)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		w.Close()
	}
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/crowd, "B/conn")
	b.ReportMetric(0, "ns/op")
}
