//go:build linux

package communicator_test

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestDeadlineOrder: what is due earlier is called earlier, unless both are due when the loop looks;
// then they are called in the same turn. And nothing is called early.
func TestDeadlineOrder(t *testing.T) {
	const sources = 500
	rng := rand.New(rand.NewPCG(3, 4))
	loop := newLoop(t, communicator.Config{})
	begin := time.Now()
	var latestBefore, latest time.Time // of the turns before, and of this one
	var turn uint64
	calls := 0
	for range sources {
		due := begin.Add(time.Duration(rng.Int64N(int64(50 * time.Millisecond))))
		p := &probe{t: t}
		p.timeout = func(h *communicator.Handle) error {
			calls++
			if early := time.Until(due); early > 0 {
				t.Errorf("called %v early", early)
			}
			if now := loop.Stats().Turns; now != turn {
				turn, latestBefore = now, latest
			}
			if due.Before(latestBefore) {
				t.Errorf("called a turn after one that was due %v later", latestBefore.Sub(due))
			}
			if due.After(latest) {
				latest = due
			}
			if !h.Deadline().IsZero() {
				t.Error("the deadline wasn't cleared before the call")
			}
			return remove(h)
		}
		add(t, loop, p, communicator.Options{Deadline: due})
	}
	run(t, loop)
	if calls != sources {
		t.Errorf("%d calls, want %d", calls, sources)
	}
}

// TestDeadlineIsNeverEarly: the loop's own idea of a deadline is not before what it was told.
func TestDeadlineIsNeverEarly(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	h := add(t, loop, &probe{t: t}, communicator.Options{})
	var worst time.Duration
	for i := range 1000 {
		due := time.Now().Add(time.Duration(i) * time.Millisecond)
		h.SetDeadline(due)
		worst = max(worst, due.Sub(h.Deadline()))
	}
	if worst > 0 {
		t.Errorf("a deadline was kept %v early", worst)
	}
	h.Remove(nil)
	run(t, loop)
}

func TestDeadlineCleared(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	h := add(t, loop, &probe{t: t, name: "cleared"}, communicator.Options{Deadline: time.Now().Add(time.Millisecond)})
	if h.Deadline().IsZero() {
		t.Error("there is no deadline")
	}
	h.SetDeadline(time.Time{})
	if !h.Deadline().IsZero() {
		t.Error("there is still a deadline")
	}
	clock := &probe{t: t, name: "clock", timeout: func(own *communicator.Handle) error {
		h.Remove(nil)
		return remove(own)
	}}
	add(t, loop, clock, communicator.Options{Deadline: time.Now().Add(5 * time.Millisecond)})
	run(t, loop)
}

func TestDeadlineSetInCallback(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	const period = time.Millisecond
	var due time.Time
	p := &probe{t: t}
	p.timeout = func(h *communicator.Handle) error {
		if early := time.Until(due); early > 0 {
			t.Errorf("called %v early", early)
		}
		if p.timeouts == 10 {
			return remove(h)
		}
		due = time.Now().Add(period)
		h.SetDeadline(due.Add(time.Hour))
		h.SetDeadline(due) // the last one counts
		return nil
	}
	due = time.Now().Add(period)
	add(t, loop, p, communicator.Options{Deadline: due})
	run(t, loop)
}

// TestDeadlineMoved: put forward, it fires earlier, though the loop sleeps until the old one.
func TestDeadlineMoved(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, timeout: remove}
	h := add(t, loop, p, communicator.Options{Deadline: time.Now().Add(time.Hour)})
	wait := start(t, loop)
	do(t, loop, func() {})
	do(t, loop, func() { h.SetDeadline(time.Now().Add(2 * time.Hour)) })
	do(t, loop, func() { h.SetDeadline(time.Now().Add(time.Millisecond)) })
	if err := wait(); err != nil {
		t.Error(err)
	}
	if p.timeouts != 1 {
		t.Errorf("%d calls", p.timeouts)
	}
}

// TestDeadlineOnceOnly: a deadline doesn't come again.
func TestDeadlineOnceOnly(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, timeout: ignore}
	h := add(t, loop, p, communicator.Options{Deadline: time.Now().Add(-time.Hour)})
	clock := &probe{t: t, timeout: func(own *communicator.Handle) error {
		h.Remove(nil)
		return remove(own)
	}}
	add(t, loop, clock, communicator.Options{Deadline: time.Now().Add(5 * time.Millisecond)})
	run(t, loop)
	if p.timeouts != 1 {
		t.Errorf("%d calls", p.timeouts)
	}
}

// TestDeadlineCancelledByRead: data that came together with the time-out win.
func TestDeadlineCancelledByRead(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, file: signalled(t), read: func(h *communicator.Handle) error {
		h.SetDeadline(time.Time{})
		post(t, loop, func() { h.Remove(nil) })
		return nil
	}}
	add(t, loop, p, communicator.Options{Deadline: time.Now().Add(-time.Minute)})
	run(t, loop)
	if p.reads != 1 {
		t.Errorf("%d reads", p.reads)
	}
}

// TestDeadlineWhileDisabled: it stays, and fires when the source is on again.
func TestDeadlineWhileDisabled(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, name: "p", timeout: remove}
	due := time.Now().Add(2 * time.Millisecond)
	h := add(t, loop, p, communicator.Options{Deadline: due})
	h.SetEnabled(false)
	clock := &probe{t: t, name: "clock", timeout: func(own *communicator.Handle) error {
		if p.timeouts != 0 || h.Deadline().IsZero() {
			t.Errorf("%d calls while disabled, deadline %v", p.timeouts, h.Deadline())
		}
		h.SetEnabled(true)
		return remove(own)
	}}
	add(t, loop, clock, communicator.Options{Deadline: due.Add(5 * time.Millisecond)})
	run(t, loop)
	if p.timeouts != 1 {
		t.Errorf("%d calls", p.timeouts)
	}
}

// TestDeadlineSetWhileDisabled: neither does a new one fire before.
func TestDeadlineSetWhileDisabled(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	h := add(t, loop, &probe{t: t, timeout: order.noter("timeout", remove)}, communicator.Options{Disabled: true})
	h.SetDeadline(time.Now())
	post(t, loop, func() {
		post(t, loop, func() {
			order.note("on")
			h.SetEnabled(true)
		})
	})
	run(t, loop)
	order.expect(t, "on", "timeout")
}

// TestDeadlineFarAway: moments that the clock can't reach are later than all others, not earlier.
func TestDeadlineFarAway(t *testing.T) {
	for name, far := range map[string]time.Time{
		"9999":    time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		"longest": time.Now().Add(1<<63 - 1),
		"unix":    time.Unix(1<<40, 0),
	} {
		t.Run(name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			p := &probe{t: t, name: "far"}
			h := add(t, loop, p, communicator.Options{Deadline: far})
			if d := time.Until(h.Deadline()); d < 100*365*24*time.Hour {
				t.Errorf("the loop means to wait for %v", d)
			}
			clock := &probe{t: t, name: "clock", timeout: func(own *communicator.Handle) error {
				h.Remove(nil)
				return remove(own)
			}}
			add(t, loop, clock, communicator.Options{Deadline: time.Now().Add(2 * time.Millisecond)})
			run(t, loop)
		})
	}
}

// TestDeadlineOnTheWallClock: a time that was read or computed, not taken from time.Now, works too.
func TestDeadlineOnTheWallClock(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	const d = 20 * time.Millisecond
	begin := time.Now()
	p := &probe{t: t, timeout: func(h *communicator.Handle) error {
		// The wall clock may be slewed while the test runs, so only most of the time has to pass.
		if passed := time.Since(begin); passed < d/2 {
			t.Errorf("called after %v, want %v", passed, d)
		}
		return remove(h)
	}}
	add(t, loop, p, communicator.Options{Deadline: begin.Round(0).Add(d)})
	run(t, loop)
}

// skew returns t as if the wall clock had been wrong by d when it was read: only the monotonic reading is
// as it was. It writes into the representation of a time.Time, whose first word holds the seconds of
// the wall clock above 30 bits of nanoseconds.
func skew(t time.Time, d time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(d/time.Second) << 30
	return t
}

// TestDeadlineSurvivesAStepOfTheWallClock: the test may not change the machine's clock. But a step after
// time.Now shows in nothing else than a reading of the wall clock that has nothing to do with the
// present; the loop must not use it.
func TestDeadlineSurvivesAStepOfTheWallClock(t *testing.T) {
	for _, step := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		const d = 10 * time.Millisecond
		begin := time.Now()
		due := begin.Add(d)
		skewed := skew(due, -step)
		if due.Sub(skewed) != 0 || due.Round(0).Sub(skewed.Round(0)) != step {
			t.Skip("package time keeps times in another way")
		}
		loop := newLoop(t, communicator.Config{})
		p := &probe{t: t, timeout: func(h *communicator.Handle) error {
			if early := d - time.Since(begin); early > 0 {
				t.Errorf("step %v: called %v early", step, early)
			}
			return remove(h)
		}}
		h := add(t, loop, p, communicator.Options{})
		h.SetDeadline(skewed)
		if off := h.Deadline().Sub(due); off < 0 || off > time.Second {
			t.Errorf("step %v: the deadline is off by %v", step, off)
		}
		run(t, loop) // would be out of patience, were it a day
	}
}
