//go:build linux

package command_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestFinish: at a shutdown the command gets no signal, but the end of its input.
func TestFinish(t *testing.T) {
	fdtest.Check(t)
	loop, log := looptest.New(t)
	var ends exits
	var p *command.Process
	words := ""
	out := lines(func(line string) error {
		if words += line + " "; line == "ready" {
			fmt.Fprintln(p.Stdin(), "text")
			loop.Shutdown(looptest.Patience)
		}
		return nil
	})
	cmd := shell("trap 'echo term; exit 9' TERM; echo ready; cat; echo finished; exit 5")
	p = start(t, loop, cmd, command.Config{Input: true, Stdout: out, Finish: true, Exit: ends.exit})
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 5, 0)
	if words != "ready text finished " || len(log.Records()) > 0 {
		t.Errorf("it wrote %q; logged: %q", words, log.Records())
	}
}

// TestFinishTimeout: the command's own limit still counts.
func TestFinishTimeout(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var ends exits
	p := start(t, loop, exec.Command("sleep", "100"), command.Config{
		Finish: true, Timeout: 20 * time.Millisecond, KillDelay: -1, Exit: ends.exit,
	})
	_ = loop.Post(func() { loop.Shutdown(looptest.Patience) })
	looptest.Run(t, loop)
	if len(ends) != 1 || !p.TimedOut() {
		t.Errorf("ends %v, timed out: %v", ends, p.TimedOut())
	}
}

// TestFinishLimit: when the shutdown takes too long the command is killed, or left alone.
func TestFinishLimit(t *testing.T) {
	for _, leave := range []bool{false, true} {
		t.Run(fmt.Sprint("leave ", leave), func(t *testing.T) {
			fdtest.Check(t)
			loop, _ := looptest.New(t)
			var ends exits
			cmd := exec.Command("sleep", "100")
			p := start(t, loop, cmd, command.Config{Finish: true, Leave: leave, Exit: ends.exit})
			_ = loop.Post(func() { loop.Shutdown(20 * time.Millisecond) })
			if err := loop.Run(context.Background()); !errors.Is(err, communicator.ErrShutdownTimeout) || len(ends) > 0 {
				t.Errorf("Run: %v; ends %v", err, ends)
			}
			if leave {
				if err := p.Signal(0); !errors.Is(err, procwatch.ErrClosed) {
					t.Errorf("Signal: %v", err)
				}
				if err := cmd.Process.Kill(); err != nil { // it is still there
					t.Error(err)
				}
				_, _ = cmd.Process.Wait()
			}
			await(t, "the process is gone", func() bool { return gone(p.PID()) })
		})
	}
}
