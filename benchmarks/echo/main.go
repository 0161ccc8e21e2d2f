// Command echo compares echo servers: CPU time per request as a ratio to a C
// server, latency, rate, and memory per idle connection. README.md in the folder
// above says what the figures mean.
//
//	go run ./echo [--rounds 6] [--slice 500ms] [--only PART,...] [--json]
//
// It starts programs of its own only, on the loopback interface only, and ends
// them by process ID, also when it is interrupted.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

type options struct {
	rounds       int
	slice        time.Duration
	warmup       time.Duration
	only         run.Only
	idle         int
	serverCPU    int
	generatorCPU int
	json         bool
}

// report is what --json prints.
type report struct {
	Slices []slice    `json:"slices,omitempty"`
	Idle   []idleCost `json:"idle,omitempty"`
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 6, "rounds; every server runs once in each")
	flag.DurationVar(&o.slice, "slice", 500*time.Millisecond, "measured time of a server in a round")
	flag.DurationVar(&o.warmup, "warmup", 200*time.Millisecond, "time before the measured time")
	flag.StringVar((*string)(&o.only), "only", "", "comma separated scenarios (a, a-spin, b, c, idle) and servers (c-epoll, eventdispatcher, net, netpoll)")
	flag.IntVar(&o.idle, "idle", 5000, "idle connections")
	flag.IntVar(&o.serverCPU, "server-cpu", 0, "CPU of the server")
	flag.IntVar(&o.generatorCPU, "load-cpu", 1, "CPU of the load generator")
	flag.BoolVar(&o.json, "json", false, "print every slice as JSON instead of tables")
	flag.Parse()
	log.SetFlags(0)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := benchmark(ctx, o); ctx.Err() != nil {
		log.Fatal("interrupted")
	} else if err != nil {
		log.Fatal(err)
	}
}

func benchmark(ctx context.Context, o options) error {
	if o.rounds < 1 || o.slice < time.Millisecond || o.idle < 1 || flag.NArg() > 0 {
		return fmt.Errorf("usage: --rounds, --slice and --idle are positive, no arguments")
	}
	if err := o.only.Check(scenarioNames(), serverNames()); err != nil {
		return err
	}
	programs, err := run.NewPrograms(ctx)
	if err != nil {
		return err
	}
	defer programs.Close()
	b, err := build(ctx, programs, o)
	if err != nil {
		return err
	}
	var r report
	for _, s := range scenarios {
		if !o.only.Wants(s.name, scenarioNames()) {
			continue
		}
		slices, err := b.scenario(ctx, s)
		if err != nil {
			return err
		}
		r.Slices = append(r.Slices, slices...)
		if !o.json {
			printScenario(os.Stdout, s, slices)
		}
	}
	if o.only.Wants(idleName, scenarioNames()) {
		if r.Idle, err = b.idle(ctx); err != nil {
			return err
		}
		if !o.json {
			printIdle(os.Stdout, o.idle, r.Idle)
		}
	}
	if o.json {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	return nil
}
