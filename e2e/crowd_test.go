package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/simulator"
)

// guest is a client that asks once and leaves, and what it came to.
type guest struct {
	number int
	model  string
	stream bool
	reset  bool          // it leaves with a TCP reset, not with an orderly end
	more   bool          // the beginning of another request follows the one it asks
	stay   time.Duration // from the request being sent

	asked, left time.Time
	got         []byte // before it left
	err         error  // of anything but leaving
}

const guestPrompt = "Please stay with me, guest "

// text is the guest's request as it is sent. The number comes back in what the
// provider was asked, the trace in the access line and in the record.
func (g *guest) text(secret string) string {
	body := question(g.model, fmt.Sprintf("%s%06d", guestPrompt, g.number))
	if g.stream {
		body = inStream(body)
	}
	const line = "POST /v1/chat/completions HTTP/1.1"
	text := request(line, []string{bearer(secret), sized(body), "Traceparent: 00-" + guestTrace(g.number) + "-00000000000000e2-00"}, body)
	if g.more {
		text += line + "\r\nHost: gate"
	}
	return text
}

func guestTrace(number int) string { return fmt.Sprintf("e2e0e2e0e2e0e2e0%016x", number+1) }

// guestOfTrace is the number of the guest whose trace it is, -1 for anybody else's.
func guestOfTrace(trace string) int {
	number, err := strconv.ParseInt(strings.TrimPrefix(trace, "e2e0e2e0e2e0e2e0"), 16, 64)
	if err != nil {
		return -1
	}
	return int(number) - 1
}

// guestOf is the number of the guest whose question it is, -1 for anybody else's.
func guestOf(e simulator.Entry) int {
	_, text, _ := strings.Cut(e.Body, guestPrompt)
	number, err := strconv.Atoi(text[:min(len(text), 6)])
	if err != nil {
		return -1
	}
	return number
}

// visit is the guest's whole life.
func (g *guest) visit(ctx context.Context, address string, secure *tls.Config, secret string) {
	dialled, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		g.err = err
		return
	}
	defer dialled.Close()
	defer context.AfterFunc(ctx, func() { dialled.Close() })()
	conn := dialled
	if secure != nil {
		conn = tls.Client(dialled, secure)
	}
	if _, g.err = io.WriteString(conn, g.text(secret)); g.err != nil {
		return
	}
	g.asked = time.Now()
	_ = conn.SetReadDeadline(g.asked.Add(g.stay))
	g.got, err = io.ReadAll(conn)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		g.err = fmt.Errorf("the gateway left first: %w", err)
		return
	}
	if g.reset {
		_ = dialled.(*net.TCPConn).SetLinger(0)
		conn = dialled
	}
	g.left = time.Now()
	_ = conn.Close() // TLS says good-bye first
}

// whole reports whether the guest has its answer to the end.
func (g *guest) whole() bool {
	if g.stream {
		return bytes.Contains(g.got, []byte("data: [DONE]\n\n"))
	}
	head, body, found := bytes.Cut(g.got, []byte("\r\n\r\n"))
	return found && bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) && bytes.HasSuffix(body, []byte("}}"))
}

// words is how many tokens of its answer the guest has seen, a plain answer's not counted.
func (g *guest) words() int64 {
	return int64(bytes.Count(g.got, []byte(`"delta":{"content":"`)) - bytes.Count(g.got, []byte(`"delta":{"content":""`)))
}

// crowd is many guests.
type crowd struct {
	guests []guest
	atOnce int
	secure *tls.Config // nil: no TLS
}

// unhurried is how much slower guests and their providers are where a busy machine may need most of the time for itself.
func unhurried() time.Duration {
	if proving() {
		return 1
	}
	return 3
}

// newCrowd invites guests who make up their minds at random.
func newCrowd(size, atOnce int, models ...string) *crowd {
	const flash = 4 * time.Millisecond              // while the request is taken in
	longest := unhurried() * 700 * time.Millisecond // an answer takes a little less
	c := &crowd{guests: make([]guest, size), atOnce: atOnce}
	random := rand.New(rand.NewPCG(7, uint64(size)))
	for n := range c.guests {
		stay := time.Duration(random.Int64N(int64(longest)))
		if random.IntN(8) == 0 {
			stay = time.Duration(random.Int64N(int64(flash)))
		}
		c.guests[n] = guest{
			number: n,
			model:  models[n%len(models)],
			stream: random.IntN(4) > 0,
			reset:  random.IntN(2) > 0,
			more:   random.IntN(8) == 0,
			stay:   stay,
		}
	}
	return c
}

// visit lets all guests come, so many at once, and returns when all have left.
func (c *crowd) visit(t *testing.T, g *gateway, secret string) {
	t.Helper()
	_, address, _ := strings.Cut(g.url, "://")
	var (
		next     = make(chan *guest)
		visiting sync.WaitGroup
	)
	for range c.atOnce {
		visiting.Go(func() {
			for one := range next {
				one.visit(t.Context(), address, c.secure, secret)
			}
		})
	}
	for n := range c.guests {
		next <- &c.guests[n]
	}
	close(next)
	visiting.Wait()
}
