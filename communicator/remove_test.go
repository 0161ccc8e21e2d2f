//go:build linux

package communicator_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

// ending is a way for a source to leave the loop.
type ending struct {
	name string
	// prepare says what the source is and does; nil means nothing special.
	prepare func(t *testing.T, loop *communicator.Communicator, p *probe, o *communicator.Options)
	// end brings the end about, and runs the loop unless it closes it. nil: the loop just runs.
	end  func(t *testing.T, loop *communicator.Communicator, h *communicator.Handle)
	want error // the cause
}

func fails(*communicator.Handle) error { return errTest }

var endings = []ending{
	{
		name: "Remove(nil) in HandleRead",
		prepare: func(t *testing.T, _ *communicator.Communicator, p *probe, _ *communicator.Options) {
			p.file, p.read = signalled(t), remove
		},
	},
	{
		name: "Remove(err) in HandleRead",
		prepare: func(t *testing.T, _ *communicator.Communicator, p *probe, _ *communicator.Options) {
			p.file = signalled(t)
			p.read = func(h *communicator.Handle) error { h.Remove(errTest); return nil }
		},
		want: errTest,
	},
	{
		name: "Remove twice: the first cause counts",
		prepare: func(t *testing.T, _ *communicator.Communicator, p *probe, _ *communicator.Options) {
			p.file = signalled(t)
			p.read = func(h *communicator.Handle) error {
				h.Remove(errTest)
				h.Remove(errors.New("second"))
				return errors.New("third")
			}
		},
		want: errTest,
	},
	{
		name: "Remove(nil) and an error: the error isn't lost",
		prepare: func(t *testing.T, _ *communicator.Communicator, p *probe, _ *communicator.Options) {
			p.file = signalled(t)
			p.read = func(h *communicator.Handle) error { h.Remove(nil); return errTest }
		},
		want: errTest,
	},
	{
		name: "error of HandleRead",
		prepare: func(t *testing.T, _ *communicator.Communicator, p *probe, o *communicator.Options) {
			p.file, p.read = signalled(t), fails
			o.Want, o.Deadline = communicator.Read|communicator.Write, time.Now() // of which nothing is called
		},
		want: errTest,
	},
	{
		name: "error of HandleWrite",
		prepare: func(t *testing.T, _ *communicator.Communicator, p *probe, o *communicator.Options) {
			p.file, p.write = eventfd(t), fails
			o.Want, o.Deadline = communicator.Write, time.Now()
		},
		want: errTest,
	},
	{
		name: "error of HandleTimeout",
		prepare: func(_ *testing.T, _ *communicator.Communicator, p *probe, o *communicator.Options) {
			p.timeout, o.Deadline = fails, time.Now()
		},
		want: errTest,
	},
	{
		name: "Remove before Run",
		end: func(t *testing.T, loop *communicator.Communicator, h *communicator.Handle) {
			h.Remove(errTest)
			run(t, loop)
		},
		want: errTest,
	},
	{
		name: "Remove by a posted function",
		end: func(t *testing.T, loop *communicator.Communicator, h *communicator.Handle) {
			post(t, loop, func() { h.Remove(errTest) })
			run(t, loop)
		},
		want: errTest,
	},
	{
		name: "Remove by another's HandleClose",
		end: func(t *testing.T, loop *communicator.Communicator, h *communicator.Handle) {
			other := &probe{t: t, name: "other", closed: func(*communicator.Handle, error) { h.Remove(errTest) }}
			add(t, loop, other, communicator.Options{}).Remove(nil)
			run(t, loop)
		},
		want: errTest,
	},
	{
		name: "Stop(nil)",
		end: func(t *testing.T, loop *communicator.Communicator, _ *communicator.Handle) {
			post(t, loop, func() { loop.Stop(nil) })
			run(t, loop)
		},
		want: communicator.ErrClosed,
	},
	{
		name: "Stop(cause)",
		end: func(t *testing.T, loop *communicator.Communicator, _ *communicator.Handle) {
			post(t, loop, func() { loop.Stop(errTest) })
			if err := runError(t, loop); !errors.Is(err, errTest) {
				t.Errorf("Run answers %v", err)
			}
		},
		want: errTest,
	},
	{
		name: "context",
		end: func(t *testing.T, loop *communicator.Communicator, _ *communicator.Handle) {
			ctx, cancel := context.WithCancelCause(context.Background())
			post(t, loop, func() { cancel(errTest) })
			if err := loop.Run(ctx); !errors.Is(err, errTest) {
				t.Errorf("Run answers %v", err)
			}
		},
		want: errTest,
	},
	{
		name: "Close without Run",
		end: func(t *testing.T, loop *communicator.Communicator, _ *communicator.Handle) {
			for range 2 {
				if err := loop.Close(); err != nil {
					t.Errorf("Close answers %v", err)
				}
			}
		},
		want: communicator.ErrClosed,
	},
	{
		name: "Remove in a function that runs after Stop",
		end: func(t *testing.T, loop *communicator.Communicator, h *communicator.Handle) {
			post(t, loop, func() { h.Remove(errTest) })
			loop.Stop(nil)
			run(t, loop)
		},
		want: errTest,
	},
	{
		name: "Want on a closed descriptor",
		prepare: func(t *testing.T, _ *communicator.Communicator, p *probe, _ *communicator.Options) {
			p.file = eventfd(t)
		},
		end: func(t *testing.T, loop *communicator.Communicator, h *communicator.Handle) {
			post(t, loop, func() { closeUnder(t, h); h.Want(communicator.Read | communicator.Write) })
			run(t, loop)
		},
		want: unix.EBADF,
	},
	{
		name: "SetEnabled on a closed descriptor",
		prepare: func(t *testing.T, _ *communicator.Communicator, p *probe, o *communicator.Options) {
			p.file, o.Disabled = eventfd(t), true
		},
		end: func(t *testing.T, loop *communicator.Communicator, h *communicator.Handle) {
			post(t, loop, func() { closeUnder(t, h); h.SetEnabled(true) })
			run(t, loop)
		},
		want: unix.EBADF,
	},
	{
		name: "SetPriority on a closed descriptor",
		prepare: func(t *testing.T, _ *communicator.Communicator, p *probe, _ *communicator.Options) {
			p.file = eventfd(t)
		},
		end: func(t *testing.T, loop *communicator.Communicator, h *communicator.Handle) {
			post(t, loop, func() { closeUnder(t, h); h.SetPriority(-1 - h.Priority()) })
			run(t, loop)
		},
		want: unix.EBADF,
	},
	{
		name: "SetEnabled of a regular file",
		prepare: func(t *testing.T, _ *communicator.Communicator, p *probe, o *communicator.Options) {
			p.file, o.Disabled = regular(t), true
		},
		end: func(t *testing.T, loop *communicator.Communicator, h *communicator.Handle) {
			post(t, loop, func() { h.SetEnabled(true) })
			run(t, loop)
		},
		want: unix.EPERM,
	},
}

// closeUnder closes a descriptor under the loop's feet, where no source should.
func closeUnder(t *testing.T, h *communicator.Handle) {
	for _, i := range h.Loop().Sources() {
		if i.Name == h.Name() {
			if err := unix.Close(i.FD); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestClose: each way leads to Close and then HandleClose, exactly once, with the right cause.
func TestClose(t *testing.T) {
	for _, test := range endings {
		for _, priority := range []int{communicator.PriorityNormal, communicator.PriorityUrgent} {
			t.Run(fmt.Sprintf("%s/%d", test.name, priority), func(t *testing.T) {
				fdtest.Check(t)
				loop := newLoop(t, communicator.Config{})
				p := &probe{t: t, name: "source"}
				o := communicator.Options{Name: "source", Priority: priority}
				if test.prepare != nil {
					test.prepare(t, loop, p, &o)
				}
				h := add(t, loop, p, o)
				if test.end == nil {
					run(t, loop)
				} else {
					test.end(t, loop, h)
				}
				if p.closes != 1 || !p.shut {
					t.Errorf("HandleClose was called %d times, closed: %v", p.closes, p.shut)
				}
				if !errors.Is(p.cause, test.want) || (test.want == nil) != (p.cause == nil) {
					t.Errorf("cause %v, want %v", p.cause, test.want)
				}
				if h.Active() || h.Enabled() || h.Name() != "source" {
					t.Errorf("active %v, enabled %v, name %q", h.Active(), h.Enabled(), h.Name())
				}
				if got := loop.Stats(); got.Live != 0 || got.Closed == 0 {
					t.Errorf("live %d, closed %d", got.Live, got.Closed)
				}
			})
		}
	}
}

// TestCloseAtTheEndOfTheTurn: a removed source is closed when all other callbacks of the turn are over.
func TestCloseAtTheEndOfTheTurn(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	p := &probe{t: t, name: "p", file: signalled(t)}
	p.read = order.noter("read", func(h *communicator.Handle) error {
		h.Remove(nil)
		if p.shut || h.Active() {
			t.Errorf("after Remove: closed %v, active %v", p.shut, h.Active())
		}
		return nil
	})
	p.closed = func(*communicator.Handle, error) { order.note("closed") }
	add(t, loop, p, communicator.Options{})
	add(t, loop, &probe{t: t, file: signalled(t), read: order.noter("other", remove)}, communicator.Options{})
	run(t, loop)
	order.expect(t, "read", "other", "closed")
}

// TestAddWithinHandleClose: a source can replace itself, and what it adds keeps the loop alive.
func TestAddWithinHandleClose(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	lives := 0
	var live func()
	live = func() {
		p := &probe{t: t, name: "phoenix", file: signalled(t), read: remove}
		p.closed = func(*communicator.Handle, error) {
			if lives++; lives < 9 {
				live()
			}
		}
		add(t, loop, p, communicator.Options{})
	}
	live()
	run(t, loop)
	if lives != 9 {
		t.Errorf("%d lives", lives)
	}
}

// TestAddItselfWithinHandleClose: the same source may come back once it has been closed.
func TestAddItselfWithinHandleClose(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	s := &comeback{t: t, left: 3}
	add(t, loop, s, communicator.Options{Deadline: time.Now()})
	run(t, loop)
	if s.left != 0 {
		t.Errorf("%d lives left", s.left)
	}
}

type comeback struct {
	t    *testing.T
	left int
}

func (*comeback) FD() int                                    { return communicator.NoFD }
func (*comeback) HandleTimeout(h *communicator.Handle) error { return remove(h) }
func (s *comeback) HandleClose(h *communicator.Handle, _ error) {
	if s.left--; s.left > 0 {
		add(s.t, h.Loop(), s, communicator.Options{Deadline: time.Now()})
	}
}

// TestAddAtTheEnd: when the loop ends nothing can be added, neither by HandleClose nor by a function that was
// posted; what such a function adds is closed.
func TestAddAtTheEnd(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	late := &probe{t: t, name: "late", file: signalled(t)}
	p := &probe{t: t, name: "p", closed: func(h *communicator.Handle, _ error) {
		if _, err := loop.Add(&probe{t: t}, communicator.Options{}); !errors.Is(err, communicator.ErrClosed) {
			t.Errorf("Add in HandleClose answers %v", err)
		}
		if err := loop.Post(func() {}); !errors.Is(err, communicator.ErrClosed) {
			t.Errorf("Post in HandleClose answers %v", err)
		}
	}}
	add(t, loop, p, communicator.Options{})
	post(t, loop, func() {
		loop.Stop(errTest)
		post(t, loop, func() { add(t, loop, late, communicator.Options{}) })
	})
	if err := runError(t, loop); !errors.Is(err, errTest) {
		t.Errorf("Run answers %v", err)
	}
	if p.closes != 1 || late.closes != 1 || !errors.Is(late.cause, errTest) {
		t.Errorf("closes %d and %d, cause %v", p.closes, late.closes, late.cause)
	}
}

// TestRemoveAllInOneTurn: thousands end in one turn, in the order of their removal.
func TestRemoveAllInOneTurn(t *testing.T) {
	const sources = 5000
	loop := newLoop(t, communicator.Config{})
	var handles []*communicator.Handle
	next := sources - 1
	for i := range sources {
		p := &probe{t: t, closed: func(*communicator.Handle, error) {
			if i != next {
				t.Errorf("source %d was closed, want %d", i, next)
			}
			next--
		}}
		handles = append(handles, add(t, loop, p, communicator.Options{}))
	}
	post(t, loop, func() {
		for i := range handles {
			handles[sources-1-i].Remove(nil)
		}
	})
	run(t, loop)
	if next != -1 {
		t.Errorf("%d are left", next+1)
	}
}
