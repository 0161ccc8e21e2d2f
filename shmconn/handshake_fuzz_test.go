//go:build linux

package shmconn_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// fuzzKinds are the descriptors that a fuzzed peer may pass along: the two that are right, and some that aren't.
var fuzzKinds = []func(t *testing.T) int{
	func(t *testing.T) int { fd, _ := newArea(t, tiny); return fd },
	newBellOf,
	func(t *testing.T) int { return newMemory(t, ring.Size(tiny), 0) },
	func(t *testing.T) int {
		return newMemory(t, 100, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	},
	func(t *testing.T) int { return pipeEnds(t)[0] },
	packetSocketOf,
	func(t *testing.T) int { fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC); return held(t, fd, err) },
	func(t *testing.T) int { return opened(t, "/dev/zero", unix.O_RDWR) },
}

func newBellOf(t *testing.T) int { return newBell(t) }

// fuzzed sends what an input says: packets, each as one byte of its length, one that chooses up to three descriptors and
// their kinds, and its bytes. Those change a greeting as it has to be, by exclusive or.
func fuzzed(t *testing.T, fd int, input []byte) {
	t.Helper()
	for len(input) >= 3 {
		n, choice := int(input[0])%(wire.Size+2), int(input[1])|int(input[2])<<8
		input = input[3:]
		hello := wire.Packet{Kind: wire.Hello, First: tiny, Second: 1 << 20}
		g := greeting{packet: append(hello.Append(nil), 0)[:n]}
		for i, b := range input[:min(n, len(input))] {
			g.packet[i] ^= b
		}
		input = input[min(n, len(input)):]
		for range choice & 3 {
			choice >>= 3
			g.fds = append(g.fds, fuzzKinds[choice&7](t))
		}
		if _, err := sys.SendMsg(fd, g.packet, nil, g.fds); err != nil {
			return // the other side has gone, or has enough
		}
	}
}

// fuzzSeeds are the beginnings of both targets.
func fuzzSeeds(f *testing.F) {
	f.Helper()
	const right = 2 | 0<<3 | 1<<6 // memory and a bell
	packet := func(choice int, changes ...byte) []byte {
		return append([]byte{wire.Size, byte(choice), byte(choice >> 8)}, append(changes, make([]byte, wire.Size-len(changes))...)...)
	}
	refusal := make([]byte, 16)
	refusal[kindAt], refusal[reasonAt] = byte(wire.Hello)^byte(wire.Refusal), byte(wire.BadMemory)
	large := make([]byte, 40)
	large[kindAt], large[firstAt], large[firstAt+1], large[32] = byte(wire.Hello)^byte(wire.Large), 1, tiny>>8, 100
	other := make([]byte, 16)
	other[versionAt] = 3
	f.Add([]byte{})
	f.Add(packet(right))
	f.Add(packet(0))
	f.Add(packet(1))
	f.Add(packet(3))
	f.Add(packet(2 | 2<<3 | 1<<6))
	f.Add(packet(2 | 0<<3 | 6<<6))
	f.Add(packet(0, refusal...))
	f.Add(packet(right, other...))
	f.Add(append(packet(right), packet(right)...))
	f.Add(append(packet(right), packet(0, refusal...)...))
	f.Add(append(packet(right), packet(1|3<<3, large...)...))
	f.Add([]byte{0, 0, 0})
	f.Add([]byte{0, right, 0})
	f.Add([]byte{10, 0, 0, 1, 2, 3})
}

// expectTyped holds that a connection has ended with an error that says what was wrong, or in good order.
func expectTyped(t *testing.T, err error) {
	t.Helper()
	var refused *shmconn.RefusedError
	var version *shmconn.VersionError
	if err == nil || errors.As(err, &refused) || errors.As(err, &version) {
		return
	}
	for _, typed := range []error{
		shmconn.ErrForeign, shmconn.ErrMemory, shmconn.ErrCapacity, shmconn.ErrCorrupt, shmconn.ErrPeerDied, shmconn.ErrUnread,
		shmconn.ErrTooLong,
		connection.ErrDescriptors, communicator.ErrClosed, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE,
	} {
		if errors.Is(err, typed) {
			return
		}
	}
	t.Errorf("ended with %v (%T)", err, err)
}

// fuzzRig is a loop that runs until nothing is left, and its errors.
func fuzzRig(t *testing.T) (loop *communicator.Communicator, logged failures) {
	t.Helper()
	fdtest.Check(t)
	nothingMapped(t)
	logged = make(failures, 100)
	loop, err := communicator.New(communicator.Config{Logger: slog.New(logged)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = loop.Close() })
	return loop, logged
}

// FuzzHandshakeAccepted: whatever a client says, the listener ends it, or serves it, and has nothing left.
func FuzzHandshakeAccepted(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		loop, logged := fuzzRig(t)
		path := ringPath(t)
		ends := 0
		h := &hooks{open: func(c *shmconn.RecordConn) error { return c.Send([]byte("hello")) }}
		h.closed = func(_ *shmconn.RecordConn, cause error) { ends++; expectTyped(t, cause) }
		l, err := shmconn.Listen(loop, path, shmconn.Records(h, shmconn.RecordConfig{}), shmconn.ListenConfig{
			Ring: shmconn.Config{Capacity: tiny}, Listener: connection.ListenConfig{MaxConnections: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		fd := rawDial(t, path)
		fuzzed(t, fd, input)
		must(t, unix.Shutdown(fd, unix.SHUT_WR))
		fuzzTurns(t, loop, l)
		for len(logged) > 0 {
			expectTyped(t, <-logged)
		}
		if h.opens != ends {
			t.Errorf("opened %d times, ended %d times", h.opens, ends)
		}
	})
}

// fuzzTurns runs the loop until the one connection of the listener has come and gone.
func fuzzTurns(t *testing.T, loop *communicator.Communicator, l *connection.Listener) {
	t.Helper()
	end := time.Now().Add(looptest.Patience)
	var look func()
	look = func() {
		switch {
		case l.Accepted() == 1 && l.Open() == 0, time.Now().After(end):
			l.Close()
		default:
			must(t, loop.Post(look))
		}
	}
	must(t, loop.Post(look))
	looptest.Run(t, loop)
	if l.Accepted() != 1 || l.Open() != 0 {
		t.Errorf("%d connections were accepted, %d are open", l.Accepted(), l.Open())
	}
}

// FuzzHandshakeDialled is the same for what a listener may answer.
func FuzzHandshakeDialled(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		loop, _ := fuzzRig(t)
		path := ringPath(t)
		listener := rawListen(t, path, 1)
		t.Cleanup(func() { _ = sys.Close(listener) })
		h := &hooks{open: func(c *shmconn.RecordConn) error { return c.Send([]byte("hello")) }}
		h.closed = func(_ *shmconn.RecordConn, cause error) {
			var opError *net.OpError
			if h.opens == 0 && !errors.As(cause, &opError) {
				t.Errorf("the dialling ended with %v (%T)", cause, cause)
			}
			expectTyped(t, cause)
		}
		_, err := shmconn.DialRecords(loop, shmconn.Dialer{Path: path, Ring: shmconn.Config{Capacity: tiny}}, h, shmconn.RecordConfig{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- loop.Run(context.Background()) }()
		fd := rawAccept(t, listener)
		fuzzed(t, fd, input)
		must(t, unix.Shutdown(fd, unix.SHUT_WR))
		must(t, looptest.Await(t, done, "the end of the loop"))
		if h.ended != 1 {
			t.Errorf("ended %d times", h.ended)
		}
	})
}
