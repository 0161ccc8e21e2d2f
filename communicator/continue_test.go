//go:build linux

package communicator_test

import (
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// share is how long a callback may serve one thing after another while others wait.
const share = 100 * time.Microsecond

// TestContinueForATime: with nothing more important about, a source goes on until its time is over, and not longer.
// Each thing that it serves is a callback in the figures.
func TestContinueForATime(t *testing.T) {
	const things = 3000
	loop := newLoop(t, communicator.Config{})
	var served, on, off int
	p := &probe{t: t}
	p.read = func(h *communicator.Handle) error {
		began := loop.Now()
		for {
			if served++; served == things {
				return remove(h)
			}
			if served%10 == 0 {
				spin(30 * time.Microsecond)
			}
			before := time.Since(began)
			if h.Continue() {
				if on++; before > share {
					t.Errorf("was to go on after %v", before)
				}
				continue
			}
			if off++; time.Since(began) <= share {
				t.Errorf("was to end after %v", time.Since(began))
			}
			h.MarkReadable()
			return nil
		}
	}
	p.closed = func(*communicator.Handle, error) {
		if n := loop.Stats().Callbacks; n != things {
			t.Errorf("%d callbacks for %d things", n, things)
		}
	}
	add(t, loop, p, communicator.Options{}).MarkReadable()
	run(t, loop)
	if on == 0 || off == 0 {
		t.Errorf("told %d times to go on, %d times to end", on, off)
	}
}

// urged runs one callback of a source of priority 5 that makes something else ready, spins until the next look is
// due, and asks. It tells what it heard, and whether its time was over.
func urged(t *testing.T, prepare func(loop *communicator.Communicator) (act func(h *communicator.Handle))) (on, over bool) {
	t.Helper()
	loop := newLoop(t, communicator.Config{})
	act := prepare(loop)
	h := add(t, loop, &probe{t: t, name: "asks", read: func(h *communicator.Handle) error {
		began := loop.Now()
		act(h)
		spin(4 * communicator.LookInterval)
		on = h.Continue()
		over = time.Since(began) > share
		loop.Stop(nil)
		return nil
	}}, communicator.Options{Priority: 5})
	h.MarkReadable()
	run(t, loop)
	return on, over
}

// TestContinueWhat: what else is ready or has been done in the callback decides.
func TestContinueWhat(t *testing.T) {
	type prepare = func(loop *communicator.Communicator) func(h *communicator.Handle)
	file := func(priority int) prepare {
		return func(loop *communicator.Communicator) func(h *communicator.Handle) {
			f := eventfd(t)
			add(t, loop, &probe{t: t, name: "other", file: f, read: ignore}, communicator.Options{Priority: priority})
			return func(*communicator.Handle) { f.signal(t) }
		}
	}
	deadline := func(priority int) prepare {
		return func(loop *communicator.Communicator) func(h *communicator.Handle) {
			other := add(t, loop, &probe{t: t, name: "other", timeout: ignore}, communicator.Options{Priority: priority})
			return func(*communicator.Handle) { other.SetDeadline(time.Now()) }
		}
	}
	own := func(act func(h *communicator.Handle)) prepare {
		return func(*communicator.Communicator) func(h *communicator.Handle) { return act }
	}
	for _, test := range []struct {
		name    string
		prepare prepare
		on      bool
	}{
		{"nothing", own(func(*communicator.Handle) {}), true},
		{"an urgent descriptor", file(-1), false},
		{"an ordinary descriptor", file(5), true},
		{"a more important deadline", deadline(4), false},
		{"an urgent deadline", deadline(-4), false},
		{"a deadline of the same priority", deadline(5), true},
		{"a less important deadline", deadline(6), true},
		{"its own deadline", own(func(h *communicator.Handle) { h.SetDeadline(time.Now()) }), true},
		{"disabled", own(func(h *communicator.Handle) { h.SetEnabled(false) }), false},
		{"removed", own(func(h *communicator.Handle) { h.Remove(nil) }), false},
		{"detached", own(func(h *communicator.Handle) { h.Detach() }), false},
		{"off and on", own(func(h *communicator.Handle) { h.SetEnabled(false); h.SetEnabled(true) }), true},
		{"stopped", own(func(h *communicator.Handle) { h.Loop().Stop(nil) }), false},
		{"what became void", func(loop *communicator.Communicator) func(h *communicator.Handle) {
			f := eventfd(t)
			other := add(t, loop, &probe{t: t, name: "other", file: f, read: ignore}, communicator.Options{Priority: -1})
			return func(h *communicator.Handle) {
				f.signal(t)
				spin(2 * communicator.LookInterval)
				h.Continue() // finds it
				other.SetEnabled(false)
			}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 100 { // until the machine has let a callback end in its time
				on, over := urged(t, test.prepare)
				switch {
				case over && !on: // it would have been told so anyway
					continue
				case on != test.on:
					t.Errorf("to go on: %v", on)
				}
				return
			}
			t.Skip("no callback took less than 100 µs")
		})
	}
}

// TestContinueUrgentFromElsewhere: another goroutine that makes an urgent source ready gets it served, though the
// source whose turn it is never has enough: within the callback's time, and that is a bounded number of things.
func TestContinueUrgentFromElsewhere(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	f := eventfd(t)
	greedy := &probe{t: t, name: "greedy"}
	var h *communicator.Handle
	greedy.read = func(*communicator.Handle) error {
		for h.Continue() {
			spin(time.Microsecond)
		}
		h.MarkReadable()
		return nil
	}
	h = add(t, loop, greedy, communicator.Options{})
	h.MarkReadable()
	asked, served := make(chan struct{}), make(chan struct{}, 1)
	add(t, loop, &probe{t: t, name: "urgent", file: f, read: func(*communicator.Handle) error {
		f.drain(t)
		served <- struct{}{}
		return nil
	}}, communicator.Options{Priority: -1})
	go func() {
		defer close(asked)
		for range 50 {
			f.signal(t)
			<-served
		}
		loop.Stop(nil)
	}()
	run(t, loop)
	await(t, asked, "the other goroutine")
}

// TestContinueRate: each thing counts for the rate, and the one that reaches it is the last.
func TestContinueRate(t *testing.T) {
	const events = 57
	loop := newLoop(t, communicator.Config{})
	served := 0
	add(t, loop, &probe{t: t, read: func(h *communicator.Handle) error {
		for {
			served++
			on := h.Continue()
			if limited := h.Limited(); limited != (served == events) || limited && on {
				t.Errorf("after %d things: limited: %v, to go on: %v", served, limited, on)
			}
			if h.Limited() {
				loop.AfterTurn(func() {
					if calls := loop.Sources()[0].Calls; calls != events {
						t.Errorf("%d calls", calls)
					}
					loop.Stop(nil)
				})
				return nil
			}
			if !on {
				h.MarkReadable()
				return nil
			}
		}
	}}, communicator.Options{Rate: rate(events, time.Hour)}).MarkReadable()
	run(t, loop)
}

// TestContinueSlow: what is reported as slow is one thing of many, not all of them.
func TestContinueSlow(t *testing.T) {
	const things, slow = 10, 20 * time.Millisecond
	var reports []time.Duration
	inside := false
	loop := newLoop(t, communicator.Config{
		SlowCallback: slow,
		OnSlow: func(_ *communicator.Handle, took time.Duration) {
			if inside {
				reports = append(reports, took)
			}
		},
	})
	var longest time.Duration // of a thing, a little more than the loop can have measured
	p := &probe{t: t, file: signalled(t)}
	p.read = func(h *communicator.Handle) error {
		began := loop.Now()
		inside = true
		for range things {
			spin(slow / 5)
			before := time.Now()
			h.Continue()
			longest = max(longest, time.Since(began))
			began = before
		}
		inside = false
		return remove(h)
	}
	add(t, loop, p, communicator.Options{})
	run(t, loop)
	for _, took := range reports {
		if took > longest {
			t.Errorf("%v reported as slow, the longest took %v", took, longest)
		}
	}
	if longest < slow && len(reports) > 0 {
		t.Errorf("reported as slow: %v", reports)
	}
}
