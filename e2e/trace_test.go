package e2e

import (
	"maps"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/telemetry/otlptest"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3/option"
)

// A client's own trace, as it sends it.
const (
	clientTrace = "0af7651916cd43dd8448eb211c80319c"
	clientSpan  = "b7ad6b7169203331"
)

// inTrace is what a client sends that is in a trace itself.
func inTrace() []option.RequestOption {
	return []option.RequestOption{
		option.WithHeader("Traceparent", "00-"+clientTrace+"-"+clientSpan+"-01"),
		option.WithHeader("Tracestate", "vendor=1"),
		option.WithHeader("Baggage", "user=alice"),
		option.WithHeader("User-Agent", "e2e/1"),
	}
}

// TestTraces follows one request, a stream whose first provider fails, on each
// way to a collector, and holds every attribute of its spans to what it must be.
func TestTraces(t *testing.T) {
	t.Parallel()
	f := func(name, protocol string, way func(*otlptest.Receiver) environment) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			collector := otlptest.Start(t)
			env := way(collector)
			env["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment.name=e2e"
			failover(t, newFleet(t, env), collector)
			for _, e := range collector.Exports() {
				if e.Protocol != protocol {
					t.Errorf("spans came over %s, want %s", e.Protocol, protocol)
				}
			}
		})
	}
	f("http", "http", func(r *otlptest.Receiver) environment {
		return environment{"COLLECTOR": r.HTTPURL(), "COLLECTOR_PROTOCOL": "http"}
	})
	f("grpc", "grpc", func(r *otlptest.Receiver) environment {
		return environment{"COLLECTOR": r.GRPCURL(), "COLLECTOR_PROTOCOL": "grpc"}
	})
	f("the standard variables alone", "http", func(r *otlptest.Receiver) environment {
		return environment{"OTEL_EXPORTER_OTLP_ENDPOINT": r.HTTPURL(), "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
	})
}

// failover sends a stream that its first provider fails and its second answers
// slowly, and looks at its trace.
func failover(t *testing.T, f *fleet, collector *otlptest.Receiver) {
	t.Helper()
	const (
		prompt = "Please take a second"
		tokens = 50
		gap    = 20 * time.Millisecond
	)
	key := f.issue(t)
	f.behave(simulator.Behaviour{Tokens: tokens, Gap: gap}, simulator.StarMagic)
	f.inject(t, simulator.Fault{Kind: simulator.Respond, Status: 500, Provider: simulator.TheTurbo})
	a := f.call(t, key.Secret).stream(t.Context(), ask("in-turn", prompt), inTrace()...)
	a.complete(t)
	if line, r := f.accessLine(t, a.id()), f.record(t, a.id()); line.TraceID != clientTrace || r.TraceID != clientTrace {
		t.Errorf("the log names the trace %q, the record %q, want the client's", line.TraceID, r.TraceID)
	}
	for _, e := range f.attempts(t, prompt) {
		if got := e.Header.Get("Traceparent") + e.Header.Get("Tracestate") + e.Header.Get("Baggage"); got != "" {
			t.Errorf("%s was told of the trace: %s", e.Provider, got)
		}
	}
	f.stop(t)

	spans := collector.Spans()
	if len(spans) != 3 {
		t.Fatalf("%d spans of one request with two attempts: %+v", len(spans), spans)
	}
	server, failed, served := spanOf(t, spans, "server", "/v1/chat/completions"), spanOf(t, spans, "client", "theturbo"), spanOf(t, spans, "client", "starmagic")
	wantSpan(t, server, otlptest.Span{
		Name: "POST /v1/chat/completions", Kind: "server", TraceID: clientTrace, ParentID: clientSpan, Status: "unset", Scope: "tollgate",
		Attributes: map[string]any{
			"http.request.method": "POST", "http.route": "/v1/chat/completions", "url.path": "/v1/chat/completions", "url.scheme": "http",
			"network.protocol.version": "1.1", "server.address": "127.0.0.1", "server.port": portOf(t, f.url), "client.address": "127.0.0.1",
			"user_agent.original": "e2e/1", "http.response.status_code": int64(200), "tollgate.request.id": a.id(), "tollgate.key.id": key.ID,
			"tollgate.tenant.id": "acme", "tollgate.pool": "in-turn", "tollgate.end_reason": "completed", "tollgate.usage.source": "upstream",
		},
	})
	wantSpan(t, failed, otlptest.Span{
		Name: "chat gemini-2.0-flash", Kind: "client", TraceID: clientTrace, ParentID: server.SpanID, Status: "error", Scope: "tollgate",
		Attributes: map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "theturbo", "gen_ai.request.model": "gemini-2.0-flash", "gen_ai.request.stream": true,
			"server.address": "127.0.0.1", "server.port": portOf(t, f.env["SIMULATOR"]), "http.response.status_code": int64(500), "error.type": "server_error",
			"tollgate.pool": "in-turn", "tollgate.attempt": int64(0), "tollgate.breaker.state": "ready", "tollgate.outcome": "server_error",
		},
	})
	wantSpan(t, served, otlptest.Span{
		Name: "chat gemini-2.5-flash-lite", Kind: "client", TraceID: clientTrace, ParentID: server.SpanID, Status: "unset", Scope: "tollgate",
		Attributes: map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "starmagic", "gen_ai.request.model": "gemini-2.5-flash-lite", "gen_ai.request.stream": true,
			"server.address": "127.0.0.1", "server.port": portOf(t, f.env["SIMULATOR"]), "http.response.status_code": int64(200),
			"tollgate.pool": "in-turn", "tollgate.attempt": int64(1), "http.request.resend_count": int64(1), "tollgate.breaker.state": "ready",
			"tollgate.outcome": "ok", "gen_ai.response.id": a.completion.ID, "gen_ai.response.model": "gemini-2.5-flash-lite", "gen_ai.response.finish_reasons": []any{"stop"},
			"gen_ai.usage.input_tokens": int64(4), "gen_ai.usage.output_tokens": int64(tokens),
		},
	})
	lasts(t, server, (tokens-1)*gap)
	lasts(t, served, (tokens-1)*gap)
	if failed.Start.Before(server.Start) || served.Start.Before(failed.End) || server.End.Before(served.End) {
		t.Errorf("the attempts are not inside their request, one after the other: %v, %v, %v", server, failed, served)
	}
}

// lasts makes sure that a span ends with the answer, and not when its first byte is there.
func lasts(t *testing.T, s otlptest.Span, least time.Duration) {
	t.Helper()
	if took := s.End.Sub(s.Start); took < least || took > patience {
		t.Errorf("the span %s lasts %s, and the stream %s at least", s.Name, took, least)
	}
}

// spanOf is the one span of a kind with this route or provider.
func spanOf(t *testing.T, spans []otlptest.Span, kind, of string) otlptest.Span {
	t.Helper()
	var found []otlptest.Span
	for _, s := range spans {
		if s.Kind == kind && (s.Attributes["http.route"] == of || s.Attributes["gen_ai.provider.name"] == of) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d %s spans of %s, want one: %+v", len(found), kind, of, spans)
	}
	return found[0]
}

// wantSpan compares all of a span but what differs from run to run, which must be there.
func wantSpan(t *testing.T, got, want otlptest.Span) {
	t.Helper()
	if first, ok := got.Attributes["gen_ai.response.time_to_first_chunk"].(float64); ok && first > 0 && want.Attributes["tollgate.outcome"] == "ok" {
		delete(got.Attributes, "gen_ai.response.time_to_first_chunk")
	} else if want.Attributes["tollgate.outcome"] == "ok" {
		t.Errorf("%s: no time to the first chunk: %v", got.Name, got.Attributes)
	}
	got.Resource = maps.Clone(got.Resource) // the spans of one export share it
	for _, name := range []string{"host.name", "process.pid", "process.runtime.version", "telemetry.sdk.version"} {
		if got.Resource[name] == nil {
			t.Errorf("%s: the resource has no %s", got.Name, name)
		}
		delete(got.Resource, name)
	}
	want.Resource = map[string]any{
		"service.name": "tollgate", "service.version": "devel", "deployment.environment.name": "e2e",
		"process.runtime.name": "go", "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "go",
	}
	want.SpanID, want.Start, want.End = got.SpanID, got.Start, got.End
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the span %s (-want +got):\n%s", got.Name, diff)
	}
}

// portOf is the port of an address, as a span has it.
func portOf(t *testing.T, address string) int64 {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseInt(u.Port(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestTraceContext looks at what a provider is told of a trace, and whether a
// client's own is believed, as the operator chose.
func TestTraceContext(t *testing.T) {
	t.Parallel()
	f := func(name, accept string, continued bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			collector := otlptest.Start(t)
			f := newFleet(t, environment{
				"COLLECTOR": collector.HTTPURL(), "COLLECTOR_PROTOCOL": "http", "SEND_TRACE_CONTEXT": "true", "ACCEPT_TRACE_CONTEXT": accept,
			})
			const prompt = "Who is in charge?"
			f.call(t, f.issue(t).Secret).plain(t.Context(), ask("gemini-2.0-flash", prompt), inTrace()...).complete(t)
			told := f.attempt(t, prompt).Header
			f.stop(t)
			server, client := spanOf(t, collector.Spans(), "server", "/v1/chat/completions"), spanOf(t, collector.Spans(), "client", "theturbo")
			if (server.TraceID == clientTrace) != continued || (server.ParentID == clientSpan) != continued {
				t.Errorf("the trace is %s below %q: is it the client's? want %t", server.TraceID, server.ParentID, continued)
			}
			if want := "00-" + server.TraceID + "-" + client.SpanID + "-01"; told.Get("Traceparent") != want {
				t.Errorf("the provider was told %q, want %q", told.Get("Traceparent"), want)
			}
			if told.Get("Tracestate") != "" { // a client's own text
				t.Errorf("the provider was told the client's tracestate %q", told.Get("Tracestate"))
			}
			if client.TraceID != server.TraceID || client.ParentID != server.SpanID || told.Get("Baggage") != "" {
				t.Errorf("the attempt is %+v in %+v; the provider was sent the baggage %q", client, server, told.Get("Baggage"))
			}
		})
	}
	f("a client's trace is continued", "true", true)
	f("a client's trace is left alone", "false", false)
}

// TestCollectorIsAway has a collector that is not there, and one that takes
// connections and never answers: requests notice nothing, and neither does the
// one who waits for the gateway's end.
func TestCollectorIsAway(t *testing.T) {
	t.Parallel()
	f := func(name, protocol string, listens bool, reason string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0") // and nobody accepts
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			if !listens {
				ln.Close()
			}
			f := newFleet(t, environment{
				"COLLECTOR": "http://" + ln.Addr().String(), "COLLECTOR_PROTOCOL": protocol,
				"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4", "OTEL_BSP_SCHEDULE_DELAY": "10",
			})
			c := f.call(t, f.issue(t).Secret)
			began := time.Now()
			for range 30 { // far more than the queue takes
				c.plain(t.Context(), ask("gemini-flash", "Is anybody watching?")).complete(t)
				c.stream(t.Context(), ask("gemini-flash", "Is anybody watching?")).complete(t)
			}
			asked := time.Since(began)
			until(t, "lost spans", patience, func() bool {
				lost := f.scrape(t)[`tollgate_spans_lost_total{error_type="`+reason+`"}`]
				return lost != "0" && lost != ""
			})
			began = time.Now()
			f.stop(t)
			ended := time.Since(began)
			t.Logf("60 requests took %s, the gateway's end %s", asked.Round(time.Millisecond), ended.Round(time.Millisecond))
			if proving() && ended > 15*time.Second {
				t.Errorf("the gateway ended after %s, want a few seconds", ended)
			}
		})
	}
	f("nobody listens, http", "http", false, "export_failed")
	f("nobody listens, grpc", "grpc", false, "queue_full")
	f("silence, http", "http", true, "queue_full")
	f("silence, grpc", "grpc", true, "queue_full")
}
