package ratelimit

import "fmt"

// Limit is one of the six that a request meets: three of its key's, and the same three of its tenant's.
type Limit uint8

// The limits, in the order in which they are asked.
const (
	KeyRequests Limit = iota
	TenantRequests
	KeyTokens
	TenantTokens
	KeyConcurrent
	TenantConcurrent

	// LimitCount is how many there are.
	LimitCount = int(TenantConcurrent) + 1
)

// Dimension is what a limit bounds.
type Dimension uint8

// The dimensions.
const (
	Requests   Dimension = iota // requests per minute
	Tokens                      // prompt and completion tokens per minute
	Concurrent                  // requests in progress at once
)

// Dimension tells what l bounds.
func (l Limit) Dimension() Dimension { return Dimension(l / 2) }

// OfTenant tells whether l is the tenant's, over all its keys.
func (l Limit) OfTenant() bool { return l%2 == 1 }

// String is the limit's name in metrics and in the shared store: "requests", "tenant_requests", "tokens",
// "tenant_tokens", "concurrent" or "tenant_concurrent".
func (l Limit) String() string {
	switch l {
	case KeyRequests:
		return "requests"
	case TenantRequests:
		return "tenant_requests"
	case KeyTokens:
		return "tokens"
	case TenantTokens:
		return "tenant_tokens"
	case KeyConcurrent:
		return "concurrent"
	case TenantConcurrent:
		return "tenant_concurrent"
	}
	return fmt.Sprintf("Limit(%d)", uint8(l))
}
