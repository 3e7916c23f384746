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

// siege is clients of one key who ask at a steady pace, whatever they are answered: 200 or 429, and nothing else, but for
// a disk that a busy machine holds up. They cost little, since the machine that they run on is also the gateways'.
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
	asked    []time.Time // those of its requests that were let in or refused
	admitted []admission
	longest  time.Duration // that an answer took
}

// admission is a request that was let in: at a moment between these two.
type admission struct{ asked, answered time.Time }

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
	asked := time.Now()
	_ = b.conn.SetDeadline(asked.Add(patience))
	if _, err := io.WriteString(b.conn, text); err != nil {
		return err
	}
	status, body, err := readBriefly(b.in)
	switch {
	case err != nil:
		return fmt.Errorf("no answer: %w", err)
	case status == 200:
		b.admitted = append(b.admitted, admission{asked, time.Now()})
		b.siege.served.Add(1)
	case status == 429:
		b.siege.refused.Add(1)
	case status == 503 && !proving() && unrecorded(body):
		return nil // the limits are not to blame: it is as if nobody had asked
	default:
		return fmt.Errorf("the answer is %d %s", status, body)
	}
	b.asked = append(b.asked, asked)
	return nil
}

// unrecorded tells whether an answer is that of a gateway whose disk is too late to put requests on record.
func unrecorded(body []byte) bool {
	code := (reply{body: string(body)}).code()
	return code == "journal_unavailable" || code == "usage_not_recorded"
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
	admitted     []admission   // in the order of their answers
	times        []time.Time   // of all requests that were let in or refused, in order
	asked        int           // how many these are
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
		o.times = append(o.times, b.asked...)
		o.admitted = append(o.admitted, b.admitted...)
		o.longest = max(o.longest, b.longest)
	}
	o.asked = len(o.times)
	slices.SortFunc(o.times, time.Time.Compare)
	slices.SortFunc(o.admitted, func(a, b admission) int { return a.answered.Compare(b.answered) })
	return o
}

// seconds is how long it took.
func (o outcome) seconds() float64 { return o.ended.Sub(o.began).Seconds() }

// between is how many were asked for in a span of time, and let in or refused, how many were answered in it that they are
// admitted, and how many of these were asked for in it, too: whatever the machine does, they are those that were let in
// then.
func (o outcome) between(from, to time.Time) (asked, admitted, surely int) {
	first, _ := slices.BinarySearchFunc(o.times, from, time.Time.Compare)
	end, _ := slices.BinarySearchFunc(o.times, to, time.Time.Compare)
	for _, a := range o.admitted {
		if a.answered.Before(from) || !a.answered.Before(to) {
			continue
		}
		admitted++
		if !a.asked.Before(from) {
			surely++
		}
	}
	return end - first, admitted, surely
}

// worst is the most that were admitted in any second.
func (o outcome) worst() (most int) {
	first := 0
	for i, a := range o.admitted {
		for a.answered.Sub(o.admitted[first].answered) >= time.Second {
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
