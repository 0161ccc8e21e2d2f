//go:build linux

package shmconn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// failures is a slog.Handler that keeps the errors that are logged.
type failures chan error

func (f failures) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (f failures) WithAttrs([]slog.Attr) slog.Handler               { return f }
func (f failures) WithGroup(string) slog.Handler                    { return f }

func (f failures) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			f <- err
		}
		return true
	})
	return nil
}

// runs is a loop that runs on a goroutine of its own until the end of the test, and the errors that it logs.
func runs(tb testing.TB) (*communicator.Communicator, failures) {
	tb.Helper()
	logged := make(failures, 100)
	loop := looptest.NewLogging(tb, logged)
	release, err := loop.Hold()
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- loop.Run(context.Background()) }()
	tb.Cleanup(func() {
		loop.Stop(nil)
		if err := looptest.Await(tb, done, "the end of the loop"); err != nil {
			tb.Errorf("Run: %v", err)
		}
		release()
	})
	return loop, logged
}

// packetSocket is a blocking packet socket, for no longer than looptest.Patience.
func packetSocket(tb testing.TB) (fd int) {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	patient(tb, fd)
	return fd
}

func patient(tb testing.TB, fd int) {
	tb.Helper()
	limit := unix.NsecToTimeval(int64(looptest.Patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		tb.Fatal(err)
	}
}

// uninterrupted makes a call again that a signal has ended: those with a time limit don't go on by themselves.
func uninterrupted(call func() error) (err error) {
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = call()
	}
	return err
}

// rawDial connects to a path.
func rawDial(tb testing.TB, path string) (fd int) {
	tb.Helper()
	fd = packetSocket(tb)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		tb.Fatal(err)
	}
	return fd
}

// rawAccept takes a connection from a listening socket.
func rawAccept(tb testing.TB, listener int) (fd int) {
	tb.Helper()
	patient(tb, listener)
	err := uninterrupted(func() (err error) {
		fd, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	patient(tb, fd)
	return fd
}

// rawReceive waits for a packet, and the descriptors that come along. Without any it is io.EOF.
func rawReceive(fd int) (p wire.Packet, fds []int, err error) {
	b, control := make([]byte, wire.Size+1), make([]byte, 256)
	var n, controlled int
	err = uninterrupted(func() (err error) {
		n, controlled, _, _, err = unix.Recvmsg(fd, b, control, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return p, nil, err
	}
	if n == 0 && controlled == 0 {
		return p, nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlled])
	for _, m := range messages {
		came, parseErr := unix.ParseUnixRights(&m)
		fds, err = append(fds, came...), errors.Join(err, parseErr)
	}
	if err != nil {
		return p, fds, err
	}
	p, err = wire.Parse(b[:n])
	return p, fds, err
}

// hears waits for the other side's hello, and keeps the descriptors until the end of the test.
func hears(tb testing.TB, fd int) (memory, bell, capacity int) {
	tb.Helper()
	p, fds, err := rawReceive(fd)
	tb.Cleanup(func() { sys.CloseAll(fds) })
	if err != nil || p.Kind != wire.Hello || len(fds) != 2 {
		tb.Fatalf("received %+v with %d descriptors, %v; want a hello", p, len(fds), err)
	}
	return fds[0], fds[1], int(p.First)
}

// greeting is what a peer says of itself, and the descriptors that go with it.
type greeting struct {
	packet []byte
	fds    []int
}

// Where the descriptors are, and the fields of the packet.
const (
	memoryFD = iota
	bellFD

	versionAt = 8
	kindAt    = 10
	reasonAt  = 12
	firstAt   = 24
)

func (g *greeting) send(tb testing.TB, fd int) {
	tb.Helper()
	if _, err := sys.SendMsg(fd, g.packet, nil, g.fds); err != nil {
		tb.Fatal(err)
	}
}

// held closes a descriptor at the end of the test.
func held(tb testing.TB, fd int, err error) int {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = sys.Close(fd) })
	return fd
}

func newBell(tb testing.TB) int {
	tb.Helper()
	fd, err := sys.NewDoorbell()
	return held(tb, fd, err)
}

// newMemory is a memory of that size and those seals, whose pages are all there.
func newMemory(tb testing.TB, size, seals int) int {
	tb.Helper()
	fd, err := sys.MemFD("ring", size)
	held(tb, fd, err)
	touched, err := sys.MapShared(fd, size, true)
	if err == nil {
		err = sys.Unmap(touched)
	}
	if err != nil {
		tb.Fatal(err)
	}
	if err := sys.Seal(fd, seals); err != nil {
		tb.Fatal(err)
	}
	return fd
}

// newArea is memory as it has to be, mapped for writing.
func newArea(tb testing.TB, capacity int) (fd int, area []byte) {
	tb.Helper()
	fd = newMemory(tb, ring.Size(capacity), 0)
	area, err := sys.MapShared(fd, ring.Size(capacity), true)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = sys.Unmap(area) })
	if err := sys.Seal(fd, areaSeals); err != nil {
		tb.Fatal(err)
	}
	return fd, area
}

// proper is a greeting as it has to be.
func proper(tb testing.TB, capacity int) *greeting {
	tb.Helper()
	memory, _ := newArea(tb, capacity)
	hello := wire.Packet{Kind: wire.Hello, First: uint64(capacity), Second: 1 << 20}
	return &greeting{packet: hello.Append(nil), fds: []int{memory, newBell(tb)}}
}

// expectRefusal holds that the other side gives that reason and goes away; with 0 that it goes without a word.
func expectRefusal(tb testing.TB, fd int, reason wire.Reason) {
	tb.Helper()
	if reason != 0 {
		p, fds, err := rawReceive(fd)
		sys.CloseAll(fds)
		if err != nil || p.Kind != wire.Refusal || p.Reason != reason || len(fds) > 0 {
			tb.Errorf("the peer received %+v with %d descriptors, %v; want the refusal %q", p, len(fds), err, reason)
		}
	}
	p, fds, err := rawReceive(fd)
	sys.CloseAll(fds)
	if !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
		tb.Errorf("the peer received %+v, %v; want the end", p, err)
	}
}

// quick is a time limit that passes while the test waits.
const quick = 50 * time.Millisecond

// nothingMapped holds that nothing of a ring is mapped at the end of the test that wasn't before.
func nothingMapped(tb testing.TB) {
	tb.Helper()
	before := ringsMapped(tb)
	tb.Cleanup(func() {
		if now := ringsMapped(tb); now != before {
			tb.Errorf("%d areas are mapped, %d were before", now, before)
		}
	})
}

func ringsMapped(tb testing.TB) int {
	tb.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Count(maps, []byte("/memfd:ring")) + bytes.Count(maps, []byte("/memfd:record"))
}
