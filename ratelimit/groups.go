package ratelimit

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// shardCount keeps the locks of the groups' maps apart: more than any machine has cores that would meet on one. It is
// a power of two, so that the hash is masked.
const shardCount = 64

// groups are all that a replica holds.
type groups struct {
	seed   maphash.Seed
	shards [shardCount]shard
	most   int64        // accounts
	count  atomic.Int64 // of accounts: tenants and keys
	hand   atomic.Uint64
}

type shard struct {
	mu     sync.RWMutex
	groups map[string]*group
}

func newGroups(most int) groups { return groups{seed: maphash.MakeSeed(), most: int64(most)} }

// open returns the group of a tenant, locked.
func (s *groups) open(l *Limiter, tenant string) *group {
	sh := &s.shards[maphash.String(s.seed, tenant)&(shardCount-1)]
	for {
		sh.mu.RLock()
		g := sh.groups[tenant]
		sh.mu.RUnlock()
		if g == nil {
			g = s.add(sh, l, tenant)
		}
		g.mu.Lock()
		if !g.dead {
			return g
		}
		g.mu.Unlock()
	}
}

func (s *groups) add(sh *shard, l *Limiter, tenant string) *group {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if g := sh.groups[tenant]; g != nil {
		return g
	}
	if sh.groups == nil {
		sh.groups = make(map[string]*group)
	}
	g := &group{limiter: l, tenant: tenant, keys: make(map[string]*account)}
	sh.groups[tenant] = g
	return g
}

// key returns the account of a key. g is locked.
func (g *group) key(id string) *account {
	c := g.keys[id]
	if c == nil {
		c = &account{id: id}
		g.keys[id] = c
		g.limiter.groups.count.Add(1)
	}
	return c
}

// sample bounds a search for accounts that may go: its cost is paid with each account that is new.
const sample = 64

// makeRoom drops accounts once more are held than may be: those that rest, and where none of a sample does the one
// that would be full the soonest. Accounts that requests hold something of stay.
func (l *Limiter) makeRoom() {
	s := &l.groups
	for tries := 0; s.count.Load() > s.most && tries < shardCount; tries++ {
		sh := &s.shards[s.hand.Add(1)&(shardCount-1)]
		sh.mu.Lock()
		s.sweep(sh, l.micros())
		sh.mu.Unlock()
	}
}

// sweep drops what it can of a sample of one shard, which is locked.
func (s *groups) sweep(sh *shard, now int64) {
	var soonest *group
	var victim *account
	least, seen := int64(maxSpan), 0
	for _, g := range sh.groups {
		if !g.mu.TryLock() {
			continue // a request is being decided
		}
		for _, c := range g.keys {
			if seen++; seen > sample {
				break
			}
			if fullIn, idle := c.restsIn(now); idle && fullIn == 0 {
				g.forget(c)
			} else if idle && fullIn < least {
				soonest, victim, least = g, c, fullIn
			}
		}
		if s.bury(sh, g, now); seen >= sample {
			g.mu.Unlock()
			break
		}
		g.mu.Unlock()
	}
	if victim != nil && s.count.Load() > s.most {
		s.drop(soonest, victim, now)
	}
}

// drop forgets an account that was not full, unless it is used again.
func (s *groups) drop(g *group, c *account, now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, idle := c.restsIn(now); idle && g.keys[c.id] == c {
		g.forget(c)
	}
}

func (g *group) forget(c *account) {
	delete(g.keys, c.id)
	g.limiter.groups.count.Add(-1)
}

// bury drops a group that has no keys, and a tenant that rests. Both are locked.
func (s *groups) bury(sh *shard, g *group, now int64) {
	if fullIn, idle := g.own.restsIn(now); len(g.keys) > 0 || !idle || fullIn > 0 || g.trading || len(g.busy) > 0 {
		return
	}
	g.dead = true
	delete(sh.groups, g.tenant)
}

// restsIn returns how long it takes until nothing is lost when the account is forgotten, in nanoseconds; false where
// something of it is in use.
func (c *account) restsIn(now int64) (fullIn int64, idle bool) {
	if c.open > 0 || c.busy || !c.slots.rests() {
		return 0, false
	}
	for d := range c.buckets {
		fullIn = max(fullIn, c.buckets[d].fullIn(now))
	}
	return fullIn, true
}
