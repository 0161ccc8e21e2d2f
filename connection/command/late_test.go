//go:build linux

package command_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// holder runs a script that leaves its output open with a process which ends when the end of the pipe is closed.
func holder(tb testing.TB, script string) (cmd *exec.Cmd, end *os.File) {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _, _ = r.Close(), w.Close() })
	cmd = shell("cat <&3 & " + script)
	cmd.ExtraFiles = []*os.File{r}
	return cmd, w
}

// afterEnd calls f when the command has ended, and the loop has had some turns to do what it does then.
func afterEnd(loop *communicator.Communicator, p *command.Process, f func()) {
	turns := 0
	var wait func()
	wait = func() {
		if !p.Running() {
			turns++
		}
		if turns == 20 {
			f()
			return
		}
		_ = loop.Post(wait)
	}
	_ = loop.Post(wait)
}

// TestPausedLate: WaitDelay is over, but what has been written waits for a stream that is paused or disabled.
func TestPausedLate(t *testing.T) {
	for _, how := range []string{"Pause", "SetEnabled"} {
		for _, held := range []bool{false, true} {
			t.Run(fmt.Sprint(how, " ", held), func(t *testing.T) {
				fdtest.Check(t)
				loop, _ := looptest.New(t)
				const script = "head -c 4096 /dev/zero; exit 3"
				cmd := shell(script)
				if held {
					cmd, _ = holder(t, script)
				}
				var out output
				var ends exits
				p := start(t, loop, cmd, command.Config{Stdout: &out, WaitDelay: -1, Exit: ends.exit})
				if how == "Pause" {
					p.Stdout().Pause()
				} else {
					p.Stdout().Handle().SetEnabled(false)
				}
				afterEnd(loop, p, func() {
					if out.Len() > 0 || out.closed > 0 || len(ends) > 0 {
						t.Errorf("%d bytes, closed %d times, %d ends", out.Len(), out.closed, len(ends))
					}
					p.Stdout().Resume()
					p.Stdout().Handle().SetEnabled(true)
				})
				looptest.Run(t, loop)
				ends.expect(t, procwatch.Exited, 3, 0)
				var cause error
				if held {
					cause = command.ErrWaitDelay
				}
				out.expect(t, strings.Repeat("\x00", 4096), cause)
			})
		}
	}
}

// TestPausedLines: a handler that pauses after each line gets all of them.
func TestPausedLines(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	cmd, _ := holder(t, "echo 1; echo 2; echo 3; exit 3")
	var got []string
	var ends exits
	var p *command.Process
	out := lines(func(line string) error {
		got = append(got, line)
		p.Stdout().Pause()
		afterEnd(loop, p, p.Stdout().Resume)
		return nil
	})
	p = start(t, loop, cmd, command.Config{Stdout: out, WaitDelay: -1, Exit: ends.exit})
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 3, 0)
	if want := []string{"1", "2", "3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestEndless: an output that never ends is cut all the same.
func TestEndless(t *testing.T) {
	for _, delay := range []time.Duration{-1, 20 * time.Millisecond} {
		fdtest.Check(t)
		loop, _ := looptest.New(t)
		var out, errs output
		var ends exits
		start(t, loop, shell("yes & echo words >&2; exit 3"), command.Config{Stdout: &out, Stderr: &errs, WaitDelay: delay, Exit: ends.exit})
		looptest.Run(t, loop)
		ends.expect(t, procwatch.Exited, 3, 0)
		text := out.String()
		out.expect(t, text, command.ErrWaitDelay)
		if errs.String() != "words\n" || errs.closed != 1 { // with whatever cause: it dies of the other's end
			t.Errorf("the other output is %q, closed %d times", errs.String(), errs.closed)
		}
	}
}
