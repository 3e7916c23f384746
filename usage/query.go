package usage

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Dimension is what the rows of a Sum are grouped by.
type Dimension string

// The dimensions.
const (
	ByTenant   Dimension = "tenant"
	ByKey      Dimension = "key" // the row's field is key_id
	ByModel    Dimension = "model"
	ByProvider Dimension = "provider"
	ByDay      Dimension = "day"
)

// ErrBadQuery says that a query cannot be answered as it was asked.
var ErrBadQuery = errors.New("bad usage query")

// ParseDimensions reads a comma-separated list such as "tenant,model,day"; an empty
// list means no grouping. The error wraps ErrBadQuery and names the ones that exist.
func ParseDimensions(list string) ([]Dimension, error) {
	if list == "" {
		return nil, nil
	}
	var by []Dimension
	for name := range strings.SplitSeq(list, ",") {
		d := Dimension(strings.TrimSpace(name))
		if err := d.valid(); err != nil {
			return nil, err
		}
		by = append(by, d)
	}
	return by, nil
}

func (d Dimension) valid() error {
	switch d {
	case ByTenant, ByKey, ByModel, ByProvider, ByDay:
		return nil
	}
	return fmt.Errorf("%w: cannot group by %q; tenant, key, model, provider and day exist", ErrBadQuery, string(d))
}

// Query says which totals to sum, and how to group them.
type Query struct {
	// From and To bound the UTC days on which requests were accepted. Totals are kept by day, so every day counts
	// whole that the time from From up to, but not including, To touches. Zero times are no bounds.
	From, To time.Time
	// By groups the rows; without it there is one row, of everything.
	By []Dimension
	// Tenant and KeyID restrict the query; empty: everybody's.
	Tenant string
	KeyID  string
}

func (q Query) validate() error {
	for _, d := range q.By {
		if err := d.valid(); err != nil {
			return err
		}
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.To.After(q.From) {
		return fmt.Errorf("%w: its end (%s, not included) must be after its begin (%s)", ErrBadQuery, q.To.UTC().Format(time.RFC3339), q.From.UTC().Format(time.RFC3339))
	}
	return nil
}

// days returns the first day and the last one, both included; an empty last day is no bound.
func (q Query) days() (first, last string) {
	if !q.From.IsZero() {
		first = q.From.UTC().Format(time.DateOnly)
	}
	if !q.To.IsZero() {
		last = q.To.UTC().Add(-time.Nanosecond).Format(time.DateOnly)
	}
	return first, last
}

// Row is one line of the answer to a Query: the labels of the dimensions asked for,
// and the totals of its group. A label is left out of the JSON when it was not asked
// for, or when it is empty (the provider of a request that nobody answered).
type Row struct {
	Day      string `json:"day,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	KeyID    string `json:"key_id,omitempty"`
	Model    string `json:"model,omitempty"`
	Provider string `json:"provider,omitempty"`
	// Requests counts settles, never attempts.
	Requests         int64 `json:"requests"`
	PromptTokens     int64 `json:"prompt_tokens"`
	CachedTokens     int64 `json:"cached_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	ReasoningTokens  int64 `json:"reasoning_tokens"`
	Charge           USD   `json:"charge_usd"`
	Cost             USD   `json:"cost_usd"`
	// EstimatedRequests counts the requests among them whose figures are not the provider's own.
	EstimatedRequests int64 `json:"estimated_requests"`
}
