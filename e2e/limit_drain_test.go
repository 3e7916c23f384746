package e2e

import (
	"net/http"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestLimitReturnsOnDrain stops all replicas in an orderly way while they have requests, tokens and slots in hand that
// nobody has asked for yet: a fresh one has all of them to give.
func TestLimitReturnsOnDrain(t *testing.T) {
	t.Parallel()
	q := newQuartet(t, redistest.Start(t), environment{"SIMULATOR": startSimulator(t)})
	// What a replica draws at once is a tenth of a second's worth: five requests, of which it spends one.
	d := &drain{quartet: q, perSecond: 50, burst: 1500}
	d.key = q.issue(t, "acme", `"requests_per_minute":3000,"burst":1500,"concurrent":200`)
	d.ask(t)
	d.spend(t, 600)
	<-time.After(time.Second) // all that was drawn is back
	for range quartetSize {
		d.ask(t)
	}
	d.byShare = q.sum(t, decidedAlone)
	for _, f := range q.replicas {
		f.terminate(t)
	}
	for _, f := range q.replicas {
		f.stopped(t)
	}
	fresh := &fleet{env: q.replicas[0].env}
	fresh.gateway = serve(t, q.config, fresh.env)
	d.judge(t, fresh.operators(t))
}

// drain is a key, what it has spent and since when.
type drain struct {
	*quartet
	key              tenantKey
	perSecond, burst int64

	spent         int64
	byShare       float64   // requests; on a machine that has much else to do Redis may be late
	before, after time.Time // the first request, when the bucket was full for the last time
}

// ask spends one request at the replica whose turn it is.
func (d *drain) ask(t *testing.T) {
	t.Helper()
	asked := time.Now()
	r := d.clients[d.spent%quartetSize].send(t.Context(), wish{secret: d.key.Secret, body: question(trioModel, "Are you there?")})
	if r.status != http.StatusOK {
		t.Fatalf("a request is answered %s", r)
	}
	if d.spent++; d.spent == 1 {
		d.before, d.after = asked, time.Now()
	}
}

// spend asks at all replicas at once until so much more is spent than comes back meanwhile: in some seconds, which a busy
// machine may need for the rest of the test, the bucket must not be full again.
func (d *drain) spend(t *testing.T, requests int64) {
	t.Helper()
	s := d.press(t, 1000, evenly(), completion(d.key.Secret, question(trioModel, "Are you there?")))
	until(t, "more requests than come back", patience, func() bool {
		return s.served.Load() >= requests+d.perSecond*int64(time.Since(d.before)/time.Second)
	})
	o := s.lift(t)
	if o.asked != len(o.admitted) {
		t.Fatalf("%d of %d requests were refused", o.asked-len(o.admitted), o.asked)
	}
	d.spent += int64(o.asked)
}

// judge holds what is left against what must be: all but what was spent, and what has come in since.
func (d *drain) judge(t *testing.T, o operators) {
	t.Helper()
	asked := time.Now()
	found := o.standing(t, d.key.ID)
	answered := time.Now()
	left := func(since time.Duration) int64 {
		return min(d.burst, d.burst-d.spent+int64(float64(d.perSecond)*since.Seconds()))
	}
	least, most := left(asked.Sub(d.after))-1, left(answered.Sub(d.before))+1
	t.Logf("%d requests are left of %d, of which %d were spent; all came back within %s", found["requests"].Left, d.burst, d.spent, answered.Sub(d.before))
	if most == d.burst {
		t.Errorf("the bucket may be full again, which proves nothing")
	}
	if got := found["requests"].Left; (got < least || got > most) && d.byShare == 0 {
		t.Errorf("%d requests are left, want %d to %d", got, least, most)
	}
	if got := found["concurrent"]; got.Left != 200 || got.Max != 200 {
		t.Errorf("of the slots there are left %+v, want all", got)
	}
}
