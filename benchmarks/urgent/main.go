// Command urgent measures how late a periodic timer of 1 ms and the bytes of one
// connection are served beside many busy connections, when they are urgent and
// when they have the same priority as the rest, and what the urgency costs the
// rest. README.md in the folder above says what the figures mean.
//
//	go run ./urgent [--rounds 3] [--slice 2s]
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

const (
	conns  = 1000
	size   = 64
	work   = 20 * time.Microsecond
	period = time.Millisecond

	targetP50  = 25.0 // µs
	targetP99  = 60.0 // µs
	targetEcho = 0.95 // of the rate without a timer

	// othersLimit is the share of the CPUs above which a slice is called disturbed.
	// It is strict: the p99 of ticks is made by one gap in a hundred.
	othersLimit = 0.02
)

// mode is what runs beside the busy connections.
type mode struct {
	name     string
	kind     string // of the samples: "tick", "message" or ""
	priority int
	c        bool // the C server instead of ours
	idle     bool // without the busy connections
	targets  bool
}

// base is the mode with whose rate the others are compared.
const base = "no timer"

// idle is the mode that tells how late the timer is by itself.
const idle = "timer, urgent, without busy connections"

var modes = []mode{
	{name: "C epoll, no timer", c: true},
	{name: base},
	{name: idle, kind: "tick", priority: -100, idle: true},
	{name: "timer, urgent", kind: "tick", priority: -100, targets: true},
	{name: "timer, equal priority", kind: "tick"},
	{name: "bytes, urgent", kind: "message", priority: -100},
	{name: "bytes, equal priority", kind: "message"},
}

// slice is one mode in one round.
type slice struct {
	run.Measured
	late     []float64 // µs
	expected int
}

type options struct{ run.Options }

func main() {
	o := options{run.Options{Rounds: 3, Slice: 2 * time.Second, Warmup: 300 * time.Millisecond}}
	o.Flags()
	run.Main(o.benchmark)
}

func (o *options) benchmark(ctx context.Context, programs *run.Programs) error {
	if err := o.Check(); err != nil {
		return err
	}
	var load, baseline, server string
	for _, build := range []func() error{
		func() (err error) { load, err = programs.C(ctx, "load"); return err },
		func() (err error) { baseline, err = programs.C(ctx, "echo"); return err },
		func() (err error) { server, err = programs.Go(ctx, "urgent/server"); return err },
	} {
		if err := build(); err != nil {
			return err
		}
	}
	all := map[string][]slice{}
	for round := range o.Rounds {
		for i := range modes {
			m := modes[(i+round)%len(modes)]
			run.Progress("round %d of %d: %s", round+1, o.Rounds, m.name)
			program := server
			if m.c {
				program = baseline
			}
			s, err := run.Quiet(othersLimit,
				func() (slice, error) { return o.measure(ctx, m, load, program) },
				func(s *slice) *run.Measured { return &s.Measured })
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			all[m.name] = append(all[m.name], s)
		}
	}
	run.Progress("")
	report(os.Stdout, all)
	return nil
}

// measure runs one mode once. The server reports all it saw; what was due in the
// generator's window counts.
func (o *options) measure(ctx context.Context, m mode, load, program string) (s slice, err error) {
	argv, ports := []string{program, "--work", work.String(), "--priority", fmt.Sprint(m.priority)}, 2
	if m.kind == "tick" {
		argv = append(argv, "--tick", period.String())
	}
	if m.c {
		argv, ports = []string{program, "-s", fmt.Sprint(size), "-w", fmt.Sprint(work.Microseconds())}, 1
	}
	srv, err := run.StartServer(ctx, o.ServerCPU, ports, argv...)
	if err != nil {
		return s, err
	}
	l := run.Load{
		Program: load, CPU: o.LoadCPU, Port: srv.Addrs[0], PID: srv.PID(),
		Conns: conns, Size: size, Depth: 1, Warmup: o.Warmup, Window: o.Slice,
	}
	if m.kind == "message" {
		l.UrgentPort = srv.Addrs[1]
	}
	if m.idle {
		s.Measured, err = o.watch(ctx)
	} else {
		s.Measured, err = run.Measure(ctx, srv, o.ServerCPU, l.Generator())
	}
	if err = errors.Join(err, srv.Stop()); err != nil {
		return s, err
	}
	switch m.kind {
	case "tick":
		s.expected = int((s.EndNS - s.BeginNS) / int64(period))
	case "message":
		s.expected = int(s.UrgentSent + s.UrgentFailed)
	default:
		return s, nil
	}
	s.late, err = lateness(srv.Output(), m.kind, s.BeginNS, s.EndNS)
	return s, err
}

// watch lets a slice pass without a load.
func (o *options) watch(ctx context.Context) (m run.Measured, err error) {
	time.Sleep(o.Warmup)
	var t [2]unix.Timespec
	var busy [2]time.Duration
	for i := range t {
		if i == 1 {
			select {
			case <-ctx.Done():
				return m, context.Cause(ctx)
			case <-time.After(o.Slice):
			}
		}
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t[i]); err != nil {
			return m, os.NewSyscallError("clock_gettime", err)
		}
		if busy[i], err = run.CPUsBusy(o.ServerCPU, o.LoadCPU); err != nil {
			return m, err
		}
	}
	m.BeginNS, m.EndNS = t[0].Nano(), t[1].Nano()
	// The server takes a few percent of one CPU for its thousand ticks a second.
	const server = 0.03
	m.Others = max(0, float64(busy[1]-busy[0])/float64(2*o.Slice)-server)
	return m, nil
}

// lateness reads the samples of a kind that were due in a window.
func lateness(lines []string, kind string, begin, end int64) ([]float64, error) {
	var late []float64
	for _, line := range lines {
		var name string
		var at, by int64
		if _, err := fmt.Sscan(line, &name, &at, &by); err != nil || name != kind {
			return nil, fmt.Errorf("server printed %q", line)
		}
		if by < 0 {
			return nil, fmt.Errorf("%s: called %d ns before it was due", kind, -by)
		}
		if due := at - by; due >= begin && due < end {
			late = append(late, float64(by)/1e3)
		}
	}
	return late, nil
}

func report(w io.Writer, all map[string][]slice) {
	fmt.Fprintf(w, "%d busy connections, %d bytes, %v of work per request, every %v; %d rounds\n\n", conns, size, work, period, len(all[base]))
	fmt.Fprintln(w, "| beside them | late p50 µs | p99 µs | max µs | seen of expected | requests/s | share of the rate without | busy: server, others |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	var verdict string
	unsure := false
	var idleP99 float64
	for _, m := range modes {
		var p50, p99, worst, rate, share, busy, others []float64
		seen, expected := 0, 0
		for i, s := range all[m.name] {
			p50 = append(p50, run.Quantile(s.late, 0.5))
			p99 = append(p99, run.Quantile(s.late, 0.99))
			worst = append(worst, run.Quantile(s.late, 1))
			others = append(others, s.Others)
			seen += len(s.late)
			expected += s.expected
			if m.idle {
				continue
			}
			rate = append(rate, s.Rate())
			share = append(share, s.Rate()/all[base][i].Rate())
			busy = append(busy, s.ServerBusy())
		}
		times := "– | – | – | –"
		if m.kind != "" {
			times = fmt.Sprintf("%.1f | %.1f | %.0f | %d of %d", run.Median(p50), run.Median(p99), run.Quantile(worst, 1), seen, expected)
		}
		note := ""
		if run.Quantile(others, 1) > othersLimit {
			note = " disturbed"
			unsure = unsure || m.targets || m.name == base
		}
		fmt.Fprintf(w, "| %s | %s | %.0f | %.1f %% | %.0f %%, %.1f %%%s |\n", m.name, times, run.Median(rate), 100*run.Median(share),
			100*run.Median(busy), 100*run.Quantile(others, 1), note)
		if m.idle {
			idleP99 = run.Median(p99)
		}
		if m.targets {
			callback := 1e6 * run.Median(busy) / run.Median(rate) // µs for a request
			verdict = strings.Join([]string{
				judge("p50", run.Median(p50) <= targetP50), judge("p99", run.Median(p99) <= targetP99),
				judge("ticks", seen >= expected), judge("rate", run.Median(share) >= targetEcho),
				judge("p99 within twice that without connections and a callback", run.Median(p99) <= 2*idleP99+callback),
			}, ", ")
		}
	}
	if unsure {
		verdict = "NOT JUDGED, disturbed"
	}
	fmt.Fprintf(w, "\nTargets of the urgent timer: %s.\n", verdict)
}

func judge(what string, ok bool) string {
	if ok {
		return what + " met"
	}
	return what + " MISSED"
}
