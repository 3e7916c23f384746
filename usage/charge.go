package usage

// EndReason says how an answer ended.
type EndReason string

// The end reasons.
const (
	EndCompleted       EndReason = "completed"
	EndClientGone      EndReason = "client_gone"
	EndUpstreamCut     EndReason = "upstream_cut"
	EndUpstreamTimeout EndReason = "upstream_timeout"
	EndUpstreamFailed  EndReason = "upstream_failed"
	EndRefused         EndReason = "refused"
	EndNoOutput        EndReason = "no_output"
	EndShutdown        EndReason = "shutdown"
	EndRecovered       EndReason = "recovered"
)

// Source says where the token figures of a record come from.
type Source string

// The sources.
const (
	SourceUpstream  Source = "upstream"
	SourceEstimated Source = "estimated"
	SourcePartial   Source = "partial"
	SourceRecovered Source = "recovered"
	SourceRejected  Source = "rejected"
	SourceNone      Source = "none"
)

// Answer is what is known of an answer when it has ended.
type Answer struct {
	End           EndReason
	Reported      []byte
	MaxCompletion int64
	Delivered     bool
	Estimate      func() Tokens
}

// Verdict is what goes on the bill.
type Verdict struct {
	Tokens      Tokens
	Cost        Tokens
	Source      Source
	Charged     bool
	Quarantined []byte
}

// Decide applies the charging table to an answer.
func Decide(a Answer) Verdict { panic("stub") }
