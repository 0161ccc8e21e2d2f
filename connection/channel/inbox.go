//go:build linux

package channel

import (
	"context"
	"errors"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Inbox hands what goroutines send to a function on the loop. It keeps Run from returning until it is closed,
// unless its Options say Background.
//
// While it is disabled values wait, and senders once Capacity are there. When the loop is shut down nothing more
// is accepted, and the inbox ends when what waits has been handled. A disabled one in which values wait is waited
// for, until it is enabled, closed, or the limit of the shutdown has passed; what it then holds is left to Drain.
type Inbox[T any] struct {
	queue  *queue[T]
	f      func(T) error
	bell   sys.Bell
	handle *communicator.Handle
	failed func(cause error) // for a pair; nil if there is none
}

// NewInbox adds an inbox to a loop. f is called on the loop's goroutine for each value, many times in a turn if
// nothing more important is ready; it may close the inbox. The value is f's. An error that f returns removes
// the inbox with that cause, which is logged.
func NewInbox[T any](loop *communicator.Communicator, f func(T) error, c Config) (*Inbox[T], error) {
	return newInbox(loop, newQueue[T](c.Capacity), f, c)
}

func newInbox[T any](loop *communicator.Communicator, q *queue[T], f func(T) error, c Config) (*Inbox[T], error) {
	if f == nil {
		panic("channel: nil function")
	}
	in := &Inbox[T]{queue: q, f: f}
	var err error
	if in.bell, err = sys.NewBell(); err != nil {
		return nil, err
	}
	if in.handle, err = loop.Add((*inboxSource[T])(in), c.options("inbox")); err != nil {
		_ = in.bell.Close()
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.values = end{&in.bell, loop, in.leaveIfSpent}
	if q.count > 0 {
		q.values.ring()
	}
	if q.noMore != nil {
		q.values.tell()
	}
	return in, nil
}

// Send lets the value be handled on the loop; while Capacity values wait it blocks, until ctx ends: then it
// returns context.Cause, and the value was not accepted. ErrClosed says that the inbox takes no more. It may be
// called from any goroutine; on the loop's, where it would wait for itself, it never blocks and answers
// communicator.ErrOnLoop when Capacity values wait.
func (in *Inbox[T]) Send(ctx context.Context, v T) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := in.TrySend(v)
	switch {
	case !errors.Is(err, ErrFull):
		return err
	case in.handle.Loop().OnLoop():
		return communicator.ErrOnLoop
	}
	return in.queue.send(ctx, v)
}

// TrySend is a Send that never blocks: ErrFull.
func (in *Inbox[T]) TrySend(v T) error {
	in.queue.mu.Lock()
	defer in.queue.mu.Unlock()
	return in.queue.trySend(v)
}

// CloseSend ends the inbox from any goroutine: nothing more is accepted, a Send that blocks returns ErrClosed,
// and the inbox leaves the loop when all that was accepted has been handled; if nothing waits, at once, even
// when it is disabled. It leaves a function to the loop for that, as Post does.
func (in *Inbox[T]) CloseSend() { in.queue.refuse(nil) }

// Len is how many values wait. It may count up to 32 that have just been handled.
func (in *Inbox[T]) Len() int { return in.queue.len() }

// Drain returns, in their order, the values that were accepted and will not be handled because the inbox left the
// loop before; only the first call does. Before that it returns nil.
func (in *Inbox[T]) Drain() []T { return in.queue.rest() }

// Handle is the inbox' place in its loop.
func (in *Inbox[T]) Handle() *communicator.Handle { return in.handle }

// Close takes the inbox out of the loop, for use on the loop: from now on nothing is accepted and nothing is
// handled. What waits is left to Drain, from the end of the turn on.
func (in *Inbox[T]) Close() {
	in.queue.refuse(nil)
	in.handle.Remove(nil)
}

// leaveIfSpent ends an inbox that has handled all and gets nothing more.
func (in *Inbox[T]) leaveIfSpent() {
	if in.queue.spent() {
		in.handle.Remove(nil)
	}
}

// inboxSource is an Inbox as the loop sees it.
type inboxSource[T any] Inbox[T]

func (s *inboxSource[T]) FD() int { return s.bell.FD() }

func (s *inboxSource[T]) HandleRead(h *communicator.Handle) error {
	if err := s.bell.Answer(); err != nil {
		return err
	}
	for first := true; ; first = false {
		some, more := s.queue.peek()
		if !more {
			h.Remove(nil)
		}
		if len(some) == 0 {
			return nil
		}
		done, err := s.handleSome(h, some, first)
		if s.queue.handled(done) {
			h.Loop().Yield()
		}
		if err != nil {
			return err
		}
		if done < len(some) {
			h.SetDeadline(h.Loop().Now())
			return nil
		}
	}
}

// HandleTimeout goes on with what HandleRead has left. A mark would wait for the next turn, and what is less
// important would come first.
func (s *inboxSource[T]) HandleTimeout(h *communicator.Handle) error { return s.HandleRead(h) }

// handleSome hands values over until something more important waits, or the source is no longer to be called.
func (s *inboxSource[T]) handleSome(h *communicator.Handle, some []T, first bool) (done int, err error) {
	for i, v := range some {
		if !first && !h.Continue() {
			return i, nil
		}
		first = false
		if err := s.f(v); err != nil {
			return i + 1, err
		}
	}
	return len(some), nil
}

func (s *inboxSource[T]) HandleShutdown(*communicator.Handle) {
	s.queue.refuse(nil)
	(*Inbox[T])(s).leaveIfSpent() // one that is disabled or over its rate isn't called to find out
}

func (s *inboxSource[T]) HandleClose(h *communicator.Handle, cause error) {
	s.queue.abandon(cause)
	s.queue.mu.Lock()
	err := s.bell.Close()
	s.queue.mu.Unlock()
	if cause != nil && !errors.Is(cause, communicator.ErrClosed) {
		h.Loop().Logger().Warn("an inbox has failed", "source", h, "cause", cause, "unhandled", s.queue.len())
	}
	if err != nil {
		h.Loop().Logger().Warn("closing a source failed", "source", h, "error", err)
	}
	if s.failed != nil && cause != nil {
		s.failed(cause)
	}
}
