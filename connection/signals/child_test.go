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
	"slices"
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

// ends waits for the end of the process: by one of the signals, or with status 0 if that is 0.
func (c *child) ends(want ...syscall.Signal) {
	c.tb.Helper()
	for c.lines.Scan() {
		if text := c.lines.Text(); text != "PASS" && !strings.HasPrefix(text, "coverage:") {
			c.tb.Errorf("the child says %q at the end", text)
		}
	}
	err := c.Wait()
	status := c.ProcessState.Sys().(syscall.WaitStatus)
	if want[0] == 0 && err != nil || want[0] != 0 && (!status.Signaled() || !slices.Contains(want, status.Signal())) {
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
	"given back":       childGivenBack,
	"terminate":        func(t *testing.T, loop *communicator.Communicator) { childTerminate(t, loop, 0) },
	"terminate, again": func(t *testing.T, loop *communicator.Communicator) { childTerminate(t, loop, time.Hour) },
	"terminate, over":  func(t *testing.T, loop *communicator.Communicator) { childTerminate(t, loop, window) },
	"stuck":            func(t *testing.T, loop *communicator.Communicator) { childStuck(t, loop, 0) },
	"stuck, again":     func(t *testing.T, loop *communicator.Communicator) { childStuck(t, loop, window) },
	"after hangup":     childHangup,
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
	s, err := signals.Terminate(loop, looptest.Patience, nil, communicator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.SetWindow(0)
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
