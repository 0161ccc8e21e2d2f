//go:build linux

package connection

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Transport moves bytes through one descriptor and never blocks. Whatever a Stream runs on is one.
//
// Read returns io.EOF when the peer has ended its side, and ErrWouldBlock when there is nothing to
// read. Write may take less than all, with or without ErrWouldBlock. Close is called once.
//
// What else a transport can do it says by having more methods, which a Stream looks for once. A type that
// embeds a Transport loses these, and has to have them itself.
//
//	CloseWrite() error               ends the writing side alone
//	LocalAddr, RemoteAddr() net.Addr as net.Conn has them
//	WriteFD() int                    the descriptor for writing, if it is another than FD; Close, and CloseWrite, close it
//	Consumed(left int) error         told after each frame, or delivery, how many bytes are left
//	StaysAtShutdown()                its stream is left alone by a shutdown of the loop: whoever made it ends it
//
// One that keeps bytes itself, as TLS does, has all of these:
//
//	Readable() bool                  Read would return something, whatever the descriptor says
//	Unsent() int                     how many bytes wait that Write, or CloseWrite, has taken
//	Flush() error                    writes them; ErrWouldBlock if some still wait
//
// While bytes are unsent its Write takes none.
//
// One whose descriptor only announces, once, that reading or writing may go on, has these as well. Its descriptor is watched
// with communicator.EdgeTriggered:
//
//	Announce(again func())           is told what announces the same, on the loop's goroutine
//	Gone() bool                      the peer has gone: Write takes nothing, but there may be something left to read
//	Rest()                           nothing will be read for a while
type Transport interface {
	FD() int
	io.ReadWriteCloser
}

type closeWriter interface{ CloseWrite() error }

type addresses interface {
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

type writeDescriptor interface{ WriteFD() int }

type consumer interface{ Consumed(left int) error }

type stayer interface{ StaysAtShutdown() }

type announcer interface {
	Announce(again func())
	Gone() bool
	Rest()
}

type keeper interface {
	Readable() bool
	Unsent() int
	Flush() error
}

// Serve puts a layer on a transport that was accepted, on the loop's goroutine. It owns the
// transport, also when it returns an error: one that turns a connection down closes it. The error
// is logged and the listener goes on.
type Serve func(loop Loop, t Transport) error

// Socket is the Transport of a connected stream socket, TCP or Unix.
type Socket struct {
	fd     int32
	unix   bool
	remote netip.AddrPort // of TCP: it can't be asked for any more when the peer has gone
	count  *Listener      // that has accepted it and counts it; nil for any other
}

// NewSocket makes a Transport of a connected stream socket and owns its descriptor, which it closes
// on an error too. It makes it non-blocking and close-on-exec, and its close never blocks: a time of
// SO_LINGER is taken off.
func NewSocket(fd int) (*Socket, error) {
	var sa sys.Sockaddr
	err := sys.CheckKind(fd, sys.Stream)
	if err == nil {
		err = sys.SetNonblock(fd)
	}
	if err == nil {
		err = sys.CloseOnExec(fd)
	}
	if err == nil {
		err = sys.NoLinger(fd)
	}
	if err == nil {
		err = sys.RemoteAddr(fd, &sa)
	}
	if err != nil {
		return nil, errors.Join(err, sys.Close(fd))
	}
	return newSocket(fd, &sa), nil
}

func newSocket(fd int, peer *sys.Sockaddr) *Socket {
	return &Socket{fd: int32(fd), unix: peer.IsUnix(), remote: peer.AddrPort()}
}

// FromConn makes a Transport of a connection made by package net, or of anything else that is a
// syscall.Conn with a stream socket. It duplicates the descriptor and closes conn, on an error too.
func FromConn(conn net.Conn) (*Socket, error) {
	fd, err := dup(conn)
	err = errors.Join(err, conn.Close())
	if err != nil {
		return nil, err
	}
	return NewSocket(fd)
}

func dup(conn any) (fd int, err error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0, ErrNotDescriptor
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(orig uintptr) { fd, err = sys.Dup(int(orig)) })
	return fd, errors.Join(controlErr, err)
}

// FD is the socket's descriptor.
func (s *Socket) FD() int { return int(s.fd) }

// Read reads what there is, up to len(p).
func (s *Socket) Read(p []byte) (int, error) {
	n, err := sys.Recv(int(s.fd), p)
	if err != nil {
		return 0, s.wrap("read", err)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write writes what the kernel takes.
func (s *Socket) Write(p []byte) (int, error) {
	n, err := sys.Send(int(s.fd), p)
	if err != nil {
		return 0, s.wrap("write", err)
	}
	return n, nil
}

// CloseWrite ends the writing side: the peer reads the end of the file.
func (s *Socket) CloseWrite() error { return s.wrap("close", sys.Shutdown(int(s.fd))) }

// Close closes the descriptor. From then on the socket has no descriptor and no local address,
// rather than those of whatever gets the number next.
func (s *Socket) Close() error {
	fd := int(s.fd)
	s.fd = sys.NoFD
	defer s.uncount()
	return s.wrap("close", sys.Close(fd))
}

func (s *Socket) wrap(op string, err error) error {
	if err == nil || err == ErrWouldBlock { //nolint:errorlint // the sentinel itself, on the way of every read
		return err
	}
	return &net.OpError{Op: op, Net: s.network(), Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: err}
}

func (s *Socket) network() string {
	if s.unix {
		return "unix"
	}
	return "tcp"
}

// LocalAddr is a *net.TCPAddr or *net.UnixAddr; of an unnamed Unix socket an empty one.
func (s *Socket) LocalAddr() net.Addr {
	var sa sys.Sockaddr
	_ = sys.LocalAddr(int(s.fd), &sa) // closed: an empty address
	return s.addr(&sa)
}

// RemoteAddr is a *net.TCPAddr or *net.UnixAddr; of an unnamed Unix socket, as most clients have,
// an empty one.
func (s *Socket) RemoteAddr() net.Addr {
	if !s.unix {
		return net.TCPAddrFromAddrPort(s.remote)
	}
	var sa sys.Sockaddr
	_ = sys.RemoteAddr(int(s.fd), &sa)
	return s.addr(&sa)
}

func (s *Socket) addr(sa *sys.Sockaddr) net.Addr {
	if s.unix {
		return &net.UnixAddr{Net: "unix", Name: sa.Path()}
	}
	return net.TCPAddrFromAddrPort(sa.AddrPort())
}
