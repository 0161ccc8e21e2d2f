package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/channel"
	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// pause is the time between two events: long enough for everything to fall asleep.
const pause = 2 * time.Millisecond

// kind is a kind of event whose way to its callback is measured.
type kind struct {
	name   string
	target float64 // µs, p50; 0 is none
	// open begins to listen. fire lets the event happen and returns when that was, on the clock of now; seen is
	// called in the callback.
	open func(b *bench, seen func()) (fire func() (at int64, err error), err error)
}

// bench is what the kinds have in common: a running loop, whose end ends all that was opened on it.
type bench struct {
	loop  *communicator.Communicator
	dir   string
	exit  string   // the program that says when it exits
	close []func() // what is not on the loop
}

// latency measures how long events take from when they happen to their callback.
func (o *options) latency(ctx context.Context, programs *run.Programs) error {
	exit, err := programs.C(ctx, "exit")
	if err != nil {
		return err
	}
	late := make([][]float64, len(kinds))
	p99 := make([][]float64, len(kinds))
	disturbed := make([]float64, len(kinds))
	for round := range o.rounds {
		for n := range kinds {
			i := (n + round) % len(kinds)
			run.Progress("round %d of %d: %s", round+1, o.rounds, kinds[i].name)
			samples, others, err := undisturbed(func() ([]float64, error) { return o.sample(ctx, kinds[i], exit) })
			if err != nil {
				return fmt.Errorf("%s: %w", kinds[i].name, err)
			}
			late[i] = append(late[i], run.Quantile(samples, 0.5))
			p99[i] = append(p99[i], run.Quantile(samples, 0.99))
			disturbed[i] = max(disturbed[i], others)
		}
	}
	run.Progress("")
	fmt.Printf("From the event to its callback, with everything asleep before; medians of %d rounds of %d events\n\n", o.rounds, o.samples)
	fmt.Println("| event | p50 µs | p99 µs | others' share of the CPUs |")
	fmt.Println("|---|---|---|---|")
	for i, k := range kinds {
		p50 := run.Median(late[i])
		fmt.Printf("| %s | %.1f%s | %.0f | %.1f %% |\n", k.name, p50, run.Verdict(p50, k.target, disturbed[i] > othersLimit),
			run.Median(p99[i]), 100*disturbed[i])
	}
	fmt.Println()
	return nil
}

// sample lets events of a kind happen, one after the other, and returns how long each took in µs.
func (o *options) sample(ctx context.Context, k kind, exit string) (late []float64, err error) {
	b := &bench{exit: exit}
	if b.loop, err = communicator.New(communicator.Config{}); err != nil {
		return nil, err
	}
	defer b.loop.Close()
	if b.dir, err = os.MkdirTemp(memory(), "ed-events-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(b.dir)
	times := make(chan int64, 64)
	fire, err := k.open(b, func() { times <- now() })
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, f := range b.close {
			f()
		}
	}()
	release, err := b.loop.Hold()
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- b.loop.Run(ctx) }()
	defer func() {
		release()
		b.loop.Stop(nil)
		if e := <-ended; err == nil {
			err = e
		}
	}()
	for range o.samples {
		time.Sleep(pause)
		for len(times) > 0 { // a second event of the same change
			<-times
		}
		at, err := fire()
		if err != nil {
			return nil, err
		}
		select {
		case t := <-times:
			late = append(late, float64(t-at)/1e3)
		case <-time.After(5 * time.Second):
			return nil, fmt.Errorf("no callback within 5 s")
		case err := <-ended:
			ended <- err
			return nil, fmt.Errorf("the loop has ended: %w", err)
		}
	}
	return late, nil
}

// memory is a folder in memory, where making a file takes no time of a disk's; elsewhere the usual temporary one.
func memory() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err != nil || !info.IsDir() {
		return ""
	}
	return shm
}

// onLoop runs f on the loop and waits for it.
func (b *bench) onLoop(f func() error) error { return b.loop.Do(context.Background(), f) }

var kinds = []kind{
	{"timer.After, 1.5 ms", 60, afterOnLoop},
	{"time.AfterFunc, 1.5 ms", 0, afterWithoutLoop},
	{"signals.Notify", 100, signalOnLoop},
	{"os/signal, a goroutine", 0, signalWithoutLoop},
	{"procwatch.Child, exit", 100, childOnLoop},
	{"os.Process.Wait, a goroutine", 0, childWithoutLoop},
	{"filewatch, Created", 60, func(b *bench, seen func()) (func() (int64, error), error) {
		return fileOnLoop(b, filewatch.Created, seen)
	}},
	{"filewatch, Finished", 60, func(b *bench, seen func()) (func() (int64, error), error) {
		return fileOnLoop(b, filewatch.Finished, seen)
	}},
	{"fsnotify, a goroutine, Create", 0, fileWithoutLoop},
	{"Communicator.Post", 0, post},
	{"channel.Inbox", 0, inbox},
	{"worker.Do, there and back", 0, work},
}

func afterOnLoop(b *bench, seen func()) (func() (int64, error), error) {
	const d = 1500 * time.Microsecond
	return func() (due int64, err error) {
		err = b.onLoop(func() error {
			due = now() + int64(d)
			_, err := timer.After(b.loop, d, func(*timer.Timer) error { seen(); return nil }, communicator.Options{})
			return err
		})
		return due, err
	}, nil
}

func afterWithoutLoop(_ *bench, seen func()) (func() (int64, error), error) {
	const d = 1500 * time.Microsecond
	return func() (int64, error) {
		due := now() + int64(d)
		time.AfterFunc(d, seen)
		return due, nil
	}, nil
}

func raise() (int64, error) {
	at := now()
	return at, syscall.Kill(os.Getpid(), syscall.SIGUSR1)
}

func signalOnLoop(b *bench, seen func()) (func() (int64, error), error) {
	_, err := signals.Notify(b.loop, func(os.Signal, int) error { seen(); return nil }, communicator.Options{}, syscall.SIGUSR1)
	return raise, err
}

func signalWithoutLoop(b *bench, seen func()) (func() (int64, error), error) {
	c := make(chan os.Signal, 16)
	signal.Notify(c, syscall.SIGUSR1)
	go func() {
		for range c {
			seen()
		}
	}()
	b.close = append(b.close, func() { signal.Stop(c); close(c) })
	return raise, nil
}

// child starts the program that says when it exits. end lets it exit and returns when that was.
func (b *bench) child() (cmd *exec.Cmd, end func() (int64, error), err error) {
	cmd = exec.Command(b.exit)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return cmd, func() (int64, error) {
		defer stdout.Close()
		if err := stdin.Close(); err != nil {
			return 0, err
		}
		var text [8]byte
		_, err := io.ReadFull(stdout, text[:])
		return int64(binary.NativeEndian.Uint64(text[:])), err
	}, nil
}

func childOnLoop(b *bench, seen func()) (func() (int64, error), error) {
	return func() (int64, error) {
		cmd, end, err := b.child()
		if err != nil {
			return 0, err
		}
		err = b.onLoop(func() error {
			_, err := procwatch.Child(b.loop, cmd.Process, func(*procwatch.Watch, procwatch.Event) error { seen(); return nil }, procwatch.Options{})
			return err
		})
		if err != nil {
			return 0, err
		}
		time.Sleep(pause)
		return end()
	}, nil
}

func childWithoutLoop(b *bench, seen func()) (func() (int64, error), error) {
	return func() (int64, error) {
		cmd, end, err := b.child()
		if err != nil {
			return 0, err
		}
		go func() {
			_, _ = cmd.Process.Wait() // its status doesn't matter here
			seen()
		}()
		time.Sleep(pause)
		return end()
	}, nil
}

// create makes a file, each time another, and closes it: both events are there when it returns.
func (b *bench) create() func() (int64, error) {
	n := 0
	return func() (int64, error) {
		n++
		name := filepath.Join(b.dir, fmt.Sprint(n))
		at := now()
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		return at, f.Close()
	}
}

func fileOnLoop(b *bench, op filewatch.Op, seen func()) (func() (int64, error), error) {
	w, err := filewatch.New(b.loop, func(filewatch.Event) error { seen(); return nil }, filewatch.Config{})
	if err != nil {
		return nil, err
	}
	return b.create(), w.Add(b.dir, filewatch.Watch{Ops: op})
}

func fileWithoutLoop(b *bench, seen func()) (func() (int64, error), error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	go func() {
		for range w.Events {
			seen()
		}
	}()
	b.close = append(b.close, func() { _ = w.Close() })
	return b.create(), w.Add(b.dir)
}

func post(b *bench, seen func()) (func() (int64, error), error) {
	return func() (int64, error) {
		at := now()
		return at, b.loop.Post(seen)
	}, nil
}

func inbox(b *bench, seen func()) (func() (int64, error), error) {
	in, err := channel.NewInbox(b.loop, func(int) error { seen(); return nil }, channel.Config{})
	return func() (int64, error) {
		at := now()
		return at, in.Send(context.Background(), 1)
	}, err
}

func work(b *bench, seen func()) (func() (int64, error), error) {
	pool, err := worker.NewPool(b.loop, worker.Config{})
	nothing := func(context.Context) (*bytes.Buffer, error) { return nil, nil }
	return func() (at int64, err error) {
		err = b.onLoop(func() error {
			at = now()
			_, err := worker.Do(pool, nothing, func(*bytes.Buffer, error) { seen() })
			return err
		})
		return at, err
	}, err
}
