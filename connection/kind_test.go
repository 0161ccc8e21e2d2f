//go:build linux

package connection_test

import (
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// pair makes two connected Unix sockets of a kind.
func pair(tb testing.TB, kind int) (fd, peer int) {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return fds[0], fds[1]
}

// pipe is what is no socket.
func pipe(tb testing.TB) (fd, peer int) {
	tb.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		tb.Fatal(err)
	}
	return fds[0], fds[1]
}

// TestWrongKind: what is no socket, or one of another kind, is refused at once rather than read as
// what it isn't; and it is closed, as it is after any error.
func TestWrongKind(t *testing.T) {
	fdtest.Check(t)
	newDatagram := func(fd int) error {
		loop, _ := looptest.New(t)
		d, err := connection.NewDatagram(loop, fd, connection.DatagramFunc(nil), connection.DatagramConfig{})
		if (d == nil) != (err != nil) {
			t.Errorf("NewDatagram: %v, %v", d, err)
		}
		return err
	}
	newSocket := func(fd int) error {
		s, err := connection.NewSocket(fd)
		if (s == nil) != (err != nil) {
			t.Errorf("NewSocket: %v, %v", s, err)
		}
		return err
	}
	for _, tt := range []struct {
		name string
		make func(fd int) error
		fds  func(testing.TB) (fd, peer int)
		want syscall.Errno
	}{
		{"NewDatagram of a stream", newDatagram, func(tb testing.TB) (int, int) { return pair(tb, unix.SOCK_STREAM) }, syscall.EPROTOTYPE},
		{"NewDatagram of packets", newDatagram, func(tb testing.TB) (int, int) { return pair(tb, unix.SOCK_SEQPACKET) }, syscall.EPROTOTYPE},
		{"NewDatagram of a pipe", newDatagram, pipe, syscall.ENOTSOCK},
		{"NewSocket of datagrams", newSocket, func(tb testing.TB) (int, int) { return pair(tb, unix.SOCK_DGRAM) }, syscall.EPROTOTYPE},
		{"NewSocket of packets", newSocket, func(tb testing.TB) (int, int) { return pair(tb, unix.SOCK_SEQPACKET) }, syscall.EPROTOTYPE},
		{"NewSocket of a pipe", newSocket, pipe, syscall.ENOTSOCK},
	} {
		fd, peer := tt.fds(t)
		if err := tt.make(fd); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
			t.Errorf("%s: the descriptor is still open: %v", tt.name, err)
			_ = unix.Close(fd)
		}
		_ = unix.Close(peer)
	}
	for name, f := range map[string]func(fd int) error{"NewDatagram": newDatagram, "NewSocket": newSocket} {
		if err := f(-1); !errors.Is(err, unix.EBADF) {
			t.Errorf("%s of no descriptor: %v", name, err)
		}
	}
}
