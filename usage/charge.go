package usage

import "errors"

// EndReason says how an answer ended.
type EndReason string

// The end reasons of a record.
const (
	// EndCompleted: the provider finished its answer.
	EndCompleted EndReason = "completed"
	// EndClientGone: the client left before the end.
	EndClientGone EndReason = "client_gone"
	// EndUpstreamCut: the provider's stream broke off.
	EndUpstreamCut EndReason = "upstream_cut"
	// EndUpstreamTimeout: the provider was silent for longer than a limit allows.
	EndUpstreamTimeout EndReason = "upstream_timeout"
	// EndUpstreamFailed: every attempt failed before an answer began.
	EndUpstreamFailed EndReason = "upstream_failed"
	// EndRefused: the provider refused the request itself.
	EndRefused EndReason = "refused"
	// EndNoOutput: the provider ended an answer that holds nothing.
	EndNoOutput EndReason = "no_output"
	// EndShutdown: Tollgate stopped before the answer had ended.
	EndShutdown EndReason = "shutdown"
	// EndKeyRevoked: the key was revoked at once while its answer was on the way.
	EndKeyRevoked EndReason = "key_revoked"
	// EndRecovered: Tollgate died; the record was made from what it had written before.
	EndRecovered EndReason = "recovered"
)

// Source says where the token figures of a record come from.
type Source string

// The sources of a record's figures.
const (
	// SourceUpstream: the provider reported them.
	SourceUpstream Source = "upstream"
	// SourceEstimated: counted here, because the provider reported nothing.
	SourceEstimated Source = "estimated"
	// SourcePartial: counted here up to where the answer broke off.
	SourcePartial Source = "partial"
	// SourceRecovered: the last checkpoint before a crash.
	SourceRecovered Source = "recovered"
	// SourceRejected: counted here, because what the provider reported cannot be true.
	SourceRejected Source = "rejected"
	// SourceNone: there was no answer to count.
	SourceNone Source = "none"
)

// exact says whether the provider's own figures stand in the record, or none were needed.
func (s Source) exact() bool { return s == SourceUpstream || s == SourceNone }

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

// row is one line of the charging table.
type row struct {
	tenant tenantPays
	report reportCounts
	counts Source // the source when Tollgate's own count decides
	cost   costBasis
}

// tenantPays is the first column: whose fault is it when the client got nothing?
type tenantPays uint8

const (
	paysNothing     tenantPays = iota
	paysIfDelivered            // an upstream fault, or our doing: never for an empty answer
	pays                       // the answer is whole, or its reader walked away
)

// reportCounts is the second column: does a sane usage object decide?
type reportCounts uint8

const (
	reportIgnored reportCounts = iota
	reportDecides
)

// costBasis is the last column: what may the provider charge without a sane report?
type costBasis uint8

const (
	costsNothing   costBasis = iota
	costsAsCounted           // our count of the answer
	costsWorstCase           // the prompt and all the completion that was allowed
)

// chargingTable is the policy of the bill, one row per end reason. A reason that is
// not listed is treated as an upstream fault, in the tenant's favour.
func chargingTable(end EndReason) row {
	switch end {
	case EndCompleted:
		return row{pays, reportDecides, SourceEstimated, costsAsCounted}
	case EndClientGone:
		return row{pays, reportDecides, SourcePartial, costsWorstCase}
	case EndUpstreamCut, EndUpstreamTimeout, EndShutdown, EndKeyRevoked:
		return row{paysIfDelivered, reportDecides, SourcePartial, costsWorstCase}
	case EndNoOutput:
		return row{paysNothing, reportDecides, SourcePartial, costsWorstCase}
	case EndUpstreamFailed, EndRefused:
		return row{paysNothing, reportIgnored, SourceNone, costsNothing}
	case EndRecovered:
		return row{paysIfDelivered, reportIgnored, SourceRecovered, costsWorstCase}
	}
	return row{paysIfDelivered, reportDecides, SourcePartial, costsWorstCase}
}

// Decide applies the charging table to an answer. It depends on nothing but its
// argument, and what it returns is always fit for PriceBook and Ledger.
func Decide(a Answer) Verdict {
	r := chargingTable(a.End)
	v := Verdict{
		Source:  r.counts,
		Charged: r.tenant == pays || r.tenant == paysIfDelivered && a.Delivered,
	}
	var reported Tokens
	err := ErrNoUsage
	if r.report == reportDecides {
		reported, err = a.reported()
	}
	if errors.Is(err, ErrInsane) {
		v.Quarantined = append([]byte(nil), a.Reported[:min(len(a.Reported), maxQuarantine)]...)
	}
	switch {
	case err == nil && (v.Charged || reported == Tokens{}):
		v.Tokens, v.Cost, v.Source = reported, reported, SourceUpstream
	case err == nil:
		v.Cost = reported
	default:
		counted := a.counted(r)
		if v.Charged {
			v.Tokens = a.delivered(counted)
		}
		if v.Charged && v.Quarantined != nil {
			v.Source = SourceRejected
		}
		v.Cost = a.costOf(counted, r.cost)
	}
	return v
}

// reported reads the provider's figures and holds them against what was seen.
func (a Answer) reported() (Tokens, error) {
	t, err := ParseTokens(a.Reported)
	if err != nil {
		return Tokens{}, err
	}
	if t.Completion == 0 && a.Delivered {
		return Tokens{}, insane("completion_tokens is 0 although content was delivered")
	}
	return t, t.Check(a.MaxCompletion)
}

// counted is Tollgate's own count, made believable: no figure is negative, no part
// above its whole, no completion above what the client allowed.
func (a Answer) counted(r row) Tokens {
	if a.Estimate == nil || r.cost == costsNothing {
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

// costOf is what the provider may charge for an answer that was only counted. A
// request that reached no provider (nothing counted) costs nothing.
func (a Answer) costOf(counted Tokens, basis costBasis) Tokens {
	switch {
	case basis == costsNothing || counted == Tokens{}:
		return Tokens{}
	case basis == costsWorstCase:
		counted.Completion = max(counted.Completion, between(a.MaxCompletion, tokenLimit-1))
	}
	return counted
}

// between brings n into 0..limit.
func between(n, limit int64) int64 { return max(0, min(n, limit)) }
