//go:build linux

package communicator_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// become makes f the same number as a descriptor that has just been closed.
func (f *file) become(t testing.TB, number int) {
	t.Helper()
	if f.fd == number {
		return
	}
	if err := unix.Dup3(f.fd, number, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	old := f.fd
	f.fd = number
	if err := unix.Close(old); err != nil {
		t.Fatal(err)
	}
}

// shut closes a descriptor of the test.
func (f *file) shut(t testing.TB) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestReusedNumber: a source that gets the number of one that has just been closed gets none of its
// events, whichever way the first one left.
func TestReusedNumber(t *testing.T) {
	for _, test := range []struct {
		name  string
		leave func(h *communicator.Handle)
	}{
		{"detached", func(h *communicator.Handle) { h.Detach() }},
		{"removed", func(h *communicator.Handle) { h.Remove(nil) }},
	} {
		for _, priority := range []int{communicator.PriorityNormal, communicator.PriorityUrgent} {
			t.Run(fmt.Sprintf("%s/%d", test.name, priority), func(t *testing.T) {
				loop := newLoop(t, communicator.Config{})
				o := communicator.Options{Priority: priority}
				var oldHandle, newHandle *communicator.Handle
				old := &probe{t: t, name: "old", file: signalled(t)}
				heir := &probe{t: t, name: "new"}
				first := &probe{t: t, name: "first", file: signalled(t), read: func(h *communicator.Handle) error {
					number := old.file.fd
					test.leave(oldHandle)
					old.file.shut(t)
					heir.file = eventfd(t)
					heir.file.become(t, number)
					var err error
					if newHandle, err = loop.Add(heir, o); err != nil {
						t.Errorf("Add of the new one: %v", err)
						return remove(h)
					}
					for range 3 {
						spin(2 * communicator.LookInterval)
						post(t, loop, func() {}) // further turns and looks
					}
					post(t, loop, func() {
						post(t, loop, func() { // now it is its own event
							heir.file.signal(t)
							heir.read = remove
						})
					})
					return remove(h)
				}}
				add(t, loop, first, o)
				oldHandle = add(t, loop, old, o)
				run(t, loop)
				if newHandle != nil && (heir.reads != 1 || heir.closes != 1) {
					t.Errorf("the new one: %d reads, %d closes", heir.reads, heir.closes)
				}
			})
		}
	}
}

// TestReusedNumberOfAFileStillOpen: a source that closed its descriptor while it was in the loop, though
// another process or a duplicate has the file still open, leaves something in the epoll set that nobody can take out.
// Its events are dropped, and are not those of the next one with the number.
func TestReusedNumberOfAFileStillOpen(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	old := &probe{t: t, name: "old", file: signalled(t)}
	number := old.file.fd
	dup, err := unix.FcntlInt(uintptr(number), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	newFile(t, dup)
	h := add(t, loop, old, communicator.Options{})
	heir := &probe{t: t, name: "new"}
	post(t, loop, func() {
		old.file.shut(t)
		h.Remove(nil)
		post(t, loop, func() {
			heir.file = eventfd(t)
			heir.file.become(t, number)
			handle := add(t, loop, heir, communicator.Options{})
			post(t, loop, func() { post(t, loop, func() { handle.Remove(nil) }) })
		})
	})
	old.read = ignore
	run(t, loop)
	if stale := loop.Stats().Stale; stale == 0 {
		t.Error("no stale event was seen")
	}
}

// TestReusedNumberInHandleClose: the number is free when HandleClose is called.
func TestReusedNumberInHandleClose(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	old := &probe{t: t, name: "old", file: signalled(t), read: remove}
	number := old.file.fd
	heir := &probe{t: t, name: "new", read: remove}
	old.closed = func(*communicator.Handle, error) {
		heir.file = signalled(t)
		heir.file.become(t, number)
		add(t, loop, heir, communicator.Options{})
	}
	add(t, loop, old, communicator.Options{})
	run(t, loop)
	if heir.reads != 1 || heir.closes != 1 {
		t.Errorf("%d reads, %d closes", heir.reads, heir.closes)
	}
}

// TestDetachAndAddAgain: the event of the first handle isn't that of the second, which gets its own.
func TestDetachAndAddAgain(t *testing.T) {
	for _, withFD := range []bool{true, false} {
		t.Run(fmt.Sprint(withFD), func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			var order journal
			var before, after *communicator.Handle
			p := &probe{t: t, name: "p"}
			handler := order.noter("called", func(h *communicator.Handle) error {
				if h != after {
					t.Error("called with the old handle")
				}
				return remove(h)
			})
			o := communicator.Options{Deadline: time.Now()}
			p.timeout = handler
			if withFD {
				o.Deadline = time.Time{}
				p.file = signalled(t)
				p.read = handler
			}
			first := &probe{t: t, file: signalled(t), read: order.noter("first", func(h *communicator.Handle) error {
				before.Detach()
				after = add(t, loop, p, o)
				before.SetEnabled(false)
				before.Remove(errTest)
				return remove(h)
			})}
			add(t, loop, first, communicator.Options{})
			before = add(t, loop, p, o)
			last := &probe{t: t, file: signalled(t), read: order.noter("last", remove)}
			add(t, loop, last, communicator.Options{Priority: 1})
			run(t, loop)
			if p.closes != 1 || p.cause != nil {
				t.Errorf("closed %d times, cause %v", p.closes, p.cause)
			}
			if withFD {
				order.expect(t, "first", "last", "called")
			} else {
				order.expect(t, "first", "called", "last") // it was due at once, and more important
			}
		})
	}
}

// TestDetachMovesToAnotherLoop: a detached source is open and goes on elsewhere.
func TestDetachMovesToAnotherLoop(t *testing.T) {
	here, there := newLoop(t, communicator.Config{}), newLoop(t, communicator.Config{})
	p := &probe{t: t, file: signalled(t)}
	p.read = func(h *communicator.Handle) error {
		if h.Loop() == here {
			h.Detach()
			add(t, there, p, communicator.Options{})
			return nil
		}
		return remove(h)
	}
	add(t, here, p, communicator.Options{})
	run(t, here)
	if p.reads != 1 || p.closes != 0 || p.shut {
		t.Errorf("%d reads, %d closes, closed %v", p.reads, p.closes, p.shut)
	}
	run(t, there)
	if p.reads != 2 || p.closes != 1 {
		t.Errorf("%d reads, %d closes", p.reads, p.closes)
	}
}

func TestRebind(t *testing.T) {
	for _, priority := range []int{communicator.PriorityNormal, communicator.PriorityUrgent} {
		t.Run(fmt.Sprint(priority), func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			files := []*file{nil, signalled(t), signalled(t), nil, signalled(t)}
			p := &probe{t: t, name: "p"}
			step := 0
			next := func(h *communicator.Handle) error {
				if step++; step == len(files) {
					return remove(h)
				}
				p.file = files[step]
				if err := h.Rebind(); err != nil {
					t.Errorf("Rebind: %v", err)
				}
				if p.file == nil {
					h.SetDeadline(time.Now())
				}
				return nil
			}
			p.timeout = next
			p.read = func(h *communicator.Handle) error {
				if p.file != files[step] {
					t.Errorf("read in step %d", step)
				}
				return next(h)
			}
			h := add(t, loop, p, communicator.Options{Priority: priority, Deadline: time.Now()})
			run(t, loop)
			if step != len(files) || p.reads != 3 || p.timeouts != 2 || h.Active() {
				t.Errorf("%d steps, %d reads, %d time-outs", step, p.reads, p.timeouts)
			}
		})
	}
}

// TestRebindForgetsTheOldEvents: what the old descriptor had to say is not said of the new one, be it
// later in the batch or later in the same event.
func TestRebindForgetsTheOldEvents(t *testing.T) {
	t.Run("batch", func(t *testing.T) {
		loop := newLoop(t, communicator.Config{})
		other := &probe{t: t, name: "other", file: signalled(t)}
		var handle *communicator.Handle
		first := &probe{t: t, file: signalled(t), read: func(h *communicator.Handle) error {
			other.file = eventfd(t)
			if err := handle.Rebind(); err != nil {
				t.Errorf("Rebind: %v", err)
			}
			post(t, loop, func() { post(t, loop, func() { handle.Remove(nil) }) })
			return remove(h)
		}}
		add(t, loop, first, communicator.Options{})
		handle = add(t, loop, other, communicator.Options{})
		run(t, loop)
	})
	for _, to := range []string{"another", "none"} {
		t.Run("event, to "+to, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			dead, peer := socketpair(t)
			peer.shut(t) // readable, writable and hung up
			full, _ := socketpair(t)
			for {
				if _, err := unix.Write(full.fd, make([]byte, 4096)); err != nil {
					break
				}
			}
			p := &probe{t: t, name: "p", file: dead} // must not be told that it can write
			p.read = func(h *communicator.Handle) error {
				p.file = full
				if to == "none" {
					p.file = nil
				}
				if err := h.Rebind(); err != nil {
					t.Errorf("Rebind: %v", err)
				}
				p.read = nil
				post(t, loop, func() { h.Remove(nil) })
				return nil
			}
			add(t, loop, p, communicator.Options{Want: communicator.Read | communicator.Write})
			run(t, loop)
		})
	}
}

// TestRebindRefused: a source whose new descriptor is none stays, without one, or leaves for that reason.
func TestRebindRefused(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	taken := signalled(t)
	h := add(t, loop, &probe{t: t, name: "owner", file: taken, read: remove}, communicator.Options{Priority: 1})

	p := &probe{t: t, name: "p", file: eventfd(t)}
	handle := add(t, loop, p, communicator.Options{})
	p.file = &file{taken.fd}
	if err := handle.Rebind(); !errors.Is(err, communicator.ErrAdded) {
		t.Errorf("Rebind to another's descriptor answers %v", err)
	}
	p.file = &file{-7}
	if err := handle.Rebind(); !errors.Is(err, unix.EBADF) {
		t.Errorf("Rebind to -7 answers %v", err)
	}
	if !handle.Active() || !h.Active() {
		t.Error("a source left")
	}
	p.file = signalled(t)
	p.read = remove
	if err := handle.Rebind(); err != nil {
		t.Errorf("Rebind to a good one answers %v", err)
	}

	lost := &probe{t: t, name: "lost", file: eventfd(t)}
	lostHandle := add(t, loop, lost, communicator.Options{})
	lost.file = &file{closedFD(t)}
	if err := lostHandle.Rebind(); !errors.Is(err, unix.EBADF) {
		t.Errorf("Rebind to a closed descriptor answers %v", err)
	}
	lost.file = nil
	lostHandle.Remove(unix.EBADF)
	run(t, loop)
	if p.reads != 1 || p.closes != 1 || lost.closes != 1 || !errors.Is(lost.cause, unix.EBADF) {
		t.Errorf("%d reads, closes %d and %d, cause %v", p.reads, p.closes, lost.closes, lost.cause)
	}
}

func TestMarkReadable(t *testing.T) {
	for _, withFD := range []bool{true, false} {
		t.Run(fmt.Sprint(withFD), func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			var order journal
			p := &probe{t: t, name: "p"}
			if withFD {
				p.file = eventfd(t)
			}
			p.read = order.noter("read", ignore)
			h := add(t, loop, p, communicator.Options{})
			later := func(f func()) func() { return func() { post(t, loop, f) } }
			post(t, loop, func() {
				order.note("mark")
				h.MarkReadable()
				h.MarkReadable() // once is enough
				post(t, loop, later(func() {
					order.note("mark and disable")
					h.MarkReadable()
					h.SetEnabled(false)
					post(t, loop, later(func() {
						order.note("pause and mark")
						h.SetEnabled(true)
						h.Want(communicator.Nothing)
						h.MarkReadable()
						post(t, loop, later(func() {
							order.note("mark and remove")
							h.Want(communicator.Read)
							h.MarkReadable()
							h.Remove(nil)
						}))
					}))
				}))
			})
			run(t, loop)
			order.expect(t, "mark", "read", "mark and disable", "pause and mark", "mark and remove")
		})
	}
}

// TestMarkReadableWithEvent: a source that is marked and readable is called once.
func TestMarkReadableWithEvent(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	p := &probe{t: t, name: "p", file: signalled(t)}
	p.read = order.noter("read", func(h *communicator.Handle) error {
		p.file.drain(t)
		post(t, loop, func() { post(t, loop, func() { h.Remove(nil) }) })
		return nil
	})
	add(t, loop, p, communicator.Options{}).MarkReadable()
	run(t, loop)
	order.expect(t, "read")
}
