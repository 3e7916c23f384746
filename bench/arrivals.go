package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// A pace is how requests arrive: by the clock, whether or not the last ones are answered.
type pace struct {
	perSecond      int
	warmUp, window time.Duration // what arrives within the window counts
}

func (p pace) interval() time.Duration { return time.Second / time.Duration(p.perSecond) }

// all is how many requests arrive, first the first of them that counts.
func (p pace) all() int   { return int((p.warmUp + p.window) / p.interval()) }
func (p pace) first() int { return int(p.warmUp / p.interval()) }

// An arrival is a request that is to be sent.
type arrival struct {
	n   int // of all
	due time.Time
}

// openLoop calls send for every arrival, each in a goroutine of its own, with a
// connection that nobody else uses then.
func (l *load) openLoop(ctx context.Context, p pace, send func(context.Context, *client, arrival) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.warmUp+p.window+time.Minute, errHangs)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	idle := make(chan *client, p.all())
	interrupted := arrive(ctx, p, func(a arrival) {
		group.Go(func() error {
			c, err := l.idleClient(ctx, idle)
			if err != nil {
				return err
			}
			err = send(ctx, c, a)
			idle <- c
			return err
		})
	})
	err := group.Wait()
	if err == nil {
		err = interrupted
	}
	close(idle)
	for c := range idle {
		_ = c.conn.Close() // everything that matters was read
	}
	return err
}

// arrive calls begin for every arrival when it is due, and returns when all have
// begun. Its error is why some have not.
func arrive(ctx context.Context, p pace, begin func(arrival)) error {
	ticker, err := startMetronome(p.interval())
	if err != nil {
		return err
	}
	defer ticker.stop()
	defer context.AfterFunc(ctx, ticker.stop)()
	for n := 0; n < p.all(); {
		ticks, err := ticker.wait()
		if ctx.Err() != nil {
			return context.Cause(ctx) // which has stopped the ticker
		}
		if err != nil {
			return err
		}
		for ; ticks > 0 && n < p.all(); n, ticks = n+1, ticks-1 {
			begin(arrival{n, ticker.began.Add(p.interval() * time.Duration(n+1))})
		}
	}
	return nil
}

func (l *load) idleClient(ctx context.Context, idle chan *client) (*client, error) {
	select {
	case c := <-idle:
		return c, nil
	default:
		c, _, err := l.dial(ctx)
		return c, err
	}
}

// firstBytes sends requests at a pace, and returns the times from their first byte
// to that of their answer's body.
func (l *load) firstBytes(ctx context.Context, p pace) ([]time.Duration, error) {
	took := make([]time.Duration, p.all())
	err := l.openLoop(ctx, p, func(ctx context.Context, c *client, a arrival) error {
		got, err := l.exchange(ctx, c)
		took[a.n] = got.began.Sub(got.sent)
		return err
	})
	return took[p.first():], err
}

// A metronome ticks by a timer of the kernel: Go's own may tick a millisecond late,
// because where it waits for connections, too, it waits for whole ones.
type metronome struct {
	timer *os.File
	began time.Time // an interval before the first tick
}

func startMetronome(interval time.Duration) (*metronome, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a timer: %w", err)
	}
	m := &metronome{timer: os.NewFile(uintptr(fd), "timer"), began: time.Now()}
	every := unix.NsecToTimespec(interval.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		m.stop()
		return nil, fmt.Errorf("setting a timer to %s: %w", interval, err)
	}
	return m, nil
}

// wait waits for a tick, and returns how many there were since the last call.
func (m *metronome) wait() (uint64, error) {
	var count [8]byte
	if _, err := m.timer.Read(count[:]); err != nil {
		return 0, fmt.Errorf("waiting for a timer: %w", err)
	}
	return binary.NativeEndian.Uint64(count[:]), nil
}

// stop ends the waiting, too. Stopping again does nothing.
func (m *metronome) stop() { _ = m.timer.Close() } // it was only read
