//go:build linux

package signals_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// window is how long after a signal that counts Terminate takes another for the same.
const window = 100 * time.Millisecond

// slow is a source that shuts down when it is told to by a line of input.
type slow struct{ handle *communicator.Handle }

func (*slow) FD() int                                  { return communicator.NoFD }
func (*slow) HandleTimeout(*communicator.Handle) error { return nil }
func (*slow) HandleShutdown(*communicator.Handle)      { fmt.Println("asked to end") }

// childTerminate ends in order when a line comes in. Signals within that time count as one.
func childTerminate(t *testing.T, loop *communicator.Communicator, within time.Duration) {
	work := &slow{}
	var err error
	if work.handle, err = loop.Add(work, communicator.Options{}); err != nil {
		t.Fatal(err)
	}
	came := make(chan os.Signal, 8)
	first := func(sig os.Signal) {
		fmt.Println("first", sig)
		switch within {
		case window: // it has begun before now
			over := func(*timer.Timer) error { fmt.Println("over"); return nil }
			if _, err := timer.After(loop, window, over, communicator.Options{Background: true}); err != nil {
				t.Error(err)
			}
		case time.Hour:
			signal.Notify(came, syscall.SIGTERM, syscall.SIGINT)
		}
	}
	s, err := signals.Terminate(loop, looptest.Patience, first, communicator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if old := s.SetWindow(within); old != window {
		t.Errorf("signals within %v count as one", old)
	}
	input := communicator.ReadFunc(int(os.Stdin.Fd()), func(h *communicator.Handle) error {
		work.handle.Remove(nil)
		h.Remove(nil)
		return nil
	})
	if _, err := loop.Add(input, communicator.Options{Background: true}); err != nil {
		t.Fatal(err)
	}
	var telling sync.WaitGroup
	telling.Go(func() {
		for sig := range came {
			fmt.Println("came", sig)
		}
	})
	_ = loop.Post(func() { fmt.Println("ready:", s.Handle().Name()) })
	err = loop.Run(t.Context())
	signal.Stop(came)
	close(came)
	telling.Wait()
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
	t.Run("again", func(t *testing.T) { // what comes soon after the first is none of its own
		fdtest.Check(t)
		c := start(t, "terminate, again", "")
		c.says(both)
		c.send(syscall.SIGTERM)
		c.says("first terminated")
		c.says("asked to end")
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
			c.send(sig)
			c.says("came " + sig.String())
		}
		fmt.Fprintln(c.stdin, "end")
		c.says("Run: <nil>")
		c.ends(0)
	})
	t.Run("over", func(t *testing.T) {
		fdtest.Check(t)
		c := start(t, "terminate, over", "")
		c.says(both)
		c.send(syscall.SIGTERM)
		c.says("first terminated")
		c.says("asked to end")
		c.says("over")
		c.send(syscall.SIGTERM)
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

// childStuck says of each signal that it has come, while the loop is in a callback that doesn't end, and answers lines,
// after a window if there is one.
func childStuck(t *testing.T, loop *communicator.Communicator, within time.Duration) {
	s, err := signals.Terminate(loop, time.Minute, nil, communicator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan os.Signal, 8)
	if within == 0 {
		s.SetWindow(0)
		signal.Notify(came, syscall.SIGTERM, syscall.SIGINT)
	}
	go func() {
		for sig := range came {
			fmt.Println("came", sig)
		}
	}()
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			<-time.After(within)
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

// TestTerminateStuckAgain: so does the third that counts, if they come in pairs.
func TestTerminateStuckAgain(t *testing.T) {
	fdtest.Check(t)
	c := start(t, "stuck, again", "")
	c.says("stuck")
	rounds := 0
	for ended := false; !ended; ended = !c.lines.Scan() {
		rounds++
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} { // two that the kernel doesn't make one of
			if err := c.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
		fmt.Fprintln(c.stdin, rounds)
	}
	if rounds < 3 { // more only if the process got no time to count
		t.Errorf("it ended in round %d", rounds)
	}
	c.ends(syscall.SIGTERM, syscall.SIGINT)
}
