package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ProcessCPU returns the user and system time that a process has used so far: the
// process CPU clock of clock_getcpuclockid(3), which has nanoseconds, sums all
// threads and keeps the time of threads that have exited.
func ProcessCPU(pid int) (time.Duration, error) {
	const cpuclockSched = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(t.Nano()), nil
}

// ThreadsCPU returns the sum over /proc/PID/task/*/schedstat, the second opinion:
// it lacks what exited threads have used.
func ThreadsCPU(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has exited
		}
		onCPU, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(onCPU, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// CPUsBusy returns the time that the given CPUs were not idle since boot, stolen
// time included, from /proc/stat. Its resolution is 10 ms.
func CPUsBusy(cpus ...int) (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100
	var sum time.Duration
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		for _, cpu := range cpus {
			if f[0] != "cpu"+strconv.Itoa(cpu) || len(f) < 9 {
				continue
			}
			for _, i := range []int{1, 2, 3, 6, 7, 8} { // user nice system irq softirq steal
				n, err := strconv.ParseInt(f[i], 10, 64)
				if err != nil {
					return 0, fmt.Errorf("/proc/stat: %w", err)
				}
				sum += time.Duration(n) * tick
			}
		}
	}
	return sum, nil
}

// Memory is what a process occupies.
type Memory struct {
	RSS          int64 // bytes
	PrivateDirty int64 // bytes
}

// ReadMemory reads /proc/PID/smaps_rollup, which counts pages; VmRSS of
// /proc/PID/status is the same figure from counters that may lag behind.
func ReadMemory(pid int) (Memory, error) {
	name := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	text, err := os.ReadFile(name)
	if err != nil {
		return Memory{}, err
	}
	var m Memory
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		var field *int64
		switch f[0] {
		case "Rss:":
			field = &m.RSS
		case "Private_Dirty:":
			field = &m.PrivateDirty
		default:
			continue
		}
		kib, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("%s: %w", name, err)
		}
		*field = kib << 10
	}
	return m, nil
}
