package usage

import "time"

// Kind says what a record is about.
type Kind string

// The kinds of records.
const (
	KindIntent     Kind = "intent"
	KindAttempt    Kind = "attempt"
	KindCheckpoint Kind = "checkpoint"
	KindSettle     Kind = "settle"
	KindAdjust     Kind = "adjust"
)

// Record is one line of the ledger.
type Record struct {
	RequestID     string    `json:"request_id"`
	Kind          Kind      `json:"kind"`
	Attempt       int       `json:"attempt"`
	Tenant        string    `json:"tenant"`
	KeyID         string    `json:"key_id"`
	Model         string    `json:"model"`
	Provider      string    `json:"provider"`
	Endpoint      string    `json:"endpoint"`
	UpstreamModel string    `json:"upstream_model"`
	Stream        bool      `json:"stream"`
	EndReason     EndReason `json:"end_reason"`
	Source        Source    `json:"source"`
	Tokens
	Charge      NanoUSD   `json:"charge_nanousd"`
	Cost        NanoUSD   `json:"cost_nanousd"`
	ChargePrice string    `json:"charge_price"`
	CostPrice   string    `json:"cost_price"`
	AcceptedAt  time.Time `json:"accepted_at"`
	FirstByteAt time.Time `json:"first_byte_at,omitzero"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	TraceID     string    `json:"trace_id,omitempty"`
	UpstreamID  string    `json:"upstream_id,omitempty"`
	Rejected    string    `json:"rejected,omitempty"`
}
