package e2e

import (
	"fmt"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestLimitWithoutRedis takes Redis from four replicas while a key asks for four times what it may: they go on as one
// limit would, by shares, answer nobody with a failure, and nobody gets more when Redis is back.
func TestLimitWithoutRedis(t *testing.T) {
	alone(t)
	f := func(how string, takeAway, bringBack func(*redistest.Server), loses bool) {
		t.Run(how, func(t *testing.T) {
			alone(t)
			redis := redistest.Start(t, redistest.WithAppendOnly())
			o := &limitOutage{quartet: newQuartet(t, redis, environment{"SIMULATOR": startSimulator(t)}), pace: 50, lasts: 5 * time.Second}
			if proving() {
				o.pace, o.lasts = 100, time.Minute
			}
			o.run(t, takeAway, func(s *redistest.Server) {
				bringBack(s)
				if loses {
					o.forget(t)
				}
			})
			o.judge(t, loses)
		})
	}
	f("silent", (*redistest.Server).Pause, (*redistest.Server).Resume, false)
	f("killed", (*redistest.Server).Kill, (*redistest.Server).Restart, true)
}

type limitOutage struct {
	*quartet
	pace  float64 // the limit, in requests a second, and its burst; a busy machine can ask for more than that, too
	lasts time.Duration

	outcome
	gone, back time.Time
	byShare    float64
}

func (o *limitOutage) run(t *testing.T, takeAway, bringBack func(*redistest.Server)) {
	t.Helper()
	key := o.issue(t, "acme", fmt.Sprintf(`"requests_per_minute":%.0f,"burst":%.0f`, 60*o.pace, o.pace))
	byShare := o.sum(t, decidedAlone)
	s := o.press(t, 4*o.pace, evenly(), completion(key.Secret, question(trioModel, "Are you there?")))
	<-time.After(3 * time.Second)
	o.gone = time.Now()
	takeAway(o.redis)
	<-time.After(time.Until(o.gone.Add(o.lasts)))
	o.back = time.Now()
	bringBack(o.redis)
	<-time.After(5 * time.Second)
	o.outcome = s.lift(t)
	o.byShare = o.sum(t, decidedAlone) - byShare
}

func (o *limitOutage) judge(t *testing.T, loses bool) {
	t.Helper()
	const tolerance = 1.05
	burst := o.pace
	away := o.back.Sub(o.gone).Seconds()
	whole := len(o.admitted)
	pressed, _, _ := o.between(o.back.Add(-time.Second), o.back)
	asked, _, without := o.between(o.gone, o.back)
	_, _, afterwards := o.between(o.back, o.back.Add(2*time.Second))
	ideal := o.pace*o.seconds() + burst
	t.Logf("%d of %d requests were admitted in %.1f s (%.0f ideally), %d of %d in the %.1f s without Redis (%.0f), and %d in the 2 s after it was back; %.0f were decided by shares",
		whole, o.asked, o.seconds(), ideal, without, asked, away, o.pace*away, afterwards, o.byShare)
	lost := 0.0
	if loses {
		lost = burst // state that Redis has lost is one burst
	}
	if most := tolerance*ideal + lost; float64(whole) > most {
		t.Errorf("%d requests were admitted, want %.0f at most", whole, most)
	}
	if most := tolerance * (o.pace*away + burst); float64(without) > most {
		t.Errorf("%d requests were admitted without Redis, want %.0f at most", without, most)
	}
	// Of one second's worth there may be some that were drawn before.
	most := tolerance*2*o.pace + lost + burst/4
	if float64(pressed) < 2*o.pace && !proving() {
		most += burst // a busy machine has asked for so few that some were left
	}
	if float64(afterwards) > most {
		t.Errorf("%d requests were admitted in the 2 seconds after Redis was back, want %.0f at most: they catch up", afterwards, most)
	}
	o.atLeast(t, o.gone, o.back, "without Redis: the shares are too small")
	o.atLeast(t, o.back.Add(time.Second), o.back.Add(5*time.Second), "from 1 to 5 seconds after Redis was back: what was spent by shares is paid twice")
	if o.byShare == 0 {
		t.Error("no request was decided by a replica's share, which proves nothing")
	}
}

// atLeast holds what was admitted in a span of time against what there was, or where a busy machine has asked for less
// than twice that, half of what it has asked for.
func (o *limitOutage) atLeast(t *testing.T, from, to time.Time, when string) {
	t.Helper()
	least := 0.5 // of a machine that has other things to do
	if proving() {
		least = 0.9
	}
	asked, admitted, _ := o.between(from, to)
	if want := least * min(o.pace*to.Sub(from).Seconds(), float64(asked)/2); float64(admitted) < want {
		t.Errorf("%d of %d requests were admitted, want %.0f at least, %s", admitted, asked, want, when)
	}
}

// forget takes from Redis what it knows of limits, and nothing else: a master that has lost what it was told last.
func (q *quartet) forget(t *testing.T) {
	t.Helper()
	client := q.redis.Client(t)
	lost := 0
	for keys := client.Scan(t.Context(), 0, limitKeys, 1000).Iterator(); keys.Next(t.Context()); {
		if err := client.Del(t.Context(), keys.Val()).Err(); err != nil {
			t.Fatal(err)
		}
		lost++
	}
	if lost == 0 {
		t.Error("Redis knows nothing of limits")
	}
}

// limitKeys are the keys in Redis that are about limits of tenants.
const limitKeys = "tollgate:limits:{*"
