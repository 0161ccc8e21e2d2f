//go:build linux

package communicator_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestAddWhenTheLoopEndsByItself: the last source has gone, so the loop is about to end; just then a
// function comes from another goroutine. Either it is refused, or the source that it adds lives, and
// keeps the loop.
func TestAddWhenTheLoopEndsByItself(t *testing.T) {
	t.Run("Post", func(t *testing.T) {
		addAtTheEnd(t, func(loop *communicator.Communicator, f func() error) error {
			return loop.Post(func() { _ = f() })
		})
	})
	t.Run("Do", func(t *testing.T) {
		addAtTheEnd(t, func(loop *communicator.Communicator, f func() error) error {
			return loop.Do(context.Background(), f)
		})
	})
}

func addAtTheEnd(t *testing.T, submit func(loop *communicator.Communicator, f func() error) error) {
	const rounds = 2000
	accepted := 0
	file := signalled(t)
	for round := range rounds {
		loop := newLoop(t, communicator.Config{})
		var gone atomic.Bool
		last := &probe{t: t, name: "last", timeout: remove}
		last.closed = func(*communicator.Handle, error) {
			gone.Store(true)
			spin(time.Duration(round) * 5) // the function's moment moves through the end of the loop
		}
		add(t, loop, last, communicator.Options{}).Remove(nil)
		late := &once{file: file}
		answer := make(chan error, 1)
		go func() {
			for !gone.Load() {
				runtime.Gosched()
			}
			answer <- submit(loop, func() error {
				_, err := loop.Add(late, communicator.Options{})
				if err != nil {
					t.Errorf("Add in a function that was accepted: %v", err)
				}
				return err
			})
		}()
		run(t, loop)
		err := await(t, answer, "the answer")
		if (err == nil) != (late.reads == 1) || err != nil && !errors.Is(err, communicator.ErrClosed) {
			t.Fatalf("round %d: answered %v, the source was called %d times", round, err, late.reads)
		}
		if err == nil {
			accepted++
		}
	}
	t.Logf("%d of %d functions were accepted", accepted, rounds)
}

// once is called once, and leaves. It doesn't close its file, so that this serves many.
type once struct {
	file  *file
	reads int
}

func (o *once) FD() int { return o.file.fd }

func (o *once) HandleRead(h *communicator.Handle) error {
	o.reads++
	return remove(h)
}

// TestCauseWhenTheLoopEnds: a source learns both that the loop has ended, and why; Run only why.
func TestCauseWhenTheLoopEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(loop *communicator.Communicator, cancel context.CancelCauseFunc)
		want error // nil: nothing special
	}{
		{"Stop", func(loop *communicator.Communicator, _ context.CancelCauseFunc) { loop.Stop(errTest) }, errTest},
		{"Stop(nil)", func(loop *communicator.Communicator, _ context.CancelCauseFunc) { loop.Stop(nil) }, nil},
		{"context", func(_ *communicator.Communicator, cancel context.CancelCauseFunc) { cancel(errTest) }, errTest},
		{"context without a cause", func(_ *communicator.Communicator, cancel context.CancelCauseFunc) { cancel(nil) }, context.Canceled},
	} {
		for _, before := range []bool{true, false} {
			loop := newLoop(t, communicator.Config{})
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			end := func() { tt.end(loop, cancel) }
			p := &probe{t: t, name: tt.name, file: eventfd(t)}
			add(t, loop, p, communicator.Options{})
			removed := &probe{t: t, name: "removed", file: eventfd(t)}
			h := add(t, loop, removed, communicator.Options{})
			h.Remove(errClosing)
			if before {
				end()
			} else {
				post(t, loop, end)
			}
			if err := loop.Run(ctx); !errors.Is(err, tt.want) || errors.Is(err, communicator.ErrClosed) {
				t.Errorf("%s: Run answers %v, want %v", tt.name, err, tt.want)
			}
			for _, want := range []error{communicator.ErrClosed, net.ErrClosed, tt.want} {
				if want != nil && !errors.Is(p.cause, want) {
					t.Errorf("%s: the cause is %v, want %v", tt.name, p.cause, want)
				}
			}
			if tt.want == nil && errors.Is(p.cause, errTest) {
				t.Errorf("%s: the cause is %v", tt.name, p.cause)
			}
			if !errors.Is(removed.cause, errClosing) || errors.Is(removed.cause, communicator.ErrClosed) {
				t.Errorf("%s: the cause of a source that was removed before is %v", tt.name, removed.cause)
			}
		}
	}
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, name: "Close", file: eventfd(t)}
	add(t, loop, p, communicator.Options{})
	if err := loop.Close(); err != nil || !errors.Is(p.cause, communicator.ErrClosed) {
		t.Errorf("Close: %v, the cause is %v", err, p.cause)
	}
}

var errClosing = errors.New("another error of the test")

// TestNameInHandleClose: a source that calls itself after what it has open is called the same when
// that is closed.
func TestNameInHandleClose(t *testing.T) {
	const before = "connected"
	loop := newLoop(t, communicator.Config{})
	s := &forgetful{&probe{t: t, file: signalled(t), read: remove}}
	got := ""
	s.closed = func(h *communicator.Handle, _ error) { got = h.Name() }
	h := add(t, loop, s, communicator.Options{})
	if h.Name() != before {
		t.Errorf("it is called %q, want %q", h.Name(), before)
	}
	run(t, loop)
	if got != before || s.String() == before {
		t.Errorf("HandleClose: it is called %q, want %q", got, before)
	}
}

// forgetful is a source that names itself after what it has open.
type forgetful struct{ *probe }

func (f *forgetful) String() string {
	if f.shut {
		return "closed"
	}
	return "connected"
}
