package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// siege is clients of one key who ask at a steady pace, whatever they are answered: 200 or 429, and nothing else. They
// cost little, since the machine that they run on is also the gateways'.
type siege struct {
	stop      context.CancelFunc
	besiegers []*besieger
	asking    sync.WaitGroup
	began     time.Time
	wrong     complaints
	served    atomic.Int64
	refused   atomic.Int64
}

// refusals is how many there have been so far.
func (s *siege) refusals() int { return int(s.refused.Load()) }

// besieger is one of the clients, on a connection that it keeps.
type besieger struct {
	siege    *siege
	address  string
	texts    []string // its requests, in turn
	each     time.Duration
	conn     net.Conn
	in       *bufio.Reader
	admitted []time.Time // when the answer was there
	refused  int
	longest  time.Duration // that an answer took
}

// press has so many requests a second sent, spread over the replicas by these shares, until the siege is lifted.
func (q *quartet) press(t *testing.T, pace float64, shares []float64, texts ...string) *siege {
	t.Helper()
	const most = 40 // requests a second of one client
	ctx, stop := context.WithCancel(t.Context())
	s := &siege{stop: stop, began: time.Now()}
	t.Cleanup(func() { stop(); s.asking.Wait() })
	for i, share := range shares {
		_, address, _ := strings.Cut(q.replicas[i].url, "://")
		clients := max(2, int(math.Ceil(pace*share/most)))
		for range clients {
			b := &besieger{siege: s, address: address, texts: texts, each: time.Duration(float64(clients) / (pace * share) * float64(time.Second))}
			s.besiegers = append(s.besiegers, b)
			s.asking.Go(func() { b.run(ctx) })
		}
	}
	return s
}

func (b *besieger) run(ctx context.Context) {
	next := time.Now().Add(rand.N(b.each))
	for n := rand.IntN(len(b.texts)); ; n++ {
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
			if b.conn != nil {
				b.conn.Close()
			}
			return
		}
		next = next.Add(b.each)
		if late := time.Since(next); late > time.Second {
			next = next.Add(late) // what a slow machine has left out is not made up for
		}
		asked := time.Now()
		if err := b.ask(ctx, b.texts[n%len(b.texts)]); err != nil {
			b.siege.wrong.add("%v", err)
			b.conn = nil
		}
		b.longest = max(b.longest, time.Since(asked))
	}
}

// ask sends one request and notes how it was answered.
func (b *besieger) ask(ctx context.Context, text string) (err error) {
	if b.conn == nil {
		if b.conn, err = new(net.Dialer).DialContext(context.WithoutCancel(ctx), "tcp", b.address); err != nil {
			return err
		}
		b.in = bufio.NewReaderSize(b.conn, 8<<10)
	}
	_ = b.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(b.conn, text); err != nil {
		return err
	}
	status, body, err := readBriefly(b.in)
	switch {
	case err != nil:
		return fmt.Errorf("no answer: %w", err)
	case status == 200:
		b.admitted = append(b.admitted, time.Now())
		b.siege.served.Add(1)
	case status == 429:
		b.refused++
		b.siege.refused.Add(1)
	default:
		return fmt.Errorf("the answer is %d %s", status, body)
	}
	return nil
}

// readBriefly reads an answer of known length, of which it looks at the status alone. The body that it returns is gone
// at the next read, and not all of it where it is long.
func readBriefly(in *bufio.Reader) (status int, body []byte, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case first && len(line) > 12:
			status, err = strconv.Atoi(string(line[9:12]))
		case len(line) == 0 && length < 0:
			return status, nil, errors.New("an answer without a length")
		case len(line) == 0:
			body, _ = in.Peek(min(length, in.Size()))
			_, err = in.Discard(length)
			return status, body, err
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.Atoi(string(value))
		}
		if err != nil {
			return 0, nil, err
		}
	}
}

// outcome is how a siege went.
type outcome struct {
	began, ended time.Time
	admitted     []time.Time // in order
	asked        int
	longest      time.Duration // that an answer took
}

// lift ends the siege. No answer may have been another than it should be.
func (s *siege) lift(t *testing.T) outcome {
	t.Helper()
	s.stop()
	s.asking.Wait()
	s.wrong.fail(t)
	o := outcome{began: s.began, ended: time.Now()}
	for _, b := range s.besiegers {
		o.asked += len(b.admitted) + b.refused
		o.admitted = append(o.admitted, b.admitted...)
		o.longest = max(o.longest, b.longest)
	}
	slices.SortFunc(o.admitted, time.Time.Compare)
	return o
}

// seconds is how long it took.
func (o outcome) seconds() float64 { return o.ended.Sub(o.began).Seconds() }

// between is how many were admitted in a span of time.
func (o outcome) between(from, to time.Time) int {
	first, _ := slices.BinarySearchFunc(o.admitted, from, time.Time.Compare)
	end, _ := slices.BinarySearchFunc(o.admitted, to, time.Time.Compare)
	return end - first
}

// worst is the most that were admitted in any second.
func (o outcome) worst() (most int) {
	first := 0
	for i, at := range o.admitted {
		for at.Sub(o.admitted[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// evenly is how a load is spread that favours nobody.
func evenly() []float64 { return []float64{0.25, 0.25, 0.25, 0.25} }

// skewed is how a load is spread that one replica has most of.
func skewed() []float64 { return []float64{0.85, 0.05, 0.05, 0.05} }
