//go:build linux

package sys_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// socketPair is two connected Unix sockets, which are closed at the end of the test.
func socketPair(tb testing.TB, kind int) (a, b int) {
	tb.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { sys.CloseAll(pair[:]) })
	return pair[0], pair[1]
}

// some is as many descriptors, which are closed at the end of the test.
func some(tb testing.TB, n int) []int {
	tb.Helper()
	fds := make([]int, n)
	for i := range fds {
		fd, err := sys.OpenReserve()
		if err != nil {
			tb.Fatal(err)
		}
		fds[i] = fd
	}
	tb.Cleanup(func() { sys.CloseAll(fds) })
	return fds
}

func TestMsg(t *testing.T) {
	fdtest.Check(t)
	const all = 16 // room in fds
	for _, kind := range []int{sys.Stream, sys.Datagram, sys.SeqPacket} {
		for n, want := range map[int]error{0: nil, 1: nil, 2: nil, 3: nil, all: nil, all + 1: sys.ErrDescriptors, sys.MaxDescriptors: sys.ErrDescriptors} {
			t.Run(fmt.Sprintf("%d passed over kind %d", n, kind), func(t *testing.T) {
				fdtest.Check(t)
				a, b := socketPair(t, kind)
				if sent, err := sys.SendMsg(a, []byte("hello"), nil, some(t, n)); sent != 5 || err != nil {
					t.Fatalf("SendMsg: %d, %v", sent, err)
				}
				var p [10]byte
				var fds [all]int
				got, nfds, cut, err := sys.RecvMsg(b, p[:], nil, fds[:])
				if string(p[:got]) != "hello" || cut || !errors.Is(err, want) || want == nil && nfds != n || want != nil && nfds != 0 {
					t.Fatalf("RecvMsg: %q, %d descriptors, cut %v, %v", p[:got], nfds, cut, err)
				}
				for _, fd := range fds[:nfds] {
					if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 || err != nil {
						t.Errorf("flags %#x, %v, want close-on-exec", flags, err)
					}
				}
				sys.CloseAll(fds[:nfds])
			})
		}
	}
}

func TestMsgEnds(t *testing.T) {
	fdtest.Check(t)
	a, b := socketPair(t, sys.Stream)
	var p [10]byte
	if n, _, _, err := sys.RecvMsg(b, p[:], nil, nil); n != 0 || err != sys.ErrWouldBlock { //nolint:errorlint // the sentinel itself
		t.Errorf("RecvMsg of nothing: %d, %v", n, err)
	}
	if _, err := sys.SendMsg(a, []byte("x"), nil, make([]int, sys.MaxDescriptors+1)); !errors.Is(err, sys.ErrDescriptors) {
		t.Errorf("SendMsg of too many: %v", err)
	}
	if _, err := sys.SendMsg(a, []byte("x"), nil, []int{sys.NoFD}); !errors.Is(err, unix.EBADF) {
		t.Errorf("SendMsg of none: %v", err)
	}
	for sent := 0; ; {
		n, err := sys.SendMsg(a, make([]byte, 1<<16), nil, nil)
		if err == sys.ErrWouldBlock { //nolint:errorlint // the sentinel itself
			break
		}
		if sent += n; err != nil || sent > 1<<24 {
			t.Fatalf("SendMsg: %d bytes, %v", sent, err)
		}
	}
	if err := sys.Shutdown(a); err != nil {
		t.Fatal(err)
	}
	if _, err := sys.SendMsg(a, []byte("x"), nil, nil); !errors.Is(err, unix.EPIPE) { // and no signal
		t.Errorf("SendMsg after the end: %v", err)
	}
	buf := make([]byte, 1<<20)
	for {
		n, _, _, err := sys.RecvMsg(b, buf, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
}

// TestMsgNoRoom: without room for a single descriptor none stays open, and that is no secret.
func TestMsgNoRoom(t *testing.T) {
	fdtest.Check(t)
	a, b := socketPair(t, sys.Stream)
	if _, err := sys.SendMsg(a, []byte("x"), nil, some(t, 1)); err != nil {
		t.Fatal(err)
	}
	var p [10]byte
	if n, nfds, _, err := sys.RecvMsg(b, p[:], nil, nil); n != 1 || nfds != 0 || !errors.Is(err, sys.ErrDescriptors) {
		t.Errorf("RecvMsg: %d bytes, %d descriptors, %v", n, nfds, err)
	}
}

// TestMsgExhausted: the process may open one descriptor more, and two come.
func TestMsgExhausted(t *testing.T) {
	fdtest.Check(t)
	a, b := socketPair(t, sys.Stream)
	fds := some(t, 2)
	if _, err := sys.SendMsg(a, []byte("x"), nil, fds); err != nil {
		t.Fatal(err)
	}
	next, err := sys.Dup(a)
	if err != nil {
		t.Fatal(err)
	}
	_ = sys.Close(next)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next) + 1, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	var p [10]byte
	var room [5]int
	_, nfds, _, err := sys.RecvMsg(b, p[:], nil, room[:])
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if nfds != 0 || !errors.Is(err, sys.ErrDescriptors) {
		t.Errorf("RecvMsg: %d descriptors, %v", nfds, err)
	}
}

// TestMsgAddress: datagrams bring their sender's address, and tell when they are cut.
func TestMsgAddress(t *testing.T) {
	fdtest.Check(t)
	var addr [2]sys.Sockaddr
	var fd [2]int
	for i := range fd {
		name := fmt.Sprintf("@sys-test-%d-%d", os.Getpid(), i)
		err := addr[i].SetPath(name)
		if err == nil {
			fd[i], err = sys.Socket(&addr[i], sys.Datagram)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sys.Close(fd[i]) }()
		if err = sys.Bind(fd[i], &addr[i]); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := sys.SendMsg(fd[0], []byte("hello"), &addr[1], some(t, 1)); n != 5 || err != nil {
		t.Fatalf("SendMsg: %d, %v", n, err)
	}
	var from sys.Sockaddr
	var p [2]byte
	var fds [1]int
	n, nfds, cut, err := sys.RecvMsg(fd[1], p[:], &from, fds[:])
	if n != 2 || nfds != 1 || !cut || err != nil || from.Path() != addr[0].Path() {
		t.Errorf("RecvMsg: %d bytes, %d descriptors, cut %v, %v, from %q", n, nfds, cut, err, from.Path())
	}
	sys.CloseAll(fds[:nfds])
}

func TestMsgAllocatesNothing(t *testing.T) {
	a, b := socketPair(t, sys.Stream)
	text, fds := []byte("hello"), some(t, 2)
	var room [4]int
	p := make([]byte, 10)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := sys.SendMsg(a, text, nil, fds); err != nil {
			t.Fatal(err)
		}
		_, n, _, err := sys.RecvMsg(b, p, nil, room[:])
		if n != 2 || err != nil {
			t.Fatal(n, err)
		}
		sys.CloseAll(room[:n])
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
