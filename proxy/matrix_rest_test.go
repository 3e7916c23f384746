package proxy

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/simulator"
	"tollgate/upstream"
)

// TestThrottledConnectionsAreKept is refused a hundred times by its first provider,
// over one connection.
func TestThrottledConnectionsAreKept(t *testing.T) {
	const times = 100
	m := newMatrix(t, scene{policy: cancels()})
	must(t, m.stands[0].Inject(simulator.Fault{Kind: simulator.Respond, Status: 429, Every: 1}))
	for i := range times {
		m.forget() // or the provider would be left alone
		c := newCaller(t, m.address)
		c.send(m.question("any", i%2 == 0))
		if c.all(); c.response.StatusCode != 200 || c.end != nil {
			t.Fatalf("%d %v %s", c.response.StatusCode, c.end, tail(c.got.String()))
		}
		m.await("the end of the exchange", func() bool { return m.gateway.InFlight() == 0 })
		m.gateway.background.Wait()
	}
	for i, s := range m.stands {
		connections := map[string]int{}
		for _, asked := range s.transfers() {
			connections[asked.from]++
		}
		if all := s.transfers(); len(all) != times || len(connections) != 1 && !s.dawdled() {
			t.Errorf("provider %d was asked %d times, over %d connections; want %d times over one", i, len(all), len(connections), times)
		}
	}
}

// rest is the rest of an answer, which notes how much of it was read.
type rest struct {
	io.Reader
	read   int
	closed time.Time
}

func (r *rest) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read += n
	return n, err
}

func (r *rest) Close() error {
	r.closed = time.Now()
	return nil
}

// TestRests gives an attempt up, and expects what is read of its answer, and when
// the provider is done with.
func TestRests(t *testing.T) {
	outer := newRig(t, legFunc(nil), rigOptions{}).gateway
	const few = 8 << 10
	f := func(name, text string, then func(ctx context.Context) io.Reader, change func(s *serving), read int, took time.Duration) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, body := time.Now(), &rest{}
				s := relayedServing(New(outer.Options), body) // whose contexts belong to the bubble
				s.response.ContentLength = -1
				body.Reader = io.MultiReader(strings.NewReader(text), then(s.ctx))
				change(s)
				s.close()
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := body.closed.Sub(began); body.read != read || got != took {
					t.Errorf("%d bytes were read, closed after %s; want %d, %s", body.read, got, read, took)
				}
				if n := s.gateway.rests.Load(); n != 0 && n != mostRests {
					t.Errorf("%d rests are being read", n)
				}
			})
		})
	}
	none := func(*serving) {}
	end := func(context.Context) io.Reader { return strings.NewReader("") }
	hang := func(ctx context.Context) io.Reader { return hangReader{ctx} }
	drip := func(ctx context.Context) io.Reader {
		drop := step{after: 30 * time.Millisecond, text: "x"}
		return &timetable{ctx: ctx, steps: []step{drop, drop, drop, drop, drop}}
	}
	short := strings.Repeat("x", few-1)
	f("short", short, end, none, few-1, 0)
	f("too long", short+"xx", end, none, few, 0)
	f("silent", "{", hang, none, 1, 100*time.Millisecond)
	f("dripping", "{", drip, none, 4, 100*time.Millisecond)
	f("cancelled", short, end, func(s *serving) { s.cancel(errClientGone) }, 0, 0)
	f("read to its end", short, end, func(s *serving) { s.ended = true }, 0, 0)
	f("long by its own account", short, end, func(s *serving) { s.response = &upstream.Response{Body: s.response.Body, ContentLength: few + 1} }, 0, 0)
	f("one of too many", short, end, func(s *serving) { s.gateway.rests.Store(mostRests) }, 0, 0)
	f("a shutdown", "{", hang, func(s *serving) {
		time.AfterFunc(10*time.Millisecond, func() { _ = s.gateway.Close(context.Background()) })
	}, 1, 10*time.Millisecond)
}
