//go:build linux

package fifo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// onLoop puts a stream on files, in a loop of its own that runs until the test ends.
func onLoop(tb testing.TB, r, w *os.File, h connection.StreamHandler, begin func(*connection.Stream)) *running {
	tb.Helper()
	transport, err := fifo.FromFile(r, w)
	if err != nil {
		tb.Fatal(err)
	}
	run := newRunning(tb)
	s, err := connection.NewStream(run.loop, transport, h, connection.StreamConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	begin(s)
	run.run()
	return run
}

func nothing(*connection.Stream) {}

// TestRegularFile: epoll refuses a file; it is read to its end, and a handler that pauses is not
// called meanwhile.
func TestRegularFile(t *testing.T) {
	fdtest.Check(t)
	path := filepath.Join(t.TempDir(), "file")
	text := strings.Repeat("some text of a file\n", 20_000)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	copyPath := path + " copy"
	out, err := os.Create(copyPath)
	if err != nil {
		t.Fatal(err)
	}
	h := newSessions()
	pauses := 0
	h.data = func(s *connection.Stream, data []byte) {
		if _, err := s.Write(data); err != nil {
			t.Error(err)
		}
		pauses++
		s.Pause()
		if err := s.Loop().Post(func() { _ = s.Loop().Post(s.Resume) }); err != nil {
			t.Error(err)
		}
	}
	onLoop(t, in, out, h, func(s *connection.Stream) {
		if s.Transport().FD() != communicator.NoFD {
			t.Error("a regular file has a descriptor for the loop")
		}
	})
	h.expect(t, text, nil)
	if got, err := os.ReadFile(copyPath); err != nil || string(got) != text {
		t.Errorf("the copy has %d bytes, %v", len(got), err)
	}
	if pauses < len(text)/communicator.BufferSize {
		t.Errorf("%d reads for %d bytes", pauses, len(text))
	}
}

func TestDevNull(t *testing.T) {
	fdtest.Check(t)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := newSessions()
	onLoop(t, null, null, h, func(s *connection.Stream) { fmt.Fprint(s, "nothing") })
	h.expect(t, "", nil)
	if _, err := null.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file is still open: %v", err)
	}
}

// TestModeStays: a pipe that other processes have too does not become non-blocking for them.
func TestModeStays(t *testing.T) {
	fdtest.Check(t)
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(p[0]), "r"), os.NewFile(uintptr(p[1]), "w")
	fd, err := unix.FcntlInt(uintptr(p[0]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	others := os.NewFile(uintptr(fd), "somebody else's")
	defer others.Close()
	h := newSessions()
	onLoop(t, r, nil, h, nothing)
	if nonblocking(t, others) {
		t.Error("the mode was changed for others")
	}
	fmt.Fprint(w, "text")
	_ = w.Close()
	h.expect(t, "text", nil)
}

// TestEndedBefore: the writers of a FIFO have gone before it is taken over.
func TestEndedBefore(t *testing.T) {
	fdtest.Check(t)
	path := makeFIFO(t)
	both, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) // as a shell does for <
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(put(path, "text"), both.Close()); err != nil {
		t.Fatal(err)
	}
	h := newSessions()
	onLoop(t, os.NewFile(uintptr(fd), path), nil, h, nothing)
	h.expect(t, "text", nil)
}

func TestFromFileErrors(t *testing.T) {
	fdtest.Check(t)
	pipe := func() (r, w *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		return r, w
	}
	if _, err := fifo.FromFile(nil, nil); !errors.Is(err, fifo.ErrNoFile) {
		t.Errorf("without a file: %v", err)
	}
	r, w := pipe()
	if _, err := fifo.FromFile(w, r); !errors.Is(err, fifo.ErrAccess) {
		t.Errorf("the wrong way round: %v", err)
	}
	r, w = pipe()
	_ = r.Close()
	_, err := fifo.FromFile(r, w)
	var opError *net.OpError
	if !errors.Is(err, os.ErrClosed) || !errors.As(err, &opError) {
		t.Errorf("of a closed file: %v", err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fds[1])
	datagrams := os.NewFile(uintptr(fds[0]), "datagrams")
	if _, err := fifo.FromFile(datagrams, datagrams); !errors.Is(err, syscall.EPROTOTYPE) {
		t.Errorf("of a datagram socket: %v", err)
	}
}

// openTerminal opens a terminal and its master.
func openTerminal(tb testing.TB) (master, terminal *os.File) {
	tb.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		tb.Skip("no terminals here: ", err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		tb.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		tb.Fatal(err)
	}
	path := "/dev/pts/" + strconv.Itoa(n)
	fd, err = unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		tb.Skip("no terminals here: ", err)
	}
	return master, os.NewFile(uintptr(fd), path)
}

// TestTerminal: lines go both ways, and the mode stays as it was for the shell.
func TestTerminal(t *testing.T) {
	fdtest.Check(t)
	master, terminal := openTerminal(t)
	fd, err := unix.FcntlInt(terminal.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	shell := os.NewFile(uintptr(fd), "the shell's")
	h := newSessions()
	onLoop(t, terminal, terminal, h, func(s *connection.Stream) { fmt.Fprint(s, "prompt") })
	if nonblocking(t, shell) {
		t.Error("the mode was changed for the shell")
	}
	got := make([]byte, 6)
	if _, err := io.ReadFull(master, got); err != nil || string(got) != "prompt" {
		t.Errorf("read %q, %v", got, err)
	}
	fmt.Fprint(master, "a line\n\x04") // ^D is the end
	h.expect(t, "a line\n", nil)
	_, _ = master.Close(), shell.Close()
}

// TestMaster: the master of a terminal can't be opened again, and its mode is put back at the end.
func TestMaster(t *testing.T) {
	fdtest.Check(t)
	master, terminal := openTerminal(t)
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	others := os.NewFile(uintptr(fd), "somebody else's")
	h := newSessions()
	r := onLoop(t, master, master, h, nothing)
	if !nonblocking(t, others) {
		t.Error("it blocks")
	}
	fmt.Fprint(terminal, "output")
	_ = terminal.Close()
	h.expect(t, "output", nil)
	if err := looptest.Await(t, r.done, "the end of Run"); err != nil {
		t.Error(err)
	}
	r.done <- nil
	if nonblocking(t, others) {
		t.Error("its mode was not put back")
	}
	_ = others.Close()
}

// TestStandardStreams runs this test again as a child that puts a stream on its standard input and
// output: a reader that goes away is an error and no signal, and what is printed does not get between.
func TestStandardStreams(t *testing.T) {
	fdtest.Check(t)
	if os.Getenv("FIFO_TEST_CHILD") != "" {
		standardChild()
	}
	transport, stdin, stdout, err := fifo.ForChild()
	if err != nil {
		t.Fatal(err)
	}
	report, childReport, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestStandardStreams$")
	child.Env = append(os.Environ(), "FIFO_TEST_CHILD=1")
	child.Stdin, child.Stdout, child.ExtraFiles = stdin, stdout, []*os.File{childReport}
	err = child.Start()
	_, _, _ = stdin.Close(), stdout.Close(), childReport.Close()
	if err != nil {
		t.Fatal(err)
	}
	h, r := newSessions(), newRunning(t)
	h.data = func(s *connection.Stream, _ []byte) { s.Abort(nil) }
	s, err := connection.NewStream(r.loop, transport, h, connection.StreamConfig{})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(s, "hello")
	r.run()
	h.expect(t, "hello", nil)
	got, err := io.ReadAll(report)
	if err != nil || string(got) != "ended with EPIPE" {
		t.Errorf("the child says %q, %v", got, err)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
	_ = report.Close()
}

// standardChild echoes what it gets, and then writes until it can't.
func standardChild() {
	report := os.NewFile(3, "report")
	transport, err := fifo.FromFile(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprint(report, err)
		os.Exit(0)
	}
	fmt.Println("this gets between nothing")
	loop, err := communicator.New(communicator.Config{})
	if err == nil {
		_, err = connection.NewStream(loop, transport, childHandler{report}, connection.StreamConfig{})
	}
	if err == nil {
		err = loop.Run(context.Background())
	}
	if err != nil {
		fmt.Fprint(report, err)
	}
	os.Exit(0)
}

type childHandler struct{ report io.Writer }

func (h childHandler) HandleData(s *connection.Stream, data []byte) (int, error) {
	return s.Write(data)
}

// HandleEOF writes on, though nobody reads any more, or will soon: what waits meets that.
func (h childHandler) HandleEOF(s *connection.Stream, _ []byte) error {
	for s.QueuedBytes() == 0 {
		if _, err := s.Write(make([]byte, 100_000)); err != nil {
			return nil //nolint:nilerr // the stream ends with it
		}
	}
	return nil
}

func (h childHandler) HandleClose(_ *connection.Stream, cause error) {
	if errors.Is(cause, syscall.EPIPE) {
		fmt.Fprint(h.report, "ended with EPIPE")
	} else {
		fmt.Fprint(h.report, cause)
	}
}
