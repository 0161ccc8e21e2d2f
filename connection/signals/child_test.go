//go:build linux

package signals_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// kindVariable says in the environment which child this process is; see TestChild.
const kindVariable = "SIGNALS_TEST_CHILD"

// child is a process that may be ended by a signal. It writes lines that the test waits for.
type child struct {
	*exec.Cmd
	tb    testing.TB
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// start runs TestChild in a process of its own, by way of a shell that runs prepare before.
func start(tb testing.TB, kind, prepare string) *child {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), looptest.Patience)
	tb.Cleanup(cancel)
	c := &child{tb: tb, Cmd: exec.CommandContext(ctx, "/bin/sh", "-c", prepare+` exec "$0" "$@"`,
		self, "-test.run=^TestChild$", "-test.timeout="+looptest.Patience.String())}
	c.Env = append(os.Environ(), kindVariable+"="+kind, "GORACE=atexit_sleep_ms=0")
	c.Stderr = os.Stderr
	if c.stdin, err = c.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	c.lines = bufio.NewScanner(stdout)
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	return c
}

// says waits for a line.
func (c *child) says(want string) {
	c.tb.Helper()
	if !c.lines.Scan() || c.lines.Text() != want {
		c.tb.Errorf("the child says %q (%v), want %q", c.lines.Text(), c.lines.Err(), want)
	}
}

func (c *child) send(sig syscall.Signal) {
	c.tb.Helper()
	if err := c.Process.Signal(sig); err != nil {
		c.tb.Errorf("%v: %v", sig, err)
	}
}

// ends waits for the end of the process: by a signal, or with status 0 if that is 0.
func (c *child) ends(want syscall.Signal) {
	c.tb.Helper()
	for c.lines.Scan() {
		if text := c.lines.Text(); text != "PASS" && !strings.HasPrefix(text, "coverage:") {
			c.tb.Errorf("the child says %q at the end", text)
		}
	}
	err := c.Wait()
	status := c.ProcessState.Sys().(syscall.WaitStatus)
	if want == 0 && err != nil || want != 0 && (!status.Signaled() || status.Signal() != want) {
		c.tb.Errorf("the child has ended: %v, want signal %d", c.ProcessState, want)
	}
}

// TestChild does nothing by itself: other tests run it in a process of its own.
func TestChild(t *testing.T) {
	if run := children[os.Getenv(kindVariable)]; run != nil {
		run(t, looptest.NewLogging(t, slog.DiscardHandler))
	}
}

var children = map[string]func(*testing.T, *communicator.Communicator){
	"given back":   childGivenBack,
	"terminate":    childTerminate,
	"stuck":        childStuck,
	"after hangup": childHangup,
}

// forever waits for the signal that ends the process.
func forever() { select {} }

func childGivenBack(t *testing.T, loop *communicator.Communicator) {
	var s *signals.Signals
	s = notify(t, loop, func(sig os.Signal, _ int) error {
		fmt.Println("got", sig)
		s.Close()
		return nil
	}, syscall.SIGTERM)
	_ = loop.Post(func() { fmt.Println("ready") })
	looptest.Run(t, loop)
	fmt.Println("closed")
	forever()
}

// TestGivesBack: while the source is there SIGTERM doesn't end the process, afterwards it does.
func TestGivesBack(t *testing.T) {
	fdtest.Check(t)
	c := start(t, "given back", "")
	c.says("ready")
	c.send(syscall.SIGTERM)
	c.says("got terminated")
	c.says("closed")
	c.send(syscall.SIGTERM)
	c.ends(syscall.SIGTERM)
}

// slow is a source that shuts down when it is told to by a line of input.
type slow struct{ handle *communicator.Handle }

func (*slow) FD() int                                  { return communicator.NoFD }
func (*slow) HandleTimeout(*communicator.Handle) error { return nil }
func (*slow) HandleShutdown(*communicator.Handle)      { fmt.Println("asked to end") }

// childTerminate ends in order when a line comes in.
func childTerminate(t *testing.T, loop *communicator.Communicator) {
	work := &slow{}
	var err error
	if work.handle, err = loop.Add(work, communicator.Options{}); err != nil {
		t.Fatal(err)
	}
	first := func(sig os.Signal) { fmt.Println("first", sig) }
	s, err := signals.Terminate(loop, looptest.Patience, first, communicator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	input := communicator.ReadFunc(int(os.Stdin.Fd()), func(h *communicator.Handle) error {
		work.handle.Remove(nil)
		h.Remove(nil)
		return nil
	})
	if _, err := loop.Add(input, communicator.Options{Background: true}); err != nil {
		t.Fatal(err)
	}
	_ = loop.Post(func() { fmt.Println("ready:", s.Handle().Name()) })
	err = loop.Run(t.Context())
	fmt.Println("Run:", err)
	if err != nil && !errors.Is(err, signals.ErrInterrupted) {
		t.Error(err)
	}
	if s.Handle().Active() {
		t.Error("still in the loop")
	}
}

func TestTerminate(t *testing.T) {
	const both = "ready: signals terminated, interrupt"
	interrupted := "Run: " + signals.ErrInterrupted.Error()
	t.Run("first", func(t *testing.T) {
		fdtest.Check(t)
		c := start(t, "terminate", "")
		c.says(both)
		c.send(syscall.SIGTERM)
		c.says("first terminated")
		c.says("asked to end")
		fmt.Fprintln(c.stdin, "end")
		c.says("Run: <nil>")
		c.ends(0)
	})
	t.Run("second", func(t *testing.T) {
		fdtest.Check(t)
		c := start(t, "terminate", "")
		c.says(both)
		c.send(syscall.SIGINT)
		c.says("first interrupt")
		c.says("asked to end")
		c.send(syscall.SIGTERM) // either will do
		c.says(interrupted)
		c.ends(0)
	})
	t.Run("ignored", func(t *testing.T) {
		fdtest.Check(t)
		c := start(t, "terminate", "trap '' INT;")
		c.says("ready: signals terminated")
		c.send(syscall.SIGINT)
		c.send(syscall.SIGINT)
		c.send(syscall.SIGTERM)
		c.says("first terminated")
		c.says("asked to end")
		c.send(syscall.SIGINT)
		c.send(syscall.SIGTERM)
		c.says(interrupted)
		c.ends(0)
	})
}

// childStuck says of each signal that it has come, while the loop is in a callback that doesn't end.
func childStuck(t *testing.T, loop *communicator.Communicator) {
	if _, err := signals.Terminate(loop, time.Minute, nil, communicator.Options{}); err != nil {
		t.Fatal(err)
	}
	came := make(chan os.Signal, 8)
	signal.Notify(came, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for sig := range came {
			fmt.Println("came", sig)
		}
	}()
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Println("heard", in.Text())
		}
	}()
	_ = loop.Post(func() {
		fmt.Println("stuck")
		forever()
	})
	t.Error(loop.Run(t.Context()))
}

// TestTerminateStuck: with a loop that doesn't take signals the third one ends the process, although somebody else has
// asked for it, too.
func TestTerminateStuck(t *testing.T) {
	fdtest.Check(t)
	c := start(t, "stuck", "")
	c.says("stuck")
	for i, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		c.send(sig)
		c.says("came " + sig.String())
		fmt.Fprintln(c.stdin, i)
		c.says(fmt.Sprint("heard ", i))
	}
	c.send(syscall.SIGINT)
	for c.lines.Scan() { // it may still say that the third has come
		if c.lines.Text() != "came interrupt" {
			t.Errorf("the child says %q", c.lines.Text())
		}
	}
	c.ends(syscall.SIGINT)
}

var errConfig = errors.New("no such file")

// childHangup has a hook that fails the first time, and a shutdown that doesn't end.
func childHangup(t *testing.T, loop *communicator.Communicator) {
	if _, err := loop.Add(&slow{}, communicator.Options{}); err != nil {
		t.Fatal(err)
	}
	calls := 0
	hook := func() error {
		calls++
		fmt.Println("read again", calls)
		if calls == 1 {
			return errConfig
		}
		return nil
	}
	if _, err := signals.Hangup(loop, hook, communicator.Options{Name: "reload"}); err != nil {
		t.Fatal(err)
	}
	if _, err := signals.Terminate(loop, looptest.Patience, nil, communicator.Options{}); err != nil {
		t.Fatal(err)
	}
	_ = loop.Post(func() { fmt.Println("ready") })
	fmt.Println("Run:", loop.Run(t.Context()))
}

// TestHangupStays: the hook outlives an error, and the process a SIGHUP while it shuts down.
func TestHangupStays(t *testing.T) {
	fdtest.Check(t)
	c := start(t, "after hangup", "")
	c.says("ready")
	c.send(syscall.SIGHUP)
	c.says("read again 1")
	c.send(syscall.SIGHUP)
	c.says("read again 2")
	c.send(syscall.SIGTERM)
	c.says("asked to end")
	c.send(syscall.SIGHUP) // no call any more
	c.send(syscall.SIGINT)
	c.says("Run: " + signals.ErrInterrupted.Error())
	c.ends(0)
}
