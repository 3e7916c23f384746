package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/config"
	"tollgate/telemetry"
	"tollgate/upstream"
)

const (
	// lookEvery is how often the files are looked at.
	lookEvery = 2 * time.Second
	// settleTime is how long changed files must stay as they are before they are
	// taken: whoever writes them may be in the middle of it.
	settleTime = 300 * time.Millisecond
)

// tableInForce is the table that operators are shown, whichever it is.
type tableInForce struct {
	atomic.Pointer[upstream.Table]
}

// Endpoints returns the present state of everything that can be asked.
func (t *tableInForce) Endpoints() []upstream.EndpointState { return t.Load().Endpoints() }

// reloading is where a configuration came from, and who asks for it to be read again.
type reloading struct {
	config *config.Config
	read   config.Sources
	hangup <-chan os.Signal
}

// reloadFrom follows the configuration's files from now on, until close.
func (p *process) reloadFrom(from reloading) {
	r := &reloader{log: p.log, follow: p.follow, reloads: &p.reloads, current: from.config, tried: from.read, seen: from.read}
	p.checks.Go(func() { r.run(p.running, from.hangup) })
}

// follow puts what may change of a configuration into force, for the requests
// that begin from now on. On an error nothing has changed.
func (p *process) follow(c *config.Config) error {
	plan, err := p.newPlan(c)
	if err != nil {
		return err
	}
	p.table.Store(plan.Table)
	p.public.Follow(plan)
	p.limiter.Follow(c.Limits)
	return nil
}

// reloader brings a changed configuration into force while requests go on. It is
// one goroutine's.
type reloader struct {
	log     *slog.Logger
	follow  func(*config.Config) error
	reloads *reloads
	current *config.Config // in force
	tried   config.Sources // what the last load has read, whatever became of it
	seen    config.Sources // at the last look
}

// run reloads at each hangup, and when the files have changed, until ctx is done.
// It looks at what is in them, because Kubernetes exchanges symbolic links and
// other file systems tell nobody.
func (r *reloader) run(ctx context.Context, hangup <-chan os.Signal) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			r.reload()
		case <-timer.C:
			timer.Reset(r.look())
		}
	}
}

// look reloads what has changed since it was tried and has not since the last
// look. It returns how long to wait for the next one.
func (r *reloader) look() time.Duration {
	now := r.tried.Look()
	switch {
	case now.Equal(r.tried):
		r.seen = now
		return lookEvery
	case !now.Equal(r.seen):
		r.seen = now
		return settleTime
	}
	r.reload()
	return lookEvery
}

// reload tries the files as they are, and says what became of it.
func (r *reloader) reload() {
	next, read, err := r.tried.Reload()
	r.tried, r.seen = read, read
	if err == nil {
		err = r.admit(next)
	}
	if err == nil {
		err = r.follow(next)
	}
	if err != nil {
		r.reloads.refused()
		r.log.Error("configuration not reloaded, the one before stays in force", telemetry.FieldError, err)
		return
	}
	r.current = next
	r.reloads.succeeded(time.Now())
	r.log.Info("configuration reloaded",
		telemetry.FieldProviders, len(next.Upstream.Providers), telemetry.FieldModels, len(next.Upstream.Models))
}

// admit refuses a configuration that only a start may bring into force.
func (r *reloader) admit(next *config.Config) error {
	if changed := r.current.NeedsRestart(next); len(changed) > 0 {
		return fmt.Errorf("%s: changed, and obeyed only from the start: restart the gateway, or take the change back", strings.Join(changed, ", "))
	}
	if len(next.Upstream.Models) == 0 && len(r.current.Upstream.Models) > 0 {
		return errors.New("models: none is left, as in a file that is being written: restart the gateway if that is meant")
	}
	return nil
}

// reloads is how reloading has gone, for the metrics.
type reloads struct {
	mu   sync.Mutex
	told telemetry.Reloads
}

// begin notes when the first configuration came into force.
func (r *reloads) begin(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = telemetry.Reloads{LastOK: true, LoadedAt: at}
}

func (r *reloads) succeeded(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told.Succeeded++
	r.told.LastOK, r.told.LoadedAt = true, at
}

func (r *reloads) refused() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told.Refused++
	r.told.LastOK = false
}

func (r *reloads) sum() telemetry.Reloads {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told
}
