package probe

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/simulator"
	"tollgate/upstream"
)

// inProcess asks a simulated provider without a socket, so that time can stand
// still. meddle may answer in its place, request number n being the first at 1.
type inProcess struct {
	sim    *simulator.Simulator
	meddle func(ctx context.Context, n int) (*upstream.Response, error)
	asked  int
}

func (p *inProcess) Do(ctx context.Context, r *upstream.Request) (*upstream.Response, error) {
	p.asked++
	if p.meddle != nil {
		if response, err := p.meddle(ctx, p.asked); response != nil || err != nil {
			return response, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/starmagic/v1/chat/completions", strings.NewReader(string(r.Body)))
	request.Header.Set("Authorization", "Bearer "+credential)
	recorder := httptest.NewRecorder()
	p.sim.Handler().ServeHTTP(recorder, request)
	return &upstream.Response{Status: recorder.Code, ContentType: recorder.Header().Get("Content-Type"), Body: io.NopCloser(recorder.Body)}, nil
}

func respond(status int, body string, retryIn time.Duration) (*upstream.Response, error) {
	return &upstream.Response{Status: status, ContentType: "application/json", RetryIn: retryIn, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// bubbled runs a Prober inside a bubble.
func bubbled(t *testing.T, o Options, meddle func(ctx context.Context, n int) (*upstream.Response, error)) (r Report, asked int, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &inProcess{sim: simulator.New(simulator.Options{}), meddle: meddle}
		o.Asker = p
		o.Candidate = candidateOf(t, upstream.ContractConfig{Base: "starmagic"}, simulator.StarMagic.Models()[0], "http://127.0.0.1:9/starmagic/v1")
		began := time.Now()
		r = New(o).Run(t.Context())
		asked, took = p.asked, time.Since(began)
	})
	return r, asked, took
}

// TestRefusedCredential is over after one request, whatever it is refused with.
func TestRefusedCredential(t *testing.T) {
	f := func(status int, want string) {
		t.Helper()
		r, asked, _ := bubbled(t, Options{}, func(context.Context, int) (*upstream.Response, error) {
			return respond(status, `{"error":{"message":"no","type":"t"}}`, 0)
		})
		if r.Stopped != want || asked != 1 || r.Conforms() || r.Count(NotTried) != len(r.Findings) {
			t.Errorf("%d: stopped with %q after %d requests\n%s", status, r.Stopped, asked, table(r, AsDocumented, Deviates, Undecided))
		}
	}
	f(401, "it refuses the credential (401): look after the endpoint's api_keys")
	f(402, "it wants to be paid (402): the account's quota is used up")
	f(403, "it forbids the request (403): the credential may not use this model, or the address is not allowed")
}

// TestForbiddenModel holds a 403 for a model that does not exist apart from one for the credential.
func TestForbiddenModel(t *testing.T) {
	r, _, _ := bubbled(t, Options{}, func(_ context.Context, n int) (*upstream.Response, error) {
		if n != 5 {
			return nil, nil
		}
		return respond(403, `{"error":{"message":"no such model for you","type":"t"}}`, 0)
	})
	if r.Stopped != "" || !strings.Contains(table(r, AsDocumented), "error: unknown model | 4xx with an error object | 403 with an error object") {
		t.Errorf("stopped with %q\n%s", r.Stopped, table(r, AsDocumented, Deviates))
	}
}

// TestThrottled waits as long as it is told, and not longer than it can be.
func TestThrottled(t *testing.T) {
	throttle := func(from, to int, retryIn time.Duration) func(context.Context, int) (*upstream.Response, error) {
		return func(_ context.Context, n int) (*upstream.Response, error) {
			if n < from || n > to {
				return nil, nil
			}
			return respond(429, `{"error":{"message":"slow down","type":"t"}}`, retryIn)
		}
	}
	calm, asked, usual := bubbled(t, Options{Pause: -1}, nil)
	if !calm.Conforms() || usual != 0 {
		t.Fatalf("without a 429 it took %s: %s\n%s", usual, calm.Stopped, table(calm, Deviates, Undecided))
	}
	f := func(meddle func(context.Context, int) (*upstream.Response, error), wantAsked int, wantTook time.Duration, wantStopped string) {
		t.Helper()
		r, got, took := bubbled(t, Options{Pause: -1}, meddle)
		if got != wantAsked || took != wantTook || r.Stopped != wantStopped {
			t.Errorf("asked %d times in %s and stopped with %q, want %d, %s, %q", got, took, r.Stopped, wantAsked, wantTook, wantStopped)
		}
		if wantStopped == "" && !r.Conforms() {
			t.Errorf("a 429 was taken for something else:\n%s", table(r, Deviates, Undecided))
		}
	}
	f(throttle(3, 4, 7*time.Second), asked+2, 14*time.Second, "")
	f(throttle(1, 3, 0), asked+3, 14*time.Second, "") // 2s, 4s, 8s
	f(throttle(1, 99, time.Second), 4, 3*time.Second, "it throttles (429): try again in 1s")
	f(throttle(1, 99, time.Hour), 1, 0, "it throttles (429): try again in 1h0m0s")
}

// TestHang meets a provider that falls silent after its second answer.
func TestHang(t *testing.T) {
	hang := func(ctx context.Context, n int) (*upstream.Response, error) {
		if n <= 2 {
			return nil, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r, asked, took := bubbled(t, Options{Pause: -1, Timeout: 10 * time.Second}, hang)
	if asked != 8 || took != time.Minute || r.Stopped != "6 requests in a row had no answer" {
		t.Errorf("asked %d times in %s and stopped with %q", asked, took, r.Stopped)
	}
	if got := r.Spent.Completion; got != 24+7*usualLimit { // one answer with usage; a hung one may be charged as well
		t.Errorf("%d completion tokens are counted", got)
	}
	const want = `stream_options.include_usage | a chunk of its own when asked for |  | undecided | no answer within 10s
error: no messages | 4xx with an error object |  | undecided | no answer within 10s
`
	if got := table(r, Undecided); got != want {
		t.Errorf("undecided are\n%swant\n%s", got, want)
	}
}

// TestSilentFromTheStart has nothing to compare with, and so asks nothing else.
func TestSilentFromTheStart(t *testing.T) {
	r, asked, took := bubbled(t, Options{Pause: -1}, func(ctx context.Context, _ int) (*upstream.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if asked != 2 || took != 2*time.Minute || r.Stopped != "it does not answer a plain request: no answer within 1m0s" {
		t.Errorf("asked %d times in %s and stopped with %q", asked, took, r.Stopped)
	}
}

// TestSlowRun is cut where the whole of it takes too long.
func TestSlowRun(t *testing.T) {
	r, _, took := bubbled(t, Options{Pause: -1}, func(context.Context, int) (*upstream.Response, error) {
		time.Sleep(47 * time.Second)
		return nil, nil
	})
	if took > runTimeout+time.Minute || r.Stopped != "the run took longer than 15m0s" {
		t.Errorf("took %s and stopped with %q", took, r.Stopped)
	}
}

// TestServerErrors asks again once, and then leaves the check undecided.
func TestServerErrors(t *testing.T) {
	f := func(from, to int, want string) {
		t.Helper()
		r, _, _ := bubbled(t, Options{Pause: -1}, func(_ context.Context, n int) (*upstream.Response, error) {
			if n < from || n > to {
				return nil, nil
			}
			return respond(503, `{"error":{"message":"too busy","type":"t"}}`, 0)
		})
		if got := table(r, Undecided, Deviates); got != want || r.Stopped != "" {
			t.Errorf("503 from %d to %d: stopped with %q, undecided are\n%swant\n%s", from, to, r.Stopped, got, want)
		}
	}
	f(4, 4, "")
	f(4, 5, "error: no messages | 4xx with an error object |  | undecided | status 503: too busy\n")
}

// clumsy is a provider that answers 500 to whatever it does not take.
type clumsy struct{ Asker }

func (c clumsy) Do(ctx context.Context, r *upstream.Request) (*upstream.Response, error) {
	response, err := c.Asker.Do(ctx, r)
	if err == nil && response.Status == 400 {
		response.Status = 500
	}
	return response, err
}

// TestClumsyProvider comes to the end of the list all the same.
func TestClumsyProvider(t *testing.T) {
	_, url := simulated(t, simulator.Behaviour{})
	o := optionsFor(t, simulator.TheTurbo, url)
	o.Asker = clumsy{o.Asker}
	r := New(o).Run(t.Context())
	if r.Stopped != "" || r.Count(Undecided) < 15 || r.Count(Deviates) != 0 || r.Conforms() {
		t.Errorf("stopped with %q\n%s", r.Stopped, table(r, Undecided, Deviates))
	}
}

// TestInterrupted gives back what was found before.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := &inProcess{sim: simulator.New(simulator.Options{})}
	p.meddle = func(asking context.Context, n int) (*upstream.Response, error) {
		if n < 6 {
			return nil, nil
		}
		cancel()
		<-asking.Done()
		return nil, asking.Err()
	}
	o := Options{Asker: p, Candidate: candidateOf(t, upstream.ContractConfig{Base: "starmagic"}, simulator.StarMagic.Models()[0], "http://127.0.0.1:9/starmagic/v1"), Pause: -1}
	r := New(o).Run(ctx)
	if r.Stopped != "interrupted" || p.asked != 6 || r.Count(AsDocumented) != 9 || r.Count(Undecided) != 0 || r.Count(NotTried) != len(r.Findings)-9 {
		t.Errorf("stopped with %q after %d requests\n%s", r.Stopped, p.asked, table(r, AsDocumented, Undecided, NotTried))
	}
	if got, _ := r.Stanza(); got != "contract: starmagic\n" {
		t.Errorf("what was not tried is in the stanza %q", got)
	}
}

// TestCostBound never spends more than it may, and says where it ended.
func TestCostBound(t *testing.T) {
	o := Options{Pause: -1, Prices: prices(t, simulator.StarMagic, "100"), MaxCost: 100_000_000} // a dime; a request may cost 1.6 cents
	r, asked, _ := bubbled(t, o, nil)
	if r.Spent.Cost > o.MaxCost || r.Spent.Cost < o.MaxCost/2 || asked < 10 || !strings.HasPrefix(r.Stopped, "$0.0") {
		t.Errorf("spent %s in %d requests and stopped with %q", r.Spent.Cost, asked, r.Stopped)
	}
	o.MaxCost = 1_000_000
	if r, asked, _ := bubbled(t, o, nil); asked != 0 || r.Stopped != "$0.00 are spent, and the next request might go beyond the $0.001 of --max-cost" {
		t.Errorf("asked %d times and stopped with %q", asked, r.Stopped)
	}
	o.MaxCost = 100_000_000
	_, url := simulated(t, simulator.Behaviour{Deviations: simulator.Deviations{Figures: simulator.FiguresAbsent}})
	silent := optionsFor(t, simulator.StarMagic, url)
	silent.Prices, silent.MaxCost = o.Prices, o.MaxCost
	if r := New(silent).Run(t.Context()); r.Spent.Requests != 9 || r.Spent.Cost != 6*16_400_000 || r.Stopped == "" { // three were refused
		t.Errorf("without any usage it spent %s in %d requests and stopped with %q", r.Spent.Cost, r.Spent.Requests, r.Stopped)
	}
	o.MaxCost = 0
	if r, _, _ := bubbled(t, o, nil); !r.Conforms() {
		t.Errorf("without a bound it stopped with %q", r.Stopped)
	}
}

// TestEstimate is the most: no run spends more, and none asks more often.
func TestEstimate(t *testing.T) {
	sim, url := simulated(t, simulator.Behaviour{})
	for _, p := range simulator.Providers() {
		o := optionsFor(t, p, url)
		o.Prices = prices(t, p, "0.40")
		sim.Behave(simulator.Behaviour{Tokens: 500, ReasoningTokens: 20}) // an answer as long as it is let
		e := New(o).Estimate()
		r := New(o).Run(t.Context())
		if e.Requests > 75 || e.Prompt < 2*imagePrompt || !e.Priced || e.Cost > 10_000_000 {
			t.Errorf("%s: the estimate is %+v", p, e)
		}
		if s := r.Spent; s.Requests > e.Requests || s.Prompt > e.Prompt || s.Completion > e.Completion || s.Cost > e.Cost || s.Cost == 0 {
			t.Errorf("%s: spent %+v of %+v", p, s, e)
		}
	}
}

// TestNeverTheCredential meets a provider that sends the key back in everything it says.
func TestNeverTheCredential(t *testing.T) {
	r, _, _ := bubbled(t, Options{Pause: -1}, func(_ context.Context, n int) (*upstream.Response, error) {
		switch {
		case n == 1:
			return respond(200, `{"model":"`+credential+`","choices":[{"message":{"content":"1 2 3"},"finish_reason":"`+credential+`"}]}`, 0)
		case n%4 == 0:
			return nil, &upstream.ConnectError{Address: "x", Err: errors.New("dial " + credential)}
		case n%4 == 1:
			return respond(400, strings.Repeat("x", 190)+credential, 0)
		}
		return respond(400, `{"error":{"message":"bad key `+credential+`","type":"t"}}`, 0)
	})
	if all := table(r, AsDocumented, Deviates, Undecided, NotTried); strings.Contains(all+r.Stopped, credential[:8]) {
		t.Errorf("the credential is in\n%s", all)
	}
}

func TestQuote(t *testing.T) {
	s := &session{Prober: New(Options{Candidate: candidateOf(t, upstream.ContractConfig{Base: "starmagic"}, "m", "http://127.0.0.1:9/v1")})}
	f := func(text, want string) {
		t.Helper()
		if got := s.quote(text); got != want {
			t.Errorf("%q is quoted as %q, want %q", text, got, want)
		}
	}
	f("", "")
	f("bad\r\n\tvalue \x1b[31mred\x00", "bad value [31mred")
	f("a\xffb\u202ec", "a b c")
	f("key "+credential+"!", "(not shown: it holds the credential)")
	f(strings.Repeat("é", 150), strings.Repeat("é", 98)+"...")
	f(strings.Repeat("x", 200), strings.Repeat("x", 200))
}
