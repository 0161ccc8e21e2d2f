//go:build linux

package communicator_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// hold holds the loop.
func hold(t testing.TB, loop *communicator.Communicator) (release func()) {
	t.Helper()
	release, err := loop.Hold()
	if err != nil {
		t.Fatalf("Hold: %v", err)
	}
	return release
}

// TestHold: an empty loop runs, asleep, until the last of its holds is released.
func TestHold(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	first, second := hold(t, loop), hold(t, loop)
	wait := start(t, loop)
	quiet(t, loop, silence/2)
	do(t, loop, func() {
		if s := loop.Stats(); s.Holds != 2 || s.Live != 0 {
			t.Errorf("%d holds, %d sources", s.Holds, s.Live)
		}
	})
	first()
	first() // counts once
	do(t, loop, func() {
		if s := loop.Stats(); s.Holds != 1 {
			t.Errorf("%d holds", s.Holds)
		}
	})
	ran := false
	post(t, loop, func() { ran = true })
	second()
	if err := wait(); err != nil || !ran {
		t.Errorf("Run: %v, ran: %v", err, ran)
	}
	second()
	if _, err := loop.Hold(); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("Hold after the end: %v", err)
	}
	if s := loop.Stats(); s.Holds != 0 {
		t.Errorf("%d holds at the end", s.Holds)
	}
}

// TestHoldReleaseWakes: a loop that has gone to sleep with nothing but a hold ends when that is released.
func TestHoldReleaseWakes(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	release := hold(t, loop)
	wait := start(t, loop)
	do(t, loop, func() {})
	pass(t, silence/2) // it is asleep by now, or the test proves nothing
	release()
	if err := wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestHoldReleasedOnLoop: a callback may release as well, the one that is about to be the last too.
func TestHoldReleasedOnLoop(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	release := hold(t, loop)
	add(t, loop, &probe{t: t, timeout: remove, closed: func(*communicator.Handle, error) { release() }},
		communicator.Options{Deadline: time.Now().Add(time.Millisecond)})
	run(t, loop)
}

// TestHoldBackground: with a hold, sources in the background are served.
func TestHoldBackground(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	release := hold(t, loop)
	p := &probe{t: t, name: "p", timeout: func(*communicator.Handle) error { release(); return nil }}
	add(t, loop, p, communicator.Options{Background: true, Deadline: time.Now().Add(time.Millisecond)})
	run(t, loop)
	if p.timeouts != 1 {
		t.Errorf("%d time-outs", p.timeouts)
	}
	p.left(t)
}

// TestHoldKeepsNothingElse: Stop, the end of the context and Close end the loop all the same; what is released
// then does nothing.
func TestHoldKeepsNothingElse(t *testing.T) {
	ended, end := context.WithCancelCause(t.Context())
	end(errTest)
	for name, finish := range map[string]func(loop *communicator.Communicator) error{
		"Stop":    func(loop *communicator.Communicator) error { loop.Stop(errTest); return loop.Run(t.Context()) },
		"context": func(loop *communicator.Communicator) error { return loop.Run(ended) },
		"Close": func(loop *communicator.Communicator) error {
			return errors.Join(loop.Close(), errTest)
		},
		"Stop while asleep": func(loop *communicator.Communicator) error {
			wait := start(t, loop)
			do(t, loop, func() {})
			loop.Stop(errTest)
			return wait()
		},
	} {
		loop := newLoop(t, communicator.Config{})
		release := hold(t, loop)
		if err := finish(loop); !errors.Is(err, errTest) {
			t.Errorf("%s: %v", name, err)
		}
		release()
		release()
		if _, err := loop.Hold(); !errors.Is(err, communicator.ErrClosed) {
			t.Errorf("%s: Hold: %v", name, err)
		}
	}
}

// TestHoldInShutdown: a shutdown waits for a hold, but no longer than its limit.
func TestHoldInShutdown(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	release := hold(t, loop)
	add(t, loop, newSteady(t, "steady", leave), communicator.Options{})
	wait := start(t, loop)
	do(t, loop, func() { loop.Shutdown(time.Hour) })
	do(t, loop, func() {})
	release()
	if err := wait(); err != nil {
		t.Errorf("Run: %v", err)
	}

	held, log := looptest.New(t)
	defer hold(t, held)()
	post(t, held, func() { held.Shutdown(time.Millisecond) })
	if err := runError(t, held); !errors.Is(err, communicator.ErrShutdownTimeout) {
		t.Errorf("Run: %v", err)
	}
	if len(log.Containing("holds=1")) != 1 {
		t.Errorf("log %q", log.Records())
	}
}

// TestHoldLosesNothing: goroutines that hold, post and release while nothing else keeps the loop find each of their
// functions run, and the loop ended behind the last of them. Whoever comes too late is told so.
func TestHoldLosesNothing(t *testing.T) {
	const loops, goroutines, rounds = 40, 4, 25
	for range loops {
		loop := newLoop(t, communicator.Config{})
		var accepted, ran atomic.Int64
		var all sync.WaitGroup
		for range goroutines {
			first := hold(t, loop)
			all.Go(func() {
				defer first()
				for range rounds {
					release, err := loop.Hold()
					if err != nil {
						t.Errorf("Hold within a hold: %v", err)
						return
					}
					all.Go(func() {
						defer release()
						if err := loop.Post(func() { ran.Add(1) }); err != nil {
							t.Errorf("Post within a hold: %v", err)
							return
						}
						accepted.Add(1)
					})
				}
			})
		}
		all.Go(func() { // without a hold of its own it may come too late, and then hears of it
			for {
				release, err := loop.Hold()
				if err != nil {
					if !errors.Is(err, communicator.ErrClosed) {
						t.Errorf("Hold: %v", err)
					}
					return
				}
				post(t, loop, func() { ran.Add(1) })
				accepted.Add(1)
				release()
				if accepted.Load() > 10*goroutines*rounds {
					return
				}
			}
		})
		run(t, loop)
		all.Wait()
		if a, r := accepted.Load(), ran.Load(); a != r || a < goroutines*rounds {
			t.Fatalf("%d functions were accepted, %d ran", a, r)
		}
	}
}
