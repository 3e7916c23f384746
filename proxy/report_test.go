package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/telemetry"
	"tollgate/upstream"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// spanLog keeps the spans that ended and counts those that did not.
type spanLog struct {
	mu    sync.Mutex
	open  int
	ended []sdktrace.ReadOnlySpan
}

func (l *spanLog) OnStart(context.Context, sdktrace.ReadWriteSpan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open++
}

func (l *spanLog) OnEnd(s sdktrace.ReadOnlySpan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	l.ended = append(l.ended, s)
}

func (*spanLog) Shutdown(context.Context) error { return nil }

func (*spanLog) ForceFlush(context.Context) error { return nil }

// check holds every test of this package to spans that end: the server has stopped.
func (l *spanLog) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open != 0 {
		t.Errorf("%d spans have not ended", l.open)
	}
	for _, s := range l.ended {
		if s.SpanKind() == trace.SpanKindClient && !slices.ContainsFunc(l.ended, func(parent sdktrace.ReadOnlySpan) bool {
			return parent.SpanContext().SpanID() == s.Parent().SpanID() && !parent.EndTime().Before(s.EndTime())
		}) {
			t.Errorf("the attempt %q did not end within its request", s.Name())
		}
	}
}

// has tells whether a span that ended has this attribute.
func (l *spanLog) has(key attribute.Key, value string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.ended, func(s sdktrace.ReadOnlySpan) bool {
		return slices.Contains(s.Attributes(), key.String(value))
	})
}

// lines are the spans in the order of their beginning, with what tells them apart.
func (l *spanLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.ended)
	slices.SortStableFunc(all, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	lines := make([]string, len(all))
	for i, s := range all {
		line := s.SpanKind().String() + " " + s.Name()
		for _, a := range s.Attributes() {
			switch a.Key {
			case "error.type", "tollgate.end_reason", "tollgate.outcome":
				line += fmt.Sprintf(" %s=%s", a.Key, a.Value.AsString())
			}
		}
		lines[i] = line + " " + s.Status().Code.String()
	}
	return lines
}

func (l *spanLog) find(t *testing.T, kind trace.SpanKind) sdktrace.ReadOnlySpan {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.ended, func(s sdktrace.ReadOnlySpan) bool { return s.SpanKind() == kind })
	if i < 0 {
		t.Fatalf("no %s span", kind)
	}
	return l.ended[i]
}

// TestSpans asks for what a trace shows of each kind of end.
func TestSpans(t *testing.T) {
	const server = "server POST /v1/chat/completions"
	f := func(name, request string, legs []legFunc, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			asked := 0
			r := newRig(t, legFunc(func(ctx context.Context, q *upstream.Request) (*upstream.Response, error) {
				asked++
				return legs[asked-1](ctx, q)
			}), rigOptions{})
			r.ask(request)
			r.idle()
			if diff := cmp.Diff(want, r.spans.lines()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	status := func(code int) legFunc {
		return func(context.Context, *upstream.Request) (*upstream.Response, error) {
			return plainAnswer(code, `{}`), nil
		}
	}
	streaming := func(body func() io.Reader) legFunc {
		return func(context.Context, *upstream.Request) (*upstream.Response, error) { return streamAnswer(body()), nil }
	}
	whole := streaming(func() io.Reader { return strings.NewReader(someStream) })
	cut := streaming(func() io.Reader {
		return broken(someStream[:strings.Index(someStream, `data: {"id":"s1","choices":[],`)])
	})
	unreachable := legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return nil, &upstream.ConnectError{Address: "x:1", Err: errors.New("refused")}
	})
	panicking := legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) { panic("leg") })

	f("plain", plainAlias, []legFunc{answering(someAnswer)},
		server+" tollgate.end_reason=completed Unset", "client chat gemini-2.5-flash-lite tollgate.outcome=ok Unset")
	f("stream with a failover", streamAlias, []legFunc{status(500), whole},
		server+" tollgate.end_reason=completed Unset",
		"client chat gemini-2.5-flash-lite tollgate.outcome=server_error error.type=server_error Error",
		"client chat gemini-2.0-flash tollgate.outcome=ok Unset")
	f("nobody answers", plainAlias, []legFunc{unreachable, status(503), status(429)},
		server+" error.type=upstream_error tollgate.end_reason=upstream_failed Error",
		"client chat gemini-2.5-flash-lite tollgate.outcome=unreachable error.type=unreachable Error",
		"client chat gemini-2.0-flash tollgate.outcome=server_error error.type=server_error Error",
		"client chat gemini-3-pro-preview tollgate.outcome=throttled error.type=throttled Error")
	f("refused", plainAlias, []legFunc{status(400)},
		server+" error.type=upstream_refused tollgate.end_reason=refused Unset",
		"client chat gemini-2.5-flash-lite tollgate.outcome=request_refused error.type=request_refused Error")
	f("cut", streamAlias, []legFunc{cut},
		server+" error.type=upstream_interrupted tollgate.end_reason=upstream_cut Error",
		"client chat gemini-2.5-flash-lite tollgate.outcome=ok error.type=upstream_cut Error")
	f("panic", plainAlias, []legFunc{panicking},
		server+" error.type=internal_error tollgate.end_reason=upstream_failed Error",
		"client chat gemini-2.5-flash-lite tollgate.outcome=abandoned error.type=abandoned Error")
	f("malformed", `{"model":`, nil, server+" error.type=invalid_json Unset")
	f("unknown model", `{"model":"prompt-canary","messages":[{"role":"user","content":"x"}]}`, nil, server+" error.type=model_not_found Unset")
}

// TestTraceContext follows a trace from the client to the provider, and checks
// that neither side is believed or told unless the operator says so.
func TestTraceContext(t *testing.T) {
	const (
		traceID = "0af7651916cd43dd8448eb211c80319c"
		parent  = "00-" + traceID + "-b7ad6b7169203331-01"
	)
	f := func(o telemetry.TraceOptions, headers http.Header, continued, handedOn bool) {
		t.Helper()
		var sent string
		r := newRig(t, legFunc(func(_ context.Context, q *upstream.Request) (*upstream.Response, error) {
			sent = q.Traceparent
			return plainAnswer(200, someAnswer), nil
		}), rigOptions{traces: o})
		headers.Set("Authorization", "Bearer "+r.secret.Reveal())
		request, err := http.NewRequest(http.MethodPost, "http://gateway/v1/chat/completions", strings.NewReader(plainAlias))
		must(t, err)
		request.Header = headers
		response, err := r.client.Do(request)
		must(t, err)
		_, _ = io.Copy(io.Discard, response.Body)
		must(t, response.Body.Close())
		r.idle()
		span, attempt := r.spans.find(t, trace.SpanKindServer), r.spans.find(t, trace.SpanKindClient)
		if got := span.SpanContext().TraceID().String() == traceID; got != continued {
			t.Errorf("%+v: the client's trace is continued: %t, want %t", o, got, continued)
		}
		want := ""
		if handedOn {
			want = fmt.Sprintf("00-%s-%s-01", span.SpanContext().TraceID(), attempt.SpanContext().SpanID())
		}
		if sent != want {
			t.Errorf("%+v: sent on %q, want %q", o, sent, want)
		}
		id := span.SpanContext().TraceID().String()
		if !strings.Contains(r.log.String(), `"trace_id":"`+id+`"`) {
			t.Errorf("the access line does not name the trace:\n%s", r.log)
		}
		if record := r.record(answer{header: response.Header}); record.TraceID != id {
			t.Errorf("the record names the trace %q, want %q", record.TraceID, id)
		}
	}
	with := func(parents ...string) http.Header {
		return http.Header{"Traceparent": parents, "Tracestate": {"vendor=1"}, "Baggage": {"prompt=canary"}}
	}
	f(telemetry.TraceOptions{Accept: true}, with(parent), true, false)
	f(telemetry.TraceOptions{Accept: true, Send: true}, with(parent), true, true)
	f(telemetry.TraceOptions{Send: true}, with(parent), false, true)
	f(telemetry.TraceOptions{}, with(parent), false, false)
	f(telemetry.TraceOptions{Accept: true, Send: true}, with("00-nonsense"), false, true)
	f(telemetry.TraceOptions{Accept: true, Send: true}, with(parent, parent), false, true)
	f(telemetry.TraceOptions{Accept: true, Send: true}, http.Header{}, false, true)
}

// TestOverhead makes everybody else slow: the client's upload, a provider that
// fails, and one that answers. None of it is the gateway's own time.
func TestOverhead(t *testing.T) {
	const pause = time.Second // far more than a busy machine adds
	asked := 0
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		time.Sleep(pause)
		if asked++; asked == 1 {
			return plainAnswer(500, ""), nil
		}
		return streamAnswer(strings.NewReader(someStream)), nil
	}), rigOptions{})
	upload := io.MultiReader(strings.NewReader(streamAlias[:20]), pausingReader{pause}, strings.NewReader(streamAlias[20:]))
	if got := r.send(upload); got.status != 200 || got.err != nil {
		t.Fatalf("%d %v %s", got.status, got.err, got.body)
	}
	r.idle()
	m := regexp.MustCompile(`"overhead_ms":([0-9]+)\b.*"duration_ms":([0-9]+)\b`).FindStringSubmatch(r.log.String())
	if m == nil {
		t.Fatalf("the access line has no overhead:\n%s", r.log)
	}
	var overhead, whole int
	_, err := fmt.Sscan(m[1]+" "+m[2], &overhead, &whole)
	must(t, err)
	if whole < 3000 || overhead >= 1000 {
		t.Errorf("%d ms of %d are called the gateway's own", overhead, whole)
	}
}

// pausingReader gives nothing, slowly.
type pausingReader struct{ pause time.Duration }

func (p pausingReader) Read([]byte) (int, error) {
	time.Sleep(p.pause)
	return 0, io.EOF
}

// TestMetricsOfARequest asks for the counters that a failover, a refusal by the
// limit and a stranger leave behind.
func TestMetricsOfARequest(t *testing.T) {
	asked := 0
	r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		if asked++; asked == 1 {
			return plainAnswer(500, ""), nil
		}
		return streamAnswer(strings.NewReader(someStream)), nil
	}), rigOptions{perMinute: 1})
	r.ask(streamAlias)
	r.ask(streamAlias) // over the limit
	r.do(http.MethodGet, "/prompt/canary", "")
	r.idle()
	want := []string{
		"tollgate.attempts{gen_ai.provider.name=starmagic,gen_ai.request.model=gemini-2.5-flash-lite,tollgate.outcome=server_error} 1",
		"tollgate.attempts{gen_ai.provider.name=theturbo,gen_ai.request.model=gemini-2.0-flash,tollgate.outcome=ok} 1",
		"tollgate.limit.decisions{tollgate.decision=allowed,tollgate.limit=requests} 1",
		"tollgate.limit.decisions{tollgate.decision=refused,tollgate.limit=requests} 1",
		"tollgate.requests{gen_ai.provider.name=theturbo,gen_ai.request.model=gemini-flash,tollgate.end_reason=completed,tollgate.usage.source=upstream} 1",
		"tollgate.retries{gen_ai.request.model=gemini-flash,tollgate.decision=made} 1",
	}
	moved := slices.DeleteFunc(r.counters(), func(line string) bool { return strings.HasSuffix(line, " 0") })
	if diff := cmp.Diff(want, moved); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCountersBeginAtZero: what is alerted on is there from the start, for all that are configured.
func TestCountersBeginAtZero(t *testing.T) {
	r := newRig(t, legFunc(nil), rigOptions{})
	zeros := strings.Join(r.counters(), "\n")
	for _, want := range []string{
		"tollgate.retries{gen_ai.request.model=gemini-flash,tollgate.decision=refused} 0",
		"tollgate.usage.rejected{gen_ai.provider.name=starmagic} 0", "tollgate.usage.rejected{gen_ai.provider.name=evolink} 0",
	} {
		if !strings.Contains(zeros, want) {
			t.Errorf("there is no %s in\n%s", want, zeros)
		}
	}
}

// counters are the gateway's counters, one line for each series, sorted.
func (r *rig) counters() []string {
	r.t.Helper()
	var all metricdata.ResourceMetrics
	must(r.t, r.meters.Collect(context.Background(), &all))
	var lines []string
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok || !sum.IsMonotonic {
				continue
			}
			for _, p := range sum.DataPoints {
				var labels []string
				for _, a := range p.Attributes.ToSlice() {
					labels = append(labels, string(a.Key)+"="+a.Value.String())
				}
				lines = append(lines, fmt.Sprintf("%s{%s} %d", m.Name, strings.Join(labels, ","), p.Value))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// TestProvidersDoNotSpeakOfCredentials lets a provider put the key that it was
// asked with into its id and its model: neither spans nor records repeat it.
func TestProvidersDoNotSpeakOfCredentials(t *testing.T) {
	const key = "provider-key-starmagic"
	f := func(request string, answer func() *upstream.Response) {
		t.Helper()
		r := newRig(t, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) { return answer(), nil }), rigOptions{})
		got := r.ask(request)
		r.idle()
		if record := r.record(got); record.UpstreamID != "" || strings.Contains(record.Rejected, key) {
			t.Errorf("the record has upstream id %q and rejected usage %q", record.UpstreamID, record.Rejected)
		}
		for _, a := range r.spans.find(t, trace.SpanKindClient).Attributes() {
			if strings.Contains(a.Value.String(), key) {
				t.Errorf("the span has %s=%s", a.Key, a.Value.String())
			}
		}
	}
	echo := strings.NewReplacer(`"id":"s1"`, `"id":"`+key+`","model":"`+key+`"`, `"id":"a1"`, `"id":"`+key+`","model":"`+key+`"`, `"prompt_tokens":3`, `"prompt_tokens":-3,"key":"`+key+`"`)
	if echo.Replace(someAnswer) == someAnswer || echo.Replace(someStream) == someStream {
		t.Fatal("nothing is echoed")
	}
	f(plainAlias, func() *upstream.Response { return plainAnswer(200, echo.Replace(someAnswer)) })
	f(streamAlias, func() *upstream.Response { return streamAnswer(strings.NewReader(echo.Replace(someStream))) })
}

// TestOverheadOfLargeAnswers has an answer whose checking takes the gateway some
// time: that is its own, not the provider's.
func TestOverheadOfLargeAnswers(t *testing.T) {
	large := strings.Replace(someAnswer, `"hi"`, `"`+strings.Repeat("words and more words ", 400_000)+`"`, 1)
	r := newRig(t, answering(large), rigOptions{})
	if got := r.ask(plainAlias); got.status != 200 {
		t.Fatalf("%d %.200s", got.status, got.body)
	}
	r.idle()
	m := regexp.MustCompile(`"overhead_ms":([0-9.]+)`).FindStringSubmatch(r.log.String())
	if m == nil {
		t.Fatalf("no overhead: %.500s", r.log)
	}
	if overhead, err := strconv.ParseFloat(m[1], 64); err != nil || overhead < 4 {
		t.Errorf("reading and checking 8 MB is called %s ms of the gateway's own", m[1])
	}
}
