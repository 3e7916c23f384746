package e2e

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// slowLine is a way to a server on which some answers are late, each by itself:
// what was said first on one connection may arrive after what was said next on
// another. It returns the address of its near end.
func slowLine(t *testing.T, server string, latest time.Duration) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	ctx, hangUp := context.WithCancel(context.Background())
	t.Cleanup(func() {
		hangUp()
		listener.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return // it is closed
			}
			running.Go(func() { carry(ctx, near, server, latest) })
		}
	})
	return listener.Addr().String()
}

// carry is one connection of a slow line.
func carry(ctx context.Context, near net.Conn, server string, latest time.Duration) {
	far, err := new(net.Dialer).DialContext(ctx, "tcp", server)
	if err != nil {
		near.Close()
		return
	}
	hangUp := func() { near.Close(); far.Close() }
	defer context.AfterFunc(ctx, hangUp)()
	var there sync.WaitGroup
	there.Go(func() {
		_, _ = io.Copy(far, near) // until either end hangs up
		hangUp()
	})
	answer := make([]byte, 64<<10)
	for {
		n, err := far.Read(answer)
		if rand.IntN(2) == 0 {
			time.Sleep(rand.N(latest))
		}
		if _, failed := near.Write(answer[:n]); failed != nil || err != nil {
			break
		}
	}
	hangUp()
	there.Wait()
}
