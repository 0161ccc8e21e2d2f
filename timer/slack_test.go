//go:build linux

package timer_test

import (
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// TestSlack: timers that are due a millisecond apart share wake-ups when they may be late. 50 ms hold a
// multiple of 2^25 ns, so 150 ms have five of them at most, and each is a turn.
func TestSlack(t *testing.T) {
	const timers, slack, most = 100, 50 * time.Millisecond, 15
	for _, kind := range []string{"After", "Set"} {
		t.Run(kind, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			o := communicator.Options{Slack: slack}
			set := newSet(t, loop, o)
			fired := 0
			fire := func(due time.Time) {
				fired++
				if early := time.Until(due); early > 0 {
					t.Errorf("%v early", early)
				}
			}
			for i := range timers {
				d := time.Duration(i) * time.Millisecond
				if kind == "Set" {
					set.After(d, func(e *timer.Entry) { fire(e.Due()) })
				} else {
					after(t, loop, d, func(clock *timer.Timer) error { fire(clock.Due()); return nil }, o)
				}
			}
			run(t, loop)
			if turns := loop.Stats().Turns; fired != timers || turns > most {
				t.Errorf("%d fired in %d turns, want %d in %d at most", fired, turns, timers, most)
			}
		})
	}
}

// TestSlackOfEvery: lateness within the slack moves nothing, and what it leaves out is counted.
func TestSlackOfEvery(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	g := &grid{t: t, period: 3 * time.Millisecond}
	clock := every(t, loop, g.period, func(clock *timer.Timer, missed int) error {
		if g.call(clock, missed); g.ticks >= 20 {
			clock.Stop()
		}
		return nil
	}, communicator.Options{Slack: 10 * time.Millisecond})
	g.start = clock.Due().Add(-g.period)
	run(t, loop)
	if g.ticks < 20 || g.calls == 0 {
		t.Errorf("%d calls, %d periods", g.calls, g.ticks)
	}
}

// TestEveryFromElsewhere: a periodic timer is reset and stopped by whatever runs on the loop.
func TestEveryFromElsewhere(t *testing.T) {
	for _, where := range []string{"posted", "after the turn", "another timer", "an entry"} {
		t.Run(where, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			set := newSet(t, loop, zero)
			there := func(f func()) {
				switch where {
				case "posted":
					if err := loop.Post(f); err != nil {
						t.Error(err)
					}
				case "after the turn":
					loop.AfterTurn(f)
				case "another timer":
					after(t, loop, 0, func(*timer.Timer) error { f(); return nil }, communicator.Options{Priority: -1})
				default:
					set.After(0, func(*timer.Entry) { f() })
				}
			}
			calls := 0
			stopped := false
			var clock *timer.Timer
			clock = every(t, loop, time.Hour, func(*timer.Timer, int) error {
				if calls++; stopped {
					t.Error("called after Stop")
				}
				there(func() {
					if calls < 3 {
						clock.Reset(0)
						return
					}
					clock.Reset(0)
					clock.Stop()
					stopped = true
				})
				return nil
			}, zero)
			there(func() { clock.Reset(-1) })
			run(t, loop)
			if calls != 3 || !stopped || clock.Reset(0) {
				t.Errorf("%d calls, stopped %v", calls, stopped)
			}
		})
	}
}
