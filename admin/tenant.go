package admin

import "time"

// Tenant is who pays for a number of keys, where all of them together have limits or a budget.
type Tenant struct {
	Name string `json:"name"`
	TenantLimits
	UpdatedAt time.Time `json:"updated_at"`
	// Version grows with each change.
	Version uint64 `json:"version"`
}

// TenantLimits are what all keys of a tenant together may use, beside each key's own limits. 0 and "" are none.
type TenantLimits struct {
	RequestsPerMinute int `json:"requests_per_minute"`
	// Burst is how many requests may come at once; 0 means RequestsPerMinute.
	Burst int `json:"burst"`
	// TokensPerMinute and Concurrent are stored, and not enforced yet.
	TokensPerMinute int `json:"tokens_per_minute"`
	Concurrent      int `json:"concurrent"`
	// BudgetUSD is an amount of dollars such as "25" or "0.5", stored and not enforced yet.
	BudgetUSD string `json:"budget_usd"`
	// BudgetPeriod is day, month or total; empty where there is no budget.
	BudgetPeriod string `json:"budget_period"`
}

// TenantPatch changes the fields of a tenant that it has; nil leaves one as it is.
type TenantPatch struct {
	RequestsPerMinute *int    `json:"requests_per_minute,omitempty"`
	Burst             *int    `json:"burst,omitempty"`
	TokensPerMinute   *int    `json:"tokens_per_minute,omitempty"`
	Concurrent        *int    `json:"concurrent,omitempty"`
	BudgetUSD         *string `json:"budget_usd,omitempty"`
	BudgetPeriod      *string `json:"budget_period,omitempty"`
}

// TenantList is every tenant that has limits, by name.
type TenantList struct {
	Tenants []Tenant `json:"tenants"`
}
