package telemetry

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/telemetry/otlptest"

	"go.opentelemetry.io/otel"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"
)

// collectorFunc is an exporter made of a function.
type collectorFunc func(context.Context, []sdk.ReadOnlySpan) error

func (f collectorFunc) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	return f(ctx, spans)
}
func (collectorFunc) Shutdown(context.Context) error { return nil }

// queueTo returns a small queue to a collector, and a function that ends a span into it.
func queueTo(next sdk.SpanExporter) (queue *pipeline, end func(), book *logBook) {
	log, book := newLogBook()
	queue = newPipeline(next, queueOptions{size: 4, batch: 2, delay: time.Second, timeout: 30 * time.Second}, log)
	tracer := sdk.NewTracerProvider(sdk.WithSpanProcessor(queue)).Tracer("")
	return queue, func() {
		_, span := tracer.Start(context.Background(), "")
		span.End()
	}, book
}

func TestACollectorThatHangsCostsRequestsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue, end, book := queueTo(collectorFunc(func(ctx context.Context, _ []sdk.ReadOnlySpan) error {
			<-ctx.Done() // until the SDK or a shutdown gives up
			return context.Cause(ctx)
		}))
		before := time.Now()
		for range 10 {
			end()
		}
		if took := time.Since(before); took != 0 {
			t.Errorf("ten spans waited for %v", took)
		}
		if got := queue.lost(); got["queue_full"] != 6 || got["export_failed"] != 0 {
			t.Errorf("lost %v, want the 6 that did not fit", got)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := queue.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(before); took != 3*time.Second {
			t.Errorf("Shutdown took %v, want the 3s it was given", took)
		}
		if got := queue.lost(); got["queue_full"] != 6 || got["export_failed"] != 4 {
			t.Errorf("lost %v, want 6 and 4", got)
		}
		const want = `level=WARN msg="spans dropped: the queue to the collector is full" count=1
level=WARN msg="spans not sent" count=1 error="stopped before they were sent"
`
		if book.String() != want {
			t.Errorf("logged\n%s", book)
		}
	})
}

func TestShutdownWhenTheTimeIsOverAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue, end, _ := queueTo(collectorFunc(func(ctx context.Context, _ []sdk.ReadOnlySpan) error {
			<-ctx.Done()
			return ctx.Err()
		}))
		end()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := queue.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestTheQueueRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		var arrived atomic.Int64
		queue, end, book := queueTo(collectorFunc(func(_ context.Context, spans []sdk.ReadOnlySpan) error {
			if broken.Load() {
				return errors.New("refused")
			}
			arrived.Add(int64(len(spans)))
			return nil
		}))
		broken.Store(true)
		for range 50 {
			end()
			time.Sleep(2 * time.Second) // a span, an export, a failure
		}
		broken.Store(false)
		for range 50 {
			end()
			time.Sleep(2 * time.Second)
		}
		if err := queue.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := arrived.Load(); got != 50 {
			t.Errorf("%d spans arrived, want 50", got)
		}
		if got := queue.lost(); got["queue_full"] != 0 || got["export_failed"] != 50 {
			t.Errorf("lost %v, want 50 by export", got)
		}
		const want = `level=WARN msg="spans not sent" count=1 error=refused
level=WARN msg="spans not sent" count=30 error=refused
`
		if book.String() != want {
			t.Errorf("logged\n%s", book)
		}
	})
}

func TestShutdownLeavesNoGoroutine(t *testing.T) {
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // takes connections, answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	f := func(protocol string, patience time.Duration) {
		t.Helper()
		before := goleak.IgnoreCurrent()
		log, book := newLogBook()
		c := DefaultConfig()
		c.OTLP = OTLPConfig{Endpoint: "http://" + silent.Addr().String(), Protocol: protocol}
		tel, err := Start(c, "1.2.3", log)
		if err != nil {
			t.Fatal(err)
		}
		twoAttempts(tel.Traces())
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		began := time.Now()
		if err := tel.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) && patience > 0 {
			t.Errorf("%s: Shutdown: %v", protocol, err)
		}
		if took := time.Since(began); took > 5*time.Second { // left to itself the exporter takes 10 seconds
			t.Errorf("%s: Shutdown took %v of the %v it was given", protocol, took, patience)
		}
		if !strings.Contains(book.String(), `msg="spans not sent" count=1`) {
			t.Errorf("%s: logged %s", protocol, book)
		}
		if text := scrape(t, tel); strings.Contains(text, "tollgate_spans_lost_total{") {
			t.Errorf("%s: figures after the end", protocol)
		}
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Errorf("%s: a second Shutdown: %v", protocol, err)
		}
		twoAttempts(tel.Traces()) // after the end: nothing happens
		goleak.VerifyNone(t, before)
	}
	f("grpc", 100*time.Millisecond)
	f("http", 100*time.Millisecond)
	f("grpc", 0)
	f("http", 0)
}

func TestShutdownClosesConnections(t *testing.T) {
	f := func(protocol string, address func(*otlptest.Receiver) string) {
		t.Helper()
		receiver := otlptest.Start(t)
		before := goleak.IgnoreCurrent()
		c := DefaultConfig()
		c.OTLP = OTLPConfig{Endpoint: address(receiver), Protocol: protocol}
		sentBy(t, c, receiver)
		goleak.VerifyNone(t, before) // the collector still listens
	}
	f("grpc", (*otlptest.Receiver).GRPCURL)
	f("http", (*otlptest.Receiver).HTTPURL)
}

func TestLostSpansAreCounted(t *testing.T) {
	refusing, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := refusing.Addr().String()
	refusing.Close()
	environment(t, map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "1"})
	log, book := newLogBook()
	c := DefaultConfig()
	c.OTLP = OTLPConfig{Endpoint: "http://" + address, Protocol: "http"}
	tel, err := Start(c, "1.2.3", log)
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Shutdown(t.Context())
	twoAttempts(tel.Traces())
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(scrape(t, tel), `tollgate_spans_lost_total{error_type="export_failed"} 3`) {
		if time.Now().After(deadline) {
			t.Fatalf("the lost spans are not counted; logged %s", book)
		}
		time.Sleep(time.Millisecond)
	}
	if !strings.Contains(scrape(t, tel), `tollgate_spans_lost_total{error_type="queue_full"} 0`) {
		t.Error("a reason that has not happened is not shown as 0")
	}
}

func TestOpenTelemetrysErrorsGoToTheLog(t *testing.T) {
	log, book := newLogBook()
	tel, err := Start(DefaultConfig(), "1.2.3", log)
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Shutdown(t.Context())
	otel.Handle(errors.New("first"))
	otel.Handle(errors.New("second"))
	if want := "level=WARN msg=\"OpenTelemetry reports an error\" count=1 error=first\n"; book.String() != want {
		t.Errorf("logged %s", book)
	}
}
