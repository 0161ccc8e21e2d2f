//go:build linux

package channel

import (
	"context"
	"errors"
	"iter"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Outbox takes values on the loop, which goroutines receive. It doesn't keep Run from returning, except while
// its Room is to be called and its Options don't say Background. When the loop is shut down, the outbox stays for
// what other sources still have to put, and then Room keeps nobody waiting. When the loop ends, or the outbox is
// closed, what waits can still be received.
type Outbox[T any] struct {
	queue      *queue[T]
	room       func() error
	bell       sys.Bell
	background bool // it never keeps Run from returning
	handle     *communicator.Handle
}

// NewOutbox adds an outbox to a loop.
func NewOutbox[T any](loop *communicator.Communicator, c Config) (*Outbox[T], error) {
	return newOutbox(loop, newQueue[T](c.Capacity), c)
}

func newOutbox[T any](loop *communicator.Communicator, q *queue[T], c Config) (*Outbox[T], error) {
	out := &Outbox[T]{queue: q, room: c.Room, background: c.Background}
	var err error
	if out.bell, err = sys.NewBell(); err != nil {
		return nil, err
	}
	o := c.options("outbox")
	o.Background = true
	if out.handle, err = loop.Add((*outboxSource[T])(out), o); err != nil {
		_ = out.bell.Close()
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.room = end{&out.bell, loop, func() { out.handle.Remove(nil) }}
	if q.noMore != nil {
		q.room.tell()
	}
	return out, nil
}

// Put lets a goroutine receive the value. It never blocks: while Capacity values wait it answers ErrFull, and
// Config.Room is called when it is worth another try. ErrClosed says that nobody will receive it. For use on
// the loop.
func (out *Outbox[T]) Put(v T) error {
	q := out.queue
	q.mu.Lock()
	woke := q.receivers.Len() > 0
	err := q.trySend(v)
	wait := err != nil && out.room != nil && errors.Is(err, ErrFull)
	if wait {
		q.wanted = true
	}
	q.mu.Unlock()
	if woke {
		out.handle.Loop().Yield()
	}
	if wait && !out.background {
		out.handle.SetBackground(false)
	}
	return err
}

// Receive returns the next value; it waits for one until ctx ends: context.Cause. ErrClosed says that the outbox
// has ended and all of it was received, ErrJoined that another loop receives. Of many goroutines each value goes
// to one.
func (out *Outbox[T]) Receive(ctx context.Context) (T, error) { return out.queue.receive(ctx) }

// All yields what Receive returns, until the outbox or ctx has ended.
func (out *Outbox[T]) All(ctx context.Context) iter.Seq[T] {
	return func(yield func(T) bool) {
		for {
			v, err := out.Receive(ctx)
			if err != nil || !yield(v) {
				return
			}
		}
	}
}

// CloseReceive says, from any goroutine, that nobody receives any more. It returns what waits, in its order; Put
// and Receive answer ErrClosed from now on, and the outbox leaves the loop. A loop that has joined still handles
// what it has at hand, 32 values at most, and these are not returned.
func (out *Outbox[T]) CloseReceive() []T { return out.queue.closeReceive() }

// Len is how many values wait.
func (out *Outbox[T]) Len() int { return out.queue.len() }

// Handle is the outbox' place in its loop.
func (out *Outbox[T]) Handle() *communicator.Handle { return out.handle }

// Close takes the outbox out of the loop, for use on the loop. What waits can still be received, then Receive
// answers ErrClosed.
func (out *Outbox[T]) Close() { out.end(nil) }

// end is Close with the cause that Receive gets.
func (out *Outbox[T]) end(cause error) {
	out.queue.refuse(cause)
	out.handle.Remove(nil)
}

// detach undoes newOutbox.
func (out *Outbox[T]) detach() {
	out.handle.Detach()
	out.queue.mu.Lock()
	defer out.queue.mu.Unlock()
	out.queue.room = end{}
	_ = out.bell.Close()
}

// outboxSource is an Outbox as the loop sees it.
type outboxSource[T any] Outbox[T]

func (s *outboxSource[T]) FD() int { return s.bell.FD() }

func (s *outboxSource[T]) HandleRead(h *communicator.Handle) error {
	if err := s.bell.Answer(); err != nil {
		return err
	}
	q := s.queue
	q.mu.Lock()
	s.bell.Quiet()
	ended := q.noMore != nil
	room := q.wanted && q.count <= q.capacity/2
	if room {
		q.wanted = false
	}
	q.mu.Unlock()
	switch {
	case ended:
		h.Remove(nil)
	case room:
		h.SetBackground(true)
		return s.room()
	}
	return nil
}

// HandleShutdown leaves the outbox to what the loop still has to finish; alone it doesn't keep it running.
func (s *outboxSource[T]) HandleShutdown(h *communicator.Handle) {
	s.background = true
	h.SetBackground(true)
}

func (s *outboxSource[T]) HandleClose(h *communicator.Handle, cause error) {
	s.queue.refuse(cause)
	s.queue.mu.Lock()
	err := s.bell.Close()
	s.queue.mu.Unlock()
	if cause != nil && !errors.Is(cause, communicator.ErrClosed) {
		h.Loop().Logger().Warn("an outbox has failed", "source", h, "cause", cause)
	}
	if err != nil {
		h.Loop().Logger().Warn("closing a source failed", "source", h, "error", err)
	}
}
