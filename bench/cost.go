package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what the processes have used of a CPU so far, all their threads,
// user and system. It is read from their CPU clocks: the same account as utime
// and stime in /proc/PID/stat, in nanoseconds instead of ticks of 10 ms.
func cpuTime(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		const scheduler = 2 // CPUCLOCK_SCHED: see clock_getcpuclockid(3)
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|scheduler), &t); err != nil {
			return 0, fmt.Errorf("reading the CPU clock of process %d: %w", pid, err)
		}
		sum += time.Duration(t.Nano())
	}
	return sum, nil
}

// resident is the processes' resident memory in bytes: VmRSS.
func resident(pids []int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		_, line, _ := bytes.Cut(status, []byte("\nVmRSS:"))
		kib, _, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		n, err := strconv.ParseInt(kib, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("process %d has no VmRSS", pid)
		}
		sum += n << 10
	}
	return sum, nil
}

// family is a process and its children.
func family(pid int) ([]int, error) {
	pids := []int{pid}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // not a process
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil {
			continue // it has ended
		}
		// The name in parentheses may hold anything; behind it come the state and the parent.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(pid) {
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// coreTime is how long the cores have been at work so far, whoever for, in
// steps of a tick (10 ms).
func coreTime(set unix.CPUSet) (time.Duration, error) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Linux runs Go
	var ticks int64
	file, err := os.Open("/proc/stat")
	if err != nil {
		return 0, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 9 {
			continue
		}
		core, err := strconv.Atoi(strings.TrimPrefix(fields[0], "cpu"))
		if err != nil || !set.IsSet(core) {
			continue
		}
		for i, field := range fields[1:9] {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/stat: %w", err)
			}
			const idle, iowait = 3, 4
			if i != idle && i != iowait {
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * tick, nil
}
