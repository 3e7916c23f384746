package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestRedisIsAway takes Redis from two replicas under load, by a crash and by a
// silence that leaves every connection open: keys that were seen before go on
// working, others are told to come back, and when Redis is there again they can.
func TestRedisIsAway(t *testing.T) {
	t.Parallel()
	f := func(how string, takeAway, bringBack func(*redistest.Server)) {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t, redistest.WithAppendOnly())
			one := newFleet(t, environment{"REDIS": redis.Address(), "REQUESTS_PER_MINUTE": "0"})
			two := one.beside(t)
			unseen := [2]issued{one.issue(t), two.issue(t)}
			traffic := startLoad(t, one.issue(t).Secret, one.gateway, two.gateway)
			before := traffic.everyoneServed(t)

			outage := 3 * time.Second
			if proving() {
				outage = 10 * time.Second
			}
			takeAway(redis)
			began := time.Now()
			strangers(t, outage, one.gateway, two.gateway)
			during := traffic.everyoneServed(t)
			for _, replica := range []*fleet{one, two} {
				replica.withoutRedis(t)
			}
			bringBack(redis)
			t.Logf("Redis was away for %s; %d requests of known keys were answered before, %d since", time.Since(began).Round(time.Millisecond), before, during-before)
			for i, replica := range []*fleet{one, two} {
				replica.recovers(t, unseen[i].Secret)
			}
			traffic.end(t)
		})
	}
	f("crashed", (*redistest.Server).Kill, (*redistest.Server).Restart)
	f("silent", (*redistest.Server).Pause, (*redistest.Server).Resume)
}

// strangers asks with keys that no replica has ever seen, again and again: that
// nobody can say whose they are must not cost anybody much time.
func strangers(t *testing.T, d time.Duration, replicas ...*gateway) {
	t.Helper()
	var (
		clients []bare
		waits   []time.Duration
		noise   time.Duration // the longest wait of those whose answer takes no store: the machine's own doing
	)
	for _, g := range replicas {
		clients = append(clients, g.bare(t))
	}
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for began := time.Now(); time.Since(began) < d; <-pace.C {
		n := len(waits)
		client, asked := clients[n%len(clients)], time.Now()
		r := client.send(t.Context(), wish{secret: unissuedSecret(n), body: question("gemini-flash", "Who am I?")})
		waits = append(waits, time.Since(asked))
		asked = time.Now()
		malformed := client.send(t.Context(), wish{secret: "tg_mistyped", body: question("gemini-flash", "Who am I?")})
		noise = max(noise, time.Since(asked))
		if malformed.status != http.StatusUnauthorized || malformed.code() != "invalid_api_key" {
			t.Errorf("a malformed key is answered %s", malformed)
		}
		if r.code() != "key_store_unavailable" || r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") != "1" {
			t.Errorf("a stranger is answered %s with retry-after %q", r, r.header.Get("Retry-After"))
		}
	}
	slices.Sort(waits)
	median, longest := waits[len(waits)/2], waits[len(waits)-1]
	t.Logf("%d strangers were turned away: median %s, longest %s; mistyped keys in at most %s",
		len(waits), median.Round(10*time.Microsecond), longest.Round(10*time.Microsecond), noise.Round(10*time.Microsecond))
	if proving() && (median > 150*time.Millisecond || longest > time.Second+noise) {
		t.Errorf("strangers wait for up to %s, half of them for more than %s", longest, median)
	}
}

// withoutRedis looks at all else that a replica promises while Redis is away.
func (f *fleet) withoutRedis(t *testing.T) {
	t.Helper()
	for _, probe := range []string{"/readyz", "/healthz"} {
		if status, body := f.get(t, probe); status != http.StatusOK {
			t.Errorf("%s answers %d %s", probe, status, body)
		}
	}
	if up := f.scrape(t)["tollgate_store_up"]; up != "0" {
		t.Errorf("tollgate_store_up is %q, want 0", up)
	}
	code, p := f.run(t, "keys", "create", "--tenant", "acme", "--name", "late", "--wait", "0s")
	const complaint = "tollgate: the key store cannot do this at the moment: the log says why. " +
		"It is not known whether the key was issued, with the secret that was shown: tollgate keys import --secret-stdin with this secret " +
		"and the same flags makes the same call again, and changes nothing where it was done\n"
	if code != 1 || p.stderr.String() != complaint || !strings.HasPrefix(p.stdout.String(), "result  unknown\n") {
		t.Errorf("keys create: exit code %d, printed %q and complained %q, want 1 and %q", code, p.stdout.String(), p.stderr.String(), complaint)
	}
	if log := f.stderr.String(); !strings.Contains(log, `"msg":"redis is down: calls to it fail at once until it works again; known keys and limits go on"`) {
		t.Errorf("the log does not say why:\n%s", log)
	}
}

// recovers waits until a key that this replica has never seen is served.
func (f *fleet) recovers(t *testing.T, unseen string) {
	t.Helper()
	client := f.bare(t)
	took := until(t, "the key store", patience, func() bool {
		r := client.send(t.Context(), wish{secret: unseen, body: question("gemini-flash", "Who am I?")})
		if r.status != http.StatusOK && r.code() != "key_store_unavailable" {
			t.Fatalf("an unseen key is answered %s", r)
		}
		return r.status == http.StatusOK
	})
	t.Logf("%s after Redis was back an unseen key worked", took.Round(time.Millisecond))
	if up := f.scrape(t)["tollgate_store_up"]; up != "1" {
		t.Errorf("tollgate_store_up is %q, want 1", up)
	}
}

// TestStartWithoutRedis starts a gateway while Redis is away: it is there for
// the keys as soon as Redis is.
func TestStartWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.WithAppendOnly())
	first := newFleet(t, environment{"REDIS": redis.Address()})
	key := first.issue(t)
	redis.Stop()
	second := first.beside(t) // serve has seen that it is ready
	second.logged(t, "why there are no keys", func(l logLine) bool {
		return l.Message == "redis cannot be used yet: it is tried again until it can"
	})
	r := second.bare(t).send(t.Context(), wish{secret: key.Secret, body: question("gemini-flash", "Who am I?")})
	if r.status != http.StatusServiceUnavailable || r.code() != "key_store_unavailable" || r.header.Get("Retry-After") != "1" {
		t.Errorf("a key is answered %s with retry-after %q", r, r.header.Get("Retry-After"))
	}
	redis.Restart()
	second.recovers(t, key.Secret)
	second.call(t, second.issue(t).Secret).plain(t.Context(), ask("gemini-flash", "Who am I?")).complete(t)
}
