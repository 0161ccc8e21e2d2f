//go:build linux

package communicator_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestPriorityOrder makes far more sources ready than any fixed event buffer holds, the most
// important of them added last.
func TestPriorityOrder(t *testing.T) {
	const sources = 3000
	for _, test := range []struct {
		name  string
		least int // the smallest priority but that of the last source
		most  int
		last  int
	}{
		{name: "ordinary", least: 1, most: 20, last: 0},
		{name: "urgent", least: -20, most: -2, last: -21},
		{name: "mixed", least: -10, most: 10, last: math.MinInt32},
		{name: "equal", least: 5, most: 5, last: 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			loop := newLoop(t, communicator.Config{})
			files := make([]*file, sources)
			for i := range files {
				files[i] = eventfd(t)
			}
			// Neither the numbers of the descriptors nor the order of readiness is that of adding.
			rng.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })

			calls, lastPriority, lastIndex, turn := 0, math.MinInt64, -1, uint64(0)
			for i, f := range files {
				priority := test.least + rng.IntN(test.most-test.least+1)
				if i == sources-1 {
					priority = test.last
				}
				p := &probe{t: t, file: f}
				p.read = func(h *communicator.Handle) error {
					if calls++; calls == 1 {
						turn = loop.Stats().Turns
						if i != sources-1 && test.last < test.least {
							t.Errorf("source %d was first, want the last one", i)
						}
					}
					if priority < lastPriority || priority == lastPriority && i < lastIndex {
						t.Errorf("source %d of priority %d after source %d of priority %d", i, priority, lastIndex, lastPriority)
					}
					if got := loop.Stats().Turns; got != turn {
						t.Errorf("source %d in turn %d, want all in turn %d", i, got, turn)
					}
					lastPriority, lastIndex = priority, i
					return remove(h)
				}
				add(t, loop, p, communicator.Options{Priority: priority})
			}
			for _, i := range rng.Perm(sources) {
				files[i].signal(t)
			}
			run(t, loop)
			if calls != sources {
				t.Errorf("%d calls, want %d", calls, sources)
			}
		})
	}
}

// TestManyUrgentFoundWhileBusy: more urgent sources than fit into the event buffer become ready
// within a turn; none of them is forgotten.
func TestManyUrgentFoundWhileBusy(t *testing.T) {
	const sources = 1000
	loop := newLoop(t, communicator.Config{})
	var files []*file
	served := 0
	for range sources {
		f := eventfd(t)
		files = append(files, f)
		add(t, loop, &probe{t: t, file: f, read: func(h *communicator.Handle) error {
			served++
			return remove(h)
		}}, communicator.Options{Priority: communicator.PriorityUrgent})
	}
	add(t, loop, &probe{t: t, file: signalled(t), read: func(h *communicator.Handle) error {
		for _, f := range files {
			f.signal(t)
		}
		return remove(h)
	}}, communicator.Options{})
	run(t, loop)
	if served != sources {
		t.Errorf("%d served, want %d", served, sources)
	}
}

// TestReadWriteTimeout: a source that is all at once is called in this order.
func TestReadWriteTimeout(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	p := &probe{t: t, file: signalled(t)}
	p.read = order.noter("read", ignore)
	p.write = order.noter("write", ignore)
	p.timeout = order.noter("timeout", remove)
	add(t, loop, p, communicator.Options{Want: communicator.Read | communicator.Write, Deadline: time.Now()})
	run(t, loop)
	order.expect(t, "read", "write", "timeout")
}

// TestDeadlinesAndDescriptorsTogether: the order knows priorities, not kinds.
func TestDeadlinesAndDescriptorsTogether(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	past := time.Now().Add(-time.Second)
	for i, priority := range []int{3, 1, 2, 3, 2, 1} {
		name := fmt.Sprintf("%c%d", 'a'+i, priority)
		o := communicator.Options{Priority: priority}
		p := &probe{t: t, name: name}
		if i%2 == 0 {
			o.Deadline = past
			p.timeout = order.noter(name, remove)
		} else {
			p.file = signalled(t)
			p.read = order.noter(name, remove)
		}
		add(t, loop, p, o)
	}
	run(t, loop)
	order.expect(t, "b1", "f1", "c2", "e2", "a3", "d3")
}

// TestPartsOfATurn: callbacks, then what was posted before, then the ends.
func TestPartsOfATurn(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	var clock *communicator.Handle
	first := &probe{t: t, name: "first", file: signalled(t)}
	first.read = order.noter("read 1", func(h *communicator.Handle) error {
		post(t, loop, func() {
			order.note("posted")
			clock.Remove(nil)
			post(t, loop, func() { order.note("posted by posted") })
		})
		return remove(h)
	})
	first.closed = func(*communicator.Handle, error) {
		order.note("closed 1")
		post(t, loop, func() { order.note("posted by closed") })
	}
	second := &probe{t: t, name: "second", file: signalled(t), read: order.noter("read 2", remove)}
	second.closed = func(*communicator.Handle, error) { order.note("closed 2") }
	third := &probe{t: t, name: "third"}
	third.closed = func(*communicator.Handle, error) { order.note("closed 3") }
	add(t, loop, first, communicator.Options{})
	add(t, loop, second, communicator.Options{})
	clock = add(t, loop, third, communicator.Options{})
	run(t, loop)
	order.expect(t, "read 1", "read 2", "posted", "closed 1", "closed 2", "closed 3", "posted by posted", "posted by closed")
}

func TestPriorityIsCut(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	h := add(t, loop, &probe{t: t}, communicator.Options{Priority: math.MaxInt})
	if got := h.Priority(); got != math.MaxInt32 {
		t.Errorf("priority %d", got)
	}
	h.SetPriority(math.MinInt)
	if got := h.Priority(); got != math.MinInt32 {
		t.Errorf("priority %d", got)
	}
	h.Remove(nil)
	run(t, loop)
}

// TestReprioritiseInATurn moves ready sources about while they wait for their turn.
func TestReprioritiseInATurn(t *testing.T) {
	for _, base := range []int{10, -50} { // ordinary and urgent
		t.Run(fmt.Sprint(base), func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			var order journal
			handles := map[string]*communicator.Handle{}
			for i, name := range []string{"a", "b", "c", "d", "e"} {
				p := &probe{t: t, name: name, file: signalled(t), read: order.noter(name, remove)}
				if name == "a" {
					p.read = order.noter(name, func(h *communicator.Handle) error {
						handles["b"].SetPriority(base + 9)
						handles["e"].SetPriority(base + 1)
						handles["c"].SetPriority(base + 8)
						handles["c"].SetPriority(base + 2) // where it was
						post(t, loop, func() { order.note("posted") })
						return remove(h)
					})
				}
				handles[name] = add(t, loop, p, communicator.Options{Priority: base + i})
			}
			run(t, loop)
			order.expect(t, "a", "e", "c", "d", "b", "posted")
		})
	}
}

// TestReprioritiseAcrossUrgency: a source stays watched when it becomes urgent and when it ceases to be.
func TestReprioritiseAcrossUrgency(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	f := eventfd(t)
	var h *communicator.Handle
	rounds := 0
	p := &probe{t: t, name: "p", file: f, read: func(h *communicator.Handle) error {
		if !f.drain(t) {
			t.Error("read without an event")
		}
		if rounds++; rounds == 10 {
			return remove(h)
		}
		h.SetPriority(-h.Priority())
		f.signal(t)
		return nil
	}}
	h = add(t, loop, p, communicator.Options{Priority: 5})
	for _, priority := range []int{-5, 3, -1, 7} {
		h.SetPriority(priority)
	}
	h.SetEnabled(false)
	h.SetPriority(-7) // while it isn't watched
	h.SetEnabled(true)
	f.signal(t)
	run(t, loop)
	if rounds != 10 {
		t.Errorf("%d rounds", rounds)
	}
}

// TestReprioritisedIsServedOnce: a source whose priority went to and fro isn't called again before
// the others have had their turn.
func TestReprioritisedIsServedOnce(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	swing := &probe{t: t, name: "swing", file: signalled(t)} // never drained
	swing.read = order.noter("swing", func(h *communicator.Handle) error {
		if swing.reads == 2 {
			return remove(h)
		}
		spin(4 * communicator.LookInterval) // a look at the urgent ones follows
		return nil
	})
	var h *communicator.Handle
	pusher := &probe{t: t, name: "pusher", file: signalled(t), read: order.noter("push", func(own *communicator.Handle) error {
		h.SetPriority(-2)
		h.SetPriority(-1)
		return remove(own)
	})}
	add(t, loop, pusher, communicator.Options{Priority: -3})
	h = add(t, loop, swing, communicator.Options{Priority: -1})
	for _, name := range []string{"other 1", "other 2"} {
		add(t, loop, &probe{t: t, name: name, file: signalled(t), read: order.noter(name, remove)}, communicator.Options{Priority: -1})
	}
	run(t, loop)
	order.expect(t, "push", "swing", "other 1", "other 2", "swing")
}

// TestReprioritiseBetweenTurns: so is one that is moved while it waits for the next turn.
func TestReprioritiseBetweenTurns(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	h := add(t, loop, &probe{t: t, name: "clock", timeout: order.noter("timeout", remove)}, communicator.Options{Priority: 1})
	p := &probe{t: t, name: "p", file: signalled(t), read: order.noter("read", func(own *communicator.Handle) error {
		h.SetDeadline(time.Now()) // due at once, but not more important: it waits
		post(t, loop, func() {
			order.note("posted")
			h.SetPriority(2)
			h.SetPriority(1)
		})
		return remove(own)
	})}
	add(t, loop, p, communicator.Options{Priority: 1})
	run(t, loop)
	order.expect(t, "read", "posted", "timeout")
}

// TestDueByItself: a source that becomes due by its own read callback waits for its turn like others.
func TestDueByItself(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	f := signalled(t)
	p := &probe{t: t, name: "p", file: f, timeout: order.noter("timeout", remove)}
	p.read = order.noter("read", func(h *communicator.Handle) error {
		f.drain(t)
		h.SetDeadline(time.Now())
		return nil
	})
	add(t, loop, p, communicator.Options{})
	add(t, loop, &probe{t: t, name: "other", file: signalled(t), read: order.noter("other", remove)}, communicator.Options{})
	run(t, loop)
	order.expect(t, "read", "other", "timeout")
}
