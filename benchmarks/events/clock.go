package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// startCPU begins to count the CPU time of this process, all threads and the garbage collector included; the function
// it returns says how much it was, in ns.
func startCPU() (end func() float64) {
	before := processCPU()
	return func() float64 { return float64(processCPU() - before) }
}

func processCPU() time.Duration {
	d, err := run.ProcessCPU(os.Getpid())
	if err != nil {
		panic(err) // a clock of one's own is always there
	}
	return d
}

// ownCPUs are the numbers of the CPUs that this process may use.
func ownCPUs() (cpus []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// now is CLOCK_MONOTONIC in ns, which other processes have as well.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(fmt.Sprint("clock_gettime: ", err))
	}
	return t.Nano()
}
