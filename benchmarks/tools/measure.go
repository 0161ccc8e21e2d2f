package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// runLimit is after how long a program is killed.
const runLimit = 10 * time.Second

// sample is what a program took once.
type sample struct {
	wall time.Duration // from before fork to after wait
	cpu  time.Duration // user and system
	rss  int64         // KiB, the peak
}

// series is a program with one of its jobs, and what it took in each round.
type series struct {
	program
	job
	samples []sample
}

// measure lets every program do every job once in each round, in an order that is rotated.
func (b *bench) measure(ctx context.Context, rounds int) ([]series, error) {
	var all []series
	for _, p := range b.programs {
		for _, j := range p.jobs {
			if err := b.try(ctx, p, j); err != nil {
				return nil, err
			}
			all = append(all, series{program: p, job: j})
		}
	}
	for round := range rounds {
		run.Progress("round %d of %d", round+1, rounds)
		for i := range all {
			s := &all[(i+round)%len(all)]
			took, err := b.once(ctx, s.path, s.args)
			if err != nil {
				return nil, err
			}
			s.samples = append(s.samples, took)
		}
	}
	run.Progress("")
	return all, nil
}

// environment is what the programs get: no options for a tool, no settings of the runtime.
func environment() []string { return []string{"PATH=" + os.Getenv("PATH")} }

// try does a job once and looks whether it was done: a tool that fails quickly has no figures. It also brings the
// files into memory.
func (b *bench) try(ctx context.Context, p program, j job) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, j.args...)
	cmd.Dir, cmd.Env = b.dir, environment()
	out, err := cmd.CombinedOutput()
	if err == nil && !strings.Contains(string(out), j.says) {
		err = fmt.Errorf("want %q", j.says)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w, it printed %q", p.name, strings.Join(j.args, " "), err, out)
	}
	return nil
}

// once starts a program and waits for its end, which has to be a good one.
func (b *bench) once(ctx context.Context, path string, args []string) (s sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.start, append([]string{path}, args...)...)
	cmd.Dir, cmd.Env = b.dir, environment()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return s, fmt.Errorf("%s %s: %w %s", path, strings.Join(args, " "), err, &stderr)
	}
	var cpu int64 // µs
	var status syscall.WaitStatus
	if _, err := fmt.Sscan(string(out), &s.wall, &cpu, &s.rss, &status); err != nil {
		return s, fmt.Errorf("start printed %q: %w", out, err)
	}
	if status != 0 {
		return s, fmt.Errorf("%s %s: exit status %d, signal %d", path, strings.Join(args, " "), status.ExitStatus(), status.Signal())
	}
	s.cpu = time.Duration(cpu) * time.Microsecond
	return s, nil
}
