package usage

import "time"

// Dimension is what rows of a Sum are grouped by.
type Dimension string

// The dimensions.
const (
	ByTenant   Dimension = "tenant"
	ByModel    Dimension = "model"
	ByDay      Dimension = "day"
	ByKey      Dimension = "key"
	ByProvider Dimension = "provider"
)

// ParseDimensions reads a comma-separated list such as "tenant,model,day"; empty means none.
func ParseDimensions(list string) ([]Dimension, error) { panic("stub") }

// Query says which totals to sum, and how to group them.
type Query struct {
	From, To time.Time
	By       []Dimension
	Tenant   string
	KeyID    string
}

// Row is one line of the answer to a Query.
type Row struct {
	Tenant            string `json:"tenant,omitempty"`
	KeyID             string `json:"key_id,omitempty"`
	Model             string `json:"model,omitempty"`
	Provider          string `json:"provider,omitempty"`
	Day               string `json:"day,omitempty"`
	Requests          int64  `json:"requests"`
	PromptTokens      int64  `json:"prompt_tokens"`
	CachedTokens      int64  `json:"cached_tokens"`
	CompletionTokens  int64  `json:"completion_tokens"`
	ReasoningTokens   int64  `json:"reasoning_tokens"`
	Charge            USD    `json:"charge_usd"`
	Cost              USD    `json:"cost_usd"`
	EstimatedRequests int64  `json:"estimated_requests"`
}
