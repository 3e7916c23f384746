package redistest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
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
	said, _ := sentinel.asked().Do(context.Background(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName).StringSlice()
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

// temper is how soon the Sentinels give up on a master.
type temper struct {
	downAfter       time.Duration // a silence that is as long is an outage
	failOverTimeout time.Duration // after this a step of a fail-over is given up; after twice as long the next one begins
}

// calm Sentinels replace a master when they are ordered to.
func calm() temper { return temper{10 * time.Minute, 30 * time.Second} }

// strict ones replace one that is dead, as soon as a test would like it.
func strict() temper { return temper{time.Second, 5 * time.Second} }

// options are Sentinel's names for it.
func (t temper) options() map[string]string {
	return map[string]string{
		"down-after-milliseconds": strconv.FormatInt(t.downAfter.Milliseconds(), 10),
		"failover-timeout":        strconv.FormatInt(t.failOverTimeout.Milliseconds(), 10),
	}
}

func (s *SentinelSet) become(t temper) {
	s.Master.t.Helper()
	for _, sentinel := range s.Sentinels {
		for option, value := range t.options() {
			sentinel.poll("the Sentinel's "+option, func() (string, error) {
				return sentinel.asked().Do(context.Background(), "SENTINEL", "SET", MasterName, option, value).Text()
			}, "OK")
		}
	}
}

// KillMaster ends the master as a crash would, and returns it. The Sentinels choose another after a second or more; from
// then on any master is replaced that is silent for a second, until AwaitMaster returns. The old one may be started again
// with Restart after that, and is then a replica.
func (s *SentinelSet) KillMaster() *Server {
	s.Master.t.Helper()
	master := s.Current()
	master.Kill()
	s.become(strict())
	return master
}

// FailOver orders a planned change of the master and returns the server that was it. The order is given again while the
// Sentinels are not ready for it.
func (s *SentinelSet) FailOver() *Server {
	s.Master.t.Helper()
	master := s.Current()
	first := s.Sentinels[0]
	first.poll("the order to fail over", func() (string, error) {
		said, err := first.asked().Do(context.Background(), "SENTINEL", "FAILOVER", MasterName).Text()
		if err != nil && strings.HasPrefix(err.Error(), "INPROG") {
			return "OK", nil // an order was obeyed whose answer came too late
		}
		return said, err
	}, "OK")
	return master
}

// AwaitMaster waits until all Sentinels name the same master, not the former one, and it takes changes. It returns that
// one, which is not replaced any more.
func (s *SentinelSet) AwaitMaster(former *Server) *Server {
	s.Master.t.Helper()
	var last error
	calmed := false
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pollEvery) {
		var master *Server
		if master, last = s.agreed(former); last != nil {
			continue
		}
		if calmed {
			return master
		}
		// A busy machine may have made them give up on the new one too: they are asked again.
		s.become(calm())
		calmed = true
	}
	s.Master.t.Fatalf("no new master in time: %v", last)
	return nil
}

// agreed is the master by the word of all Sentinels, none of which is about to replace it.
func (s *SentinelSet) agreed(former *Server) (*Server, error) {
	address := named(s.Sentinels[0])
	for _, sentinel := range s.Sentinels {
		if other := named(sentinel); other != address {
			return nil, fmt.Errorf("the Sentinels name %q and %q", address, other)
		}
		told := redis.NewMapStringStringCmd(context.Background(), "SENTINEL", "MASTER", MasterName)
		if err := sentinel.asked().Process(context.Background(), told); err != nil {
			return nil, err
		}
		if flags := told.Val()["flags"]; flags != "master" {
			return nil, fmt.Errorf("a Sentinel says of %q: %q", address, flags)
		}
	}
	master := s.server(address)
	if master == nil || master == former {
		return nil, fmt.Errorf("the Sentinels name %q", address)
	}
	role, err := master.asked().Info(context.Background(), "replication").Result()
	if err == nil && !strings.Contains(role, "role:master") {
		err = fmt.Errorf("%s is no master yet", address)
	}
	return master, err
}
