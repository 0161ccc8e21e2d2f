package run

import (
	"context"
	"time"
)

// Measured is a Result with what says whether to believe it.
type Measured struct {
	Result
	// Others is the share of the CPUs that went to anything but the server and
	// the generator, the hypervisor included.
	Others float64 `json:"others"`
	// Repeated is how often the measurement was thrown away because of Others.
	Repeated int `json:"repeated"`
	// Disagree is the share by which the two ways of reading the server's CPU time,
	// over its whole life, differ.
	Disagree float64 `json:"cpu_disagree"`
}

// Measure loads a server that is pinned to serverCPU. What the processes beside take is not others'.
func Measure(ctx context.Context, s *Server, serverCPU int, g Generator, beside ...int) (m Measured, err error) {
	return MeasureOn(ctx, s, []int{serverCPU, g.CPU}, g, beside...)
}

// MeasureOn is Measure for a server and a generator that may use these CPUs, each of which is named once.
func MeasureOn(ctx context.Context, s *Server, cpus []int, g Generator, beside ...int) (m Measured, err error) {
	begin := time.Now()
	var busy, server, known [2]time.Duration
	read := func(i int) error {
		var err error
		if busy[i], err = CPUsBusy(cpus...); err != nil {
			return err
		}
		for _, pid := range beside {
			cpu, err := ProcessCPU(pid)
			if err != nil {
				return err
			}
			known[i] += cpu
		}
		server[i], err = ProcessCPU(s.PID())
		return err
	}
	if err := read(0); err != nil {
		return m, err
	}
	if m.Result, err = g.Run(ctx); err != nil {
		return m, err
	}
	if err := read(1); err != nil {
		return m, err
	}
	threads, err := ThreadsCPU(s.PID())
	if err != nil {
		return m, err
	}
	m.Disagree = 1 - threads.Seconds()/server[1].Seconds()
	others := busy[1] - busy[0] - (server[1] - server[0]) - (known[1] - known[0]) - m.LoadTotal
	m.Others = max(0, others.Seconds()) / (float64(len(cpus)) * time.Since(begin).Seconds())
	return m, nil
}

const maxRepeats = 3

// Quiet calls measure again, three times at most, while others have used more
// than limit of the CPUs, and returns the one with the least. It chooses by what
// the others did, never by what the server did.
func Quiet[T any](limit float64, measure func() (T, error), measured func(*T) *Measured) (T, error) {
	var best T
	for n := range maxRepeats + 1 {
		t, err := measure()
		if err != nil {
			return t, err
		}
		if n == 0 || measured(&t).Others < measured(&best).Others {
			best = t
		}
		measured(&best).Repeated = n
		if measured(&best).Others <= limit {
			break
		}
	}
	return best, nil
}
