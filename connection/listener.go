//go:build linux

package connection

import (
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

const (
	// DefaultBatch is how many connections a listener accepts in one callback.
	DefaultBatch = 64
	// AcceptPause is how long a listener rests when the process has no descriptor, or the machine
	// no memory, for another connection.
	AcceptPause = 100 * time.Millisecond
)

// ListenConfig says how a Listener behaves. The zero value is right for most.
type ListenConfig struct {
	// Name is for people. Empty: "listener", the network and the address.
	Name string
	// Priority in the loop; smaller is served first.
	Priority int
	// Batch is how many connections are accepted in one callback. Zero: DefaultBatch.
	Batch int
	// MaxConnections is how many of the accepted connections may be open at once. At the limit the
	// listener stops accepting: what comes waits in the kernel's backlog, and when that is full at the
	// peer. It goes on when one is closed. A connection counts until its socket is closed, also one that
	// lingers, that is secured by TLS, or that was given to another loop. Zero: no limit but the process's
	// descriptors.
	MaxConnections int
	// Closed is called, once, when the listener is closed; cause as for CloseHandler. Nil: a
	// failure is logged.
	Closed func(l *Listener, cause error)
}

// Listener accepts connections in a loop. It belongs to the loop's goroutine.
//
// When descriptors run out (EMFILE, ENFILE) the listener gives up one that it holds in reserve, to
// accept one waiting connection and close it, so that its peer learns at once; then it rests for
// AcceptPause. It never spins, goes on by itself, and logs the shortage once. With
// ListenConfig.MaxConnections it needn't come to that.
type Listener struct {
	handle   *communicator.Handle
	acceptor Acceptor
	serve    Serve
	config   ListenConfig
	reserve  int
	accepted uint64
	refused  uint64
	waits    uint64
	failures logger.Limited
	short    bool // of descriptors or memory, and it has been logged

	open atomic.Int64 // connections; where they are closed is their business
	full atomic.Bool  // MaxConnections are open: who closes one has to wake the listener
}

// NewListener lets serve have each connection that the acceptor, which it owns from then on, takes.
// Also when it returns an error the acceptor is closed.
func NewListener(loop Loop, a Acceptor, serve Serve, config ListenConfig) (*Listener, error) {
	if serve == nil {
		panic("connection: nil Serve")
	}
	setDefault(&config.Batch, DefaultBatch)
	l := &Listener{acceptor: a, serve: serve, config: config, reserve: sys.NoFD}
	var err error
	if c, ok := a.(counter); ok {
		c.countFor(l)
	} else if config.MaxConnections > 0 {
		err = ErrNotCounted
	}
	if err == nil {
		l.reserve, err = sys.OpenReserve()
	}
	if err == nil {
		l.handle, err = loop.Add((*listenerSource)(l), communicator.Options{Name: config.Name, Priority: config.Priority})
	}
	if err != nil {
		return nil, errors.Join(err, (*listenerSource)(l).Close())
	}
	return l, nil
}

// ListenOn accepts the connections of a listener made by package net, or of anything else that is a
// syscall.Conn with a listening stream socket. It owns listener from then on.
func ListenOn(loop Loop, listener net.Listener, serve Serve, config ListenConfig) (*Listener, error) {
	fd, err := dup(listener)
	var a *SocketAcceptor
	if err == nil {
		a, err = newGivenAcceptor(fd)
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return NewListener(loop, &netAcceptor{a, listener}, serve, config)
}

// ListenFD accepts the connections of a listening stream socket that somebody else has made, such as a
// service manager: see package activation. It owns the descriptor from then on, also when it returns an
// error, and makes it non-blocking and close-on-exec. A Unix socket's file stays when the listener is
// closed: it belongs to who has made it. The error is a *net.OpError: of ENOTSOCK, of EPROTOTYPE for a
// socket that is no stream, of EINVAL for one that doesn't listen.
func ListenFD(loop Loop, fd int, serve Serve, config ListenConfig) (*Listener, error) {
	a, err := newGivenAcceptor(fd)
	if err != nil {
		return nil, err
	}
	return NewListener(loop, a, serve, config)
}

// newGivenAcceptor makes an Acceptor of a socket that somebody else has made.
func newGivenAcceptor(fd int) (*SocketAcceptor, error) {
	err := sys.CheckKind(fd, sys.Stream)
	if err == nil {
		err = sys.CheckListening(fd)
	}
	if err == nil {
		err = sys.CloseOnExec(fd)
	}
	if err == nil {
		err = sys.NoLinger(fd) // the connections would have it, too
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "fd", Err: errors.Join(err, sys.Close(fd))}
	}
	return NewSocketAcceptor(fd)
}

// Addr is the address on which connections are accepted; nil if the acceptor has none.
func (l *Listener) Addr() net.Addr {
	if a, ok := l.acceptor.(interface{ Addr() net.Addr }); ok {
		return a.Addr()
	}
	return nil
}

// Handle is the listener's place in its loop.
func (l *Listener) Handle() *communicator.Handle { return l.handle }

// Accepted is how many connections were taken.
func (l *Listener) Accepted() uint64 { return l.accepted }

// Refused is how many connections were closed at once because descriptors had run out.
func (l *Listener) Refused() uint64 { return l.refused }

// Open is how many of the accepted connections are open. Of an Acceptor that is no SocketAcceptor, and
// doesn't embed one, it is 0.
func (l *Listener) Open() int { return int(l.open.Load()) }

// Waits is how many times MaxConnections has stopped the accepting.
func (l *Listener) Waits() uint64 { return l.waits }

// Close stops accepting, at once; the descriptor is closed at the end of the turn. Connections that
// were accepted live on.
func (l *Listener) Close() { l.handle.Remove(nil) }

// listenerSource is a Listener as the loop sees it.
type listenerSource Listener

func (src *listenerSource) FD() int { return src.acceptor.FD() }

func (src *listenerSource) String() string {
	if addr := (*Listener)(src).Addr(); addr != nil {
		return "listener " + addr.Network() + " " + addr.String()
	}
	return "listener"
}

func (src *listenerSource) Close() error {
	var err error
	if src.reserve != sys.NoFD {
		err = sys.Close(src.reserve)
	}
	if c, ok := src.acceptor.(interface{ Close() error }); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

func (src *listenerSource) HandleClose(h *communicator.Handle, cause error) {
	if src.config.Closed != nil {
		src.config.Closed((*Listener)(src), cause)
	} else {
		logFailure(h, slog.LevelWarn, "a listener failed", cause)
	}
}

// HandleTimeout ends a rest.
func (src *listenerSource) HandleTimeout(h *communicator.Handle) error {
	h.Want(communicator.Read)
	return nil
}

func (src *listenerSource) HandleRead(h *communicator.Handle) error {
	l := (*Listener)(src)
	for range l.config.Batch {
		if l.isFull() {
			return nil
		}
		t, err := l.acceptor.Accept()
		switch {
		case err == nil:
			l.accepted++
			l.short = false
			if err := l.serve(h.Loop(), t); err != nil {
				l.failures.Log(h.Loop().Logger(), slog.LevelWarn, "a connection was not served", "listener", h.Name(), "error", err)
			}
			if !h.Enabled() {
				return nil
			}
		case errors.Is(err, ErrWouldBlock):
			return nil
		case gaveUp(err):
		case sys.Exhausted(err), outOfMemory(err):
			return l.rest(err)
		default:
			return err
		}
	}
	return nil
}

// gaveUp tells whether the peer of a waiting connection is gone already; accept(2) names these.
func gaveUp(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM, syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EHOSTDOWN,
		syscall.ENONET, syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH, syscall.ETIMEDOUT:
		return true
	}
	return false
}

func outOfMemory(err error) bool {
	return errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// rest stops accepting for a while.
func (l *Listener) rest(cause error) error {
	if l.reserve != sys.NoFD && sys.Exhausted(cause) {
		_ = sys.Close(l.reserve)
		l.reserve = sys.NoFD
		if t, err := l.acceptor.Accept(); err == nil {
			l.refused++
			_ = t.Close()
		}
	}
	if l.reserve == sys.NoFD {
		if fd, err := sys.OpenReserve(); err == nil {
			l.reserve = fd
		}
	}
	if !l.short {
		l.short = true
		l.handle.Loop().Logger().Warn("accepting rests", "listener", l.handle.Name(), "pause", AcceptPause, "error", cause)
	}
	l.handle.Want(communicator.Nothing)
	l.handle.SetDeadline(time.Now().Add(AcceptPause))
	return nil
}

// isFull tells whether no more connections may be accepted, and then stops the accepting.
func (l *Listener) isFull() bool {
	limit := int64(l.config.MaxConnections)
	if limit <= 0 || l.open.Load() < limit {
		return false
	}
	// First the flag, then another look: a connection that ends in between sees one or is seen by the
	// other.
	l.full.Store(true)
	if l.open.Load() < limit && l.full.CompareAndSwap(true, false) {
		return false
	}
	if l.waits == 0 {
		l.handle.Loop().Logger().Warn("accepting waits", "listener", l.handle.Name(), "connections", limit)
	}
	l.waits++
	l.handle.Want(communicator.Nothing)
	return true
}

// ended is told that a connection was closed, on whichever goroutine.
func (l *Listener) ended() {
	l.open.Add(-1)
	if l.full.CompareAndSwap(true, false) {
		l.wake()
	}
}

// wake lets the loop go on accepting, if not at once: nobody else would.
func (l *Listener) wake() {
	err := l.handle.Loop().Post(func() { l.handle.Want(communicator.Read) })
	if errors.Is(err, communicator.ErrQueueFull) {
		time.AfterFunc(AcceptPause, l.wake)
	}
}
