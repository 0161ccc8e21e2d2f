//go:build linux

package connection

import (
	"errors"
	"log/slog"
	"net"
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

// Acceptor takes connections from one descriptor and never blocks; with nothing to accept it
// answers ErrWouldBlock. One that is an io.Closer is closed with its Listener; one that has a
// method Addr() net.Addr lends it to the Listener.
type Acceptor interface {
	FD() int
	Accept() (Transport, error)
}

// ListenConfig says how a Listener behaves. The zero value is right for most.
type ListenConfig struct {
	// Name is for people. Empty: "listener", the network and the address.
	Name string
	// Priority in the loop; smaller is served first.
	Priority int
	// Batch is how many connections are accepted in one callback. Zero: DefaultBatch.
	Batch int
	// Closed is called, once, when the listener is closed; cause as for CloseHandler. Nil: a
	// failure is logged.
	Closed func(l *Listener, cause error)
}

// Listener accepts connections in a loop. It belongs to the loop's goroutine.
//
// When descriptors run out (EMFILE, ENFILE) the listener gives up one that it holds in reserve, to
// accept one waiting connection and close it, so that its peer learns at once; then it rests for
// AcceptPause. It never spins, goes on by itself, and logs the shortage once.
type Listener struct {
	handle   *communicator.Handle
	acceptor Acceptor
	serve    Serve
	config   ListenConfig
	reserve  int
	accepted uint64
	refused  uint64
	failures logger.Limited
	short    bool // of descriptors or memory, and it has been logged
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
	if l.reserve, err = sys.OpenReserve(); err == nil {
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
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return NewListener(loop, &netAcceptor{SocketAcceptor{fd: fd}, listener}, serve, config)
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

// SocketAcceptor accepts from a listening stream socket, TCP or Unix.
type SocketAcceptor struct {
	fd   int
	peer sys.Sockaddr
}

// NewSocketAcceptor makes an Acceptor of a listening stream socket and owns its descriptor, which
// it closes on an error too. What is set on the socket, such as buffer sizes, the kernel hands on
// to the connections.
func NewSocketAcceptor(fd int) (*SocketAcceptor, error) {
	if err := sys.SetNonblock(fd); err != nil {
		return nil, errors.Join(err, sys.Close(fd))
	}
	return &SocketAcceptor{fd: fd}, nil
}

// FD is the socket's descriptor.
func (a *SocketAcceptor) FD() int { return a.fd }

// Accept takes a connection.
func (a *SocketAcceptor) Accept() (Transport, error) {
	fd, err := sys.Accept(a.fd, &a.peer)
	if err != nil {
		if errors.Is(err, ErrWouldBlock) {
			return nil, ErrWouldBlock
		}
		addr := a.Addr()
		return nil, &net.OpError{Op: "accept", Net: addr.Network(), Addr: addr, Err: err}
	}
	return newSocket(fd, &a.peer), nil
}

// Addr is a *net.TCPAddr or *net.UnixAddr.
func (a *SocketAcceptor) Addr() net.Addr {
	var sa sys.Sockaddr
	_ = sys.LocalAddr(a.fd, &sa)
	s := Socket{unix: sa.IsUnix()}
	return s.addr(&sa)
}

// Close closes the descriptor.
func (a *SocketAcceptor) Close() error {
	fd := a.fd
	a.fd = sys.NoFD
	return sys.Close(fd)
}

// netAcceptor keeps package net's listener, which knows what else is to be done at the end, such as
// removing a Unix socket's file.
type netAcceptor struct {
	SocketAcceptor
	listener net.Listener
}

func (a *netAcceptor) Close() error {
	return errors.Join(a.SocketAcceptor.Close(), a.listener.Close())
}
