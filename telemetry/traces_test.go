package telemetry

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// tracesToMemory returns traces and what was exported of them.
func tracesToMemory(o TraceOptions) (*Traces, *tracetest.InMemoryExporter) {
	memory := tracetest.NewInMemoryExporter()
	return NewTraces(sdk.NewTracerProvider(sdk.WithSyncer(memory)), o), memory
}

func value(s tracetest.SpanStub, key attribute.Key) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

const (
	someTrace  = "0af7651916cd43dd8448eb211c80319c"
	someParent = "00-" + someTrace + "-b7ad6b7169203331-01"
)

func TestClientsTraceContext(t *testing.T) {
	f := func(accept bool, traceparent string, continued bool) {
		t.Helper()
		traces, memory := tracesToMemory(TraceOptions{Accept: accept})
		head := chatHead()
		head.Traceparent = traceparent
		span := traces.Begin(head)
		span.Attempt(AttemptHead{Model: "m"}).End(AttemptEnd{Outcome: "ok"})
		span.End(Access{Status: 200})
		attempt, request := memory.GetSpans()[0], memory.GetSpans()[1]
		if (span.TraceID() == someTrace) != continued || request.Parent.IsValid() != continued {
			t.Errorf("accept %v, %q: trace %s", accept, traceparent, span.TraceID())
		}
		if attempt.Parent.SpanID() != request.SpanContext.SpanID() {
			t.Errorf("%q: the attempt is not below its request", traceparent)
		}
	}
	f(true, someParent, true)
	f(false, someParent, false)
	f(true, "", false)
	f(true, "00-"+strings.ToUpper(someTrace)+"-b7ad6b7169203331-01", false)
	f(true, "00-00000000000000000000000000000000-b7ad6b7169203331-01", false)
	f(true, "00-"+someTrace+"-0000000000000000-01", false)
	f(true, "ff-"+someTrace+"-b7ad6b7169203331-01", false)
	f(true, "01-"+someTrace+"-b7ad6b7169203331-01-more", true)
	f(true, someParent+"-more", false)
	f(true, "garbage\x00\xff", false)
	f(true, strings.Repeat("0", 1<<16), false)
}

func TestTraceContextForProviders(t *testing.T) {
	f := func(send bool, sampler sdk.Sampler, want string) {
		t.Helper()
		traces := NewTraces(sdk.NewTracerProvider(sdk.WithSampler(sampler)), TraceOptions{Accept: true, Send: send})
		head := chatHead()
		head.Traceparent = someParent
		request := traces.Begin(head)
		defer request.End(Access{})
		attempt := request.Attempt(AttemptHead{Model: "m"})
		defer attempt.End(AttemptEnd{Outcome: "ok"})
		parent := attempt.Traceparent()
		if want == "" {
			if parent != "" {
				t.Errorf("sent %q", parent)
			}
			return
		}
		span := request.span.SpanContext().SpanID().String()
		if !strings.HasPrefix(parent, "00-"+someTrace+"-") || !strings.HasSuffix(parent, want) || strings.Contains(parent, span) {
			t.Errorf("sent %q, want the attempt's own span with flags %s", parent, want)
		}
	}
	f(true, sdk.AlwaysSample(), "-01")
	f(true, sdk.NeverSample(), "-00")
	f(false, sdk.AlwaysSample(), "")
	f(false, sdk.NeverSample(), "")
}

func TestRequestStatus(t *testing.T) {
	f := func(a Access, status codes.Code, errorType string) {
		t.Helper()
		traces, memory := tracesToMemory(TraceOptions{})
		traces.Begin(chatHead()).End(a)
		got := memory.GetSpans()[0]
		if got.Status.Code != status || value(got, "error.type") != errorType {
			t.Errorf("%+v: %v, error.type %q, want %v, %q", a, got.Status.Code, value(got, "error.type"), status, errorType)
		}
	}
	f(Access{Status: 200, EndReason: "completed"}, codes.Unset, "")
	f(Access{Status: 200}, codes.Unset, "")
	f(Access{Status: 401, ErrorType: "invalid_api_key"}, codes.Unset, "invalid_api_key")
	f(Access{Status: 400, ErrorType: "upstream_refused", EndReason: "refused"}, codes.Unset, "upstream_refused")
	f(Access{Status: 200, EndReason: "client_gone"}, codes.Unset, "")
	f(Access{Status: 200, EndReason: "key_revoked", ErrorType: "key_revoked"}, codes.Unset, "key_revoked")
	f(Access{Status: 200, EndReason: "upstream_cut"}, codes.Error, "upstream_cut")
	f(Access{Status: 200, EndReason: "upstream_cut", ErrorType: "upstream_interrupted"}, codes.Error, "upstream_interrupted")
	f(Access{Status: 200, EndReason: "upstream_timeout"}, codes.Error, "upstream_timeout")
	f(Access{Status: 200, EndReason: "no_output"}, codes.Error, "no_output")
	f(Access{Status: 200, EndReason: "shutdown"}, codes.Error, "shutdown")
	f(Access{Status: 502, ErrorType: "upstream_error", EndReason: "upstream_failed"}, codes.Error, "upstream_error")
	f(Access{Status: 503}, codes.Error, "503")
	f(Access{Status: 599}, codes.Error, "500")
}

func TestAttemptStatus(t *testing.T) {
	f := func(e AttemptEnd, status codes.Code, errorType string) {
		t.Helper()
		traces, memory := tracesToMemory(TraceOptions{})
		traces.Begin(chatHead()).Attempt(AttemptHead{Model: "m"}).End(e)
		got := memory.GetSpans()[0]
		if got.Status.Code != status || value(got, "error.type") != errorType {
			t.Errorf("%+v: %v, error.type %q, want %v, %q", e, got.Status.Code, value(got, "error.type"), status, errorType)
		}
	}
	f(AttemptEnd{Outcome: "ok"}, codes.Unset, "")
	f(AttemptEnd{Outcome: "ok", Interrupted: "upstream_cut"}, codes.Error, "upstream_cut")
	f(AttemptEnd{Outcome: "timeout"}, codes.Error, "timeout")
	f(AttemptEnd{Outcome: "request_refused", Status: 400}, codes.Error, "request_refused")
}

func TestSpanNames(t *testing.T) {
	f := func(method, route, want string) {
		t.Helper()
		if got := requestSpanName(RequestHead{Method: method, Route: route}); got != want {
			t.Errorf("%s %s: %q, want %q", method, route, got, want)
		}
	}
	f("POST", "/v1/chat/completions", "POST /v1/chat/completions")
	f("GET", "/v1/models/{id}", "GET /v1/models/{id}")
	f("POST", "other", "POST")
	f("POST", "/v1/whatever", "POST")
	f("BREW", "other", "HTTP")
	f("other", "/v1/models", "HTTP /v1/models")
}

func TestAddresses(t *testing.T) {
	f := func(address, scheme, host, port string) {
		t.Helper()
		s := tracetest.SpanStub{Attributes: appendAddress(nil, address, scheme)}
		if value(s, "server.address") != host || value(s, "server.port") != port {
			t.Errorf("%s by %s: %v", address, scheme, s.Attributes)
		}
	}
	f("gateway.example:8443", "https", "gateway.example", "8443")
	f("gateway.example", "https", "gateway.example", "443")
	f("gateway.example", "http", "gateway.example", "80")
	f("gateway.example", "", "gateway.example", "")
	f("[2001:db8::1]:8080", "http", "2001:db8::1", "8080")
	f("gateway.example:99999", "http", "gateway.example", "80")
	f("", "http", "", "")
}

// Only the provider's own figures and identifiers are shown, and only as such.
func TestWhatAProviderSaysIsChecked(t *testing.T) {
	f := func(head AttemptHead, end AttemptEnd, absent ...attribute.Key) {
		t.Helper()
		traces, memory := tracesToMemory(TraceOptions{})
		traces.Begin(chatHead()).Attempt(head).End(end)
		for _, key := range absent {
			if got := value(memory.GetSpans()[0], key); got != "" {
				t.Errorf("%s is shown: %s", key, got)
			}
		}
	}
	f(AttemptHead{}, AttemptEnd{Outcome: "ok", Tokens: Tokens{Prompt: 5, Completion: 5, Cached: 5, Reasoning: 5}},
		attrInputTokens, attrOutputTokens, attrCachedTokens, attrReasoningTokens)
	f(AttemptHead{Choices: 1}, AttemptEnd{Outcome: "ok", FirstChunk: time.Second}, attrChoices, attrFirstChunk, attrMaxTokens, attrTemperature, attrTopP, attrResendCount)
	f(AttemptHead{}, AttemptEnd{Outcome: "ok", ResponseID: strings.Repeat("x", 129), ResponseModel: "gemini\n"}, attrResponseID, attrResponseModel)
	f(AttemptHead{}, AttemptEnd{Outcome: "ok", ResponseID: "naïve"}, attrResponseID, attrFinishReasons)
}

func TestUserAgentIsCut(t *testing.T) {
	f := func(agent, want string) {
		t.Helper()
		traces, memory := tracesToMemory(TraceOptions{})
		head := chatHead()
		head.UserAgent = agent
		traces.Begin(head).End(Access{})
		if got := value(memory.GetSpans()[0], "user_agent.original"); got != want {
			t.Errorf("%q became %q, want %q", agent, got, want)
		}
	}
	f("curl/8.0", "curl/8.0")
	f("a\r\nb\x00c\x7f\u0085d\xff", "abcd")
	f(strings.Repeat("x", 300), strings.Repeat("x", 256))
	f(strings.Repeat("x", 255)+"é", strings.Repeat("x", 255))
	f(strings.Repeat("x", 254)+"é!", strings.Repeat("x", 254)+"é")
	f(strings.Repeat("é", 200), strings.Repeat("é", 128))
}

// A single invalid byte would cost the whole batch, so no text from outside
// may get into a span as it is.
func FuzzSpanText(f *testing.F) {
	f.Add("POST", "/v1/models/x", "host:80", "agent", someParent, "a=1", "id")
	f.Add("\xff", "/\x00", "[::1", strings.Repeat("é", 300), "00-", "\xff", "\u2028\xc3")
	f.Fuzz(func(t *testing.T, method, path, address, agent, parent, state, id string) {
		traces, memory := tracesToMemory(TraceOptions{Accept: true, Send: true})
		request := traces.Begin(RequestHead{
			RequestID: id, Method: method, Route: path, Path: path, Scheme: method, Protocol: agent, ServerAddress: address,
			ClientAddress: address, UserAgent: agent, Traceparent: parent,
		})
		attempt := request.Attempt(AttemptHead{Pool: id, Provider: agent, Model: path, URL: address, State: state})
		if traceparent := attempt.Traceparent(); len(traceparent) != 55 {
			t.Errorf("traceparent %q", traceparent)
		}
		attempt.End(AttemptEnd{Outcome: method, Interrupted: state, ResponseID: id, ResponseModel: agent})
		request.End(Access{RequestID: id, Status: len(id), KeyID: id, Tenant: agent, Model: path, EndReason: state, UsageSource: id, ErrorType: method})
		for _, s := range memory.GetSpans() {
			checkText(t, s.Name)
			for _, a := range s.Attributes {
				checkText(t, a.Value.String())
			}
		}
	})
}

func checkText(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) || len(text) > 1024 || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("a span holds %q", text)
	}
}

func TestSpansOfNobody(t *testing.T) {
	var traces *Traces
	span := traces.Begin(chatHead())
	attempt := span.Attempt(AttemptHead{})
	attempt.End(AttemptEnd{})
	span.End(Access{})
	if span != nil || attempt != nil {
		t.Error("a span was made of nothing")
	}
}

// The end of a span is idempotent, and an attempt may outlive its request.
func TestSpansEndOnce(t *testing.T) {
	traces, memory := tracesToMemory(TraceOptions{})
	request := traces.Begin(chatHead())
	attempt := request.Attempt(AttemptHead{Model: "m"})
	request.End(Access{Status: 200})
	request.End(Access{Status: 500})
	attempt.End(AttemptEnd{Outcome: "ok"})
	attempt.End(AttemptEnd{Outcome: "cut"})
	spans := memory.GetSpans()
	if len(spans) != 2 || value(spans[0], "http.response.status_code") != "200" || value(spans[1], "tollgate.outcome") != "ok" {
		t.Errorf("got %d spans", len(spans))
	}
}
