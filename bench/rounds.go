package main

import (
	"context"
	"errors"
	"os"
	"time"
)

// A contestant is one of those that are measured in turns.
type contestant struct {
	name    string
	start   func(context.Context, string) (*gateway, error) // in front of the provider at this address
	running *gateway                                        // nil: to be started
	found   []figures
}

// A contest is a scenario while it is measured.
type contest struct {
	rig      *rig
	scenario *scenario
	settings settings
	provider *gateway
	body     string
	want     answer // the provider's own
	recorded int64
}

// measure runs a scenario, round by round.
func (r *rig) measure(ctx context.Context, s *scenario) (_ *result, err error) {
	c := &contest{rig: r, scenario: s, body: s.body(r.options.scale)}
	var gap time.Duration
	if s.gap != nil {
		gap = s.gap(r.options.scale)
	}
	if c.provider, err = r.startProvider(ctx, gap); err != nil {
		return nil, err
	}
	if c.want, err = ask(ctx, c.provider, c.body); err != nil {
		return nil, err
	}
	c.settings = settings{scale: r.options.scale, window: r.options.duration, watch: watch{r.cores, []int{os.Getpid(), c.provider.process.command.Process.Pid}}}
	nginx := &contestant{name: "nginx", start: r.startNginx}
	tollgate := &contestant{name: "Tollgate", start: r.startTollgate}
	direct := &contestant{name: "direct", running: c.provider}
	all := []*contestant{nginx, tollgate}
	if s.added {
		all = append(all, direct)
	}
	for round := range r.options.rounds {
		for n := range all {
			if err := c.turn(ctx, all[(round+n)%len(all)], round); err != nil {
				return nil, err
			}
		}
	}
	for _, player := range all {
		if err := c.dismiss(ctx, player); err != nil {
			return nil, err
		}
	}
	if s.added {
		takeOff(nginx.found, direct.found)
		takeOff(tollgate.found, direct.found)
	}
	return &result{scenario: s, nginx: nginx.found, tollgate: tollgate.found, recorded: c.recorded}, c.provider.stop()
}

// turn is one measurement.
func (c *contest) turn(ctx context.Context, who *contestant, round int) (err error) {
	c.rig.progress.turn(c.scenario, who.name, round)
	if who.running == nil {
		if who.running, err = who.start(ctx, c.provider.addr); err != nil {
			return err
		}
	}
	found, err := c.scenario.measure(ctx, newLoad(who.running, c.body, c.want), c.settings)
	if err != nil {
		return errors.Join(err, who.running.alive())
	}
	who.found = append(who.found, found)
	if c.scenario.fresh {
		return c.dismiss(ctx, who)
	}
	return nil
}

// dismiss ends a gateway, after it has settled.
func (c *contest) dismiss(ctx context.Context, who *contestant) error {
	if who.running == nil || who.running == c.provider {
		return nil
	}
	recorded, err := who.running.settled(ctx)
	c.recorded += recorded
	err = errors.Join(err, who.running.stop())
	who.running = nil
	return err
}

// takeOff leaves what a gateway adds to the provider's own figures, round by round.
func takeOff(found, direct []figures) {
	for round := range found {
		for n := range found[round].values {
			found[round].values[n] -= direct[round].values[n]
		}
	}
}
