package usage

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Kind says what a record is about.
type Kind string

// The kinds of records. All go to the journal; the ledger is given attempts, settles and adjusts.
const (
	// KindIntent: an attempt is about to be sent to a provider.
	KindIntent Kind = "intent"
	// KindAttempt: one attempt at one endpoint gave no answer, and what it may cost.
	KindAttempt Kind = "attempt"
	// KindCheckpoint: how far a stream has come of which its client has got content, be it no text.
	KindCheckpoint Kind = "checkpoint"
	// KindSettle: the request has ended, and this is its bill. There is one per request.
	KindSettle Kind = "settle"
	// KindAdjust: a later correction; bills are never edited.
	KindAdjust Kind = "adjust"
)

// order is a kind's place in the life of a request, from 1; 0 is no kind.
func (k Kind) order() byte {
	switch k {
	case KindIntent:
		return 1
	case KindAttempt:
		return 2
	case KindCheckpoint:
		return 3
	case KindSettle:
		return 4
	case KindAdjust:
		return 5
	}
	return 0
}

// Record is one line of the ledger, unique by request id, kind and attempt; a settle by its request alone.
type Record struct {
	// RequestID is Tollgate's own id (x-request-id), never the provider's: two providers document the same one.
	RequestID string `json:"request_id"`
	Kind      Kind   `json:"kind"`
	// Attempt counts from 0.
	Attempt int    `json:"attempt"`
	Tenant  string `json:"tenant"`
	KeyID   string `json:"key_id"`
	// Model is the public model name.
	Model string `json:"model"`
	// Provider, Endpoint and UpstreamModel say who answered; they are empty when nobody did.
	Provider      string    `json:"provider"`
	Endpoint      string    `json:"endpoint"`
	UpstreamModel string    `json:"upstream_model"`
	Stream        bool      `json:"stream"`
	EndReason     EndReason `json:"end_reason"`
	Source        Source    `json:"source"`
	// Tokens is what the tenant is billed for.
	Tokens
	// Delivered is how many tokens of text had been passed to the client of an answer that did not reach its end, by
	// Tollgate's own count; 0 for an answer that did.
	Delivered int64 `json:"delivered_tokens,omitempty"`
	// MaxCompletion is the most completion tokens that the request allowed, all choices together, as it was sent to the provider;
	// 0: it named no limit. An intent has it for whoever has to settle what was never settled, and so what the worst case
	// reckons with: never more than limits.max_completion_tokens for each choice. A checkpoint has all of it, which bounds its count.
	MaxCompletion int64 `json:"max_completion_tokens,omitempty"`
	// Charge is what the tenant pays and Cost what the provider is expected to charge; only a correction's may be negative.
	Charge NanoUSD `json:"charge_nanousd"`
	Cost   NanoUSD `json:"cost_nanousd"`
	// ChargePrice and CostPrice name the entries of the price book that were used; empty: none had begun.
	ChargePrice string `json:"charge_price"`
	CostPrice   string `json:"cost_price"`
	// AcceptedAt decides the UTC day that the request counts for.
	AcceptedAt time.Time `json:"accepted_at"`
	// FirstByteAt is when the first content was forwarded; zero: never.
	FirstByteAt time.Time `json:"first_byte_at,omitzero"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	TraceID     string    `json:"trace_id,omitempty"`
	// UpstreamID is the provider's id of its response: a hint for reconciliation, never a key.
	UpstreamID string `json:"upstream_id,omitempty"`
	// Rejected is the insane usage object that was not believed, cut at 2 KiB.
	Rejected string `json:"rejected,omitempty"`
	// Trail says who was asked, who was passed over, and why: a JSON object of the gateway's making, at most 8 KiB;
	// empty: none. A record is money, so one with anything else for a trail is kept without it.
	Trail JSON `json:"trail,omitempty"`
}

// JSON is text that is one JSON value; empty, it is none. It stands in a record as that value.
type JSON string

// MarshalJSON returns the text, and null for none.
func (j JSON) MarshalJSON() ([]byte, error) {
	if j == "" {
		return []byte("null"), nil
	}
	return []byte(j), nil
}

// UnmarshalJSON keeps the text; null is none.
func (j *JSON) UnmarshalJSON(raw []byte) error {
	if *j = JSON(raw); *j == "null" {
		*j = ""
	}
	return nil
}

// object returns the text as encoding/json writes it into a record, and nothing
// where it is not an object, or one that is too long.
func (j JSON) object() JSON {
	if j == "" || len(j) > maxTrail || !utf8.ValidString(string(j)) {
		return ""
	}
	if j[0] == '{' && json.Valid([]byte(j)) && !strings.ContainsAny(string(j), " \t\r\n<>&\u2028\u2029") {
		return j // it is what encoding/json would write
	}
	written, err := json.Marshal(j)
	if err != nil || len(written) > maxTrail || written[0] != '{' {
		return ""
	}
	return JSON(written)
}

// ErrBadRecord says that a record cannot be kept: a field that its key or its totals
// are made of is missing or impossible. Writing it again will not help.
var ErrBadRecord = errors.New("the usage record is not valid")

const (
	// maxName bounds the fields that storage keys are made of; it is far above any configured name.
	maxName = 1 << 10
	// maxRemark bounds what others wrote (the provider's id, its insane usage).
	maxRemark = maxQuarantine
	// maxTrail is the length of a trail that is kept.
	maxTrail = 8 << 10
)

// checked returns the record as it is stored, or ErrBadRecord with what is wrong.
func (r Record) checked() (Record, error) {
	// Stored in UTC and without the monotonic clock, a record reads back as it was written.
	r.AcceptedAt = r.AcceptedAt.UTC().Round(0)
	r.FirstByteAt = r.FirstByteAt.UTC().Round(0)
	r.EndedAt = r.EndedAt.UTC().Round(0)
	if r.RequestID == "" {
		return r, fmt.Errorf("%w: request_id is empty", ErrBadRecord)
	}
	for _, f := range [...]struct{ field, value string }{
		{"request_id", r.RequestID},
		{"tenant", r.Tenant},
		{"key_id", r.KeyID},
		{"model", r.Model},
		{"provider", r.Provider},
	} {
		if len(f.value) > maxName || strings.ContainsRune(f.value, 0) {
			return r, fmt.Errorf("%w: %s holds a zero byte or is longer than %d bytes", ErrBadRecord, f.field, maxName)
		}
	}
	switch {
	case r.Kind.order() == 0:
		return r, fmt.Errorf("%w: kind %q is not known", ErrBadRecord, r.Kind)
	case r.Attempt < 0 || r.Attempt > maxAttempt:
		return r, fmt.Errorf("%w: attempt must be from 0 to %d, got %d", ErrBadRecord, maxAttempt, r.Attempt)
	case r.Delivered < 0:
		return r, fmt.Errorf("%w: delivered_tokens must be 0 or more, got %d", ErrBadRecord, r.Delivered)
	case r.MaxCompletion < 0:
		return r, fmt.Errorf("%w: max_completion_tokens must be 0 or more, got %d", ErrBadRecord, r.MaxCompletion)
	case (r.Charge < 0 || r.Cost < 0) && r.Kind != KindAdjust:
		return r, fmt.Errorf("%w: charge and cost must be 0 or more, got %s and %s", ErrBadRecord, r.Charge, r.Cost)
	case r.AcceptedAt.Year() < 2000 || r.AcceptedAt.Year() > 9999:
		return r, fmt.Errorf("%w: accepted_at is missing or in the year %d", ErrBadRecord, r.AcceptedAt.Year())
	case !hasFourDigits(r.FirstByteAt.Year()) || !hasFourDigits(r.EndedAt.Year()):
		return r, fmt.Errorf("%w: first_byte_at is in the year %d and ended_at in %d", ErrBadRecord, r.FirstByteAt.Year(), r.EndedAt.Year())
	}
	if err := r.valid(); err != nil {
		return r, fmt.Errorf("%w: %w", ErrBadRecord, err)
	}
	r.UpstreamID = r.UpstreamID[:min(len(r.UpstreamID), maxRemark)]
	r.Rejected = r.Rejected[:min(len(r.Rejected), maxRemark)]
	r.Trail = r.Trail.object()
	return r, nil
}

// hasFourDigits is what JSON asks of a year. A zero time has the year 1.
func hasFourDigits(year int) bool { return year >= 0 && year <= 9999 }

const maxAttempt = 1<<16 - 1

// day is the UTC day that the record counts for.
func (r Record) day() string { return r.AcceptedAt.UTC().Format(time.DateOnly) }
