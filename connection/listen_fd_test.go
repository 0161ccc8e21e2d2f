//go:build linux

package connection_test

import (
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// inherited makes a socket as a child process gets it: blocking, and kept over an exec.
func inherited(tb testing.TB, family, kind int) int {
	tb.Helper()
	fd, err := unix.Socket(family, kind, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return fd
}

func TestListenFD(t *testing.T) {
	fdtest.Check(t)
	path := filepath.Join(t.TempDir(), "s")
	for _, tt := range []struct {
		network string
		family  int
		addr    unix.Sockaddr
	}{
		{"tcp", unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}},
		{"unix", unix.AF_UNIX, &unix.SockaddrUnix{Name: path}},
	} {
		fd := inherited(t, tt.family, unix.SOCK_STREAM)
		if err := errors.Join(unix.Bind(fd, tt.addr), unix.Listen(fd, 5)); err != nil {
			t.Fatal(err)
		}
		loop, _ := looptest.New(t)
		var listener *connection.Listener
		listener, err := connection.ListenFD(loop, fd, func(loop connection.Loop, transport connection.Transport) error {
			listener.Close()
			return greet(loop, transport)
		}, connection.ListenConfig{Priority: 3})
		if err != nil {
			t.Fatal(err)
		}
		if listener.Addr().Network() != tt.network || listener.Handle().Priority() != 3 {
			t.Errorf("%s: listens at %v, priority %d", tt.network, listener.Addr(), listener.Handle().Priority())
		}
		fdFlags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		flags, flagsErr := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || flagsErr != nil || fdFlags&unix.FD_CLOEXEC == 0 || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("%s: descriptor flags %d, %v, file flags %d, %v", tt.network, fdFlags, err, flags, flagsErr)
		}
		conn := dial(t, listener.Addr())
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
		run(t, loop)
		expect(t, conn, "welcome")
		_ = conn.Close()
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Errorf("the socket's file, which is somebody else's: %v", err)
	}
}

// TestListenFDErrors: what isn't a listening stream socket is refused, and closed all the same.
func TestListenFDErrors(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[1])
	for name, tt := range map[string]struct {
		fd   int
		want error
	}{
		"nothing":       {-1, syscall.EBADF},
		"pipe":          {pipe[0], syscall.ENOTSOCK},
		"datagram":      {inherited(t, unix.AF_INET, unix.SOCK_DGRAM), syscall.EPROTOTYPE},
		"not listening": {inherited(t, unix.AF_INET, unix.SOCK_STREAM), syscall.EINVAL},
		"seqpacket":     {inherited(t, unix.AF_UNIX, unix.SOCK_SEQPACKET), syscall.EPROTOTYPE},
	} {
		_, err := connection.ListenFD(loop, tt.fd, greet, connection.ListenConfig{})
		var opError *net.OpError
		if !errors.As(err, &opError) || opError.Op != "listen" || !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want a *net.OpError of listen with %v", name, err, tt.want)
		}
	}
	run(t, loop)
	fd := inherited(t, unix.AF_INET, unix.SOCK_STREAM)
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.ListenFD(loop, fd, greet, connection.ListenConfig{}); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("a loop that has ended: %v", err)
	}
}
