package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/keys"
	"tollgate/ratelimit"
	"tollgate/store"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"

	"github.com/valyala/fasthttp/fasthttputil"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's own: one process-wide clock for the Date header, and a cleaner
		// that sleeps up to 10 s before it sees that its server has stopped.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// legFunc is an upstream leg made of a function: no socket, no provider.
type legFunc func(ctx context.Context, r *upstream.Request) (*upstream.Response, error)

func (f legFunc) Do(ctx context.Context, r *upstream.Request) (*upstream.Response, error) {
	return f(ctx, r)
}

// rig is a whole gateway around a fake leg: real keys, limits, ledger and
// listener, in memory where that changes nothing.
type rig struct {
	t       *testing.T
	gateway *Gateway
	books   *usage.Books
	records interface {
		ByRequest(ctx context.Context, id string) ([]usage.Record, error)
	}
	keys   *keys.Directory
	key    *keys.Key
	secret telemetry.Secret
	client *http.Client
	dial   func() (net.Conn, error)
	stop   func() // ends the server; the test's end calls it too
	log    *lockedBuffer
	spans  *spanLog
	meters *sdkmetric.ManualReader
}

// rigOptions is what a test may want different.
type rigOptions struct {
	server     func(*Config)
	upstream   func(*upstream.Config)
	spec       keys.Spec
	recorder   func(Recorder) Recorder
	recordable func() error
	perMinute  int
	costs      []usage.CostConfig
	limits     func(*ratelimit.Config)
	traces     telemetry.TraceOptions
	memory     bool // records in memory: thousands of fsyncs prove nothing more than one
}

// memoryRecorder keeps records in memory, and those that a ledger would have by their requests.
type memoryRecorder struct {
	mu      sync.Mutex
	records map[string][]usage.Record
	passing []usage.Record // intents and checkpoints
}

func newMemoryRecorder() *memoryRecorder {
	return &memoryRecorder{records: map[string][]usage.Record{}}
}

func (m *memoryRecorder) Intend(r *usage.Record) error {
	m.keep(r)
	return nil
}

func (m *memoryRecorder) Note(r *usage.Record) { m.keep(r) }

func (m *memoryRecorder) Settle(_ context.Context, r *usage.Record) error {
	m.keep(r)
	return nil
}

func (m *memoryRecorder) keep(r *usage.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch r.Kind {
	case usage.KindIntent, usage.KindCheckpoint:
		m.passing = append(m.passing, *r)
	default:
		m.records[r.RequestID] = append(m.records[r.RequestID], *r)
	}
}

func (m *memoryRecorder) ByRequest(_ context.Context, id string) ([]usage.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.records[id]), nil
}

// noted returns the intents, or the checkpoints, in their order.
func (m *memoryRecorder) noted(kind usage.Kind) []usage.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.passing), func(r usage.Record) bool { return r.Kind != kind })
}

func newRig(t *testing.T, leg Leg, o rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, log: new(lockedBuffer), spans: new(spanLog), meters: sdkmetric.NewManualReader()}
	dir := t.TempDir()
	db, err := store.OpenBolt(dir)
	must(t, err)
	ledger, err := usage.OpenLedger(db)
	must(t, err)
	keyStore, err := keys.NewBoltStore(db)
	must(t, err)
	r.keys = keys.New(keyStore, keys.DefaultConfig())
	r.key, r.secret = r.issue(o.spec)
	log := slog.New(slog.NewJSONHandler(r.log, nil))
	table, err := upstream.NewTable(rigUpstreams(o.upstream), upstream.TableOptions{Log: log})
	must(t, err)
	billing := rigPrices()
	billing.Costs = o.costs
	prices, err := usage.NewPriceBook(billing)
	must(t, err)
	config := DefaultConfig()
	config.DrainTimeout = 2 * time.Second
	if o.server != nil {
		o.server(&config)
	}
	if usual := DefaultConfig(); config.MaxBodyMemory != usual.MaxBodyMemory && config.MaxAnswer == usual.MaxAnswer {
		config.MaxBodyMemory += config.MaxAnswer // a test that bounds bodies means them, not the answers' share
	}
	r.books, err = usage.OpenBooks(usage.BooksOptions{
		Dir: filepath.Join(dir, "journal"), Config: usage.DefaultConfig().Journal, Ledger: ledger, Prices: prices, Log: log,
	})
	must(t, err)
	var recorder Recorder = r.books
	r.records = r.books
	if o.memory {
		memory := newMemoryRecorder()
		recorder, r.records = memory, memory
	}
	if o.recorder != nil {
		recorder = o.recorder(recorder)
	}
	metrics, err := telemetry.NewMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.meters)))
	must(t, err)
	r.gateway = New(Options{
		Traces:  telemetry.NewTraces(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans)), o.traces),
		Metrics: metrics,
		Config:  config, Keys: r.keys, Limiter: rigLimiter(t, o), Forecast: ratelimit.NewForecast(),
		Plan: Plan{Table: table, Prices: prices, MaxCompletionTokens: 65536}, Leg: leg, Recorder: recorder, Spending: r.books, Estimator: usage.NewEstimator(), Log: log,
		Recordable: o.recordable,
	})
	r.serve()
	t.Cleanup(func() {
		r.stop()
		r.spans.check(t)
		must(t, r.books.Close())
		must(t, ledger.Close())
		must(t, db.Close())
	})
	return r
}

// rigLimiter is a limiter of one replica, at which nothing is held in the end.
func rigLimiter(t *testing.T, o rigOptions) *ratelimit.Limiter {
	config := ratelimit.DefaultConfig()
	config.Default = ratelimit.Limits{RequestsPerMinute: o.perMinute}
	switch {
	case o.limits != nil:
		o.limits(&config)
	case o.perMinute == 0:
		config.Default.Concurrent = 100_000 // so that a slot is held that must be given back
	}
	l := ratelimit.New(ratelimit.Options{Config: config, Replica: "rig"})
	t.Cleanup(func() {
		if held := l.Stats().Held; held != 0 {
			t.Errorf("%d slots are held after all requests have ended", held)
		}
		must(t, l.Close(context.Background()))
	})
	return l
}

func (r *rig) serve() {
	server, err := NewServer(r.gateway)
	must(r.t, err)
	ln := fasthttputil.NewInmemoryListener()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	r.dial = ln.Dial
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return ln.Dial() }}
	r.client = &http.Client{Transport: transport}
	r.stop = sync.OnceFunc(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), r.gateway.Config.DrainTimeout)
		defer cancel()
		must(r.t, server.Shutdown(ctx))
		must(r.t, <-served)
	})
}

// issue makes a key; the zero Spec is a key that may do everything.
func (r *rig) issue(spec keys.Spec) (*keys.Key, telemetry.Secret) {
	r.t.Helper()
	if spec.Tenant == "" {
		spec.Tenant = "acme"
	}
	if spec.Name == "" {
		spec.Name = "test"
	}
	key, secret, err := r.keys.By("test").Create(context.Background(), spec)
	must(r.t, err)
	return key, secret
}

// answer is a response as a client has it at the end.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // how the body ended: nil, or the transfer was cut
}

// ask sends a chat completion and reads the whole answer.
func (r *rig) ask(body string) answer {
	r.t.Helper()
	return r.do(http.MethodPost, "/v1/chat/completions", body)
}

// send sends a chat completion framed by length where the reader tells it, else
// chunked.
func (r *rig) send(body io.Reader) answer {
	r.t.Helper()
	return r.exchange(http.MethodPost, "/v1/chat/completions", body)
}

func (r *rig) do(method, path, body string) answer {
	r.t.Helper()
	return r.exchange(method, path, strings.NewReader(body))
}

func (r *rig) exchange(method, path string, body io.Reader) answer {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, "http://gateway"+path, body)
	must(r.t, err)
	request.Header.Set("Authorization", "Bearer "+r.secret.Reveal())
	response, err := r.client.Do(request)
	must(r.t, err)
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(got), err}
}

// record returns the one bill of a request: a second one, or none, fails the test.
func (r *rig) record(a answer) usage.Record {
	r.t.Helper()
	_, bill := r.billOf(a.header.Get("X-Request-Id"))
	return bill
}

// billOf returns what is on record of a request: the attempts that failed, and the bill.
func (r *rig) billOf(id string) (attempts []usage.Record, bill usage.Record) {
	r.t.Helper()
	records, err := r.records.ByRequest(context.Background(), id)
	must(r.t, err)
	attempts, bills := parted(records)
	if len(bills) != 1 {
		r.t.Fatalf("%d bills, want exactly 1: %+v", len(bills), records)
	}
	return attempts, bills[0]
}

// parted are the attempts among records, and the bills.
func parted(records []usage.Record) (attempts, bills []usage.Record) {
	for _, r := range records {
		if r.Kind == usage.KindAttempt {
			attempts = append(attempts, r)
		} else {
			bills = append(bills, r)
		}
	}
	return attempts, bills
}

// idle ends the server and fails the test when something is still held: an
// answer's last byte reaches the client before its exchange has finished.
func (r *rig) idle() {
	r.t.Helper()
	r.stop()
	if n := r.gateway.InFlight(); n != 0 {
		r.t.Errorf("%d requests in flight after all have ended", n)
	}
	if n := r.gateway.bodyMemory.Load(); n != 0 {
		r.t.Errorf("%d bytes of bodies held after all requests have ended", n)
	}
}

// rigUpstreams is the model table of the tests: each provider's own model, an
// alias over all three, and a provider that takes everything.
func rigUpstreams(change func(*upstream.Config)) upstream.Config {
	provider := func(contract string) upstream.ProviderConfig {
		return upstream.ProviderConfig{Contract: upstream.ContractConfig{Base: contract}, Endpoints: []upstream.EndpointConfig{
			{URL: "http://" + contract + ".invalid/v1", APIKeys: []telemetry.Secret{"provider-key-" + telemetry.Secret(contract)}},
		}}
	}
	target := func(provider, model string, tier int) upstream.TargetConfig {
		return upstream.TargetConfig{Provider: provider, Model: model, Tier: tier}
	}
	c := upstream.Config{
		Providers: map[string]upstream.ProviderConfig{
			"starmagic": provider("starmagic"), "theturbo": provider("theturbo"), "evolink": provider("evolink"), "other": provider("openai"),
		},
		Models: map[string]upstream.ModelConfig{
			"gemini-2.5-flash-lite": {Targets: []upstream.TargetConfig{target("starmagic", "", 0)}},
			"gemini-2.0-flash":      {Targets: []upstream.TargetConfig{target("theturbo", "", 0)}},
			"gemini-3-pro-preview":  {Targets: []upstream.TargetConfig{target("evolink", "", 0)}},
			"any":                   {Targets: []upstream.TargetConfig{target("other", "", 0)}},
			"gemini-flash": {Targets: []upstream.TargetConfig{
				target("starmagic", "gemini-2.5-flash-lite", 1), target("theturbo", "gemini-2.0-flash", 2), target("evolink", "gemini-3-pro-preview", 3),
			}},
		},
	}
	if change != nil {
		change(&c)
	}
	return c
}

// rigPrices makes a prompt token cost 1,000 nano-dollars and a completion token 2,000.
func rigPrices() usage.Config {
	var c usage.Config
	for _, model := range []string{"gemini-2.5-flash-lite", "gemini-2.0-flash", "gemini-3-pro-preview", "gemini-flash", "any"} {
		c.Prices = append(c.Prices, usage.PriceConfig{Model: model, From: "2026-01-01", Input: "1.00", Output: "2.00"})
	}
	return c
}

// rigCosts makes providers charge half of that.
func rigCosts() (costs []usage.CostConfig) {
	for provider, model := range map[string]string{
		"starmagic": "gemini-2.5-flash-lite", "theturbo": "gemini-2.0-flash", "evolink": "gemini-3-pro-preview",
	} {
		costs = append(costs, usage.CostConfig{Provider: provider, Model: model, From: "2026-01-01", Input: "0.50", Output: "1.00"})
	}
	return costs
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// plainAnswer is an upstream response with a JSON body.
func plainAnswer(status int, body string) *upstream.Response {
	return &upstream.Response{Status: status, ContentType: "application/json", ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
}

// streamAnswer is an upstream response with an event stream.
func streamAnswer(body io.Reader) *upstream.Response {
	return &upstream.Response{Status: 200, ContentType: "text/event-stream", ContentLength: -1, Framed: true, Body: io.NopCloser(body)}
}

// errorOf decodes an answer that must be OpenAI's error object with all four fields.
func errorOf(t *testing.T, a answer) (kind, code, param, message string) {
	t.Helper()
	var document struct {
		Error map[string]any `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.body), &document); err != nil {
		t.Fatalf("status %d: not an error object: %v: %s", a.status, err, a.body)
	}
	for _, field := range []string{"message", "type", "param", "code"} {
		if _, ok := document.Error[field]; !ok {
			t.Fatalf("the error object has no %q: %s", field, a.body)
		}
	}
	text := func(v any) string {
		if v == nil {
			return ""
		}
		return fmt.Sprint(v)
	}
	e := document.Error
	return text(e["type"]), text(e["code"]), text(e["param"]), text(e["message"])
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
