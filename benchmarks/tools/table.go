package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// The targets of a tool.
const (
	targetSize = 7.0  // MB, of a million bytes
	targetOver = 10.0 // ms over the empty Go program, the median
)

const megabyte = 1e6

const (
	pass = "PASS"
	miss = "MISS"
)

// each returns one figure of every sample, in the order of the rounds.
func (s series) each(value func(sample) float64) []float64 {
	var v []float64
	for _, took := range s.samples {
		v = append(v, value(took))
	}
	return v
}

// over returns by how much one figure is larger than that of another series in the same round.
func (s series) over(base series, value func(sample) float64) []float64 {
	v, b := s.each(value), base.each(value)
	for i := range v {
		v[i] -= b[i]
	}
	return v
}

func wall(s sample) float64 { return milliseconds(s.wall) }
func cpu(s sample) float64  { return milliseconds(s.cpu) }
func rss(s sample) float64  { return float64(s.rss) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// spread is a median with the 95th percentile.
func spread(v []float64) string {
	return fmt.Sprintf("%.2f / %.2f", run.Median(v), run.Quantile(v, 0.95))
}

// judge says of a figure whether it is at most its target.
func judge(figure, target float64) string {
	if figure <= target {
		return pass
	}
	return miss
}

func (p program) megabytes() float64 { return float64(p.size) / megabyte }

// larger returns the tools that are larger than so many MB, with their sizes.
func (b *bench) larger(target float64) (large []string) {
	for _, p := range b.programs {
		if p.tool && judge(p.megabytes(), target) == miss {
			large = append(large, fmt.Sprintf("%s (%.2f MB)", p.name, p.megabytes()))
		}
	}
	return large
}

// print prints the table, and what has to be known to believe it. The target of the size is in MB, others is their
// share of the CPUs.
func (b *bench) print(w io.Writer, all []series, target, others float64) {
	var base series
	for _, s := range all {
		if s.name == empty {
			base = s
		}
	}
	fmt.Fprintf(w, "From start to end of a program, everything in memory; rounds: %d; %s, CGO_ENABLED=%s\n\n", len(base.samples), runtime.Version(), b.cgo)
	fmt.Fprintln(w, "| tool | job | size MB | wall ms, p50 / p95 | over the empty Go program, ms | CPU ms over it | peak RSS KiB |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	var dynamic []string
	for i, s := range all {
		job := "–"
		if len(s.args) > 0 {
			job = "`" + strings.Join(s.args, " ") + "`"
		}
		size, over := fmt.Sprintf("%.2f", s.megabytes()), s.over(base, wall)
		overText, cpuText := spread(over), fmt.Sprintf("%.2f", run.Median(s.over(base, cpu)))
		if s.tool {
			size += " " + judge(s.megabytes(), target)
			overText += " " + judge(run.Median(over), targetOver)
		}
		if s.name == empty {
			overText, cpuText = "0", fmt.Sprintf("0 (%.2f)", run.Median(s.each(cpu)))
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %.0f |\n", s.name, job, size, spread(s.each(wall)), overText, cpuText, run.Median(s.each(rss)))
		if s.tool && s.dynamic && s.name != all[i-1].name {
			dynamic = append(dynamic, s.name)
		}
	}
	fmt.Fprintf(w, "\nTargets of the tools: at most %g MB, and at most %g ms over the empty Go program (p50).\n", target, targetOver)
	if len(dynamic) > 0 {
		fmt.Fprintf(w, "Linked with the C library, because cgo was there: %s.\n", strings.Join(dynamic, ", "))
	}
	if len(b.missing) > 0 {
		fmt.Fprintf(w, "Not measured, because it isn't there: %s.\n", strings.Join(b.missing, ", "))
	}
	note := ""
	if others > othersLimit {
		note = ": the times are disturbed"
	}
	fmt.Fprintf(w, "Others took %.1f %% of the CPUs%s.\n", 100*others, note)
}
