// Command server is the program that the benchmark urgent measures: an echo
// server that works for each request, with a periodic timer, and with a second
// listener for a connection whose messages carry the time of their sending.
//
// It prints two lines "listening tcp ADDRESS", the second one for the second
// listener, and when SIGTERM ends it a line for each tick and each message:
// "tick" or "message", when its callback began and by how much that was late,
// both in nanoseconds, the former of CLOCK_MONOTONIC.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

const messageSize = 64 // bytes, of a request and of an urgent message

// maxSamples is a minute of ticks of 1 ms: the list never grows while it runs.
const maxSamples = 1 << 16

type sample struct {
	kind     string
	at, late int64
}

type recorder struct {
	start   time.Time
	offset  int64 // from start to CLOCK_MONOTONIC
	samples []sample
}

func newRecorder() (*recorder, error) {
	r := &recorder{start: time.Now(), samples: make([]sample, 0, maxSamples)}
	// package time keeps CLOCK_MONOTONIC to itself. The shortest of a few tries is
	// the one that nothing has interrupted.
	best := int64(1 << 62)
	for range 100 {
		before := int64(time.Since(r.start))
		var t unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
			return nil, os.NewSyscallError("clock_gettime", err)
		}
		if took := int64(time.Since(r.start)) - before; took < best {
			best, r.offset = took, t.Nano()-before-took/2
		}
	}
	return r, nil
}

// now returns CLOCK_MONOTONIC in nanoseconds.
func (r *recorder) now() int64 { return r.offset + int64(time.Since(r.start)) }

func (r *recorder) add(kind string, due int64) {
	if now := r.now(); len(r.samples) < maxSamples {
		r.samples = append(r.samples, sample{kind, now, now - due})
	}
}

// busy echoes after some work for each request.
type busy struct{ work time.Duration }

func (b busy) HandleData(s *connection.Stream, data []byte) (int, error) {
	n := len(data) / messageSize * messageSize
	for range n / messageSize {
		for begin := time.Now(); time.Since(begin) < b.work; {
		}
	}
	_, err := s.Write(data[:n])
	return n, err
}

// urgent records how long each message was under way.
type urgent struct{ r *recorder }

func (u urgent) HandleData(_ *connection.Stream, data []byte) (int, error) {
	n := len(data) / messageSize * messageSize
	for off := 0; off < n; off += messageSize {
		u.r.add("message", int64(binary.NativeEndian.Uint64(data[off:])))
	}
	return n, nil
}

func main() {
	work := flag.Duration("work", 20*time.Microsecond, "work for each request")
	tick := flag.Duration("tick", 0, "period of the timer; 0: no timer")
	priority := flag.Int("priority", communicator.PriorityUrgent, "priority of the timer and of the second listener's connections")
	flag.Parse()
	log.SetFlags(0)
	if err := serve(*work, *tick, *priority); err != nil {
		log.Fatal(err)
	}
}

func serve(work, tick time.Duration, priority int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := newRecorder()
	if err != nil {
		return err
	}
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	first, err := tcp.Listen(loop, "127.0.0.1:0", connection.Streams(busy{work}, connection.StreamConfig{}), tcp.ListenConfig{})
	if err != nil {
		return err
	}
	second, err := tcp.Listen(loop, "127.0.0.1:0",
		connection.Streams(urgent{r}, connection.StreamConfig{Priority: priority}), tcp.ListenConfig{})
	if err != nil {
		return err
	}
	if tick > 0 {
		// The schedule is kept here too, so that what the library says of itself is
		// checked. Late is counted from the first tick that has not been served.
		due := r.now() + int64(tick)
		_, err := timer.Every(loop, tick, func(_ *timer.Timer, missed int) error {
			r.add("tick", due)
			due += int64(1+missed) * int64(tick)
			if r.now() < due-int64(tick) {
				loop.Stop(errors.New("a tick was called missed that was not due yet"))
			}
			return nil
		}, communicator.Options{Priority: priority, Name: "tick"})
		if err != nil {
			return err
		}
	}
	fmt.Println("listening tcp", first.Addr())
	fmt.Println("listening tcp", second.Addr())
	if err := loop.Run(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return r.print()
}

func (r *recorder) print() error {
	w := bufio.NewWriter(os.Stdout)
	for _, s := range r.samples {
		fmt.Fprintln(w, s.kind, s.at, s.late)
	}
	return w.Flush()
}
