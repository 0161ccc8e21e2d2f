//go:build linux

package communicator_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// awaitReadable blocks until a descriptor is readable.
func awaitReadable(t testing.TB, fd int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100); err == nil && n == 1 {
			return
		}
	}
	t.Errorf("descriptor %d never became readable", fd)
}

// plug is one side of a socketpair as a connection.Transport.
type plug struct{ *file }

func (p plug) FD() int { return p.fd }

func (p plug) Read(b []byte) (int, error) {
	n, err := unix.Read(p.fd, b)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return 0, connection.ErrWouldBlock
	case n == 0 && err == nil:
		return 0, io.EOF
	}
	return max(0, n), err
}

func (p plug) Write(b []byte) (int, error) { return unix.Write(p.fd, b) }

// kinds are sources of all kinds that note when they are called, and then leave.
type kinds struct {
	t        *testing.T
	loop     *communicator.Communicator
	left     []int // priorities that are not given away
	ready    []func()
	called   []string
	priority map[string]int
}

// next is what the next source is added with, and what it calls.
func (k *kinds) next(kind string) (o communicator.Options, note func()) {
	name := fmt.Sprintf("%s of priority %d", kind, k.left[0])
	o = communicator.Options{Name: name, Priority: k.left[0]}
	k.priority[name] = o.Priority
	k.left = k.left[1:]
	return o, func() { k.called = append(k.called, name) }
}

func (k *kinds) timer() {
	o, note := k.next("timer")
	clock, err := timer.After(k.loop, time.Hour, func(*timer.Timer) error { note(); return nil }, o)
	if err != nil {
		k.t.Fatal(err)
	}
	k.ready = append(k.ready, func() { clock.Reset(0) })
}

func (k *kinds) eventfd() {
	o, note := k.next("eventfd")
	f := eventfd(k.t)
	add(k.t, k.loop, communicator.ReadFunc(f.fd, func(h *communicator.Handle) error { note(); return remove(h) }), o)
	k.ready = append(k.ready, func() { f.signal(k.t) })
}

func (k *kinds) writer() {
	o, note := k.next("writer")
	o.Disabled = true
	p := &probe{t: k.t, file: eventfd(k.t), write: func(h *communicator.Handle) error { note(); return remove(h) }}
	h := add(k.t, k.loop, p, o)
	h.Want(communicator.Write)
	k.ready = append(k.ready, func() { h.SetEnabled(true) })
}

func (k *kinds) stream() {
	o, note := k.next("stream")
	a, b := socketpair(k.t)
	handler := connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) {
		note()
		s.Handle().Remove(nil)
		return len(data), nil
	})
	s, err := connection.NewStream(k.loop, plug{a}, handler, connection.StreamConfig{})
	if err != nil {
		k.t.Fatal(err)
	}
	s.Handle().SetPriority(o.Priority)
	k.ready = append(k.ready, func() { send(k.t, b, "data", 0) })
}

func (k *kinds) signal() {
	const sig = syscall.SIGUSR2
	o, note := k.next("signal")
	var s *signals.Signals
	s, err := signals.Notify(k.loop, func(os.Signal, int) error { note(); s.Close(); return nil }, o, sig)
	if err != nil {
		k.t.Fatal(err)
	}
	k.ready = append(k.ready, func() {
		if err := unix.Kill(os.Getpid(), sig); err != nil {
			k.t.Error(err)
		}
		for _, info := range k.loop.Sources() {
			if info.Name == o.Name {
				awaitReadable(k.t, info.FD) // a goroutine passes it on
			}
		}
	})
}

// child is a process that ends when its input does.
func (k *kinds) child() {
	cmd := exec.Command("cat")
	input, err := cmd.StdinPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.t.Logf("without a child: %v", err)
		_ = input.Close()
		return
	}
	k.t.Cleanup(func() {
		_ = input.Close()
		if err := cmd.Wait(); err != nil {
			k.t.Error(err)
		}
	})
	fd, err := unix.PidfdOpen(cmd.Process.Pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		k.t.Logf("without a child: %v", err)
		return
	}
	o, note := k.next("child")
	f := newFile(k.t, fd)
	add(k.t, k.loop, &probe{t: k.t, file: f, read: func(h *communicator.Handle) error { note(); return remove(h) }}, o)
	k.ready = append(k.ready, func() {
		_ = input.Close()
		awaitReadable(k.t, f.fd)
	})
}

// TestKindsByPriority: sources of all kinds, made ready one after the other while a callback takes its time, are
// served by their priority alone. Posted functions run as well.
func TestKindsByPriority(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for round := range 6 {
		loop := newLoop(t, communicator.Config{})
		k := &kinds{t: t, loop: loop, priority: map[string]int{}}
		for _, i := range rng.Perm(20) {
			k.left = append(k.left, i-8)
		}
		gate := signalled(t)
		posted := 0
		add(t, loop, communicator.ReadFunc(gate.fd, func(h *communicator.Handle) error {
			for _, i := range rng.Perm(len(k.ready)) {
				k.ready[i]()
				post(t, loop, func() { posted++ })
			}
			if len(k.called) > 0 {
				t.Errorf("called within another callback: %q", k.called)
			}
			return remove(h)
		}), communicator.Options{})
		for _, kind := range []func(){k.timer, k.eventfd, k.writer, k.stream, k.signal, k.child, k.timer, k.eventfd, k.writer, k.stream} {
			kind()
		}
		run(t, loop)
		if posted != len(k.ready) || len(k.called) != len(k.ready) {
			t.Errorf("round %d: %d posted functions ran, %d sources were called, of %d", round, posted, len(k.called), len(k.ready))
		}
		if !slices.IsSortedFunc(k.called, func(a, b string) int { return k.priority[a] - k.priority[b] }) {
			t.Errorf("round %d: served as %q", round, k.called)
		}
	}
}

// TestRemoveAll: a callback that removes all sources of a loop, of all kinds and ready or not, is the last of them;
// each is closed once.
func TestRemoveAll(t *testing.T) {
	const sources = 60
	for _, how := range []string{"read", "timeout", "function"} {
		loop := newLoop(t, communicator.Config{})
		var all []*communicator.Handle
		calls, closes := 0, 0
		end := func(*communicator.Handle) error {
			calls++
			for _, h := range all {
				h.Remove(errTest)
			}
			return nil
		}
		for i := range sources {
			p := &probe{t: t, name: fmt.Sprint(how, i), read: end, write: end, timeout: end}
			p.closed = func(_ *communicator.Handle, cause error) {
				if closes++; !errors.Is(cause, errTest) {
					t.Errorf("%s: closed with %v", p.name, cause)
				}
			}
			o := communicator.Options{Priority: i%7 - 3, Disabled: i%5 == 4, Background: i%11 == 5}
			switch {
			case i%3 > 0 && how == "timeout":
				p.file = eventfd(t)
			case i%3 > 0:
				p.file = signalled(t)
				o.Want = communicator.Read | communicator.Write
			}
			if i%2 == 0 || how == "timeout" {
				o.Deadline = time.Now()
			}
			if i%13 == 6 {
				o.Rate = rate(1, time.Hour)
			}
			switch how { // what isn't there may not be called
			case "timeout":
				p.read, p.write = nil, nil
			case "function":
				p.read, p.write, p.timeout = nil, nil, nil
			}
			h := add(t, loop, p, o)
			if how == "read" && p.file == nil {
				h.SetDeadline(time.Time{})
				h.MarkReadable()
			}
			all = append(all, h)
		}
		if how == "function" {
			loop.AtExit(func(error) { _ = end(nil) })
			loop.Stop(nil)
		}
		run(t, loop)
		if calls != 1 || closes != sources {
			t.Errorf("%s: %d callbacks, %d closed", how, calls, closes)
		}
		if s := loop.Stats(); s.Live != 0 || s.Closed != sources {
			t.Errorf("%s: %d live, %d closed", how, s.Live, s.Closed)
		}
	}
}
