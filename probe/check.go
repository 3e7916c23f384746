package probe

import (
	"context"

	"tollgate/upstream"
)

// check is one thing that a provider is asked, or that is looked for in what was
// answered before.
type check struct {
	name     string
	expected string
	// requests is how many the check makes at most, where all is well; 0: it looks at earlier answers.
	requests int
	// prompt is the prompt tokens of each at most (0: usualPrompt), and choices how many answers
	// each wants (0: one).
	prompt, choices int64
	// seen says that each looks for an effect, and followed that later checks learn which option
	// says what deviates.
	seen, followed bool
	run            func(ctx context.Context, s *session) result
}

// result is what a check found.
type result struct {
	seen    string
	verdict Verdict
	remark  string
}

func asDocumented(seen string) result     { return result{seen, AsDocumented, ""} }
func deviates(seen, remark string) result { return result{seen, Deviates, remark} }
func undecided(remark string) result      { return result{"", Undecided, remark} }
func notTried(remark string) result       { return result{"", NotTried, remark} }

// but adds a remark.
func (r result) but(remark string) result { r.remark = remark; return r }

// documentedAs is what a contract says of a field.
func documentedAs(c *upstream.Contract, p upstream.Param) string {
	if c.Takes(p) {
		return seenTaken
	}
	return notDocumented
}

// The words for what becomes of a field.
const (
	seenTaken     = "taken"
	seenRefused   = "refused"
	seenIgnored   = "ignored"
	notDocumented = "not documented"
)

// checks are all checks of a contract, in their order: what later ones build on comes first.
func checks(o Options) []check {
	c := o.Candidate.Provider.Contract
	var all []check
	all = append(all, answerChecks(o.Candidate)...)
	all = append(all, streamChecks(o.Candidate.Provider)...)
	all = append(all, errorChecks(c)...)
	all = append(all, paramChecks(c)...)
	all = append(all, messageChecks(c, o.ImageURL)...)
	return append(all, firstTokenCheck())
}
