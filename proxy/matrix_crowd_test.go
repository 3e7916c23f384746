package proxy

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/usage"
)

// TestMatrixCrowd lets many clients leave at moments that nobody has chosen, while
// providers fail now and then: whatever each came to, it left one record, and
// what it held was given back.
func TestMatrixCrowd(t *testing.T) {
	const clients = 120
	cast := newCast(t)
	for _, policy := range []string{"cancel", "drain"} {
		t.Run(policy, func(t *testing.T) {
			s := scene{gap: time.Millisecond}
			s.policy.OnDisconnect = policy
			m := newMatrix(t, s)
			must(t, m.stands[0].Inject(
				simulator.Fault{Kind: simulator.CutBetween, Events: 9, Every: 7},
				simulator.Fault{Kind: simulator.Respond, Status: 500, Every: 11},
			))
			var all sync.WaitGroup
			for i := range clients {
				all.Go(func() { m.visit(i) })
			}
			all.Wait()
			m.await("the end of all exchanges", func() bool { return m.isOver() && !m.stands[0].busy() && !m.stands[1].busy() })
			m.checkCrowd()
		})
	}
	cast.leave()
}

// visit is one client: it asks, and stays or leaves at some moment.
func (m *matrix) visit(i int) {
	dice := rand.New(rand.NewPCG(uint64(i), 1)) // the same moments each time, as far as a machine can
	c := newCaller(m.t, m.address)
	c.send(m.question("gemini-flash", i%2 == 0))
	if i%4 == 0 {
		c.all()
		return
	}
	time.Sleep(time.Duration(dice.IntN(80)) * time.Millisecond)
	if i%3 == 0 {
		c.reset()
	} else {
		c.hangUp()
		if !c.closed() {
			m.t.Error("the connection of a client that has left stays open")
		}
	}
}

// checkCrowd holds the books of many exchanges against each other.
func (m *matrix) checkCrowd() {
	m.t.Helper()
	ends, ids := map[usage.EndReason]int{}, map[string]int{}
	for _, bill := range m.bills() {
		ends[bill.EndReason]++
		ids[bill.RequestID]++
		if tokens := bill.Prompt*1000 + bill.Completion*2000; int64(bill.Charge) != tokens || bill.Delivered > bill.Completion {
			m.t.Errorf("a record does not add up: %+v", bill)
		}
	}
	for id, n := range ids {
		if n != 1 {
			m.t.Errorf("%d records of request %s", n, id)
		}
	}
	lines := 0
	for _, line := range m.access() {
		if line.EndReason != "" {
			lines++
		}
	}
	// An attempt may end while it connects: its provider has not seen it.
	asked := len(m.stands[0].Truth()) + len(m.stands[1].Truth())
	if told := len(m.attempts()); lines != len(ids) || told < asked {
		m.t.Errorf("%d records, %d access lines of them; providers were asked %d times, breakers told %d times", len(ids), lines, asked, told)
	}
	if ends[usage.EndClientGone] == 0 || ends[usage.EndCompleted] == 0 {
		m.t.Errorf("the ends are %v: the moments are badly chosen", ends)
	}
}
