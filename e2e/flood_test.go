package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestClientsMakeNoSeries sends thousands of requests that are full of text of
// the clients' own, a new one each time: /metrics has the series that it had
// when every kind of them had come once.
func TestClientsMakeNoSeries(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"REQUESTS_PER_MINUTE": "0"})
	secret, client := f.issue(t).Secret, f.bare(t)
	ask := func(w wish) {
		if r := client.send(t.Context(), w); r.err != nil || r.status == http.StatusInternalServerError {
			t.Errorf("%s %s: %s", w.method, w.path, r)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2 { // the first request after a start may differ
		for _, w := range inventions(random, secret) {
			ask(w)
		}
	}
	before := f.seriesNames(t)

	const clients = 8
	requests := int64(2_000)
	if proving() {
		requests = 10_000
	}
	var sent atomic.Int64
	var asking sync.WaitGroup
	began := time.Now()
	for seed := range uint64(clients) {
		asking.Go(func() {
			random := rand.New(rand.NewPCG(3, seed))
			for sent.Load() < requests {
				for _, w := range inventions(random, secret) {
					ask(w)
					sent.Add(1)
				}
			}
		})
	}
	asking.Wait()
	t.Logf("%d requests in %s, %d series", sent.Load(), time.Since(began).Round(time.Millisecond), len(before))
	if diff := cmp.Diff(before, f.seriesNames(t)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// seriesNames are all series of /metrics, sorted, once every request is counted.
func (g *gateway) seriesNames(t *testing.T) []string {
	t.Helper()
	names := slices.Sorted(maps.Keys(g.scrape(t)))
	until(t, "a scrape that shows the same as the one before", patience, func() bool {
		last := names
		names = slices.Sorted(maps.Keys(g.scrape(t)))
		return slices.Equal(names, last)
	})
	return names
}

// inventions are requests of every kind that ends in the same way whatever text
// the client puts into it, and that text is made up.
func inventions(random *rand.Rand, secret string) []wish {
	word := func() string { return invent(random) }
	stranger := unissuedSecret(random.IntN(1e8))
	with := func(name string) http.Header { return http.Header{name: {word()}} }
	known := func(w wish) wish { w.secret = secret; return w }
	get := func(path string) wish { return known(wish{method: http.MethodGet, path: path}) }
	all := []wish{
		known(wish{body: question(word(), "hello")}),
		known(wish{body: question("gemini-2.5-flash-lite", word())}),
		known(wish{body: `{"user":"` + word() + `",` + question("gemini-2.0-flash", word())[1:], header: with("User-Agent")}),
		known(wish{body: `{"` + word() + `":1,` + question("gemini-3-pro-preview", word())[1:], header: with("Traceparent")}),
		known(wish{body: `{"temperature":"` + word() + `",` + question("gemini-flash", "hello")[1:]}),
		known(wish{body: `{"seed":1,` + question("gemini-2.0-flash", word())[1:]}),
		known(wish{body: word()}),
		known(wish{body: question("gemini-flash", "hello"), header: with("Content-Encoding")}),
		known(wish{body: question("gemini-flash", "hello"), path: "/v1/chat/completions?key=" + word()}),
		known(wish{body: question("gemini-flash", "hello"), path: "/" + word() + "/chat/completions"}),
		{secret: stranger, body: question("gemini-flash", "hello")},
		{secret: word(), body: question("gemini-flash", "hello")},
		{body: question("gemini-flash", "hello"), header: with("X-" + word())},
		{body: question("gemini-flash", "hello"), header: http.Header{"Authorization": {word() + " " + secret}}},
		get("/v1/models"), get("/v1/models?" + word() + "=" + word()), get("/v1/models/" + word()), get("/v1/models/gemini-flash"),
		get("/v1/usage"), get("/v1/usage?" + word() + "=1"), get("/v1/usage?from=" + word()),
		get("/" + word()), get("/v1/" + word() + "/" + word() + "?" + word()), get("//" + word() + "/../v1/models"),
	}
	for _, method := range []string{"PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", strings.ToUpper(word())} {
		all = append(all,
			wish{method: method, path: "/v1/chat/completions", secret: word()},
			wish{method: method, path: "/v1/models/" + word(), secret: secret},
			wish{method: method, path: "/" + word(), secret: secret})
	}
	return all
}

// invent makes a word up.
func invent(random *rand.Rand) string {
	return fmt.Sprintf("w%xz", random.Uint64())
}
