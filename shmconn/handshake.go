//go:build linux

package shmconn

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// handshake is one handshake. As a source it is the socket, and a time limit.
type handshake struct {
	socket   *connection.Socket
	config   Config
	accepted bool  // the peer speaks first
	own      *side // nil before this side has spoken
	handle   *communicator.Handle
	done     func(*Transport, error) // nil when it was called, or nobody wants to hear of it
	failure  *net.OpError            // without what it was, made while the socket has its address
}

// begin begins a handshake on a connected socket, which it owns from then on. Later it calls done on the loop's
// goroutine, once; not after cancel, nor after a shutdown of what was accepted.
func begin(loop connection.Loop, h *handshake, o communicator.Options) (cancel func(), err error) {
	op := "dial"
	if h.accepted {
		op = "accept"
	} else if h.own, err = newSide(); err == nil {
		if err = h.own.makeArea(h.config.Capacity); err == nil {
			err = h.greet()
		}
	}
	h.failure = &net.OpError{Op: op, Net: network, Addr: addr(h.socket.RemoteAddr())}
	if h.accepted {
		h.failure.Addr = addr(h.socket.LocalAddr()) // the peer has none
	}
	if err == nil {
		h.handle, err = loop.Add(h, o)
	}
	if err != nil {
		h.failure.Err = errors.Join(err, h.Close())
		return nil, h.failure
	}
	return func() {
		h.done = nil
		h.handle.Remove(nil)
	}, nil
}

// greet says what this side brings.
func (h *handshake) greet() error {
	p, fds := h.own.hello(h.config)
	return h.send(p, fds)
}

func (h *handshake) send(p wire.Packet, fds []int) error {
	_, err := sys.SendMsg(h.socket.FD(), p.Append(nil), nil, fds)
	return err
}

func (h *handshake) FD() int { return h.socket.FD() }

func (h *handshake) String() string { return "handshake of a ring" }

func (h *handshake) HandleRead(handle *communicator.Handle) error {
	t, err := h.answer(handle)
	if err == connection.ErrWouldBlock { //nolint:errorlint // the sentinel itself
		return nil
	}
	if err != nil {
		h.refuse(err)
		return err
	}
	if done := h.done; done != nil {
		h.done = nil
		done(t, nil)
	}
	return nil
}

// answer reads what the peer says of itself, and makes the connection.
func (h *handshake) answer(handle *communicator.Handle) (*Transport, error) {
	p, fds, err := receive(h.socket.FD())
	if err != nil {
		sys.Discard(fds)
		return nil, err
	}
	if p.Kind != wire.Hello {
		sys.Discard(fds)
		if p.Kind == wire.Refusal {
			return nil, refusal(p)
		}
		return nil, fmt.Errorf("%w: a packet of kind %d is no greeting", ErrForeign, p.Kind)
	}
	if h.own == nil {
		if h.own, err = newSide(); err != nil {
			sys.Discard(fds)
			return nil, err
		}
	}
	peer, err := peerSide(p, fds, h.own, h.config)
	if err != nil {
		return nil, err
	}
	if h.accepted {
		if err = h.own.makeArea(fitting(h.config, p)); err == nil {
			err = h.greet()
		}
	}
	if err == nil {
		err = h.own.forgetMemory()
	}
	if err != nil {
		return nil, errors.Join(err, peer.close())
	}
	loop := handle.Loop()
	handle.Detach()
	t, err := newTransport(loop, h.socket, h.own, peer, h.config, handle.Priority())
	h.own = nil // it belongs to the transport, also after an error
	if err != nil {
		h.tell(err)
		return nil, nil
	}
	return t, nil
}

// receive reads a packet, with the descriptors that come along.
func receive(fd int) (p wire.Packet, fds []int, err error) {
	var b [wire.Size + 1]byte
	var room [2]int
	n, nfds, _, err := sys.RecvMsg(fd, b[:], nil, room[:])
	if err == nil && n == 0 && nfds == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		p, err = wire.Parse(b[:n])
	}
	if other := (*wire.VersionError)(nil); errors.As(err, &other) {
		err = &VersionError{other.Version}
	}
	return p, room[:nfds], err
}

// refusal is what the peer has said against the connection.
func refusal(p wire.Packet) error {
	reason := p.Reason.String()
	if p.Reason == wire.BadCapacity && p.Third > 0 {
		reason += fmt.Sprintf(": %d bytes at most", p.Third)
	}
	return &RefusedError{reason}
}

// refuse tells the peer why there will be no connection, if it can hear it.
func (h *handshake) refuse(err error) {
	reason := wire.BadHello
	var version *VersionError
	var refused *RefusedError
	switch {
	case errors.As(err, &refused), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return // it has refused itself
	case errors.As(err, &version):
		reason = wire.BadVersion
	case errors.Is(err, ErrMemory):
		reason = wire.BadMemory
	case errors.Is(err, ErrCapacity):
		reason = wire.BadCapacity
	case sys.Exhausted(err), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.ENOSPC):
		reason = wire.NoResources
	}
	sendRefusal(h.socket, wire.Packet{Reason: reason, Third: uint64(h.config.MaxCapacity)})
}

// sendRefusal tells a peer why, if it can hear it: it learns of the end in any case.
func sendRefusal(s *connection.Socket, p wire.Packet) {
	p.Kind = wire.Refusal
	_, _ = sys.SendMsg(s.FD(), p.Append(nil), nil, nil)
}

func (h *handshake) HandleTimeout(*communicator.Handle) error {
	if h.accepted {
		return ErrHandshakeTimeout
	}
	return fmt.Errorf("%w: %w", connection.ErrDialTimeout, ErrHandshakeTimeout)
}

// HandleShutdown gives up what was accepted: nothing is lost with it. What is dialled is left to who dials.
func (h *handshake) HandleShutdown(handle *communicator.Handle) {
	if h.accepted {
		handle.Remove(nil)
	}
}

// Close gives up.
func (h *handshake) Close() error {
	own := h.own
	h.own = nil
	return errors.Join(own.close(), closeSocket(h.socket))
}

// closeSocket closes a socket, also for processes that have inherited it, and lets nothing that it has received block.
func closeSocket(s *connection.Socket) error {
	sys.DiscardUnread(s.FD())
	_ = s.CloseWrite()
	return s.Close()
}

func (h *handshake) HandleClose(_ *communicator.Handle, cause error) {
	if cause != nil {
		h.tell(cause)
	}
}

func (h *handshake) tell(err error) {
	if done := h.done; done != nil {
		h.done = nil
		h.failure.Err = err
		done(nil, h.failure)
	}
}

// serve returns a Serve that makes the handshake on each socket that was accepted, and then lets serve have the
// connection.
func (config ListenConfig) serve(serve connection.Serve) connection.Serve {
	failures := &logger.Limited{}
	return func(loop connection.Loop, t connection.Transport) error {
		socket, ok := t.(*connection.Socket)
		if !ok {
			return errors.Join(ErrNoRing, t.Close())
		}
		h := &handshake{socket: socket, config: config.Ring, accepted: true}
		h.done = func(t *Transport, err error) {
			if err == nil {
				err = serve(loop, t)
			}
			if err != nil && !errors.Is(err, communicator.ErrClosed) {
				failures.Log(loop.Logger(), slog.LevelInfo, "a connection was not served", "error", err)
			}
		}
		_, err := begin(loop, h, communicator.Options{
			Deadline: time.Now().Add(config.Timeout), Want: communicator.Read, Priority: config.Listener.Priority,
		})
		return err
	}
}
