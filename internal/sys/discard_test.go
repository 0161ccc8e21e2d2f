//go:build linux

package sys_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// atOnce is far below the time for which a lingering socket lingers, in whole seconds.
const atOnce = 500 * time.Millisecond

// lingering is a TCP socket whose close(2) blocks for a second: its peer reads nothing.
func lingering(tb testing.TB) (fd int) {
	tb.Helper()
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer unix.Close(listener)
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	err = errors.Join(
		unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096),
		unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
		unix.Listen(listener, 1))
	if err != nil {
		tb.Fatal(err)
	}
	addr, err := unix.Getsockname(listener)
	if err == nil {
		err = unix.Connect(fd, addr)
	}
	if err != nil {
		tb.Fatal(err)
	}
	peer, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(peer) })
	for err == nil {
		_, err = unix.SendmsgN(fd, make([]byte, 1<<16), nil, nil, unix.MSG_DONTWAIT)
	}
	if !errors.Is(err, unix.EAGAIN) {
		tb.Fatal(err)
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 1}); err != nil {
		tb.Fatal(err)
	}
	return fd
}

// passOn sends a byte with a lingering socket, of which nobody else has a descriptor then.
func passOn(tb testing.TB, fd, n int) {
	tb.Helper()
	passed := lingering(tb)
	if _, err := sys.SendMsg(fd, []byte("x"), nil, slices.Repeat([]int{passed}, n)); err != nil {
		tb.Fatal(err)
	}
	_ = unix.Close(passed)
}

func TestDiscard(t *testing.T) {
	fdtest.Check(t)
	fds := append(some(t, 1), lingering(t))
	null, err := sys.Dup(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	fds[0] = null
	start := time.Now()
	sys.Discard(fds)
	if took := time.Since(start); took > atOnce {
		t.Errorf("it took %v", took)
	}
}

// TestDiscardTooMany: what has no room isn't left to the kernel, which would linger in the call.
func TestDiscardTooMany(t *testing.T) {
	fdtest.Check(t)
	for _, kind := range []int{sys.Stream, sys.Datagram, sys.SeqPacket} {
		a, b := socketPair(t, kind)
		passOn(t, a, 2)
		passOn(t, a, 2)
		start := time.Now()
		var p [1]byte
		var room [1]int
		for _, room := range [][]int{room[:], room[:0]} {
			if n, nfds, _, err := sys.RecvMsg(b, p[:], nil, room); n != 1 || nfds != 0 || !errors.Is(err, sys.ErrDescriptors) {
				t.Errorf("RecvMsg: %d bytes, %d descriptors, %v", n, nfds, err)
			}
		}
		if kind == sys.Datagram {
			passOn(t, a, 2)
			start = time.Now()
			batch := sys.NewBatch(10, 1)
			n, err := batch.Receive(b)
			fds, cut := batch.Descriptors(0, nil)
			if n != 1 || err != nil || len(fds) != 2 || !cut {
				t.Errorf("Receive: %d datagrams, %v; %d descriptors, cut %v", n, err, len(fds), cut)
			}
			sys.Discard(fds)
		}
		if took := time.Since(start); took > atOnce {
			t.Errorf("kind %d: it took %v", kind, took)
		}
	}
}

// TestDiscardUnread: what waits unread in a socket that is closed doesn't linger, and the peer still
// learns that it was not read.
func TestDiscardUnread(t *testing.T) {
	fdtest.Check(t)
	for _, kind := range []int{sys.Stream, sys.Datagram, sys.SeqPacket} {
		for _, ended := range []bool{false, true} {
			pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			a, b := pair[0], pair[1]
			for _, size := range []int{10_000, 0} { // of datagrams one without a byte, which looks like the end
				if _, err := sys.SendMsg(a, make([]byte, size), nil, nil); err != nil {
					t.Fatal(err)
				}
				passOn(t, a, 3)
			}
			if _, err := sys.SendMsg(b, []byte("unread"), nil, nil); err != nil {
				t.Fatal(err)
			}
			if ended {
				_ = sys.Close(a)
			}
			start := time.Now()
			sys.DiscardUnread(b)
			_ = sys.Close(b)
			if took := time.Since(start); took > atOnce {
				t.Errorf("kind %d, ended %v: it took %v", kind, ended, took)
			}
			if ended {
				continue
			}
			var p [10]byte
			for err = nil; err == nil && kind != sys.Datagram; {
				var n int
				if n, err = sys.Recv(a, p[:]); n == 0 && err == nil {
					t.Errorf("kind %d: the peer reads the end", kind)
					break
				}
			}
			if err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("kind %d: the peer reads %v, want a reset", kind, err)
			}
			_ = sys.Close(a)
		}
	}
}

func TestRefuseDescriptors(t *testing.T) {
	fdtest.Check(t)
	a, b := socketPair(t, sys.Stream)
	fds := some(t, 1)
	if err := sys.RefuseDescriptors(b); err != nil {
		t.Fatal(err)
	}
	if _, err := sys.SendMsg(a, []byte("x"), nil, fds); err == nil {
		t.Skip("before Linux 6.16")
	} else if !errors.Is(err, syscall.EPERM) {
		t.Errorf("SendMsg: %v", err)
	}
	if err := sys.AllowDescriptors(b); err != nil {
		t.Fatal(err)
	}
	if _, err := sys.SendMsg(a, []byte("x"), nil, fds); err != nil {
		t.Error(err)
	}
	tcp := lingering(t)
	if err := sys.RefuseDescriptors(tcp); err != nil { // it has none anyway
		t.Errorf("of a TCP socket: %v", err)
	}
	sys.Discard([]int{tcp})
}

// TestCheckPassing sends nothing, whatever it finds.
func TestCheckPassing(t *testing.T) {
	fdtest.Check(t)
	a, b := socketPair(t, sys.Stream)
	if err := sys.CheckPassing(a, some(t, 1)); err != nil {
		t.Error(err)
	}
	var p [1]byte
	if _, _, _, err := sys.RecvMsg(b, p[:], nil, nil); err != sys.ErrWouldBlock { //nolint:errorlint // the sentinel itself
		t.Errorf("the peer reads %v", err)
	}
}
