package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// cores says who runs where: what is measured has one core to itself, everything
// else shares the others.
type cores struct {
	all, gateway, load unix.CPUSet
	pinned             bool
	measured           int // the gateways' core, when pinned
}

// A watch is whom to look at besides the gateway, to know who else was busy.
type watch struct {
	cores cores
	own   []int // this process and the provider
}

// planCores gives the gateways the last core that this process may use. With
// one core nothing is pinned.
func planCores() (cores, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return cores{}, fmt.Errorf("reading the CPU affinity: %w", err)
	}
	c := cores{all: allowed, gateway: allowed, load: allowed}
	if allowed.Count() < 2 {
		return c, nil
	}
	for n := range len(allowed) * 64 {
		if allowed.IsSet(n) {
			c.measured = n
		}
	}
	c.pinned = true
	c.gateway.Zero()
	c.gateway.Set(c.measured)
	c.load.Clear(c.measured)
	return c, nil
}

func (c cores) String() string {
	if !c.pinned {
		return "nothing pinned: there is one core for all"
	}
	return fmt.Sprintf("gateways alone on core %d, load and provider on the other %d", c.measured, c.load.Count())
}

// keepOff moves this whole process off the gateways' core. Threads that start
// later inherit it from the one that starts them.
func (c cores) keepOff() error {
	if !c.pinned {
		return nil
	}
	runtime.GOMAXPROCS(c.load.Count())
	for range 2 { // once more, for threads that started meanwhile
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, &c.load); err != nil && !os.IsNotExist(err) && err != unix.ESRCH {
				return fmt.Errorf("setting the CPU affinity: %w", err)
			}
		}
	}
	return nil
}

// on runs start on a thread that may use only these cores; a process started
// there inherits them, and Go's runtime in it counts them as its GOMAXPROCS.
func on(set unix.CPUSet, start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var own unix.CPUSet
	if err := unix.SchedGetaffinity(0, &own); err != nil {
		return fmt.Errorf("reading the CPU affinity: %w", err)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("setting the CPU affinity: %w", err)
	}
	err := start()
	if back := unix.SchedSetaffinity(0, &own); back != nil && err == nil {
		err = fmt.Errorf("restoring the CPU affinity: %w", back)
	}
	return err
}
