package redistest

import (
	"context"
	"slices"
	"strings"
)

// MoveSlotOf moves the slot of a key from the node that has it to the next, as a resharding does: key by key, while
// clients go on. between is called after each step. The servers must be without TLS and passwords.
func (c *Cluster) MoveSlotOf(key string, between func()) {
	first := c.Nodes[0]
	first.t.Helper()
	ctx := context.Background()
	slot, err := first.Client(first.t).ClusterKeySlot(ctx, key).Result()
	if err != nil {
		first.t.Fatal(err)
	}
	from := c.ownerOf(slot)
	to := c.Nodes[(slices.Index(c.Nodes, from)+1)%len(c.Nodes)]
	source, target := from.Client(from.t), to.Client(to.t)
	order := func(node *Server, args ...any) {
		node.t.Helper()
		if err := node.Client(node.t).Do(ctx, args...).Err(); err != nil {
			node.t.Fatalf("cannot move slot %d: %v: %v", slot, args, err)
		}
	}
	order(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", source.ClusterMyID(ctx).Val())
	order(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", target.ClusterMyID(ctx).Val())
	between()
	host, port, _ := strings.Cut(to.address, ":")
	for {
		keys, err := source.ClusterGetKeysInSlot(ctx, int(slot), 1).Result()
		if err != nil {
			from.t.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
		order(from, "MIGRATE", host, port, keys[0], 0, patience.Milliseconds())
		between()
	}
	for _, node := range append([]*Server{to, from}, c.Nodes...) {
		order(node, "CLUSTER", "SETSLOT", slot, "NODE", target.ClusterMyID(ctx).Val())
	}
	between()
}

// ownerOf is the node that serves the slot.
func (c *Cluster) ownerOf(slot int64) *Server {
	first := c.Nodes[0]
	first.t.Helper()
	ranges, err := first.Client(first.t).ClusterSlots(context.Background()).Result()
	if err != nil {
		first.t.Fatal(err)
	}
	for _, r := range ranges {
		for _, node := range c.Nodes {
			if int64(r.Start) <= slot && slot <= int64(r.End) && node.address == r.Nodes[0].Addr {
				return node
			}
		}
	}
	first.t.Fatalf("nobody has slot %d", slot)
	return nil
}
