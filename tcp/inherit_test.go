//go:build linux

package tcp_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// TestNothingIsInherited: with a bit of everything in the loop, a program that the process starts gets none of its
// descriptors.
func TestNothingIsInherited(t *testing.T) {
	fdtest.Check(t)
	before := descriptors(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	opened := 0
	check := func(*connection.Stream) {
		if opened++; opened == 4 { // both sides of two connections
			lookAtNew(t, before)
			loop.Stop(nil)
		}
	}
	serve := connection.Streams(&client{open: check}, connection.StreamConfig{})
	l, err := tcp.Listen(loop, "127.0.0.1:0", serve, tcp.ListenConfig{ReusePort: true})
	must(err)
	path := filepath.Join(t.TempDir(), "s")
	_, err = unixsock.Listen(loop, path, serve, unixsock.ListenConfig{})
	must(err)
	_, err = udp.Listen(loop, "127.0.0.1:0", connection.DatagramFunc(func(*connection.Datagram, []byte, connection.Peer) error { return nil }), udp.ListenConfig{})
	must(err)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(err)
	must(unix.Listen(fd, 1))
	_, err = connection.ListenFD(loop, fd, serve, connection.ListenConfig{})
	must(err)
	_, err = signals.Notify(loop, func(os.Signal, int) error { return nil }, communicator.Options{}, syscall.SIGUSR1)
	must(err)
	_, err = timer.After(loop, time.Hour, func(*timer.Timer) error { return nil }, communicator.Options{})
	must(err)
	for _, d := range []connection.Dialer{
		stuck(t, time.Hour),
		tcp.Dialer{Address: l.Addr().String(), Local: netip.MustParseAddrPort("127.0.0.1:0")},
		unixsock.Dialer{Path: path},
	} {
		_, err = connection.DialStream(loop, d, &client{open: check}, connection.StreamConfig{})
		must(err)
	}
	looptest.Run(t, loop)
	if opened != 4 {
		t.Errorf("%d sides of connections were opened", opened)
	}
}

// lookAtNew looks at the descriptors that were not open before.
func lookAtNew(tb testing.TB, before map[string]bool) {
	tb.Helper()
	sockets := 0
	for fd := range descriptors(tb) {
		if before[fd] {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + fd)
		if errors.Is(err, os.ErrNotExist) {
			continue // that of the folder itself
		}
		target, _ := os.Readlink("/proc/self/fd/" + fd)
		_, octal, _ := strings.Cut(string(info), "flags:")
		octal, _, _ = strings.Cut(strings.TrimSpace(octal), "\n")
		flags, parseErr := strconv.ParseUint(octal, 8, 32)
		if err != nil || parseErr != nil {
			tb.Fatalf("descriptor %s, %s: %v, %v", fd, target, err, parseErr)
		}
		if flags&unix.O_CLOEXEC == 0 {
			tb.Errorf("descriptor %s, %s, would be inherited", fd, target)
		}
		if strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	if sockets < 9 { // 4 that listen or wait for datagrams, 4 of connections, 1 that is being connected
		tb.Errorf("looked at %d sockets", sockets)
	}
}

// descriptors are the numbers of those that are open.
func descriptors(tb testing.TB) map[string]bool {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	open := map[string]bool{}
	for _, e := range entries {
		open[e.Name()] = true
	}
	return open
}
