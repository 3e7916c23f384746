package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A rig is everything that is there while measuring. It belongs to one goroutine.
type rig struct {
	options  options
	cores    cores
	dir      string // everything that is written is in it
	root     string // of the module
	binary   string // Tollgate
	earlier  string // the binary of an earlier one; empty: none is measured
	nginx    string
	version  string // of Tollgate
	since    string // the earlier one's
	started  []*process
	folders  int
	progress *progress
}

func newRig(ctx context.Context, o options, stderr io.Writer) (_ *rig, err error) {
	r := &rig{options: o, progress: newProgress(stderr)}
	if err := enoughFiles(); err != nil {
		return nil, err
	}
	if r.nginx, err = exec.LookPath("nginx"); err != nil {
		r.nginx = "/usr/sbin/nginx" // which is not in everybody's PATH
		if _, err := os.Stat(r.nginx); err != nil {
			return nil, errors.New("nginx is missing: install it (scripts/bench-deps does so with apt-get, as root)")
		}
	}
	if r.cores, err = planCores(); err != nil {
		return nil, err
	}
	if r.dir, err = os.MkdirTemp("", "tollgate-bench-"); err != nil {
		return nil, err
	}
	if err := r.build(ctx); err != nil {
		return nil, errors.Join(err, r.close())
	}
	if err := r.cores.keepOff(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// enoughFiles: a gateway needs two connections for each of 2,000 streams. Go
// raises its own limit to the hard one, and nginx by its configuration.
func enoughFiles() error {
	const need = 8192
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < need {
		return fmt.Errorf("only %d files may be open at once, %d are needed: raise the hard limit (ulimit -Hn)", limit.Max, need)
	}
	return nil
}

// build compiles Tollgate as `make build` does.
func (r *rig) build(ctx context.Context) error {
	module, err := output(ctx, ".", "go", "env", "GOMOD")
	if err != nil {
		return err
	}
	r.root = filepath.Dir(module)
	if r.version, err = output(ctx, r.root, "git", "describe", "--tags", "--always", "--dirty"); err != nil {
		r.version = "devel" // not a checkout
	}
	r.binary = filepath.Join(r.dir, "tollgate")
	if err := r.compile(ctx, r.root, r.version, r.binary); err != nil || r.options.before == "" {
		return err
	}
	return r.buildEarlier(ctx)
}

func (r *rig) compile(ctx context.Context, source, version, binary string) error {
	r.progress.say("building Tollgate %s", version)
	_, err := output(ctx, source, "go", "build", "-trimpath", "-ldflags", "-X main.version="+version, "-o", binary, "./cmd/tollgate")
	return err
}

// buildEarlier compiles a commit, in a folder of its own: nothing happens to the checkout.
func (r *rig) buildEarlier(ctx context.Context) (err error) {
	if r.since, err = output(ctx, r.root, "git", "describe", "--tags", "--always", r.options.before); err != nil {
		return err
	}
	source, err := r.folder("source")
	if err != nil {
		return err
	}
	packed := source + ".tar"
	if _, err := output(ctx, r.root, "git", "archive", "--format=tar", "--output="+packed, r.options.before); err != nil {
		return err
	}
	if _, err := output(ctx, source, "tar", "-xf", packed); err != nil {
		return err
	}
	r.earlier = filepath.Join(r.dir, "tollgate-before")
	return r.compile(ctx, source, r.since, r.earlier)
}

// output runs a command to its end and returns what it printed.
func output(ctx context.Context, folder, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = folder
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", program, args[0], err, complaint.String())
	}
	return strings.TrimSpace(out.String() + complaint.String()), nil
}

// close ends every process and removes every file.
func (r *rig) close() error {
	var errs []error
	for _, p := range slices.Backward(r.started) {
		errs = append(errs, p.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(r.dir))...)
}

func (r *rig) launch(set unix.CPUSet, folder, name, program string, args ...string) (*process, error) {
	p, err := launch(set, folder, name, program, args...)
	if err == nil {
		r.started = append(r.started, p)
	}
	return p, err
}

// folder makes a folder for a process.
func (r *rig) folder(name string) (string, error) {
	r.folders++
	path := filepath.Join(r.dir, fmt.Sprintf("%s-%d", name, r.folders))
	return path, os.Mkdir(path, 0o700)
}

// startProvider starts the simulated provider and returns its address.
func (r *rig) startProvider(ctx context.Context, gap time.Duration) (*gateway, error) {
	folder, err := r.folder("provider")
	if err != nil {
		return nil, err
	}
	p, err := r.launch(r.cores.load, folder, "provider", r.binary, "simulate", "--fast", "--listen", "127.0.0.1:0", "--gap", gap.String())
	if err != nil {
		return nil, err
	}
	line, err := p.await(ctx, "http://")
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	_, url, _ := strings.Cut(line, "http://")
	addr, path, _ := strings.Cut(url, "/")
	return &gateway{name: "direct", process: p, addr: addr, path: "/" + path + "/chat/completions", secret: "any"}, nil
}

// ask sends one request, of whose answer nothing is known before.
func ask(ctx context.Context, g *gateway, body string) (answer, error) {
	l := newLoad(g, body, answer{})
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errHangs)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.gateway.addr)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close() //nolint:errcheck // everything that matters was read
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	got, err := newClient(conn, l.meter).exchange(l.request)
	if err != nil {
		return answer{}, fmt.Errorf("asking %s: %w", g.name, err)
	}
	g.served.Add(1)
	return got, nil
}
