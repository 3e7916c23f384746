package e2e

import (
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
			o := &limitOutage{quartet: newQuartet(t, redis, environment{"SIMULATOR": startSimulator(t)}), lasts: 5 * time.Second}
			if proving() {
				o.lasts = time.Minute
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

// outagePace is the limit, in requests a second, and its burst.
const outagePace = 100

type limitOutage struct {
	*quartet
	lasts time.Duration

	outcome
	gone, back time.Time
	byShare    float64
}

func (o *limitOutage) run(t *testing.T, takeAway, bringBack func(*redistest.Server)) {
	t.Helper()
	key := o.issue(t, "acme", `"requests_per_minute":6000,"burst":100`)
	byShare := o.sum(t, decidedAlone)
	s := o.press(t, 4*outagePace, evenly(), completion(key.Secret, question(trioModel, "Are you there?")))
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
	const burst, tolerance = float64(outagePace), 1.05
	away := o.back.Sub(o.gone).Seconds()
	whole, without, afterwards := len(o.admitted), o.between(o.gone, o.back), o.between(o.back, o.back.Add(2*time.Second))
	ideal := outagePace*o.seconds() + burst
	t.Logf("%d of %d requests were admitted in %.1f s (%.0f ideally), %d of them in the %.1f s without Redis (%.0f), and %d in the 2 s after it was back; %.0f were decided by shares",
		whole, o.asked, o.seconds(), ideal, without, away, outagePace*away, afterwards, o.byShare)
	// An answer may have been read so much later than it was given: in the next span of time, on a busy machine.
	late := outagePace * o.longest.Seconds()
	lost := 0.0
	if loses {
		lost = burst // state that Redis has lost is one burst
	}
	if most := tolerance*ideal + lost; float64(whole) > most {
		t.Errorf("%d requests were admitted, want %.0f at most", whole, most)
	}
	if most := tolerance * (outagePace*away + burst + late); float64(without) > most {
		t.Errorf("%d requests were admitted without Redis, want %.0f at most", without, most)
	}
	// Of one second's worth there may be some that were drawn before.
	if most := tolerance*(2*outagePace+late) + lost + burst/4; float64(afterwards) > most {
		t.Errorf("%d requests were admitted in the 2 seconds after Redis was back, want %.0f at most: they catch up", afterwards, most)
	}
	least := 0.5 // of a machine that has other things to do
	if proving() {
		least = 0.9
	}
	if float64(without) < least*outagePace*away && float64(o.asked) > 2*ideal {
		t.Errorf("%d requests were admitted without Redis, want %.0f at least", without, least*outagePace*away)
	}
	later := o.between(o.back.Add(time.Second), o.back.Add(5*time.Second))
	if float64(later) < least*4*outagePace && float64(o.asked) > 2*ideal {
		t.Errorf("%d requests were admitted from 1 to 5 seconds after Redis was back, want %.0f at least: what was spent by shares is paid twice", later, least*4*outagePace)
	}
	if o.byShare == 0 {
		t.Error("no request was decided by a replica's share, which proves nothing")
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
