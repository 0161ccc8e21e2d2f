// Package compare is the runner of the benchmarks that compare echo servers: every server runs once in
// a round, and its CPU time per request is divided by that of the first server in the same round.
package compare

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// Server is one of the programs that are compared.
type Server struct {
	Name string
	C    string   // the program in ../c, or
	Dir  string   // the folder of a Go command
	Args []string // its arguments
	Unix bool     // the path of a Unix socket follows them
	Ours bool     // the targets are for this one
}

// Scenario is one way of loading a server.
type Scenario struct {
	Name   string
	Conns  int      // connections, or flows
	Size   int      // bytes in a request
	Depth  int      // requests in flight on a connection
	Spin   bool     // the generator never sleeps
	Load   []string // more arguments of the generator
	Target float64  // ratio to the first server; 0: none
}

// Benchmark is what a runner compares.
type Benchmark struct {
	Servers   []Server // the first one is the baseline
	Scenarios []Scenario
	// Generator is the folder of a Go command that takes the flags of c/load.c. Empty: c/load.c.
	Generator string
	// Idle is how many idle connections have their memory measured. Zero: none.
	Idle int
	// IdleTarget is how many bytes each may take.
	IdleTarget float64
	// Rounds is the default. Zero: 6.
	Rounds int
}

// othersLimit is the share of the CPUs above which a slice is called disturbed.
const othersLimit = 0.05

const idleName = "idle"

// slice is what one server did in one round of one scenario.
type slice struct {
	Scenario string `json:"scenario"`
	Server   string `json:"server"`
	Round    int    `json:"round"`
	run.Measured
}

// report is what --json prints.
type report struct {
	Slices []slice    `json:"slices,omitempty"`
	Idle   []idleCost `json:"idle,omitempty"`
}

// bench is a Benchmark with its flags and what has been built.
type bench struct {
	Benchmark
	run.Options
	only     run.Only
	loadArgs string
	json     bool
	programs *run.Programs
	load     string
	program  map[string]string
	started  int // servers, for the names of their sockets
}

// Main is the main function of a runner.
func (b Benchmark) Main() {
	if b.Rounds == 0 {
		b.Rounds = 6
	}
	r := &bench{Benchmark: b, Options: run.Options{Rounds: b.Rounds, Slice: 500 * time.Millisecond, Warmup: 200 * time.Millisecond}}
	r.Flags()
	flag.StringVar((*string)(&r.only), "only", "", fmt.Sprintf("comma separated scenarios (%s) and servers (%s); %s always runs",
		strings.Join(r.scenarioNames(), ", "), strings.Join(r.serverNames(), ", "), b.Servers[0].Name))
	if b.Idle > 0 {
		flag.IntVar(&r.Idle, "idle", b.Idle, "idle connections")
	}
	flag.StringVar(&r.loadArgs, "load-args", "", "more arguments of the generator, separated by blanks")
	flag.BoolVar(&r.json, "json", false, "print every slice as JSON instead of tables")
	run.Main(r.run)
}

func (b *bench) scenarioNames() []string {
	var names []string
	for _, s := range b.Scenarios {
		names = append(names, s.Name)
	}
	if b.Benchmark.Idle > 0 {
		names = append(names, idleName)
	}
	return names
}

func (b *bench) serverNames() []string {
	var names []string
	for _, s := range b.Servers {
		names = append(names, s.Name)
	}
	return names
}

func (b *bench) run(ctx context.Context, p *run.Programs) error {
	if err := b.Check(); err != nil {
		return err
	}
	if err := b.only.Check(b.scenarioNames(), b.serverNames()); err != nil {
		return err
	}
	if err := b.build(ctx, p); err != nil {
		return err
	}
	var r report
	for _, s := range b.Scenarios {
		if !b.only.Wants(s.Name, b.scenarioNames()) {
			continue
		}
		slices, err := b.scenario(ctx, s)
		if err != nil {
			return err
		}
		r.Slices = append(r.Slices, slices...)
		if !b.json {
			b.printScenario(os.Stdout, s, slices)
		}
	}
	if b.Idle > 0 && b.only.Wants(idleName, b.scenarioNames()) {
		var err error
		if r.Idle, err = b.idle(ctx); err != nil {
			return err
		}
		if !b.json {
			b.printIdle(os.Stdout, r.Idle)
		}
	}
	if b.json {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	return nil
}

// build builds the generator and the servers that are wanted; the baseline always is.
func (b *bench) build(ctx context.Context, p *run.Programs) (err error) {
	b.programs, b.program = p, map[string]string{}
	if b.Generator != "" {
		b.load, err = p.Go(ctx, b.Generator)
	} else {
		b.load, err = p.C(ctx, "load")
	}
	if err != nil {
		return err
	}
	first, names := b.Servers[0].Name, b.serverNames()
	b.Servers = slices.DeleteFunc(slices.Clone(b.Servers), func(s Server) bool {
		return s.Name != first && !b.only.Wants(s.Name, names)
	})
	for _, s := range b.Servers {
		if s.C != "" {
			b.program[s.Name], err = p.C(ctx, s.C)
		} else {
			b.program[s.Name], err = p.Go(ctx, s.Dir)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) start(ctx context.Context, s Server) (*run.Server, error) {
	argv := append([]string{b.program[s.Name]}, s.Args...)
	if s.Unix {
		b.started++
		argv = append(argv, b.programs.Path(strconv.Itoa(b.started)))
	}
	return run.StartServer(ctx, b.ServerCPU, 1, argv...)
}

// scenario runs the rounds; the order of the servers is rotated in each.
func (b *bench) scenario(ctx context.Context, sc Scenario) ([]slice, error) {
	var all []slice
	for round := range b.Options.Rounds {
		for i := range b.Servers {
			s := b.Servers[(i+round)%len(b.Servers)]
			r, err := run.Quiet(othersLimit,
				func() (slice, error) { return b.slice(ctx, sc, s) },
				func(r *slice) *run.Measured { return &r.Measured })
			if err != nil {
				return nil, fmt.Errorf("%s, scenario %s: %w", s.Name, sc.Name, err)
			}
			r.Round = round
			all = append(all, r)
			run.Progress("%s, round %d of %d: %s", sc.Name, round+1, b.Options.Rounds, s.Name)
		}
	}
	run.Progress("")
	return all, nil
}

// slice starts a server, loads it and ends it.
func (b *bench) slice(ctx context.Context, sc Scenario, s Server) (r slice, err error) {
	r = slice{Scenario: sc.Name, Server: s.Name}
	srv, err := b.start(ctx, s)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	r.Measured, err = run.Measure(ctx, srv, b.ServerCPU, run.Load{
		Program: b.load, CPU: b.LoadCPU, Port: srv.Addrs[0], PID: srv.PID(),
		Conns: sc.Conns, Size: sc.Size, Depth: sc.Depth, Spin: sc.Spin, Warmup: b.Warmup, Window: b.Slice,
		More: append(slices.Clone(sc.Load), strings.Fields(b.loadArgs)...),
	}.Generator())
	return r, err
}
