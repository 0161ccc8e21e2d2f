// Command call compares RPC systems by calls over a Unix stream socket: CPU time
// of the server per call, as a ratio of this project to each of the others, latency,
// rate and allocations. README.md in the folder above says what the figures mean.
//
//	go run ./call [--rounds 6] [--slice 500ms] [--only PART,...] [--json]
//
// It starts programs of its own only, talks over sockets in a temporary folder
// only, and ends its programs by process ID, also when it is interrupted.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

type options struct {
	run.Options
	only run.Only
	idle int
	json bool
}

func main() {
	o := options{Options: run.Options{Rounds: 6, Slice: 500 * time.Millisecond, Warmup: 200 * time.Millisecond}}
	o.Flags()
	flag.StringVar((*string)(&o.only), "only", "", "comma separated scenarios (1, 1-spin, 100, idle) and servers (textline, gob, grpc); eventdispatcher always runs")
	flag.IntVar(&o.idle, "idle", 5000, "idle connections")
	flag.BoolVar(&o.json, "json", false, "print every slice as JSON instead of tables")
	run.Main(o.benchmark)
}

func (o *options) benchmark(ctx context.Context, programs *run.Programs) error {
	if err := o.Check(); err != nil {
		return err
	}
	if o.idle < 1 {
		return errors.New("usage: --idle is positive")
	}
	if err := o.only.Check(scenarioNames(), serverNames()); err != nil {
		return err
	}
	b, err := build(ctx, programs, *o)
	if err != nil {
		return err
	}
	var all []slice
	for _, s := range scenarios {
		if !o.only.Wants(s.name, scenarioNames()) {
			continue
		}
		slices, err := b.scenario(ctx, s)
		if err != nil {
			return err
		}
		all = append(all, slices...)
		switch {
		case o.json:
		case s.idle:
			printIdle(os.Stdout, o.idle, slices)
		default:
			printScenario(os.Stdout, s, slices)
		}
	}
	if o.json {
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	return nil
}
