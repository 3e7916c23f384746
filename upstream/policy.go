package upstream

// policy chooses one of a pool's candidates. It sees only those that can be asked:
// tier, needs, availability and what was tried are settled before.
type policy interface {
	// pick returns the position of a candidate in a pool that is not empty. It is
	// called concurrently.
	pick(p pool) int
	// shares adds to each position of a pool how likely a pick is to be it, times weight:
	// over many picks, for a policy that takes turns.
	shares(p pool, weight float64, each *shares)
}

// pool is what a policy chooses from.
type pool struct {
	model *Model
	set   set
	kind  Kind
	now   instant
}

// policies are the names that models may give as their policy; the first is the
// one of models that give none.
func policies() [3]struct {
	name string
	make func() policy
} {
	return [3]struct {
		name string
		make func() policy
	}{
		{"p2c", func() policy { return p2c{} }},
		{"weighted", func() policy { return new(weighted) }},
		{"least_pending", func() policy { return leastPending{} }},
	}
}

// newPolicy returns the policy of that name; false when there is none.
func newPolicy(name string) (policy, bool) {
	for _, p := range policies() {
		if name == p.name || name == "" {
			return p.make(), true
		}
	}
	return nil, false
}
