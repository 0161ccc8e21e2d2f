//go:build linux

package unixsock_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// handleMessage is a function as a message.Handler.
type handleMessage func(from *connection.MessageConn, m *message.Message) error

func (f handleMessage) HandleMessage(from message.Sender, m *message.Message) error {
	return f(from.(*connection.MessageConn), m)
}

// own is what the test's process is to its peers.
var own = unixsock.Credentials{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}

// TestPeerCredentials: a handler of messages learns who has sent them, on either side, whether or
// not descriptors can be passed along.
func TestPeerCredentials(t *testing.T) {
	for _, descriptors := range []int{0, 1} {
		fdtest.Check(t)
		path := socketPath(t)
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		var got []unixsock.Credentials
		note := func(c *connection.MessageConn) {
			credentials, err := unixsock.PeerCredentials(c.Stream().Transport())
			if err != nil {
				t.Error(err)
			}
			got = append(got, credentials)
		}
		server := handleMessage(func(c *connection.MessageConn, m *message.Message) error {
			note(c)
			return c.Send(m)
		})
		l, err := unixsock.Listen(loop, path, connection.Messages(server, connection.MessageConfig{}), unixsock.ListenConfig{Descriptors: descriptors})
		if err != nil {
			t.Fatal(err)
		}
		answer := handleMessage(func(c *connection.MessageConn, _ *message.Message) error {
			note(c)
			c.Close()
			l.Close()
			return nil
		})
		c, err := connection.DialMessages(loop, unixsock.Dialer{Path: path, Descriptors: descriptors}, answer, connection.MessageConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unixsock.PeerCredentials(c.Stream().Transport()); !errors.Is(err, syscall.ENOTCONN) {
			t.Errorf("while dialling: %v", err)
		}
		if err := c.Send(message.New("HELLO")); err != nil {
			t.Fatal(err)
		}
		looptest.Run(t, loop)
		if len(got) != 2 || got[0] != own || got[1] != own {
			t.Errorf("the peers are %+v, want %+v", got, own)
		}
	}
}

func TestPeerCredentialsErrors(t *testing.T) {
	fdtest.Check(t)
	var opError *net.OpError
	if _, err := unixsock.PeerCredentials(nil); !errors.Is(err, syscall.ENOTCONN) || !errors.As(err, &opError) {
		t.Errorf("of no transport: %v", err)
	}
	for _, domain := range []int{unix.AF_UNIX, unix.AF_INET} {
		var listener net.Listener
		var err error
		if domain == unix.AF_UNIX {
			listener, err = net.Listen("unix", socketPath(t))
		} else {
			listener, err = net.Listen("tcp", "127.0.0.1:0")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		conn, err := net.Dial(listener.Addr().Network(), listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		socket, err := connection.FromConn(conn)
		if err != nil {
			t.Fatal(err)
		}
		got, err := unixsock.PeerCredentials(socket)
		if domain == unix.AF_UNIX && (err != nil || got != own) {
			t.Errorf("of a Unix socket: %+v, %v", got, err)
		}
		if domain == unix.AF_INET && !errors.Is(err, syscall.EAFNOSUPPORT) {
			t.Errorf("of a TCP socket: %v", err)
		}
		if err := socket.Close(); err != nil {
			t.Error(err)
		}
		if _, err := unixsock.PeerCredentials(socket); !errors.Is(err, net.ErrClosed) || !errors.As(err, &opError) {
			t.Errorf("of a closed socket: %v", err)
		}
	}
}

// TestFilter: who is turned down reads the end at once, the listener goes on, and the log is short.
func TestFilter(t *testing.T) {
	fdtest.Check(t)
	const turnedDown = 10
	path := socketPath(t)
	loop, log := looptest.New(t)
	asked := 0
	filter := &unixsock.Filter{Accept: func(c unixsock.Credentials) bool {
		if c != own {
			t.Errorf("asked for %+v, want %+v", c, own)
		}
		asked++
		return asked > turnedDown
	}}
	l := mustListen(t, loop, path, unixsock.ListenConfig{Filter: filter})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range turnedDown + 1 {
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Error(err)
				break
			}
			_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
			want := ""
			if i == turnedDown {
				want = "welcome"
			}
			if got, err := io.ReadAll(conn); string(got) != want || err != nil {
				t.Errorf("connection %d: read %q, %v, want %q", i, got, err, want)
			}
			_ = conn.Close()
		}
		_ = loop.Post(l.Close)
	}()
	looptest.Run(t, loop)
	<-done
	if filter.Refused() != turnedDown || asked != turnedDown+1 {
		t.Errorf("%d turned down of %d", filter.Refused(), asked)
	}
	if records := log.Containing("turned down"); len(records) < 1 || len(records) > 3 {
		t.Errorf("the log has %q", records)
	}
}

// TestFilterGroup: a peer is known by the group that it had when it connected.
func TestFilterGroup(t *testing.T) {
	requireRoot(t)
	fdtest.Check(t)
	path := socketPath(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	var l *connection.Listener
	var got unixsock.Credentials
	l = mustListen(t, loop, path, unixsock.ListenConfig{Filter: &unixsock.Filter{Accept: func(c unixsock.Credentials) bool {
		got = c
		l.Close()
		return false
	}}})
	fd := unconnected(t)
	defer unix.Close(fd)
	onThread(func() {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, ^uintptr(0), nobody, ^uintptr(0)); errno != 0 {
			t.Error(errno)
		}
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Error(err)
		}
	})
	looptest.Run(t, loop)
	if want := (unixsock.Credentials{PID: os.Getpid(), GID: nobody}); got != want {
		t.Errorf("the peer was %+v, want %+v", got, want)
	}
}

// TestFilterWithoutFunction lets nobody in.
func TestFilterWithoutFunction(t *testing.T) {
	fdtest.Check(t)
	path := socketPath(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	filter := &unixsock.Filter{}
	l := mustListen(t, loop, path, unixsock.ListenConfig{Filter: filter})
	c := &client{close: l.Close}
	dial(t, loop, path, c)
	looptest.Run(t, loop)
	if c.got != "" || filter.Refused() != 1 || l.Accepted() != 1 {
		t.Errorf("got %q, %d turned down of %d", c.got, filter.Refused(), l.Accepted())
	}
}
