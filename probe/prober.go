package probe

import (
	"context"
	"reflect"
	"time"

	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"
)

// Asker asks a candidate once. An *upstream.Transport is one.
type Asker interface {
	Do(ctx context.Context, r *upstream.Request) (*upstream.Response, error)
}

// Options say whom to ask, and within which bounds.
type Options struct {
	// Asker sends the requests.
	Asker Asker
	// Candidate is asked: a model at one of the provider's endpoints.
	Candidate *upstream.Candidate
	// Prices tell what the provider charges; nil: nobody knows.
	Prices *usage.PriceBook
	// MaxCost bounds what the run may cost, where a price is known. 0: nothing does. No request is
	// made that is expected to go beyond it; one whose answer is longer than any before may.
	MaxCost usage.NanoUSD
	// Credential is what the candidate is asked with. No text that holds a piece of it is shown.
	Credential telemetry.Secret
	// Timeout bounds each request, its answer included. 0 means 60s.
	Timeout time.Duration
	// Pause is left between two requests. 0 means 200ms, less than 0 none.
	Pause time.Duration
	// ImageURL is a picture on the web that the provider may fetch; empty: none, and that is not tried.
	ImageURL string
	// Progress is told of each finding as it is made, until the run stops; nil: nobody is.
	Progress func(Finding)
}

const (
	usualTimeout = 60 * time.Second
	usualPause   = 200 * time.Millisecond
	// runTimeout bounds a whole run, however slow each answer is.
	runTimeout = 15 * time.Minute
	// spare is how many requests may be made beyond the plan: repeated ones, and
	// those that look closer at what was refused or taken.
	spare = maxRepeated + maxCloser + 10
)

// Prober checks one candidate. It may run several times, one run after the other.
type Prober struct {
	options Options
	checks  []check
}

// New returns a Prober.
func New(o Options) *Prober {
	if o.Timeout == 0 {
		o.Timeout = usualTimeout
	}
	if o.Pause == 0 {
		o.Pause = usualPause
	}
	if o.Progress == nil {
		o.Progress = func(Finding) {}
	}
	return &Prober{options: o, checks: checks(o)}
}

// Estimate is the most that a run asks for, of a model that keeps to its limit.
type Estimate struct {
	Requests           int
	Prompt, Completion int64 // tokens
	// Cost is what these cost, if Priced says that the configuration has a price.
	Cost   usage.NanoUSD
	Priced bool
}

// Estimate returns the most that a run asks for. MaxCost may end it earlier.
func (p *Prober) Estimate() Estimate {
	e := Estimate{Requests: spare, Prompt: spare * usualPrompt, Completion: spare * usualLimit}
	for _, c := range p.checks {
		e.Requests += c.requests
		e.Prompt += int64(c.requests) * max(c.prompt, usualPrompt)
		limit := int64(usualLimit)
		if c.seen {
			limit = roomyLimit
		}
		e.Completion += int64(c.requests) * limit * max(c.choices, 1)
	}
	e.Cost, e.Priced = p.price(usage.Tokens{Prompt: e.Prompt, Completion: e.Completion})
	return e
}

// price is what tokens cost; false where nobody knows.
func (p *Prober) price(t usage.Tokens) (usage.NanoUSD, bool) {
	if p.options.Prices == nil {
		return 0, false
	}
	c := p.options.Candidate
	cost, entry, err := p.options.Prices.Cost(c.Provider.Name, c.Model, t, time.Now())
	return cost, entry != "" && err == nil
}

// Run makes every check in turn. When ctx ends, or one of the bounds is reached,
// or the provider will not be asked further, it returns what was found so far:
// what is missing then is not tried.
func (p *Prober) Run(ctx context.Context) Report {
	s := p.begin(ctx)
	bounded, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	var findings []Finding
	for _, c := range p.checks {
		f := Finding{Name: c.name, Expected: c.expected}
		r, began, before := notTried(s.stopped), s.stopped == "", *s.observed
		if began {
			r = c.run(bounded, s)
		}
		if s.stopped != "" && r.verdict == Undecided {
			r = notTried(s.stopped)
		}
		f.Seen, f.Verdict, f.Remark = r.seen, r.verdict, r.remark
		f.NoOption = r.verdict == Deviates && !c.followed && reflect.DeepEqual(before, *s.observed)
		findings = append(findings, f)
		if began {
			p.options.Progress(f)
		}
	}
	_, priced := p.price(usage.Tokens{})
	return Report{
		Findings: findings, Stopped: s.stopped, Spent: s.spent, Priced: priced,
		FirstToken: latencyOf(s.firstTokens), Observed: s.observed, Learned: s.plain != nil,
	}
}
