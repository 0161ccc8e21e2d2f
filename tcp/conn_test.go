//go:build linux

package tcp_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/conntest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// TestConnections runs the suite of all stream transports.
func TestConnections(t *testing.T) {
	conntest.Run(t, conntest.Env{Listen: listen, Nowhere: nowhere, Stuck: stuck})
}

// smallBuffer is small, and larger than a segment on the loopback device, 64 KiB: with less, each segment would
// wait for a timer of TCP.
const smallBuffer = 80 << 10

func listen(tb testing.TB, loop connection.Loop, serve connection.Serve, small bool) conntest.Endpoint {
	tb.Helper()
	var options tcp.Options
	if small {
		options.SendBuffer, options.ReceiveBuffer = smallBuffer, smallBuffer
	}
	l, err := tcp.Listen(loop, "127.0.0.1:0", serve, tcp.ListenConfig{Options: options})
	if err != nil {
		tb.Fatal(err)
	}
	address := l.Addr().String()
	return conntest.Endpoint{
		Listener: l,
		Dialer:   tcp.Dialer{Address: address, Options: options},
		Peer: func() (net.Conn, error) {
			conn, err := net.Dial("tcp", address)
			if err == nil && small {
				_ = conn.(*net.TCPConn).SetReadBuffer(smallBuffer)
				_ = conn.(*net.TCPConn).SetWriteBuffer(smallBuffer)
			}
			return conn, err
		},
	}
}

func nowhere(tb testing.TB) connection.Dialer {
	tb.Helper()
	// Bound, so that nobody else gets the port, and not listening.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		tb.Fatal(err)
	}
	return tcp.Dialer{Address: socketAddress(tb, fd)}
}

func socketAddress(tb testing.TB, fd int) string {
	tb.Helper()
	sa, err := unix.Getsockname(fd)
	if err != nil {
		tb.Fatal(err)
	}
	in := sa.(*unix.SockaddrInet4)
	return (&net.TCPAddr{IP: in.Addr[:], Port: in.Port}).String()
}

// stuck is a listener whose queue is full: the kernel drops what else comes.
func stuck(tb testing.TB, timeout time.Duration) connection.Dialer {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		tb.Fatal(err)
	}
	address := socketAddress(tb, fd)
	for { // until one doesn't come about
		conn, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
		if err != nil {
			return tcp.Dialer{Address: address, Timeout: timeout}
		}
		tb.Cleanup(func() { _ = conn.Close() })
	}
}
