package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// othersLimit is the share of the CPUs above which the times are called disturbed.
const othersLimit = 0.05

// watchOthers begins to watch what other processes than this and its children take of the CPUs that it may use; the
// function it returns ends that.
func watchOthers() (end func() (share float64, err error), err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	begin := time.Now()
	before, err := othersBusy(cpus)
	if err != nil {
		return nil, err
	}
	return func() (float64, error) {
		after, err := othersBusy(cpus)
		if err != nil {
			return 0, err
		}
		return max(0, float64(after-before)/float64(len(cpus))/float64(time.Since(begin))), nil
	}, nil
}

// othersBusy is how long the CPUs have worked for others.
func othersBusy(cpus []int) (time.Duration, error) {
	busy, err := run.CPUsBusy(cpus...)
	if err != nil {
		return 0, err
	}
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			return 0, os.NewSyscallError("getrusage", err)
		}
		busy -= time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return busy, nil
}
