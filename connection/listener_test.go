//go:build linux

package connection_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// listenTCP makes a listener of package net that accepts on a free port.
func listenTCP(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func listenOn(tb testing.TB, loop connection.Loop, l net.Listener, serve connection.Serve, config connection.ListenConfig) *connection.Listener {
	tb.Helper()
	listener, err := connection.ListenOn(loop, l, serve, config)
	if err != nil {
		tb.Fatal(err)
	}
	return listener
}

// greet serves a connection by a word and the end.
func greet(loop connection.Loop, t connection.Transport) error {
	_, err := connection.NewStream(loop, t, &handler{open: func(s *connection.Stream) error {
		_, err := io.WriteString(s, "welcome")
		s.Close()
		return err
	}}, connection.StreamConfig{})
	return err
}

// hookAccept lets f decide, until the test ends, what accept answers; nil lets it go on.
func hookAccept(tb testing.TB, f func(fd int) error) {
	tb.Helper()
	sys.Hooks.Accept = f
	tb.Cleanup(func() { sys.Hooks.Accept = nil })
}

func acceptError(errno syscall.Errno) error { return &os.SyscallError{Syscall: "accept4", Err: errno} }

// TestListenOn takes over listeners of package net.
func TestListenOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, at := range []struct{ network, address string }{{"tcp", "127.0.0.1:0"}, {"unix", path}, {"unix", "@conntest-listen-on-" + t.Name()}} {
		l, err := net.Listen(at.network, at.address)
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr()
		loop, _ := looptest.New(t)
		listener := listenOn(t, loop, l, greet, connection.ListenConfig{})
		if listener.Addr().Network() != addr.Network() || listener.Addr().String() != addr.String() {
			t.Errorf("its address is %v, was %v", listener.Addr(), addr)
		}
		ended := start(t, loop)
		for range 3 {
			conn := dial(t, addr)
			expect(t, conn, "welcome")
			expectEnd(t, conn)
			_ = conn.Close()
		}
		looptest.Do(t, loop, listener.Close)
		looptest.Await(t, ended, "the end of the loop")
		if conn, err := net.Dial(at.network, addr.String()); err == nil {
			_ = conn.Close()
			t.Errorf("%v: still listening after Close", addr)
		}
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file: %v", err)
	}
}

func TestListenOnWhatHasNoDescriptor(t *testing.T) {
	loop, _ := looptest.New(t)
	l := &noListener{}
	if _, err := connection.ListenOn(loop, l, greet, connection.ListenConfig{}); !errors.Is(err, connection.ErrNotDescriptor) || !l.closed {
		t.Errorf("ListenOn: %v, closed: %v", err, l.closed)
	}
	closed := listenTCP(t)
	_ = closed.Close()
	if _, err := connection.ListenOn(loop, closed, greet, connection.ListenConfig{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ListenOn: %v", err)
	}
}

type noListener struct {
	net.Listener
	closed bool
}

func (l *noListener) Close() error {
	l.closed = true
	return nil
}

// TestBatch: one callback accepts so many connections and no more.
func TestBatch(t *testing.T) {
	const n, batch = 10, 4
	loop, _ := looptest.New(t)
	l := listenTCP(t)
	for range n {
		dial(t, l.Addr())
	}
	byCallback := map[uint64]int{}
	var listener *connection.Listener
	total := 0
	listener = listenOn(t, loop, l, func(_ connection.Loop, transport connection.Transport) error {
		byCallback[loop.Stats().Callbacks]++
		if total++; total == n {
			listener.Close()
		}
		return transport.Close()
	}, connection.ListenConfig{Batch: batch})
	run(t, loop)
	if listener.Accepted() != n || len(byCallback) != 3 {
		t.Errorf("%d connections in %d callbacks: %v", listener.Accepted(), len(byCallback), byCallback)
	}
	for _, accepted := range byCallback {
		if accepted > batch {
			t.Errorf("%d connections in one callback, want at most %d", accepted, batch)
		}
	}
}

// TestExhausted: without descriptors the listener refuses one connection, rests without turning, and goes on.
func TestExhausted(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE} {
		shortages := 3 // each is one rest
		refusing := false
		hookAccept(t, func(int) error {
			if refusing { // by the descriptor held in reserve
				refusing = false
				return nil
			}
			if shortages == 0 {
				return nil
			}
			shortages--
			refusing = true
			return acceptError(errno)
		})
		loop, log := looptest.New(t)
		l := listenTCP(t)
		var conns []net.Conn
		for range 5 {
			conns = append(conns, dial(t, l.Addr()))
		}
		served := 0
		var listener *connection.Listener
		listener = listenOn(t, loop, l, func(loop connection.Loop, transport connection.Transport) error {
			if served++; served == 2 {
				listener.Close()
			}
			return greet(loop, transport)
		}, connection.ListenConfig{Name: "the listener"})
		began := time.Now()
		for _, conn := range conns { // those who get no answer are refused
			_ = conn.(*net.TCPConn).CloseWrite()
		}
		run(t, loop)
		if took := time.Since(began); took < 3*connection.AcceptPause {
			t.Errorf("%v: done after %v, want three pauses of %v", errno, took, connection.AcceptPause)
		}
		if listener.Refused() != 3 || listener.Accepted() != 2 {
			t.Errorf("%v: %d refused, %d accepted", errno, listener.Refused(), listener.Accepted())
		}
		if turns := loop.Stats().Turns; turns > 30 {
			t.Errorf("%v: %d turns", errno, turns)
		}
		for _, conn := range conns[:3] {
			if b, _ := io.ReadAll(conn); len(b) > 0 {
				t.Errorf("a refused connection got %q", b)
			}
		}
		for _, conn := range conns[3:] {
			expect(t, conn, "welcome")
		}
		if found := log.Containing("the listener"); len(found) != 1 || !strings.HasPrefix(found[0], "WARN") {
			t.Errorf("%v: logged %q, want one warning for the whole shortage", errno, found)
		}
	}
}

// TestNoMemory: the kernel may lack memory; then nobody is refused.
func TestNoMemory(t *testing.T) {
	failed := false
	hookAccept(t, func(int) error {
		if failed {
			return nil
		}
		failed = true
		return acceptError(syscall.ENOBUFS)
	})
	loop, _ := looptest.New(t)
	l := listenTCP(t)
	conn := dial(t, l.Addr())
	_ = conn.(*net.TCPConn).CloseWrite()
	var listener *connection.Listener
	listener = listenOn(t, loop, l, func(loop connection.Loop, transport connection.Transport) error {
		listener.Close()
		return greet(loop, transport)
	}, connection.ListenConfig{})
	run(t, loop)
	expect(t, conn, "welcome")
	if listener.Refused() != 0 || listener.Accepted() != 1 {
		t.Errorf("%d refused, %d accepted", listener.Refused(), listener.Accepted())
	}
}

// TestCloseWhileResting: a rest doesn't keep a listener.
func TestCloseWhileResting(t *testing.T) {
	loop, _ := looptest.New(t)
	l := listenTCP(t)
	dial(t, l.Addr())
	var listener *connection.Listener
	hookAccept(t, func(int) error {
		_ = loop.Post(listener.Close)
		return acceptError(syscall.EMFILE)
	})
	listener = listenOn(t, loop, l, greet, connection.ListenConfig{})
	run(t, loop)
	if listener.Accepted() != 0 || listener.Refused() != 0 {
		t.Errorf("%d accepted, %d refused", listener.Accepted(), listener.Refused())
	}
}

// TestGaveUp: a peer that has gone before it was accepted is nobody's business.
func TestGaveUp(t *testing.T) {
	errnos := []syscall.Errno{syscall.ECONNABORTED, syscall.EPROTO, syscall.ENETDOWN, syscall.EPERM}
	hookAccept(t, func(int) error {
		if len(errnos) == 0 {
			return nil
		}
		errno := errnos[0]
		errnos = errnos[1:]
		return acceptError(errno)
	})
	loop, log := looptest.New(t)
	l := listenTCP(t)
	conn := dial(t, l.Addr())
	_ = conn.(*net.TCPConn).CloseWrite()
	var listener *connection.Listener
	listener = listenOn(t, loop, l, func(loop connection.Loop, transport connection.Transport) error {
		listener.Close()
		return greet(loop, transport)
	}, connection.ListenConfig{})
	run(t, loop)
	expect(t, conn, "welcome")
	if len(log.Records()) != 0 {
		t.Errorf("logged %q", log.Records())
	}
}

// TestAcceptFails: what is neither of these ends the listener, with a warning.
func TestAcceptFails(t *testing.T) {
	hookAccept(t, func(int) error { return acceptError(syscall.EINVAL) })
	loop, log := looptest.New(t)
	l := listenTCP(t)
	dial(t, l.Addr())
	listenOn(t, loop, l, greet, connection.ListenConfig{})
	run(t, loop)
	if found := log.Containing("invalid argument"); len(found) != 1 || !strings.HasPrefix(found[0], "WARN") || !strings.Contains(found[0], "accept tcp") {
		t.Errorf("logged %q", log.Records())
	}
}

// TestAcceptor: anything that accepts will do.
func TestAcceptor(t *testing.T) {
	loop, _ := looptest.New(t)
	a := &acceptor{pieces: newPieces(t)}
	for range 3 {
		a.transports = append(a.transports, newPieces(t, "data"))
	}
	var got string
	var listener *connection.Listener
	h := connection.DataFunc(func(_ *connection.Stream, data []byte) (int, error) {
		got += string(data)
		listener.Close()
		return len(data), nil
	})
	listener, err := connection.NewListener(loop, a, connection.Streams(h, connection.StreamConfig{}), connection.ListenConfig{Priority: 4})
	if err != nil {
		t.Fatal(err)
	}
	if listener.Addr() != nil || listener.Handle().Name() != "listener" || listener.Handle().Priority() != 4 {
		t.Errorf("address %v, name %q, priority %d", listener.Addr(), listener.Handle().Name(), listener.Handle().Priority())
	}
	run(t, loop)
	if got != "datadatadata" || a.closed != 1 {
		t.Errorf("got %q, the acceptor was closed %d times", got, a.closed)
	}
	again := &acceptor{pieces: newPieces(t)}
	if _, err := connection.NewListener(loop, again, greet, connection.ListenConfig{}); !errors.Is(err, communicator.ErrClosed) || again.closed != 1 {
		t.Errorf("NewListener: %v, the acceptor was closed %d times", err, again.closed)
	}
}

type acceptor struct {
	*pieces
	transports []*pieces
}

func (a *acceptor) Accept() (connection.Transport, error) {
	if len(a.transports) == 0 {
		return nil, connection.ErrWouldBlock
	}
	t := a.transports[0]
	a.transports = a.transports[1:]
	return t, nil
}

// scarce says in the environment that this process is the one of TestRealShortage.
const scarce = "CONNECTION_TEST_SCARCE"

// TestRealShortage runs this test in a process with few descriptors. More clients than it has come and stay; all
// are served when the first ones have gone.
func TestRealShortage(t *testing.T) {
	if os.Getenv(scarce) == "" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run=^TestRealShortage$", "-test.v")
		cmd.Env = append(os.Environ(), scarce+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestRealShortage") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	loop, log := looptest.New(t)
	l := listenTCP(t)
	addr := l.Addr()
	served := make(chan *connection.Stream, 100)
	listener := listenOn(t, loop, l, connection.Streams(&handler{open: func(s *connection.Stream) error {
		served <- s
		return nil
	}}, connection.StreamConfig{}), connection.ListenConfig{})
	start(t, loop)
	warm := dial(t, addr) // so that nothing of the runtime's is opened later
	defer warm.Close()
	looptest.Await(t, served, "the first connection")

	// Client and server share the process: as soon as one more client's socket can be made, none is left to accept.
	used := lowestFree(t)
	limit := unix.Rlimit{Cur: uint64(used + 1), Max: uint64(used + 1)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	refused := dial(t, addr)
	expectEnd(t, refused)
	var turns uint64
	looptest.Do(t, loop, func() { turns = loop.Stats().Turns })
	looptest.Do(t, loop, func() {
		if listener.Refused() != 1 || listener.Accepted() != 1 {
			t.Errorf("%d refused, %d accepted", listener.Refused(), listener.Accepted())
		}
		if turns > 100 {
			t.Errorf("%d turns", turns)
		}
	})
	if len(log.Containing("too many open files")) == 0 {
		t.Errorf("logged %q", log.Records())
	}
	_ = refused.Close()
	_ = warm.Close() // its descriptor and that of its server become free
	again := dial(t, addr)
	looptest.Await(t, served, "a connection after the shortage")
	_ = again.Close()
}

// lowestFree is the descriptor that would be made next.
func lowestFree(tb testing.TB) int {
	tb.Helper()
	fd, err := unix.Dup(0)
	if err != nil {
		tb.Fatal(err)
	}
	_ = unix.Close(fd)
	return fd
}
