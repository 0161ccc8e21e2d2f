//go:build linux

package sys

import "errors"

// Bell is an eventfd by which other goroutines tell a loop that something waits for it. It is rung once for
// any number of things: until the loop has said that it has seen them all.
//
// Ring, Quiet and Close are called with the lock that guards what the bell announces, so that nothing can
// come unannounced, or after the descriptor was closed.
type Bell struct {
	fd   int
	rung bool // the loop knows, or will when it looks at the descriptor
	open bool

	answered bool // the descriptor was read since the last Quiet; the loop's own
}

// NewBell makes a bell. It holds a descriptor until Close.
func NewBell() (Bell, error) {
	fd, err := EventFD()
	if err != nil {
		return Bell{fd: NoFD}, err
	}
	return Bell{fd: fd, open: true}, nil
}

// FD is the descriptor that is readable when the bell was rung and not answered yet.
func (b *Bell) FD() int { return b.fd }

// Ring makes the descriptor readable, unless the loop knows already.
func (b *Bell) Ring() {
	if b.rung || !b.open {
		return
	}
	b.rung = true
	_ = Signal(b.fd) // fails only at a count that nobody reaches
}

// Answer makes the descriptor unreadable, if it has not since the last Quiet. It needs no lock, only the loop's
// goroutine.
func (b *Bell) Answer() error {
	if b.answered {
		return nil
	}
	var count [8]byte
	if _, err := Read(b.fd, count[:]); err != nil && !errors.Is(err, ErrWouldBlock) {
		return err
	}
	b.answered = true
	return nil
}

// Quiet says that nothing waits any more: the next Ring counts again. It too is for the loop's goroutine.
func (b *Bell) Quiet() { b.rung, b.answered = false, false }

// Close closes the descriptor. Ring does nothing from then on; a second Close neither.
func (b *Bell) Close() error {
	if !b.open {
		return nil
	}
	b.open = false
	return Close(b.fd)
}
