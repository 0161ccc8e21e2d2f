//go:build linux

package communicator_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

const edges = communicator.Read | communicator.EdgeTriggered

// bell runs a loop with an eventfd that nobody ever reads, and whose first call has been.
func bell(t *testing.T, f *file, o communicator.Options) (p *probe, h *communicator.Handle, calls func() int) {
	t.Helper()
	loop := newLoop(t, communicator.Config{})
	p = &probe{t: t, name: "bell", file: f, read: ignore}
	h = add(t, loop, p, o)
	start(t, loop)
	calls = func() (n int) {
		t.Helper()
		for range 5 { // turns
			do(t, loop, func() { n = p.reads })
		}
		return n
	}
	return p, h, calls
}

// TestEdges: each write is one callback, though nobody reads the eventfd; several before the turn are one.
func TestEdges(t *testing.T) {
	for _, priority := range []int{0, communicator.PriorityUrgent} {
		f := eventfd(t)
		_, h, calls := bell(t, f, communicator.Options{Want: edges, Priority: priority})
		if n := calls(); n != 0 {
			t.Errorf("priority %d: %d calls before any write", priority, n)
		}
		for i := range 10 {
			f.signal(t)
			if n := calls(); n != i+1 {
				t.Errorf("priority %d: %d calls after %d writes", priority, n, i+1)
			}
		}
		do(t, h.Loop(), func() {
			for range 3 {
				f.signal(t)
			}
		})
		if n := calls(); n != 11 {
			t.Errorf("priority %d: %d calls more after three writes at once, want 1", priority, n-10)
		}
		quiet(t, h.Loop(), silence/2)
	}
}

// TestEdgesFirst: what is there already when the source is added is told.
func TestEdgesFirst(t *testing.T) {
	_, h, calls := bell(t, signalled(t), communicator.Options{Want: edges})
	if n := calls(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	quiet(t, h.Loop(), silence/2)
}

// TestEdgesInACallback: what comes while the source is called is told afterwards, and what others ring as well.
func TestEdgesInACallback(t *testing.T) {
	f := signalled(t)
	p, h, calls := bell(t, f, communicator.Options{Want: edges, Disabled: true})
	do(t, h.Loop(), func() {
		p.read = func(*communicator.Handle) error {
			if p.reads < 5 {
				f.signal(t)
			}
			return nil
		}
		h.SetEnabled(true)
	})
	if n := calls(); n != 5 {
		t.Errorf("%d calls, want 5", n)
	}
}

// TestEdgesMarked: what the source has left it keeps in mind itself.
func TestEdgesMarked(t *testing.T) {
	for _, priority := range []int{0, communicator.PriorityUrgent} {
		f := signalled(t)
		p, h, calls := bell(t, f, communicator.Options{Want: edges, Priority: priority, Disabled: true})
		do(t, h.Loop(), func() {
			p.read = func(h *communicator.Handle) error {
				if p.reads%4 != 0 {
					h.MarkReadable()
				}
				return nil
			}
			h.SetEnabled(true)
		})
		if n := calls(); n != 4 {
			t.Errorf("%d calls, want 4", n)
		}
		f.signal(t)
		if n := calls(); n != 8 {
			t.Errorf("%d calls, want 8", n)
		}
		do(t, h.Loop(), func() { h.SetEnabled(false); h.MarkReadable() })
		if n := calls(); n != 8 {
			t.Errorf("%d calls while it is off", n-8)
		}
		do(t, h.Loop(), func() { h.SetEnabled(true) })
		if n := calls(); n != 12 {
			t.Errorf("%d calls, want 12", n)
		}
	}
}

// TestEdgesAgain: whenever the source begins to be watched, or is watched for something else, it is called for what is
// there already, once.
func TestEdgesAgain(t *testing.T) {
	for name, act := range map[string]func(p *probe, h *communicator.Handle){
		"off and on":        func(_ *probe, h *communicator.Handle) { h.SetEnabled(false); h.SetEnabled(true) },
		"paused and wanted": func(_ *probe, h *communicator.Handle) { h.Want(communicator.Nothing); h.Want(edges) },
		"for something else": func(_ *probe, h *communicator.Handle) {
			h.Want(communicator.Read | communicator.Exceptional | communicator.EdgeTriggered)
		},
		"urgent": func(_ *probe, h *communicator.Handle) { h.SetPriority(-1) },
		"bound again": func(_ *probe, h *communicator.Handle) {
			if err := h.Rebind(); err != nil {
				t.Error(err)
			}
		},
		"bound to another": func(p *probe, h *communicator.Handle) {
			p.file = signalled(t)
			if err := h.Rebind(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, h, calls := bell(t, signalled(t), communicator.Options{Want: edges})
			if n := calls(); n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
			do(t, h.Loop(), func() { act(p, h) })
			if n := calls(); n != 2 {
				t.Errorf("%d calls, want 2", n)
			}
			p.file.signal(t)
			if n := calls(); n != 3 {
				t.Errorf("%d calls, want 3", n)
			}
		})
	}
}

// TestEdgesOff: what comes while the source is off, or wants nothing, is told when it is on again, and not before; also
// if it was reported already in the turn in which it was switched off.
func TestEdgesOff(t *testing.T) {
	for name, steer := range map[string]struct{ off, on func(h *communicator.Handle) }{
		"off": {func(h *communicator.Handle) { h.SetEnabled(false) }, func(h *communicator.Handle) { h.SetEnabled(true) }},
		"paused": {
			func(h *communicator.Handle) { h.Want(communicator.Nothing) }, func(h *communicator.Handle) { h.Want(edges) },
		},
		"nothing but edges": {
			func(h *communicator.Handle) { h.Want(communicator.EdgeTriggered) }, func(h *communicator.Handle) { h.Want(edges) },
		},
	} {
		for _, priority := range []int{5, -5} {
			t.Run(name, func(t *testing.T) {
				f := eventfd(t)
				_, h, calls := bell(t, f, communicator.Options{Want: edges, Priority: priority})
				before := eventfd(t)
				do(t, h.Loop(), func() {
					first := &probe{t: t, file: before, read: func(own *communicator.Handle) error { steer.off(h); return remove(own) }}
					add(t, h.Loop(), first, communicator.Options{Priority: -10})
					f.signal(t)
					before.signal(t)
				})
				if n := calls(); n != 0 {
					t.Errorf("%d calls while it is off", n)
				}
				f.signal(t)
				if n := calls(); n != 0 {
					t.Errorf("%d calls while it is off", n)
				}
				do(t, h.Loop(), func() { steer.on(h) })
				if n := calls(); n != 1 {
					t.Errorf("%d calls, want 1", n)
				}
			})
		}
	}
}

// TestEdgesToLevel: without EdgeTriggered the same descriptor is told again and again.
func TestEdgesToLevel(t *testing.T) {
	p, h, calls := bell(t, signalled(t), communicator.Options{Want: edges})
	if n := calls(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	done := make(chan struct{})
	do(t, h.Loop(), func() {
		p.read = func(h *communicator.Handle) error {
			if p.reads == 10 {
				h.Want(edges)
				close(done)
			}
			return nil
		}
		h.Want(communicator.Read)
	})
	await(t, done, "calls")
	if n := calls(); n != 11 { // once more for what is there already
		t.Errorf("%d calls, want 11", n)
	}
	quiet(t, h.Loop(), silence/2)
}

// TestEdgesDefault: EdgeTriggered alone is beside what the source is watched for anyway.
func TestEdgesDefault(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	h := add(t, loop, &probe{t: t, file: eventfd(t)}, communicator.Options{Want: communicator.EdgeTriggered})
	if h.Interest() != edges {
		t.Errorf("interest %v, want %v", h.Interest(), edges)
	}
	w := add(t, loop, &onlyWriter{eventfd(t)}, communicator.Options{Want: communicator.EdgeTriggered})
	if want := communicator.Write | communicator.EdgeTriggered; w.Interest() != want {
		t.Errorf("interest %v, want %v", w.Interest(), want)
	}
	h.Want(communicator.EdgeTriggered)
	if h.Interest() != communicator.Nothing {
		t.Errorf("interest %v", h.Interest())
	}
}

// onlyWriter is a source that only writes.
type onlyWriter struct{ *file }

func (w *onlyWriter) FD() int                                { return w.fd }
func (*onlyWriter) HandleWrite(h *communicator.Handle) error { return remove(h) }
func (*onlyWriter) HandleClose(*communicator.Handle, error)  {}
func (w *onlyWriter) Close() error                           { return w.file.Close() }

// TestEdgesOfWriting: that there is room is told once.
func TestEdgesOfWriting(t *testing.T) {
	a, b := socketpair(t)
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, file: a, write: ignore}
	h := add(t, loop, p, communicator.Options{Want: communicator.Write | communicator.EdgeTriggered})
	start(t, loop)
	calls := func() (n int) {
		for range 5 {
			do(t, loop, func() { n = p.writes })
		}
		return n
	}
	if n := calls(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	buf := make([]byte, 64<<10)
	for {
		if _, err := unix.Write(a.fd, buf); err != nil {
			break
		}
	}
	before := calls()
	for {
		if _, err := unix.Read(b.fd, buf); err != nil {
			break
		}
	}
	if n := calls() - before; n == 0 {
		t.Error("no call though there is room again")
	}
	quiet(t, h.Loop(), silence/2)
}

// TestEdgesTaken: that somebody has taken something is told as well, as long as something is left: a bell may be rung by
// reading it.
func TestEdgesTaken(t *testing.T) {
	const count = 5
	for _, priority := range []int{0, communicator.PriorityUrgent} {
		fd, err := unix.Eventfd(count, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK|unix.EFD_SEMAPHORE)
		if err != nil {
			t.Fatal(err)
		}
		f := newFile(t, fd)
		_, h, calls := bell(t, f, communicator.Options{Want: edges, Priority: priority})
		for i := 1; i < count; i++ {
			if n := calls(); n != i {
				t.Errorf("priority %d: %d calls, want %d", priority, n, i)
			}
			if !f.drain(t) {
				t.Error("nothing is there")
			}
		}
		if n := calls(); n != count {
			t.Errorf("priority %d: %d calls, want %d", priority, n, count)
		}
		quiet(t, h.Loop(), silence/2)
	}
}

// TestEdgesNames: as a text, with what it stands beside.
func TestEdgesNames(t *testing.T) {
	for i, want := range map[communicator.Interest]string{
		edges:                      "read+edges",
		communicator.EdgeTriggered: "edges",
		communicator.Read | communicator.Write | communicator.Exceptional | communicator.EdgeTriggered: "read+write+exceptional+edges",
		communicator.Nothing: "nothing",
	} {
		if got := i.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestEdgesHangUp: the end of the other side is told once as well, and the source that does nothing about it is not
// removed for it.
func TestEdgesHangUp(t *testing.T) {
	a, b := socketpair(t)
	_, h, calls := bell(t, a, communicator.Options{Want: edges})
	b.shut(t)
	if n := calls(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	quiet(t, h.Loop(), silence/2)
	do(t, h.Loop(), func() {
		if !h.Active() {
			t.Error("removed")
		}
	})
}

// TestEdgesDoNotAllocate, nor do they lose one: a bell that rings itself.
func TestEdgesDoNotAllocate(t *testing.T) {
	const warm, rounds = 100, 10_000
	loop := newLoop(t, communicator.Config{})
	f := signalled(t)
	p := &probe{t: t, file: f}
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	var before, after uint64
	p.read = func(h *communicator.Handle) error {
		switch p.reads {
		case warm:
			before = allocations()
		case warm + rounds:
			after = allocations()
			return remove(h)
		}
		_, err := unix.Write(f.fd, one)
		return err
	}
	add(t, loop, p, communicator.Options{Want: edges})
	run(t, loop)
	expectFew(t, before, after, rounds)
}
