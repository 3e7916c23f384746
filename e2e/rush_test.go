package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rush is clients that all want the same at the same time, and come back a
// moment after they were refused.
type rush struct {
	address string
	text    string // the request
	pause   time.Duration

	served, refused, dials atomic.Int64
	wrong                  complaints
}

// run lets so many clients ask again and again for a while. It returns how many
// answers a second there were.
func (r *rush) run(t *testing.T, clients int, d time.Duration) float64 {
	t.Helper()
	var (
		asking sync.WaitGroup
		over   atomic.Bool
		began  = time.Now()
		before = r.served.Load()
	)
	ctx := within(t, patience+d)
	for seed := range uint64(clients) {
		asking.Go(func() {
			p := patron{rush: r, random: rand.New(rand.NewPCG(13, seed))}
			defer p.hangUp()
			for !over.Load() && ctx.Err() == nil {
				p.ask(ctx)
			}
		})
	}
	<-time.After(d)
	served, took := r.served.Load()-before, time.Since(began)
	over.Store(true)
	asking.Wait()
	return float64(served) / took.Seconds()
}

// patron is one of these clients, with one connection that it keeps as long as
// it may.
type patron struct {
	rush   *rush
	random *rand.Rand
	conn   net.Conn
	in     *bufio.Reader
}

func (p *patron) hangUp() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// ask asks once. A client that is refused pauses.
func (p *patron) ask(ctx context.Context) {
	reply, keeps, err := p.exchange(ctx)
	if err != nil || !keeps {
		p.hangUp()
	}
	r := p.rush
	switch {
	case err != nil:
		r.wrong.add("%v", err)
		fallthrough // a gateway that answers nobody is not asked in a tight loop
	case reply.status != http.StatusOK:
		r.refused.Add(1)
		r.checkRefusal(reply, err)
		pause := time.NewTimer(r.pause/2 + time.Duration(p.random.Int64N(int64(r.pause))))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	default:
		r.served.Add(1)
	}
}

// checkRefusal holds a refusal to what all of them must say.
func (r *rush) checkRefusal(got reply, err error) {
	seconds, bad := strconv.Atoi(got.header.Get("Retry-After"))
	if err == nil && (got.status != http.StatusServiceUnavailable || got.code() != "overloaded" || bad != nil || seconds < 1) {
		r.wrong.add("%s with retry-after %q", got, got.header.Get("Retry-After"))
	}
}

// exchange sends the request, as far as somebody takes it, and reads its answer.
// keeps reports whether the gateway keeps the connection.
func (p *patron) exchange(ctx context.Context) (r reply, keeps bool, err error) {
	if p.conn == nil {
		p.rush.dials.Add(1)
		if p.conn, err = new(net.Dialer).DialContext(ctx, "tcp", p.rush.address); err != nil {
			p.conn = nil
			return r, false, err
		}
		p.in = bufio.NewReader(p.conn)
	}
	conn := p.conn
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() { _, _ = io.WriteString(conn, p.rush.text) }) // a refusal may come before the end
	response, err := http.ReadResponse(p.in, nil)
	if err != nil {
		conn.Close() // or sending might not end
		return r, false, fmt.Errorf("no answer: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.Close {
		conn.Close()
	}
	return reply{response.StatusCode, response.Header, string(body), nil}, !response.Close, err
}

// ofSize is a question of so many bytes of prose.
func ofSize(model string, size int) string {
	const line = "Please answer this when you have the time. "
	around := len(question(model, ""))
	return question(model, strings.Repeat(line, size/len(line)+1)[:size-around])
}
