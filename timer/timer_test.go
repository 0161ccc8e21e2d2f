//go:build linux

package timer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

var (
	errPatience = errors.New("the test's patience is over")
	errTest     = errors.New("an error of the test")
	zero        communicator.Options
)

func newLoop(t testing.TB, config communicator.Config) *communicator.Communicator {
	t.Helper()
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	loop, err := communicator.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loop.Close(); err != nil {
			t.Error(err)
		}
	})
	return loop
}

// run runs the loop, which has to end without an error.
func run(t testing.TB, loop *communicator.Communicator) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), 30*time.Second, errPatience)
	defer cancel()
	if err := loop.Run(ctx); err != nil {
		t.Fatalf("Run: %v", err)
	}
}

func after(t testing.TB, loop *communicator.Communicator, d time.Duration, f func(*timer.Timer) error, o communicator.Options) *timer.Timer {
	t.Helper()
	clock, err := timer.After(loop, d, f, o)
	if err != nil {
		t.Fatalf("After: %v", err)
	}
	return clock
}

func every(t testing.TB, loop *communicator.Communicator, d time.Duration, f func(*timer.Timer, int) error, o communicator.Options) *timer.Timer {
	t.Helper()
	clock, err := timer.Every(loop, d, f, o)
	if err != nil {
		t.Fatalf("Every: %v", err)
	}
	return clock
}

func never(t *testing.T) func(*timer.Timer) error {
	return func(*timer.Timer) error {
		t.Error("it fired")
		return nil
	}
}

// spin keeps the processor busy for about d.
func spin(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
	}
}

func TestAfter(t *testing.T) {
	for _, d := range []time.Duration{-time.Hour, 0, time.Microsecond, 5 * time.Millisecond} {
		loop := newLoop(t, communicator.Config{})
		begin := time.Now()
		calls := 0
		clock := after(t, loop, d, func(clock *timer.Timer) error {
			calls++
			if passed := time.Since(begin); passed < d {
				t.Errorf("called after %v, want %v", passed, d)
			}
			if !clock.Active() || time.Until(clock.Due()) > 0 || clock.Due().Sub(begin) < d {
				t.Errorf("active %v, due %v", clock.Active(), clock.Due())
			}
			return nil
		}, zero)
		if !clock.Active() {
			t.Error("it isn't active")
		}
		run(t, loop)
		if calls != 1 || clock.Active() {
			t.Errorf("%d calls, active %v", calls, clock.Active())
		}
	}
}

func TestStop(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	stopped := after(t, loop, time.Millisecond, never(t), zero)
	after(t, loop, 3*time.Millisecond, func(*timer.Timer) error { return nil }, zero)
	stopped.Stop()
	stopped.Stop()
	if stopped.Active() {
		t.Error("it is still active")
	}
	run(t, loop)
}

// TestStopWhenDue: a timer that is due in the same batch doesn't fire any more.
func TestStopWhenDue(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var second, third *timer.Timer
	after(t, loop, -1, func(*timer.Timer) error {
		second.Stop()
		third.Stop()
		return nil
	}, zero)
	second = after(t, loop, -1, never(t), zero)
	third = every(t, loop, time.Nanosecond, func(*timer.Timer, int) error { return never(t)(nil) }, zero)
	run(t, loop)
}

func TestResetFromOutside(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	begin := time.Now()
	const d = 5 * time.Millisecond
	calls := 0
	sooner := after(t, loop, time.Hour, func(*timer.Timer) error { calls++; return nil }, zero)
	later := after(t, loop, -1, func(*timer.Timer) error {
		calls++
		if passed := time.Since(begin); passed < d {
			t.Errorf("called after %v, want %v", passed, d)
		}
		return nil
	}, zero)
	if !sooner.Reset(0) || !later.Reset(d) {
		t.Error("Reset says that the timer has left")
	}
	run(t, loop)
	if calls != 2 {
		t.Errorf("%d calls", calls)
	}
	if sooner.Reset(0) || later.Active() {
		t.Error("a timer that has fired is still there")
	}
}

// TestResetInACallback: a timer that resets itself goes on.
func TestResetInACallback(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	calls := 0
	var due time.Time
	after(t, loop, 0, func(clock *timer.Timer) error {
		if early := time.Until(due); early > 0 {
			t.Errorf("called %v early", early)
		}
		if calls++; calls < 5 {
			due = time.Now().Add(time.Millisecond)
			if !clock.Reset(time.Millisecond) {
				t.Error("Reset says that the timer has left")
			}
			if off := clock.Due().Sub(due); off < 0 || off > time.Second {
				t.Errorf("due is off by %v", off)
			}
		}
		return nil
	}, zero)
	run(t, loop)
	if calls != 5 {
		t.Errorf("%d calls", calls)
	}
}

// TestResetWhenDue: one that is due in the same batch and put off fires later, once.
func TestResetWhenDue(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order []string
	var second *timer.Timer
	after(t, loop, -1, func(*timer.Timer) error {
		order = append(order, "first")
		second.Reset(2 * time.Millisecond)
		return nil
	}, zero)
	second = after(t, loop, -1, func(*timer.Timer) error { order = append(order, "second"); return nil }, zero)
	after(t, loop, -1, func(*timer.Timer) error { order = append(order, "third"); return nil }, zero)
	run(t, loop)
	if want := []string{"first", "third", "second"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
}

// TestErrorEnds: an error ends the timer and is logged, with its name.
func TestErrorEnds(t *testing.T) {
	var log bytes.Buffer
	loop := newLoop(t, communicator.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	calls := 0
	once := after(t, loop, 0, func(clock *timer.Timer) error {
		calls++
		clock.Reset(0) // doesn't help
		return errTest
	}, communicator.Options{Name: "once"})
	again := every(t, loop, time.Millisecond, func(*timer.Timer, int) error {
		calls++
		return errTest
	}, zero)
	run(t, loop)
	if calls != 2 || once.Active() || again.Active() {
		t.Errorf("%d calls, active %v and %v", calls, once.Active(), again.Active())
	}
	for _, name := range []string{"once", "timer"} {
		found := 0
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "level=WARN") && strings.Contains(line, "source.name="+name) && strings.Contains(line, errTest.Error()) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d lines of %s in\n%s", found, name, log.String())
		}
	}
}

func TestOptions(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	clock := after(t, loop, time.Hour, never(t), communicator.Options{Name: "tea", Priority: -4, Disabled: true})
	i := loop.Sources()[0]
	if clock.Name() != "tea" || i.Name != "tea" || i.Priority != -4 || i.Enabled {
		t.Errorf("name %q, listed as %v", clock.Name(), i)
	}
	if off := i.Deadline.Sub(clock.Due()); off < 0 || off > time.Second {
		t.Errorf("the loop's deadline is off by %v", off)
	}
	clock.SetPriority(7)
	clock.SetEnabled(true)
	if i := loop.Sources()[0]; i.Priority != 7 || !i.Enabled {
		t.Errorf("listed as %v", i)
	}
	clock.Stop()
	run(t, loop)
}

// TestPriorityOfTimers: those that are due together fire by priority.
func TestPriorityOfTimers(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order []int
	for _, priority := range []int{3, -1, 2, 0} {
		after(t, loop, -1, func(*timer.Timer) error { order = append(order, priority); return nil },
			communicator.Options{Priority: priority})
	}
	run(t, loop)
	if want := []int{-1, 0, 2, 3}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestAfterTheEnd(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	run(t, loop)
	if clock, err := timer.After(loop, 0, never(t), zero); !errors.Is(err, communicator.ErrClosed) || clock != nil {
		t.Errorf("After answers %v, %v", clock, err)
	}
	if clock, err := timer.Every(loop, 1, func(*timer.Timer, int) error { return nil }, zero); !errors.Is(err, communicator.ErrClosed) || clock != nil {
		t.Errorf("Every answers %v, %v", clock, err)
	}
}

// TestManyTimers: ten thousand, half of them stopped or put off again and again. Each of the others fires once,
// never early.
func TestManyTimers(t *testing.T) {
	const timers = 10_000
	rng := rand.New(rand.NewPCG(5, 6))
	loop := newLoop(t, communicator.Config{})
	fired := make([]int, timers)
	want := make([]int, timers)
	clocks := make([]*timer.Timer, timers)
	some := func() time.Duration { return time.Duration(rng.Int64N(int64(100 * time.Millisecond))) }
	for i := range timers {
		want[i] = 1
		clocks[i] = after(t, loop, some(), func(clock *timer.Timer) error {
			fired[i]++
			if early := time.Until(clock.Due()); early > 0 {
				t.Errorf("timer %d fired %v early", i, early)
			}
			return nil
		}, zero)
	}
	for i, clock := range clocks {
		switch i % 4 {
		case 1:
			clock.Stop()
			want[i] = 0
		case 3:
			clock.Reset(some())
			clock.Reset(some())
		}
	}
	run(t, loop)
	if !slices.Equal(fired, want) {
		for i := range fired {
			if fired[i] != want[i] {
				t.Fatalf("timer %d fired %d times, want %d", i, fired[i], want[i])
			}
		}
	}
}
