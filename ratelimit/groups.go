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
	most   int64 // keys, and as many tenants
	keys   atomic.Int64
	count  atomic.Int64  // of groups
	hand   atomic.Uint64 // the shard that is swept next
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
	s.count.Add(1)
	return g
}

// key returns the account of a key, and returns it again where it is new. g is locked.
func (g *group) key(id string) (c, isNew *account) {
	if c = g.keys[id]; c != nil {
		return c, nil
	}
	c = &account{id: id}
	g.keys[id] = c
	g.limiter.groups.keys.Add(1)
	return c, c
}

// sample bounds a search for accounts that may go: its cost is paid with each account that is new.
const sample = 64

// makeRoomFor makes room for an account that is new.
func (l *Limiter) makeRoomFor(c *account) {
	if c == nil || !l.groups.full() {
		return
	}
	c.spared.Store(true)
	l.makeRoom()
	c.spared.Store(false)
}

// makeRoom drops accounts once more are held than may be: those that rest, and where none of a sample does the one
// that would be full the soonest. Accounts that requests hold something of stay, and those of which the bank has
// still to hear.
func (l *Limiter) makeRoom() {
	s := &l.groups
	for tries, seen := 0, 0; s.full() && tries < 2*shardCount && seen < sample; tries++ {
		sh := &s.shards[s.hand.Add(1)&(shardCount-1)]
		sh.mu.Lock()
		seen += s.sweep(sh, l.micros())
		sh.mu.Unlock()
	}
}

func (s *groups) full() bool { return s.keys.Load() > s.most || s.count.Load() > s.most }

// sweep drops what it can of a sample of one shard, which is locked, and returns how many it has seen.
func (s *groups) sweep(sh *shard, now int64) (seen int) {
	soonest := victim{fullIn: maxSpan + 1}
	for _, g := range sh.groups {
		if !g.mu.TryLock() {
			continue // a request is being decided
		}
		seen += g.sweep(now, sample-seen, &soonest)
		if fullIn, idle := g.ownRestsIn(now); idle && fullIn == 0 {
			s.bury(sh, g)
		} else if idle && fullIn < soonest.fullIn {
			soonest = victim{g, &g.own, fullIn}
		}
		g.mu.Unlock()
		if seen++; seen >= sample {
			break
		}
	}
	if soonest.account != nil && s.full() {
		s.drop(sh, soonest, now)
	}
	return seen
}

// victim is the account that would be full the soonest.
type victim struct {
	group   *group
	account *account
	fullIn  int64
}

// sweep drops the keys that rest among so many, and returns how many it has seen.
func (g *group) sweep(now int64, most int, soonest *victim) (seen int) {
	for _, c := range g.keys {
		if seen++; seen > most {
			break
		}
		if fullIn, idle := c.restsIn(now); idle && fullIn == 0 {
			g.forget(c)
		} else if idle && fullIn < soonest.fullIn {
			*soonest = victim{g, c, fullIn}
		}
	}
	return seen
}

// drop forgets an account that was not full, unless it is used again.
func (s *groups) drop(sh *shard, v victim, now int64) {
	g := v.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.account == &g.own {
		if _, idle := g.ownRestsIn(now); idle && !g.dead {
			s.bury(sh, g)
		}
	} else if _, idle := v.account.restsIn(now); idle && g.keys[v.account.id] == v.account {
		g.forget(v.account)
	}
}

func (g *group) forget(c *account) {
	delete(g.keys, c.id)
	g.limiter.groups.keys.Add(-1)
}

// bury drops a group that has no keys. Its shard and it are locked.
func (s *groups) bury(sh *shard, g *group) {
	g.dead = true
	delete(sh.groups, g.tenant)
	s.count.Add(-1)
}

// ownRestsIn is restsIn of a tenant; false, too, as long as it has keys here.
func (g *group) ownRestsIn(now int64) (fullIn int64, idle bool) {
	if len(g.keys) > 0 || g.trading || len(g.waiting) > 0 || len(g.busy) > 0 || g.dead {
		return 0, false
	}
	return g.own.restsIn(now)
}

// restsIn returns how long it takes until nothing is lost when the account is forgotten, in nanoseconds; false where
// something of it is in use.
func (c *account) restsIn(now int64) (fullIn int64, idle bool) {
	if c.open > 0 || c.busy || c.spared.Load() || !c.slots.rests() {
		return 0, false
	}
	for d := range c.buckets {
		fullIn = max(fullIn, c.buckets[d].fullIn(now))
	}
	return fullIn, true
}
