package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// The bounds of fast mode.
const (
	fastMaxConns  = 16384           // open at once; the next ones wait to be accepted
	fastMaxHead   = 16 << 10        // of a request, in bytes
	fastMaxBody   = 8 << 20         // of a request, in bytes
	fastMaxLarge  = 64              // bodies beyond fastMaxHead in memory at once; the next ones wait
	fastMaxTokens = 4096            // of one answer
	fastPatience  = 2 * time.Minute // for a request to come, or an event to leave
)

// FastOptions says how StartFast answers. The zero value works.
type FastOptions struct {
	// Seed makes the text.
	Seed uint64
	// FirstToken is the time from a request to the first event of its stream. Its header is sent at once.
	FirstToken time.Duration
	// Gap is the time between a stream's tokens; 0: as fast as the connection takes them.
	Gap time.Duration
	// EventsPerWrite is how many events of a stream without a Gap share one write to the connection; 1 when 0,
	// which is what a provider does that flushes each event. With a Gap every event has its own write.
	EventsPerWrite int
	// Tokens is the length of an answer that max_tokens does not cut; 50 when 0, which is about 300 bytes of text.
	Tokens int
}

func (o FastOptions) withDefaults() FastOptions {
	const someText = 50
	o.Tokens = min(max(cmp.Or(o.Tokens, someText), 1), fastMaxTokens)
	o.EventsPerWrite = max(o.EventsPerWrite, 1)
	if o.Gap > 0 {
		o.EventsPerWrite = 1
	}
	return o
}

// Fast plays StarMagic for load generators: bytes that are made beforehand,
// sent over plain TCP connections, so that the provider is never what a
// benchmark measures. Its answers look like the Simulator's, field by field and
// event by event. It is no judge of requests:
//
//   - of a body it reads stream, stream_options.include_usage, max_tokens and
//     max_completion_tokens, and skips the rest unseen; no API key is asked for;
//   - every answer says the same text, with a usage of 32 prompt tokens, the
//     time of its start as created, and no Date;
//   - there is no truth log, no fault, and no other provider.
//
// An answer has as many tokens as max_tokens says, up to 4,096; without it as
// many as the options say. What is not well-formed HTTP/1.1 with a JSON object
// of at most 8 MiB is refused, and its connection closed.
//
// It is safe for concurrent use.
type Fast struct {
	options  FastOptions
	script   *script
	listener net.Listener
	large    chan []byte // nil: to be made

	closing  chan struct{}
	slots    chan struct{} // one for each open connection
	mu       sync.Mutex
	open     map[net.Conn]struct{} // nil: closed
	accepted sync.WaitGroup        // the accept loop and every connection
}

// StartFast listens on a TCP address ("127.0.0.1:0" for any free port) and
// serves until Close is called.
func StartFast(addr string, o FastOptions) (*Fast, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("simulator: listen on %s: %w", addr, err)
	}
	o = o.withDefaults()
	f := &Fast{
		options:  o,
		script:   newScript(o, time.Now()),
		listener: listener,
		large:    make(chan []byte, fastMaxLarge),
		closing:  make(chan struct{}),
		slots:    make(chan struct{}, fastMaxConns),
		open:     map[net.Conn]struct{}{},
	}
	for range fastMaxLarge {
		f.large <- nil
	}
	f.accepted.Add(1)
	go f.accept()
	return f, nil
}

// Addr is the address on which fast mode listens.
func (f *Fast) Addr() string { return f.listener.Addr().String() }

// URL is its base URL; the API begins at URL() + "/starmagic/v1".
func (f *Fast) URL() string { return "http://" + f.Addr() }

// Close cuts every connection and waits until all of them are gone, or until
// ctx ends, which is its error then. Closing again does nothing.
func (f *Fast) Close(ctx context.Context) error {
	f.mu.Lock()
	open := f.open
	f.open = nil
	f.mu.Unlock()
	if open == nil {
		return nil
	}
	close(f.closing)
	err := f.listener.Close()
	for conn := range open {
		_ = conn.Close() // nothing is left to be said to it
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		f.accepted.Wait()
	}()
	select {
	case <-gone:
		return err
	case <-ctx.Done():
		return fmt.Errorf("simulator: close: %w", context.Cause(ctx))
	}
}

func (f *Fast) accept() {
	defer f.accepted.Done()
	for {
		select {
		case f.slots <- struct{}{}:
		case <-f.closing:
			return
		}
		conn, err := f.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of file descriptors, mostly: some will be free again
			<-f.slots
			f.rest(10 * time.Millisecond)
		case !f.enter(conn):
			_ = conn.Close()
			return
		default:
			go f.serve(conn)
		}
	}
}

// rest waits, until Close at the latest.
func (f *Fast) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.closing:
	}
}

// enter reports whether a connection may be served: not after Close.
func (f *Fast) enter(conn net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		return false
	}
	f.open[conn] = struct{}{}
	f.accepted.Add(1)
	return true
}

func (f *Fast) serve(conn net.Conn) {
	defer f.accepted.Done()
	newFastConn(f, conn).serve()
	_ = conn.Close() // it has said what it had to say
	f.mu.Lock()
	delete(f.open, conn)
	f.mu.Unlock()
	<-f.slots
}
