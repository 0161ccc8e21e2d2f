//go:build linux

package shmconn_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/conntest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

const late = "the handshake comes first"

// suiteCapacity is less than the default, because the suite makes thousands of connections.
const suiteCapacity = 64 << 10

// TestConnections runs the suite of all stream transports.
func TestConnections(t *testing.T) {
	runSuite(t, shmconn.Config{Capacity: suiteCapacity}, stuck)
}

// TestConnectionsSmall runs it over the smallest rings there are.
func TestConnectionsSmall(t *testing.T) {
	runSuite(t, shmconn.Config{Capacity: shmconn.MinCapacity}, mute)
}

// TestConnectionsSpinning runs it with ends that look for more before they sleep.
func TestConnectionsSpinning(t *testing.T) {
	runSuite(t, shmconn.Config{Capacity: suiteCapacity, Spin: 20 * time.Microsecond}, stuck)
}

func runSuite(t *testing.T, config shmconn.Config, stuck func(testing.TB, time.Duration) connection.Dialer) {
	t.Helper()
	conntest.Run(t, conntest.Env{
		Listen: listening(config), Nowhere: nowhere, Stuck: stuck, Late: late, Sources: 2, Background: 1,
		Room: config.Capacity,
	})
}

func listening(config shmconn.Config) func(testing.TB, connection.Loop, connection.Serve, bool) conntest.Endpoint {
	return func(tb testing.TB, loop connection.Loop, serve connection.Serve, small bool) conntest.Endpoint {
		tb.Helper()
		config := config
		if small {
			config.Capacity = shmconn.MinCapacity
		}
		path := ringPath(tb)
		l, err := shmconn.Listen(loop, path, serve, shmconn.ListenConfig{Ring: config})
		if err != nil {
			tb.Fatal(err)
		}
		return conntest.Endpoint{
			Listener: l,
			Dialer:   shmconn.Dialer{Path: path, Ring: config},
			Peer:     func() (net.Conn, error) { return connect(path, config.Capacity) },
		}
	}
}

// rawListen is a listening packet socket that isn't accepted from.
func rawListen(tb testing.TB, path string, backlog int) (fd int) {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if err = errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, backlog)); err != nil {
		_ = unix.Close(fd)
		tb.Fatal(err)
	}
	return fd
}

// nowhere is a file that a listener has left behind.
func nowhere(tb testing.TB) connection.Dialer {
	tb.Helper()
	path := ringPath(tb)
	if err := unix.Close(rawListen(tb, path, 1)); err != nil {
		tb.Fatal(err)
	}
	return shmconn.Dialer{Path: path}
}

// stuck is a listener whose backlog is full.
func stuck(tb testing.TB, timeout time.Duration) connection.Dialer {
	tb.Helper()
	d := mute(tb, timeout).(shmconn.Dialer)
	for {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = unix.Close(fd) })
		if err = unix.Connect(fd, &unix.SockaddrUnix{Name: d.Path}); errors.Is(err, unix.EAGAIN) {
			return d
		} else if err != nil {
			tb.Fatal(err)
		}
	}
}

// mute is a listener that lets everybody connect and says nothing.
func mute(tb testing.TB, timeout time.Duration) connection.Dialer {
	tb.Helper()
	path := ringPath(tb)
	fd := rawListen(tb, path, 0)
	tb.Cleanup(func() { _ = unix.Close(fd) })
	return shmconn.Dialer{Path: path, Timeout: timeout}
}
