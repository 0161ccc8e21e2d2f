package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// table is the slices of a scenario in a placement.
type table struct {
	scenario
	placement string
	slices    []slice
}

// of returns the slices of a peer, in the order of the rounds.
func (t *table) of(peer string) []slice {
	var own []slice
	for _, s := range t.slices {
		if s.Peer == peer {
			own = append(own, s)
		}
	}
	return own
}

// missing is a figure that there isn't.
const missing = "–"

func column(own []slice, value func(slice) float64) []float64 {
	var v []float64
	for _, s := range own {
		v = append(v, value(s))
	}
	return v
}

func median(own []slice, value func(slice) float64) float64 { return run.Median(column(own, value)) }

func rate(s slice) float64   { return s.Rate() }
func p50(s slice) float64    { return s.P50 }
func others(s slice) float64 { return s.Others }

// known tells whether all peers run in the same places. Else the kernel puts some on one CPU and some on two, and
// ratios of latencies say more of that than of the peers.
func (t *table) known() bool { return t.placement != free }

func (t *table) disturbed(peer string) bool { return median(t.of(peer), others) > othersLimit }

// ratio divides each round of a peer by the same round of the base. It returns the median and a text, which is
// missing if the base was not measured.
func (t *table) ratio(peer, base string, value func(slice) float64) (float64, string) {
	own, other := column(t.of(peer), value), column(t.of(base), value)
	if len(other) != len(own) || len(own) == 0 {
		return 0, missing
	}
	var v []float64
	for i := range own {
		v = append(v, own[i]/other[i])
	}
	m := run.Median(v)
	if peer == base {
		return m, "1"
	}
	return m, fmt.Sprintf("%.2f (%.2f–%.2f)", m, run.Quantile(v, 0), run.Quantile(v, 1))
}

// atLeast is run.Verdict for the smallest that a figure may be.
func atLeast(figure, target float64, text string, unsure bool) string {
	switch {
	case target == 0:
		return ""
	case unsure:
		return ", target ≥ " + text + " NOT JUDGED"
	case figure >= target:
		return ", target ≥ " + text + " met"
	}
	return ", target ≥ " + text + " MISSED"
}

func (b *bench) print(w io.Writer, sc scenario, placement string, all []slice) {
	t := &table{scenario: sc, placement: placement, slices: all}
	where := map[string]string{one: "both processes on one CPU", two: "each process on its own CPU", free: "both processes on any CPU"}
	fmt.Fprintf(w, "(%s, %s) %s; %s; rounds: %d\n\n", sc.name, placement, sc.what, where[placement], b.Rounds)
	header := []string{"peer"}
	row := t.flow
	switch {
	case sc.name == rttName:
		header = append(header, "p50 µs (least)", "p99 µs", "p50 ÷ eventfd (min–max)", "p50 ÷ Stream over a Unix socket (min–max)", "CPU µs of both")
		row = t.roundTrip
	case sc.size == 0:
		header = append(header, "messages/s", "÷ Unix socket (min–max)", "p50, p99 µs", "CPU µs of both", "wake-ups per 1000 (of the client)", "allocations")
		row = t.text
	default:
		header = append(header, "messages/s (most)", "GB/s", "÷ Stream over a Unix socket (min–max)", "CPU µs of both", "wake-ups per 1000 (of the client)", "allocations")
	}
	header = append(header, "others")
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	for _, x := range b.peers {
		own := t.of(x.name)
		if len(own) == 0 {
			continue
		}
		last := fmt.Sprintf("%.0f %%", 100*median(own, others))
		if t.disturbed(x.name) {
			last += " disturbed"
		}
		cells := append(append([]string{x.what}, row(x, own)...), last)
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, name := range slices.Sorted(maps.Keys(b.leftOut)) {
		if slices.Contains(sc.peers, name) {
			fmt.Fprintf(w, "| %s | left out: %s%s\n", name, b.leftOut[name], strings.Repeat(" |", len(header)-1))
		}
	}
	disagree, repeated := 0.0, 0
	for _, s := range all {
		disagree = max(disagree, s.Disagree, -s.Disagree)
		repeated += s.Repeated
	}
	fmt.Fprintf(w, "\nThe process CPU clock and the sum of the threads' schedstat differ by at most %.1f %%. Slices repeated because of others: %d.\n\n", 100*disagree, repeated)
}

// roundTrip is a row of the round trips.
func (t *table) roundTrip(x peer, own []slice) []string {
	v := column(own, p50)
	unsure := t.disturbed(x.name)
	latency := fmt.Sprintf("%.2f (%.2f)", run.Median(v), run.Quantile(v, 0))
	if x.spin && t.placement != one {
		latency += run.Verdict(run.Median(v), rttSpin, unsure)
	}
	bare, toBare := t.ratio(x.name, eventfd, p50)
	base, toBase := t.ratio(x.name, t.base, p50)
	if x.ring && !x.spin && t.known() {
		if toBare != missing {
			toBare += run.Verdict(bare, rttEventfd, unsure || t.disturbed(eventfd))
		}
		if toBase != missing {
			toBase += run.Verdict(base, rttUnix, unsure || t.disturbed(t.base))
			if bound, _ := t.ratio(eventfd, t.base, p50); base > rttUnix && bound > rttUnix {
				toBase += ", as by eventfd"
			}
		}
	}
	return []string{latency, fmt.Sprintf("%.2f", median(own, func(s slice) float64 { return s.P99 })), toBare, toBase,
		fmt.Sprintf("%.2f", median(own, slice.cpuPerMessage)/1e3)}
}

// flow is a row of messages one way.
func (t *table) flow(x peer, own []slice) []string {
	r, unsure := median(own, rate), t.disturbed(x.name)
	bytes := r * float64(t.size)
	least := t.rate[x.name]
	_, toBase := t.ratio(x.name, t.base, rate)
	return append([]string{
		fmt.Sprintf("%s (%s)", number(r), number(run.Quantile(column(own, rate), 1))) + atLeast(r, least, number(least), unsure),
		fmt.Sprintf("%.2f", bytes/1e9) + atLeast(bytes, t.bytes[x.name], fmt.Sprintf("%.0f", t.bytes[x.name]/1e9), unsure),
		toBase,
		fmt.Sprintf("%.3f", median(own, slice.cpuPerMessage)/1e3),
	}, t.counted(x, own)...)
}

// text is a row of text messages.
func (t *table) text(x peer, own []slice) []string {
	base, toBase := t.ratio(x.name, t.base, rate)
	if least := t.scenario.ratio[x.name]; toBase != missing && (t.known() || t.scenario.flow) {
		toBase += atLeast(base, least, fmt.Sprint(least), t.disturbed(x.name) || t.disturbed(t.base))
	}
	latency := missing
	if !t.scenario.flow {
		latency = fmt.Sprintf("%.1f, %.1f", median(own, p50), median(own, func(s slice) float64 { return s.P99 }))
	}
	cells := t.counted(x, own)
	return append([]string{number(median(own, rate)), toBase, latency, fmt.Sprintf("%.2f", median(own, slice.cpuPerMessage)/1e3)}, cells...)
}

// counted is the wake-ups per thousand messages and the allocations of each, of both ends.
func (t *table) counted(x peer, own []slice) []string {
	cells := []string{missing, missing}
	allocs := median(own, func(s slice) float64 { return s.Mallocs })
	if x.file == "" {
		cells[1] = fmt.Sprintf("%.3f", allocs)
	}
	if !x.ring {
		return cells
	}
	bells := median(own, func(s slice) float64 { return 1e3 * s.Bells })
	cells[0] = fmt.Sprintf("%.2f (%.2f)", bells, median(own, func(s slice) float64 { return 1e3 * s.ClientBells }))
	if t.size > 0 { // text messages are allocated, and their rate is all that has a target
		cells[1] += run.Verdict(allocs, mallocs, false)
		if t.size < wakeupSize {
			cells[0] += run.Verdict(bells, 1e3*wakeups, false)
		}
	}
	return cells
}

// number is a rate for people.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.1f k", v/1e3)
	}
	return fmt.Sprintf("%.0f", v)
}
