package main

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// mixedTokens is how long the streams are: enough for dozens of them to be open at once.
	mixedTokens = 10
	// mixedWindow bounds a measurement, since more contestants than elsewhere take turns.
	mixedWindow = 3 * time.Second
	// tooLate is when a request counts as sent late: the load was busy, and the figures are its own.
	tooLate = time.Millisecond
)

// journal shows what a request waits for its record. The provider sends the end of a
// stream's content and its [DONE] at once: what lies between them at the client is
// the settle that is made durable.
func journal() *scenario {
	const gap, answer = "stream, last content to [DONE]", "plain, whole answer"
	return &scenario{
		name:    "journal",
		body:    func(scale) string { return promptOf(300, "") },
		streams: func(scale) string { return promptOf(300, streamOf(mixedTokens)) },
		gap:     func(s scale) time.Duration { return s.pace },
		relaxed: true,
		rows: []row{
			{what: gap, unit: "ms, p50", digits: 2, goal: goal{most: 6, of: overNginx}},
			{what: gap, unit: "ms, p99", digits: 2, goal: goal{most: 25, of: overNginx}},
			{what: gap, unit: "ms, max", digits: 2, worst: true},
			{what: answer, unit: "ms, p50", digits: 2, goal: goal{most: 6, of: overNginx}},
			{what: answer, unit: "ms, p99", digits: 2, goal: goal{most: 25, of: overNginx}},
			{what: "stream, first byte", unit: "ms, p50", digits: 3, goal: goal{most: 0.2, of: overBefore}},
			{what: "gateway", unit: "CPU us/request", digits: 1},
			{what: "sent over 1 ms late", unit: "% of requests", digits: 1, worst: true},
		},
		measure: func(ctx context.Context, l *load, s settings) (figures, error) {
			p := pace{s.mixed, s.warmUp, min(s.window, mixedWindow)}
			heard, u, err := l.mixedLoop(ctx, p, s.watch)
			if err != nil {
				return figures{}, err
			}
			return u.figures(append(heard.figures(), each(u.cpu, u.requests), heard.late())...), nil
		},
		takes: func(s settings) time.Duration { return s.warmUp + min(s.window, mixedWindow) },
	}
}

// A sample is what was heard of one request, from the moment on when it was due:
// what the load itself was late with counts, too.
type sample struct {
	stream             bool
	late, first, whole time.Duration
	gap                time.Duration // of a stream, from its last content to its [DONE]
}

func sampleOf(got answer, due time.Time) sample {
	return sample{
		stream: got.stream,
		late:   got.sent.Sub(due),
		first:  got.began.Sub(due),
		whole:  got.done.Sub(due),
		gap:    got.done.Sub(got.content),
	}
}

type samples []sample

// mixedLoop sends the load's request and its stream in turns, at a pace, and returns
// what was heard of those within the window, and what was used in it.
func (l *load) mixedLoop(ctx context.Context, p pace, w watch) (samples, used, error) {
	found := make(samples, p.all())
	var u used
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if err = sleep(ctx, p.warmUp); err == nil {
			u, err = l.within(ctx, p.window, w)
		}
		return err
	})
	group.Go(func() error {
		return l.openLoop(ctx, p, func(ctx context.Context, c *client, a arrival) error {
			turn := l
			if a.n%2 == 1 {
				turn = l.streams
			}
			got, err := turn.exchange(ctx, c)
			found[a.n] = sampleOf(got, a.due)
			return err
		})
	})
	err := group.Wait()
	return found[p.first():], u, err
}

// figures are those of the rows that speak of time, in their order.
func (s samples) figures() []float64 {
	var gaps, firsts, answers []time.Duration
	for _, one := range s {
		if one.stream {
			gaps, firsts = append(gaps, one.gap), append(firsts, one.first)
		} else {
			answers = append(answers, one.whole)
		}
	}
	return []float64{
		ms(quantileOf(gaps, 50)), ms(quantileOf(gaps, 99)), ms(slices.Max(gaps)),
		ms(quantileOf(answers, 50)), ms(quantileOf(answers, 99)),
		ms(quantileOf(firsts, 50)),
	}
}

// late is the share of requests that were sent too late, in percent.
func (s samples) late() float64 {
	n := 0
	for _, one := range s {
		if one.late > tooLate {
			n++
		}
	}
	return 100 * float64(n) / float64(len(s))
}
