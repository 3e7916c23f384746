package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
)

// TestOverload sends five times as many clients as may be served at once: those
// who are served are as many as without the others, who learn when to come
// back, and in the end the bill has what was served and nothing else.
func TestOverload(t *testing.T) {
	alone(t)
	places, capacity, overload := 8, 500*time.Millisecond, time.Second
	if proving() {
		places, capacity, overload = 40, 10*time.Second, 20*time.Second
	}
	figures := newTable("bound", "clients", "answers a second", "refused", "connections", "memory at most", "of it anonymous")
	t.Run("max_in_flight", func(t *testing.T) {
		alone(t)
		const takes = 50 * time.Millisecond
		o := newOverload(t, environment{"MAX_IN_FLIGHT": fmt.Sprint(places)}, takes)
		o.rush(t, question("gemini-2.5-flash-lite", "Please be quick"), takes)
		o.press(t, figures, "server.max_in_flight", places, capacity, overload)
		if dials := o.overload.dials.Load(); dials != int64(5*places) {
			t.Errorf("%d clients made %d connections: a small request that is refused must not cost one", 5*places, dials)
		}
		o.unread(t, places, question("gemini-2.5-flash-lite", "Please wait"))
	})
	t.Run("max_body_memory", func(t *testing.T) {
		alone(t)
		// Each body counts twice, and so many fit in beside an answer.
		size, fit, takes := 64<<10, 8, 50*time.Millisecond
		memory := 2 * fit * size
		if proving() {
			size, takes = 1<<20, 400*time.Millisecond // or only reading them would be measured
			memory = (2*fit*size/7 + 1) * 8           // an eighth is kept for small ones
		}
		o := newOverload(t, environment{
			"MAX_REQUEST_BODY": fmt.Sprint(size), "MAX_ANSWER": fmt.Sprint(size), "MAX_BODY_MEMORY": fmt.Sprint(memory + size),
		}, takes)
		o.rush(t, ofSize("gemini-2.5-flash-lite", size), takes)
		o.press(t, figures, "server.max_body_memory", fit, capacity, overload)
		o.unread(t, fit, ofSize("gemini-2.5-flash-lite", size))
	})
	figures.log(t)
}

// overload is a gateway that is asked for too much.
type overload struct {
	*fleet
	secret             string
	capacity, overload *rush
}

// newOverload starts one in front of providers that take this long for an answer.
func newOverload(t *testing.T, changes environment, takes time.Duration) *overload {
	t.Helper()
	const requests = 1 << 17 // more than there will be
	changes["REQUESTS_PER_MINUTE"] = "0"
	f := newFleetWith(t, simulator.Options{TruthEntries: requests, TruthBytes: 64}, measured(t, changes))
	f.behave(simulator.Behaviour{FirstToken: takes})
	return &overload{fleet: f, secret: f.issue(t).Secret}
}

// rush prepares clients who all ask this. One that is refused does not wait for
// the second that it is told.
func (o *overload) rush(t *testing.T, body string, pause time.Duration) {
	t.Helper()
	_, address, _ := strings.Cut(o.url, "://")
	o.capacity = &rush{address: address, text: completion(o.secret, body), pause: pause}
	o.overload = &rush{address: address, text: completion(o.secret, body), pause: pause}
}

// press lets as many clients ask as there are places, and then five times as many.
func (o *overload) press(t *testing.T, figures *table, bound string, places int, capacity, overload time.Duration) {
	t.Helper()
	before := o.capacity.run(t, places, capacity)
	calm, err := o.memory()
	if err != nil {
		t.Fatal(err)
	}
	most := o.watchMemory(t)
	during := o.overload.run(t, 5*places, overload)
	peak := most()
	o.capacity.wrong.fail(t)
	o.overload.wrong.fail(t)
	figures.add(bound, places, before, o.capacity.refused.Load(), o.capacity.dials.Load(), mebibytes(calm.resident), mebibytes(calm.anonymous))
	figures.add("", 5*places, during, o.overload.refused.Load(), o.overload.dials.Load(), mebibytes(peak.resident), mebibytes(peak.anonymous))
	if o.overload.refused.Load() == 0 {
		t.Error("nobody was refused, which proves nothing")
	}
	o.checkBooks(t)
	if proving() {
		o.bounds(t, during/before, peak.anonymous-calm.anonymous)
	}
}

// checkBooks holds the bill against what was served.
func (o *overload) checkBooks(t *testing.T) {
	t.Helper()
	o.atRest(t)
	truth, err := o.providers.Settled(within(t, patience), 0)
	if err != nil {
		t.Fatal(err)
	}
	var done, prompt, completion int64
	for _, e := range truth {
		if !e.Done {
			t.Errorf("an answer that was not whole: %+v", e)
			continue
		}
		done++
		prompt += e.Usage.Prompt
		completion += e.Usage.Completion
	}
	served, sum := o.capacity.served.Load()+o.overload.served.Load(), o.ledger(t)
	if served != done || sum.Requests != done || sum.PromptTokens != prompt || sum.CompletionTokens != completion || sum.Estimated != 0 {
		t.Errorf("%d answers were served; the providers gave %d of %d and %d tokens; the bill is %+v", served, done, prompt, completion, sum)
	}
}

// bounds are what is promised, and several times that where it is about memory.
func (o *overload) bounds(t *testing.T, share float64, grown int64) {
	t.Helper()
	const least, largest = 0.9, 64 * mebibyte
	if share < least {
		t.Errorf("%.0f%% of the answers that there are where nobody is refused, want %.0f%%", 100*share, 100*least)
	}
	if grown > largest {
		t.Errorf("being asked for too much takes %s", mebibytes(grown))
	}
}

// unread takes every place, and then asks without sending all of what it asks:
// it must be refused before the rest is waited for.
func (o *overload) unread(t *testing.T, places int, body string) {
	t.Helper()
	o.inject(t, simulator.Fault{Kind: simulator.HangBeforeHeaders})
	o.providers.Reset()
	for range places {
		o.dial(t).write(t, completion(o.secret, body))
	}
	if _, err := o.providers.Await(within(t, patience), func(all []simulator.Entry) bool { return len(all) == places }); err != nil {
		t.Fatalf("%d requests should be in progress: %v", places, err)
	}
	const some = 16 << 10
	large := body
	if len(large) < some {
		large = ofSize("gemini-2.5-flash-lite", 64<<10)
	}
	w := o.dial(t)
	w.write(t, completion(o.secret, large)[:some])
	if r := w.answered(t, http.StatusServiceUnavailable, "overloaded"); r.header.Get("Retry-After") != "1" {
		t.Errorf("retry-after is %q", r.header.Get("Retry-After"))
	}
}
