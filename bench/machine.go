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
	disk            disk
	nginx, tollgate string // versions
	before          string // of the earlier Tollgate; empty: none is measured
}

func (r *rig) machine(ctx context.Context) (machine, error) {
	m := machine{processors: runtime.NumCPU(), cores: r.cores, date: time.Now().UTC(), tollgate: r.version, before: r.since, cpu: "an unknown CPU"}
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
	if m.disk, err = measureDisk(ctx, r.dir); err != nil {
		return m, err
	}
	version, err := output(ctx, r.dir, r.nginx, "-v")
	_, m.nginx, _ = strings.Cut(version, "nginx/")
	return m, err
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d processors, %s; %s", m.cpu, m.processors, m.kernel, m.cores)
}
