package probe

import (
	"slices"
	"time"

	"tollgate/upstream"
	"tollgate/usage"
)

// Verdict compares what was seen with what the contract lets expect.
type Verdict string

// The verdicts.
const (
	AsDocumented Verdict = "as documented"
	Deviates     Verdict = "deviates"
	Undecided    Verdict = "undecided" // it had no answer that tells
	NotTried     Verdict = "not tried"
)

// Finding is what one check found. Its texts are safe to show.
type Finding struct {
	// Name is the check's.
	Name string `json:"name"`
	// Expected is what the contract says.
	Expected string `json:"expected"`
	// Seen is what the provider did; empty: nothing that tells.
	Seen    string  `json:"seen"`
	Verdict Verdict `json:"verdict"`
	// Remark says why, or what else was seen; empty: nothing.
	Remark string `json:"remark"`
	// NoOption says that it deviates in a way that no option of a contract can say.
	NoOption bool `json:"no_option,omitempty"`
}

// Spent is what a run has asked for.
type Spent struct {
	// Requests counts those that were sent, repeated ones included.
	Requests int
	// Prompt and Completion are tokens: as reported, and the most that is to be expected where
	// nothing was, or nothing that can be true.
	Prompt, Completion int64
	// Cost is what these cost by the configuration; 0 where no price is known.
	Cost usage.NanoUSD
}

// Latency is how long streams took to their first token.
type Latency struct {
	// Streams is how many were measured; 0: none, and the times are 0.
	Streams     int
	Min, Median time.Duration
}

// Report is what a run found, the whole of it or what there was when it ended.
type Report struct {
	Findings []Finding
	// Stopped says why the run ended early; empty: it came to its end.
	Stopped string
	Spent   Spent
	// Priced says that the configuration has a price, so that Spent.Cost means something.
	Priced     bool
	FirstToken Latency
	// Observed is the provider's contract with every difference that was seen.
	Observed *upstream.Contract
	// Learned says that a request was answered, so that Observed means something.
	Learned bool
}

// Count is how many findings have this verdict.
func (r Report) Count(v Verdict) (n int) {
	for _, f := range r.Findings {
		if f.Verdict == v {
			n++
		}
	}
	return n
}

// NoOption returns the deviations that no option of a contract can say.
func (r Report) NoOption() []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return !f.NoOption })
}

// Conforms reports whether the run came to its end and everything tried was as documented.
func (r Report) Conforms() bool {
	return r.Stopped == "" && r.Count(Deviates) == 0 && r.Count(Undecided) == 0
}
