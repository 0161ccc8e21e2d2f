//go:build linux

// Command ring shows what two processes can say to each other through shared memory, and that nothing of it gets lost.
//
//	go run ./examples/ring
//	go run ./examples/ring --size 4096 --batch 16
//	go run ./examples/ring --kill
//
// It starts itself a second time, and both processes send each other a million numbered messages with check sums, at
// the same time. Then one after the other goes there and back. It prints how fast that was, and how often the kernel
// had to wake one of the two, and ends with status 0 only if everything has come, once, undamaged and in order:
//
//	1000000 messages of 64 bytes each way, at the same time
//
//	         messages/s   MB/s  wake-ups per 1000
//	  there     6603007  422.6               0.81
//	   back     6619778  423.7               1.23
//
//	                 p50     p99  wake-ups per 1000
//	  round trip  5.3 µs  9.8 µs             584.73
//
// With --kill it kills the second process at a random moment, a hundred times, and starts it anew. After each death the
// connection has to close once, for that reason, and what has come until then must have been whole and in order.
// The handler of the records, which does the work on both sides, is in side.go.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

type options struct {
	size, batch int
	count       uint64
	spin        time.Duration
	kill        bool
	rounds      int
	peer        string // this is the second process, and that is where the first one listens
}

const (
	maxLife  = 20 * time.Millisecond // of a connection whose other side is killed
	patience = time.Second           // for each of them, on average
)

func main() {
	var o options
	pflag.IntVar(&o.size, "size", 64, "messages of so many `BYTES`")
	pflag.IntVar(&o.batch, "batch", 1, "publish `N` messages at once")
	pflag.DurationVar(&o.spin, "spin", 0, "before sleeping look for more, for a `DURATION`; at most 50µs")
	pflag.Uint64Var(&o.count, "count", 1_000_000, "send `N` messages each way")
	pflag.BoolVar(&o.kill, "kill", false, "kill the second process, again and again")
	pflag.IntVar(&o.rounds, "rounds", 100, "with --kill: so many times, `N`")
	pflag.StringVar(&o.peer, "peer", "", "")
	_ = pflag.CommandLine.MarkHidden("peer") // it is there
	pflag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "ring:", err)
		os.Exit(1)
	}
}

// trips is how many round trips are made.
func (o options) trips() uint64 { return max(1, min(o.count/10, 20_000)) }

func run(o options) error {
	switch {
	case pflag.NArg() > 0:
		return fmt.Errorf("%q is no option", pflag.Arg(0))
	case o.size < headerSize || o.size > shmconn.DefaultMaxRecord:
		return fmt.Errorf("--size: not from %d to %d", headerSize, shmconn.DefaultMaxRecord)
	case o.batch < 1 || o.count < 1 || o.rounds < 1:
		return errors.New("--batch, --count and --rounds: not from 1 on")
	}
	if o.kill {
		o.count = math.MaxUint64 // it is not going to come to that
	} else {
		o.rounds = 1
	}
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	defer loop.Close()
	if o.peer != "" {
		return second(loop, o)
	}
	return first(loop, o)
}

// starter is the first process. It has a side for each second process that it starts, one after the other.
type starter struct {
	options
	loop     *communicator.Communicator
	name     string // of the listener
	listener *connection.Listener
	child    *command.Process
	ended    bool    // the child
	sides    []*side // the last one is that of the child
	there    figures // that the child has told
}

// first is the first process.
func first(loop *communicator.Communicator, o options) (err error) {
	s := &starter{options: o, loop: loop, name: "@ring-" + rand.Text()} // abstract: no file is left, whatever happens
	s.listener, err = shmconn.Listen(loop, s.name, s.serve, shmconn.ListenConfig{
		Filter: &unixsock.Filter{Accept: func(c unixsock.Credentials) bool { return c.PID == s.child.PID() }},
		Ring:   shmconn.Config{Spin: o.spin},
	})
	if err == nil {
		err = s.start()
	}
	if err != nil {
		return err
	}
	ctx := context.Background()
	if o.kill {
		var cancel func()
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(o.rounds)*patience, errors.New("a death was not noticed"))
		defer cancel()
	}
	if err := loop.Run(ctx); err != nil { // until nothing is left to do
		return err
	}
	for i, here := range s.sides {
		if err := here.judge(o.kill); err != nil {
			return fmt.Errorf("process %d: %w", i+1, err)
		}
	}
	if o.kill {
		s.deaths()
	} else {
		s.table()
	}
	return nil
}

// start starts the second process.
func (s *starter) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	here := newSide(s.options)
	here.asks, here.closed = true, s.next
	if s.kill {
		here.opened = s.killSoon
	}
	s.sides, s.ended = append(s.sides, here), false

	cmd := exec.Command(self, append(os.Args[1:], "--peer", s.name)...)
	cmd.Stderr = os.Stderr
	s.child, err = command.Start(s.loop, cmd, command.Config{
		Stdout: connection.Split(bufio.ScanLines, connection.FrameFunc(func(_ *connection.Stream, line []byte) error {
			return json.Unmarshal(line, &s.there)
		})),
		Exit: func(_ *command.Process, e procwatch.Event) error {
			if s.kill && e.Kind != procwatch.Killed || !s.kill && !e.Success() {
				s.loop.Stop(errors.New(e.String()))
			}
			s.ended = true
			s.next()
			return nil
		},
	})
	return err
}

// serve takes the connection of the second process. Each has its own handler, so this isn't shmconn.Records.
func (s *starter) serve(loop connection.Loop, t connection.Transport) error {
	_, err := shmconn.NewRecordConn(loop, t, s.sides[len(s.sides)-1], shmconn.RecordConfig{})
	return err
}

// killSoon kills the second process at a random moment.
func (s *starter) killSoon() {
	_, err := timer.After(s.loop, mathrand.N(maxLife), func(*timer.Timer) error {
		return s.child.Signal(syscall.SIGKILL)
	}, communicator.Options{})
	if err != nil {
		s.loop.Stop(err)
	}
}

// next goes on when the second process has ended and its connection is closed, whichever comes first.
func (s *starter) next() {
	switch here := s.sides[len(s.sides)-1]; {
	case !s.ended || here.closes == 0:
	case len(s.sides) == s.rounds:
		s.listener.Close() // then nothing is left to do
	default:
		if err := s.start(); err != nil {
			s.loop.Stop(err)
		}
	}
}

// deaths tells of the second processes that were killed.
func (s *starter) deaths() {
	var received uint64
	for _, here := range s.sides {
		received += here.received
	}
	fmt.Printf("%d deaths, after each the connection was closed once: %v\n", len(s.sides), shmconn.ErrPeerDied)
	fmt.Printf("%d messages of %d bytes had come, all whole and in order\n", received, s.size)
}

// table prints what was measured.
func (s *starter) table() {
	here := s.sides[0]
	fmt.Printf("%d messages of %d bytes each way, at the same time\n\n", s.count, s.size)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tmessages/s\tMB/s\twake-ups per 1000\t")
	flood := func(name string, from, to figures) {
		rate := float64(s.count) / to.Took.Seconds()
		wakeUps := 1000 * float64(from.Flood.Bells) / float64(s.count)
		fmt.Fprintf(w, "%s\t%.0f\t%.1f\t%.2f\t\n", name, rate, rate*float64(s.size)/1e6, wakeUps)
	}
	flood("there", here.figures, s.there)
	flood("back", s.there, here.figures)
	slices.Sort(here.took)
	at := func(percent int) float64 { return float64(here.took[len(here.took)*percent/100]) / 1e3 }
	bells := here.figures.All.Bells - here.figures.Flood.Bells + s.there.All.Bells - s.there.Flood.Bells
	_ = w.Flush()
	fmt.Fprintln(w, "\n\tp50\tp99\twake-ups per 1000\t")
	fmt.Fprintf(w, "round trip\t%.1f µs\t%.1f µs\t%.2f\t\n", at(50), at(99), 1000*float64(bells)/float64(2*s.trips()))
	_ = w.Flush()
}
