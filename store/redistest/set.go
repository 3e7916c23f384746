package redistest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// MasterName is the name under which the Sentinels know their master.
const MasterName = "tollgate"

// SentinelSet is a master with replicas, watched by Sentinels. They replace it
// when a test says so, by KillMaster or FailOver, and not before: a master that
// is only slow, on a busy machine, stays.
type SentinelSet struct {
	// Master and Replica are so named by how they began.
	Master, Replica *Server
	// Replicas are all of them, Replica first.
	Replicas []*Server
	// Sentinels are one or more.
	Sentinels []*Server
}

// StartSentinels starts a master, its replica (or more, see WithReplicas) and count Sentinels, the majority of
// which must agree on a new master, and waits until they know each other.
func StartSentinels(t testing.TB, count int, list ...Option) *SentinelSet {
	t.Helper()
	o := optionsOf(list)
	ca, data := authorityFor(t, o), o.dataDirectives()
	master := launch(t, &Server{o: o, ca: ca, lines: data})
	set := &SentinelSet{Master: master}
	replicaOf := "replicaof " + strings.Replace(master.address, ":", " ", 1)
	for range max(o.replicas, 1) {
		set.Replicas = append(set.Replicas, launch(t, &Server{o: o, ca: ca, lines: append(slices.Clone(data), replicaOf)}))
	}
	set.Replica = set.Replicas[0]
	for _, replica := range set.Replicas {
		replica.await("the replica's copy", "replication", "master_link_status:up")
	}
	// The master sends a replica nothing before it has heard that the copy is complete.
	asked := master.Client(t)
	master.poll("the replicas", func() (string, error) {
		info, err := asked.Info(context.Background(), "replication").Result()
		return fmt.Sprintf("online: %d", strings.Count(info, "state=online")), err
	}, fmt.Sprintf("online: %d", len(set.Replicas)))
	for range count {
		lines := o.sentinelDirectives(master, count/2+1)
		set.Sentinels = append(set.Sentinels, launch(t, &Server{o: o, ca: ca, sentinel: true, lines: lines}))
	}
	for _, s := range set.Sentinels {
		s.await("the Sentinels", "sentinel", fmt.Sprintf("slaves=%d,sentinels=%d", len(set.Replicas), count))
	}
	return set
}

// Addresses are the Sentinels' host:port.
func (s *SentinelSet) Addresses() []string { return addressesOf(s.Sentinels) }

// Cluster is a Redis Cluster of masters without replicas.
type Cluster struct {
	// Nodes share the slots evenly, in order.
	Nodes []*Server
}

// clusterNodes is the fewest that Redis lets elect.
const clusterNodes = 3

// slots is the number of a Cluster's hash slots.
const slots = 16384

// StartCluster starts a Cluster of three masters and waits until each of them serves.
func StartCluster(t testing.TB, list ...Option) *Cluster {
	t.Helper()
	o := optionsOf(list)
	ca := authorityFor(t, o)
	lines := append(o.dataDirectives(), "cluster-enabled yes", "cluster-node-timeout 15000") // a node that gets no time is not away
	c := &Cluster{}
	for range clusterNodes {
		c.Nodes = append(c.Nodes, launch(t, &Server{o: o, ca: ca, lines: lines}))
	}
	ctx := context.Background()
	for i, node := range c.Nodes {
		first, last := i*slots/clusterNodes, (i+1)*slots/clusterNodes-1
		client := node.Client(t)
		must := func(args ...any) {
			t.Helper()
			if err := client.Do(ctx, args...).Err(); err != nil {
				t.Fatalf("cannot make a Cluster: %v: %v", args, err)
			}
		}
		must("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		must("CLUSTER", "ADDSLOTSRANGE", first, last)
	}
	for _, node := range c.Nodes {
		c.await(node)
	}
	return c
}

// await waits until the node knows the whole Cluster. It introduces the nodes again now and then: on a busy machine the
// first handshake may have timed out.
func (c *Cluster) await(node *Server) {
	node.t.Helper()
	client := node.Client(node.t)
	const again = 100 // polls
	asked := 0
	node.poll("the Cluster", func() (string, error) {
		if asked++; asked%again == 1 {
			if err := c.introduce(); err != nil {
				return "", err
			}
		}
		return client.ClusterInfo(context.Background()).Result()
	}, "cluster_state:ok", fmt.Sprintf("cluster_size:%d", clusterNodes))
}

// introduce tells every other node about the first; what one knows, all learn.
func (c *Cluster) introduce() error {
	first := c.Nodes[0]
	host, port, _ := strings.Cut(first.address, ":")
	for _, node := range c.Nodes[1:] {
		if err := node.Client(node.t).Do(context.Background(), "CLUSTER", "MEET", host, port, first.busPort).Err(); err != nil {
			return err
		}
	}
	return nil
}

// Addresses are the nodes' host:port.
func (c *Cluster) Addresses() []string { return addressesOf(c.Nodes) }

// Everything is what the nodes hold; see Server.Everything.
func (c *Cluster) Everything(t testing.TB) string {
	t.Helper()
	var all []string
	for _, node := range c.Nodes {
		all = append(all, node.Everything(t))
	}
	return strings.Join(all, "\n")
}

func addressesOf(servers []*Server) []string {
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, s.Address())
	}
	return addresses
}

// await waits until a section of the server's INFO contains the wanted text.
func (s *Server) await(what, section, want string) {
	s.t.Helper()
	client := s.Client(s.t)
	s.poll(what, func() (string, error) { return client.Info(context.Background(), section).Result() }, want)
}

func (s *Server) poll(what string, ask func() (string, error), wants ...string) {
	s.t.Helper()
	var got string
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pollEvery) {
		got, err = ask()
		missing := 0
		for _, want := range wants {
			if !strings.Contains(got, want) {
				missing++
			}
		}
		if err == nil && missing == 0 {
			return
		}
	}
	s.t.Fatalf("%s: not ready in time: want %q, got %v %s", what, wants, err, got)
}
