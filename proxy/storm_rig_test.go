package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/keys"
	"tollgate/ratelimit"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"

	"github.com/valyala/fasthttp"
)

// storm is a gateway in a bubble of its own time, between scripted providers and
// clients that come at a rate. Everything of the gateway is real but its two
// ends: the leg is the script, and the answers are written to memory.
type storm struct {
	t         *testing.T
	gateway   *Gateway
	table     *upstream.Table
	providers []*scripted
	records   *memoryRecorder
	head      string // of every request
	began     time.Time
	order     atomic.Int64 // what happened before what, within one instant too
	number    atomic.Int64 // of clients

	mu     sync.Mutex
	visits []visit
}

// inStorm plays a scenario: a model "m" with these providers, all alike to it.
func inStorm(t *testing.T, change func(*upstream.Config), play func(t *testing.T, s *storm), providers ...*scripted) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStorm(t, change, providers)
		play(t, s)
		s.end()
	})
}

func newStorm(t *testing.T, change func(*upstream.Config), providers []*scripted) *storm {
	t.Helper()
	s := &storm{t: t, providers: providers, began: time.Now(), records: newMemoryRecorder()}
	config := upstream.Config{Providers: map[string]upstream.ProviderConfig{}, Models: map[string]upstream.ModelConfig{}}
	var model upstream.ModelConfig
	for _, p := range providers {
		p.began, p.order, p.asked = s.began, &s.order, nil
		config.Providers[p.name] = rigProvider(p.name)
		model.Targets = append(model.Targets, upstream.TargetConfig{Provider: p.name})
	}
	config.Models["m"] = model
	if change != nil {
		change(&config)
	}
	var err error
	s.table, err = upstream.NewTable(config, upstream.TableOptions{})
	must(t, err)
	prices, err := usage.NewPriceBook(usage.Config{Prices: []usage.PriceConfig{{Model: "m", From: "1999-01-01", Input: "1.00", Output: "2.00"}}})
	must(t, err)
	directory := keys.New(new(oneKey), keys.DefaultConfig())
	_, secret, err := directory.By("test").Create(t.Context(), keys.Spec{Tenant: "acme", Name: "storm"})
	must(t, err)
	s.head = "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + secret.Reveal() + "\r\nContent-Length: %d\r\n\r\n"
	s.gateway = New(Options{
		Config: DefaultConfig(), Keys: directory, Plan: Plan{Table: s.table, Prices: prices, MaxCompletionTokens: 65536},
		Limiter: ratelimit.New(ratelimit.Options{Config: ratelimit.Config{Default: ratelimit.Limits{Concurrent: 100_000}}}), Forecast: ratelimit.NewForecast(),
		Leg: s, Recorder: s.records, Estimator: usage.NewEstimator(), Log: slog.New(slog.DiscardHandler),
	})
	return s
}

// Do implements Leg: each provider does what its script says.
func (s *storm) Do(ctx context.Context, r *upstream.Request) (*upstream.Response, error) {
	for _, p := range s.providers {
		if p.name == r.Candidate.Provider.Name {
			return p.Do(ctx, r)
		}
	}
	return nil, fmt.Errorf("no provider %q", r.Candidate.Provider.Name)
}

// end waits until nothing is in progress, and checks what holds for every storm.
func (s *storm) end() {
	s.t.Helper()
	synctest.Wait()
	must(s.t, s.gateway.Close(s.t.Context()))
	if held := s.gateway.Limiter.Stats().Held; held != 0 {
		s.t.Errorf("%d slots are held after all requests have ended", held)
	}
	must(s.t, s.gateway.Limiter.Close(s.t.Context()))
	if n := s.gateway.bodyMemory.Load(); n != 0 {
		s.t.Errorf("%d bytes of bodies held after all requests have ended", n)
	}
	if intents := len(s.records.noted(usage.KindIntent)); intents != s.asked() {
		s.t.Errorf("%d intents are on record, and providers were asked %d times", intents, s.asked())
	}
	for id, records := range s.records.records {
		if _, bills := parted(records); len(bills) != 1 {
			s.t.Errorf("request %s left %d bills, want 1", id, len(bills))
		}
	}
	if n := s.retriedLate(); n != 0 {
		s.t.Errorf("%d requests were sent again after their clients had got something", n)
	}
	most, repeated := s.attempts()
	if most > 3 {
		s.t.Errorf("%d attempts for one client, want at most 3", most)
	}
	if repeated != 0 && len(s.providers) > 1 {
		s.t.Errorf("%d clients' requests were sent to the same endpoint again", repeated)
	}
	for _, e := range s.table.Endpoints() {
		if e.Pending != 0 {
			s.t.Errorf("%s has %d requests pending after all have ended", e.Provider, e.Pending)
		}
	}
}

// retriedLate counts upstream requests for clients that had a byte of an answer.
func (s *storm) retriedLate() int {
	first := make(map[int]int64)
	for _, v := range s.visits {
		if v.firstByte > 0 {
			first[v.client] = v.firstByte
		}
	}
	late := 0
	for _, p := range s.providers {
		for _, a := range p.all() {
			if order, answered := first[a.client]; answered && a.order > order {
				late++
			}
		}
	}
	return late
}

// attempts is the most that were made for one client, and how many were made where
// one had been made for it before.
func (s *storm) attempts() (most, repeated int) {
	made := make(map[int]int)
	for _, p := range s.providers {
		here := make(map[int]bool)
		for _, a := range p.all() {
			if here[a.client] {
				repeated++
			}
			here[a.client] = true
			made[a.client]++
			most = max(most, made[a.client])
		}
	}
	return most, repeated
}

// now is the time since the storm began.
func (s *storm) now() time.Duration { return time.Since(s.began) }

// call is what a client wants.
type call struct {
	stream bool
	leaves time.Duration // it leaves after so long; 0: it stays
}

// visit is how a client fared.
type visit struct {
	call
	client      int
	at, took    time.Duration
	status      int
	whole       bool  // its answer came to its proper end
	firstByte   int64 // the order of its first byte of an answer; 0: none came
	shouldRetry string
	retryAfter  string
}

// served reports whether the client got what it wanted.
func (v *visit) served() bool { return v.status == fasthttp.StatusOK && v.whole }

// ask is one client's request, from its first byte to the last of its answer. It
// goes through the handler that fasthttp would call, and asks for the answer's
// body as fasthttp would.
func (s *storm) ask(c call) visit {
	v := visit{call: c, client: int(s.number.Add(1)), at: s.now()}
	body := fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"client %d"}],"stream":%t}`, v.client, c.stream)
	conn := &connection{Conn: &discardConn{}}
	var ctx fasthttp.RequestCtx
	ctx.Init2(conn, nil, false)
	must(s.t, ctx.Request.Header.Read(bufio.NewReader(strings.NewReader(fmt.Sprintf(s.head, len(body))))))
	ctx.Request.SetBodyStream(strings.NewReader(body), len(body))
	if c.leaves > 0 {
		leaving := time.AfterFunc(c.leaves, conn.left)
		defer leaving.Stop()
	}
	s.gateway.Handle(&ctx)
	v.status = ctx.Response.StatusCode()
	v.shouldRetry = string(ctx.Response.Header.Peek("X-Should-Retry"))
	v.retryAfter = string(ctx.Response.Header.Peek("Retry-After"))
	s.receive(&v, ctx.Response.BodyStream())
	v.took = s.now() - v.at
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits = append(s.visits, v)
	return v
}

// receive takes the answer.
func (s *storm) receive(v *visit, answer io.Reader) {
	x, _ := answer.(*exchange)
	inbox := &inbox{storm: s, visit: v}
	_, err := x.WriteTo(inbox)
	must(s.t, x.Close())
	v.whole = err == nil && (!v.stream || strings.HasSuffix(string(inbox.last), "data: [DONE]\n\n"))
}

// inbox is what a client has got.
type inbox struct {
	storm *storm
	visit *visit
	last  []byte // written, and long enough to tell an answer's end
}

func (i *inbox) Write(p []byte) (int, error) {
	if i.visit.firstByte == 0 && i.visit.status == fasthttp.StatusOK {
		i.visit.firstByte = i.storm.order.Add(1)
	}
	i.last = append(i.last[:0], p...)
	return len(p), nil
}

// clients lets so many clients a second come for a while, and waits for the last.
func (s *storm) clients(perSecond int, lasting time.Duration, c call) []visit {
	var group sync.WaitGroup
	visits := make([]visit, int(lasting.Seconds()*float64(perSecond)))
	for i := range visits {
		group.Go(func() { visits[i] = s.ask(c) })
		time.Sleep(time.Second / time.Duration(perSecond))
	}
	group.Wait()
	return visits
}

// proving reports whether the counts are the full ones.
func proving() bool { return os.Getenv("TOLLGATE_PROVE") == "1" }

// scaled is n in a proof, and less where that tells as much.
func scaled(n, short int) int {
	if proving() {
		return n
	}
	return short
}

// rigProvider is a provider with one endpoint and one credential.
func rigProvider(name string) upstream.ProviderConfig {
	return upstream.ProviderConfig{Contract: upstream.ContractConfig{Base: "openai"}, Endpoints: []upstream.EndpointConfig{
		{URL: "http://" + name + ".invalid/v1", APIKeys: []telemetry.Secret{"provider-key-" + telemetry.Secret(name)}},
	}}
}

// oneKey is a store of one key.
type oneKey struct {
	keys.Store
	record keys.Record
}

func (o *oneKey) Insert(_ context.Context, edit keys.Edit) (keys.Record, error) {
	o.record = edit.Record
	return o.record, nil
}

func (o *oneKey) ByDigest(context.Context, keys.Digest, netip.Addr) (keys.Record, error) {
	return o.record, nil
}

func (o *oneKey) TenantLimits(string) keys.Limits { return keys.Limits{} }

func (o *oneKey) Cuts() *keys.Cuts { return new(keys.Cuts) }
