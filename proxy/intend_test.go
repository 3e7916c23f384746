package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/ratelimit"
	"tollgate/upstream"
	"tollgate/usage"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestIntentsComeFirst has each provider look what is on record when it is asked.
func TestIntentsComeFirst(t *testing.T) {
	var r *rig
	var seen []usage.Record
	r = newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		intents := r.records.(*memoryRecorder).noted(usage.KindIntent)
		seen = append(seen, intents[len(intents)-1])
		switch len(seen) {
		case 1:
			return plainAnswer(500, ""), nil
		case 2:
			return streamAnswer(broken("")), nil
		}
		return streamAnswer(strings.NewReader(someStream)), nil
	}), rigOptions{memory: true})
	body := `{"model":"gemini-flash","messages":[{"role":"user","content":"hello"}],"stream":true,"max_tokens":70}`
	got := r.ask(body)
	r.idle()
	bill := r.record(got)
	intent := usage.Record{
		RequestID: got.header.Get("X-Request-Id"), Kind: usage.KindIntent, Tenant: "acme", KeyID: r.key.ID, Model: "gemini-flash", Stream: true,
		Provider: "starmagic", Endpoint: "http://starmagic.invalid/v1", UpstreamModel: "gemini-2.5-flash-lite",
		Tokens: usage.Tokens{Prompt: int64(len(body)+2) / 3}, MaxCompletion: 70, AcceptedAt: bill.AcceptedAt, TraceID: bill.TraceID,
	}
	second, third := intent, intent
	second.Attempt, second.Provider, second.Endpoint, second.UpstreamModel = 1, "theturbo", "http://theturbo.invalid/v1", "gemini-2.0-flash"
	third.Attempt, third.Provider, third.Endpoint, third.UpstreamModel = 2, "evolink", "http://evolink.invalid/v1", "gemini-3-pro-preview"
	if diff := gocmp.Diff([]usage.Record{intent, second, third}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if bill.TraceID == "" || bill.Attempt != 2 || bill.Provider != "evolink" || bill.MaxCompletion != 70 {
		t.Errorf("billed %+v", bill)
	}
}

// fullRecorder takes so many intents and refuses those that follow, after a while.
type fullRecorder struct {
	Recorder
	room  int
	after time.Duration
}

func (f *fullRecorder) Intend(r *usage.Record) error {
	if f.room--; f.room < 0 {
		time.Sleep(f.after)
		return fmt.Errorf("%w: the disk of data_dir is full", usage.ErrUnavailable)
	}
	return f.Recorder.Intend(r)
}

// TestNothingIsSentThatIsNotOnRecord has intents refused: nobody is asked, nothing
// is owed, and the client is told before anything is spent on it.
func TestNothingIsSentThatIsNotOnRecord(t *testing.T) {
	const (
		limit   = 60_000
		refusal = `{"error":{"message":"usage cannot be recorded at the moment, so nothing was sent to a provider: try again shortly",` +
			`"type":"server_error","param":null,"code":"journal_unavailable"}}`
	)
	aloud := func(comment time.Duration) func(*Config) {
		return func(c *Config) { c.KeepaliveComment, c.KeepaliveBeforeFirstToken = comment, true }
	}
	f := func(name, body string, after time.Duration, server func(*Config), status int, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			asked := 0
			r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
				asked++
				return plainAnswer(200, someAnswer), nil
			}), rigOptions{
				memory: true, server: server, limits: func(*ratelimit.Config) {},
				recorder: func(next Recorder) Recorder { return &fullRecorder{Recorder: next, after: after} },
				spec:     keys.Spec{Limits: keys.Limits{TokensPerMinute: limit, Concurrent: 1}},
			})
			began := time.Now()
			got := r.ask(body)
			r.idle()
			if text := strings.ReplaceAll(got.body, ": keep-alive\n\n", ""); got.status != status || text != want {
				t.Errorf("%d %q, want %d %q", got.status, text, status, want)
			}
			if whole := status == 503; whole != (got.err == nil) || whole && (got.header.Get("Retry-After") != "1" || got.header.Get("Retry-After-Ms") != "1000") {
				t.Errorf("the end %v, headers %v", got.err, got.header)
			}
			if named := got.header.Get("X-Tollgate-Upstream") + got.header.Get("X-Tollgate-Attempts"); asked != 0 || named != "" {
				t.Errorf("providers were asked %d times, the answer names %q", asked, named)
			}
			r.wantSpent(0, began)
			r.wantNoTrace(status)
		})
	}
	f("plain", plainAlias, 0, nil, 503, refusal)
	f("stream", streamAlias, 0, nil, 503, refusal)
	f("aloud", streamAlias, 0, aloud(patience), 503, refusal)
	f("aloud, behind a comment", streamAlias, 2*time.Second, aloud(100*time.Millisecond), 200, "data: "+refusal+"\n\n")
}

// wantNoTrace expects a request that was refused before its first attempt: it has no
// record, no breaker holds it against a provider, and nobody calls it an attempt.
func (r *rig) wantNoTrace(status int) {
	r.t.Helper()
	memory := r.records.(*memoryRecorder)
	if len(memory.records)+len(memory.passing) != 0 {
		r.t.Errorf("on record: %+v %+v", memory.records, memory.passing)
	}
	for _, e := range r.gateway.plan.Load().Table.Endpoints() {
		if e.State != upstream.StateReady || e.Pending != 0 || e.LastError != "" {
			r.t.Errorf("an endpoint is %+v", e)
		}
	}
	for _, line := range r.counters() {
		if counts := !strings.HasSuffix(line, " 0"); counts && (strings.HasPrefix(line, "tollgate.attempts") || strings.HasPrefix(line, "tollgate.retries")) {
			r.t.Errorf("counted %s", line)
		}
	}
	spans := r.spans.lines()
	want := []string{
		"server POST /v1/chat/completions error.type=journal_unavailable " + map[int]string{200: "Unset", 503: "Error"}[status],
	}
	if diff := gocmp.Diff(want, spans); diff != "" {
		r.t.Errorf("spans (-want +got):\n%s", diff)
	}
	// Whoever keeps the records says why, once: a line of each request that is refused would drown it.
	if log := r.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, `"level":"INFO","msg":"request"`) || !strings.Contains(log, `"error_code":"journal_unavailable"`) {
		r.t.Errorf("logged:\n%s", log)
	}
}

// TestRetriesThatAreNotOnRecord has the intent of a second attempt refused: it is not
// made, and the request ends as the first has left it.
func TestRetriesThatAreNotOnRecord(t *testing.T) {
	f := func(name, body string, first func() (*upstream.Response, error), server func(*Config), want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			asked := 0
			r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
				asked++
				return first()
			}), rigOptions{
				memory: true, server: server, costs: rigCosts(),
				recorder: func(next Recorder) Recorder { return &fullRecorder{Recorder: next, room: 1} },
			})
			got := r.ask(body)
			r.idle()
			failures, bill := r.billOf(got.header.Get("X-Request-Id"))
			_, code, _, message := errorOf(t, got)
			told := fmt.Sprintf("%d %s %s | %s %s %s cost %d | ", got.status, code, got.header.Get("X-Tollgate-Attempts"), bill.EndReason, bill.Source, bill.Provider, bill.Cost)
			for _, a := range failures {
				told += fmt.Sprintf("%d %s %s cost %d", a.Attempt, a.EndReason, a.Provider, a.Cost)
			}
			if told != want || bill.Attempt != 0 || asked != 1 {
				t.Errorf("%s, attempt %d, asked %d times\nwant %s", told, bill.Attempt, asked, want)
			}
			if late := strings.Contains(want, "504"); late != strings.Contains(message, "timeouts.connect") {
				t.Errorf("the client was told %q", message)
			}
			if n := strings.Count(string(bill.Trail), `"outcome"`); n != 1 {
				t.Errorf("the trail has %d attempts: %s", n, bill.Trail)
			}
			if spans := strings.Join(r.spans.lines(), "\n"); strings.Count(spans, "client chat") != 1 {
				t.Errorf("the attempts are\n%s", spans)
			}
			if log := r.log.String(); strings.Count(log, "attempt not made") != 1 {
				t.Errorf("logged:\n%s", log)
			}
			if counters := strings.Join(r.counters(), "\n"); strings.Contains(counters, "provider.name=theturbo,") || strings.Contains(counters, "decision=made} 1") {
				t.Errorf("counted\n%s", counters)
			}
		})
	}
	failing := func() (*upstream.Response, error) { return plainAnswer(500, ""), nil }
	cut := func() (*upstream.Response, error) { return nil, io.ErrUnexpectedEOF }
	late := func() (*upstream.Response, error) {
		return nil, &upstream.ConnectError{Address: "x:1", Err: &net.OpError{Op: "dial", Err: context.DeadlineExceeded}}
	}
	f("plain", plainAlias, failing, nil, "502 upstream_error 1 | upstream_failed none starmagic cost 0 | 0 upstream_failed starmagic cost 0")
	f("stream", streamAlias, cut, nil, "502 upstream_error 1 | upstream_failed none starmagic cost 0 | 0 upstream_cut starmagic cost 500")
	f("aloud", streamAlias, failing, func(c *Config) { c.KeepaliveBeforeFirstToken = true },
		"502 upstream_error 1 | upstream_failed none starmagic cost 0 | 0 upstream_failed starmagic cost 0")
	f("a limit of time", plainAlias, late, nil, "504 upstream_timeout 1 | upstream_timeout partial starmagic cost 0 | 0 upstream_failed starmagic cost 0")
}

// TestUnrecordableRequestsSpendNothing refuses before limits are asked, as long as the
// recorder says that it takes nothing.
func TestUnrecordableRequestsSpendNothing(t *testing.T) {
	full := true
	r := newRig(t, answering(someAnswer), rigOptions{memory: true, perMinute: 60, recordable: func() error {
		if full {
			return usage.ErrUnavailable
		}
		return nil
	}})
	for range 3 {
		got := r.ask(plainAlias)
		if kind, code, _, _ := errorOf(t, got); got.status != 503 || kind != "server_error" || code != "journal_unavailable" ||
			got.header.Get("Retry-After") != "1" || got.header.Get("X-Ratelimit-Remaining-Requests") != "60" {
			t.Errorf("%d %s %v", got.status, got.body, got.header)
		}
	}
	if memory := r.records.(*memoryRecorder); len(memory.records)+len(memory.passing) != 0 {
		t.Errorf("on record: %+v %+v", memory.records, memory.passing)
	}
	if got := r.do("GET", "/v1/models", ""); got.status != 200 {
		t.Errorf("what spends nothing: %d %s", got.status, got.body)
	}
	full = false
	if got := r.ask(plainAlias); got.status != 200 || got.header.Get("X-Ratelimit-Remaining-Requests") != "59" {
		t.Errorf("with room again: %d %s %v", got.status, got.body, got.header)
	}
	r.idle()
}

// TestFailedAttempts is what goes on record of an attempt that failed, for each
// outcome. A prompt token costs 500 nano-dollars and a completion token 1,000; the
// prompt is one token, and 10 were allowed for the answer.
func TestFailedAttempts(t *testing.T) {
	status := func(code int) legFunc {
		return func(context.Context, *upstream.Request) (*upstream.Response, error) {
			return plainAnswer(code, `{"error":{"message":"no"}}`), nil
		}
	}
	fails := func(err error) legFunc {
		return func(context.Context, *upstream.Request) (*upstream.Response, error) { return nil, err }
	}
	body := func(text string) legFunc {
		return func(context.Context, *upstream.Request) (*upstream.Response, error) {
			return plainAnswer(200, text), nil
		}
	}
	const (
		plain = `{"model":"gemini-flash","messages":[{"role":"user","content":"hello"}],"max_tokens":10}`
		open  = plainAlias // names no limit
	)
	stream := strings.Replace(plain, `"max_tokens"`, `"stream":true,"max_tokens"`, 1)
	hangs := func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	dials := func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		<-ctx.Done()
		return nil, &upstream.ConnectError{Address: "x:1", Err: context.Cause(ctx)}
	}
	missing := func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return plainAnswer(404, `{"error":{"code":"model_not_found"}}`), nil
	}
	broken := func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(broken(someStream[:strings.Index(someStream, "\n\n")+2])), nil
	}
	f := func(name, request string, first legFunc, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			asked := 0
			r := newRig(t, legFunc(func(ctx context.Context, q *upstream.Request) (*upstream.Response, error) {
				asked++
				switch {
				case asked == 1:
					return first(ctx, q)
				case q.Stream:
					return streamAnswer(strings.NewReader(someStream)), nil
				}
				return plainAnswer(200, someAnswer), nil
			}), rigOptions{costs: rigCosts(), upstream: func(c *upstream.Config) {
				m := c.Models["gemini-flash"]
				m.Timeouts = upstream.Timeouts{FirstToken: soon, Answer: soon}
				c.Models["gemini-flash"] = m
			}})
			got := r.ask(request)
			r.idle()
			failures, bill := r.billOf(got.header.Get("X-Request-Id"))
			if len(failures) != 1 {
				t.Fatalf("%d attempts on record: %+v", len(failures), failures)
			}
			a := failures[0]
			if line := fmt.Sprintf("%s %s %d %s", a.EndReason, a.Source, a.Cost, cmp.Or(a.CostPrice, "-")); line != want {
				t.Errorf("recorded %s, want %s", line, want)
			}
			wantAttempt := usage.Record{
				RequestID: bill.RequestID, Kind: usage.KindAttempt, Tenant: "acme", KeyID: r.key.ID, Model: "gemini-flash", Stream: bill.Stream,
				Provider: "starmagic", Endpoint: "http://starmagic.invalid/v1", UpstreamModel: "gemini-2.5-flash-lite",
				MaxCompletion: a.MaxCompletion, AcceptedAt: bill.AcceptedAt, TraceID: bill.TraceID,
			}
			if name == "cut behind the role" {
				wantAttempt.UpstreamID = "s1"
			}
			if diff := gocmp.Diff(wantAttempt, a, cmpopts.IgnoreFields(usage.Record{}, "EndReason", "Source", "Cost", "CostPrice", "EndedAt")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if a.EndedAt.Before(a.AcceptedAt) || a.EndedAt.After(bill.EndedAt) || strings.Count(r.log.String(), "attempt failed") != 1 {
				t.Errorf("it ended at %s, the request at %s; logged:\n%s", a.EndedAt, bill.EndedAt, r.log)
			}
			// The bill holds what the answer cost, and no more.
			if refused := a.EndReason == usage.EndRefused; refused != (bill.Cost == 0) || !refused && bill.Cost != 3*500+2*1000 {
				t.Errorf("billed %+v", bill)
			}
		})
	}
	const price = " starmagic/gemini-2.5-flash-lite@2026-01-01"
	f("no connection", plain, fails(&upstream.ConnectError{Address: "x:1", Err: errors.New("refused")}), "upstream_failed none 0"+price)
	f("no connection in time", stream, dials, "upstream_timeout none 0"+price)
	f("500", plain, status(500), "upstream_failed none 0"+price)
	f("429", plain, status(429), "upstream_failed none 0"+price)
	f("402", plain, status(402), "upstream_failed none 0"+price)
	f("401", plain, status(401), "upstream_failed none 0"+price)
	f("403", plain, status(403), "upstream_failed none 0"+price)
	f("a model that is missing", plain, missing, "upstream_failed none 0"+price)
	f("400", plain, status(400), "refused none 0"+price)
	f("a redirect", plain, status(307), "upstream_cut partial 10500"+price)
	f("no answer", plain, body("<html>"), "upstream_cut partial 10500"+price)
	f("no answer, no limit", open, body("<html>"), "upstream_cut partial 500"+price)
	f("cut before the head", plain, fails(io.ErrUnexpectedEOF), "upstream_cut partial 10500"+price)
	f("cut behind the role", stream, broken, "upstream_cut partial 10500"+price)
	f("late, plain", plain, hangs, "upstream_timeout partial 10500"+price)
	f("late, stream", stream, hangs, "upstream_timeout partial 10500"+price)
}

// TestNoCostTwice ends requests for which every attempt was made in vain: what each may
// cost stands in its own record, and nothing in the bill; the totals hold all of it once.
func TestNoCostTwice(t *testing.T) {
	hangs := func(ctx context.Context, _ *upstream.Request) (*upstream.Response, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	const others = 50 << 10 // bytes that other answers hold, which came meanwhile
	var of *rig
	large := func(context.Context, *upstream.Request) (*upstream.Response, error) {
		of.gateway.bodyMemory.Add(others)
		a := plainAnswer(200, strings.Replace(someAnswer, `"hi"`, `"`+strings.Repeat("x", 100<<10)+`"`, 1))
		a.ContentLength = -1
		return a, nil
	}
	timeouts := func(o upstream.Timeouts) func(*upstream.Config) {
		return func(c *upstream.Config) {
			m := c.Models["gemini-flash"]
			m.Timeouts = o
			c.Models["gemini-flash"] = m
		}
	}
	f := func(name string, leg legFunc, o rigOptions, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			o.costs = rigCosts()
			r := newRig(t, leg, o)
			of = r
			got := r.ask(strings.Replace(plainAlias, `}]}`, `}],"max_tokens":10}`, 1))
			if o.server != nil {
				r.gateway.bodyMemory.Add(-others)
			}
			r.idle()
			failures, bill := r.billOf(got.header.Get("X-Request-Id"))
			slices.SortFunc(failures, func(a, b usage.Record) int { return a.Attempt - b.Attempt })
			var cost usage.NanoUSD
			line := fmt.Sprintf("%d, %s %s cost %d", got.status, bill.EndReason, bill.Source, bill.Cost)
			for _, a := range failures {
				line += fmt.Sprintf(", %s %d", a.EndReason, a.Cost)
				cost += a.Cost
			}
			if line != want {
				t.Errorf("%s\nwant %s", line, want)
			}
			rows, err := r.books.Sum(t.Context(), usage.Query{})
			must(t, err)
			if len(rows) != 1 || rows[0].Requests != 1 || usage.NanoUSD(rows[0].Cost) != cost || rows[0].Charge != 0 || rows[0].PromptTokens+rows[0].CompletionTokens != 0 {
				t.Errorf("the totals are %+v, want one request that cost %s", rows, cost)
			}
		})
	}
	quick := 300 * time.Millisecond
	f("time-outs", hangs, rigOptions{upstream: timeouts(upstream.Timeouts{Answer: quick})},
		"504, upstream_timeout partial cost 0, upstream_timeout 10500, upstream_timeout 10500, upstream_timeout 10500")
	f("out of time", hangs, rigOptions{upstream: timeouts(upstream.Timeouts{Answer: 5 * quick, Total: 8 * quick})},
		"504, upstream_timeout partial cost 0, upstream_timeout 10500, upstream_timeout 10500")
	f("three cuts", func(context.Context, *upstream.Request) (*upstream.Response, error) { return nil, io.ErrUnexpectedEOF }, rigOptions{},
		"502, upstream_failed none cost 0, upstream_cut 10500, upstream_cut 10500, upstream_cut 10500")
	f("no room for the answer", large, rigOptions{server: func(c *Config) { c.MaxAnswer, c.MaxBodyMemory = 110<<10, 112<<10 }},
		"503, upstream_failed none cost 0, upstream_failed 10500")
}

// TestWorstCaseIsWithinReason has a client name a limit that no model gets near, and
// leave: what it may have cost is reckoned as a reservation is. Figures are still held
// against the limit that was named.
func TestWorstCaseIsWithinReason(t *testing.T) {
	const limit = `"max_tokens":2147483647}` // of which the rig's plan has 65,536
	intents := func(r *rig) (most []int64) {
		for _, i := range r.records.(*memoryRecorder).noted(usage.KindIntent) {
			most = append(most, i.MaxCompletion)
		}
		return most
	}
	f := func(name, body string, choices int64, leg legFunc, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			asked := 0
			r := newRig(t, legFunc(func(ctx context.Context, q *upstream.Request) (*upstream.Response, error) {
				if asked++; asked == 1 {
					return plainAnswer(200, "<html>"), nil
				}
				return leg(ctx, q)
			}), rigOptions{memory: true, costs: rigCosts()})
			got := r.ask(body)
			r.idle()
			failures, bill := r.billOf(got.header.Get("X-Request-Id"))
			if len(failures) == 0 || failures[0].Cost != usage.NanoUSD(500+1000*65536*choices) {
				t.Errorf("the attempt that failed: %+v", failures)
			}
			line := fmt.Sprintf("%s %s %d+%d costs %d", bill.EndReason, bill.Source, bill.Prompt, bill.Completion, bill.Cost)
			if named := 2147483647 * choices; line != want || bill.MaxCompletion != named || failures[0].MaxCompletion != named {
				t.Errorf("billed %s, of at most %d\nwant %s", line, bill.MaxCompletion, want)
			}
			if most := intents(r); !slices.Equal(most, []int64{65536 * choices, 65536 * choices}) {
				t.Errorf("intended %v", most)
			}
		})
	}
	more := strings.Replace(someAnswer, `"completion_tokens":2,"total_tokens":5`, `"completion_tokens":90000,"total_tokens":90003`, 1)
	answers := func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return plainAnswer(200, more), nil
	}
	const (
		plain  = `{"model":"gemini-flash","messages":[{"role":"user","content":"hello"}],` + limit
		stream = `{"model":"gemini-flash","stream":true,"messages":[{"role":"user","content":"hello"}],` + limit
		two    = `{"model":"gemini-flash","n":2,"messages":[{"role":"user","content":"hello"}],` + limit
	)
	refuses := func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return plainAnswer(400, "{}"), nil
	}
	cut := func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(broken(oneWord)), nil
	}
	f("a stream that breaks off", stream, 1, cut, "upstream_cut partial 1+5 costs 65536500")
	f("two choices", two, 2, refuses, "refused none 0+0 costs 0")
	f("figures above it", plain, 1, answers, "completed upstream 3+90000 costs 90001500")
}
