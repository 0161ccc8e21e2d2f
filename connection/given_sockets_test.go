//go:build linux

package connection_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// control calls f with the descriptor of what package net has made.
func control(tb testing.TB, c any, f func(fd int) error) {
	tb.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	if err := errors.Join(err, inner); err != nil {
		tb.Fatal(err)
	}
}

// dupOf is another descriptor of the same socket.
func dupOf(tb testing.TB, c any) (fd int) {
	tb.Helper()
	control(tb, c, func(orig int) (err error) {
		fd, err = unix.FcntlInt(uintptr(orig), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	return fd
}

// linger is the SO_LINGER of a descriptor.
func linger(tb testing.TB, fd int) unix.Linger {
	tb.Helper()
	l, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
	if err != nil {
		tb.Fatal(err)
	}
	return *l
}

// givenListeners are the ways to hand over a listener of package net.
var givenListeners = map[string]func(tb testing.TB, loop connection.Loop, l net.Listener, serve connection.Serve) (*connection.Listener, error){
	"ListenOn": func(_ testing.TB, loop connection.Loop, l net.Listener, serve connection.Serve) (*connection.Listener, error) {
		return connection.ListenOn(loop, l, serve, connection.ListenConfig{})
	},
	"ListenFD": func(tb testing.TB, loop connection.Loop, l net.Listener, serve connection.Serve) (*connection.Listener, error) {
		fd := dupOf(tb, l)
		_ = l.Close()
		return connection.ListenFD(loop, fd, serve, connection.ListenConfig{})
	},
}

// givenConns are the ways to hand over a connection of package net.
var givenConns = map[string]func(tb testing.TB, conn net.Conn) (*connection.Socket, error){
	"FromConn": func(_ testing.TB, conn net.Conn) (*connection.Socket, error) { return connection.FromConn(conn) },
	"NewSocket": func(tb testing.TB, conn net.Conn) (*connection.Socket, error) {
		fd := dupOf(tb, conn)
		_ = conn.Close()
		return connection.NewSocket(fd)
	},
}

// TestGivenBlockingListener: a listener that somebody has made blocking, as File().Fd() does for a child process, doesn't block the
// loop.
func TestGivenBlockingListener(t *testing.T) {
	fdtest.Check(t)
	for name, listen := range givenListeners {
		loop, _ := looptest.New(t)
		l := listenTCP(t)
		addr := l.Addr()
		child := dupOf(t, l) // has the flags in common
		if err := unix.SetNonblock(child, false); err != nil {
			t.Fatal(err)
		}
		listener, err := listen(t, loop, l, greet)
		if err != nil {
			t.Fatal(err)
		}
		if flags, err := unix.FcntlInt(uintptr(child), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Fatalf("%s: flags %#x, %v: it would block the loop", name, flags, err)
		}
		ended := start(t, loop)
		for range 2 {
			conn := dial(t, addr)
			expect(t, conn, "welcome")
			_ = conn.Close()
			looptest.Do(t, loop, func() {}) // it doesn't wait for the next one
		}
		looptest.Do(t, loop, listener.Close)
		looptest.Await(t, ended, "the end of the loop")
		_ = unix.Close(child)
	}
}

// TestGivenListenerLingers: the connections of a listener with SO_LINGER, which hands it on to them, don't have it.
func TestGivenListenerLingers(t *testing.T) {
	fdtest.Check(t)
	for name, listen := range givenListeners {
		loop, _ := looptest.New(t)
		l := listenTCP(t)
		addr := l.Addr()
		control(t, l, func(fd int) error {
			return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 1})
		})
		var listener *connection.Listener
		accepted := 0
		listener, err := listen(t, loop, l, func(_ connection.Loop, tr connection.Transport) error {
			accepted++
			if got := linger(t, tr.FD()); got.Onoff != 0 {
				t.Errorf("%s: its connection lingers: %v", name, got)
			}
			listener.Close()
			return tr.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
		conn := dial(t, addr)
		run(t, loop)
		if accepted != 1 {
			t.Errorf("%s: %d accepted", name, accepted)
		}
		_ = conn.Close()
	}
}

// TestGivenConnLingers: Close doesn't block though the socket came with a SO_LINGER, its output is full and its peer doesn't read. What
// was sent isn't lost by that.
func TestGivenConnLingers(t *testing.T) {
	fdtest.Check(t)
	for name, give := range givenConns {
		conn, peer := lingering(t, 1)
		s, err := give(t, conn)
		if err != nil {
			t.Fatal(err)
		}
		if got := linger(t, s.FD()); got.Onoff != 0 {
			t.Errorf("%s: it lingers: %v", name, got)
		}
		sent := fill(t, s)
		began := time.Now()
		if err := s.Close(); err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("%s: Close took %v", name, took)
		}
		if n, err := io.Copy(io.Discard, peer); n != int64(sent) || err != nil {
			t.Errorf("%s: the peer got %d of %d bytes, %v", name, n, sent, err)
		}
		_ = peer.Close()
	}
}

// TestGivenConnResets: a socket that resets at its end, which blocks nobody, still does.
func TestGivenConnResets(t *testing.T) {
	fdtest.Check(t)
	for name, give := range givenConns {
		conn, peer := lingering(t, 0)
		s, err := give(t, conn)
		if err != nil {
			t.Fatal(err)
		}
		if got := linger(t, s.FD()); got.Onoff == 0 || got.Linger != 0 {
			t.Errorf("%s: SO_LINGER is %v", name, got)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
		if _, err := peer.Read([]byte{0}); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: the peer read %v", name, err)
		}
		_ = peer.Close()
	}
}

// lingering makes a connection of package net with a time of SO_LINGER, and its peer.
func lingering(tb testing.TB, seconds int) (conn, peer net.Conn) {
	tb.Helper()
	l := listenTCP(tb)
	defer l.Close()
	peer = dial(tb, l.Addr())
	conn, err := l.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetLinger(seconds)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return conn, peer
}

// fill writes to a socket until it takes no more.
func fill(tb testing.TB, s *connection.Socket) (sent int) {
	tb.Helper()
	for {
		n, err := s.Write(make([]byte, 1<<16))
		sent += n
		if errors.Is(err, connection.ErrWouldBlock) {
			return sent
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}
