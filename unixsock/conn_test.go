//go:build linux

package unixsock_test

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/conntest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// TestConnections runs the suite of all stream transports.
func TestConnections(t *testing.T) {
	conntest.Run(t, conntest.Env{Listen: listening(0), Nowhere: nowhere, Stuck: stuck})
}

// TestConnectionsWithDescriptors runs it on connections along which descriptors could be passed.
func TestConnectionsWithDescriptors(t *testing.T) {
	conntest.Run(t, conntest.Env{Listen: listening(3), Nowhere: nowhere, Stuck: stuck})
}

const smallBuffer = 8 << 10

// socketPath is a path for a socket, in a folder of its own. Names of tests can be longer than a socket's
// address may be.
func socketPath(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "s")
	if len(path) > 100 {
		tb.Fatalf("the path of the test's folder is too long: %s", path)
	}
	return path
}

func listening(descriptors int) func(testing.TB, connection.Loop, connection.Serve, bool) conntest.Endpoint {
	return func(tb testing.TB, loop connection.Loop, serve connection.Serve, small bool) conntest.Endpoint {
		tb.Helper()
		path := socketPath(tb)
		l, err := unixsock.Listen(loop, path, func(loop connection.Loop, t connection.Transport) error {
			if small {
				_ = unix.SetsockoptInt(t.FD(), unix.SOL_SOCKET, unix.SO_SNDBUF, smallBuffer)
			}
			return serve(loop, t)
		}, unixsock.ListenConfig{Descriptors: descriptors})
		if err != nil {
			tb.Fatal(err)
		}
		return conntest.Endpoint{
			Listener: l,
			Dialer:   unixsock.Dialer{Path: path, Descriptors: descriptors},
			Peer: func() (net.Conn, error) {
				conn, err := net.Dial("unix", path)
				if err == nil && small {
					_ = conn.(*net.UnixConn).SetWriteBuffer(smallBuffer)
				}
				return conn, err
			},
		}
	}
}

func unconnected(tb testing.TB) (fd int) {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return fd
}

// rawBind is a bound socket of a kind.
func rawBind(tb testing.TB, path string, kind int) (fd int) {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		_ = unix.Close(fd)
		tb.Fatal(err)
	}
	return fd
}

// rawListen is a listening socket that isn't accepted from.
func rawListen(tb testing.TB, path string, backlog int) (fd int) {
	tb.Helper()
	fd = rawBind(tb, path, unix.SOCK_STREAM)
	if err := unix.Listen(fd, backlog); err != nil {
		_ = unix.Close(fd)
		tb.Fatal(err)
	}
	return fd
}

// nowhere is a file that a listener has left behind.
func nowhere(tb testing.TB) connection.Dialer {
	tb.Helper()
	path := socketPath(tb)
	if err := unix.Close(rawListen(tb, path, 1)); err != nil {
		tb.Fatal(err)
	}
	return unixsock.Dialer{Path: path}
}

// fillBacklog connects until no connection comes about any more, and returns how many there are.
func fillBacklog(tb testing.TB, path string) (waiting int) {
	tb.Helper()
	for {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = unix.Close(fd) })
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			if !errors.Is(err, unix.EAGAIN) {
				tb.Fatal(err)
			}
			return waiting
		}
		waiting++
	}
}

// stuck is a listener whose backlog is full.
func stuck(tb testing.TB, timeout time.Duration) connection.Dialer {
	tb.Helper()
	path := socketPath(tb)
	fd := rawListen(tb, path, 0)
	tb.Cleanup(func() { _ = unix.Close(fd) })
	fillBacklog(tb, path)
	return unixsock.Dialer{Path: path, Timeout: timeout}
}
