//go:build linux

package communicator_test

import (
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// These tests count the callbacks that an urgent source waits for; a time would depend on the machine.

const (
	busy = 50 * time.Microsecond // what an ordinary callback takes here
	crew = 300                   // ordinary sources, all ready in one batch
)

// waiting counts the ordinary callbacks since an urgent source became ready.
type waiting struct {
	armed   bool
	calls   int
	served  int
	longest int
}

func (w *waiting) begin() { w.armed, w.calls = true, 0 }

func (w *waiting) call() {
	if w.armed {
		w.calls++
	}
}

func (w *waiting) end(t *testing.T) {
	if !w.armed {
		t.Error("the urgent source was called without a reason")
	}
	w.armed = false
	w.served++
	w.longest = max(w.longest, w.calls)
}

func (w *waiting) check(t *testing.T, rounds, most int) {
	t.Helper()
	if w.served != rounds || w.longest > most {
		t.Errorf("served %d times, after %d callbacks at most; want %d times, after %d", w.served, w.longest, rounds, most)
	}
}

// addCrew adds the ordinary sources; each calls f with its number, and leaves.
func addCrew(t *testing.T, loop *communicator.Communicator, f func(i int)) {
	for i := range crew {
		add(t, loop, &probe{t: t, file: signalled(t), read: func(h *communicator.Handle) error {
			f(i)
			return remove(h)
		}}, communicator.Options{})
	}
}

// addUrgent adds the urgent source, which drains its descriptor.
func addUrgent(t *testing.T, loop *communicator.Communicator, w *waiting, rounds int) *file {
	f := eventfd(t)
	add(t, loop, &probe{t: t, name: "urgent", file: f, read: func(h *communicator.Handle) error {
		f.drain(t)
		w.end(t)
		if w.served == rounds {
			h.Remove(nil)
		}
		return nil
	}}, communicator.Options{Priority: communicator.PriorityUrgent})
	return f
}

func TestUrgentDescriptorWhileBusy(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	const rounds = crew / 10
	var w waiting
	f := addUrgent(t, loop, &w, rounds)
	addCrew(t, loop, func(i int) {
		w.call()
		spin(busy)
		if i%10 == 0 {
			f.signal(t)
			w.begin()
		}
	})
	run(t, loop)
	w.check(t, rounds, 1)
}

// TestUrgentDescriptorAmongShortCallbacks: where callbacks are shorter than LookInterval, the urgent one
// waits for a handful of them.
func TestUrgentDescriptorAmongShortCallbacks(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	const rounds = crew / 50
	var w waiting
	f := addUrgent(t, loop, &w, rounds)
	addCrew(t, loop, func(i int) {
		w.call()
		if i%50 == 0 {
			f.signal(t)
			w.begin()
		}
		spin(communicator.LookInterval / 10)
	})
	run(t, loop)
	w.check(t, rounds, 30) // two intervals, 10 callbacks each, and as much again to spare
}

// TestUrgentDeadlineWhileBusy counts the callbacks that begin when the deadline has passed. One may: the
// moment can come between the loop's look at the clock and the callback's own.
func TestUrgentDeadlineWhileBusy(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var deadline time.Time
	late, longest := 0, 0
	urgent := &probe{t: t, name: "urgent"}
	urgent.timeout = func(h *communicator.Handle) error {
		if time.Now().Before(deadline) {
			t.Errorf("called %v early", time.Until(deadline))
		}
		longest = max(longest, late)
		late, deadline = 0, time.Time{}
		return nil
	}
	h := add(t, loop, urgent, communicator.Options{Priority: communicator.PriorityUrgent})
	addCrew(t, loop, func(i int) {
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			late++
		}
		if i%10 == 0 {
			deadline = time.Now().Add(3 * busy)
			h.SetDeadline(deadline)
		}
		spin(busy)
		if i == crew-1 {
			h.Remove(nil)
		}
	})
	run(t, loop)
	if urgent.timeouts != crew/10 || longest > 1 {
		t.Errorf("called %d times, after %d callbacks at most; want %d times, after 1", urgent.timeouts, longest, crew/10)
	}
}

// TestDeadlineOfSmallerPriorityGoesNext: a deadline needn't be urgent to overtake what is less important.
func TestDeadlineOfSmallerPriorityGoesNext(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	clock := &probe{t: t, name: "clock", timeout: order.noter("clock", remove)}
	h := add(t, loop, clock, communicator.Options{Priority: 4})
	for _, name := range []string{"a", "b", "c"} {
		p := &probe{t: t, name: name, file: signalled(t), read: order.noter(name, remove)}
		if name == "a" {
			p.read = order.noter(name, func(own *communicator.Handle) error {
				h.SetDeadline(time.Now())
				return remove(own)
			})
		}
		add(t, loop, p, communicator.Options{Priority: 5})
	}
	run(t, loop)
	order.expect(t, "a", "clock", "b", "c")
}

// TestDeadlineOfEqualPriorityWaits: but it doesn't overtake its equals.
func TestDeadlineOfEqualPriorityWaits(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	clock := &probe{t: t, name: "clock", timeout: order.noter("clock", remove)}
	h := add(t, loop, clock, communicator.Options{Priority: 5})
	for _, name := range []string{"a", "b", "c"} {
		p := &probe{t: t, name: name, file: signalled(t), read: order.noter(name, remove)}
		if name == "a" {
			p.read = order.noter(name, func(own *communicator.Handle) error {
				h.SetDeadline(time.Now())
				return remove(own)
			})
		}
		add(t, loop, p, communicator.Options{Priority: 5})
	}
	run(t, loop)
	order.expect(t, "a", "b", "c", "clock")
}

func TestUrgentBetweenPosted(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	const rounds = crew / 10
	var w waiting
	f := addUrgent(t, loop, &w, rounds)
	for i := range crew {
		post(t, loop, func() {
			w.call()
			spin(busy)
			if i%10 == 0 {
				f.signal(t)
				w.begin()
			}
		})
	}
	run(t, loop)
	w.check(t, rounds, 1)
}

func TestUrgentDeadlineBetweenPosted(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	h := add(t, loop, &probe{t: t, timeout: order.noter("urgent", remove)}, communicator.Options{Priority: -1})
	post(t, loop, func() { order.note("a"); h.SetDeadline(time.Now()) })
	post(t, loop, func() { order.note("b") })
	run(t, loop)
	order.expect(t, "a", "urgent", "b")
}

func TestUrgentBetweenCloses(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	const rounds = crew / 10
	var w waiting
	f := addUrgent(t, loop, &w, rounds)
	var handles []*communicator.Handle
	for i := range crew {
		p := &probe{t: t, closed: func(*communicator.Handle, error) {
			w.call()
			spin(busy)
			if i%10 == 0 {
				f.signal(t)
				w.begin()
			}
		}}
		handles = append(handles, add(t, loop, p, communicator.Options{}))
	}
	post(t, loop, func() {
		for _, h := range handles {
			h.Remove(nil)
		}
	})
	run(t, loop)
	w.check(t, rounds, 1)
}

// TestUrgentAddedInATurn: a source that is added by a callback, and one that becomes urgent, count at once.
func TestUrgentAddedInATurn(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var w waiting
	risen := &probe{t: t, name: "risen", file: eventfd(t), read: func(h *communicator.Handle) error {
		w.end(t)
		return remove(h)
	}}
	rising := add(t, loop, risen, communicator.Options{})
	addCrew(t, loop, func(i int) {
		w.call()
		spin(busy)
		switch i {
		case 50:
			w.begin()
			p := &probe{t: t, name: "added", file: signalled(t), read: func(h *communicator.Handle) error {
				w.end(t)
				return remove(h)
			}}
			add(t, loop, p, communicator.Options{Priority: -1})
		case 100:
			w.begin()
			risen.file.signal(t)
			rising.SetPriority(-2)
		}
	})
	run(t, loop)
	w.check(t, 2, 1)
}

// TestNoLooksWithoutUrgent: the looks at urgent descriptors cost nothing when there are none, or none any more.
func TestNoLooksWithoutUrgent(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	for name, leave := range map[string]func(*communicator.Handle){
		"removed":  func(h *communicator.Handle) { h.Remove(nil) },
		"detached": func(h *communicator.Handle) { h.Detach() },
		"ordinary": func(h *communicator.Handle) { h.SetPriority(0) },
		"disabled": func(h *communicator.Handle) { h.SetEnabled(false) },
		"paused":   func(h *communicator.Handle) { h.Want(communicator.Nothing) },
	} {
		h := add(t, loop, &probe{t: t, name: name, file: eventfd(t)}, communicator.Options{Priority: -1})
		leave(h)
	}
	addCrew(t, loop, func(i int) {
		spin(communicator.LookInterval)
		if i == crew-1 {
			loop.Stop(nil)
		}
	})
	run(t, loop)
	if looks := loop.Stats().Looks; looks != 0 {
		t.Errorf("%d looks", looks)
	}
}
