package usage

import "errors"

// maxQuarantine bounds how much of an insane usage object a record keeps.
const maxQuarantine = 2 << 10

// Answer is what is known of an answer when it has ended.
type Answer struct {
	// End is how it ended.
	End EndReason
	// Reported is the usage object as the provider sent it; nil when it sent none. It is not retained.
	Reported []byte
	// MaxCompletion is max_tokens times n as the client allowed them; 0 when it named no limit.
	MaxCompletion int64
	// WorstCompletion is how much completion the worst case reckons with, where that is less: a client may name any
	// limit, and no model gets near the highest. 0: all of MaxCompletion.
	WorstCompletion int64
	// Delivered says whether any content reached the client, or is about to with a completed answer.
	Delivered bool
	// Estimate counts the prompt and the text received so far. It is called at most once, and only when a
	// figure depends on it. It returns zero tokens when no provider was sent the request; nil is the same.
	Estimate func() Tokens
}

// Verdict is what goes on the bill.
type Verdict struct {
	// Tokens is what the tenant is billed for; zero when Charged is false.
	Tokens Tokens
	// Cost is what the provider may bill us for: the same, or the worst case where an answer broke off.
	Cost Tokens
	// Source says where Tokens comes from.
	Source Source
	// Charged says whether the table bills the tenant for this answer, be it for zero tokens.
	Charged bool
	// Quarantined is a copy of an insane usage object, cut at 2 KiB; nil otherwise.
	Quarantined []byte
}

// FailedAttempt is what is known of an attempt that gave no answer, so that another was
// made or nobody was left.
type FailedAttempt struct {
	// End is how it ended.
	End EndReason
	// MayCost says whether the provider may have worked on it, and so may charge for it.
	MayCost bool
	// MaxCompletion and WorstCompletion are those of an Answer, as the attempt asked for them.
	MaxCompletion, WorstCompletion int64
	// Estimate counts the prompt. It is called at most once, and only when the attempt may cost something; nil counts none.
	Estimate func() Tokens
}

// row is one line of the charging table.
type row struct {
	ends    ending
	report  report
	content content
	pays    basis // the tenant
	costs   basis // what the provider may charge us
	source  Source
}

// chargingTable is the policy of the bill, as docs/billing.md shows it. A tenant pays
// nothing for an answer that somebody else's fault left empty; failed attempts are our cost.
func chargingTable() [19]row {
	return [...]row{
		{whole | left, zeros, none, asReported, asReported, SourceUpstream},
		{whole, sane, either, asReported, asReported, SourceUpstream},
		{whole, missing, either, asCounted, asCounted, SourceEstimated},
		{whole, wrong, either, asCounted, asCounted, SourceRejected},

		{left, sane, either, asReported, asReported, SourceUpstream},
		{left, missing, either, asCounted, worstCase, SourcePartial},
		{left, wrong, either, asCounted, worstCase, SourceRejected},

		{broken, sane, some, asReported, asReported, SourceUpstream},
		{broken, missing, some, asCounted, worstCase, SourcePartial},
		{broken, wrong, some, asCounted, worstCase, SourceRejected},

		{broken | empty, zeros, none, nothing, nothing, SourceUpstream},
		{broken | empty, sane, none, nothing, asReported, SourcePartial},
		{broken | empty, missing, none, nothing, worstCase, SourcePartial},
		{broken | empty, wrong, none, nothing, worstCase, SourceRejected},

		{unanswered, unread, either, nothing, nothing, SourceNone},

		{died, unread, some, asCounted, worstCase, SourceRecovered},
		{died, unread, none, nothing, worstCase, SourceRecovered},

		{notTaken, unread, either, nothing, nothing, SourceNone},
		{perhapsTaken, unread, either, nothing, worstCase, SourcePartial},
	}
}

// ending is the first column: end reasons that the bill treats alike.
type ending uint8

const (
	whole        ending = 1 << iota // the provider finished its answer
	left                            // the client walked away
	broken                          // an upstream fault, or our doing
	empty                           // whole, and holds nothing
	unanswered                      // nobody began an answer
	died                            // Tollgate itself
	notTaken                        // an attempt: the provider cannot have worked on it
	perhapsTaken                    // an attempt: the provider may have worked on it
)

// endingOf sorts the end reasons of answers. One that is not known is treated as an
// upstream fault, in the tenant's favour.
func endingOf(end EndReason) ending {
	switch end {
	case EndCompleted:
		return whole
	case EndClientGone:
		return left
	case EndNoOutput:
		return empty
	case EndUpstreamFailed, EndRefused:
		return unanswered
	case EndRecovered:
		return died
	}
	return broken // cut, late, shut down, revoked
}

// report is the second column: the usage object that the provider sent.
type report uint8

const (
	unread  report = iota // there can be none
	missing               // it sent none, or one without figures
	zeros                 // every figure is 0, and there was no content
	sane                  // it can be true, and something was used
	wrong                 // it cannot be true
)

// content is the third column: whether any of it reached the client.
type content uint8

const (
	either content = iota
	some
	none
)

// basis is what is paid for.
type basis uint8

const (
	nothing    basis = iota
	asReported       // the provider's figures
	asCounted        // our count of the prompt and of what was delivered
	worstCase        // our count of the prompt, and all the completion that was allowed, within reason
)

// fits says whether this is the row of an answer that ended so.
func (r row) fits(e ending, p report, delivered bool) bool {
	return r.ends&e != 0 && r.report == p && (r.content == either || (r.content == some) == delivered)
}

// rowFor finds the row of an answer; every one has a row.
func rowFor(e ending, p report, delivered bool) row {
	for _, r := range chargingTable() {
		if r.fits(e, p, delivered) {
			return r
		}
	}
	return row{source: SourceNone}
}

// Decide applies the charging table to an answer. It depends on nothing but its
// argument, and what it returns is always fit for PriceBook and Ledger.
func Decide(a Answer) Verdict {
	e := endingOf(a.End)
	p, reported := a.reported(e)
	r := rowFor(e, p, a.Delivered && e != empty)
	v := Verdict{Source: r.source, Charged: r.pays != nothing}
	if p == wrong {
		v.Quarantined = append([]byte(nil), a.Reported[:min(len(a.Reported), maxQuarantine)]...)
	}
	var counted Tokens
	if r.pays > asReported || r.costs > asReported {
		counted = a.counted()
	}
	switch r.pays {
	case asReported:
		v.Tokens = reported
	case asCounted:
		v.Tokens = a.delivered(counted)
	}
	switch r.costs {
	case asReported:
		v.Cost = reported
	case asCounted:
		v.Cost = counted
	case worstCase:
		// A request that reached no provider (nothing counted) costs nothing.
		if counted != (Tokens{}) {
			v.Cost = a.worst(counted)
		}
	}
	return v
}

// DecideAttempt applies the charging table to an attempt that failed: the tenant never
// pays for one, and where the provider may have worked on it, its cost is the worst case.
func DecideAttempt(a FailedAttempt) Verdict {
	e := notTaken
	if a.MayCost && a.End != EndRefused {
		e = perhapsTaken
	}
	r := rowFor(e, unread, false)
	v := Verdict{Source: r.source, Charged: r.pays != nothing}
	if r.costs == worstCase {
		lost := Answer{MaxCompletion: a.MaxCompletion, WorstCompletion: a.WorstCompletion, Estimate: a.Estimate}
		v.Cost = lost.worst(lost.counted())
	}
	return v
}

// reported reads the provider's figures and holds them against what was seen.
func (a Answer) reported(e ending) (report, Tokens) {
	if e&(unanswered|died) != 0 {
		return unread, Tokens{}
	}
	t, err := ParseTokens(a.Reported)
	switch {
	case errors.Is(err, ErrNoUsage):
		return missing, Tokens{}
	case err != nil, t.Completion == 0 && a.Delivered, t.Check(a.MaxCompletion) != nil:
		return wrong, Tokens{}
	case t == Tokens{}:
		return zeros, t
	}
	return sane, t
}

// counted is Tollgate's own count, made believable: no figure is negative, no part
// above its whole, no completion above what the client allowed.
func (a Answer) counted() Tokens {
	if a.Estimate == nil {
		return Tokens{}
	}
	t := a.Estimate()
	t.Prompt = between(t.Prompt, tokenLimit-1)
	t.Completion = between(t.Completion, tokenLimit-1)
	if a.MaxCompletion > 0 {
		t.Completion = between(t.Completion, a.MaxCompletion)
	}
	t.Cached = between(t.Cached, t.Prompt)
	t.Reasoning = between(t.Reasoning, t.Completion)
	t.Image = between(t.Image, t.Prompt+t.Completion)
	t.Audio = between(t.Audio, t.Prompt+t.Completion)
	return t
}

// delivered is the part of a count that the client got: of an answer that broke off
// before its first content, the prompt alone.
func (a Answer) delivered(counted Tokens) Tokens {
	if a.Delivered || a.End == EndCompleted {
		return counted
	}
	return Tokens{Prompt: counted.Prompt, Cached: counted.Cached, Image: min(counted.Image, counted.Prompt), Audio: min(counted.Audio, counted.Prompt)}
}

// worst is what the provider may charge for an answer that was only counted: all the
// completion that was allowed, within reason, or what was counted where that is more
// or no limit was named.
func (a Answer) worst(counted Tokens) Tokens {
	allowed := a.MaxCompletion
	if a.WorstCompletion > 0 && a.WorstCompletion < allowed {
		allowed = a.WorstCompletion
	}
	counted.Completion = max(counted.Completion, between(allowed, tokenLimit-1))
	return counted
}

// between brings n into 0..limit.
func between(n, limit int64) int64 { return max(0, min(n, limit)) }
