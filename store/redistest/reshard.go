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
	from := c.ownerOf(key)
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

// ownerOf is the node that serves the key's slot: any other sends its clients on.
func (c *Cluster) ownerOf(key string) *Server {
	first := c.Nodes[0]
	first.t.Helper()
	for _, node := range c.Nodes {
		if node.Client(node.t).Exists(context.Background(), key).Err() == nil {
			return node
		}
	}
	first.t.Fatalf("nobody serves %q", key)
	return nil
}
