//go:build linux

package communicator_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// maxDeferred is how many functions run after one callback.
const maxDeferred = 1024

// TestDeferAndAfterTurn: deferred functions run before any other callback, those that they defer too; what is for
// the end of the turn runs when all that was ready has been served and closed.
func TestDeferAndAfterTurn(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var j journal
	later := func(what string) func() { return func() { j.note(what) } }
	add(t, loop, &probe{t: t, file: signalled(t), read: func(h *communicator.Handle) error {
		j.note("first")
		loop.AfterTurn(later("after"))
		loop.Defer(func() {
			j.note("deferred")
			loop.Defer(later("nested"))
			loop.AfterTurn(later("after, of a deferred one"))
		})
		loop.Defer(later("deferred too"))
		post(t, loop, func() {
			j.note("posted")
			loop.Defer(later("deferred by it"))
		})
		return remove(h)
	}, closed: func(*communicator.Handle, error) {
		j.note("closed")
		loop.Defer(later("deferred by the closing"))
		loop.AfterTurn(later("after the closing"))
	}}, communicator.Options{})
	second := &probe{t: t, file: signalled(t), read: j.noter("second", remove)}
	second.closed = func(*communicator.Handle, error) { j.note("second closed") }
	add(t, loop, second, communicator.Options{})
	run(t, loop)
	j.expect(t, "first", "deferred", "deferred too", "nested", "second", "posted", "deferred by it",
		"closed", "deferred by the closing", "second closed", "after", "after, of a deferred one", "after the closing")
}

// TestDeferOfEachKind: whatever a callback is, what it defers runs before the next one.
func TestDeferOfEachKind(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var j journal
	kind := func(what string) func(h *communicator.Handle) error {
		return func(*communicator.Handle) error {
			j.note(what)
			loop.Defer(func() { j.note("after " + what) })
			return nil
		}
	}
	p := &probe{t: t, file: signalled(t), read: kind("read"), write: kind("write")}
	p.timeout = func(h *communicator.Handle) error {
		h.Remove(nil)
		return kind("timeout")(h)
	}
	add(t, loop, p, communicator.Options{Want: communicator.Read | communicator.Write, Deadline: time.Now()})
	run(t, loop)
	j.expect(t, "read", "after read", "write", "after write", "timeout", "after timeout")
}

// TestDeferBeforeRun is AfterTurn: the first turn comes first.
func TestDeferBeforeRun(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var j journal
	loop.Defer(func() { j.note("deferred") })
	loop.AfterTurn(func() { j.note("after") })
	loop.Defer(func() { j.note("deferred too") })
	for _, name := range []string{"a", "b"} {
		add(t, loop, &probe{t: t, file: signalled(t), read: j.noter(name, remove)}, communicator.Options{})
	}
	run(t, loop)
	j.expect(t, "a", "b", "deferred", "after", "deferred too")
}

// TestLaterKeepsTheLoop: an empty loop runs what was left to it, and then ends; one that is asleep at an hour's
// deadline does so as well.
func TestLaterKeepsTheLoop(t *testing.T) {
	for name, leave := range map[string]func(loop *communicator.Communicator, f func()){
		"deferred":   (*communicator.Communicator).Defer,
		"after turn": (*communicator.Communicator).AfterTurn,
	} {
		for _, unused := range []bool{false, true} {
			loop := newLoop(t, communicator.Config{})
			n := 0
			leave(loop, func() {
				n++
				leave(loop, func() { n++ })
			})
			if unused {
				if err := loop.Close(); err != nil || n < 1 {
					t.Errorf("%s: Close: %v; %d ran", name, err, n)
				}
				continue
			}
			if run(t, loop); n != 2 {
				t.Errorf("%s: %d ran", name, n)
			}
		}
	}
}

// TestAfterTurnOfAfterTurn: what such a function hands to AfterTurn runs one turn later, and that turn doesn't wait,
// though nothing is ready.
func TestAfterTurnOfAfterTurn(t *testing.T) {
	const turns = 10
	loop := newLoop(t, communicator.Config{})
	h := add(t, loop, &probe{t: t}, communicator.Options{Deadline: time.Now().Add(time.Hour)})
	n, last := 0, uint64(0)
	var f func()
	f = func() {
		now := loop.Stats().Turns
		if n++; n > 1 && now != last+1 {
			t.Errorf("call %d in turn %d, the one before was in turn %d", n, now, last)
		}
		if last = now; n == turns {
			h.Remove(nil)
			return
		}
		loop.AfterTurn(f)
	}
	post(t, loop, func() { loop.AfterTurn(f) })
	run(t, loop)
	if n != turns {
		t.Errorf("%d calls", n)
	}
}

// TestAfterTurnUrgent: between two of many such functions, what is urgent is served.
func TestAfterTurnUrgent(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	f := eventfd(t)
	var j journal
	add(t, loop, &probe{t: t, file: f, read: j.noter("urgent", remove)}, communicator.Options{Priority: -1})
	loop.AfterTurn(func() {
		j.note("first")
		f.signal(t)
		spin(2 * communicator.LookInterval)
	})
	loop.AfterTurn(func() { j.note("second") })
	run(t, loop)
	j.expect(t, "first", "urgent", "second")
}

// TestDeferForEver: a function that defers itself without an end takes a bounded part of each turn; other sources,
// posted functions and closings go on.
func TestDeferForEver(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	deferred, before := 0, 0
	var f func()
	f = func() {
		deferred++
		loop.Defer(f)
	}
	p := &probe{t: t, file: signalled(t)}
	p.read = func(h *communicator.Handle) error {
		if n := deferred - before; n > 5*maxDeferred {
			t.Errorf("%d deferred functions between two reads", n)
		}
		if before = deferred; p.reads == 1 {
			loop.Defer(f)
		}
		if p.reads == 20 {
			post(t, loop, func() { h.Remove(nil) })
		}
		return nil
	}
	p.closed = func(*communicator.Handle, error) { loop.Stop(nil) }
	add(t, loop, p, communicator.Options{})
	run(t, loop)
	if p.reads < 20 || deferred < maxDeferred {
		t.Errorf("%d reads, %d deferred functions", p.reads, deferred)
	}
}

// TestDeferMany: more than run at once all run, each once and in their order.
func TestDeferMany(t *testing.T) {
	const functions = 3*maxDeferred + 17
	loop := newLoop(t, communicator.Config{})
	n := 0
	post(t, loop, func() {
		for i := range functions {
			loop.Defer(func() {
				if n != i {
					t.Fatalf("function %d ran in place of %d", i, n)
				}
				n++
			})
		}
	})
	run(t, loop)
	if n != functions {
		t.Errorf("%d ran", n)
	}
}

// TestAtExit: the last one is the first, with what Run returns, after what was posted and before the sources close.
func TestAtExit(t *testing.T) {
	ended, end := context.WithCancelCause(t.Context())
	end(errTest)
	for name, test := range map[string]struct {
		ctx  context.Context
		act  func(loop *communicator.Communicator)
		want error
	}{
		"nothing left": {t.Context(), func(*communicator.Communicator) {}, nil},
		"Stop(nil)":    {t.Context(), func(loop *communicator.Communicator) { loop.Stop(nil) }, nil},
		"Stop":         {t.Context(), func(loop *communicator.Communicator) { loop.Stop(errTest) }, errTest},
		"context":      {ended, func(*communicator.Communicator) {}, errTest},
	} {
		t.Run(name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			var j journal
			exit := func(what string) {
				loop.AtExit(func(cause error) { j.note(fmt.Sprint(what, ": ", cause)) })
			}
			p := &probe{t: t, closed: func(*communicator.Handle, error) {
				j.note("closed")
				exit("after the end") // at once
			}}
			add(t, loop, p, communicator.Options{Background: true})
			exit("first")
			loop.AtExit(func(error) {
				j.note("second")
				exit("within")
				if err := loop.Post(func() {}); !errors.Is(err, communicator.ErrClosed) {
					t.Errorf("Post in an exit function: %v", err)
				}
				if _, err := loop.Hold(); !errors.Is(err, communicator.ErrClosed) {
					t.Errorf("Hold in an exit function: %v", err)
				}
			})
			exit("third")
			post(t, loop, func() { j.note("posted") })
			test.act(loop)
			if err := loop.Run(test.ctx); !errors.Is(err, test.want) {
				t.Errorf("Run: %v", err)
			}
			exit("later")
			is := func(what string) string { return fmt.Sprint(what, ": ", test.want) }
			j.expect(t, "posted", is("third"), "second", is("within"), is("first"), "closed", is("after the end"), is("later"))
		})
	}
}

// TestAtExitClose: they run too when the loop has never run.
func TestAtExitClose(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	calls := 0
	loop.AtExit(func(cause error) {
		if calls++; cause != nil {
			t.Errorf("cause %v", cause)
		}
	})
	for range 2 {
		if err := loop.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

// TestAtExitSteers: such a function may remove sources, each of which is closed once, and can't add any.
func TestAtExitSteers(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	old := &probe{t: t, name: "old"}
	h := add(t, loop, old, communicator.Options{})
	loop.AtExit(func(error) {
		h.Remove(errTest)
		if _, err := loop.Add(&probe{t: t, name: "young"}, communicator.Options{}); !errors.Is(err, communicator.ErrClosed) {
			t.Errorf("Add answers %v", err)
		}
	})
	loop.Stop(nil)
	run(t, loop)
	if old.closes != 1 || !errors.Is(old.cause, errTest) {
		t.Errorf("closed %d times, with %v", old.closes, old.cause)
	}
}

// TestLaterAtTheEnd: what exit functions and the last closings leave for later runs as well, at once or at the very
// end.
func TestLaterAtTheEnd(t *testing.T) {
	for name, leave := range map[string]func(loop *communicator.Communicator, f func()){
		"deferred":   (*communicator.Communicator).Defer,
		"after turn": (*communicator.Communicator).AfterTurn,
	} {
		t.Run(name+", no source", func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			var j journal
			loop.AtExit(func(error) { j.note("last") })
			loop.AtExit(func(error) {
				leave(loop, func() { j.note("left") })
				j.note("first")
			})
			run(t, loop)
			if name == "deferred" {
				j.expect(t, "first", "left", "last")
			} else {
				j.expect(t, "first", "last", "left")
			}
		})
		t.Run(name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			ran := map[string]int{}
			later := func(what string) { leave(loop, func() { ran[what]++ }) }
			add(t, loop, &probe{t: t, closed: func(*communicator.Handle, error) { later("closing") }}, communicator.Options{})
			loop.AtExit(func(error) { later("exit") })
			post(t, loop, func() { later("posted") })
			loop.Stop(nil)
			run(t, loop)
			for _, what := range []string{"posted", "exit", "closing"} {
				if ran[what] != 1 {
					t.Errorf("what %q left ran %d times", what, ran[what])
				}
			}
		})
	}
}

// TestLaterOfNothing: a nil function is a mistake that is told at once.
func TestLaterOfNothing(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	for name, f := range map[string]func(){
		"Defer":     func() { loop.Defer(nil) },
		"AfterTurn": func() { loop.AfterTurn(nil) },
		"AtExit":    func() { loop.AtExit(nil) },
		"ReadFunc":  func() { communicator.ReadFunc(0, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s takes nil", name)
				}
			}()
			f()
		}()
	}
	run(t, loop)
}

// TestShutdownOfEndlessFunctions: functions that hand themselves on for ever, with no source left, don't outlive
// the limit of a shutdown either.
func TestShutdownOfEndlessFunctions(t *testing.T) {
	for name, again := range map[string]func(loop *communicator.Communicator, f func()){
		"Post":      func(loop *communicator.Communicator, f func()) { post(t, loop, f) },
		"AfterTurn": (*communicator.Communicator).AfterTurn,
		"Defer":     (*communicator.Communicator).Defer,
	} {
		t.Run(name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			var f func()
			f = func() {
				if !loop.Stopping() {
					again(loop, f)
				}
			}
			post(t, loop, func() {
				loop.Shutdown(time.Millisecond)
				f()
			})
			if err := runError(t, loop); !errors.Is(err, communicator.ErrShutdownTimeout) {
				t.Errorf("Run: %v", err)
			}
		})
	}
}
