//go:build linux

package shmconn

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// fail notes what has ended the connection, and lets it come to that.
func (t *Transport) fail(err error) error {
	if t.err == nil {
		t.err = err
		t.complain()
	}
	return t.err
}

// complain tells the peer what it has done to end the connection, if it has.
func (t *Transport) complain() {
	var reason wire.Reason
	switch {
	case errors.Is(t.err, errWantsStream):
		reason = wire.WantsStream
	case errors.Is(t.err, errWantsRecords):
		reason = wire.WantsRecords
	case errors.Is(t.err, ErrMemory):
		reason = wire.BadMemory
	case errors.Is(t.err, ErrCorrupt), errors.Is(t.err, ErrTooLong):
		reason = wire.BadRing
	default:
		return
	}
	sendRefusal(t.socket, wire.Packet{Reason: reason})
}

func (t *Transport) wrap(op string, err error) error {
	if err == nil || err == connection.ErrWouldBlock || err == io.EOF { //nolint:errorlint // the sentinels themselves, on the way of every read
		return err
	}
	failure := &net.OpError{Op: op, Net: network, Addr: t.RemoteAddr(), Err: err}
	if failure.Addr == Addr("") { // the peer has none: it has dialled
		failure.Addr = t.LocalAddr()
	}
	return failure
}

// state is what there is to say when nothing is left to read.
func (t *Transport) state() error {
	if t.err != nil {
		return t.err
	}
	how, err := t.in.Ended()
	switch {
	case err != nil:
		return t.fail(err)
	case how == ring.EndOrderly:
		t.over = true
		return io.EOF
	case how == ring.EndReset:
		t.listen() // it may have said why, and has before it ended
		return t.fail(ErrUnread)
	case t.over:
		return t.fail(fmt.Errorf("%w: there is more after its end", ErrCorrupt))
	case t.gone && !t.in.More():
		return t.fail(ErrPeerDied)
	}
	return connection.ErrWouldBlock
}

// CloseWrite ends the writing side: the peer reads the end of the file.
func (t *Transport) CloseWrite() error {
	if !t.ended && !t.closed {
		t.ended = true
		t.wake(t.out.End(ring.EndOrderly))
	}
	return nil
}

// Close closes the connection. What was written stays in the ring for the peer to read. If something is left
// unread here, the peer gets ErrUnread when it has read that.
func (t *Transport) Close() error {
	if t.closed {
		return nil
	}
	if how, err := t.in.Ended(); t.left() || err != nil || how == ring.EndReset {
		t.ended = true
		t.out.End(ring.EndReset)
	} else {
		_ = t.CloseWrite()
	}
	return t.release()
}

// release gives back what the connection holds. From then on it has no descriptor.
func (t *Transport) release() error {
	t.closed = true
	if t.notice != nil {
		t.notice.Detach()
		t.notice = nil
	}
	t.rest = nil
	err := errors.Join(closeSocket(t.socket), t.large.close(t.pinned))
	for _, s := range []*side{t.own, t.peer} {
		err = errors.Join(err, s.closeBell())
	}
	if !t.pinned {
		err = errors.Join(err, t.unmap())
	}
	return t.wrap("close", err)
}

func (t *Transport) unmap() error { return errors.Join(t.own.unmap(), t.peer.unmap()) }
