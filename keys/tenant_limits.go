package keys

import (
	"maps"
	"sync"
	"sync/atomic"
)

// tenantLimits are the limits of all tenants that have some. Reading them takes no lock.
type tenantLimits struct {
	mu      sync.Mutex // of writers
	tenants atomic.Pointer[map[string]Tenant]
}

func (l *tenantLimits) of(tenant string) Limits {
	if all := l.tenants.Load(); all != nil {
		return (*all)[tenant].Limits
	}
	return Limits{}
}

// heed takes over what became of a tenant, unless something later is known. A deleted tenant
// stays, without limits: what is told of it late must not bring them back.
func (l *tenantLimits) heed(t Tenant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]Tenant{}
	if now := l.tenants.Load(); now != nil {
		if known, ok := (*now)[t.Name]; ok && known.Version >= t.Version {
			return
		}
		all = maps.Clone(*now)
	}
	if t.Deleted {
		t.Limits, t.Budget = Limits{}, Budget{}
	}
	all[t.Name] = t
	l.tenants.Store(&all)
}
