package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// othersLimit is the share of the CPUs above which a slice is called disturbed.
const othersLimit = 0.05

// clientLimit is how much longer than warm-up and window a client may take.
const clientLimit = 10 * time.Second

// slice is what one peer did in one round.
type slice struct {
	Scenario  string `json:"scenario"`
	Placement string `json:"placement"`
	Peer      string `json:"peer"`
	Round     int    `json:"round"`
	run.Measured
	// What both ends have counted, of all messages, window or not.
	Bells       float64          `json:"bells"`        // wake-ups a message
	ClientBells float64          `json:"client_bells"` // of these, of the client: in a flow the reader
	Mallocs     float64          `json:"mallocs"`      // allocations a message; Go only
	Server      map[string]int64 `json:"server"`       // what the server has counted, as Own is the client's
}

// cpuPerMessage is the CPU time of both processes in ns.
func (s slice) cpuPerMessage() float64 {
	return float64(s.ServerCPU+s.LoadCPU) / float64(s.Requests)
}

// bench is what has been built.
type bench struct {
	options
	programs *run.Programs
	peers    []peer
	program  map[string]string // path, by peer
	leftOut  map[string]string // why, by peer
	allCPUs  []int
	started  int // servers, for the names of their sockets
}

func build(ctx context.Context, p *run.Programs, o options) (*bench, error) {
	b := &bench{options: o, programs: p, program: map[string]string{}, leftOut: map[string]string{}}
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	for cpu := range len(may) * strconv.IntSize {
		if may.IsSet(cpu) {
			b.allCPUs = append(b.allCPUs, cpu)
		}
	}
	built := map[string]string{} // by file
	for _, x := range peers() {
		if !o.only.Wants(x.name, peerNames()) {
			continue
		}
		if x.header != "" && !p.HasHeader(ctx, x.header) {
			b.leftOut[x.name] = fmt.Sprintf("no %s here; the Debian package %s has it", x.header, x.debian)
			continue
		}
		if built[x.file] == "" {
			var err error
			if built[x.file], err = buildProgram(ctx, p, x); err != nil {
				return nil, err
			}
		}
		b.program[x.name] = built[x.file]
		b.peers = append(b.peers, x)
	}
	return b, nil
}

// buildProgram builds the program that is both ends of a peer.
func buildProgram(ctx context.Context, p *run.Programs, x peer) (string, error) {
	if x.file == "" {
		return p.Go(ctx, "ring/peer")
	}
	var libraries []string
	if x.links != "" {
		libraries = append(libraries, x.links)
	}
	return p.CFile(ctx, filepath.Join("ring", "c", x.file+".c"), libraries...)
}

// scenario runs the rounds; the order of the peers is rotated in each.
func (b *bench) scenario(ctx context.Context, sc scenario, placement string) ([]slice, error) {
	var own []peer
	for _, x := range b.peers {
		if sc.wants(x) {
			own = append(own, x)
		}
	}
	if len(own) == 0 {
		return nil, nil
	}
	var all []slice
	for round := range b.Rounds {
		for i := range own {
			x := own[(i+round)%len(own)]
			s, err := run.Quiet(othersLimit,
				func() (slice, error) { return b.slice(ctx, sc, placement, x) },
				func(s *slice) *run.Measured { return &s.Measured })
			if err != nil {
				return nil, fmt.Errorf("%s, scenario %s, placement %s: %w", x.name, sc.name, placement, err)
			}
			s.Round = round
			all = append(all, s)
			run.Progress("%s, %s, round %d of %d: %s", sc.name, placement, round+1, b.Rounds, x.name)
		}
	}
	run.Progress("")
	return all, nil
}

// cpus says where the server and the client may run, and all of these CPUs, each once.
func (b *bench) cpus(placement string) (server, client, all []int) {
	switch placement {
	case one:
		server = []int{b.ServerCPU}
		return server, server, server
	case two:
		server, client = []int{b.ServerCPU}, []int{b.LoadCPU}
		return server, client, append(slices.Clone(server), client...)
	}
	return b.allCPUs, b.allCPUs, b.allCPUs
}

// slice starts a server, has the client measure, and ends it.
func (b *bench) slice(ctx context.Context, sc scenario, placement string, x peer) (s slice, err error) {
	s = slice{Scenario: sc.name, Placement: placement, Peer: x.name}
	args := append(slices.Clone(x.args), "-m", "echo")
	if sc.flow {
		args[len(args)-1] = "flow"
	}
	if sc.size > 0 {
		args = append(args, "-s", strconv.Itoa(sc.size))
	}
	if sc.depth > 0 {
		args = append(args, "-d", strconv.Itoa(sc.depth))
	}
	server, client, all := b.cpus(placement)
	b.started++
	path := b.programs.Path(strconv.Itoa(b.started))
	srv, err := run.StartServerOn(ctx, server, len(server), 1, append([]string{b.program[x.name], "-l", path}, args...)...)
	if err != nil {
		return s, err
	}
	s.Measured, err = run.MeasureOn(ctx, srv, all, run.Generator{
		Program: b.program[x.name], CPUs: client, Limit: b.Warmup + b.Slice + clientLimit,
		Args: append([]string{
			"-c", path, "-P", strconv.Itoa(srv.PID()),
			"-w", strconv.FormatInt(b.Warmup.Milliseconds(), 10), "-t", strconv.FormatInt(b.Slice.Milliseconds(), 10),
		}, args...),
	})
	if err = errors.Join(err, srv.Stop()); err != nil {
		return s, err
	}
	return s, s.readServer(sc.flow, srv.Output())
}

// readServer reads what the server has counted, and holds the client to it.
func (s *slice) readServer(flow bool, lines []string) error {
	own := map[string]int64{}
	if len(lines) != 1 {
		return fmt.Errorf("the server printed %q", lines)
	}
	if err := json.Unmarshal([]byte(lines[0]), &own); err != nil {
		return fmt.Errorf("the server printed %q: %w", lines[0], err)
	}
	if served := own["served"]; served < s.Total || !flow && served != s.Total {
		return fmt.Errorf("the client counted %d messages, the server %d", s.Total, served)
	}
	s.Server = own
	s.ClientBells = float64(own["bells"]) / float64(s.Total)
	s.Bells = float64(own["bells"]+s.Own["bells"]) / float64(s.Total)
	s.Mallocs = float64(own["mallocs"])/float64(own["served"]) + float64(s.Own["mallocs"])/float64(s.Total)
	return nil
}
