package e2e

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestRotation gives a key one secret after the other, at one replica after the
// other, while clients use it: those who take the new secret at once and those who
// take it some time before the old one's grace is over never see a refusal.
func TestRotation(t *testing.T) {
	alone(t)
	rotations, every, grace := 4, 300*time.Millisecond, 900*time.Millisecond
	if proving() {
		rotations, every, grace = 60, time.Second, 1500*time.Millisecond
	}
	o := &rotation{trio: newTrio(t, redistest.Start(t), measured(t, environment{}))}
	load := o.traffic(t, 1, 50*time.Millisecond)
	o.key = o.operators[0].create(t, `"name":"rotated"`)
	o.present.Store(&o.key.Secret)
	ctx, stop := context.WithCancel(within(t, patience+2*time.Duration(rotations)*every))
	defer o.using.Wait()
	defer stop()
	for i := range o.replicas {
		for _, longest := range []time.Duration{0, grace * 7 / 10} { // the rest is for news to spread
			o.using.Go(func() { o.use(ctx, t, i, longest) })
		}
	}
	var old []tenantKey
	pace := time.NewTicker(every)
	defer pace.Stop()
	for n := range rotations {
		<-pace.C
		old = append(old, o.rotate(t, n%3, grace))
		for len(old) > 0 && time.Since(old[0].PreviousUntil) > 100*time.Millisecond {
			o.shut(t, "a secret after its grace", old[0].Secret)
			old = old[1:]
		}
	}
	for _, ended := range old {
		time.Sleep(time.Until(ended.PreviousUntil.Add(100 * time.Millisecond)))
		o.shut(t, "a secret after its grace", ended.Secret)
	}
	o.welcome(t, *o.present.Load())
	o.welcome(t, o.rotate(t, 0, 10*patience).Secret) // in a grace that outlasts the slowest machine
	o.welcome(t, *o.present.Load())
	stop()
	o.using.Wait()
	o.wrong.fail(t)
	t.Logf("%d requests with %d secrets, and %d of other keys", o.asked.Load(), rotations+2, load.end(t))
}

// rotation is a key whose secret changes while clients use it.
type rotation struct {
	*trio
	key     tenantKey
	present atomic.Pointer[string]
	ends    sync.Map // by secret: when its grace may be over, at the earliest
	using   sync.WaitGroup
	wrong   complaints
	asked   atomic.Int64
}

// rotate replaces the present secret, and returns it with the end of its grace. An operator whom Redis keeps waiting on a
// busy machine gives the order again, as he is told to.
func (o *rotation) rotate(t *testing.T, replica int, grace time.Duration) tenantKey {
	t.Helper()
	before := *o.present.Load()
	o.ends.Store(before, time.Now().Add(grace))
	var r reply
	until(t, "a rotation", patience, func() bool {
		r = o.operators[replica].order(t.Context(), http.MethodPost, "/keys/"+o.key.ID+"/rotate", `{"grace":"`+grace.String()+`"}`)
		return !r.unknowing() || proving()
	})
	var rotated tenantKey
	if err := json.Unmarshal([]byte(r.body), &rotated); err != nil || r.status != http.StatusOK {
		t.Fatalf("a rotation is answered %s", r)
	}
	if rotated.ID != o.key.ID || rotated.Secret == before || rotated.PreviousUntil.IsZero() || rotated.Name != o.key.Name {
		t.Fatalf("rotated to %+v", rotated)
	}
	o.present.Store(&rotated.Secret)
	return tenantKey{Secret: before, PreviousUntil: rotated.PreviousUntil}
}

// use is a client of a replica. Whenever there is a new secret it goes on with the old one for a while, for longest at most.
func (o *rotation) use(ctx context.Context, t *testing.T, replica int, longest time.Duration) {
	secret := o.present.Load()
	for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if o.present.Load() == secret {
			o.mustEnter(t, replica, *secret, "the secret that was the last")
			continue
		}
		end := time.Now().Add(longest - rand.N(longest/4+1))
		for time.Now().Before(end) && ctx.Err() == nil {
			o.mustEnter(t, replica, *secret, "a secret in its grace")
			time.Sleep(5 * time.Millisecond)
		}
		secret = o.present.Load()
	}
}

// mustEnter shows a replica a secret that works. On a busy machine a client that is asked to come back does so, with the same
// secret, and one that is late may find the grace over. On a quiet one, where this is proved, nobody is.
func (o *rotation) mustEnter(t *testing.T, replica int, secret, what string) {
	t.Helper()
	o.asked.Add(1)
	r := o.told(t, replica, secret)
	end, replaced := o.ends.Load(secret)
	late := replaced && !time.Now().Before(end.(time.Time))
	if r.status != http.StatusOK && (proving() || !late || !r.shut()) {
		o.wrong.add("replica %d answers %s %s", replica, what, r)
	}
}
