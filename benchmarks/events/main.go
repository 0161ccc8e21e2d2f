// Command events measures the sources of a loop that carry no bytes: a million timers, how long signals, ends of
// children, changes of files and functions from other goroutines take to their callback, what a turn costs beside
// ten thousand sources, and whether an idle loop sleeps. Beside each stands what a Go program uses without this
// library, in the same rounds. README.md in the folder above says what the figures mean.
//
//	go run ./events [--rounds 5] [--only timers,latency,turn,idle] [--timers 1000000] [--samples 500] [--idle 10s]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// othersLimit is the share of the CPUs above which a measurement is called disturbed.
const othersLimit = 0.05

type options struct {
	rounds  int
	timers  int
	samples int
	idle    time.Duration
	only    run.Only
}

func main() {
	o := options{rounds: 5, timers: 1_000_000, samples: 500, idle: 10 * time.Second}
	flag.IntVar(&o.rounds, "rounds", o.rounds, "rounds; everything runs once in each")
	flag.IntVar(&o.timers, "timers", o.timers, "timers at once")
	flag.IntVar(&o.samples, "samples", o.samples, "events of each kind in a round")
	flag.DurationVar(&o.idle, "idle", o.idle, "how long the idle loop is watched")
	flag.Func("only", "sections: timers,latency,turn,idle", func(s string) error { o.only = run.Only(s); return nil })
	run.Main(o.benchmark)
}

var sections = []string{"timers", "latency", "turn", "idle"}

func (o *options) benchmark(ctx context.Context, programs *run.Programs) error {
	if o.rounds < 1 || o.timers < 1000 || o.samples < 10 || o.idle < time.Second || flag.NArg() > 0 {
		return errors.New("usage: --rounds, --timers, --samples are positive, --idle at least 1s, no arguments")
	}
	if err := o.only.Check(sections); err != nil {
		return err
	}
	for _, section := range []struct {
		name string
		run  func() error
	}{
		{"timers", func() error { return o.million(ctx) }},
		{"latency", func() error { return o.latency(ctx, programs) }},
		{"turn", func() error { return o.turn(ctx) }},
		{"idle", func() error { return o.sleep(ctx) }},
	} {
		if !o.only.Wants(section.name, sections) {
			continue
		}
		if err := section.run(); err != nil {
			return fmt.Errorf("%s: %w", section.name, err)
		}
	}
	return ctx.Err()
}

// undisturbed measures again, a few times, while others take more of the machine than othersLimit.
func undisturbed[T any](measure func() (T, error)) (result T, others float64, err error) {
	const tries = 3
	for range tries {
		watch, err := watchOthers()
		if err != nil {
			return result, 0, err
		}
		if result, err = measure(); err != nil {
			return result, 0, err
		}
		if others, err = watch(); err != nil || others <= othersLimit {
			return result, others, err
		}
	}
	return result, others, nil
}

// watchOthers begins to watch what other processes than this take of the CPUs that it may use; the function it returns
// ends that.
func watchOthers() (end func() (share float64, err error), err error) {
	cpus, err := ownCPUs()
	if err != nil {
		return nil, err
	}
	busy, err := run.CPUsBusy(cpus...)
	if err != nil {
		return nil, err
	}
	own, err := run.ProcessCPU(os.Getpid())
	if err != nil {
		return nil, err
	}
	start := time.Now()
	return func() (float64, error) {
		busyNow, err := run.CPUsBusy(cpus...)
		if err != nil {
			return 0, err
		}
		ownNow, err := run.ProcessCPU(os.Getpid())
		if err != nil {
			return 0, err
		}
		others := (busyNow - busy) - (ownNow - own)
		return max(0, float64(others)/float64(len(cpus))/float64(time.Since(start))), nil
	}, nil
}
