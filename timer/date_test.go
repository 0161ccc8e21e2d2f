//go:build linux

package timer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

func at(t testing.TB, loop *communicator.Communicator, date time.Time, f func(*timer.Timer) error, o communicator.Options) *timer.Timer {
	t.Helper()
	clock, err := timer.At(loop, date, f, o)
	if err != nil {
		t.Fatalf("At: %v", err)
	}
	return clock
}

// TestAt: never before its date by the wall clock, once, and at once if the date has passed.
func TestAt(t *testing.T) {
	for _, date := range []time.Time{
		time.Now().Add(5 * time.Millisecond), time.Now(), time.Now().Add(-time.Hour).UTC(),
		time.Unix(0, 0), time.Date(1815, 12, 10, 0, 0, 0, 0, time.UTC),
	} {
		loop := newLoop(t, communicator.Config{})
		calls := 0
		clock := at(t, loop, date, func(clock *timer.Timer) error {
			calls++
			if now := time.Now().Round(0); now.Before(date.Round(0)) {
				t.Errorf("called at %v, want %v", now, date)
			}
			if !clock.Active() || !clock.Due().Equal(date) {
				t.Errorf("active %v, due %v", clock.Active(), clock.Due())
			}
			return nil
		}, communicator.Options{Deadline: time.Now().Add(-1), Want: communicator.Write})
		if !clock.Active() || clock.Name() != "timer" || clock.Due() != date.Round(0) {
			t.Errorf("active %v, name %q, due %v", clock.Active(), clock.Name(), clock.Due())
		}
		run(t, loop)
		if calls != 1 || clock.Active() || clock.Reset(0) || clock.ResetAt(date) {
			t.Errorf("%d calls, active %v", calls, clock.Active())
		}
	}
}

// timerDescriptors are the clocks of the timer descriptors that the process has, by descriptor, and what the
// kernel says of each.
func timerDescriptors(t *testing.T) map[string]string {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range all {
		if target, err := os.Readlink(name); err != nil || target != "anon_inode:[timerfd]" {
			continue // the folder's own descriptor is gone by now
		}
		fd := filepath.Base(name)
		info, err := os.ReadFile("/proc/self/fdinfo/" + fd)
		if err != nil {
			t.Fatal(err)
		}
		found[fd] = string(info)
	}
	return found
}

// TestAtClock: the kernel knows that the date follows the wall clock, CLOCK_REALTIME, and is absolute. The
// loop's own timers are on CLOCK_MONOTONIC.
func TestAtClock(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	clock := at(t, loop, time.Now().Add(time.Hour), never(t), zero)
	fd := fmt.Sprint(loop.Sources()[0].FD)
	after(t, loop, 0, func(*timer.Timer) error {
		descriptors := timerDescriptors(t)
		if len(descriptors) != 2 {
			t.Errorf("%d timer descriptors, want the loop's and that of At", len(descriptors))
		}
		for d, info := range descriptors {
			want := []string{"clockid: 1\n", "settime flags: 00\n"}
			if d == fd {
				want = []string{"clockid: 0\n", "settime flags: 01\n"}
			}
			for _, line := range want {
				if !strings.Contains(info, line) {
					t.Errorf("descriptor %s, of At %v: no %q in\n%s", d, d == fd, line, info)
				}
			}
		}
		clock.Stop()
		return nil
	}, zero)
	run(t, loop)
}

func TestAtErrors(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	before := len(timerDescriptors(t))
	if clock, err := timer.At(loop, time.Time{}, never(t), zero); !errors.Is(err, timer.ErrDate) || clock != nil {
		t.Errorf("At of the zero date answers %v, %v", clock, err)
	}
	run(t, loop)
	if clock, err := timer.At(loop, time.Now(), never(t), zero); !errors.Is(err, communicator.ErrClosed) || clock != nil {
		t.Errorf("At answers %v, %v after the end", clock, err)
	}
	if now := len(timerDescriptors(t)); now > before {
		t.Errorf("%d timer descriptors, %d before", now, before)
	}
}

// TestAtStop: a stopped one doesn't fire, not even if it is due in the same turn.
func TestAtStop(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	past := time.Now().Add(-time.Minute)
	far := at(t, loop, time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC), never(t), zero)
	var second *timer.Timer
	at(t, loop, past, func(*timer.Timer) error {
		second.Stop()
		far.Stop()
		return nil
	}, zero)
	second = at(t, loop, past, never(t), zero)
	run(t, loop)
	if far.Active() || second.Active() {
		t.Error("it is still active")
	}
}

// TestAtDisabled: one whose date passes while it is off fires when it is switched on.
func TestAtDisabled(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	on := false
	calls := 0
	clock := at(t, loop, time.Now().Add(-time.Minute), func(*timer.Timer) error {
		if calls++; !on {
			t.Error("called while it was off")
		}
		return nil
	}, communicator.Options{Name: "date", Priority: -3, Disabled: true})
	if i := loop.Sources()[0]; i.Name != "date" || i.Priority != -3 || i.Enabled || clock.Handle().Name() != "date" {
		t.Errorf("listed as %v", i)
	}
	after(t, loop, 2*time.Millisecond, func(*timer.Timer) error {
		on = true
		clock.SetEnabled(true)
		return nil
	}, zero)
	run(t, loop)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

// TestAtReset: from outside, in its own callback, and by another while it is due in the same turn.
func TestAtReset(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order []string
	past := time.Now().Add(-time.Minute)
	var other *timer.Timer
	calls := 0
	at(t, loop, past, func(clock *timer.Timer) error {
		order = append(order, "self")
		switch calls++; calls {
		case 1:
			if !other.Reset(3*time.Millisecond) || time.Until(other.Due()) > time.Minute {
				t.Errorf("due %v after the Reset", other.Due())
			}
			if !clock.ResetAt(past) {
				t.Error("ResetAt says that the timer has left")
			}
		case 2:
			clock.Reset(time.Microsecond)
			if clock.ResetAt(time.Time{}) {
				t.Error("ResetAt takes the zero date")
			}
		}
		return nil
	}, zero)
	due := time.Time{}
	other = at(t, loop, past, func(clock *timer.Timer) error {
		order = append(order, "other")
		if early := clock.Due().Sub(time.Now().Round(0)); early > 0 {
			t.Errorf("called %v early", early)
		}
		if due = clock.Due(); due != due.Round(0) {
			t.Errorf("due %v, which is on the monotonic clock", due)
		}
		return nil
	}, zero)
	outside := at(t, loop, time.Now().Add(time.Hour), func(*timer.Timer) error { order = append(order, "outside"); return nil }, zero)
	if !outside.ResetAt(past) {
		t.Error("ResetAt says that the timer has left")
	}
	monotonic := after(t, loop, 0, func(*timer.Timer) error { return nil }, zero)
	if monotonic.ResetAt(past) {
		t.Error("a timer of After takes a date")
	}
	run(t, loop)
	if n := len(order); n != 5 || order[0] != "self" || order[1] != "outside" || calls != 3 || !slices.Contains(order, "other") {
		t.Errorf("order %q", order)
	}
	if !due.After(past) {
		t.Errorf("the other was due at %v", due)
	}
}

// TestAtError: an error ends it, and so does the loop's end.
func TestAtError(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	calls := 0
	failing := at(t, loop, time.Now(), func(clock *timer.Timer) error {
		calls++
		clock.Reset(0) // doesn't help
		return errTest
	}, zero)
	at(t, loop, time.Now().Add(time.Hour), never(t), zero)
	after(t, loop, time.Millisecond, func(clock *timer.Timer) error {
		if failing.Active() {
			clock.Reset(time.Millisecond)
			return nil
		}
		loop.Stop(nil)
		return nil
	}, zero)
	run(t, loop)
	if calls != 1 || len(timerDescriptors(t)) != 0 {
		t.Errorf("%d calls, %d timer descriptors left", calls, len(timerDescriptors(t)))
	}
}
