// Command storm measures how long the requests of four TLS connections that stay take while clients connect
// over TLS, shake hands and leave, as fast as they can: this project against package net with crypto/tls.
// README.md in the folder above says what the figures mean.
//
//	go run ./storm [--rounds 6] [--slice 2s] [--clients 32] [--both-cpus]
//
// It starts programs of its own only, on the loopback interface only, and ends them by process ID, also
// when it is interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

const (
	conns    = 4
	interval = 5 * time.Millisecond

	// processors is GOMAXPROCS of the servers: one for the loop, one for the handshakes.
	processors = 2

	target = 1.5 // ratio of the p99

	// othersLimit is the share of the CPUs above which a slice is called disturbed. It is strict: the p99 is
	// made by one gap in a hundred.
	othersLimit = 0.02
)

type options struct {
	run.Options
	clients  int
	bothCPUs bool
}

func main() {
	o := options{Options: run.Options{Rounds: 6, Slice: 2 * time.Second, Warmup: 300 * time.Millisecond}}
	o.Flags()
	flag.IntVar(&o.clients, "clients", 32, "clients of the storm at the same time")
	flag.BoolVar(&o.bothCPUs, "both-cpus", false, "the server may use the generators' CPU too")
	run.Main(o.benchmark)
}

type server struct {
	name, dir, program string
}

// slice is one server in one round, with a storm or without.
type slice struct {
	run.Measured
	handshakes float64 // per second
	busy       float64 // share of the server's CPU that the server takes
	stormBusy  float64 // share of the generators' CPU that the storm takes
}

// turn is a server that runs once in a round.
type turn struct {
	server
	storm bool
}

func (o *options) benchmark(ctx context.Context, p *run.Programs) error {
	if err := o.Check(); err != nil {
		return err
	}
	if o.clients < 1 || o.Slice > 30*time.Second {
		return errors.New("usage: --clients is positive, --slice at most 30s")
	}
	load, err := p.Go(ctx, "storm/load")
	if err != nil {
		return err
	}
	var turns []turn
	for _, s := range []server{{name: "net+tls", dir: "peers/nettls"}, {name: "eventdispatcher", dir: "tls/server"}} {
		if s.program, err = p.Go(ctx, s.dir); err != nil {
			return err
		}
		turns = append(turns, turn{s, false}, turn{s, true})
	}
	all := make([][]slice, len(turns)) // by turn, then by round
	for round := range o.Rounds {
		for i := range turns {
			k := (i + round) % len(turns)
			run.Progress("round %d of %d: %s", round+1, o.Rounds, turns[k].name)
			s, err := run.Quiet(othersLimit,
				func() (slice, error) { return o.measure(ctx, load, turns[k]) },
				func(s *slice) *run.Measured { return &s.Measured })
			if err != nil {
				return fmt.Errorf("%s: %w", turns[k].name, err)
			}
			all[k] = append(all[k], s)
		}
	}
	run.Progress("")
	o.report(os.Stdout, turns, all)
	return nil
}

// measure runs one server once.
func (o *options) measure(ctx context.Context, load string, t turn) (s slice, err error) {
	cpus := []int{o.ServerCPU}
	if o.bothCPUs {
		cpus = append(cpus, o.LoadCPU)
	}
	srv, err := run.StartServerOn(ctx, cpus, processors, 1, t.program)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	generator := func(args ...string) run.Generator {
		return run.Generator{
			Program: load, CPU: o.LoadCPU, Limit: o.Warmup + o.Slice + 20*time.Second,
			Args: append([]string{"--port", srv.Addrs[0], "--warmup", o.Warmup.String()}, args...),
		}
	}
	steady := generator("--steady", strconv.Itoa(conns), "--interval", interval.String(), "--window", o.Slice.String())
	if !t.storm {
		s.Measured, err = run.Measure(ctx, srv, o.ServerCPU, steady)
		return s, err
	}
	storm, err := generator("--storm", strconv.Itoa(o.clients)).Start(ctx, "storming")
	if err != nil {
		return s, err
	}
	begin := time.Now()
	var cpu [2][2]time.Duration // at both ends: of the server, of the storm
	for i := range cpu {
		for k, pid := range []int{srv.PID(), storm.PID()} {
			var e error
			cpu[i][k], e = run.ProcessCPU(pid)
			err = errors.Join(err, e)
		}
		if i == 0 && err == nil {
			s.Measured, err = run.Measure(ctx, srv, o.ServerCPU, steady, storm.PID())
		}
	}
	took := time.Since(begin)
	s.busy = float64(cpu[1][0]-cpu[0][0]) / float64(took)
	s.stormBusy = float64(cpu[1][1]-cpu[0][1]) / float64(took)
	made, stopErr := storm.Stop()
	s.handshakes = made.Rate()
	return s, errors.Join(err, stopErr)
}

func (o *options) report(w io.Writer, turns []turn, all [][]slice) {
	fmt.Fprintf(w, "%d connections with a request of 64 bytes every %v, %d clients that connect; rounds: %d\n\n", conns, interval, o.clients, o.Rounds)
	fmt.Fprintln(w, "| server | beside | p50 µs | p99 µs | max µs | handshakes/s | p99, ratio to net+tls (min–max) | busy: server, storm, others |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	column := func(k int, value func(slice) float64) []float64 {
		var v []float64
		for _, s := range all[k] {
			v = append(v, value(s))
		}
		return v
	}
	others := func(k int) float64 { return run.Median(column(k, func(s slice) float64 { return s.Others })) }
	for k, t := range turns {
		beside, handshakes, busy, base := "nothing", "–", "–, –", 0
		if t.storm {
			base = 1
			beside = "a storm"
			busy = fmt.Sprintf("%.0f %%, %.0f %%", 100*run.Median(column(k, func(s slice) float64 { return s.busy })),
				100*run.Median(column(k, func(s slice) float64 { return s.stormBusy })))
			handshakes = fmt.Sprintf("%.0f", run.Median(column(k, func(s slice) float64 { return s.handshakes })))
		}
		p99 := column(k, func(s slice) float64 { return s.P99 })
		var ratios []float64
		for i, s := range all[base] {
			ratios = append(ratios, p99[i]/s.P99)
		}
		verdict, note := "", ""
		if t.storm && k != base {
			verdict = run.Verdict(run.Median(ratios), target, max(others(k), others(base)) > othersLimit)
		}
		if others(k) > othersLimit {
			note = " disturbed"
		}
		fmt.Fprintf(w, "| %s | %s | %.0f | %.0f | %.0f | %s | %.2f (%.2f–%.2f)%s | %s, %.1f %%%s |\n", t.name, beside,
			run.Median(column(k, func(s slice) float64 { return s.P50 })), run.Median(p99),
			run.Quantile(column(k, func(s slice) float64 { return s.Max }), 1), handshakes,
			run.Median(ratios), run.Quantile(ratios, 0), run.Quantile(ratios, 1), verdict, busy, 100*others(k), note)
	}
	fmt.Fprintln(w)
}
