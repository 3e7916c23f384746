package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestKeysWithoutRedis takes Redis from three replicas for a while: clients whose
// keys they know notice nothing, nobody waits, what has an end ends, and
// what operators order afterwards is obeyed everywhere.
func TestKeysWithoutRedis(t *testing.T) {
	alone(t)
	figures := newTable("Redis", "p99 before", "p99 without", "longest without", "strangers p99", "longest", "probes longest", "orders after")
	f := func(how string, takeAway, bringBack func(*redistest.Server)) {
		t.Run(how, func(t *testing.T) {
			alone(t)
			redis := redistest.Start(t, redistest.WithAppendOnly())
			o := &silence{trio: newTrio(t, redis, measured(t, environment{})), before: time.Second, lasts: 3 * time.Second}
			if proving() {
				o.before, o.lasts = 10*time.Second, 30*time.Second
			}
			o.begin(t)
			takeAway(redis)
			o.without(t)
			bringBack(redis)
			o.after(t)
			before, without := o.load.between(o.began.Add(-o.before), o.began), o.load.between(o.began.Add(time.Second), o.ended)
			added := without.quantile(0.99) - before.quantile(0.99)
			if slowest := o.waits.quantile(0.99); proving() && (added >= 5*time.Millisecond || slowest >= 200*time.Millisecond) {
				t.Errorf("without Redis known keys wait %s longer at the 99th percentile, want less than 5 ms; strangers wait %s, want some 150 ms at most", added, slowest)
			}
			figures.add(how, before.quantile(0.99), without.quantile(0.99), without.quantile(1), o.waits.quantile(0.99), o.waits.quantile(1), o.probes.quantile(1), o.orders)
			t.Logf("%d requests of known keys", o.load.end(t))
		})
	}
	f("silent", (*redistest.Server).Pause, (*redistest.Server).Resume)
	f("crashed", (*redistest.Server).Kill, (*redistest.Server).Restart)
	t.Cleanup(func() { figures.log(t) })
}

// silence is a while without Redis.
type silence struct {
	*trio
	before, lasts time.Duration
	began, ended  time.Time

	load           *traffic
	mortal, doomed tenantKey     // one expires while Redis is away, the other is to be revoked
	waits, probes  times         // of strangers, and of who asks whether a replica is well
	orders         time.Duration // until orders are obeyed again
}

// begin makes every replica meet some keys.
func (o *silence) begin(t *testing.T) {
	t.Helper()
	o.load = o.traffic(t, 4, 25*time.Millisecond)
	time.Sleep(o.before)
	o.doomed = o.operators[2].create(t, `"name":"doomed"`)
	o.welcome(t, o.doomed.Secret)
	for left := o.lasts / 2; !o.meetsMortal(t, left); left *= 2 {
		if left > patience {
			t.Fatalf("three replicas cannot be shown a key within %s", left)
		}
	}
	o.began = time.Now()
}

// meetsMortal shows every replica a key that has so long to live, and reports whether that was long enough: on a busy
// machine it may be over by then.
func (o *silence) meetsMortal(t *testing.T, left time.Duration) bool {
	t.Helper()
	ends := time.Now().Add(left).UTC()
	o.mortal = o.operators[1].create(t, fmt.Sprintf(`"name":"mortal","expires":%q`, ends.Format(time.RFC3339Nano)))
	for i := range o.replicas {
		r := o.told(t, i, o.mortal.Secret)
		if r.shut() && !time.Now().Before(o.mortal.ExpiresAt) {
			return false
		}
		if r.status != http.StatusOK {
			t.Fatalf("replica %d answers a key that has yet to expire %s", i, r)
		}
	}
	return time.Now().Before(o.mortal.ExpiresAt)
}

// without looks at all that must go on, and at what cannot.
func (o *silence) without(t *testing.T) {
	t.Helper()
	refused := false
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for n := 0; time.Since(o.began) < o.lasts || !refused && time.Since(o.began) < patience; n++ {
		o.stranger(t, 1+n%2, o.unmet(n))
		for i, replica := range o.replicas {
			for _, path := range []string{"/healthz", "/readyz"} {
				asked := time.Now()
				if status, body := replica.get(t, path); status != http.StatusOK {
					t.Errorf("replica %d answers %s %d %s", i, path, status, body)
				}
				o.probes = append(o.probes, time.Since(asked))
			}
		}
		if time.Since(o.mortal.ExpiresAt) > 50*time.Millisecond {
			o.remembered(t, "a key that has expired without Redis", o.mortal.Secret, reply.shut)
			refused = true
		}
		<-pace.C
	}
	o.remembered(t, "a key that it knows", o.doomed.Secret, func(r reply) bool { return r.status == http.StatusOK })
	r := o.operators[0].order(t.Context(), http.MethodPost, "/keys/"+o.doomed.ID+"/revoke", "{}")
	if r.status != http.StatusServiceUnavailable || r.code() == "" {
		t.Errorf("an order is answered %s", r)
	}
	o.ended = time.Now()
	if !refused || len(o.waits) == 0 {
		t.Error("the time without Redis was too short to prove anything")
	}
}

// remembered fails the test unless every replica answers a key that it has met as it should, without Redis. There is nothing to
// wait for, so that nobody may be asked to come back, however busy the machine is.
func (o *silence) remembered(t *testing.T, what, secret string, right func(reply) bool) {
	t.Helper()
	for i := range o.replicas {
		if r := o.enter(t, i, secret); !right(r) {
			t.Errorf("without Redis replica %d answers %s %s", i, what, r)
		}
	}
}

func (o *silence) unmet(n int) string { return o.strangers[n%len(o.strangers)].Secret }

// stranger shows a replica a valid key that it has never met.
func (o *silence) stranger(t *testing.T, replica int, secret string) {
	t.Helper()
	asked := time.Now()
	r := o.enter(t, replica, secret)
	o.waits = append(o.waits, time.Since(asked))
	if r.status != http.StatusServiceUnavailable || r.code() != "key_store_unavailable" || r.header.Get("Retry-After") == "" {
		t.Errorf("replica %d answers a valid key that it has never met %s, with retry-after %q", replica, r, r.header.Get("Retry-After"))
	}
}

// after gives orders as soon as they are taken.
func (o *silence) after(t *testing.T) {
	t.Helper()
	const most = 2 * time.Second
	back := time.Now()
	until(t, "an order to be taken", patience, func() bool {
		return o.operators[0].order(t.Context(), http.MethodPost, "/keys/"+o.doomed.ID+"/revoke", "{}").status == http.StatusOK
	})
	o.shutSoon(t, "a key that was to be revoked without Redis", o.doomed.Secret)
	if o.orders = time.Since(back); proving() && o.orders > most {
		t.Errorf("an order was obeyed %s after Redis was back, want %s", o.orders, most)
	}
	for _, key := range o.strangers {
		o.welcome(t, key.Secret)
	}
	o.welcome(t, o.operators[2].create(t, `"name":"new"`).Secret)
}
