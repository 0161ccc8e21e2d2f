//go:build linux

package timer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

func TestEveryPeriod(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	for _, period := range []time.Duration{0, -time.Second} {
		clock, err := timer.Every(loop, period, func(*timer.Timer, int) error { return nil }, zero)
		if !errors.Is(err, timer.ErrPeriod) || clock != nil {
			t.Errorf("Every(%v) answers %v, %v", period, clock, err)
		}
	}
	run(t, loop)
}

// grid holds that a periodic timer stays on the multiples of its period, and that calls and missed calls
// add up.
type grid struct {
	t      *testing.T
	start  time.Time // one period before the first time
	period time.Duration
	ticks  int // called or missed
	calls  int
}

func (g *grid) call(clock *timer.Timer, missed int) {
	g.calls++
	if missed < 0 {
		g.t.Errorf("missed %d", missed)
	}
	g.ticks += missed + 1
	if due := g.start.Add(time.Duration(g.ticks) * g.period); !due.Equal(clock.Due()) {
		g.t.Errorf("call %d was due %v after the start, want %d periods of %v", g.calls, clock.Due().Sub(g.start), g.ticks, g.period)
	}
	if early := time.Until(clock.Due()); early > 0 {
		g.t.Errorf("call %d came %v early", g.calls, early)
	}
}

func TestEvery(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	g := &grid{t: t, period: 2 * time.Millisecond}
	clock := every(t, loop, g.period, func(clock *timer.Timer, missed int) error {
		g.call(clock, missed)
		if g.calls == 10 {
			clock.Stop() // in its own callback
		}
		return nil
	}, zero)
	g.start = clock.Due().Add(-g.period)
	run(t, loop)
	if g.calls != 10 || clock.Active() {
		t.Errorf("%d calls, active %v", g.calls, clock.Active())
	}
}

// TestEveryMissed: a callback that blocks past several periods isn't made up for, but counted.
func TestEveryMissed(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	g := &grid{t: t, period: 2 * time.Millisecond}
	var blocked time.Time
	clock := every(t, loop, g.period, func(clock *timer.Timer, missed int) error {
		g.call(clock, missed)
		switch g.calls {
		case 2:
			blocked = clock.Due()
			spin(5 * g.period)
		case 3:
			// At least four whole periods passed between the two times; on a busy machine more.
			if between := clock.Due().Sub(blocked); missed < 4 || between != time.Duration(missed+1)*g.period {
				t.Errorf("missed %d, %v after the one before", missed, between)
			}
		case 5:
			clock.Stop()
		}
		return nil
	}, zero)
	g.start = clock.Due().Add(-g.period)
	run(t, loop)
	if g.calls != 5 {
		t.Errorf("%d calls", g.calls)
	}
}

// TestEveryKeptWaiting: so are the periods that pass while others keep the loop busy, or while the timer
// is disabled.
func TestEveryKeptWaiting(t *testing.T) {
	for _, how := range []string{"busy", "disabled"} {
		t.Run(how, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			g := &grid{t: t, period: 2 * time.Millisecond}
			missed := 0
			clock := every(t, loop, g.period, func(clock *timer.Timer, n int) error {
				g.call(clock, n)
				missed = n
				clock.Stop()
				return nil
			}, communicator.Options{Disabled: how == "disabled"})
			g.start = clock.Due().Add(-g.period)
			if how == "busy" {
				spin(6 * g.period)
			} else {
				after(t, loop, 6*g.period, func(*timer.Timer) error {
					clock.SetEnabled(true)
					return nil
				}, zero)
			}
			run(t, loop)
			if g.calls != 1 || missed < 5 {
				t.Errorf("%d calls, missed %d", g.calls, missed)
			}
		})
	}
}

// TestEveryReset: after a Reset the period goes on from there.
func TestEveryReset(t *testing.T) {
	for _, where := range []string{"inside", "outside"} {
		t.Run(where, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			g := &grid{t: t, period: 2 * time.Millisecond}
			reset := func(clock *timer.Timer) {
				if !clock.Reset(5 * time.Millisecond) {
					t.Error("Reset says that the timer has left")
				}
				g.ticks, g.start = 0, clock.Due().Add(-g.period)
			}
			clock := every(t, loop, g.period, func(clock *timer.Timer, missed int) error {
				g.call(clock, missed)
				switch {
				case g.calls == 2 && where == "inside":
					reset(clock)
				case g.calls == 5:
					clock.Stop()
				}
				return nil
			}, zero)
			g.start = clock.Due().Add(-g.period)
			if where == "outside" {
				reset(clock)
			}
			run(t, loop)
			if g.calls != 5 {
				t.Errorf("%d calls", g.calls)
			}
		})
	}
}

// TestEveryResetAndStop: a timer that is reset and stopped in the same callback has left.
func TestEveryResetAndStop(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	calls := 0
	clock := every(t, loop, time.Millisecond, func(clock *timer.Timer, _ int) error {
		calls++
		clock.Reset(0)
		clock.Stop()
		if clock.Reset(0) {
			t.Error("Reset says that the timer is in the loop")
		}
		return nil
	}, zero)
	run(t, loop)
	if calls != 1 || clock.Active() {
		t.Errorf("%d calls, active %v", calls, clock.Active())
	}
}

// TestEveryDisablesItself: a timer can switch itself off and be switched on again.
func TestEveryDisablesItself(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	g := &grid{t: t, period: time.Millisecond}
	clock := every(t, loop, g.period, func(clock *timer.Timer, missed int) error {
		g.call(clock, missed)
		if g.calls == 3 {
			clock.Stop()
			return nil
		}
		clock.SetEnabled(false)
		after(t, loop, 3*g.period, func(*timer.Timer) error { clock.SetEnabled(true); return nil }, zero)
		return nil
	}, zero)
	g.start = clock.Due().Add(-g.period)
	run(t, loop)
	if g.calls != 3 || g.ticks < 5 {
		t.Errorf("%d calls, %d periods", g.calls, g.ticks)
	}
}

// TestEveryShortPeriod: a period shorter than the callback doesn't keep others waiting.
func TestEveryShortPeriod(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	fast, other := 0, 0
	every(t, loop, time.Nanosecond, func(*timer.Timer, int) error { fast++; return nil }, zero)
	after(t, loop, 0, func(clock *timer.Timer) error {
		if other++; other == 100 {
			loop.Stop(nil)
			return nil
		}
		clock.Reset(0)
		return nil
	}, zero)
	run(t, loop)
	if fast < 98 || fast > 102 {
		t.Errorf("%d calls of the fast one, 100 of the other", fast)
	}
}
