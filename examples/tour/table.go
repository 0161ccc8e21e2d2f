//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row counts events of one kind and keeps how long each took.
type row struct {
	name      string
	want      int
	latencies []time.Duration
}

// row adds a row that waits for a number of events.
func (t *tour) row(name string, want int) *row {
	r := &row{name: name, want: want}
	t.rows = append(t.rows, r)
	t.open++
	return r
}

// saw enters an event. When all rows are complete the service is told to stop.
func (t *tour) saw(r *row, took time.Duration) {
	r.latencies = append(r.latencies, took)
	if len(r.latencies) != r.want || r == t.last {
		return
	}
	if t.open--; t.open == 0 {
		if err := t.stop(); err != nil {
			t.loop.Stop(err)
		}
	}
}

func (r *row) done() bool { return len(r.latencies) == r.want }

// table is what was seen, as text.
func (t *tour) table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "event\tcount\tp50\tworst\t")
	for _, r := range t.rows {
		count := fmt.Sprint(len(r.latencies))
		if !r.done() {
			count += fmt.Sprintf(" of %d", r.want)
		}
		p50, worst := "-", "-"
		if l := slices.Sorted(slices.Values(r.latencies)); len(l) > 0 && l[len(l)-1] > 0 {
			p50, worst = micros(l[len(l)/2]), micros(l[len(l)-1])
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", r.name, count, p50, worst)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return text.String()
}

func micros(d time.Duration) string { return fmt.Sprintf("%.0f µs", float64(d)/1e3) }

// missing is an error that names what didn't happen; nil if everything did.
func (t *tour) missing() error {
	var names []string
	for _, r := range t.rows {
		if !r.done() {
			names = append(names, r.name)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("not seen often enough: %s", strings.Join(names, "; "))
}
