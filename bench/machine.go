package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A machine is where and what was measured.
type machine struct {
	cpu, kernel     string
	processors      int
	cores           cores
	date            time.Time
	sync            time.Duration // of a small write to disk
	nginx, tollgate string        // versions
}

func (r *rig) machine(ctx context.Context) (machine, error) {
	m := machine{processors: runtime.NumCPU(), cores: r.cores, date: time.Now().UTC(), tollgate: r.version, cpu: "an unknown CPU"}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			m.cpu = strings.TrimSpace(value)
			break
		}
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return m, err
	}
	m.kernel = fmt.Sprintf("%s %s %s", unix.ByteSliceToString(uts.Sysname[:]), unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Machine[:]))
	if m.sync, err = syncTime(r.dir); err != nil {
		return m, err
	}
	version, err := output(ctx, r.dir, r.nginx, "-v")
	_, m.nginx, _ = strings.Cut(version, "nginx/")
	return m, err
}

// syncTime is the median time of making a few pages durable, as each commit of
// the ledger does: it bounds the requests that few connections can make.
func syncTime(folder string) (time.Duration, error) {
	file, err := os.CreateTemp(folder, "sync-")
	if err != nil {
		return 0, err
	}
	defer file.Close() //nolint:errcheck // its content is of no use
	var took []time.Duration
	for n := range int64(50) {
		const pages = 16 << 10
		if _, err := file.WriteAt(make([]byte, pages), n*pages); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := unix.Fdatasync(int(file.Fd())); err != nil {
			return 0, fmt.Errorf("fdatasync: %w", err)
		}
		took = append(took, time.Since(began))
	}
	return medianOf(took), nil
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d processors, %s; %s", m.cpu, m.processors, m.kernel, m.cores)
}
