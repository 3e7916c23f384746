package e2e

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/store/redistest"
)

// words is a prompt of so many words, each of which the simulator takes for a token.
func words(count int) string { return strings.Repeat("a ", count) }

// TestLimitOfTokens asks for more tokens than a key has in a minute. What a request costs is not what it was taken for: a
// fifth of it, as much, or three times that. The providers give what the limit allows and no more, and what they have not
// given is left.
func TestLimitOfTokens(t *testing.T) {
	alone(t)
	const (
		perSecond = 10_000
		taken     = 40 // tokens that an answer is taken for, since more than limits.max_completion_tokens are not asked for
		prompt    = 8  // tokens, which are taken for about 34
	)
	env := environment{"MAX_COMPLETION_TOKENS": strconv.Itoa(taken)}
	providers := simulated(t, env, 1<<16)
	for p, tokens := range map[simulator.Provider]int{simulator.StarMagic: 7, simulator.TheTurbo: 66, simulator.Evolink: 214} {
		providers.Behave(simulator.Behaviour{Keys: []string{providerKey}, Tokens: tokens}, p)
	}
	q := newQuartet(t, redistest.Start(t), env)
	b := &tokenBooks{quartet: q, providers: providers, perSecond: perSecond, burst: 60 * perSecond}
	b.key = q.issue(t, "acme", fmt.Sprintf(`"tokens_per_minute":%d`, b.burst))
	b.open(t)

	lasts, pace := 4*time.Second, 200.0
	if proving() {
		lasts, pace = 2*time.Minute, 400
	}
	var texts []string
	for _, p := range simulator.Providers() {
		texts = append(texts, completion(b.key.Secret, `{"max_tokens":1000,`+question(modelOf(p), words(prompt))[1:]))
	}
	s := q.press(t, pace, evenly(), texts...)
	<-time.After(3 * time.Second) // until all that is owed is paid
	began := time.Now()
	<-time.After(lasts)
	ended := time.Now()
	o := s.lift(t)
	b.close(t, o.ended)
	cost, answers := costBetween(q.settled(t, providers), began, ended)
	allowed := perSecond * ended.Sub(began).Seconds()
	t.Logf("%d requests a second, of which %d were answered in %s: %d tokens, %+.2f %% of what the limit allows",
		int(float64(o.asked)/o.seconds()), answers, ended.Sub(began).Round(time.Millisecond), cost, 100*(float64(cost)/allowed-1))
	if share := float64(cost) / allowed; proving() && math.Abs(share-1) > 0.02 {
		t.Errorf("%d tokens in %s, want %.0f, from -2 %% to +2 %%", cost, ended.Sub(began), allowed)
	}
}

// tokenBooks are what a key's bucket of tokens must have, from what comes in and what the providers have given. They
// hold however fast the machine is: what it leaves out is left for later.
type tokenBooks struct {
	*quartet
	providers        *simulator.Simulator
	key              tenantKey
	perSecond, burst int64

	before, after time.Time // the first request, when the bucket was full for the last time
}

// due is what must be left so long after the bucket was full; less than nothing is a debt.
func (b *tokenBooks) due(cost int64, since time.Duration) int64 {
	return b.burst - cost + int64(float64(b.perSecond)*since.Seconds())
}

// close looks whether more was given than the limit allows until the last answer was there, and then whether all is left
// that was not given.
func (b *tokenBooks) close(t *testing.T, ended time.Time) {
	t.Helper()
	cost, _ := costBetween(b.settled(t, b.providers), b.before, time.Now())
	slack := b.slack(t)
	// What costs more than it was taken for is known afterwards: by then others were let in.
	due, overdraft := b.due(cost, ended.Sub(b.before)), slack+b.perSecond
	t.Logf("%d tokens were given until %s after the first, which leaves %d", cost, ended.Sub(b.before), due)
	if due < -overdraft {
		t.Errorf("%d tokens were given, %d more than there were: want %d more at most", cost, -due, overdraft)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		asked := time.Now()
		left := b.operator.standing(t, b.key.ID)["tokens"].Left
		answered := time.Now()
		least, most := b.due(cost, asked.Sub(b.after))-slack, b.due(cost, answered.Sub(b.before))+slack
		switch {
		case most >= b.burst && most-slack < b.burst && !proving(): // Redis was late too often
			t.Logf("the bucket may be full again, or %d tokens from that: what is left proves nothing", slack)
			return
		case most >= b.burst:
			t.Fatal("the bucket may be full again, which proves nothing")
		case left >= least && left <= most && most > 0:
			t.Logf("%d tokens are left of %d, of which %d were given, %s after the first", left, b.burst, cost, answered.Sub(b.before))
			return
		case answered.After(deadline): // leases have gone back long ago
			t.Fatalf("%d tokens are left, want %d to %d", left, least, most)
		}
	}
}

// slack is how exact the books are, in tokens. Where Redis was late, as it is on a busy machine, a lease may have been
// drawn that nobody has got, and a request may have been paid twice.
func (b *tokenBooks) slack(t *testing.T) int64 {
	t.Helper()
	const (
		rounding = 500
		lease    = 1500 // with what its first requests need
		request  = 250
	)
	late, byShare := b.sum(t, ordersFailed), b.sum(t, decidedAlone)
	if late+byShare > 0 {
		t.Logf("Redis was late %.0f times, and %.0f requests were decided by shares", late, byShare)
	}
	return rounding + lease*int64(late) + request*int64(byShare)
}

// settled is the truth when nothing is in progress any more.
func (q *quartet) settled(t *testing.T, providers *simulator.Simulator) []simulator.Entry {
	t.Helper()
	truth, err := providers.Settled(within(t, patience), 0)
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

// costBetween is what the answers have cost that ended in a span of time, and how many they were.
func costBetween(truth []simulator.Entry, from, to time.Time) (tokens int64, answers int) {
	for _, e := range truth {
		if e.Done && !e.Ended.Before(from) && e.Ended.Before(to) {
			tokens += e.Usage.Total()
			answers++
		}
	}
	return tokens, answers
}

// open spends the burst, in a few requests of long prompts.
func (b *tokenBooks) open(t *testing.T) {
	t.Helper()
	const pieces = 30 // or the last of them would leave a large debt
	long := question(modelOf(simulator.StarMagic), words(int(b.burst)/pieces))
	b.before = time.Now()
	for n := range 2 * pieces {
		r := b.clients[n%len(b.clients)].send(t.Context(), wish{secret: b.key.Secret, body: long})
		if n == 0 {
			b.after = time.Now()
		}
		if r.status == http.StatusTooManyRequests {
			return
		}
		if r.status != http.StatusOK {
			t.Fatalf("a long prompt is answered %s", r)
		}
	}
	t.Fatal("a key is never refused for its tokens")
}

// TestLimitOfTokensIsPaid has one request cost more than there is in the bucket: until all of that is paid nobody is
// admitted at any replica, and then somebody is.
func TestLimitOfTokensIsPaid(t *testing.T) {
	t.Parallel()
	const (
		perSecond = 1000
		debt      = 10_000 // paid in so long a time that a busy machine has answered by then
		taken     = 100    // tokens at most, that the next request is taken for
	)
	env := environment{"MAX_COMPLETION_TOKENS": "40"}
	providers := simulated(t, env, 4096)
	providers.Behave(simulator.Behaviour{Keys: []string{providerKey}, Tokens: 1})
	q := newQuartet(t, redistest.Start(t), env)
	key := q.issue(t, "acme", fmt.Sprintf(`"tokens_per_minute":%d`, 60*perSecond))
	model := modelOf(simulator.StarMagic)

	asked := time.Now()
	r := q.clients[0].send(t.Context(), wish{secret: key.Secret, body: question(model, words(60*perSecond+debt))})
	if answered := time.Now(); r.status != http.StatusOK || answered.Sub(asked) > debt/perSecond*time.Second {
		t.Fatalf("a long prompt is answered %s after %s", r, answered.Sub(asked))
	}
	until(t, "the others to be told", patience, func() bool { return q.operator.standing(t, key.ID)["tokens"].Left == 0 })
	q.repaid(t, wish{secret: key.Secret, body: question(model, "Is it paid?")}, asked.Add(debt/perSecond*time.Second), (debt+taken)/perSecond*time.Second)
	if cost, answers := costBetween(q.settled(t, providers), asked, time.Now()); answers != 2 || cost < 60*perSecond+debt {
		t.Errorf("%d answers cost %d tokens, which proves nothing", answers, cost)
	}
}

// repaid asks every replica in turn until one admits the request: not before then, and not much later.
func (q *quartet) repaid(t *testing.T, w wish, then time.Time, wait time.Duration) {
	t.Helper()
	refusals := 0
	for n := 0; ; n++ {
		r := q.clients[n%len(q.clients)].send(t.Context(), w)
		now := time.Now()
		if r.status == http.StatusOK {
			t.Logf("%d requests were refused before one was admitted, %s after the debt was paid", refusals, now.Sub(then).Round(time.Millisecond))
			if early := then.Sub(now); early > 0 || refusals == 0 {
				q.blame(t, "a request was admitted %s before the debt is paid, after %d refusals", early, refusals)
			}
			return
		}
		refusals++
		told, err := time.ParseDuration(r.header.Get("Retry-After-Ms") + "ms")
		if r.status != http.StatusTooManyRequests || r.code() != "rate_limit_exceeded" || err != nil {
			t.Fatalf("a request is answered %s with retry-after-ms %q", r, r.header.Get("Retry-After-Ms"))
		}
		if late := now.Sub(then); late > patience {
			t.Fatalf("nobody is admitted %s after the debt is paid: %s", late, r)
		}
		// What the client was told is when it may come, from the first refusal on that knows of the debt.
		if due := now.Add(told); n >= len(q.clients) && math.Abs(due.Sub(then).Seconds()) > wait.Seconds() {
			q.blame(t, "refusal %d asks to wait %s, until %s after the debt is paid", n, told, due.Sub(then))
		}
		time.Sleep(20 * time.Millisecond)
	}
}
