package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestSentOrNot cancels a request before and after a provider can have seen it.
// The difference is money: what was not sent costs nothing.
func TestSentOrNot(t *testing.T) {
	left := errors.New("the client left")
	f := func(name, scheme string, serve func(conn net.Conn, arrived chan<- time.Time), sent bool) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			arrived := make(chan time.Time, 1)
			base := scripted(t, func(conn net.Conn) {
				serve(conn, arrived)
				_, _ = io.Copy(io.Discard, conn) // until the other side closes: what is unread would reset it
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			go func() {
				awaited(t, "the request", arrived)
				cancel(left)
			}()
			candidate := at(t, strings.Replace(base, "http", scheme, 1))
			_, err := newTransport(t, TransportOptions{}).Do(ctx, &Request{Candidate: candidate, Body: []byte("{}"), ConnectTimeout: time.Minute})
			var connect *ConnectError
			if got := !errors.As(err, &connect); got != sent || !errors.Is(err, left) {
				t.Errorf("got %T %v; sent: %t, want %t", err, err, got, sent)
			}
		})
	}
	f("a handshake that stands still", "https", func(conn net.Conn, arrived chan<- time.Time) {
		_, _ = conn.Read(make([]byte, 1))
		arrived <- time.Now()
	}, false)
	f("a request that was read", "http", func(conn net.Conn, arrived chan<- time.Time) {
		readHead(bufio.NewReader(conn))
		arrived <- time.Now()
	}, true)
}

func TestOnDisconnect(t *testing.T) {
	f := func(options string, want *Drain) {
		t.Helper()
		table := build(t, `
providers: {p: {contract: openai, `+options+` endpoints: [{url: "https://h/v1", api_keys: [k]}]}}
models: {m: {targets: [{provider: p}]}}`)
		got := model(t, table).candidates[0].Provider.Drain
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%q: got %+v, want %+v", options, got, want)
		}
	}
	f("", nil)
	f("on_disconnect: cancel, drain_time: 5s,", nil)
	f("on_disconnect: drain,", &Drain{Time: 30 * time.Second, Tokens: 8192})
	f("on_disconnect: drain, drain_time: 5s, drain_tokens: 100,", &Drain{Time: 5 * time.Second, Tokens: 100})
}
