package proxy

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"tollgate/keys"
	"tollgate/ratelimit"
	"tollgate/store"
	"tollgate/upstream"
	"tollgate/usage"
)

// BenchmarkPlain is everything the gateway itself does for one small plain
// request, without a socket, a provider or a disk.
func BenchmarkPlain(b *testing.B) {
	benchmarkRequest(b, plainAlias, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return plainAnswer(200, someAnswer), nil
	}))
}

// BenchmarkStream is the same for a stream of 100 events.
func BenchmarkStream(b *testing.B) {
	chunk := `data: {"id":"s1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"usage":null}` + "\n\n"
	stream := strings.Repeat(chunk, 100) + someStream[strings.Index(someStream, `data: {"id":"s1","choices":[{"index":0,"delta":{},"finish`):]
	benchmarkRequest(b, streamAlias, legFunc(func(context.Context, *upstream.Request) (*upstream.Response, error) {
		return streamAnswer(&perEvent{stream: stream, size: len(chunk)}), nil
	}))
}

func benchmarkRequest(b *testing.B, body string, leg Leg) {
	g, secret := benchGateway(b, leg)
	var ctx fasthttp.RequestCtx
	b.ReportAllocs()
	for b.Loop() {
		ctx.Init2(&discardConn{}, nil, false)
		ctx.Request.Header.SetMethod(http.MethodPost)
		ctx.Request.SetBodyStream(strings.NewReader(body), len(body))
		x := g.newExchange(&ctx)
		x.route, x.http11, x.framed = routeChat, true, true
		key, err := g.Keys.Authenticate(context.Background(), []byte(secret), netip.Addr{})
		must(b, err)
		x.key, x.watch = key, g.Keys.Cuts().Watch(key.ID)
		ctx.Request.Header.SetContentLength(len(body))
		must(b, g.complete(&ctx, x))
		if x.status != http.StatusOK {
			b.Fatalf("status %d", x.status)
		}
		_, err = x.WriteTo(io.Discard)
		must(b, err)
		must(b, x.Close())
		ctx.Response.Reset()
		ctx.Request.Reset()
	}
}

func benchGateway(b *testing.B, leg Leg) (*Gateway, string) {
	db, err := store.OpenBolt(b.TempDir())
	must(b, err)
	b.Cleanup(func() { must(b, db.Close()) })
	keyStore, err := keys.NewBoltStore(db)
	must(b, err)
	directory := keys.New(keyStore, keys.DefaultConfig())
	_, secret, err := directory.By("test").Create(context.Background(), keys.Spec{Tenant: "acme", Name: "bench"})
	must(b, err)
	table, err := upstream.NewTable(rigUpstreams(nil), upstream.TableOptions{})
	must(b, err)
	prices, err := usage.NewPriceBook(rigPrices())
	must(b, err)
	limiter := ratelimit.New(ratelimit.Options{Config: ratelimit.Config{}, Replica: "bench"})
	b.Cleanup(func() { must(b, limiter.Close(context.Background())) })
	g := New(Options{
		Config: DefaultConfig(), Keys: directory, Limiter: limiter, Forecast: ratelimit.NewForecast(),
		Plan: Plan{Table: table, Prices: prices, MaxCompletionTokens: 65536}, Leg: leg,
		Recorder: discardRecorder{}, Estimator: usage.NewEstimator(), Log: slog.New(slog.NewJSONHandler(logSink{}, nil)),
	})
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		must(b, g.Close(ctx))
	})
	return g, secret.Reveal()
}

type discardRecorder struct{}

func (discardRecorder) Intend(*usage.Record) error { return nil }

func (discardRecorder) Note(*usage.Record) {}

func (discardRecorder) Settle(context.Context, *usage.Record) error { return nil }

// logSink takes the lines, so that writing them is part of what is measured.
type logSink struct{}

func (logSink) Write(p []byte) (int, error) { return len(p), nil }
