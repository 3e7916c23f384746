package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// errHangs is why a load gives up.
var errHangs = errors.New("answers stopped coming")

// A gateway is what requests are sent to: nginx, Tollgate, or, as "direct", the
// provider itself.
type gateway struct {
	name    string
	process *process // nil: nobody stands between
	pids    []int    // of the process and its children
	addr    string   // host:port
	path    string
	secret  string // of the key that requests carry

	operator *operator    // nil: there is no ledger
	served   atomic.Int64 // requests that got a complete answer
}

func (g *gateway) alive() error {
	if g.process == nil {
		return nil
	}
	return g.process.alive()
}

func (g *gateway) stop() error {
	if g.process == nil {
		return nil
	}
	return g.process.stop()
}

// sleep waits; its error is why the waiting was for nothing.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
