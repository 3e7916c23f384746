package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Server is one redis-server process.
type Server struct {
	t        testing.TB
	o        options
	ca       *authority
	dir      string
	address  string
	busPort  int // of a Cluster's node
	sentinel bool
	lines    []string
	process  *process
	asking   *redis.Client // for what is asked again and again
}

// Start starts a server that is empty, and waits until it answers.
func Start(t testing.TB, list ...Option) *Server {
	t.Helper()
	o := optionsOf(list)
	return launch(t, &Server{o: o, ca: authorityFor(t, o), lines: o.dataDirectives()})
}

// startAttempts bounds how often a taken port is replaced by another.
const startAttempts = 10

func launch(t testing.TB, s *Server) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is missing: run scripts/test-deps")
	}
	s.t, s.dir = t, t.TempDir()
	t.Cleanup(s.Kill)
	var err error
	for range startAttempts {
		s.address, s.busPort = fmt.Sprintf("127.0.0.1:%d", freePort(t)), freePort(t)
		if err = s.run(); err == nil {
			return s
		}
	}
	t.Fatalf("redis-server does not start: %v", err)
	return nil
}

// freePort returns a port that nobody listens on. It is below the range from
// which systems take the ports of outgoing connections: one from that range may
// be given away while a server is down, and who dials it may then reach itself.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// run starts the process and waits until it, and no other, answers at the address.
func (s *Server) run() error {
	conf, log := filepath.Join(s.dir, "redis.conf"), filepath.Join(s.dir, "redis.log")
	// A Sentinel keeps what it learned in its file, which a restart must not overwrite.
	if _, err := os.Stat(conf); err != nil || !s.sentinel || s.process == nil {
		if err := os.WriteFile(conf, []byte(strings.Join(s.conf(log), "\n")+"\n"), 0o600); err != nil {
			return err
		}
	}
	args := []string{conf}
	if s.sentinel {
		args = append(args, "--sentinel")
	}
	p, err := startProcess(exec.Command("redis-server", args...))
	if err != nil {
		return err
	}
	s.process, err = p, errors.New("it ended at once")
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && p.alive(); time.Sleep(pollEvery) {
		if err = s.answers(); err == nil {
			return nil
		}
	}
	p.end(syscall.SIGKILL)
	said, _ := os.ReadFile(log)
	return fmt.Errorf("%w\n%s", err, said)
}

// answers checks that our process, its data loaded, serves the address, and not another that got the port first.
func (s *Server) answers() error {
	// The client writes to standard error when nobody listens.
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		return err
	}
	_ = conn.Close()
	client := redis.NewClient(s.Options())
	defer func() { _ = client.Close() }()
	info, err := client.Info(context.Background()).Result()
	switch mine := fmt.Sprintf("process_id:%d\r\n", s.process.cmd.Process.Pid); {
	case err != nil:
		return err
	case !strings.Contains(info, mine):
		return fmt.Errorf("another server is at %s", s.address)
	case strings.Contains(info, "loading:1\r\n"):
		return fmt.Errorf("%s still loads its data", s.address)
	}
	return nil
}

func (s *Server) conf(log string) []string {
	_, port, _ := net.SplitHostPort(s.address)
	lines := []string{"bind 127.0.0.1", "dir " + s.dir, "logfile " + log, "daemonize no"}
	if s.ca == nil {
		lines = append(lines, "port "+port)
	} else {
		lines = append(lines, "port 0", "tls-port "+port, "tls-auth-clients no", "tls-replication yes", "tls-cluster yes",
			"tls-ca-cert-file "+s.ca.caFile, "tls-cert-file "+s.ca.certFile, "tls-key-file "+s.ca.keyFile)
	}
	if !s.sentinel {
		lines = append(lines, fmt.Sprintf("cluster-port %d", s.busPort))
	}
	return append(lines, s.lines...)
}

// Address is the server's host:port. It stays the same over a restart.
func (s *Server) Address() string { return s.address }

// CAFile is the PEM file of the authority that signed the server's certificate; empty without WithTLS.
func (s *Server) CAFile() string {
	if s.ca == nil {
		return ""
	}
	return s.ca.caFile
}

// Options are those of a client that may do everything at this server.
func (s *Server) Options() *redis.Options {
	o := &redis.Options{
		Addr: s.address, Username: s.o.user, Password: s.o.password, DisableIdentity: true, MaxRetries: -1,
		DialerRetries: 1, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if s.sentinel {
		o.Username, o.Password = "", s.o.sentinelPassword
	}
	if s.ca != nil {
		o.TLSConfig = s.ca.client
	}
	return o
}

// Client returns a client that may do everything at this server, and closes it with the test.
func (s *Server) Client(t testing.TB) *redis.Client {
	t.Helper()
	client := redis.NewClient(s.Options())
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// asked is one client for many questions: each that Client returns keeps its connection to the end of the test.
func (s *Server) asked() *redis.Client {
	if s.asking == nil {
		s.asking = s.Client(s.t)
	}
	return s.asking
}

// Stop ends the server in good order: what WithAppendOnly keeps is kept.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server as a crash would.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(how syscall.Signal) {
	if s.process != nil {
		s.process.end(how)
	}
}

// Restart starts the server again at the same address, after a Stop where it still runs.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.run(); err != nil {
		s.t.Fatalf("redis-server does not start again: %v", err)
	}
}

// Pause makes the server silent, its connections open, as a machine that hangs would be.
func (s *Server) Pause() { s.process.signal(syscall.SIGSTOP) }

// Resume makes a paused server go on.
func (s *Server) Resume() { s.process.signal(syscall.SIGCONT) }
