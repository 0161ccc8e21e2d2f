//go:build linux

package procwatch_test

import (
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestStops stops a child and lets it go on again and again, each time when the loop has told of the one before.
func TestStops(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	p, _ := sleeper(t)
	signals := []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGCONT, syscall.SIGSTOP, syscall.SIGKILL}
	kinds := []procwatch.Kind{procwatch.Stopped, procwatch.Continued, procwatch.Stopped, procwatch.Continued, procwatch.Stopped, procwatch.Killed}
	var got []procwatch.Kind
	send := func(w *procwatch.Watch) {
		if err := w.Signal(signals[len(got)]); err != nil {
			t.Errorf("Signal: %v", err)
		}
	}
	w := child(t, loop, p, func(w *procwatch.Watch, e procwatch.Event) error {
		if e.Signal != signals[len(got)] {
			t.Errorf("event %v, sent %v", e, signals[len(got)])
		}
		got = append(got, e.Kind)
		if e.PID != p.Pid || e.Code != -1 || e.Success() || (e.State != nil) != (e.Kind == procwatch.Killed) {
			t.Errorf("event %+v", e)
		}
		if len(got) < len(signals) {
			send(w)
		}
		return nil
	}, procwatch.Options{Stops: true})
	send(w)
	looptest.Run(t, loop)
	if !slices.Equal(got, kinds) {
		t.Errorf("got %v, want %v", got, kinds)
	}
	waited(t, p)
	// The loop is not woken without a reason, of which there is one at the beginning, and one for each signal.
	if calls := loop.Stats().Callbacks; calls > 3*uint64(len(signals)) {
		t.Errorf("%d callbacks", calls)
	}
}

// TestStopsOfMany: each of several children that are stopped at once, so that the kernel makes one SIGCHLD of many,
// is told of, and those that didn't ask are not.
func TestStopsOfMany(t *testing.T) {
	fdtest.Check(t)
	const n = 20
	loop, _ := looptest.New(t)
	counts := map[procwatch.Kind]int{}
	stopped := 0
	var all []*procwatch.Watch
	for i := range n {
		p, _ := sleeper(t)
		asked := i%2 == 0
		all = append(all, child(t, loop, p, func(w *procwatch.Watch, e procwatch.Event) error {
			counts[e.Kind]++
			if !asked && e.Kind != procwatch.Killed {
				t.Errorf("told of %v without asking", e)
			}
			if e.Kind != procwatch.Stopped {
				return nil
			}
			if stopped++; stopped < n/2 {
				return nil
			}
			for _, w := range all {
				if err := w.Signal(syscall.SIGKILL); err != nil {
					t.Errorf("Signal: %v", err)
				}
			}
			return nil
		}, procwatch.Options{Stops: asked}))
	}
	for _, w := range all {
		if err := w.Signal(syscall.SIGSTOP); err != nil {
			t.Errorf("Signal: %v", err)
		}
	}
	looptest.Run(t, loop)
	if len(counts) != 2 || counts[procwatch.Stopped] != n/2 || counts[procwatch.Killed] != n {
		t.Errorf("got %v", counts)
	}
}

// TestStoppedBefore: a child that is stopped when the watch begins is told of.
func TestStoppedBefore(t *testing.T) {
	loop, _ := looptest.New(t)
	p, in := sleeper(t)
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGCHLD)
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	looptest.Await(t, changed, "SIGCHLD") // so that none comes later
	signal.Stop(changed)
	var kinds []procwatch.Kind
	child(t, loop, p, func(w *procwatch.Watch, e procwatch.Event) error {
		kinds = append(kinds, e.Kind)
		if e.Kind == procwatch.Stopped {
			_ = in.Close()
			return w.Signal(syscall.SIGCONT)
		}
		return nil
	}, procwatch.Options{Stops: true})
	looptest.Run(t, loop)
	want := []procwatch.Kind{procwatch.Stopped, procwatch.Continued, procwatch.Exited}
	if len(kinds) == 2 { // it may end before the loop looks
		want = slices.Delete(want, 1, 2)
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
}

// TestStopsDisabled: a stop whose callback disables the watch is told once, and the end when it is enabled again.
func TestStopsDisabled(t *testing.T) {
	loop, _ := looptest.New(t)
	p, _ := sleeper(t)
	enabled := true
	var got []procwatch.Kind
	w := child(t, loop, p, func(w *procwatch.Watch, e procwatch.Event) error {
		if got = append(got, e.Kind); !enabled {
			t.Errorf("called while disabled: %v", e)
		}
		if e.Kind != procwatch.Stopped {
			return nil
		}
		enabled = false
		w.Handle().SetEnabled(false)
		other := shell(t, "exit 0")
		child(t, loop, other, func(*procwatch.Watch, procwatch.Event) error {
			enabled = true
			w.Handle().SetEnabled(true)
			return nil
		}, procwatch.Options{})
		return w.Signal(syscall.SIGKILL)
	}, procwatch.Options{Stops: true})
	if err := w.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if want := []procwatch.Kind{procwatch.Stopped, procwatch.Killed}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestStopsClosed: a watch that its own callback closes is not called again, and the error of one ends it.
func TestStopsClosed(t *testing.T) {
	fdtest.Check(t)
	for _, fails := range []bool{false, true} {
		loop, log := looptest.New(t)
		p, _ := sleeper(t)
		calls := 0
		w := child(t, loop, p, func(w *procwatch.Watch, e procwatch.Event) error {
			if calls++; e.Kind != procwatch.Stopped {
				t.Errorf("got %v", e)
			}
			if err := w.Signal(syscall.SIGKILL); err != nil {
				t.Errorf("Signal: %v", err)
			}
			if fails {
				return errTest
			}
			w.Close()
			return nil
		}, procwatch.Options{Stops: true})
		if err := w.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		looptest.Run(t, loop)
		if calls != 1 || (len(log.Containing(errTest.Error())) == 1) != fails {
			t.Errorf("%d calls, logged %v", calls, log.Records())
		}
		if state, err := p.Wait(); err != nil || state.Success() {
			t.Errorf("Wait: %v, %v", state, err)
		}
	}
}

func TestStopsOfForeign(t *testing.T) {
	loop, _ := looptest.New(t)
	p, _ := sleeper(t)
	if _, err := procwatch.PID(loop, p.Pid, nothing, procwatch.Options{Stops: true}); !errors.Is(err, procwatch.ErrNotChild) {
		t.Errorf("PID with Stops: %v", err)
	}
}
