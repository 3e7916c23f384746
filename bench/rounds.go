package main

import (
	"context"
	"errors"
	"os"
	"slices"
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
	streams  string // the body of the second request; empty: there is none
	flows    answer // the provider's own to it
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
	if s.streams != nil {
		c.streams = s.streams(r.options.scale)
		if c.flows, err = ask(ctx, c.provider, c.streams); err != nil {
			return nil, err
		}
	}
	c.settings = settings{scale: r.options.scale, window: r.options.duration, watch: watch{r.cores, []int{os.Getpid(), c.provider.process.command.Process.Pid}}}
	all := r.contestants(s, c.provider)
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
	found := func(name string) []figures {
		at := slices.IndexFunc(all, func(one *contestant) bool { return one.name == name })
		if at < 0 {
			return nil
		}
		return all[at].found
	}
	if s.added {
		takeOff(found(theNginx), found(direct))
		takeOff(found(tollgate), found(direct))
	}
	return &result{
		scenario: s,
		nginx:    found(theNginx), tollgate: found(tollgate),
		relaxed: found(relaxed), before: found(before),
		recorded: c.recorded,
	}, c.provider.stop()
}

// The names of the contestants.
const (
	theNginx = "nginx"
	tollgate = "Tollgate"
	direct   = "direct"
	relaxed  = "relaxed"
	before   = "before"
)

// contestants are those who take part in a scenario.
func (r *rig) contestants(s *scenario, provider *gateway) []*contestant {
	now := edition{name: tollgate, binary: r.binary}
	if s.relaxed {
		now.usage = "usage: {sync: strict}\n"
	}
	all := []*contestant{{name: theNginx, start: r.startNginx}, {name: tollgate, start: r.starter(now)}}
	if s.added {
		all = append(all, &contestant{name: direct, running: provider})
	}
	if s.relaxed {
		all = append(all, &contestant{name: relaxed, start: r.starter(edition{"Tollgate (relaxed)", r.binary, "usage: {sync: relaxed}\n"})})
	}
	if s.relaxed && r.earlier != "" {
		all = append(all, &contestant{name: before, start: r.starter(edition{name: "Tollgate " + r.since, binary: r.earlier})})
	}
	return all
}

// turn is one measurement.
func (c *contest) turn(ctx context.Context, who *contestant, round int) (err error) {
	c.rig.progress.turn(c.scenario, who.name, round)
	if who.running == nil {
		if who.running, err = who.start(ctx, c.provider.addr); err != nil {
			return err
		}
	}
	l := newLoad(who.running, c.body, c.want)
	if c.streams != "" {
		l.inTurnsWith(c.streams, c.flows)
	}
	found, err := c.scenario.measure(ctx, l, c.settings)
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
