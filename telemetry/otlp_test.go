package telemetry

import (
	"context"
	"strings"
	"testing"
	"time"

	"tollgate/telemetry/otlptest"

	"github.com/google/go-cmp/cmp"
)

// start is Start for a test, which need not call Shutdown.
func start(t *testing.T, c Config) *Telemetry {
	t.Helper()
	log, book := newLogBook()
	tel, err := Start(c, "1.2.3", log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if strings.Contains(book.String(), "level=WARN") {
			t.Errorf("warned: %s", book)
		}
	})
	return tel
}

// began is when everything in these tests begins.
func began() time.Time { return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) }

func chatHead() RequestHead {
	return RequestHead{
		RequestID: "0192f0c1-2345-7abc-8def-0123456789ab", Method: "POST", Route: "/v1/chat/completions", Path: "/v1/chat/completions",
		Scheme: "http", Protocol: "1.1", ServerAddress: "gateway.example:8080", ClientAddress: "192.0.2.7:51234", UserAgent: "OpenAI/Go 3.96.0", Began: began(),
	}
}

// twoAttempts makes the spans of a stream that the second provider answers.
func twoAttempts(t *Traces) {
	half, all := 0.5, 1.0
	request := t.Begin(chatHead())
	request.Attempt(AttemptHead{
		Pool: "gemini-flash", Provider: "starmagic", Model: "gemini-2.5-flash-lite", URL: "https://api.starmagic.ai/v1",
		State: "ready", Stream: true, Began: began(),
	}).End(AttemptEnd{Outcome: "throttled", Status: 429})
	request.Attempt(AttemptHead{
		Number: 1, Pool: "gemini-flash", Provider: "theturbo", Model: "gemini-2.0-flash", URL: "http://127.0.0.1:9090/theturbo/v1",
		State: "half_open", Stream: true, MaxTokens: 1024, Choices: 2, Temperature: &half, TopP: &all, Began: began(),
	}).End(AttemptEnd{
		Outcome: "ok", Status: 200, FirstChunk: 250 * time.Millisecond, ResponseID: "chatcmpl-7", ResponseModel: "gemini-2.0-flash-001",
		FinishReasons: []string{"stop", "length"}, Tokens: Tokens{Prompt: 120, Cached: 100, Completion: 480, Reasoning: 30}, Reported: true,
	})
	request.End(Access{
		RequestID: "0192f0c1-2345-7abc-8def-0123456789ab", Status: 200, Tenant: "acme", KeyID: "key_1", Model: "gemini-flash",
		Provider: "theturbo", Attempts: 2, Admitted: true, Stream: true, EndReason: "completed", UsageSource: "upstream", Duration: 2 * time.Second,
	})
}

func threeSpans(spans []otlptest.Span) bool { return len(spans) >= 3 }

func TestSpansReachACollector(t *testing.T) {
	f := func(protocol string, address func(*otlptest.Receiver) string) {
		t.Helper()
		receiver := otlptest.Start(t)
		c := DefaultConfig()
		c.OTLP = OTLPConfig{Endpoint: address(receiver), Protocol: protocol}
		tel := start(t, c)
		twoAttempts(tel.Traces())
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		spans := receiver.Await(t, threeSpans)
		if got := receiver.Exports(); len(got) != 1 || got[0].Protocol != protocol {
			t.Errorf("exports %+v, want one by %s", got, protocol)
		}
		checkTree(t, spans)
	}
	f("grpc", (*otlptest.Receiver).GRPCURL)
	f("http", (*otlptest.Receiver).HTTPURL)
	f("http", func(r *otlptest.Receiver) string { return r.HTTPURL() + "/v1/traces" })
	f("http", func(r *otlptest.Receiver) string { return r.HTTPURL() + "/" })
}

// checkTree compares everything that twoAttempts should have sent.
func checkTree(t *testing.T, spans []otlptest.Span) {
	t.Helper()
	if len(spans) != 3 {
		t.Fatalf("%d spans, want 3", len(spans))
	}
	first, second, request := spans[0], spans[1], spans[2] // in the order of their ends
	f := func(s otlptest.Span, kind, name, status string, attributes map[string]any) {
		t.Helper()
		if s.Kind != kind || s.Name != name || s.Status != status || s.Message != "" || s.Scope != "tollgate" || s.Events != 0 || s.State != "" {
			t.Errorf("got %+v, want %s %q with status %s of tollgate", s, kind, name, status)
		}
		if diff := cmp.Diff(attributes, s.Attributes); diff != "" {
			t.Errorf("attributes of %s (-want +got):\n%s", name, diff)
		}
		if !s.Start.Equal(began()) {
			t.Errorf("%s starts at %v", name, s.Start)
		}
		if s.TraceID != request.TraceID || len(s.TraceID) != 32 {
			t.Errorf("trace %q of %s, want that of the request, %q", s.TraceID, name, request.TraceID)
		}
	}
	f(request, "server", "POST /v1/chat/completions", "unset", map[string]any{
		"http.request.method": "POST", "http.route": "/v1/chat/completions", "url.path": "/v1/chat/completions", "url.scheme": "http",
		"network.protocol.version": "1.1", "server.address": "gateway.example", "server.port": int64(8080), "client.address": "192.0.2.7",
		"user_agent.original": "OpenAI/Go 3.96.0", "http.response.status_code": int64(200),
		"tollgate.request.id": "0192f0c1-2345-7abc-8def-0123456789ab", "tollgate.key.id": "key_1", "tollgate.tenant.id": "acme",
		"tollgate.pool": "gemini-flash", "tollgate.end_reason": "completed", "tollgate.usage.source": "upstream",
	})
	f(first, "client", "chat gemini-2.5-flash-lite", "error", map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "starmagic", "gen_ai.request.model": "gemini-2.5-flash-lite",
		"gen_ai.request.stream": true, "server.address": "api.starmagic.ai", "server.port": int64(443),
		"tollgate.attempt": int64(0), "tollgate.pool": "gemini-flash", "tollgate.breaker.state": "ready",
		"tollgate.outcome": "throttled", "error.type": "throttled", "http.response.status_code": int64(429),
	})
	f(second, "client", "chat gemini-2.0-flash", "unset", map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "theturbo", "gen_ai.request.model": "gemini-2.0-flash",
		"gen_ai.request.stream": true, "gen_ai.request.max_tokens": int64(1024), "gen_ai.request.choice.count": int64(2),
		"gen_ai.request.temperature": 0.5, "gen_ai.request.top_p": 1.0, "server.address": "127.0.0.1", "server.port": int64(9090),
		"tollgate.attempt": int64(1), "http.request.resend_count": int64(1), "tollgate.pool": "gemini-flash",
		"tollgate.breaker.state": "half_open", "tollgate.outcome": "ok", "http.response.status_code": int64(200),
		"gen_ai.response.id": "chatcmpl-7", "gen_ai.response.model": "gemini-2.0-flash-001",
		"gen_ai.response.finish_reasons": []any{"stop", "length"}, "gen_ai.response.time_to_first_chunk": 0.25,
		"gen_ai.usage.input_tokens": int64(120), "gen_ai.usage.output_tokens": int64(480),
		"gen_ai.usage.cache_read.input_tokens": int64(100), "gen_ai.usage.reasoning.output_tokens": int64(30),
	})
	if request.ParentID != "" || first.ParentID != request.SpanID || second.ParentID != request.SpanID || first.SpanID == second.SpanID {
		t.Errorf("no tree: request %q<-%q, attempts %q<-%q and %q<-%q",
			request.ParentID, request.SpanID, first.ParentID, first.SpanID, second.ParentID, second.SpanID)
	}
	if took := request.End.Sub(request.Start); took != 2*time.Second {
		t.Errorf("the request's span took %v, want what the access line says, 2s", took)
	}
	checkResource(t, request.Resource)
}

// checkResource compares what is said of the process: nothing may be in it that is not on this list.
func checkResource(t *testing.T, got map[string]any) {
	t.Helper()
	for name, want := range map[string]any{"service.name": "tollgate", "service.version": "1.2.3", "telemetry.sdk.language": "go", "process.runtime.name": "go"} {
		if got[name] != want {
			t.Errorf("resource: %s is %v, want %v", name, got[name], want)
		}
	}
	const allowed = " service.name service.version telemetry.sdk.language telemetry.sdk.name telemetry.sdk.version host.name process.pid process.runtime.name process.runtime.version "
	for name, value := range got {
		if !strings.Contains(allowed, " "+name+" ") {
			t.Errorf("resource: %s=%v is not on the list", name, value)
		}
	}
}

func TestNoAddressMeansNoTraces(t *testing.T) {
	tel := start(t, DefaultConfig())
	if tel.Traces() != nil {
		t.Error("traces without a collector")
	}
	twoAttempts(tel.Traces()) // a nil *Traces does nothing
	span := tel.Traces().Begin(chatHead())
	attempt := span.Attempt(AttemptHead{})
	if span.Recording() || span.TraceID() != "" || attempt.Traceparent() != "" {
		t.Error("a span of no traces says something")
	}
}
