package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// othersLimit is the share of the CPUs above which a slice is called disturbed.
const othersLimit = 0.05

// generatorLimit is how much longer than warm-up and window a generator may take,
// for its connections and its last calls.
const generatorLimit = 20 * time.Second

// server is one of the programs that are compared.
type server struct {
	name     string
	dir      string // the folder of a Go command
	protocol string // of the generator
}

const (
	ours     = "eventdispatcher"
	textline = "textline"
	gob      = "gob"
	grpc     = "grpc"

	text = "text" // the protocol of ours and of textline
)

var servers = []server{
	{name: textline, dir: "peers/textline", protocol: text},
	{name: ours, dir: "call/server", protocol: text},
	{name: gob, dir: "peers/gob", protocol: gob},
	{name: grpc, dir: "peers/grpc", protocol: grpc},
}

// scenario is one way of loading a server.
type scenario struct {
	name    string
	conns   int                // with one call in flight each
	spin    bool               // the generator never sleeps; text only
	idle    bool               // measured with and without idle connections; text only
	targets map[string]float64 // ratio of ours to another server
}

var scenarios = []scenario{
	{name: "1", conns: 1, targets: map[string]float64{textline: 1.25, gob: 0.75, grpc: 0.4}},
	{name: "1-spin", conns: 1, spin: true},
	{name: "100", conns: 100, targets: map[string]float64{textline: 1.35, gob: 0.5, grpc: 0.2}},
	{name: "idle", conns: 1, idle: true},
}

func scenarioNames() []string {
	var names []string
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
	Idle     int    `json:"idle"` // connections
	run.Measured
	Allocs float64 `json:"allocs"` // per call, over the whole life of the server
	Bytes  float64 `json:"bytes"`  // allocated per call, likewise
}

// bench is what has been built.
type bench struct {
	options
	programs *run.Programs
	load     string
	servers  []server
	program  map[string]string
	started  int // servers, for the names of their sockets
}

func build(ctx context.Context, p *run.Programs, o options) (*bench, error) {
	b := &bench{options: o, programs: p, program: map[string]string{}}
	var err error
	if b.load, err = p.Go(ctx, "call/load"); err != nil {
		return nil, err
	}
	for _, s := range servers {
		if s.name != ours && !o.only.Wants(s.name, serverNames()) {
			continue
		}
		if b.program[s.name], err = p.Go(ctx, s.dir); err != nil {
			return nil, err
		}
		b.servers = append(b.servers, s)
	}
	return b, nil
}

// turn is a server that runs once in a round.
type turn struct {
	server
	idle int // connections beside those with calls
}

// turns returns who runs in a round of a scenario.
func (b *bench) turns(sc scenario) []turn {
	var all []turn
	for _, s := range b.servers {
		if (sc.idle || sc.spin) && s.protocol != text {
			continue
		}
		all = append(all, turn{server: s})
		if sc.idle {
			all = append(all, turn{server: s, idle: b.idle})
		}
	}
	return all
}

// scenario runs the rounds; the order of the servers is rotated in each.
func (b *bench) scenario(ctx context.Context, sc scenario) ([]slice, error) {
	var all []slice
	turns := b.turns(sc)
	for round := range b.Rounds {
		for i := range turns {
			t := turns[(i+round)%len(turns)]
			r, err := run.Quiet(othersLimit,
				func() (slice, error) { return b.slice(ctx, sc, t) },
				func(r *slice) *run.Measured { return &r.Measured })
			if err != nil {
				return nil, fmt.Errorf("%s, scenario %s: %w", t.name, sc.name, err)
			}
			r.Round = round
			all = append(all, r)
			run.Progress("%s, round %d of %d: %s", sc.name, round+1, b.Rounds, t.name)
		}
	}
	run.Progress("")
	return all, nil
}

// slice starts a server, loads it and ends it.
func (b *bench) slice(ctx context.Context, sc scenario, t turn) (r slice, err error) {
	r = slice{Scenario: sc.name, Server: t.name, Idle: t.idle}
	b.started++
	path := b.programs.Path(strconv.Itoa(b.started))
	srv, err := run.StartServer(ctx, b.ServerCPU, 1, b.program[t.name], "--path", path)
	if err != nil {
		return r, err
	}
	r.Measured, err = run.Measure(ctx, srv, b.ServerCPU, run.Generator{
		Program: b.load, CPU: b.LoadCPU, Limit: b.Warmup + b.Slice + generatorLimit,
		Args: []string{
			"--protocol", t.protocol, "--path", srv.Addrs[0], "--pid", strconv.Itoa(srv.PID()),
			"--conns", strconv.Itoa(sc.conns), "--idle", strconv.Itoa(t.idle), "--spin=" + strconv.FormatBool(sc.spin),
			"--warmup", b.Warmup.String(), "--window", b.Slice.String(),
		},
	})
	if err = errors.Join(err, srv.Stop()); err != nil {
		return r, err
	}
	return r, r.readAllocated(srv.Output())
}

// readAllocated reads what the server said at its end: see package peer.
func (r *slice) readAllocated(lines []string) error {
	var count, bytes int64
	if len(lines) != 1 {
		return fmt.Errorf("the server printed %q", lines)
	}
	if _, err := fmt.Sscanf(lines[0], "allocated %d %d", &count, &bytes); err != nil {
		return fmt.Errorf("the server printed %q: %w", lines[0], err)
	}
	r.Allocs = float64(count) / float64(r.Total)
	r.Bytes = float64(bytes) / float64(r.Total)
	return nil
}
