package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
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
)

// open builds the house from the ground up.
func (p *process) open() (err error) {
	c := p.config
	if p.telemetry, err = telemetry.Start(c.Telemetry, version, p.log); err != nil {
		return err
	}
	if p.db, err = store.OpenBolt(c.DataDir); err != nil {
		return err
	}
	if p.ledger, err = usage.OpenLedger(p.db); err != nil {
		return err
	}
	if p.books, err = openBooks(c, p.ledger, usage.BooksOptions{Synced: p.telemetry.Metrics().JournalSync, Log: p.log}); err != nil {
		return err
	}
	if err := p.openKeys(); err != nil {
		return err
	}
	p.monitor = upstream.NewMonitor(p.log, p.telemetry.Metrics())
	p.transport = upstream.NewTransport(upstream.TransportOptions{})
	if p.gateway, err = p.newGateway(); err != nil {
		return err
	}
	if p.public, err = proxy.NewServer(p.gateway); err != nil {
		return err
	}
	if err := p.observe(); err != nil {
		return err
	}
	p.checks.Go(func() { watchJournal(p.running, p.books, p.log) })
	return p.listen()
}

// openKeys opens the directory of keys: in the fleet's Redis where there is one,
// else in the embedded store.
func (p *process) openKeys() error {
	embedded, err := keys.NewBoltStore(p.db)
	if err != nil {
		return err
	}
	if !p.config.Store.Shared() {
		p.keys = keys.New(embedded, p.config.Keys)
		return p.warnOfPepper(context.Background())
	}
	if p.redis, err = store.OpenRedis(p.config.Store.Redis, p.log); err != nil {
		return err
	}
	p.cache = keys.NewCachedStore(p.sharedKeys(), p.config.Keys, p.log)
	p.keys = keys.New(p.cache, p.config.Keys)
	p.warnOfLeftKeys(embedded)
	if err := p.warnOfPepper(context.Background()); err != nil {
		// Not a reason to stay away: Redis may be back before the first request.
		p.log.Warn("keys.pepper could not be checked against the keys in Redis: it will be when they can be read", telemetry.FieldError, err)
		p.checks.Go(func() { p.warnOfPepperLater(p.running) })
	}
	return nil
}

// sharedKeys are the keys in the fleet's Redis. Where Sentinels watch a master, a change
// outlives its fail-over only if a replica had it in time.
func (p *process) sharedKeys() *keys.RedisStore {
	if p.config.Store.Redis.MasterName != "" {
		return keys.NewRedisStore(p.redis, keys.AwaitReplica(), keys.ConfirmMaster(p.redis.ConfirmMaster))
	}
	return keys.NewRedisStore(p.redis)
}

// warnOfPepperLater repeats the check until it could be made.
func (p *process) warnOfPepperLater(ctx context.Context) {
	timer := time.NewTimer(checkTime)
	defer timer.Stop()
	for pause := checkTime; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if p.redis.Up() {
			if p.warnOfPepper(ctx) == nil {
				return
			}
			pause = min(2*pause, maxCheckPause) // each look reads all keys
		}
		timer.Reset(pause)
	}
}

const (
	// checkTime bounds the look at all keys that a start takes, and is the first wait before it is tried again.
	checkTime = 5 * time.Second
	// maxCheckPause is the longest.
	maxCheckPause = 5 * time.Minute
)

// warnOfPepper says so when keys.pepper is not the one that keys were stored with.
func (p *process) warnOfPepper(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	void, err := p.keys.Mispeppered(ctx)
	if err != nil {
		return err
	}
	if void > 0 {
		p.log.Warn("keys are void: keys.pepper is not the one they were stored with; put it back, or issue new keys", telemetry.FieldCount, void)
	}
	return nil
}

// warnOfLeftKeys says so when this replica was alone once, and issued keys that
// the fleet does not know.
func (p *process) warnOfLeftKeys(embedded *keys.BoltStore) {
	left, err := embedded.List(context.Background())
	if err == nil && len(left) > 0 {
		p.log.Warn("keys in data_dir are not used, because store.redis is set: issue them anew", telemetry.FieldCount, len(left))
	}
}

func (p *process) newGateway() (*proxy.Gateway, error) {
	plan, err := p.newPlan(p.config)
	if err != nil {
		return nil, err
	}
	p.table.Store(plan.Table)
	p.limiter = p.newLimiter()
	estimator := usage.NewEstimator()
	estimator.Load() // now, so that no request waits for the vocabulary
	return proxy.New(proxy.Options{
		Config:    p.config.Server,
		Keys:      p.keys,
		Limiter:   p.limiter,
		Forecast:  ratelimit.NewForecast(),
		Plan:      plan,
		Leg:       p.transport,
		Recorder:  p.books,
		Spending:  p.books,
		Estimator: estimator,
		Traces:    p.telemetry.Traces(),
		Metrics:   p.telemetry.Metrics(),
		Log:       p.log,

		Recordable: p.books.Recordable,
	}), nil
}

// newLimiter makes the limiter: one of a fleet's where there is a Redis, else the only one.
func (p *process) newLimiter() *ratelimit.Limiter {
	const nameLength = 12 // of 32 characters: 60 bits
	o := ratelimit.Options{Config: p.config.Limits, Replica: rand.Text()[:nameLength]}
	if p.redis != nil {
		o.Bank = &tellingBank{Bank: ratelimit.NewRedisBank(p.redis), log: p.log}
	}
	return ratelimit.New(o)
}

// newPlan builds what a configuration answers requests by. The table comes last:
// it may share what the one in force knows.
func (p *process) newPlan(c *config.Config) (proxy.Plan, error) {
	prices, err := usage.NewPriceBook(c.Usage)
	if err != nil {
		return proxy.Plan{}, err
	}
	table, err := upstream.NewTable(c.Upstream, upstream.TableOptions{Log: p.log, Monitor: p.monitor, Previous: p.table.Load()})
	if err != nil {
		return proxy.Plan{}, err
	}
	return proxy.Plan{Table: table, Prices: prices, MaxCompletionTokens: c.Limits.MaxCompletionTokens}, nil
}

// observe adds to the metrics what is read when somebody scrapes.
func (p *process) observe() error {
	metrics := p.telemetry.Metrics()
	if err := metrics.ObserveInFlight(func() int64 { return int64(p.public.InFlight()) }); err != nil {
		return err
	}
	if err := metrics.ObserveDrains(func() int64 { return int64(p.public.Drains()) }); err != nil {
		return err
	}
	if err := metrics.ObserveUpstreams(p.upstreamStates); err != nil {
		return err
	}
	if err := metrics.ObserveReloads(p.reloads.sum); err != nil {
		return err
	}
	if err := metrics.ObserveSlots(func() int64 { return p.limiter.Stats().Held }); err != nil {
		return err
	}
	if err := metrics.ObserveJournal(p.journalState); err != nil {
		return err
	}
	if p.redis == nil {
		return nil
	}
	return p.observeShared(metrics)
}

// observeShared adds what there is to see of the fleet's Redis.
func (p *process) observeShared(metrics *telemetry.Metrics) error {
	if err := metrics.ObserveSharedLimits(func() telemetry.SharedLimits {
		s := p.limiter.Stats()
		return telemetry.SharedLimits{Answered: s.Answered, Failed: s.Failed, Alone: s.Alone, Live: s.Live}
	}); err != nil {
		return err
	}
	if err := metrics.ObserveStoreUp(p.redis.Up); err != nil {
		return err
	}
	if err := metrics.ObserveKeyFeedAge(p.cache.FeedAge); err != nil {
		return err
	}
	return metrics.ObserveKeyLookups(func() map[string]uint64 {
		s := p.cache.Stats()
		return map[string]uint64{
			"fresh": s.Fresh, "refreshed": s.Refreshed, "stale": s.Stale, "unknown": s.Unknown, "screened": s.Screened, "unavailable": s.Unavailable,
		}
	})
}

// listen opens both listeners, so that an address in use is an error of start.
func (p *process) listen() (err error) {
	tokens, err := admin.LoadTokens(p.config.Admin, p.config.DataDir)
	if err != nil {
		return err
	}
	p.operators = admin.New(admin.Options{
		Keys:      p.keys,
		Usage:     p.books,
		Limits:    p.gateway,
		Upstreams: &p.table,
		Explainer: p.gateway,
		Metrics:   p.telemetry.MetricsHandler(),
		Tokens:    tokens,
		Unready:   p.unready,
		Log:       p.log,

		MaxRequestBody: int64(p.config.Server.MaxRequestBody),
	})
	if p.publicListener, err = net.Listen("tcp", p.config.Server.Listen); err != nil {
		return fmt.Errorf("server.listen %q: %w: choose another address, or end the process that holds it", p.config.Server.Listen, err)
	}
	if p.adminListener, err = net.Listen("tcp", p.config.Admin.Listen); err != nil {
		return fmt.Errorf("admin.listen %q: %w: choose another address, or end the process that holds it", p.config.Admin.Listen, err)
	}
	return nil
}
