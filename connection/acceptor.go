//go:build linux

package connection

import (
	"errors"
	"net"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Acceptor takes connections from one descriptor and never blocks; with nothing to accept it
// answers ErrWouldBlock. One that is an io.Closer is closed with its Listener; one that has a
// method Addr() net.Addr lends it to the Listener.
type Acceptor interface {
	FD() int
	Accept() (Transport, error)
}

// SocketAcceptor accepts from a listening stream socket, TCP or Unix.
type SocketAcceptor struct {
	fd    int
	peer  sys.Sockaddr
	count *Listener // of the connections; nil outside a Listener
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
	s := newSocket(fd, &a.peer)
	if a.count != nil {
		s.count = a.count
		a.count.open.Add(1)
	}
	return s, nil
}

// counter is an Acceptor whose connections tell the listener when they are closed. It is looked up
// once, and promoted to what embeds a SocketAcceptor.
type counter interface{ countFor(l *Listener) }

func (a *SocketAcceptor) countFor(l *Listener) { a.count = l }

// uncount tells the listener that a connection is closed.
func (s *Socket) uncount() {
	if l := s.count; l != nil {
		s.count = nil
		l.ended()
	}
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
	*SocketAcceptor
	listener net.Listener
}

func (a *netAcceptor) Close() error {
	return errors.Join(a.SocketAcceptor.Close(), a.listener.Close())
}
