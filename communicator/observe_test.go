//go:build linux

package communicator_test

import (
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// watcher is an observer that writes down what it is told, and complains about what doesn't fit together.
type watcher struct {
	t       testing.TB
	journal journal
	inside  bool
	handle  *communicator.Handle
	call    communicator.Call
	began   time.Time
}

func (w *watcher) name() string {
	if w.handle == nil {
		return "-"
	}
	return w.handle.Name()
}

func (w *watcher) BeginCallback(h *communicator.Handle, call communicator.Call) {
	if w.inside {
		w.t.Errorf("%v of %s within %v", call, w.name(), w.call)
	}
	w.inside, w.handle, w.call, w.began = true, h, call, time.Now()
	w.journal.note("begin " + w.call.String() + " " + w.name())
}

func (w *watcher) EndCallback(h *communicator.Handle, call communicator.Call, took time.Duration) {
	if !w.inside || h != w.handle || call != w.call {
		w.t.Errorf("the end of %v isn't that of %v", call, w.call)
	}
	// The loop has read the clock before the beginning was told.
	if took < 0 || took > time.Since(w.began)+time.Second {
		w.t.Errorf("%v of %s took %v", call, w.name(), took)
	}
	w.inside = false
	w.journal.note("end " + w.call.String() + " " + w.name())
}

// TestObserver: each callback of each kind has its beginning and its end told, around what it does.
func TestObserver(t *testing.T) {
	w := &watcher{t: t}
	loop := newLoop(t, communicator.Config{Observer: w})
	j := &w.journal
	later := func(what string) func() { return func() { j.note(what) } }
	p := &probe{t: t, file: signalled(t)}
	p.read = func(*communicator.Handle) error {
		j.note("reads")
		loop.Defer(later("deferred"))
		loop.AfterTurn(later("after turn"))
		return nil
	}
	p.write = j.noter("writes", ignore)
	p.timeout = j.noter("timeout", remove)
	p.closed = func(*communicator.Handle, error) { j.note("closed") }
	o := communicator.Options{Name: "p", Want: communicator.Read | communicator.Write, Deadline: time.Now()}
	add(t, loop, p, o)
	loop.AtExit(func(error) { j.note("exit") })
	post(t, loop, later("posted"))
	run(t, loop)
	var want journal
	for _, c := range [][2]string{
		{"read p", "reads"}, {"function -", "deferred"}, {"write p", "writes"}, {"timeout p", "timeout"},
		{"function -", "posted"}, {"close p", "closed"}, {"function -", "after turn"}, {"function -", "exit"},
	} {
		want = append(want, "begin "+c[0], c[1], "end "+c[0])
	}
	j.expect(t, want...)
}

// TestObserverTook: what is told is the time that the callback took, all the things of Continue together.
func TestObserverTook(t *testing.T) {
	const work = 3 * time.Millisecond
	var longest time.Duration
	loop := newLoop(t, communicator.Config{})
	loop.SetObserver(observer(func(_ *communicator.Handle, call communicator.Call, took time.Duration) {
		if call == communicator.CallRead {
			longest = took
		}
	}))
	var within time.Duration
	add(t, loop, &probe{t: t, read: func(h *communicator.Handle) error {
		began := time.Now()
		for range 3 {
			spin(work / 3)
			h.Continue()
		}
		within = time.Since(began)
		return remove(h)
	}}, communicator.Options{}).MarkReadable()
	run(t, loop)
	if longest < within {
		t.Errorf("a callback of %v took %v", within, longest)
	}
}

// observer is an observer of ends.
type observer func(h *communicator.Handle, call communicator.Call, took time.Duration)

func (observer) BeginCallback(*communicator.Handle, communicator.Call) {}

func (f observer) EndCallback(h *communicator.Handle, call communicator.Call, took time.Duration) {
	f(h, call, took)
}

// TestObserverLeaves: within a callback of any kind, the observer may be taken away; for it the callback ends then.
func TestObserverLeaves(t *testing.T) {
	for kind := range 6 {
		w := &watcher{t: t}
		loop := newLoop(t, communicator.Config{Observer: w})
		leave := func(at int) {
			if at == kind {
				loop.SetObserver(nil)
			}
		}
		p := &probe{t: t, file: signalled(t), timeout: func(h *communicator.Handle) error { leave(1); return remove(h) }}
		p.read = func(*communicator.Handle) error {
			leave(0)
			loop.Defer(func() { leave(3) })
			loop.AfterTurn(func() { leave(4) })
			return nil
		}
		p.closed = func(*communicator.Handle, error) { leave(5) }
		add(t, loop, p, communicator.Options{Name: "p", Deadline: time.Now()})
		post(t, loop, func() { leave(2) })
		run(t, loop)
		if w.inside {
			t.Errorf("kind %d: the observer heard of no end: %q", kind, w.journal)
		}
	}
}

// TestObserverComes: one that comes within a callback is first told of a beginning.
func TestObserverComes(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	w := &watcher{t: t}
	p := &probe{t: t, file: signalled(t), write: remove, read: func(*communicator.Handle) error {
		loop.SetObserver(w)
		return nil
	}}
	add(t, loop, p, communicator.Options{Name: "p", Want: communicator.Read | communicator.Write})
	run(t, loop)
	w.journal.expect(t, "begin write p", "end write p", "begin close p", "end close p")
}

func TestCallString(t *testing.T) {
	for call, want := range map[communicator.Call]string{
		communicator.CallRead: "read", communicator.CallWrite: "write", communicator.CallTimeout: "timeout",
		communicator.CallClose: "close", communicator.CallFunction: "function",
	} {
		if got := call.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
