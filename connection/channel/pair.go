//go:build linux

package channel

import (
	"errors"
	"sync/atomic"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// ErrJoined is returned by Join for a pair that another loop has joined, and by Receive of such a pair.
var ErrJoined = errors.New("channel: the pair is joined already")

// Pair is an inbox and an outbox of one loop. The goroutine at the other end calls Send and CloseSend of the
// inbox, and Receive, All and CloseReceive of the outbox.
type Pair[In, Out any] struct {
	Inbox  *Inbox[In]
	Outbox *Outbox[Out]

	joined atomic.Bool
}

// NewPair adds an inbox and an outbox to a loop; f is as for NewInbox. When the inbox fails, the outbox ends with
// the same cause.
func NewPair[In, Out any](loop *communicator.Communicator, f func(In) error, c Config) (*Pair[In, Out], error) {
	return newPair(loop, newQueue[In](c.Capacity), newQueue[Out](c.Capacity), f, c)
}

// Join lets another loop be the other end of a pair: f is called there for what is put here, and what is put
// there arrives here. It is called on the other loop's goroutine, once for a pair; from then on Receive answers
// ErrJoined. Neither end waits for the other: both Put, and call Room. When one end has gone the other
// handles what has arrived, and leaves its loop. Capacity is that of the pair.
func Join[In, Out any](p *Pair[In, Out], loop *communicator.Communicator, f func(Out) error, c Config) (*Pair[Out, In], error) {
	if !p.joined.CompareAndSwap(false, true) {
		return nil, ErrJoined
	}
	other, err := newPair(loop, p.Outbox.queue, p.Inbox.queue, f, c)
	if err != nil {
		p.joined.Store(false)
		return nil, err
	}
	other.joined.Store(true)
	return other, nil
}

func newPair[In, Out any](loop *communicator.Communicator, in *queue[In], out *queue[Out], f func(In) error, c Config) (*Pair[In, Out], error) {
	p := &Pair[In, Out]{}
	var err error
	if p.Outbox, err = newOutbox(loop, out, c); err != nil {
		return nil, err
	}
	if p.Inbox, err = newInbox(loop, in, f, c); err != nil {
		p.Outbox.detach()
		return nil, err
	}
	p.Inbox.failed = p.Outbox.end
	return p, nil
}

// Put is Put of the outbox.
func (p *Pair[In, Out]) Put(v Out) error { return p.Outbox.Put(v) }

// Close closes both.
func (p *Pair[In, Out]) Close() {
	p.Inbox.Close()
	p.Outbox.Close()
}
