package main

import (
	"fmt"
	"io"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// busyLimit is the share of its CPU above which a program is the bottleneck.
const busyLimit = 0.95

// idleTarget is the CPU time per call beside idle connections, without them = 1.
const idleTarget = 1.05

// of returns the slices of a server, in the order of the rounds.
func of(slices []slice, server string) []slice {
	var own []slice
	for _, s := range slices {
		if s.Server == server {
			own = append(own, s)
		}
	}
	return own
}

func median(slices []slice, value func(slice) float64) float64 {
	var v []float64
	for _, s := range slices {
		v = append(v, value(s))
	}
	return run.Median(v)
}

// ratios divides the CPU time per call of each round by that of the same round.
func ratios(slices, base []slice) []float64 {
	var v []float64
	for i := range slices {
		v = append(v, slices[i].PerRequest()/base[i].PerRequest())
	}
	return v
}

// disturbed reports whether others took too much of the CPUs.
func disturbed(slices []slice) bool {
	return median(slices, func(s slice) float64 { return s.Others }) > othersLimit
}

// spread is a median with the smallest and the largest.
func spread(v []float64) string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", run.Median(v), run.Quantile(v, 0), run.Quantile(v, 1))
}

// busy says who was on the CPUs.
func busy(slices []slice, spin bool) string {
	server, load := median(slices, func(s slice) float64 { return s.ServerBusy() }), median(slices, func(s slice) float64 { return s.LoadBusy() })
	note := ""
	if !spin && load > busyLimit && server < busyLimit {
		note += " generator-bound"
	}
	if disturbed(slices) {
		note += " disturbed"
	}
	return fmt.Sprintf("%.0f %%, %.0f %%, %.0f %%%s", 100*server, 100*load, 100*median(slices, func(s slice) float64 { return s.Others }), note)
}

func printScenario(w io.Writer, sc scenario, slices []slice) {
	mine := of(slices, ours)
	fmt.Fprintf(w, "(%s) connections with a call in flight: %d, generator spins: %v; rounds: %d\n\n", sc.name, sc.conns, sc.spin, len(mine))
	fmt.Fprintln(w, "| server | CPU µs/call | eventdispatcher ÷ it (min–max) | p50 µs | p99 µs | calls/s | allocations, bytes a call | busy: server, generator, others |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, srv := range servers {
		own := of(slices, srv.name)
		if len(own) == 0 {
			continue
		}
		ratio := "1"
		if srv.name != ours {
			r := ratios(mine, own)
			ratio = spread(r) + run.Verdict(run.Median(r), sc.targets[srv.name], disturbed(own) || disturbed(mine))
		}
		fmt.Fprintf(w, "| %s | %.2f | %s | %.1f | %.1f | %.0f | %.1f, %.0f | %s |\n", srv.name,
			median(own, func(s slice) float64 { return s.PerRequest() }), ratio,
			median(own, func(s slice) float64 { return s.P50 }), median(own, func(s slice) float64 { return s.P99 }),
			median(own, func(s slice) float64 { return s.Rate() }),
			median(own, func(s slice) float64 { return s.Allocs }), median(own, func(s slice) float64 { return s.Bytes }), busy(own, sc.spin))
	}
	printInstruments(w, slices)
}

func printIdle(w io.Writer, n int, slices []slice) {
	fmt.Fprintf(w, "(idle) 1 connection with a call in flight beside %d idle ones; rounds: %d\n\n", n, len(of(slices, ours))/2)
	fmt.Fprintln(w, "| server | CPU µs/call without | beside them | ratio (min–max) | p50 µs | p99 µs | busy: server, generator, others |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, srv := range servers {
		var without, beside []slice
		for _, s := range of(slices, srv.name) {
			if s.Idle > 0 {
				beside = append(beside, s)
			} else {
				without = append(without, s)
			}
		}
		if len(beside) == 0 {
			continue
		}
		r := ratios(beside, without)
		ratio := spread(r)
		if srv.name == ours {
			ratio += run.Verdict(run.Median(r), idleTarget, disturbed(beside) || disturbed(without))
		}
		fmt.Fprintf(w, "| %s | %.2f | %.2f | %s | %.1f | %.1f | %s |\n", srv.name,
			median(without, func(s slice) float64 { return s.PerRequest() }), median(beside, func(s slice) float64 { return s.PerRequest() }), ratio,
			median(beside, func(s slice) float64 { return s.P50 }), median(beside, func(s slice) float64 { return s.P99 }), busy(beside, false))
	}
	printInstruments(w, slices)
}

// printInstruments says how far the instruments can be trusted.
func printInstruments(w io.Writer, slices []slice) {
	disagree, repeated := 0.0, 0
	for _, s := range slices {
		disagree = max(disagree, s.Disagree, -s.Disagree)
		repeated += s.Repeated
	}
	fmt.Fprintf(w, "\nThe process CPU clock and the sum of the threads' schedstat differ by at most %.1f %%. Slices repeated because of others: %d.\n\n", 100*disagree, repeated)
}
