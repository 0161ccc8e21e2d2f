//go:build linux

package unixsock_test

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
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

// passLingering connects and passes a lingering socket along, of which nobody else has a descriptor then.
// It tells whether the other side takes descriptors.
func passLingering(tb testing.TB, path string, kind, n int) (taken bool) {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		tb.Fatal(err)
	}
	passed := lingering(tb)
	err = unix.Sendmsg(fd, []byte("x"), unix.UnixRights(slices.Repeat([]int{passed}, n)...), nil, 0)
	if errors.Is(err, unix.EPERM) {
		_ = unix.SetsockoptLinger(passed, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
	} else if err != nil {
		tb.Error(err)
	}
	_ = unix.Close(passed)
	return err == nil
}

// TestLingeringDescriptors: what a peer passes along and nobody takes doesn't hold up the loop, however it is lost.
func TestLingeringDescriptors(t *testing.T) {
	nobody := &unixsock.Filter{}
	for name, tt := range map[string]struct {
		limit, passed int
		filter        *unixsock.Filter
		open          func(s *connection.Stream) error
	}{
		"not taken":   {limit: 1, passed: 1},
		"too many":    {limit: 1, passed: 2},
		"turned down": {limit: 1, passed: 1, filter: nobody},
		"not read": {limit: 1, passed: 1, open: func(s *connection.Stream) error {
			s.Abort(nil)
			return nil
		}},
		"refused": {limit: 0, passed: 1},
	} {
		t.Run(name, func(t *testing.T) {
			fdtest.Check(t)
			path := socketPath(t)
			loop := looptest.NewLogging(t, slog.DiscardHandler)
			var l *connection.Listener
			h := &taking{open: tt.open, close: func() { l.Close() }}
			l, err := unixsock.Listen(loop, path, func(loop *communicator.Communicator, tr connection.Transport) error {
				_, err := connection.NewStream(loop, tr, h, connection.StreamConfig{})
				return err
			}, unixsock.ListenConfig{Descriptors: tt.limit, Filter: tt.filter})
			if err != nil {
				t.Fatal(err)
			}
			if taken := passLingering(t, path, unix.SOCK_STREAM, tt.passed); taken && tt.limit == 0 {
				t.Skip("before Linux 6.16")
			}
			if tt.filter != nil {
				_ = loop.Post(func() { _ = loop.Post(l.Close) }) // when it has been accepted
			}
			start := time.Now()
			looptest.Run(t, loop)
			if took := time.Since(start); took > atOnce {
				t.Errorf("the loop was held up: %v", took)
			}
			if n := l.Accepted(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// taking is a handler of bytes that tells of the end.
type taking struct {
	open  func(*connection.Stream) error
	close func()
}

func (h *taking) HandleOpen(s *connection.Stream) error {
	if h.open == nil {
		return nil
	}
	return h.open(s)
}

func (h *taking) HandleData(_ *connection.Stream, data []byte) (int, error) { return len(data), nil }

func (h *taking) HandleClose(*connection.Stream, error) { h.close() }

// TestLingeringDatagrams is the same for datagrams and packets.
func TestLingeringDatagrams(t *testing.T) {
	for name, tt := range map[string]struct {
		limit, passed int
		disabled      bool
	}{
		"not taken": {limit: 1, passed: 1}, "too many": {limit: 1, passed: 2}, "not read": {limit: 1, passed: 1, disabled: true},
		"refused": {limit: 0, passed: 1},
	} {
		for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
			t.Run(name, func(t *testing.T) {
				fdtest.Check(t)
				path := socketPath(t)
				loop := looptest.NewLogging(t, slog.DiscardHandler)
				config := connection.DatagramConfig{Descriptors: tt.limit}
				var err error
				if kind == unix.SOCK_DGRAM {
					var d *connection.Datagram
					d, err = unixsock.ListenDatagram(loop, path, silent, unixsock.DatagramListenConfig{Datagram: config})
					if tt.disabled {
						d.Handle().SetEnabled(false)
					}
				} else {
					_, err = unixsock.ListenPackets(loop, path, silent, unixsock.PacketListenConfig{Datagram: config, Opened: func(d *connection.Datagram) error {
						d.Handle().SetEnabled(!tt.disabled)
						return nil
					}})
				}
				if err != nil {
					t.Fatal(err)
				}
				if taken := passLingering(t, path, kind, tt.passed); taken && tt.limit == 0 {
					t.Skip("before Linux 6.16")
				}
				turns := 5
				var turn func()
				turn = func() {
					if turns--; turns == 0 {
						loop.Stop(nil)
					}
					_ = loop.Post(turn)
				}
				_ = loop.Post(turn)
				start := time.Now()
				looptest.Run(t, loop)
				_ = loop.Close()
				if took := time.Since(start); took > atOnce {
					t.Errorf("kind %d: the loop was held up: %v", kind, took)
				}
			})
		}
	}
}
