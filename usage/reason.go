package usage

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
