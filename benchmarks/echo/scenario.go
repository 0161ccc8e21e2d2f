package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// server is one of the programs that are compared. The first one in servers is
// the baseline.
type server struct {
	name string
	c    string   // the program in ../c, or
	dir  string   // the folder of a Go command
	args []string // its arguments
}

// othersLimit is the share of the CPUs above which a slice is called disturbed.
const othersLimit = 0.05

const ours = "eventdispatcher"

var servers = []server{
	{name: "c-epoll", c: "echo"},
	{name: ours, dir: "../examples/echo", args: []string{"--tcp", "127.0.0.1:0"}},
	{name: "net", dir: "peers/net"},
	{name: "netpoll", dir: "peers/netpoll"},
}

// scenario is one way of loading a server.
type scenario struct {
	name   string
	conns  int
	size   int     // bytes in a request
	depth  int     // requests in flight on a connection
	spin   bool    // the generator never sleeps
	target float64 // ratio to the baseline; 0: none
}

const idleName = "idle"

var scenarios = []scenario{
	{name: "a", conns: 1, size: 64, depth: 1, target: 1.15},
	{name: "a-spin", conns: 1, size: 64, depth: 1, spin: true},
	{name: "b", conns: 100, size: 64, depth: 1, target: 1.05},
	{name: "c", conns: 1000, size: 1024, depth: 16, target: 1.05},
}

func scenarioNames() []string {
	names := []string{idleName}
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

func serverNames() []string {
	var names []string
	for _, s := range servers {
		names = append(names, s.name)
	}
	return names
}

// slice is what one server did in one round of one scenario.
type slice struct {
	Scenario string `json:"scenario"`
	Server   string `json:"server"`
	Round    int    `json:"round"`
	run.Measured
}

// bench is what has been built.
type bench struct {
	options
	load    string
	servers []server
	program map[string]string
}

func build(ctx context.Context, p *run.Programs, o options) (*bench, error) {
	b := &bench{options: o, program: map[string]string{}}
	var err error
	if b.load, err = p.C(ctx, "load"); err != nil {
		return nil, err
	}
	for i, s := range servers {
		if i > 0 && !o.only.Wants(s.name, serverNames()) {
			continue // the baseline always runs
		}
		if s.c != "" {
			b.program[s.name], err = p.C(ctx, s.c)
		} else {
			b.program[s.name], err = p.Go(ctx, s.dir)
		}
		if err != nil {
			return nil, err
		}
		b.servers = append(b.servers, s)
	}
	return b, nil
}

func (b *bench) start(ctx context.Context, s server) (*run.Server, error) {
	return run.StartServer(ctx, b.serverCPU, 1, append([]string{b.program[s.name]}, s.args...)...)
}

// scenario runs the rounds; the order of the servers is rotated in each.
func (b *bench) scenario(ctx context.Context, sc scenario) ([]slice, error) {
	var all []slice
	for round := range b.rounds {
		for i := range b.servers {
			s := b.servers[(i+round)%len(b.servers)]
			r, err := run.Quiet(othersLimit,
				func() (slice, error) { return b.slice(ctx, sc, s) },
				func(r *slice) *run.Measured { return &r.Measured })
			if err != nil {
				return nil, fmt.Errorf("%s, scenario %s: %w", s.name, sc.name, err)
			}
			r.Round = round
			all = append(all, r)
			run.Progress("%s, round %d of %d: %s", sc.name, round+1, b.rounds, s.name)
		}
	}
	run.Progress("")
	return all, nil
}

// slice starts a server, loads it and ends it.
func (b *bench) slice(ctx context.Context, sc scenario, s server) (r slice, err error) {
	r = slice{Scenario: sc.name, Server: s.name}
	srv, err := b.start(ctx, s)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	r.Measured, err = run.Measure(ctx, srv, b.serverCPU, run.Load{
		Program: b.load, CPU: b.generatorCPU, Port: srv.Addrs[0], PID: srv.PID(),
		Conns: sc.conns, Size: sc.size, Depth: sc.depth, Spin: sc.spin, Warmup: b.warmup, Window: b.options.slice,
	}.Generator())
	return r, err
}
