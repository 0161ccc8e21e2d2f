//go:build linux

package timer_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

func newSet(t testing.TB, loop *communicator.Communicator, o communicator.Options) *timer.Set {
	t.Helper()
	set, err := timer.NewSet(loop, o)
	if err != nil {
		t.Fatalf("NewSet: %v", err)
	}
	return set
}

func neverEntry(t *testing.T) func(*timer.Entry) {
	return func(*timer.Entry) { t.Error("it fired") }
}

// TestSetMany: fifty thousand, some of them stopped or put off, from outside and by those that fire. Each of the
// others fires once, never early, in order.
func TestSetMany(t *testing.T) {
	const timers = 50_000
	rng := rand.New(rand.NewPCG(5, 6))
	loop := newLoop(t, communicator.Config{})
	set := newSet(t, loop, zero)
	some := func() time.Duration { return time.Duration(rng.Int64N(int64(100 * time.Millisecond))) }
	entries := make([]timer.Entry, timers)
	fired := make([]int, timers)
	want := make([]int, timers)
	var last time.Time
	calls := 0
	for i := range entries {
		want[i] = 1
		set.Start(&entries[i], some(), func(e *timer.Entry) {
			fired[i]++
			calls++
			due := e.Due()
			if early := time.Until(due); e != &entries[i] || early > 0 || due.Before(last) || e.Active() {
				t.Errorf("entry %d fired %v early, %v after the one before, active %v", i, early, due.Sub(last), e.Active())
			}
			last = due
			if victim := rng.IntN(timers); calls%3 == 0 && entries[victim].Active() {
				if calls%2 == 0 {
					entries[victim].Stop()
					want[victim]--
				} else {
					entries[victim].Reset(some())
				}
			}
		})
	}
	for i := range entries {
		switch i % 4 {
		case 1:
			if !entries[i].Stop() || entries[i].Stop() || entries[i].Active() {
				t.Fatal("Stop doesn't answer true and then false")
			}
			want[i] = 0
		case 3:
			entries[i].Reset(some())
			if !entries[i].Reset(some()) || !entries[i].Active() {
				t.Fatal("Reset says that the set has left")
			}
		}
	}
	if set.Len() != timers*3/4 {
		t.Errorf("%d active, want %d", set.Len(), timers*3/4)
	}
	run(t, loop)
	if set.Len() != 0 {
		t.Errorf("%d are left", set.Len())
	}
	for i := range fired {
		if fired[i] != want[i] {
			t.Fatalf("entry %d fired %d times, want %d", i, fired[i], want[i])
		}
	}
}

// TestSetInACallback: what has fired can be started again, by itself and by others, with another function.
func TestSetInACallback(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	set := newSet(t, loop, zero)
	var order []string
	note := func(what string) func(*timer.Entry) {
		return func(*timer.Entry) { order = append(order, what) }
	}
	var other timer.Entry
	stopped := set.After(time.Hour, neverEntry(t))
	beats := 0
	set.After(-1, func(e *timer.Entry) {
		order = append(order, "beat")
		if beats++; beats < 3 {
			e.Reset(time.Millisecond)
			return
		}
		if e.Stop() || !stopped.Stop() || stopped.Stop() {
			t.Error("Stop doesn't tell whether the entry was active")
		}
		set.Start(&other, time.Hour, neverEntry(t))
		set.Start(e, time.Millisecond, note("new"))
		set.Start(&other, 2*time.Millisecond, note("other"))
	})
	run(t, loop)
	if want := []string{"beat", "beat", "beat", "new", "other"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
}

// TestSetStopWhenDue: one that is due in the same batch and stopped doesn't fire; one that is put off fires later.
func TestSetStopWhenDue(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	set := newSet(t, loop, zero)
	var order []string
	var stopped, later *timer.Entry
	set.After(0, func(*timer.Entry) {
		order = append(order, "first")
		stopped.Stop()
		later.Reset(2 * time.Millisecond)
	})
	stopped = set.After(0, neverEntry(t))
	later = set.After(0, func(*timer.Entry) { order = append(order, "later") })
	set.After(0, func(*timer.Entry) { order = append(order, "last") })
	run(t, loop)
	if want := []string{"first", "last", "later"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
}

// TestSetNextTurn: an entry that starts itself again for at once fires a turn later, so that others have
// their chance.
func TestSetNextTurn(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	set := newSet(t, loop, zero)
	var turns []uint64
	set.After(-time.Hour, func(e *timer.Entry) {
		if turns = append(turns, loop.Stats().Turns); len(turns) < 20 {
			e.Reset(-time.Hour)
		}
	})
	run(t, loop)
	if len(turns) != 20 || len(slices.Compact(slices.Clone(turns))) != 20 {
		t.Errorf("it fired in turns %v", turns)
	}
}

// TestSetClose: a callback closes the set. Nothing fires any more, and nothing can be started.
func TestSetClose(t *testing.T) {
	for _, how := range []string{"Close", "Remove", "Stop"} {
		t.Run(how, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			set := newSet(t, loop, zero)
			calls := 0
			var entries []*timer.Entry
			for i := range 100 {
				entries = append(entries, set.After(time.Duration(i/50)*time.Hour, func(e *timer.Entry) {
					switch calls++; how {
					case "Close":
						set.Close()
						set.Close()
						if entries[1].Active() || set.Len() != 0 {
							t.Errorf("%d of a closed set are active", set.Len())
						}
					case "Remove":
						set.Handle().Remove(nil)
					default:
						loop.Stop(nil)
						return
					}
					if e.Reset(0) || entries[2].Reset(0) || set.After(0, neverEntry(t)).Active() {
						t.Error("an entry of a closed set was started")
					}
				}))
			}
			run(t, loop)
			for _, e := range entries {
				if e.Active() || e.Stop() || e.Reset(0) {
					t.Fatal("an entry is active after the end")
				}
			}
			if calls != 1 || set.Len() != 0 {
				t.Errorf("%d calls, %d left", calls, set.Len())
			}
		})
	}
}

// TestSetKeepsRun: a set keeps Run from returning while it has an entry, unless it was added to the background.
func TestSetKeepsRun(t *testing.T) {
	t.Run("empty", func(t *testing.T) {
		loop := newLoop(t, communicator.Config{})
		newSet(t, loop, zero)
		run(t, loop)
	})
	t.Run("stopped", func(t *testing.T) {
		loop := newLoop(t, communicator.Config{})
		set := newSet(t, loop, zero)
		first, second := set.After(time.Hour, neverEntry(t)), set.After(time.Hour, neverEntry(t))
		second.Stop()
		calls := 0
		after(t, loop, time.Millisecond, func(*timer.Timer) error {
			calls++
			set.After(time.Millisecond, func(*timer.Entry) { calls++ })
			return nil
		}, zero)
		first.Stop()
		run(t, loop)
		if calls != 2 {
			t.Errorf("%d calls", calls)
		}
	})
	t.Run("stopped by another", func(t *testing.T) {
		loop := newLoop(t, communicator.Config{})
		last := newSet(t, loop, zero).After(time.Hour, neverEntry(t))
		after(t, loop, 0, func(*timer.Timer) error { last.Stop(); return nil }, zero)
		run(t, loop)
	})
	t.Run("background", func(t *testing.T) {
		loop := newLoop(t, communicator.Config{})
		set := newSet(t, loop, communicator.Options{Background: true})
		set.After(time.Hour, neverEntry(t))
		calls := 0
		set.After(0, func(*timer.Entry) { calls++ })
		after(t, loop, time.Millisecond, func(*timer.Timer) error { return nil }, zero)
		run(t, loop)
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}

// TestSetShutdown: during a shutdown entries fire, and nobody waits for them.
func TestSetShutdown(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	set := newSet(t, loop, zero)
	set.After(time.Hour, neverEntry(t))
	release, err := loop.Hold()
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	set.After(2*time.Millisecond, func(*timer.Entry) {
		calls++
		set.After(time.Millisecond, func(*timer.Entry) {
			calls++
			set.After(time.Hour, neverEntry(t))
			release()
		})
	})
	after(t, loop, 0, func(*timer.Timer) error {
		loop.Shutdown(time.Minute)
		return nil
	}, zero)
	run(t, loop)
	if calls != 2 {
		t.Errorf("%d calls", calls)
	}
}

// TestSetGivesWay: a batch makes room for something more important, and for others of its priority.
func TestSetGivesWay(t *testing.T) {
	const entries = 1000
	loop := newLoop(t, communicator.Config{})
	set := newSet(t, loop, zero)
	fired, important, equal, posted := 0, -1, -1, -1
	for range entries {
		set.After(0, func(*timer.Entry) {
			if fired++; fired == 1 {
				after(t, loop, 0, func(*timer.Timer) error { important = fired; return nil }, communicator.Options{Priority: -1})
				after(t, loop, 0, func(*timer.Timer) error { equal = fired; return nil }, zero)
				if err := loop.Post(func() { posted = fired }); err != nil {
					t.Error(err)
				}
			}
			spin(20 * time.Microsecond)
		})
	}
	run(t, loop)
	if fired != entries {
		t.Errorf("%d fired", fired)
	}
	if important != 1 {
		t.Errorf("the more important one came when %d had fired, want 1", important)
	}
	if equal < 1 || equal > entries/2 || posted < 1 || posted > entries/2 {
		t.Errorf("the equal one came when %d had fired, the posted function when %d had", equal, posted)
	}
	if calls := loop.Stats().Callbacks; calls < entries {
		t.Errorf("%d callbacks in the statistics, want one for each entry", calls)
	}
}

// TestSetDisabled: what becomes due while the set is off fires when it is on again; a callback can switch it off.
func TestSetDisabled(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	set := newSet(t, loop, communicator.Options{Disabled: true})
	on := func(*timer.Timer) error { set.Handle().SetEnabled(true); return nil }
	fired := 0
	for range 10 {
		set.After(0, func(*timer.Entry) {
			if fired++; !set.Handle().Enabled() {
				t.Error("called while it was off")
			}
			if fired == 5 {
				set.Handle().SetEnabled(false)
				after(t, loop, time.Millisecond, on, zero)
			}
		})
	}
	after(t, loop, time.Millisecond, func(*timer.Timer) error {
		if fired != 0 {
			t.Errorf("%d fired while it was off", fired)
		}
		return on(nil)
	}, zero)
	run(t, loop)
	if fired != 10 {
		t.Errorf("%d fired", fired)
	}
}

// TestEntryOfTwoSets: an entry that is started in another set leaves the first.
func TestEntryOfTwoSets(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	one, two := newSet(t, loop, zero), newSet(t, loop, zero)
	var e timer.Entry
	if e.Active() || e.Stop() || e.Reset(0) || !e.Due().IsZero() {
		t.Error("the zero entry is active")
	}
	calls := 0
	one.Start(&e, 0, neverEntry(t))
	two.Start(&e, time.Millisecond, func(*timer.Entry) { calls++ })
	if one.Len() != 0 || two.Len() != 1 || !e.Active() {
		t.Errorf("%d and %d active", one.Len(), two.Len())
	}
	run(t, loop)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}
