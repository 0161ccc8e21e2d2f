//go:build linux

package inspect

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
)

// MaxListed is how many sources Text lists; of the others it says only how many there are.
const MaxListed = 1000

// MaxName is how many characters of a name Text shows; a longer one is cut, and ends with "…".
const MaxName = 64

// Text is what the loop is doing, in lines for people: its counters, and a table of its sources in the order of
// adding. What a terminal wouldn't print stands as "?", for names may come from peers. Only for use on the loop.
func Text(loop *communicator.Communicator) string {
	var b strings.Builder
	s := loop.Stats()
	fmt.Fprintf(&b, "loop: %d sources, up %v, idle %.1f %% of the time\n", s.Live, s.Age.Round(time.Millisecond), idle(s))
	fmt.Fprintf(&b, "turns: %d; callbacks: %d, %d of them slow; functions: %d, %d wait; holds: %d; closed: %d; stale events: %d\n",
		s.Turns, s.Callbacks, s.Slow, s.Posted, s.Waiting, s.Holds, s.Closed, s.Stale)
	fmt.Fprintf(&b, "deadlines, how late: %s\n", s.Lag)
	fmt.Fprintf(&b, "turns, how long: %s\n\n", s.Busy)

	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tPRIORITY\tSTATE\tDEADLINE\tCALLS\tTIME\tLONGEST\tLAST\tREAD\tWRITTEN\tQUEUED")
	listed := 0
	for i := range loop.All() {
		if listed == MaxListed {
			break
		}
		listed++
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%d\t%s\t%s\t%s\t%d\t%d\t%d\n", printable(i.Name), printable(Kind(i)), i.Priority,
			state(i), until(i.Deadline), i.Calls, short(i.Spent), short(i.Longest), since(i.Active), i.Read, i.Written, i.Queued)
	}
	_ = w.Flush() // a strings.Builder takes everything
	if more := s.Live - listed; more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	return b.String()
}

// Status returns a function that returns the Text of the loop, for dispatcher.Service.Status.
func Status(loop *communicator.Communicator) func() string {
	return func() string { return Text(loop) }
}

// OnSignal writes the Text of the loop to w whenever one of the signals comes. The source is in the background.
// Writing is done on the loop: w should be quick, as a file or a terminal is. An error of w is logged, and nothing
// else. The errors are those of signals.Notify.
func OnSignal(loop *communicator.Communicator, w io.Writer, set ...os.Signal) (*signals.Signals, error) {
	if w == nil {
		panic("inspect: nil writer")
	}
	write := func(os.Signal, int) error {
		if _, err := io.Copy(w, bytes.NewReader([]byte(Text(loop)))); err != nil {
			loop.Logger().Warn("the listing of the loop could not be written", "error", err)
		}
		return nil
	}
	return signals.Notify(loop, write, communicator.Options{Name: "listing", Background: true}, set...)
}

// Kind is the kind of a source in a word or two: "timer", "connection.stream".
func Kind(i communicator.Info) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(i.Kind, "*"), "[") // without type parameters
	pkg, name, found := strings.Cut(kind, ".")
	if !found {
		return kind
	}
	name = strings.TrimSuffix(strings.TrimSuffix(name, "Source"), "source")
	if name == "" || name == pkg {
		return pkg
	}
	return pkg + "." + name
}

func state(i communicator.Info) string {
	state := i.State()
	if i.Background {
		state += ", background"
	}
	return state
}

func idle(s communicator.Stats) float64 { return 100 * float64(s.Idle) / float64(max(1, s.Age)) }

// printable keeps a name, which may come from a peer, from breaking the table, and from steering the terminal.
func printable(name string) string {
	n, last := 0, 0
	for i := range name {
		if n == MaxName {
			name = name[:last] + "…"
			break
		}
		n, last = n+1, i
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
}

func until(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return "in " + short(time.Until(t))
}

func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return short(time.Since(t)) + " ago"
}

// short is a duration with three digits or so.
func short(d time.Duration) string {
	unit := time.Nanosecond
	for limit := 10 * time.Microsecond; d.Abs() >= limit && unit < time.Second; limit *= 1000 {
		unit *= 1000
	}
	return d.Round(max(unit/10, 1)).String()
}
