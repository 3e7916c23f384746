package telemetry

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// nowhere is an exporter that forgets.
type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return nil }
func (nowhere) Shutdown(context.Context) error                        { return nil }

func newTestMetrics(tb testing.TB) *Metrics {
	tb.Helper()
	m, err := NewMetrics(metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// measure makes every measurement of one streamed request.
func measure(m *Metrics) {
	m.Limit("requests", "allowed")
	m.Attempt("starmagic", "gemini-2.5-flash-lite", "ok", 80*time.Millisecond)
	m.Request(Access{
		Method: "POST", Route: "/v1/chat/completions", Status: 200, Model: "gemini-flash", Provider: "starmagic",
		Attempts: 1, Admitted: true, Stream: true, EndReason: "completed", UsageSource: "upstream",
		Tokens: Tokens{Prompt: 120, Completion: 480}, Duration: 2 * time.Second, FirstByte: 90 * time.Millisecond, Overhead: 300 * time.Microsecond,
	})
}

func BenchmarkMetrics(b *testing.B) {
	m := newTestMetrics(b)
	b.ReportAllocs()
	for b.Loop() {
		measure(m)
	}
}

func BenchmarkMetricsParallel(b *testing.B) {
	m := newTestMetrics(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			measure(m)
		}
	})
}

// traceOne makes the spans of one streamed request with one attempt.
func traceOne(t *Traces) {
	began := time.Now()
	span := t.Begin(RequestHead{
		RequestID: "0192f0c1-2345-7abc-8def-0123456789ab", Method: "POST", Route: "/v1/chat/completions", Path: "/v1/chat/completions",
		Scheme: "http", Protocol: "1.1", ServerAddress: "127.0.0.1:8080", ClientAddress: "192.0.2.7:51234", UserAgent: "OpenAI/Go 3.96.0", Began: began,
	})
	attempt := span.Attempt(AttemptHead{
		Pool: "gemini-flash", Provider: "starmagic", Model: "gemini-2.5-flash-lite", URL: "https://api.starmagic.ai/v1",
		State: "ready", Stream: true, MaxTokens: 1024, Began: began,
	})
	attempt.End(AttemptEnd{
		Outcome: "ok", Status: 200, FirstChunk: time.Millisecond, ResponseID: "chatcmpl-1", ResponseModel: "gemini-2.5-flash-lite",
		FinishReasons: []string{"stop"}, Tokens: Tokens{Prompt: 120, Completion: 480}, Reported: true,
	})
	span.End(Access{
		RequestID: "0192f0c1-2345-7abc-8def-0123456789ab", Status: 200, KeyID: "key_1", Tenant: "acme", Model: "gemini-flash",
		EndReason: "completed", UsageSource: "upstream", Duration: time.Millisecond,
	})
}

func BenchmarkTraces(b *testing.B) {
	run := func(name string, sampler sdk.Sampler) {
		b.Run(name, func(b *testing.B) {
			provider := sdk.NewTracerProvider(sdk.WithSampler(sampler), sdk.WithBatcher(nowhere{}))
			b.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
			traces := NewTraces(provider, TraceOptions{Accept: true})
			b.ReportAllocs()
			for b.Loop() {
				traceOne(traces)
			}
		})
	}
	run("sampled", sdk.AlwaysSample())
	run("unsampled", sdk.NeverSample())
	b.Run("off", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			traceOne(nil)
		}
	})
}
