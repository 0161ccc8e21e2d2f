package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/channel"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/connection/pressure"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// sleep arms a source of every kind and counts how often the loop wakes up.
func (o *options) sleep(ctx context.Context) error {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	defer loop.Close()
	dir, err := os.MkdirTemp("", "ed-events-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := arm(loop, dir); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	defer func() {
		loop.Stop(nil)
		_ = <-ended // after Stop that of ctx, which benchmark returns, or none
	}()

	var before, after communicator.Stats
	look := func(s *communicator.Stats) error {
		return loop.Do(ctx, func() error { *s = loop.Stats(); return nil })
	}
	for range 2 { // the first turns begin things
		time.Sleep(200 * time.Millisecond)
		if err := look(&before); err != nil {
			return err
		}
	}
	run.Progress("an idle loop, %v", o.idle)
	cpu, switches := startCPU(), voluntary()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(o.idle):
	}
	used, switched := cpu(), voluntary()-switches
	if err := look(&after); err != nil {
		return err
	}
	run.Progress("")
	// One turn for the Do that looked the first time is over; the one that looks now is the only other.
	woken := int(after.Turns-before.Turns) - 1
	verdict := "target 0 met"
	if woken > 0 {
		verdict = "target 0 MISSED"
	}
	fmt.Printf("%d sources of all kinds, %v without an event: %d turns (%s), %.0f µs of CPU time and %d voluntary context switches of the whole process\n\n",
		after.Live, o.idle, woken, verdict, used/1e3, switched)
	return nil
}

func voluntary() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(fmt.Sprint("getrusage: ", err))
	}
	return u.Nvcsw
}

// arm puts a source of every kind into the loop. The child ends with the loop.
func arm(loop *communicator.Communicator, dir string) error {
	const far = time.Hour
	nothing := connection.DataFunc(func(_ *connection.Stream, data []byte) (int, error) { return len(data), nil })
	serve := connection.Streams(nothing, connection.StreamConfig{IdleTimeout: far})
	none := communicator.Options{}
	steps := []func() error{
		func() error {
			_, err := timer.After(loop, far, func(*timer.Timer) error { return nil }, none)
			return err
		},
		func() error {
			_, err := timer.Every(loop, far, func(*timer.Timer, int) error { return nil }, communicator.Options{Priority: -1, Slack: time.Second})
			return err
		},
		func() error {
			_, err := timer.At(loop, time.Now().Add(far), func(*timer.Timer) error { return nil }, none)
			return err
		},
		func() error {
			set, err := timer.NewSet(loop, none)
			for i := range 1000 {
				set.After(far+time.Duration(i)*time.Second, func(*timer.Entry) {})
			}
			return err
		},
		func() error { _, err := signals.Terminate(loop, time.Second, nil, none); return err },
		func() error { _, err := signals.Hangup(loop, func() error { return nil }, none); return err },
		func() error {
			_, err := command.Start(loop, exec.Command("cat"), command.Config{Input: true, Stdout: nothing, Timeout: far})
			return err
		},
		func() error {
			_, err := procwatch.PID(loop, os.Getppid(), func(*procwatch.Watch, procwatch.Event) error { return nil }, procwatch.Options{})
			return err
		},
		func() error {
			w, err := filewatch.New(loop, func(filewatch.Event) error { return nil }, filewatch.Config{})
			if err != nil {
				return err
			}
			return w.Add(dir, filewatch.Watch{Recursive: true, Ops: filewatch.Finished | filewatch.Created})
		},
		func() error {
			_, err := channel.NewInbox(loop, func(int) error { return nil }, channel.Config{})
			return err
		},
		func() error { _, err := channel.NewOutbox[int](loop, channel.Config{}); return err },
		func() error {
			pool, err := worker.NewPool(loop, worker.Config{})
			if err != nil {
				return err
			}
			_, err = worker.Do(pool, func(context.Context) (int, error) { return 1, nil }, func(int, error) {})
			return err
		},
		func() error {
			_, err := worker.Go(loop, func(ctx context.Context) error { <-ctx.Done(); return nil }, func(error) {}, none)
			return err
		},
		func() error { _, err := tcp.Listen(loop, "127.0.0.1:0", serve, tcp.ListenConfig{}); return err },
		func() error {
			_, err := unixsock.Listen(loop, filepath.Join(dir, "s"), serve, unixsock.ListenConfig{})
			return err
		},
		func() error {
			_, err := fifo.Listen(loop, filepath.Join(dir, "f"), serve, fifo.ListenConfig{})
			return err
		},
		func() error {
			_, err := udp.Listen(loop, "127.0.0.1:0", connection.DatagramFunc(func(*connection.Datagram, []byte, connection.Peer) error { return nil }), udp.ListenConfig{})
			return err
		},
		func() error {
			a, b, err := fifo.Pair()
			if err != nil {
				return err
			}
			for _, t := range []connection.Transport{a, b} {
				if err := serve(loop, t); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	// Where the kernel tells of pressure: a machine that is short of memory wakes the loop, as it should.
	if _, err := pressure.Watch(loop, pressure.Memory, func() error { return nil }, pressure.Config{}); err != nil {
		fmt.Println("without memory pressure:", err)
	}
	return nil
}
