//go:build linux

package unixsock_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// welcome serves each connection by a word.
func welcome(loop connection.Loop, t connection.Transport) error {
	s, err := connection.NewStream(loop, t, discard, connection.StreamConfig{})
	if err != nil {
		return err
	}
	_, err = io.WriteString(s, "welcome")
	s.Close()
	return err
}

var discard = connection.DataFunc(func(_ *connection.Stream, data []byte) (int, error) { return len(data), nil })

func mustListen(tb testing.TB, loop connection.Loop, path string, config unixsock.ListenConfig) *connection.Listener {
	tb.Helper()
	l, err := unixsock.Listen(loop, path, welcome, config)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// client keeps what it gets.
type client struct {
	got   string
	cause error
	close func()
}

func (c *client) HandleData(_ *connection.Stream, data []byte) (int, error) {
	c.got += string(data)
	return len(data), nil
}

func (c *client) HandleClose(_ *connection.Stream, cause error) {
	c.cause = cause
	if c.close != nil {
		c.close()
	}
}

func dial(tb testing.TB, loop connection.Loop, path string, c *client) *connection.Stream {
	tb.Helper()
	s, err := connection.DialStream(loop, unixsock.Dialer{Path: path}, c, connection.StreamConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		filepath.Join(dir, "s"),
		filepath.Join(dir, "with blanks and ünïcödé"),
		fmt.Sprintf("@unixsock-test-%d", os.Getpid()),
		fmt.Sprintf("@%d/with a/slash", os.Getpid()),
		filepath.Join(dir, strings.Repeat("x", 107-len(dir)-1)), // the longest
	} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		l := mustListen(t, loop, name, unixsock.ListenConfig{})
		if l.Addr().Network() != "unix" || l.Addr().String() != name {
			t.Errorf("listens at %s %s, want %s", l.Addr().Network(), l.Addr(), name)
		}
		if want := name[0] != '@'; exists(name) != want {
			t.Errorf("%s: has a file: %v, want %v", name, !want, want)
		}
		if _, err := unixsock.Listen(looptest.NewLogging(t, slog.DiscardHandler), name, welcome, unixsock.ListenConfig{}); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: listening twice: %v", name, err)
		}
		c := &client{close: l.Close}
		s := dial(t, loop, name, c)
		looptest.Run(t, loop)
		if c.got != "welcome" || c.cause != nil {
			t.Errorf("%s: got %q, ended with %v", name, c.got, c.cause)
		}
		if exists(name) {
			t.Errorf("%s: the file is still there", name)
		}
		if s.Received() != 7 {
			t.Errorf("%d bytes received", s.Received())
		}
	}
}

func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]error{
		"":                             nil,
		"@" + strings.Repeat("x", 107): nil,
		filepath.Join(dir, strings.Repeat("x", 108)): nil,
		filepath.Join(dir, "missing", "s"):           syscall.ENOENT,
		dir:                                          syscall.EADDRINUSE,
	} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		_, err := unixsock.Listen(loop, path, welcome, unixsock.ListenConfig{})
		var opError *net.OpError
		if !errors.As(err, &opError) || opError.Op != "listen" || opError.Net != "unix" || opError.Addr.String() != path {
			t.Errorf("%q: %v, want a *net.OpError with the path", path, err)
		}
		if want != nil && !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", path, err, want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestLoopHasEnded: what was made before the loop refused is undone.
func TestLoopHasEnded(t *testing.T) {
	path := socketPath(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	_ = loop.Close()
	if _, err := unixsock.Listen(loop, path, welcome, unixsock.ListenConfig{}); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("Listen: %v", err)
	}
	if exists(path) {
		t.Error("the file is still there")
	}
}

// TestStaleFile: what a process that was killed left behind doesn't keep the next one from listening.
func TestStaleFile(t *testing.T) {
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
		path := socketPath(t)
		if err := unix.Close(rawBind(t, path, kind)); err != nil {
			t.Fatal(err)
		}
		if !exists(path) {
			t.Fatal("there is no stale file to begin with")
		}
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		l := mustListen(t, loop, path, unixsock.ListenConfig{})
		c := &client{close: l.Close}
		dial(t, loop, path, c)
		looptest.Run(t, loop)
		if c.got != "welcome" {
			t.Errorf("kind %d: got %q, ended with %v", kind, c.got, c.cause)
		}
	}
}

// TestInUse: nothing is touched that is in use, or no socket of ours.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	paths := map[string]string{}
	for _, kind := range []string{"live", "full", "bound", "packets", "datagram", "file", "fifo", "symlink"} {
		paths[kind] = filepath.Join(dir, kind)
	}
	live, full := rawListen(t, paths["live"], 10), rawListen(t, paths["full"], 0)
	defer unix.Close(live)
	defer unix.Close(full)
	fillBacklog(t, paths["full"])
	defer unix.Close(rawBind(t, paths["bound"], unix.SOCK_STREAM))
	defer unix.Close(rawBind(t, paths["packets"], unix.SOCK_SEQPACKET))
	defer unix.Close(rawBind(t, paths["datagram"], unix.SOCK_DGRAM))
	if err := errors.Join(
		os.WriteFile(paths["file"], []byte("precious"), 0o600),
		unix.Mkfifo(paths["fifo"], 0o600),
		os.Symlink("nowhere", paths["symlink"]),
	); err != nil {
		t.Fatal(err)
	}
	for kind, path := range paths {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unixsock.Listen(looptest.NewLogging(t, slog.DiscardHandler), path, welcome, unixsock.ListenConfig{}); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: %v, want EADDRINUSE", kind, err)
		}
		after, err := os.Lstat(path)
		if err != nil || !os.SameFile(before, after) || before.Mode() != after.Mode() {
			t.Errorf("%s: was touched: %v, %v", kind, after, err)
		}
	}
	if err := unix.SetNonblock(live, true); err != nil {
		t.Fatal(err)
	}
	if fd, _, err := unix.Accept4(live, unix.SOCK_CLOEXEC); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("the one that listens has seen a connection: %d, %v", fd, err)
	}
	if text, err := os.ReadFile(paths["file"]); string(text) != "precious" || err != nil {
		t.Errorf("the file has %q, %v", text, err)
	}
}

// TestReplaced: a listener removes its own file and not one that another has put in its place.
func TestReplaced(t *testing.T) {
	path := socketPath(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	l := mustListen(t, loop, path, unixsock.ListenConfig{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other := looptest.NewLogging(t, slog.DiscardHandler)
	o := mustListen(t, other, path, unixsock.ListenConfig{})
	l.Close()
	looptest.Run(t, loop)
	if !exists(path) {
		t.Fatal("the file of the second listener was removed")
	}
	c := &client{close: o.Close}
	dial(t, other, path, c)
	looptest.Run(t, other)
	if c.got != "welcome" || exists(path) {
		t.Errorf("got %q, ended with %v, the file is there: %v", c.got, c.cause, exists(path))
	}
}

// TestBacklog: a dialer waits while the backlog is full, as a blocking connect does.
func TestBacklog(t *testing.T) {
	path := socketPath(t)
	fd := rawListen(t, path, 0)
	defer unix.Close(fd)
	waiting := fillBacklog(t, path)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	c := &client{}
	s := dial(t, loop, path, c)
	if _, err := io.WriteString(s, "hello"); err != nil {
		t.Fatal(err)
	}
	s.CloseWrite()
	turns, room := 0, make(chan bool)
	var look func()
	look = func() { // it goes on waiting
		if turns++; turns < 5 {
			_ = loop.Post(look)
			return
		}
		if !s.Handle().Active() || s.Transport() != nil {
			t.Error("connected, or given up, while the backlog was full")
		}
		close(room)
	}
	_ = loop.Post(look)
	got := make(chan string, 1)
	go func() {
		<-room
		for range waiting {
			if conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC); err == nil {
				_ = unix.Close(conn)
			}
		}
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			got <- err.Error()
			return
		}
		buf := make([]byte, 100)
		n, _ := unix.Read(conn, buf)
		_ = unix.Close(conn)
		got <- string(buf[:max(n, 0)])
	}()
	looptest.Run(t, loop)
	if text := <-got; text != "hello" || c.cause != nil {
		t.Errorf("the server got %q, the client ended with %v", text, c.cause)
	}
}

func TestDialErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		filepath.Join(dir, "missing"):          syscall.ENOENT,
		file:                                   syscall.ECONNREFUSED,
		fmt.Sprintf("@nobody-%d", os.Getpid()): syscall.ECONNREFUSED,
		"":                                     nil,
		strings.Repeat("x", 108):               nil,
	} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		c := &client{}
		dial(t, loop, path, c)
		looptest.Run(t, loop)
		var opError *net.OpError
		if !errors.As(c.cause, &opError) || opError.Op != "dial" || opError.Addr.String() != path {
			t.Errorf("%q: ended with %v, want a *net.OpError with the path", path, c.cause)
		}
		if want != nil && !errors.Is(c.cause, want) {
			t.Errorf("%q: ended with %v, want %v", path, c.cause, want)
		}
	}
}

func TestDialerString(t *testing.T) {
	if got := (unixsock.Dialer{Path: "@x"}).String(); got != "unix @x" {
		t.Errorf("got %q", got)
	}
}
