package e2e

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// market is customers of every kind who come one after the other, many at a time,
// and are all remembered.
type market struct {
	secret string
	atOnce int
	pace   time.Duration // between two of them

	mu        sync.Mutex
	random    *rand.Rand
	customers map[int64]*customer
	answered  int           // have a whole answer
	opened    time.Duration // how long it was open, in all
}

// firstNumber is the first customer's; an answer is never as long as that.
const firstNumber = 1_000_000

// unboundedCompletions is a limits.max_completion_tokens beyond every customer's number: an intent names the number then.
const unboundedCompletions = "2000000000"

func newMarket(secret string, seed uint64) *market {
	return &market{
		secret:    secret,
		atOnce:    16,
		pace:      5 * time.Millisecond,
		random:    rand.New(rand.NewPCG(23, seed)),
		customers: map[int64]*customer{},
	}
}

// open lets customers come to a gateway until it is gone, or the context ends; then
// it waits for those who are there.
func (m *market) open(ctx context.Context, g *gateway, during string) {
	transport := &http.Transport{MaxIdleConnsPerHost: m.atOnce, DisableCompression: true}
	defer transport.CloseIdleConnections()
	b := bare{g.url, &http.Client{Transport: transport, Timeout: patience}}
	pace := time.NewTicker(m.pace)
	defer pace.Stop()
	began := time.Now()
	defer func() { m.opened += time.Since(began) }()
	var inside sync.WaitGroup
	for range m.atOnce {
		inside.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-g.ended:
					return
				case <-pace.C:
				}
				c := m.invite(during)
				c.visit(context.WithoutCancel(ctx), b, m.secret)
				m.remember(c)
			}
		})
	}
	inside.Wait()
}

func (m *market) invite(during string) *customer {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newCustomer(firstNumber+int64(len(m.customers)), m.random)
	c.during = during
	m.customers[c.number] = c
	return c
}

// nextNumber is that of the customer who is invited next.
func (m *market) nextNumber() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return firstNumber + int64(len(m.customers))
}

func (m *market) remember(c *customer) {
	if !c.whole() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answered++
}

// served is how many customers have a whole answer.
func (m *market) served() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answered
}
