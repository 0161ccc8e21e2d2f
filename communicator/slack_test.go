//go:build linux

package communicator_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestSlackSharesWakeUps: many sources that are due one after the other, each with room to be late, are called in
// two turns at most: a span of 200 ms has a multiple of 2^27 ns (134 ms) in it, and all of theirs together have two.
func TestSlackSharesWakeUps(t *testing.T) {
	const sources = 100
	const slack, spread = 200 * time.Millisecond, 20 * time.Millisecond
	loop := newLoop(t, communicator.Config{})
	turns := map[uint64]int{}
	begin := time.Now()
	for i := range sources {
		due := begin.Add(time.Duration(i) * spread / sources)
		p := &probe{t: t, timeout: func(h *communicator.Handle) error {
			if early := time.Until(due); early > 0 {
				t.Errorf("called %v early", early)
			}
			turns[loop.Stats().Turns]++
			return remove(h)
		}}
		h := add(t, loop, p, communicator.Options{Deadline: due, Slack: slack})
		if off := h.Deadline().Sub(due); off < 0 || off > time.Second {
			t.Errorf("the deadline that was asked for is off by %v", off)
		}
	}
	run(t, loop)
	calls := 0
	for _, n := range turns {
		calls += n
	}
	if len(turns) > 2 || calls != sources {
		t.Errorf("%d calls in the turns %v", calls, turns)
	}
}

// TestSlackIsKept: the moment that the loop takes, which is as long ago as it says that it is late, lies in the span
// that the source has left it.
func TestSlackIsKept(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	checked, used := 0, 0
	for range 60 {
		loop := newLoop(t, communicator.Config{})
		slack := time.Duration(rng.Int64N(1 << (2 + rng.IntN(21)))) // up to 4 ms
		p := &probe{t: t}
		var due time.Time
		p.timeout = func(h *communicator.Handle) error {
			lag := loop.Stats().Lag
			if lag.Count() == 1 { // else the deadline had passed when it was set
				checked++
				woken := loop.Now().Add(-lag.Longest)
				if woken.After(due) {
					used++
				}
				if woken.Before(due) || woken.After(due.Add(slack)) {
					t.Errorf("slack %v: the loop wanted to wake up %v after the deadline", slack, woken.Sub(due))
				}
			}
			return remove(h)
		}
		h := add(t, loop, p, communicator.Options{Slack: slack})
		post(t, loop, func() {
			h.SetDeadline(time.Now().Add(time.Duration(rng.Int64N(int64(4 * time.Millisecond)))))
			due = h.Deadline()
		})
		run(t, loop)
		if p.timeouts != 1 {
			t.Errorf("slack %v: %d calls", slack, p.timeouts)
		}
	}
	if checked == 0 || used == 0 {
		t.Errorf("%d deadlines were in the future when they were set; the slack of %d was used", checked, used)
	}
}

// TestSlackHuge: the end of the span lies beyond what the clock can count. It is not before its beginning therefore.
func TestSlackHuge(t *testing.T) {
	for _, due := range []time.Time{time.Now().Add(time.Minute), time.Now().Add(math.MaxInt64), time.Unix(1<<40, 0)} {
		loop := newLoop(t, communicator.Config{})
		h := add(t, loop, &probe{t: t, name: "patient"}, communicator.Options{Deadline: due, Slack: math.MaxInt64})
		if left := time.Until(h.Deadline()); left < 50*time.Second {
			t.Errorf("due in %v", left)
		}
		clock := &probe{t: t, name: "clock", timeout: func(own *communicator.Handle) error {
			h.Remove(nil)
			return remove(own)
		}}
		add(t, loop, clock, communicator.Options{Deadline: time.Now().Add(5 * time.Millisecond)})
		run(t, loop)
	}
}

// TestSlackOfNothing: less than none is none, and a slack without a deadline calls nobody.
func TestSlackOfNothing(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	calls := 0
	for _, slack := range []time.Duration{0, -1, math.MinInt64} {
		p := &probe{t: t, timeout: func(h *communicator.Handle) error { calls++; return remove(h) }}
		add(t, loop, p, communicator.Options{Deadline: time.Now().Add(time.Millisecond), Slack: slack})
	}
	h := add(t, loop, &probe{t: t}, communicator.Options{Slack: time.Millisecond})
	add(t, loop, &probe{t: t, timeout: func(own *communicator.Handle) error {
		h.Remove(nil)
		return remove(own)
	}}, communicator.Options{Deadline: time.Now().Add(10 * time.Millisecond)})
	run(t, loop)
	if calls != 3 {
		t.Errorf("%d calls", calls)
	}
}

// TestSlackStays: it belongs to the source, not to its first deadline.
func TestSlackStays(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, timeout: remove}
	h := add(t, loop, p, communicator.Options{Deadline: time.Now().Add(time.Hour), Slack: 50 * time.Microsecond})
	post(t, loop, func() { h.SetDeadline(time.Now().Add(time.Millisecond)) })
	run(t, loop)
	if p.timeouts != 1 {
		t.Errorf("%d calls", p.timeouts)
	}
}
