//go:build linux

package connection_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// outcome is what Dial told.
type outcome struct {
	transport connection.Transport
	err       error
	times     int
}

// connect does the work on a loop of its own.
func connect(tb testing.TB, c connection.Connect) (o outcome) {
	tb.Helper()
	loop, _ := looptest.New(tb)
	within := true
	if _, err := c.Dial(loop, func(t connection.Transport, err error) {
		if within {
			tb.Error("done was called from within Dial")
		}
		o = outcome{t, err, o.times + 1}
	}); err != nil {
		tb.Fatal(err)
	}
	within = false
	run(tb, loop)
	if o.times != 1 || (o.transport == nil) == (o.err == nil) {
		tb.Errorf("done was called %d times, with %v, %v", o.times, o.transport, o.err)
	}
	if o.transport != nil {
		tb.Cleanup(func() { _ = o.transport.Close() })
	}
	return o
}

func addrPort(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

// closedPort is an address on which nobody listens, and nobody will.
func closedPort(tb testing.TB) netip.AddrPort {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		tb.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		tb.Fatal(err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port))
}

func TestConnectTriesInOrder(t *testing.T) {
	l := listenTCP(t)
	defer l.Close()
	var order []int
	numbered := func(i int, a connection.Attempt) connection.Attempt {
		return func() (*connection.Socket, error) {
			order = append(order, i)
			return a()
		}
	}
	again := 2
	o := connect(t, connection.Connect{Attempts: []connection.Attempt{
		numbered(0, connection.TCPAttempt(closedPort(t), nil)),
		numbered(1, func() (*connection.Socket, error) { return nil, errTest }),
		numbered(2, func() (*connection.Socket, error) {
			if again--; again > 0 {
				return nil, connection.ErrWouldBlock
			}
			return connection.UnixAttempt("/nonexistent/s", nil)()
		}),
		numbered(3, connection.TCPAttempt(addrPort(l), nil)),
		numbered(4, connection.TCPAttempt(addrPort(l), nil)),
	}})
	if o.err != nil {
		t.Fatal(o.err)
	}
	if want := []int{0, 1, 2, 2, 3}; !slices.Equal(order, want) {
		t.Errorf("tried %v, want %v", order, want)
	}
	if a := o.transport.(*connection.Socket).RemoteAddr(); a.String() != l.Addr().String() {
		t.Errorf("connected to %v, want %v", a, l.Addr())
	}
}

// TestConnectAllFail tells every reason.
func TestConnectAllFail(t *testing.T) {
	first, second := closedPort(t), closedPort(t)
	o := connect(t, connection.Connect{Attempts: []connection.Attempt{
		connection.TCPAttempt(first, nil),
		func() (*connection.Socket, error) { return nil, errTest },
		connection.TCPAttempt(second, nil),
		connection.UnixAttempt("", nil),
	}})
	if !errors.Is(o.err, syscall.ECONNREFUSED) || !errors.Is(o.err, errTest) || !errors.Is(o.err, sys.ErrPath) {
		t.Fatalf("failed with %v", o.err)
	}
	for _, want := range []string{first.String(), second.String()} {
		if !strings.Contains(o.err.Error(), want) {
			t.Errorf("%v doesn't name %s", o.err, want)
		}
	}
}

// TestConnectNothing: having nothing to try is a failure, not silence.
func TestConnectNothing(t *testing.T) {
	for name, c := range map[string]connection.Connect{
		"no attempts": {},
		"none found":  {Lookup: func(context.Context) ([]connection.Attempt, error) { return nil, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			if o := connect(t, c); o.err == nil {
				t.Error("no error")
			}
		})
	}
}

// never is an attempt that is never decided: a socket whose buffer is full is never writable.
func never(tb testing.TB) connection.Attempt {
	return func() (*connection.Socket, error) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		tb.Cleanup(func() { _ = unix.Close(fds[1]) })
		for err == nil {
			_, err = unix.Write(fds[0], make([]byte, 1<<16))
		}
		s, err := connection.NewSocket(fds[0])
		if err != nil {
			return nil, err
		}
		return s, sys.ErrInProgress
	}
}

func TestConnectTimeout(t *testing.T) {
	wait := func(ctx context.Context) ([]connection.Attempt, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, c := range map[string]connection.Connect{
		"attempt": {Attempts: []connection.Attempt{connection.TCPAttempt(closedPort(t), nil), never(t)}},
		"retry":   {Attempts: []connection.Attempt{func() (*connection.Socket, error) { return nil, connection.ErrWouldBlock }}},
		"look-up": {Lookup: wait},
	} {
		t.Run(name, func(t *testing.T) {
			c.Timeout = 30 * time.Millisecond
			began := time.Now()
			o := connect(t, c)
			if !errors.Is(o.err, connection.ErrDialTimeout) || !errors.Is(o.err, os.ErrDeadlineExceeded) {
				t.Errorf("failed with %v, want %v", o.err, connection.ErrDialTimeout)
			}
			if took := time.Since(began); took < c.Timeout {
				t.Errorf("gave up after %v", took)
			}
			if name == "attempt" && !errors.Is(o.err, syscall.ECONNREFUSED) {
				t.Errorf("%v doesn't tell of the first attempt", o.err)
			}
		})
	}
}

func TestConnectLookup(t *testing.T) {
	l := listenTCP(t)
	defer l.Close()
	o := connect(t, connection.Connect{Lookup: func(context.Context) ([]connection.Attempt, error) {
		return []connection.Attempt{connection.TCPAttempt(closedPort(t), nil), connection.TCPAttempt(addrPort(l), nil)}, nil
	}})
	if o.err != nil {
		t.Fatal(o.err)
	}
	o = connect(t, connection.Connect{Lookup: func(context.Context) ([]connection.Attempt, error) { return nil, errTest }})
	if !errors.Is(o.err, errTest) {
		t.Errorf("failed with %v", o.err)
	}
}

// TestConnectCancel: cancel releases all that an attempt holds, and done is never called.
func TestConnectCancel(t *testing.T) {
	lookedUp := make(chan error, 1)
	for name, c := range map[string]connection.Connect{
		"attempt": {Attempts: []connection.Attempt{never(t)}},
		"retry":   {Attempts: []connection.Attempt{func() (*connection.Socket, error) { return nil, connection.ErrWouldBlock }}},
		"look-up": {Lookup: func(ctx context.Context) ([]connection.Attempt, error) {
			<-ctx.Done()
			lookedUp <- ctx.Err()
			return nil, ctx.Err()
		}},
	} {
		for _, byLoop := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				loop, _ := looptest.New(t)
				var ends []error
				cancel, err := c.Dial(loop, func(_ connection.Transport, err error) { ends = append(ends, err) })
				if err != nil {
					t.Fatal(err)
				}
				turns := 0
				var wait func()
				wait = func() {
					if turns++; turns < 5 {
						_ = loop.Post(wait)
						return
					}
					if byLoop {
						loop.Stop(nil)
						return
					}
					cancel()
					cancel() // once more means nothing
				}
				_ = loop.Post(wait)
				run(t, loop)
				cancel()
				if !byLoop && len(ends) != 0 {
					t.Errorf("done was called with %v", ends)
				}
				if byLoop && (len(ends) != 1 || !errors.Is(ends[0], communicator.ErrClosed)) {
					t.Errorf("done was called with %v, want %v", ends, communicator.ErrClosed)
				}
				if name == "look-up" {
					if err := looptest.Await(t, lookedUp, "the end of the look-up"); !errors.Is(err, context.Canceled) {
						t.Errorf("the look-up ended with %v", err)
					}
				}
			})
		}
	}
}

// TestDialFails: what Dial itself refuses is returned, and nothing stays in the loop.
func TestDialFails(t *testing.T) {
	loop, _ := looptest.New(t)
	h := &handler{close: func(*connection.Stream, error) { t.Error("HandleClose was called too") }}
	if _, err := connection.DialStream(loop, badDialer{}, h, connection.StreamConfig{}); !errors.Is(err, errTest) {
		t.Errorf("DialStream: %v", err)
	}
	if _, err := connection.DialMessages(loop, badDialer{}, message.HandlerFunc(func(message.Sender, *message.Message) error { return nil }), connection.MessageConfig{}); !errors.Is(err, errTest) {
		t.Errorf("DialMessages: %v", err)
	}
	run(t, loop)
	if _, err := connection.DialStream(loop, badDialer{}, h, connection.StreamConfig{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("DialStream: %v", err)
	}
}

type badDialer struct{}

func (badDialer) Dial(connection.Loop, func(connection.Transport, error)) (func(), error) {
	return nil, errTest
}

// TestFromConn takes over connections of package net.
func TestFromConn(t *testing.T) {
	for _, at := range []struct{ network, address string }{{"tcp", "127.0.0.1:0"}, {"unix", "@conntest-from-conn"}} {
		l, err := net.Listen(at.network, at.address)
		if err != nil {
			t.Fatal(err)
		}
		client := dial(t, l.Addr())
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		local, remote := conn.LocalAddr().String(), conn.RemoteAddr().String()
		socket, err := connection.FromConn(conn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the net.Conn is still open: %v", err)
		}
		if at.network == "tcp" && (socket.LocalAddr().String() != local || socket.RemoteAddr().String() != remote) {
			t.Errorf("addresses %v, %v, were %s, %s", socket.LocalAddr(), socket.RemoteAddr(), local, remote)
		}
		loop, _ := looptest.New(t)
		newStream(t, loop, socket, connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) { return s.Write(data) }), connection.StreamConfig{})
		if _, err := io.WriteString(client, "hello"); err != nil {
			t.Fatal(err)
		}
		if err := client.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		run(t, loop)
		expect(t, client, "hello")
		expectEnd(t, client)
	}
}

func TestFromConnErrors(t *testing.T) {
	a, b := net.Pipe()
	if _, err := connection.FromConn(a); !errors.Is(err, connection.ErrNotDescriptor) {
		t.Errorf("FromConn(net.Pipe): %v", err)
	}
	expectEnd(t, b) // it was closed all the same
	_ = b.Close()

	l := listenTCP(t)
	defer l.Close()
	conn := dial(t, l.Addr())
	_ = conn.Close()
	if _, err := connection.FromConn(conn); !errors.Is(err, net.ErrClosed) {
		t.Errorf("FromConn of a closed connection: %v", err)
	}
	unconnected, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer unconnected.Close()
	if _, err := connection.FromConn(unconnected.(*net.UDPConn)); !errors.Is(err, syscall.EPROTOTYPE) {
		t.Errorf("FromConn of a datagram socket: %v", err)
	}
}
