package compare

import (
	"fmt"
	"io"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// busyLimit is the share of its CPU above which a program is the bottleneck.
const busyLimit = 0.95

func column(slices []slice, server string, value func(slice) float64) []float64 {
	var v []float64
	for _, s := range slices {
		if s.Server == server {
			v = append(v, value(s))
		}
	}
	return v
}

// ratios divides each round of a server by the same round of the baseline.
func (b *bench) ratios(slices []slice, server string) []float64 {
	perRequest := func(s slice) float64 { return s.PerRequest() }
	base := column(slices, b.Servers[0].Name, perRequest)
	v := column(slices, server, perRequest)
	for i := range v {
		v[i] /= base[i]
	}
	return v
}

// disturbed reports whether others took too much of the CPUs from a server.
func disturbed(slices []slice, server string) bool {
	return run.Median(column(slices, server, func(s slice) float64 { return s.Others })) > othersLimit
}

func (b *bench) printScenario(w io.Writer, sc Scenario, slices []slice) {
	fmt.Fprintf(w, "(%s) connections: %d, bytes: %d, in flight on each: %d, generator spins: %v; rounds: %d\n\n", sc.Name, sc.Conns, sc.Size, sc.Depth, sc.Spin,
		len(column(slices, b.Servers[0].Name, func(s slice) float64 { return 0 })))
	fmt.Fprintln(w, "| server | CPU µs/request | ratio (min–max) | p50 µs | p99 µs | requests/s | busy: server, generator, others |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	disagree, repeated := 0.0, 0
	for _, srv := range b.Servers {
		med := func(value func(slice) float64) float64 { return run.Median(column(slices, srv.Name, value)) }
		r := b.ratios(slices, srv.Name)
		ratio := run.Median(r)
		load, busy := med(func(s slice) float64 { return s.LoadBusy() }), med(func(s slice) float64 { return s.ServerBusy() })
		others := med(func(s slice) float64 { return s.Others })
		note := ""
		if !sc.Spin && load > busyLimit && busy < busyLimit {
			note += " generator-bound"
		}
		unsure := disturbed(slices, srv.Name)
		if unsure {
			note += " disturbed"
		}
		fmt.Fprintf(w, "| %s | %.2f | %.2f (%.2f–%.2f)%s | %.1f | %.1f | %.0f | %.0f %%, %.0f %%, %.0f %%%s |\n", srv.Name,
			med(func(s slice) float64 { return s.PerRequest() }),
			ratio, run.Quantile(r, 0), run.Quantile(r, 1), verdict(srv, ratio, sc.Target, unsure || disturbed(slices, b.Servers[0].Name)),
			med(func(s slice) float64 { return s.P50 }), med(func(s slice) float64 { return s.P99 }),
			med(func(s slice) float64 { return s.Rate() }), 100*busy, 100*load, 100*others, note)
		for _, d := range column(slices, srv.Name, func(s slice) float64 { return s.Disagree }) {
			disagree = max(disagree, d, -d)
		}
	}
	for _, s := range slices {
		repeated += s.Repeated
	}
	fmt.Fprintf(w, "\nThe process CPU clock and the sum of the threads' schedstat differ by at most %.1f %%. Slices repeated because of others: %d.\n\n", 100*disagree, repeated)
}

// verdict marks our own figures; the targets are for nobody else.
func verdict(server Server, figure, target float64, unsure bool) string {
	if !server.Ours {
		return ""
	}
	return run.Verdict(figure, target, unsure)
}

func (b *bench) printIdle(w io.Writer, all []idleCost) {
	fmt.Fprintf(w, "(idle) %d connections after the first %d\n\n", b.Idle, idleBase)
	fmt.Fprintln(w, "| server | bytes of RSS per connection | of them private and dirty |")
	fmt.Fprintln(w, "|---|---|---|")
	for _, srv := range b.Servers {
		var rss, dirty []float64
		for _, c := range all {
			if c.Server == srv.Name {
				rss = append(rss, c.RSS)
				dirty = append(dirty, c.PrivateDirty)
			}
		}
		fmt.Fprintf(w, "| %s | %.0f%s | %.0f |\n", srv.Name, run.Median(rss), verdict(srv, run.Median(rss), b.IdleTarget, false), run.Median(dirty))
	}
	fmt.Fprintln(w)
}
