// Command tools measures what the tools of this project weigh: the size of each program, and how long it takes to
// start, do the smallest thing it is for, and end, compared with a Go program that does nothing. README.md in the
// folder above says what the figures mean.
//
//	go run ./tools [--rounds 200] [--only ed-signal,...]
//
// The exit status is 1 when a program is larger than its target. Times don't count for that: machines are noisy.
//
// Everything it makes is in a temporary folder. It signals nobody: ed-stop is given a PID that no process can have.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// maxRounds keeps a slip of the finger from running for hours.
const maxRounds = 10_000

type options struct {
	rounds int
	only   run.Only
	size   float64 // MB, the target
}

func main() {
	o := options{rounds: 200, size: targetSize}
	flag.IntVar(&o.rounds, "rounds", o.rounds, "rounds; every program runs once in each")
	flag.StringVar((*string)(&o.only), "only", "", "comma separated tools; true and the empty programs always run")
	run.Main(func(ctx context.Context, _ *run.Programs) error { return o.benchmark(ctx, os.Stdout) })
}

func (o *options) benchmark(ctx context.Context, w io.Writer) (err error) {
	if o.rounds < 1 || o.rounds > maxRounds || flag.NArg() > 0 {
		return fmt.Errorf("usage: --rounds is 1 to %d, no arguments", maxRounds)
	}
	if err := o.only.Check(toolNames()); err != nil {
		return err
	}
	b, err := newBench()
	if err != nil {
		return err
	}
	defer func() {
		if e := b.close(); err == nil {
			err = e
		}
	}()
	if err := b.build(ctx, o.only); err != nil {
		return err
	}
	watch, err := watchOthers()
	if err != nil {
		return err
	}
	all, err := b.measure(ctx, o.rounds)
	if err != nil {
		return err
	}
	others, err := watch()
	if err != nil {
		return err
	}
	b.print(w, all, o.size, others)
	if large := b.larger(o.size); len(large) > 0 {
		return fmt.Errorf("larger than %g MB: %s", o.size, strings.Join(large, ", "))
	}
	return nil
}
