package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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

	bolt "go.etcd.io/bbolt"
)

// adminGrace is how long the operators' API may take to finish what it is doing.
const adminGrace = 5 * time.Second

// process is one running gateway: what serve and demo start. It is started by
// start and ended by wait or stop.
type process struct {
	config *config.Config
	log    *slog.Logger
	keys   *keys.Directory

	db        *bolt.DB
	ledger    *usage.Ledger
	table     *upstream.Table
	transport *upstream.Transport
	public    *proxy.Server
	operators *admin.Server

	publicListener, adminListener net.Listener
	served                        chan error // one value per listener, when it stops serving
	draining                      atomic.Bool
}

// start opens everything and begins to serve. On an error nothing is left open.
func start(c *config.Config, log *slog.Logger) (*process, error) {
	p := &process{config: c, log: log, served: make(chan error, 2)}
	if err := p.open(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	go func() { p.served <- p.public.Serve(p.publicListener) }()
	go func() { p.served <- p.operators.Serve(p.adminListener) }()
	return p, nil
}

// open builds the house from the ground up.
func (p *process) open() (err error) {
	c := p.config
	if p.db, err = store.OpenBolt(c.DataDir); err != nil {
		return err
	}
	if p.ledger, err = usage.OpenLedger(p.db); err != nil {
		return err
	}
	keyStore, err := keys.NewBoltStore(p.db)
	if err != nil {
		return err
	}
	p.keys = keys.New(keyStore, c.Keys)
	if err := p.warnOfPepper(); err != nil {
		return err
	}
	if p.table, err = upstream.NewTable(c.Upstream, p.log); err != nil {
		return err
	}
	prices, err := usage.NewPriceBook(c.Usage)
	if err != nil {
		return err
	}
	p.transport = upstream.NewTransport(upstream.TransportOptions{})
	estimator := usage.NewEstimator()
	estimator.Load() // now, so that no request waits for the vocabulary
	p.public = proxy.NewServer(proxy.New(proxy.Options{
		Config:    c.Server,
		Keys:      p.keys,
		Limiter:   ratelimit.New(c.Limits),
		Table:     p.table,
		Leg:       p.transport,
		Recorder:  p.ledger,
		Spending:  p.ledger,
		Prices:    prices,
		Estimator: estimator,
		Log:       p.log,
	}))
	return p.listen()
}

// warnOfPepper says so when keys.pepper is not the one that keys were stored with.
func (p *process) warnOfPepper() error {
	void, err := p.keys.Mispeppered(context.Background())
	if err != nil {
		return err
	}
	if void > 0 {
		p.log.Warn("keys are void: keys.pepper is not the one they were stored with; put it back, or issue new keys", "keys", void)
	}
	return nil
}

// listen opens both listeners, so that an address in use is an error of start.
func (p *process) listen() (err error) {
	token, err := admin.LoadToken(p.config.Admin, p.config.DataDir)
	if err != nil {
		return err
	}
	p.operators = admin.New(admin.Options{
		Keys:      p.keys,
		Usage:     p.ledger,
		Upstreams: p.table,
		Token:     token,
		Ready:     func() bool { return !p.draining.Load() },
		Log:       p.log,
	})
	if p.publicListener, err = net.Listen("tcp", p.config.Server.Listen); err != nil {
		return fmt.Errorf("server.listen %q: %w: choose another address, or end the process that holds it", p.config.Server.Listen, err)
	}
	if p.adminListener, err = net.Listen("tcp", p.config.Admin.Listen); err != nil {
		return fmt.Errorf("admin.listen %q: %w: choose another address, or end the process that holds it", p.config.Admin.Listen, err)
	}
	return nil
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
	return errors.Join(failed, p.stop())
}

// stop drains: not ready, no new connections, open answers end within
// server.drain_timeout, the rest are cut short visibly and settled. The
// operators' listener closes last, so that the drain can be watched.
func (p *process) stop() error {
	p.draining.Store(true)
	p.log.Info("draining", telemetry.FieldInFlight, p.public.InFlight(), "drain_timeout", p.config.Server.DrainTimeout.String())
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
	if p.transport != nil {
		p.transport.Close()
	}
	if p.ledger != nil {
		errs = append(errs, p.ledger.Close())
	}
	if p.db != nil {
		errs = append(errs, p.db.Close())
	}
	if err := errors.Join(errs...); err != nil {
		p.log.Error("closing", telemetry.FieldError, err)
		return err
	}
	return nil
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
