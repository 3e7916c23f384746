package main

import (
	"fmt"
	"io"
	"time"
)

// progress tells on stderr what is going on. It belongs to one goroutine.
type progress struct {
	out    io.Writer
	rounds int
	per    func(*scenario) time.Duration
	left   time.Duration
}

func newProgress(out io.Writer) *progress { return &progress{out: out} }

func (p *progress) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, "bench: "+format+"\n", args...) // nobody may be there to read it
}

// expect adds up how long everything takes.
func (p *progress) expect(chosen []*scenario, o options) {
	p.rounds = o.rounds
	p.per = func(s *scenario) time.Duration {
		const starting = 300 * time.Millisecond
		return s.takes(settings{scale: o.scale, window: o.duration}) + starting
	}
	for _, s := range chosen {
		turns := 2
		for _, more := range []bool{s.added, s.relaxed, s.relaxed && o.before != ""} {
			if more {
				turns++
			}
		}
		p.left += p.per(s) * time.Duration(turns*o.rounds)
	}
}

// turn says that a measurement begins.
func (p *progress) turn(s *scenario, who string, round int) {
	p.say("%-13s round %d of %d  %-8s  about %s left", s.name, round+1, p.rounds, who, p.left.Round(time.Second))
	p.left -= p.per(s)
}
