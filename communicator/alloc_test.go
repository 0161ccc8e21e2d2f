//go:build linux

package communicator_test

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// allocations counts what the whole process allocates, so a few are the runtime's own.
func allocations() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// expectFew holds that events cost no allocation each.
func expectFew(t *testing.T, before, after uint64, events int) {
	t.Helper()
	if n := after - before; n > uint64(events/100) {
		t.Errorf("%d allocations for %d events", n, events)
	}
}

// pinger throws a byte to its peer whenever it gets one.
type pinger struct {
	t    testing.TB
	file *file
	buf  [1]byte
	left *int
	at   func(left int) // called with what is left; may be nil
}

func (p *pinger) FD() int { return p.file.fd }

func (p *pinger) HandleRead(h *communicator.Handle) error {
	if _, err := unix.Read(p.file.fd, p.buf[:]); err != nil {
		p.t.Errorf("read: %v", err)
	}
	if p.at != nil {
		p.at(*p.left)
	}
	if *p.left--; *p.left <= 0 {
		h.Loop().Stop(nil)
		return nil
	}
	if _, err := unix.Write(p.file.fd, p.buf[:]); err != nil {
		p.t.Errorf("write: %v", err)
	}
	return nil
}

// ping adds two pingers that throw a byte n times between them, and throws it.
func ping(t testing.TB, loop *communicator.Communicator, o communicator.Options, n int, at func(left int)) {
	t.Helper()
	a, b := socketpair(t)
	left := n
	add(t, loop, &pinger{t: t, file: a, left: &left, at: at}, o)
	add(t, loop, &pinger{t: t, file: b, left: &left, at: at}, o)
	if _, err := unix.Write(a.fd, []byte{1}); err != nil {
		t.Fatal(err)
	}
}

func TestEventsDoNotAllocate(t *testing.T) {
	const warm, events = 100, 10_000
	for _, priority := range []int{communicator.PriorityNormal, communicator.PriorityUrgent} {
		loop := newLoop(t, communicator.Config{})
		var before, after uint64
		ping(t, loop, communicator.Options{Priority: priority}, warm+events+1, func(left int) {
			switch left {
			case events + 1:
				before = allocations()
			case 1:
				after = allocations()
			}
		})
		run(t, loop)
		expectFew(t, before, after, events)
	}
}

// TestSteeringDoesNotAllocate: neither do deadlines, interests, priorities, switching and marking.
func TestSteeringDoesNotAllocate(t *testing.T) {
	const warm, rounds = 100, 10_000
	loop := newLoop(t, communicator.Config{})
	var before, after uint64
	f := eventfd(t)
	p := &probe{t: t, file: f, timeout: ignore}
	p.read = func(h *communicator.Handle) error {
		switch p.reads {
		case warm:
			before = allocations()
		case warm + rounds:
			after = allocations()
			return remove(h)
		}
		h.SetDeadline(time.Now().Add(time.Hour))
		h.Want(communicator.Read | communicator.Write)
		h.Want(communicator.Read)
		h.SetEnabled(false)
		h.SetEnabled(true)
		h.SetPriority(p.reads % 3)
		if p.reads%2 == 0 {
			h.SetDeadline(time.Now())
		}
		h.MarkReadable()
		return nil
	}
	add(t, loop, p, communicator.Options{}).MarkReadable()
	run(t, loop)
	expectFew(t, before, after, rounds)
}

// TestPostDoesNotAllocate: what is handed over is the caller's, the queue is used again.
func TestPostDoesNotAllocate(t *testing.T) {
	const warm, posts = 1000, 10_000
	for _, from := range []string{"the loop", "another goroutine"} {
		loop := newLoop(t, communicator.Config{})
		var before, after uint64
		runs := 0
		var f func()
		f = func() {
			switch runs++; runs {
			case warm:
				before = allocations()
			case warm + posts:
				after = allocations()
				loop.Stop(nil)
				return
			}
			if from == "the loop" {
				post(t, loop, f)
			}
		}
		if from == "the loop" {
			post(t, loop, f)
		} else {
			add(t, loop, &probe{t: t}, communicator.Options{})
			go func() {
				for range warm + posts {
					post(t, loop, f)
				}
			}()
		}
		run(t, loop)
		expectFew(t, before, after, posts)
	}
}
