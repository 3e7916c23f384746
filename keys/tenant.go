package keys

import "time"

// Tenant is who pays for a number of keys. Only a tenant with limits or a budget over all
// of its keys needs one: any other is just a name in its keys.
type Tenant struct {
	// Name is what the keys' Tenant says.
	Name string
	// Limits hold for all keys of the tenant together, beside each key's own.
	Limits
	// Budget is what all keys may spend together; the zero Budget bounds nothing.
	Budget Budget
	// UpdatedAt is when it was last changed, in UTC.
	UpdatedAt time.Time
	// Deleted says that it was removed, with its limits: in a change, not in a list.
	Deleted bool
	// Version is the store's version as of the last change.
	Version uint64
}
