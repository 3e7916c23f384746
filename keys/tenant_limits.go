package keys

import (
	"maps"
	"sync"
	"sync/atomic"
)

// tenantLimits are the limits of all tenants that have some. Reading them takes no lock.
type tenantLimits struct {
	mu      sync.Mutex // of writers, and of losses
	losses  int        // how often the store was distrusted
	tenants atomic.Pointer[map[string]Tenant]
}

func (l *tenantLimits) of(tenant string) Limits {
	if all := l.tenants.Load(); all != nil {
		return (*all)[tenant].Limits
	}
	return Limits{}
}

// heed takes over what became of tenants, unless something later is known. A deleted tenant
// stays, without limits: what is told of it late must not bring them back.
func (l *tenantLimits) heed(tenants ...Tenant) {
	if len(tenants) == 0 {
		return
	}
	l.change(func(all map[string]Tenant) {
		for _, t := range tenants {
			place(all, t)
		}
	})
}

// distrust makes whatever is told from now on count as later than what is known: the
// shared store has lost its last changes. Until it is told, what is known holds.
func (l *tenantLimits) distrust() {
	l.change(func(all map[string]Tenant) {
		l.losses++
		for name, t := range all {
			t.Version = 0
			all[name] = t
		}
	})
}

// reading returns what replace wants of a list that is asked for from now on.
func (l *tenantLimits) reading() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.losses
}

// replace takes over all tenants that the shared store has: one that is not among them, and was not heard of since the
// store was distrusted, has no limits any more. A list that was read before the store was last distrusted is none.
func (l *tenantLimits) replace(list []Tenant, reading int) {
	l.change(func(all map[string]Tenant) {
		if reading != l.losses {
			return
		}
		maps.DeleteFunc(all, func(_ string, t Tenant) bool { return t.Version == 0 })
		for _, t := range list {
			place(all, t)
		}
	})
}

func (l *tenantLimits) change(edit func(all map[string]Tenant)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]Tenant)
	if now := l.tenants.Load(); now != nil {
		all = maps.Clone(*now)
	}
	edit(all)
	l.tenants.Store(&all)
}

func place(all map[string]Tenant, t Tenant) {
	if known, ok := all[t.Name]; ok && known.Version > 0 && known.Version >= t.Version {
		return
	}
	if t.Deleted {
		t.Limits, t.Budget = Limits{}, Budget{}
	}
	all[t.Name] = t
}
