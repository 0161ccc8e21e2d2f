package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// Load says what the generator of c/load.c, or one that takes the same flags, shall do.
type Load struct {
	Program    string        // what Programs.C built
	CPU        int           // it is pinned to this one
	Port       string        // of the server, or the path of its Unix socket
	PID        int           // whose CPU time is read
	Conns      int           // connections
	Size       int           // bytes in a request
	Depth      int           // requests in flight on each connection
	Spin       bool          // it never sleeps
	Warmup     time.Duration // before the window
	Window     time.Duration // what is measured
	UrgentPort string        // "" sends no urgent messages
	More       []string      // arguments besides
}

// Result is what a generator reports, of the window alone but for Total and
// LoadTotal.
type Result struct {
	Requests  int64   `json:"requests"`
	Total     int64   `json:"total,omitempty"` // requests answered, window or not; only in the benchmark call
	BeginNS   int64   `json:"begin_ns"`        // CLOCK_MONOTONIC; in the benchmark call, since its generator began
	EndNS     int64   `json:"end_ns"`
	ServerCPU int64   `json:"server_cpu_ns"`
	LoadCPU   int64   `json:"load_cpu_ns"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	Max       float64 `json:"max_us"`

	UrgentSent   int64 `json:"urgent_sent"`
	UrgentFailed int64 `json:"urgent_failed"` // the socket was full

	Own map[string]int64 `json:"own,omitempty"` // what else a generator counts

	LoadTotal time.Duration `json:"load_total_ns"` // the generator's CPU time, window or not
}

// Seconds returns the length of the window.
func (r Result) Seconds() float64 { return float64(r.EndNS-r.BeginNS) / 1e9 }

// Rate returns the requests per second.
func (r Result) Rate() float64 { return float64(r.Requests) / r.Seconds() }

// PerRequest returns the server's CPU time per request in microseconds.
func (r Result) PerRequest() float64 { return float64(r.ServerCPU) / 1e3 / float64(r.Requests) }

// ServerBusy and LoadBusy return the share of the window for which the server
// and the generator were on their CPU.
func (r Result) ServerBusy() float64 { return float64(r.ServerCPU) / float64(r.EndNS-r.BeginNS) }

// LoadBusy is documented with ServerBusy.
func (r Result) LoadBusy() float64 { return float64(r.LoadCPU) / float64(r.EndNS-r.BeginNS) }

// Generator returns the program with its arguments.
func (l Load) Generator() Generator {
	args := []string{
		"-p", l.Port, "-P", strconv.Itoa(l.PID),
		"-c", strconv.Itoa(l.Conns), "-s", strconv.Itoa(l.Size), "-d", strconv.Itoa(l.Depth),
		"-w", strconv.FormatInt(l.Warmup.Milliseconds(), 10),
		"-t", strconv.FormatInt(l.Window.Milliseconds(), 10),
	}
	if l.Spin {
		args = append(args, "-b")
	}
	if l.UrgentPort != "" {
		args = append(args, "-u", l.UrgentPort)
	}
	return Generator{Program: l.Program, CPU: l.CPU, Args: append(args, l.More...)}
}

// Generator is a program that loads a server and prints a Result as JSON.
type Generator struct {
	Program string
	CPU     int   // it is pinned to this one, or
	CPUs    []int // it may use these. Nil: CPU
	Args    []string
	Limit   time.Duration // it is killed after that; 0: it ends by itself
}

func (g Generator) cpus() []int {
	if g.CPUs != nil {
		return g.CPUs
	}
	return []int{g.CPU}
}

// Run runs the generator until it has reported. The end of ctx kills it.
func (g Generator) Run(ctx context.Context) (Result, error) {
	if g.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.Limit)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, g.Program, g.Args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := startPinned(cmd, g.cpus()...)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return Result{}, fmt.Errorf("load: %w %s", err, stderr.String())
	}
	var r Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("load: %w", err)
	}
	r.LoadTotal = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if r.Requests == 0 {
		return r, fmt.Errorf("load: no request was answered")
	}
	return r, nil
}
