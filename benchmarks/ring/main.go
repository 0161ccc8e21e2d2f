// Command ring compares ways of sending messages between two processes of one machine: a ring in shared memory, a
// Unix socket, a pipe, a bare eventfd, ZeroMQ and NNG. It measures round trips, one way, and text messages through a
// dispatcher, with both processes on one CPU, on two, and where the kernel puts them. README.md in the folder above
// says what the figures mean.
//
//	go run ./ring [--rounds 5] [--slice 300ms] [--only PART,...] [--json]
//
// It starts programs of its own only, which talk over sockets in a temporary folder only, and ends them by process
// ID, also when it is interrupted.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// longest is how long a slice with its warm-up may be: after a minute the programs end by themselves.
const longest = 40 * time.Second

type options struct {
	run.Options
	only run.Only
	json bool
}

// report is what --json prints.
type report struct {
	LeftOut map[string]string `json:"left_out,omitempty"` // why, by peer
	Slices  []slice           `json:"slices"`
}

func main() {
	o := options{Options: run.Options{Rounds: 5, Slice: 300 * time.Millisecond, Warmup: 100 * time.Millisecond}}
	o.Flags()
	flag.StringVar((*string)(&o.only), "only", "", fmt.Sprintf("comma separated scenarios (%s), placements (%s) and peers (%s)",
		strings.Join(scenarioNames(), ", "), strings.Join(placementNames(), ", "), strings.Join(peerNames(), ", ")))
	flag.BoolVar(&o.json, "json", false, "print every slice as JSON instead of tables")
	run.Main(o.benchmark)
}

func (o *options) benchmark(ctx context.Context, programs *run.Programs) error {
	if err := o.Check(); err != nil {
		return err
	}
	if o.Slice+o.Warmup > longest {
		return fmt.Errorf("usage: --slice and --warmup together are %v at most", longest)
	}
	if err := o.only.Check(scenarioNames(), placementNames(), peerNames()); err != nil {
		return err
	}
	b, err := build(ctx, programs, *o)
	if err != nil {
		return err
	}
	for name, why := range b.leftOut {
		fmt.Fprintf(os.Stderr, "%s is left out: %s\n", name, why)
	}
	r := report{LeftOut: b.leftOut}
	for _, s := range scenarios() {
		for _, p := range s.placements {
			if !o.only.Wants(s.name, scenarioNames()) || !o.only.Wants(p, placementNames()) {
				continue
			}
			slices, err := b.scenario(ctx, s, p)
			if err != nil {
				return err
			}
			r.Slices = append(r.Slices, slices...)
			if !o.json && len(slices) > 0 {
				b.print(os.Stdout, s, p, slices)
			}
		}
	}
	if o.json {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	return nil
}
