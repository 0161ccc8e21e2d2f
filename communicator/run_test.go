//go:build linux

package communicator_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

func TestRunWithNothingToDo(t *testing.T) {
	fdtest.Check(t)
	loop := newLoop(t, communicator.Config{})
	run(t, loop)
	if err := loop.Run(context.Background()); !errors.Is(err, communicator.ErrClosed) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second Run answers %v", err)
	}
	if _, err := loop.Add(&probe{t: t}, communicator.Options{}); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("Add after the end answers %v", err)
	}
	if err := loop.Close(); err != nil {
		t.Errorf("Close after Run answers %v", err)
	}
}

func TestRunEndsWhenNothingIsLeft(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var ended journal
	for _, name := range []string{"a", "b", "c"} {
		p := &probe{t: t, name: name, file: signalled(t), read: remove}
		p.closed = func(*communicator.Handle, error) { ended.note(name) }
		add(t, loop, p, communicator.Options{})
	}
	run(t, loop)
	ended.expect(t, "a", "b", "c")
}

// TestRunWaitsForADisabledSource: a source that is switched off is still something left.
func TestRunWaitsForADisabledSource(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	off := &probe{t: t, name: "off", file: signalled(t)}
	h := add(t, loop, off, communicator.Options{Disabled: true})
	clock := &probe{t: t, name: "clock", timeout: func(c *communicator.Handle) error {
		c.Remove(nil)
		post(t, loop, func() { h.Remove(nil) })
		return nil
	}}
	add(t, loop, clock, communicator.Options{Deadline: time.Now().Add(5 * time.Millisecond)})
	run(t, loop)
	if clock.timeouts != 1 || off.closes != 1 {
		t.Errorf("the loop ended early: %d time-outs, %d closes", clock.timeouts, off.closes)
	}
}

func TestRunWithinACallback(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	check := func(where string) {
		if err := loop.Run(context.Background()); !errors.Is(err, communicator.ErrRunning) {
			t.Errorf("Run in %s answers %v", where, err)
		}
		if err := loop.Close(); !errors.Is(err, communicator.ErrRunning) {
			t.Errorf("Close in %s answers %v", where, err)
		}
	}
	p := &probe{t: t, file: signalled(t), read: func(h *communicator.Handle) error {
		check("HandleRead")
		return remove(h)
	}}
	p.closed = func(*communicator.Handle, error) { check("HandleClose") }
	add(t, loop, p, communicator.Options{})
	post(t, loop, func() { check("a posted function") })
	run(t, loop)
}

func TestRunTwiceAtOnce(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, &probe{t: t}, communicator.Options{})
	wait := start(t, loop)
	do(t, loop, func() {})
	if err := loop.Run(context.Background()); !errors.Is(err, communicator.ErrRunning) {
		t.Errorf("the second Run answers %v", err)
	}
	loop.Stop(nil)
	if err := wait(); err != nil {
		t.Error(err)
	}
	if err := loop.Run(context.Background()); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("Run after the end answers %v", err)
	}
}

// TestContextAlreadyEnded: what ended before Run gets no callback, and Run always says why; many
// times, since a loop that only hears of it from another goroutine is right now and then.
func TestContextAlreadyEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errTest)
	for range 50 {
		loop := newLoop(t, communicator.Config{})
		p := &probe{t: t, file: signalled(t)}
		add(t, loop, p, communicator.Options{})
		if err := loop.Run(ctx); !errors.Is(err, errTest) {
			t.Fatalf("Run answers %v", err)
		}
		if p.closes != 1 || !errors.Is(p.cause, errTest) {
			t.Fatalf("closed %d times, cause %v", p.closes, p.cause)
		}
		empty := newLoop(t, communicator.Config{})
		if err := empty.Run(ctx); !errors.Is(err, errTest) {
			t.Fatalf("Run of an empty loop answers %v", err)
		}
		if t.Failed() {
			return
		}
	}
}

func TestContextEndsLater(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, file: eventfd(t)}
	add(t, loop, p, communicator.Options{})
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- loop.Run(ctx) }()
	do(t, loop, func() {})
	cancel(errTest)
	if err := await(t, done, "Run"); !errors.Is(err, errTest) {
		t.Errorf("Run answers %v", err)
	}
	if p.closes != 1 || !errors.Is(p.cause, errTest) {
		t.Errorf("closed %d times, cause %v", p.closes, p.cause)
	}
}

func TestContextWithoutCause(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, &probe{t: t}, communicator.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := loop.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run answers %v", err)
	}
}

func TestStopBeforeRun(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, file: signalled(t)}
	add(t, loop, p, communicator.Options{})
	ran := false
	post(t, loop, func() { ran = true })
	loop.Stop(errTest)
	if err := runError(t, loop); !errors.Is(err, errTest) {
		t.Errorf("Run answers %v", err)
	}
	if p.closes != 1 || !ran {
		t.Errorf("closed %d times; the posted function ran: %v", p.closes, ran)
	}
}

func TestFirstCauseCounts(t *testing.T) {
	for _, first := range []error{errTest, nil} {
		loop := newLoop(t, communicator.Config{})
		p := &probe{t: t, file: signalled(t)}
		p.read = func(*communicator.Handle) error {
			loop.Stop(first)
			loop.Stop(errors.New("second"))
			return nil
		}
		p.closed = func(*communicator.Handle, error) { loop.Stop(errors.New("third")) }
		add(t, loop, p, communicator.Options{})
		if err := runError(t, loop); !errors.Is(err, first) {
			t.Errorf("Run answers %v after Stop(%v)", err, first)
		}
	}
}

// TestStopEndsTheTurn: after Stop nobody else is called who is ready, but who was posted is.
func TestStopEndsTheTurn(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	posted := false
	first := &probe{t: t, name: "first", file: signalled(t), read: func(*communicator.Handle) error {
		post(t, loop, func() { posted = true })
		loop.Stop(nil)
		return nil
	}}
	second := &probe{t: t, name: "second", file: signalled(t)}
	add(t, loop, first, communicator.Options{})
	add(t, loop, second, communicator.Options{})
	run(t, loop)
	if !posted || first.closes != 1 || second.closes != 1 {
		t.Errorf("posted ran: %v, closes %d and %d", posted, first.closes, second.closes)
	}
	for _, p := range []*probe{first, second} {
		if !errors.Is(p.cause, communicator.ErrClosed) {
			t.Errorf("%s: cause %v", p.name, p.cause)
		}
	}
}

func TestStopFromAnotherGoroutine(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, &probe{t: t}, communicator.Options{})
	wait := start(t, loop)
	do(t, loop, func() {})
	loop.Stop(errTest)
	if err := wait(); !errors.Is(err, errTest) {
		t.Errorf("Run answers %v", err)
	}
	loop.Stop(nil) // after the end: nothing
}

// TestManyLoops lets twenty loops hand a ball around, each on its goroutine.
func TestManyLoops(t *testing.T) {
	fdtest.Check(t)
	const loops, throws = 20, 2000
	ring := make([]*communicator.Communicator, loops)
	for i := range ring {
		ring[i] = newLoop(t, communicator.Config{})
		add(t, ring[i], &probe{t: t}, communicator.Options{})
	}
	caught := make([]int, loops)
	var throw func(n int)
	throw = func(n int) {
		at := n % loops
		caught[at]++
		if n == throws-1 {
			for _, loop := range ring {
				loop.Stop(nil)
			}
			return
		}
		post(t, ring[(n+1)%loops], func() { throw(n + 1) })
	}
	var group sync.WaitGroup
	for _, loop := range ring {
		group.Go(func() {
			if err := loop.Run(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	post(t, ring[0], func() { throw(0) })
	group.Wait()
	for i, n := range caught {
		if n != throws/loops {
			t.Errorf("loop %d caught %d balls, want %d", i, n, throws/loops)
		}
	}
}

// TestNewWithoutDescriptors: New fails cleanly whichever of its descriptors the process has no more.
func TestNewWithoutDescriptors(t *testing.T) {
	fdtest.Check(t)
	lowest := eventfd(t)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	failures := 0
	for limit := lowest.fd; ; limit++ {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(limit), Max: before.Max}); err != nil {
			t.Fatal(err)
		}
		loop, err := communicator.New(communicator.Config{})
		if err == nil {
			restore()
			if err := loop.Close(); err != nil {
				t.Error(err)
			}
			break
		}
		failures++
		if !errors.Is(err, unix.EMFILE) {
			t.Errorf("New answers %v", err)
		}
	}
	if failures < 4 {
		t.Errorf("New failed for %d limits, want one for each of its descriptors", failures)
	}
}
