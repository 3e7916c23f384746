package store

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ErrReplaced says that the Sentinels have another master than the server that took a change, or are about to: the
// change will be lost with that server's data. It was carried out, and may be made again at the new master in a moment.
var ErrReplaced = errors.New("the Sentinels have replaced the master that took it")

// sentinels are asked who the master is, each for itself: after a fail-over they learn of it one after the other, and a
// client is told by one of them.
type sentinels struct {
	master  string
	clients []*redis.SentinelClient
	server  redis.Options // how to talk to the servers that they watch
}

// newSentinels returns nil where none watch the server.
func newSentinels(c RedisConfig, tlsConfig *tls.Config) *sentinels {
	if c.MasterName == "" {
		return nil
	}
	o := redis.Options{
		Dialer:                   dialer(tlsConfig),
		MaxRetries:               -1,
		DialTimeout:              socketTimeout,
		DialerRetries:            1,
		ReadTimeout:              socketTimeout,
		WriteTimeout:             socketTimeout,
		ContextTimeoutEnabled:    true,
		PoolSize:                 2,
		ConnMaxIdleTime:          idleTimeout,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	s := &sentinels{master: c.MasterName, server: o}
	s.server.Username, s.server.Password = c.Username, c.Password.Reveal()
	o.Username, o.Password = c.SentinelUsername, c.SentinelPassword.Reveal()
	for _, address := range c.Addresses {
		o.Addr = address
		s.clients = append(s.clients, redis.NewSentinelClient(new(o)))
	}
	return s
}

func (s *sentinels) close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, client := range s.clients {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}

// ConfirmMaster returns ErrReplaced where the Sentinels say that the server with this run_id (of INFO) is not the master,
// or will not be for long. Where there are no Sentinels, or none answers within 100 ms, nobody replaces a master: then it
// returns nil.
func (r *Redis) ConfirmMaster(ctx context.Context, runID string) error {
	if r.sentinels == nil || runID == "" {
		return nil
	}
	var newest view
	for _, seen := range r.sentinels.look(ctx) {
		if seen.replacing {
			if r.sentinels.names(ctx, seen, runID) {
				return ErrReplaced
			}
			return nil // it is the one that takes over: the old one is not told of any more
		}
		if seen.told && seen.epoch >= newest.epoch {
			newest = seen
		}
	}
	if newest.told && !r.sentinels.names(ctx, newest, runID) {
		return ErrReplaced
	}
	return nil
}

// names tells whether the master that a Sentinel sees is the server with this run_id. For ten seconds after a fail-over, or
// a restart, the Sentinel does not know that by itself: then the server at the master's address is asked.
func (s *sentinels) names(ctx context.Context, seen view, runID string) bool {
	return seen.runID == runID || s.runID(ctx, seen.address) == runID
}

// RunID reads the run_id, which a server gives itself at its start, in an answer to INFO; empty: it is not there.
func RunID(info string) string {
	_, rest, _ := strings.Cut(info, "\nrun_id:")
	id, _, _ := strings.Cut(rest, "\r\n")
	return id
}

// runID asks a server for it; empty: it does not answer.
func (s *sentinels) runID(ctx context.Context, address string) string {
	o := s.server
	o.Addr = address
	client := redis.NewClient(&o)
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, socketTimeout)
	defer cancel()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return ""
	}
	return RunID(info)
}

// view is what one Sentinel knows of the master.
type view struct {
	told      bool   // it has answered
	epoch     uint64 // of a later fail-over it is higher
	address   string
	runID     string // of the server that was there some seconds ago; empty: none was
	replacing bool   // it is being replaced, by order of this Sentinel
}

// look asks all Sentinels at once.
func (s *sentinels) look(ctx context.Context) []view {
	ctx, cancel := context.WithTimeout(ctx, socketTimeout)
	defer cancel()
	views := make([]view, len(s.clients))
	var asking sync.WaitGroup
	for i, client := range s.clients {
		asking.Go(func() {
			told, err := client.Master(ctx, s.master).Result()
			if err != nil {
				return
			}
			epoch, err := strconv.ParseUint(told["config-epoch"], 10, 64)
			views[i] = view{
				told: err == nil, epoch: epoch, address: net.JoinHostPort(told["ip"], told["port"]), runID: told["runid"],
				replacing: strings.Contains(told["flags"], "failover_in_progress"),
			}
		})
	}
	asking.Wait()
	return views
}
