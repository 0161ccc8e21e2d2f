//go:build linux

package command_test

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

var errTest = errors.New("an error of the test")

// output keeps all that a command writes.
type output struct {
	bytes.Buffer
	closed int
	cause  error
}

func (o *output) HandleData(_ *connection.Stream, data []byte) (int, error) { return o.Write(data) }

func (o *output) HandleClose(_ *connection.Stream, cause error) {
	o.closed++
	o.cause = cause
}

// expect checks what has come, and that the output is closed.
func (o *output) expect(tb testing.TB, want string, cause error) {
	tb.Helper()
	if got := o.String(); got != want {
		tb.Errorf("output %.80q, want %.80q", got, want)
	}
	if o.closed != 1 || !errors.Is(o.cause, cause) {
		tb.Errorf("the output was closed %d times, with %v, want %v", o.closed, o.cause, cause)
	}
}

// exits keeps how commands end.
type exits []procwatch.Event

func (e *exits) exit(_ *command.Process, event procwatch.Event) error {
	*e = append(*e, event)
	return nil
}

func (e exits) expect(tb testing.TB, kind procwatch.Kind, code int, sig syscall.Signal) {
	tb.Helper()
	if len(e) != 1 {
		tb.Fatalf("Exit was called %d times", len(e))
	}
	if e[0].Kind != kind || e[0].Signal != sig || kind == procwatch.Exited && e[0].Code != code {
		tb.Errorf("the end is: %v, want %v %d, signal %d", e[0], kind, code, sig)
	}
}

// shell is a command of the shell.
func shell(script string, args ...string) *exec.Cmd {
	return exec.Command("sh", append([]string{"-c", script}, args...)...)
}

func start(tb testing.TB, loop *communicator.Communicator, cmd *exec.Cmd, c command.Config) *command.Process {
	tb.Helper()
	p, err := command.Start(loop, cmd, c)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// lines is a handler that calls f for each line.
func lines(f func(line string) error) connection.StreamHandler {
	return connection.Split(bufio.ScanLines, connection.FrameFunc(func(_ *connection.Stream, line []byte) error {
		return f(string(line))
	}))
}

// await waits until something is so, of which nothing tells.
func await(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	for end := time.Now().Add(looptest.Patience); !is(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("waited in vain until %s", what)
		}
	}
}

// gone tells whether a process has ended and somebody has taken its status.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// number reads the number of a process.
func number(tb testing.TB, text string) int {
	tb.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || pid <= 1 {
		tb.Fatalf("no number of a process: %q", text)
	}
	return pid
}

// kill ends a process that a command has left.
func kill(tb testing.TB, pid int) {
	tb.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = errors.Join(p.Kill(), p.Release())
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Error(err)
	}
}
