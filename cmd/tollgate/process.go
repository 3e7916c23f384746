package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/admin"
	"tollgate/config"
	"tollgate/keys"
	"tollgate/proxy"
	"tollgate/ratelimit"
	"tollgate/store"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"
	"tollgate/usage/journal"

	bolt "go.etcd.io/bbolt"
)

const (
	// adminGrace is how long the operators' API may take to finish what it is doing. net/http takes a connection that has
	// said nothing for busy, for 5 s.
	adminGrace = 7 * time.Second
	// limitsGrace is how long Redis may take to be told what is given back.
	limitsGrace = 2 * time.Second
	// checksGrace is how long a look at a file may take to return.
	checksGrace = 5 * time.Second
	// ledgerGrace is how long the ledger may take to write what it was given, and to close.
	ledgerGrace = 10 * time.Second
	// flushGrace is how long a collector may take to accept the last traces.
	flushGrace = 5 * time.Second
)

// process is one running gateway: what serve and demo start. It is started by
// start and ended by wait or stop.
type process struct {
	config *config.Config // as it was at the start
	log    *slog.Logger
	keys   *keys.Directory

	telemetry *telemetry.Telemetry
	db        *bolt.DB
	redis     *store.Redis      // nil: the keys are in db
	cache     *keys.CachedStore // in front of redis
	checks    sync.WaitGroup    // what goes on after the start, until running ends
	running   context.Context
	halt      context.CancelFunc
	ledger    *usage.Ledger
	books     *usage.Books // in front of ledger
	monitor   *upstream.Monitor
	table     tableInForce
	transport *upstream.Transport
	limiter   *ratelimit.Limiter
	gateway   *proxy.Gateway
	public    *proxy.Server
	operators *admin.Server
	reloads   reloads

	publicListener, adminListener net.Listener
	served                        chan error // one value per listener, when it stops serving
	draining                      atomic.Bool
}

// start opens everything and begins to serve. On an error nothing is left open.
func start(c *config.Config, log *slog.Logger) (*process, error) {
	p := &process{config: c, log: log, served: make(chan error, 2)}
	p.running, p.halt = context.WithCancel(context.Background())
	p.reloads.begin(time.Now())
	if err := p.open(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	go func() { p.served <- p.public.Serve(p.publicListener) }()
	go func() { p.served <- p.operators.Serve(p.adminListener) }()
	return p, nil
}

func (p *process) publicAddress() string { return p.publicListener.Addr().String() }

func (p *process) adminAddress() string { return p.adminListener.Addr().String() }

// wait serves until ctx is done, or until a listener fails, and then stops.
func (p *process) wait(ctx context.Context) error {
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-p.served:
		p.served <- nil // stop waits for both listeners
	}
	if failed == nil {
		p.retire()
	}
	return errors.Join(failed, p.stop())
}

// retire says that this replica is about to end, and serves on for as long as
// load balancers take to notice: not ready, and each answer closes its connection.
func (p *process) retire() {
	p.draining.Store(true)
	p.public.Retire()
	if delay := p.config.Server.ShutdownDelay; delay > 0 {
		p.log.Info("retiring: still accepting, not ready", telemetry.FieldInFlight, p.public.InFlight(), telemetry.FieldShutdownDelay, delay.String())
		time.Sleep(delay) // a second signal ends the process
	}
}

// stop drains: not ready, no new connections, open answers end within
// server.drain_timeout, the rest are cut short visibly and settled. The
// operators' listener closes last, so that the drain can be watched.
func (p *process) stop() error {
	p.draining.Store(true)
	p.log.Info("draining", telemetry.FieldInFlight, p.public.InFlight(), telemetry.FieldDrainTimeout, p.config.Server.DrainTimeout.String())
	drain, cancel := context.WithTimeout(context.Background(), p.config.Server.DrainTimeout)
	defer cancel()
	err := p.public.Shutdown(drain)
	last, cancelLast := context.WithTimeout(context.Background(), adminGrace)
	defer cancelLast()
	err = errors.Join(err, p.operators.Shutdown(last), p.closeListeners())
	for range 2 {
		err = errors.Join(err, <-p.served)
	}
	err = errors.Join(err, p.close())
	if err == nil {
		p.log.Info("stopped")
	}
	return err
}

// close releases what open had opened, in the reverse order.
func (p *process) close() error {
	errs := []error{p.closeListeners()}
	p.halt()
	p.awaitChecks()
	if p.public != nil {
		errs = append(errs, p.public.Close())
	}
	p.closeLimiter() // when no request holds anything any more
	if p.transport != nil {
		p.transport.Close()
	}
	if p.monitor != nil {
		p.monitor.Close()
	}
	if p.cache != nil {
		p.cache.Close()
	}
	if p.redis != nil {
		errs = append(errs, p.redis.Close())
	}
	lost := p.closeBooks() // when every request is settled
	errs = append(errs, unlessItHangs(p.closeLedger))
	p.flush()
	err := errors.Join(errs...)
	if err != nil {
		p.log.Error("closing", telemetry.FieldError, err)
	}
	return errors.Join(lost, err)
}

// closeBooks says at once what is at stake: the ledger may be on the same disk, and that may not answer.
func (p *process) closeBooks() error {
	if p.books == nil {
		return nil
	}
	err := p.books.Close()
	if err = atStake(err, p.books.Stats().Journal); err != nil {
		p.log.Error("closing the journal", telemetry.FieldError, err)
	}
	return err
}

// atStake adds to why the journal could not be closed how many of its entries may be lost, and with what.
func atStake(err error, s journal.Stats) error {
	if err == nil || s.Durable+1 >= s.Next {
		return err
	}
	var counts []string
	if n := s.Next - 1 - s.Written; n > 0 {
		counts = append(counts, fmt.Sprintf("%d in no file, lost with this process", n))
	}
	if n := s.Written - s.Durable; n > 0 {
		counts = append(counts, fmt.Sprintf("%d not confirmed by the disk, lost with their files or, at the latest, with this machine", n))
	}
	return fmt.Errorf("entries of the journal, which may be bills, are at stake: %s: %w", strings.Join(counts, "; "), err)
}

// closeLedger closes the ledger and the file that it is in.
func (p *process) closeLedger() error {
	var errs []error
	if p.ledger != nil {
		errs = append(errs, p.ledger.Close())
	}
	if p.db != nil {
		errs = append(errs, p.db.Close())
	}
	return errors.Join(errs...)
}

// unlessItHangs gives the ledger up, to the end of the process, when its disk does not answer.
func unlessItHangs(closeLedger func() error) error {
	done := make(chan error, 1)
	go func() { done <- closeLedger() }()
	select {
	case err := <-done:
		return err
	case <-time.After(ledgerGrace):
		return fmt.Errorf("the ledger is not closed: its disk has not answered for %s", ledgerGrace)
	}
}

// closeLimiter gives back what was drawn on the limits and not spent, and the slots. A Redis that is away is no
// reason to fail: what is drawn is lost to nobody for longer than a slot's time.
func (p *process) closeLimiter() {
	if p.limiter == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), limitsGrace)
	defer cancel()
	if err := p.limiter.Close(ctx); err != nil {
		p.log.Warn("what this replica holds of the limits is not given back: others have it again within half a minute", telemetry.FieldError, err)
	}
}

// awaitChecks waits for what goes on after the start, but not for a file system
// that does not answer: the records must be closed in any case.
func (p *process) awaitChecks() {
	done := make(chan struct{})
	go func() { p.checks.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(checksGrace):
		p.log.Warn("a look at the configuration's files does not return: it is left alone")
	}
}

// flush hands the last spans to the collector. A collector that is away is no
// reason to fail.
func (p *process) flush() {
	if p.telemetry == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushGrace)
	defer cancel()
	if err := p.telemetry.Shutdown(ctx); err != nil {
		p.log.Warn("the last traces were not delivered", telemetry.FieldError, err)
	}
}

// closeListeners ends a Serve that began only after its Shutdown, too.
func (p *process) closeListeners() error {
	var errs []error
	for _, ln := range []net.Listener{p.publicListener, p.adminListener} {
		if ln == nil {
			continue
		}
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
