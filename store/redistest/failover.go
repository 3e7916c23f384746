package redistest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Current returns the server that the Sentinels take for the master now.
func (s *SentinelSet) Current() *Server {
	s.Master.t.Helper()
	for _, sentinel := range s.Sentinels {
		if server := s.server(named(sentinel)); server != nil {
			return server
		}
	}
	s.Master.t.Fatal("no Sentinel knows the master")
	return nil
}

// named is the address of the master by this Sentinel's word; empty where it says none.
func named(sentinel *Server) string {
	said, _ := sentinel.Client(sentinel.t).Do(context.Background(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName).StringSlice()
	return strings.Join(said, ":")
}

func (s *SentinelSet) server(address string) *Server {
	for _, server := range append([]*Server{s.Master}, s.Replicas...) {
		if server.address == address {
			return server
		}
	}
	return nil
}

// KillMaster ends the master as a crash would, and returns it. The Sentinels choose another after a second or more;
// the old one may be started again with Restart, and is then a replica.
func (s *SentinelSet) KillMaster() *Server {
	s.Master.t.Helper()
	master := s.Current()
	master.Kill()
	return master
}

// FailOver orders a planned change of the master and returns the server that was it. The order is given again while the
// Sentinels are not ready for it.
func (s *SentinelSet) FailOver() *Server {
	s.Master.t.Helper()
	master := s.Current()
	client := s.Sentinels[0].Client(s.Master.t)
	s.Sentinels[0].poll("the order to fail over", func() (string, error) {
		return client.Do(context.Background(), "SENTINEL", "FAILOVER", MasterName).Text()
	}, "OK")
	return master
}

// AwaitMaster waits until all Sentinels name the same master, not the former one, and it takes changes. It returns that one.
func (s *SentinelSet) AwaitMaster(former *Server) *Server {
	s.Master.t.Helper()
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pollEvery) {
		var master *Server
		if master, last = s.agreed(former); last == nil {
			return master
		}
	}
	s.Master.t.Fatalf("no new master in time: %v", last)
	return nil
}

func (s *SentinelSet) agreed(former *Server) (*Server, error) {
	address := named(s.Sentinels[0])
	for _, sentinel := range s.Sentinels[1:] {
		if other := named(sentinel); other != address {
			return nil, fmt.Errorf("the Sentinels name %q and %q", address, other)
		}
	}
	master := s.server(address)
	if master == nil || master == former {
		return nil, fmt.Errorf("the Sentinels name %q", address)
	}
	role, err := master.Client(master.t).Info(context.Background(), "replication").Result()
	if err == nil && !strings.Contains(role, "role:master") {
		err = fmt.Errorf("%s is no master yet", address)
	}
	return master, err
}
