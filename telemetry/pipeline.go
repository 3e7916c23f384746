package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// errHalted says that an export was cut short because the process ends.
var errHalted = errors.New("stopped before they were sent")

// pipeline is the way of a span from its end to the collector: a bounded queue,
// one goroutine that sends. A request never waits for it: what does not fit is
// counted and dropped.
type pipeline struct {
	batches sdk.SpanProcessor // the SDK's queue, in front of sender
	sender  *sender
}

// queueOptions are the sizes of the SDK's queue.
type queueOptions struct {
	size, batch    int
	delay, timeout time.Duration
}

// queueOptionsOf reads the OTEL_BSP_* variables; the defaults are the standard's.
func queueOptionsOf(log *slog.Logger) queueOptions {
	o := queueOptions{
		size:    count(envQueueSize, sdk.DefaultMaxQueueSize, log),
		batch:   count(envBatchSize, sdk.DefaultMaxExportBatchSize, log),
		delay:   time.Duration(count(envBatchDelay, sdk.DefaultScheduleDelay, log)) * time.Millisecond,
		timeout: time.Duration(count(envExportTimeout, sdk.DefaultExportTimeout, log)) * time.Millisecond,
	}
	o.batch = min(o.batch, o.size)
	return o
}

// newPipeline starts the goroutine that sends; shutdown ends it.
func newPipeline(next sdk.SpanExporter, o queueOptions, log *slog.Logger) *pipeline {
	s := &sender{
		next:     next,
		capacity: int64(o.size),
		ended:    make(chan struct{}),
		failures: newReminder(func(a ...any) { log.Warn("spans not sent", a...) }),
		overflow: newReminder(func(a ...any) { log.Warn("spans dropped: the queue to the collector is full", a...) }),
	}
	s.running, s.halt = context.WithCancelCause(context.Background())
	return &pipeline{
		sender: s,
		// One place more than is ever used: a flush takes one.
		batches: sdk.NewBatchSpanProcessor(s,
			sdk.WithMaxQueueSize(o.size+1), sdk.WithMaxExportBatchSize(o.batch),
			sdk.WithBatchTimeout(o.delay), sdk.WithExportTimeout(o.timeout)),
	}
}

// OnStart implements sdk.SpanProcessor.
func (p *pipeline) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd implements sdk.SpanProcessor. The SDK's queue drops silently, so it is
// never given more than it can hold.
func (p *pipeline) OnEnd(s sdk.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if p.sender.waiting.Add(1) > p.sender.capacity {
		p.sender.waiting.Add(-1)
		p.sender.dropped.Add(1)
		p.sender.overflow.remind(nil)
		return
	}
	p.batches.OnEnd(s)
}

// ForceFlush implements sdk.SpanProcessor.
func (p *pipeline) ForceFlush(ctx context.Context) error { return p.batches.ForceFlush(ctx) }

// Shutdown implements sdk.SpanProcessor: it sends what waits, until ctx is
// done, cuts short what is then still under way, and leaves no goroutine.
func (p *pipeline) Shutdown(ctx context.Context) error {
	err := p.batches.Shutdown(ctx)
	p.sender.halt(errHalted)
	<-p.sender.ended
	return err
}

// lost counts the spans that never reached the collector, by reason.
func (p *pipeline) lost() map[string]uint64 {
	return map[string]uint64{
		"queue_full":    p.sender.dropped.Load(),
		"export_failed": p.sender.failed.Load(),
	}
}

// sender is the exporter behind the queue: it counts, reports failures now and
// then, and can be halted, which the SDK cannot.
type sender struct {
	next     sdk.SpanExporter
	capacity int64

	waiting         atomic.Int64 // spans ended and not yet sent or lost
	dropped, failed atomic.Uint64
	failures        *reminder
	overflow        *reminder

	running context.Context
	halt    context.CancelCauseFunc
	ended   chan struct{}
}

// ExportSpans implements sdk.SpanExporter. It never returns an error: the SDK
// would only hand it to a global handler.
func (s *sender) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	defer s.waiting.Add(-int64(len(spans)))
	err := context.Cause(s.running)
	if err == nil {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(s.running, func() { cancel(errHalted) })()
		err = s.next.ExportSpans(ctx, spans)
	}
	if err != nil {
		s.failed.Add(uint64(len(spans)))
		s.failures.remind(err)
	}
	return nil
}

// Shutdown implements sdk.SpanExporter.
func (s *sender) Shutdown(ctx context.Context) error {
	defer close(s.ended)
	return s.next.Shutdown(ctx)
}
