//go:build linux

package communicator_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// steady is a source that has something to finish at a shutdown.
type steady struct {
	probe
	shutdown func(h *communicator.Handle)
	asked    int
}

var _ communicator.ShutdownHandler = (*steady)(nil)

func (s *steady) HandleShutdown(h *communicator.Handle) {
	s.asked++
	if s.shut {
		s.t.Errorf("%s: HandleShutdown after the end", s.name)
	}
	s.shutdown(h)
}

func newSteady(t testing.TB, name string, shutdown func(h *communicator.Handle)) *steady {
	return &steady{probe: probe{t: t, name: name, timeout: ignore}, shutdown: shutdown}
}

// leave is a HandleShutdown that has nothing to finish.
func leave(h *communicator.Handle) { h.Remove(nil) }

// stay is a HandleShutdown that never finishes.
func stay(*communicator.Handle) {}

// TestShutdownNothingLeft: Run returns nil when all have ended, though the limit is far away.
func TestShutdownNothingLeft(t *testing.T) {
	for _, limit := range []time.Duration{patience, math.MaxInt64} {
		loop := newLoop(t, communicator.Config{})
		plain := &probe{t: t, timeout: ignore}
		add(t, loop, plain, communicator.Options{})
		steady := newSteady(t, "steady", leave)
		add(t, loop, steady, communicator.Options{})
		post(t, loop, func() {
			loop.Shutdown(limit)
			if plain.closes+steady.closes > 0 {
				t.Error("closed within Shutdown")
			}
		})
		run(t, loop)
		if plain.closes != 1 || steady.closes != 1 || steady.asked != 1 || plain.cause != nil || steady.cause != nil {
			t.Errorf("closed %d and %d times, with %v and %v, asked %d times", plain.closes, steady.closes, plain.cause, steady.cause, steady.asked)
		}
	}
}

// TestShutdownEmpty: a loop without sources ends as well.
func TestShutdownEmpty(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	post(t, loop, func() { loop.Shutdown(time.Hour) })
	run(t, loop)
}

// TestShutdownOrder: sources are asked in the order of adding, whatever their priority, and whether they
// are enabled or not; each once.
func TestShutdownOrder(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var j journal
	var handles []*communicator.Handle
	for _, o := range []communicator.Options{
		{Name: "first", Priority: 5},
		{Name: "urgent", Priority: communicator.PriorityUrgent},
		{Name: "disabled", Disabled: true},
		{Name: "disabled urgent", Disabled: true, Priority: -1},
		{Name: "last", Priority: -7},
	} {
		s := newSteady(t, o.Name, func(h *communicator.Handle) {
			j.note(h.Name())
			h.Remove(nil)
		})
		s.file = eventfd(t)
		s.read = ignore
		handles = append(handles, add(t, loop, s, o))
	}
	handles[0].SetPriority(9)
	post(t, loop, func() { loop.Shutdown(time.Hour) })
	run(t, loop)
	j.expect(t, "first", "urgent", "disabled", "disabled urgent", "last")
}

// TestShutdownTakesTime: a source that has something to finish goes on being called until it has.
func TestShutdownTakesTime(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	begun := false
	s := newSteady(t, "steady", func(h *communicator.Handle) {
		begun = true
		h.SetDeadline(time.Now())
	})
	s.timeout = func(h *communicator.Handle) error {
		if s.timeouts < 5 {
			h.SetDeadline(time.Now().Add(time.Millisecond))
		} else {
			h.Remove(nil)
		}
		return nil
	}
	add(t, loop, s, communicator.Options{})
	post(t, loop, func() { loop.Shutdown(patience) })
	run(t, loop)
	if !begun || s.timeouts != 5 || s.cause != nil {
		t.Errorf("called %d times, closed with %v", s.timeouts, s.cause)
	}
}

// TestShutdownLimit: what is left at the limit is ended, and Run says so. A loop that sleeps wakes up for it.
func TestShutdownLimit(t *testing.T) {
	const limit = 15 * time.Millisecond
	for _, deadline := range []time.Duration{0, time.Millisecond, time.Hour} { // what else it wakes up for
		loop := newLoop(t, communicator.Config{})
		s := newSteady(t, "steady", stay)
		add(t, loop, s, communicator.Options{Disabled: true})
		waker := newSteady(t, "waker", stay)
		o := communicator.Options{}
		if deadline > 0 {
			o.Deadline = time.Now().Add(deadline)
		}
		add(t, loop, waker, o)
		var began time.Time
		post(t, loop, func() {
			began = time.Now()
			loop.Shutdown(limit)
		})
		err := runError(t, loop)
		if took := time.Since(began); took < limit {
			t.Errorf("it took %v", took)
		}
		if !errors.Is(err, communicator.ErrShutdownTimeout) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Run: %v", err)
		}
		if s.closes != 1 || !errors.Is(s.cause, communicator.ErrClosed) || !errors.Is(s.cause, os.ErrDeadlineExceeded) {
			t.Errorf("closed %d times, with %v", s.closes, s.cause)
		}
	}
}

// TestShutdownNamesWhoIsLeft: the log says what has held a shutdown up.
func TestShutdownNamesWhoIsLeft(t *testing.T) {
	var text strings.Builder
	loop := newLoop(t, communicator.Config{Logger: slog.New(slog.NewTextHandler(&text, nil))})
	for _, name := range []string{"first", "second", "third", "fourth"} {
		add(t, loop, newSteady(t, name, stay), communicator.Options{Name: name})
	}
	post(t, loop, func() { loop.Shutdown(time.Millisecond) })
	if err := runError(t, loop); !errors.Is(err, communicator.ErrShutdownTimeout) {
		t.Errorf("Run: %v", err)
	}
	if log := text.String(); strings.Count(log, "cut short") != 1 || !strings.Contains(log, "sources=4") || !strings.Contains(log, "[first second third]") {
		t.Errorf("logged %q", log)
	}
}

// TestShutdownBusy: the limit comes though the loop never sleeps.
func TestShutdownBusy(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	s := newSteady(t, "busy", stay)
	s.file = signalled(t)
	s.read = ignore
	add(t, loop, s, communicator.Options{})
	post(t, loop, func() { loop.Shutdown(5 * time.Millisecond) })
	if err := runError(t, loop); !errors.Is(err, communicator.ErrShutdownTimeout) {
		t.Errorf("Run: %v", err)
	}
	if s.reads == 0 {
		t.Error("it was not called any more")
	}
}

// TestShutdownNow: without a limit it is Stop(nil): nobody is asked.
func TestShutdownNow(t *testing.T) {
	for _, limit := range []time.Duration{0, -1, math.MinInt64} {
		for _, before := range []time.Duration{0, time.Hour} { // a shutdown that is under way
			loop := newLoop(t, communicator.Config{})
			s := newSteady(t, "steady", stay)
			add(t, loop, s, communicator.Options{})
			post(t, loop, func() {
				if before > 0 {
					loop.Shutdown(before)
				}
				loop.Shutdown(limit)
				if !loop.Stopping() {
					t.Error("it is not stopping")
				}
			})
			run(t, loop)
			want := 0
			if before > 0 {
				want = 1
			}
			if s.asked != want || s.closes != 1 || !errors.Is(s.cause, communicator.ErrClosed) {
				t.Errorf("asked %d times, closed %d times, with %v", s.asked, s.closes, s.cause)
			}
		}
	}
}

// TestShutdownTwice: the first limit counts, and nobody is asked twice, also when it is the longest there is.
func TestShutdownTwice(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	s := newSteady(t, "steady", stay)
	h := add(t, loop, s, communicator.Options{})
	post(t, loop, func() {
		loop.Shutdown(math.MaxInt64)
		loop.Shutdown(1)
		post(t, loop, func() { // a turn later
			if s.asked != 1 || !h.Active() {
				t.Errorf("asked %d times, active %v", s.asked, h.Active())
			}
			h.Remove(nil)
		})
	})
	run(t, loop)

	loop = newLoop(t, communicator.Config{})
	s = newSteady(t, "steady", stay)
	add(t, loop, s, communicator.Options{})
	post(t, loop, func() {
		loop.Shutdown(time.Millisecond)
		loop.Shutdown(time.Hour)
	})
	if err := runError(t, loop); !errors.Is(err, communicator.ErrShutdownTimeout) || s.asked != 1 {
		t.Errorf("Run: %v, asked %d times", err, s.asked)
	}
}

// TestShutdownWithin: from a callback of a source, which is one of those that are asked or removed.
func TestShutdownWithin(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	s := newSteady(t, "steady", leave)
	s.timeout = func(*communicator.Handle) error {
		loop.Shutdown(patience)
		return nil
	}
	add(t, loop, s, communicator.Options{Deadline: time.Now()})
	ready := &probe{t: t, name: "ready", file: signalled(t)} // without a read handler: it must not be called any more
	add(t, loop, ready, communicator.Options{Priority: 1})
	run(t, loop)
	if s.asked != 1 || s.closes != 1 || ready.closes != 1 {
		t.Errorf("asked %d times, closed %d and %d times", s.asked, s.closes, ready.closes)
	}
}

// TestShutdownWithinClose: HandleClose may begin one as well.
func TestShutdownWithinClose(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	s := newSteady(t, "steady", leave)
	add(t, loop, s, communicator.Options{})
	p := &probe{t: t, timeout: remove, closed: func(*communicator.Handle, error) { loop.Shutdown(patience) }}
	add(t, loop, p, communicator.Options{Deadline: time.Now()})
	run(t, loop)
	if s.asked != 1 || s.closes != 1 {
		t.Errorf("asked %d times, closed %d times", s.asked, s.closes)
	}
}

// TestShutdownBeforeRun: then Run finishes what is under way, within the limit.
func TestShutdownBeforeRun(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	s := newSteady(t, "steady", func(h *communicator.Handle) { h.SetDeadline(time.Now()) })
	s.timeout = remove
	plain := &probe{t: t, timeout: ignore}
	add(t, loop, s, communicator.Options{})
	add(t, loop, plain, communicator.Options{})
	loop.Shutdown(patience)
	if s.closes+plain.closes > 0 {
		t.Error("closed before Run")
	}
	run(t, loop)
	if s.closes != 1 || s.cause != nil || plain.closes != 1 || plain.cause != nil {
		t.Errorf("closed %d and %d times, with %v and %v", s.closes, plain.closes, s.cause, plain.cause)
	}

	loop = newLoop(t, communicator.Config{})
	add(t, loop, newSteady(t, "steady", stay), communicator.Options{})
	loop.Shutdown(1)
	if err := runError(t, loop); !errors.Is(err, communicator.ErrShutdownTimeout) {
		t.Errorf("Run: %v", err)
	}

	loop = newLoop(t, communicator.Config{})
	add(t, loop, newSteady(t, "steady", stay), communicator.Options{})
	loop.Shutdown(0)
	run(t, loop)
	loop.Shutdown(time.Hour) // of a loop that has ended
	loop.Shutdown(0)
}

// TestShutdownAddedLater: what is added while or after the sources are asked is not asked, and the limit ends it.
func TestShutdownAddedLater(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var late []*steady
	addLate := func() {
		s := newSteady(t, "late", leave)
		late = append(late, s)
		add(t, loop, s, communicator.Options{})
	}
	add(t, loop, newSteady(t, "first", func(h *communicator.Handle) {
		addLate()
		h.Remove(nil)
	}), communicator.Options{})
	post(t, loop, func() {
		loop.Shutdown(10 * time.Millisecond)
		addLate()
		post(t, loop, addLate)
	})
	if err := runError(t, loop); !errors.Is(err, communicator.ErrShutdownTimeout) {
		t.Errorf("Run: %v", err)
	}
	for i, s := range late {
		if s.asked != 0 || s.closes != 1 || !errors.Is(s.cause, communicator.ErrShutdownTimeout) {
			t.Errorf("late source %d: asked %d times, closed %d times, with %v", i, s.asked, s.closes, s.cause)
		}
	}
	if len(late) != 3 {
		t.Errorf("%d were added", len(late))
	}
}

// TestShutdownRemovesOthers: a handler may remove others, those that were asked and those that were not;
// these are not asked any more. It may detach and change them as well.
func TestShutdownRemovesOthers(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var sources []*steady
	var handles []*communicator.Handle
	for i := range 6 {
		s := newSteady(t, "", stay)
		if i == 2 {
			s.shutdown = func(h *communicator.Handle) {
				handles[0].Remove(errTest)
				handles[4].Remove(errTest)
				handles[5].Detach()
				handles[3].SetEnabled(false)
				handles[1].Remove(nil)
				h.Remove(nil)
				loop.Shutdown(1) // under way already
			}
		}
		if i == 3 {
			s.shutdown = leave
		}
		sources = append(sources, s)
		handles = append(handles, add(t, loop, s, communicator.Options{}))
	}
	post(t, loop, func() { loop.Shutdown(patience) })
	run(t, loop)
	var asked, closes []int
	for _, s := range sources {
		asked = append(asked, s.asked)
		closes = append(closes, s.closes)
	}
	if want := []int{1, 1, 1, 1, 0, 0}; !slices.Equal(asked, want) {
		t.Errorf("asked %d, want %d", asked, want)
	}
	if want := []int{1, 1, 1, 1, 1, 0}; !slices.Equal(closes, want) {
		t.Errorf("closed %d, want %d", closes, want)
	}
	if !errors.Is(sources[0].cause, errTest) || !errors.Is(sources[4].cause, errTest) || sources[1].cause != nil {
		t.Errorf("causes %v, %v, %v", sources[0].cause, sources[4].cause, sources[1].cause)
	}
}

// TestShutdownStops: a handler that stops the loop has the last word.
func TestShutdownStops(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, newSteady(t, "first", func(*communicator.Handle) { loop.Stop(errTest) }), communicator.Options{})
	second := newSteady(t, "second", stay)
	add(t, loop, second, communicator.Options{})
	post(t, loop, func() { loop.Shutdown(time.Hour) })
	if err := runError(t, loop); !errors.Is(err, errTest) {
		t.Errorf("Run: %v", err)
	}
	if second.closes != 1 || !errors.Is(second.cause, errTest) {
		t.Errorf("closed %d times, with %v", second.closes, second.cause)
	}
}

// TestShutdownThenCancel: a context that ends during a shutdown ends it.
func TestShutdownThenCancel(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	ctx, cancel := context.WithCancelCause(context.Background())
	add(t, loop, newSteady(t, "steady", func(*communicator.Handle) { cancel(errTest) }), communicator.Options{})
	post(t, loop, func() { loop.Shutdown(patience) })
	if err := loop.Run(ctx); !errors.Is(err, errTest) {
		t.Errorf("Run: %v", err)
	}
}

// TestShutdownPosts: functions that were posted still run, those too that they post.
func TestShutdownPosts(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, newSteady(t, "steady", leave), communicator.Options{})
	left := 5
	var again func()
	again = func() {
		if left--; left > 0 {
			post(t, loop, again)
		}
	}
	post(t, loop, func() { loop.Shutdown(patience) })
	post(t, loop, again)
	run(t, loop)
	if left != 0 {
		t.Errorf("%d were left", left)
	}
}

// TestNow: it stands still within a callback, goes on between callbacks, and is never ahead. Before and
// after Run it is the time.
func TestNow(t *testing.T) {
	loop := newLoop(t, communicator.Config{SlowCallback: -1})
	between := func(where string, least, now time.Time) {
		t.Helper()
		if most := time.Now(); now.Before(least) || now.After(most) {
			t.Errorf("%s: %v, want %v to %v", where, now, least, most)
		}
	}
	least := time.Now()
	between("before Run", least, loop.Now())
	var last time.Time
	callback := func(*communicator.Handle) error {
		now := loop.Now()
		between("in a callback", last, now)
		spin(200 * time.Microsecond)
		if then := loop.Now(); !then.Equal(now) {
			t.Errorf("it has moved by %v", then.Sub(now))
		}
		last = time.Now() // the loop looks at the clock when this callback is over, and before the next one
		return nil
	}
	for range 3 {
		add(t, loop, &probe{t: t, timeout: func(h *communicator.Handle) error {
			defer h.Remove(nil)
			return callback(h)
		}, closed: func(h *communicator.Handle, _ error) { _ = callback(h) }}, communicator.Options{Deadline: time.Now()})
	}
	last = time.Now()
	post(t, loop, func() { _ = callback(nil) })
	run(t, loop)
	least = time.Now()
	between("after Run", least, loop.Now())
}
