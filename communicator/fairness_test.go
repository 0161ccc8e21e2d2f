//go:build linux

package communicator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// rounds counts calls of sources that are always ready: nobody may be ahead of anybody else by more
// than one.
type rounds struct {
	calls []int
	total int
}

func (r *rounds) call(t *testing.T, i int) {
	r.calls[i]++
	r.total++
	for j, n := range r.calls {
		if r.calls[i] > n+1 {
			t.Errorf("source %d was called %d times, source %d only %d times", i, r.calls[i], j, n)
		}
	}
}

// TestFairness lets sources of one priority be ready all the time.
func TestFairness(t *testing.T) {
	const sources, calls = 7, 700
	for _, priority := range []int{communicator.PriorityUrgent, communicator.PriorityNormal, communicator.PriorityIdle} {
		t.Run(fmt.Sprint(priority), func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			r := rounds{calls: make([]int, sources)}
			for i := range sources {
				add(t, loop, &probe{t: t, file: signalled(t), read: func(*communicator.Handle) error {
					r.call(t, i)
					spin(communicator.LookInterval * time.Duration(i)) // some longer, some shorter than a look's interval
					if r.total >= calls || t.Failed() {
						loop.Stop(nil)
					}
					return nil
				}}, communicator.Options{Priority: priority})
			}
			run(t, loop)
		})
	}
}

// TestFairnessOfKinds: timers whose period is shorter than a callback, marked sources and
// descriptors take turns.
func TestFairnessOfKinds(t *testing.T) {
	const each, calls = 3, 600
	for _, priority := range []int{communicator.PriorityUrgent, communicator.PriorityNormal} {
		t.Run(fmt.Sprint(priority), func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			var descriptors, timers int
			count := func(n *int) {
				*n++
				spin(20 * time.Microsecond)
				if descriptors+timers >= calls {
					loop.Stop(nil)
				}
			}
			for range each {
				add(t, loop, &probe{t: t, file: signalled(t), read: func(*communicator.Handle) error {
					count(&descriptors)
					return nil
				}}, communicator.Options{Priority: priority})
				add(t, loop, &probe{t: t, timeout: func(h *communicator.Handle) error {
					h.SetDeadline(time.Now().Add(time.Microsecond))
					count(&timers)
					return nil
				}}, communicator.Options{Priority: priority, Deadline: time.Now()})
			}
			run(t, loop)
			if diff := descriptors - timers; diff < -2*each || diff > 2*each {
				t.Errorf("descriptors were called %d times, timers %d times", descriptors, timers)
			}
		})
	}
}

// TestOwnDeadlineIsNotStarved: a source that is always readable still gets its time-out, and one that is
// always due still reads and writes.
func TestOwnDeadlineIsNotStarved(t *testing.T) {
	for _, priority := range []int{communicator.PriorityUrgent, communicator.PriorityNormal} {
		t.Run(fmt.Sprint(priority), func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			p := &probe{t: t, file: signalled(t)}
			step := func(h *communicator.Handle) error {
				spin(4 * communicator.LookInterval)
				if p.reads+p.writes+p.timeouts >= 300 {
					h.Remove(nil)
				}
				return nil
			}
			p.read, p.write = step, step
			p.timeout = func(h *communicator.Handle) error {
				h.SetDeadline(time.Now())
				return step(h)
			}
			add(t, loop, p, communicator.Options{
				Priority: priority, Want: communicator.Read | communicator.Write, Deadline: time.Now(),
			})
			run(t, loop)
			if p.reads < 60 || p.writes < 60 || p.timeouts < 60 {
				t.Errorf("%d reads, %d writes, %d time-outs", p.reads, p.writes, p.timeouts)
			}
		})
	}
}

// TestMarkedTakesTurns: a source that marks itself readable again and again keeps nobody waiting.
func TestMarkedTakesTurns(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	marking := &probe{t: t, name: "marking", read: order.noter("m", func(h *communicator.Handle) error {
		h.MarkReadable()
		return nil
	})}
	h := add(t, loop, marking, communicator.Options{})
	h.MarkReadable()
	polled := &probe{t: t, name: "polled", file: signalled(t)}
	polled.read = order.noter("p", func(own *communicator.Handle) error {
		if polled.reads == 3 {
			h.Remove(nil)
			own.Remove(nil)
		}
		return nil
	})
	add(t, loop, polled, communicator.Options{})
	run(t, loop)
	order.expect(t, "m", "p", "m", "p", "m", "p")
}

// TestStrictBetweenPriorities: what is always ready starves what is behind it, but not the functions that
// are posted and the sources that end.
func TestStrictBetweenPriorities(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var behind *communicator.Handle
	greedy := &probe{t: t, name: "greedy", file: signalled(t)}
	turns := 0
	closed := false
	var again func()
	again = func() {
		if turns++; turns == 20 {
			loop.Stop(nil)
			return
		}
		post(t, loop, again)
	}
	greedy.read = func(*communicator.Handle) error {
		if greedy.reads == 5 {
			behind.Remove(nil)
		}
		return nil
	}
	add(t, loop, greedy, communicator.Options{Priority: 1})
	last := &probe{t: t, name: "behind", file: signalled(t), read: func(*communicator.Handle) error {
		if greedy.reads == 0 {
			t.Error("called before its better")
		}
		return nil
	}}
	last.closed = func(*communicator.Handle, error) { closed = true }
	behind = add(t, loop, last, communicator.Options{Priority: 2})
	post(t, loop, again)
	run(t, loop)
	if !closed || greedy.reads < 19 {
		t.Errorf("closed %v, greedy was called %d times", closed, greedy.reads)
	}
}

// TestPostingDoesNotStarve: a function that posts itself for ever runs once a turn.
func TestPostingDoesNotStarve(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	runs := 0
	var again func()
	again = func() {
		runs++
		if err := loop.Post(again); err != nil {
			t.Error(err)
		}
	}
	p := &probe{t: t, file: signalled(t)}
	clock := &probe{t: t, timeout: func(h *communicator.Handle) error {
		h.SetDeadline(time.Now())
		return nil
	}}
	p.read = func(*communicator.Handle) error {
		if p.reads == 100 {
			if runs < 99 || runs > 100 || clock.timeouts < 99 || clock.timeouts > 101 {
				t.Errorf("100 reads, %d runs, %d time-outs", runs, clock.timeouts)
			}
			again = func() {}
			loop.Stop(nil)
		}
		return nil
	}
	add(t, loop, p, communicator.Options{})
	add(t, loop, clock, communicator.Options{Deadline: time.Now()})
	post(t, loop, again)
	run(t, loop)
}
