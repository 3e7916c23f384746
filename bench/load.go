package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// A load is one request, sent to one gateway again and again.
type load struct {
	gateway *gateway
	request []byte
	want    answer // what the provider itself answers
	meter   *meter
	streams *load // sent in turns with it; nil: it is sent alone
}

func newLoad(g *gateway, body string, want answer) *load {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nUser-Agent: bench\r\nAccept: application/json\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", g.path, g.addr, g.secret, len(body))
	return &load{gateway: g, request: []byte(head + body), want: want, meter: &meter{}}
}

// inTurnsWith lets a second request be sent in turns with the first: a stream.
func (l *load) inTurnsWith(body string, want answer) {
	l.streams = newLoad(l.gateway, body, want)
	l.streams.meter = l.meter
}

// promptOf makes a request's body of so many bytes: one message of plain prose
// in lines, as prompts are. The fields come first.
func promptOf(size int, fields string) string {
	const line = `The quick brown fox jumps over the lazy dog, and then it says: \"well, well\".\n`
	head := `{"model":"gemini-2.5-flash-lite",` + fields + `"messages":[{"role":"user","content":"`
	const tail = `"}]}`
	room := max(0, size-len(head)-len(tail))
	prose := strings.Repeat(line, room/len(line))
	return head + prose + strings.Repeat(".", room-len(prose)) + tail
}

// dial connects; the connection is closed when ctx ends, so that nobody waits
// for an answer that does not come.
func (l *load) dial(ctx context.Context) (*client, func(), error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.gateway.addr)
	if err != nil {
		return nil, nil, err
	}
	forget := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return newClient(conn, l.meter), func() {
		forget()
		_ = conn.Close() // everything that matters was read
	}, nil
}

// exchange sends the request once and checks the answer.
func (l *load) exchange(ctx context.Context, c *client) (answer, error) {
	sent := time.Now()
	c.lines = l.want.lines - tailLines
	got, err := c.exchange(l.request)
	got.sent = sent
	if err == nil {
		err = got.same(l.want)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // which closed the connection
		}
		return got, fmt.Errorf("through %s: %w", l.gateway.name, err)
	}
	l.gateway.served.Add(1)
	return got, nil
}

// used is what happened between two moments.
type used struct {
	wall             time.Duration
	cpu              time.Duration // of the gateway
	own              time.Duration // of the load and the provider
	all              time.Duration // of everybody on the cores that may be used
	requests, events int64
}

// A loop is clients that each send the next request when the last one is answered.
type loop struct {
	clients int
	spread  time.Duration // over which the clients begin
	warmUp  time.Duration // after that
	window  time.Duration // what is measured
}

// closedLoop runs the loop, and returns what was used within its window.
func (l *load) closedLoop(ctx context.Context, how loop, w watch) (used, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, how.spread+how.warmUp+how.window+time.Minute, errHangs)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	var over atomic.Bool
	for n := range how.clients {
		group.Go(func() error {
			if err := sleep(ctx, how.spread*time.Duration(n)/time.Duration(how.clients)); err != nil {
				return err
			}
			return l.repeat(ctx, &over)
		})
	}
	var found used
	group.Go(func() (err error) {
		defer over.Store(true)
		if err := sleep(ctx, how.spread+how.warmUp); err != nil {
			return err
		}
		found, err = l.within(ctx, how.window, w)
		return err
	})
	return found, group.Wait()
}

// repeat is one client's life.
func (l *load) repeat(ctx context.Context, over *atomic.Bool) error {
	c, hangUp, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer hangUp()
	for !over.Load() {
		if _, err := l.exchange(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// within looks at everything before and after a while, which goes on until
// there is something to be seen.
func (l *load) within(ctx context.Context, d time.Duration, w watch) (used, error) {
	before, err := l.look(w)
	if err != nil {
		return used{}, err
	}
	began := time.Now()
	for {
		if err := sleep(ctx, d); err != nil {
			return used{}, err
		}
		after, err := l.look(w)
		if err != nil {
			return used{}, err
		}
		found := after.since(before)
		found.wall = time.Since(began)
		if found.requests+found.events > 0 {
			return found, l.gateway.alive()
		}
	}
}

func (l *load) look(w watch) (u used, err error) {
	u.requests, u.events = l.meter.ended.Load(), l.meter.lines.Load()/2
	if u.cpu, err = cpuTime(l.gateway.pids); err != nil {
		return u, err
	}
	if u.own, err = cpuTime(w.own); err != nil {
		return u, err
	}
	u.all, err = coreTime(w.cores.all)
	return u, err
}

func (u used) since(before used) used {
	return used{
		cpu:      u.cpu - before.cpu,
		own:      u.own - before.own,
		all:      u.all - before.all,
		requests: u.requests - before.requests,
		events:   u.events - before.events,
	}
}

// hold opens so many streams within spread, calls look when all of them have
// begun and none has ended, and waits for their ends.
func (l *load) hold(ctx context.Context, streams int, spread time.Duration, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, spread+time.Minute, errHangs)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	began := l.meter.begun.Load()
	ended := l.meter.ended.Load()
	for n := range streams {
		group.Go(func() error {
			if err := sleep(ctx, spread*time.Duration(n)/time.Duration(streams)); err != nil {
				return err
			}
			c, hangUp, err := l.dial(ctx)
			if err != nil {
				return err
			}
			defer hangUp()
			_, err = l.exchange(ctx, c)
			return err
		})
	}
	group.Go(func() error {
		for l.meter.begun.Load() < began+int64(streams) {
			if err := sleep(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
		err := look(ctx)
		if n := l.meter.ended.Load() - ended; err == nil && n > 0 {
			err = fmt.Errorf("%d of %d streams ended before all had been looked at: this machine is too busy", n, streams)
		}
		return err
	})
	return group.Wait()
}
