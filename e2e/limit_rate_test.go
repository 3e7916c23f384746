package e2e

import (
	"fmt"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestLimitOfRequests asks four replicas for four times as many requests as their key has, evenly and
// with most of them at one replica: all together they admit what one limit admits, and ask Redis for few of them.
func TestLimitOfRequests(t *testing.T) {
	alone(t)
	q := newQuartet(t, redistest.Start(t), environment{"SIMULATOR": startSimulator(t)})
	figures := newTable("a second", "spread", "asked", "a second", "admitted", "of ideal", "worst second", "bound",
		"orders per request", "scripts per request", "alone", "longest answer")
	lasts, rates := 3*time.Second, []int{100}
	if proving() {
		lasts, rates = 40*time.Second, []int{20, 100, 1000}
	}
	for _, rate := range rates {
		for _, spread := range []string{"even", "skewed"} {
			t.Run(fmt.Sprintf("%d a second, %s", rate, spread), func(t *testing.T) {
				trial := rateTrial{quartet: q, figures: figures, rate: rate, spread: spread}
				trial.run(t, lasts)
			})
		}
	}
	figures.log(t)
}

// rateTrial is one key's limit of so many requests a second, and a burst of as many.
type rateTrial struct {
	*quartet
	figures *table
	rate    int
	spread  string
}

func (r rateTrial) run(t *testing.T, lasts time.Duration) {
	t.Helper()
	const overload = 4
	key := r.issue(t, "acme", fmt.Sprintf(`"requests_per_minute":%d,"burst":%d`, 60*r.rate, r.rate))
	shares := evenly()
	if r.spread == "skewed" {
		shares = skewed()
	}
	orders, byShare := r.sum(t, ordersAnswered), r.sum(t, decidedAlone)
	scripts := r.scripts(t)
	s := r.press(t, float64(overload*r.rate), shares, completion(key.Secret, question(trioModel, "Are you there?")))
	<-time.After(lasts)
	o := s.lift(t)
	orders, byShare, scripts = r.sum(t, ordersAnswered)-orders, r.sum(t, decidedAlone)-byShare, r.scripts(t)-scripts
	ideal := float64(r.rate) * (1 + o.seconds())
	r.figures.add(r.rate, r.spread, o.asked, float64(o.asked)/o.seconds(), len(o.admitted), fmt.Sprintf("%+.2f %%", 100*(float64(len(o.admitted))/ideal-1)),
		o.worst(), r.rate*5/2, fmt.Sprintf("%.3f", orders/float64(o.asked)), fmt.Sprintf("%.3f", float64(scripts)/float64(o.asked)), byShare, o.longest)
	r.judge(t, o, ideal, orders/float64(o.asked), byShare)
}

// judge holds what was admitted against what one limit would have admitted.
func (r rateTrial) judge(t *testing.T, o outcome, ideal, orders, byShare float64) {
	t.Helper()
	admitted, asked := float64(len(o.admitted)), float64(o.asked)
	least, most := 0.97, 1.01
	calls := map[int]float64{20: 1, 100: 0.25, 1000: 0.05}[r.rate]
	if !proving() {
		least, calls = 0.8, 0.5
		if byShare > 0 {
			most = 1.3 // a busy machine keeps Redis from answering in time: the shares begin with a burst of their own
		}
	}
	if asked < 2*ideal {
		if proving() {
			t.Errorf("%.0f requests were asked for, of %.0f that there were: too few to prove anything", asked, ideal)
		}
		least = 0 // nor does it say much that a busy machine has sent so few
	}
	if admitted < least*ideal || admitted > most*ideal+1 {
		t.Errorf("%.0f of %.0f requests were admitted in %.1f s: want %.0f, from %+.0f %% to %+.0f %%", admitted, asked, o.seconds(), ideal, 100*(least-1), 100*(most-1))
	}
	if worst, bound := o.worst(), r.rate*5/2; proving() && worst > bound {
		t.Errorf("%d requests were admitted within one second, want %d at most", worst, bound)
	}
	if orders > calls || orders == 0 {
		t.Errorf("Redis was asked %.3f times for each request, want %.2f at most, and more than never", orders, calls)
	}
}

// scripts is how many scripts Redis has run.
func (q *quartet) scripts(t *testing.T) int {
	t.Helper()
	return (&trio{redis: q.redis}).calls(t, "evalsha", "eval")
}
