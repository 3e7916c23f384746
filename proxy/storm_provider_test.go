package proxy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/upstream"
)

// ending says what becomes of one request at a scripted provider.
type ending uint8

const (
	answers     ending = iota // a whole answer
	hangs                     // nothing, until the request is cancelled
	refuses                   // a status other than 200
	unreachable               // no connection
	breaks                    // a stream that is cut after its first events
	panics                    // a defect on our own side of the leg
)

// reply is what a scripted provider does with one request.
type reply struct {
	ending  ending
	first   time.Duration // until the head, and with it the first event or the whole plain answer
	between time.Duration // between the events of a stream
	status  int           // of refuses
	retryIn time.Duration // of refuses
}

// question is what a provider is asked.
type question struct {
	at     time.Duration // since the storm began
	nth    int           // how many were asked before
	stream bool
}

// asking is a question that was asked, by whom, and when it was done with.
type asking struct {
	question
	client int
	order  int64         // among all that happened in the storm
	ended  time.Duration // zero: it is in progress
}

// scripted is a provider that keeps to a script, in memory and by the clock.
type scripted struct {
	name   string
	script func(q question) reply

	began time.Time
	order *atomic.Int64
	mu    sync.Mutex
	asked []asking
}

// steadily is a provider that does the same every time.
func steadily(name string, r reply) *scripted {
	return &scripted{name: name, script: func(question) reply { return r }}
}

// well is what a healthy provider does.
func well() reply { return reply{first: 200 * time.Millisecond, between: 50 * time.Millisecond} }

// fails is what a provider does whose every answer is this status.
func fails(status int) reply {
	return reply{ending: refuses, first: 20 * time.Millisecond, status: status}
}

// Do implements Leg.
func (p *scripted) Do(ctx context.Context, r *upstream.Request) (*upstream.Response, error) {
	q := p.note(r)
	defer p.finish(q.nth)
	todo := p.script(q)
	if todo.ending == hangs {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if err := pause(ctx, todo.first); err != nil {
		return nil, err
	}
	switch todo.ending {
	case panics:
		panic("on purpose")
	case unreachable:
		return nil, &upstream.ConnectError{Address: p.name, Err: errors.New("connection refused")}
	case refuses:
		response := plainAnswer(todo.status, "{}")
		response.RetryIn = todo.retryIn
		return response, nil
	}
	if !r.Stream {
		return plainAnswer(200, someAnswer), nil
	}
	return streamAnswer(streamed(ctx, todo)), nil
}

// note counts a request.
func (p *scripted) note(r *upstream.Request) question {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := question{at: time.Since(p.began), nth: len(p.asked), stream: r.Stream}
	p.asked = append(p.asked, asking{question: q, client: clientOf(r.Body), order: p.order.Add(1)})
	return q
}

func (p *scripted) finish(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[i].ended = time.Since(p.began)
}

// clientOf is the number that a client puts into its prompt.
func clientOf(body []byte) int {
	const mark = `"content":"client `
	_, rest, _ := bytes.Cut(body, []byte(mark))
	number, _, _ := bytes.Cut(rest, []byte(`"`))
	n, err := strconv.Atoi(string(number))
	if err != nil {
		return -1
	}
	return n
}

// all is everything that the provider was asked.
func (p *scripted) all() []asking {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]asking(nil), p.asked...)
}

// after is what the provider was asked from that time on.
func (p *scripted) after(from time.Duration) []asking { return within(p.all(), from, forever) }

// between counts what the provider was asked from one time to another.
func (p *scripted) between(from, to time.Duration) int { return len(within(p.all(), from, to)) }

// forever is longer than any storm.
const forever = 1000 * time.Hour

// within are the askings from one time to another.
func within(all []asking, from, to time.Duration) []asking {
	first, _ := slices.BinarySearchFunc(all, from, byTime)
	end, _ := slices.BinarySearchFunc(all, to, byTime)
	return all[first:end]
}

func byTime(a asking, at time.Duration) int { return cmp.Compare(a.at, at) }

// densest is the most askings within any span of that length.
func densest(all []asking, span time.Duration) int {
	most, first := 0, 0
	for i, a := range all {
		for a.at-all[first].at >= span {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// streamed is the body of a scripted stream: its first content at once, since the
// head came with it, then the rest by the clock.
func streamed(ctx context.Context, r reply) io.Reader {
	begin, _, _ := strings.Cut(someStream, `data: {"id":"s1","choices":[{"index":0,"delta":{},"finish`)
	steps := []step{{0, begin}, {r.between, oneWord}}
	if r.ending == breaks {
		return io.MultiReader(&paced{ctx, steps}, errorReader{io.ErrUnexpectedEOF})
	}
	return &paced{ctx, append(steps, step{r.between, someStream[len(begin):]})}
}

// paced is a body that comes by the clock. It makes no timer that is due at once: the
// race detector does not bear those in a bubble (https://go.dev/issue/78156).
type paced struct {
	ctx   context.Context
	steps []step
}

func (p *paced) Read(b []byte) (int, error) {
	if len(p.steps) == 0 {
		return 0, io.EOF
	}
	next := &p.steps[0]
	if err := pause(p.ctx, next.after); err != nil {
		return 0, err
	}
	next.after = 0
	n := copy(b, next.text)
	if next.text = next.text[n:]; next.text == "" {
		p.steps = p.steps[1:]
	}
	return n, nil
}
