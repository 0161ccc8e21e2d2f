//go:build linux

package fifo_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

// TestForChild talks to a child that does not know of it.
func TestForChild(t *testing.T) {
	fdtest.Check(t)
	transport, stdin, stdout, err := fifo.ForChild()
	if err != nil {
		t.Fatal(err)
	}
	testChild(t, transport, stdin, stdout)
}

func TestSocketPairForChild(t *testing.T) {
	fdtest.Check(t)
	transport, child, err := fifo.SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	testChild(t, transport, child, child)
}

func testChild(t *testing.T, transport connection.Transport, stdin, stdout *os.File) {
	t.Helper()
	for _, f := range []*os.File{stdin, stdout} {
		if nonblocking(t, f) {
			t.Error("the child's end does not block")
		}
	}
	child := exec.Command("cat")
	child.Stdin, child.Stdout = stdin, stdout
	err := child.Start()
	_, _ = stdin.Close(), stdout.Close()
	if err != nil {
		t.Fatal(err)
	}
	h, r := newSessions(), newRunning(t)
	// The child writes as it reads: it has to be read from while output waits for it.
	s, err := connection.NewStream(r.loop, transport, h, connection.StreamConfig{HighWater: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 1<<20)
	for i := range text {
		text[i] = byte('a' + i%26)
	}
	if _, err := s.Write(text); err != nil {
		t.Fatal(err)
	}
	s.CloseWrite()
	r.run()
	h.expect(t, string(text), nil)
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

func nonblocking(tb testing.TB, f *os.File) bool {
	tb.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	flags := uintptr(0)
	_ = raw.Control(func(fd uintptr) { flags, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFL, 0) })
	return flags&syscall.O_NONBLOCK != 0
}

// TestPairBetweenLoops: each end is in a loop of its own.
func TestPairBetweenLoops(t *testing.T) {
	fdtest.Check(t)
	a, b, err := fifo.Pair()
	if err != nil {
		t.Fatal(err)
	}
	here, there := newSessions(), newSessions()
	one, other := newRunning(t), newRunning(t)
	s, err := connection.NewStream(one.loop, a, here, connection.StreamConfig{})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(s, "ping")
	s.CloseWrite()
	there.data = func(s *connection.Stream, data []byte) { fmt.Fprintf(s, "pong to %s", data) }
	if _, err = connection.NewStream(other.loop, b, there, connection.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	one.run()
	other.run()
	here.expect(t, "pong to ping", nil)
	there.expect(t, "ping", nil)
}

// TestTransport uses one without a stream.
func TestTransport(t *testing.T) {
	fdtest.Check(t)
	a, b, err := fifo.Pair()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if _, err := a.Read(buf); err != connection.ErrWouldBlock { //nolint:errorlint // the sentinel itself, by contract
		t.Errorf("Read: %v", err)
	}
	if n, err := a.Write([]byte("text")); n != 4 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	if err := a.CloseWrite(); err != nil {
		t.Error(err)
	}
	if n, err := b.Read(buf); string(buf[:n]) != "text" || err != nil {
		t.Errorf("Read: %q, %v", buf[:n], err)
	}
	for range 2 {
		if n, err := b.Read(buf); n != 0 || err != io.EOF { //nolint:errorlint // the sentinel itself, by contract
			t.Errorf("Read: %d, %v, want the end", n, err)
		}
	}
	for _, end := range []io.Closer{a, b} {
		if err := end.Close(); err != nil {
			t.Error(err)
		}
	}
}
