//go:build linux

package command_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

// stubborn ignores SIGTERM, and says so.
const stubborn = "trap '' TERM; echo ready; while read line; do :; done"

// TestTimeout: a command that takes too long gets SIGTERM.
func TestTimeout(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var ends exits
	p := start(t, loop, exec.Command("cat"), command.Config{
		Input: true, Exit: ends.exit, Timeout: 20 * time.Millisecond, KillDelay: looptest.Patience,
	})
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Killed, 0, syscall.SIGTERM)
	if !p.TimedOut() {
		t.Error("it has not timed out")
	}
}

// TestTimeoutKills: one that ignores it gets SIGKILL.
func TestTimeoutKills(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    command.Config
		stop func(p *command.Process)
	}{
		{"Timeout", command.Config{Timeout: time.Millisecond, KillDelay: 20 * time.Millisecond}, nil},
		{"no delay", command.Config{Timeout: time.Millisecond, KillDelay: -1}, nil},
		{"Stop", command.Config{}, func(p *command.Process) { p.Stop(20 * time.Millisecond) }},
		{"Stop at once", command.Config{}, func(p *command.Process) { p.Stop(0) }},
		{"Stop, later at once", command.Config{}, func(p *command.Process) {
			p.Stop(looptest.Patience)
			p.Stop(10 * time.Millisecond)
			p.Stop(2 * looptest.Patience)
		}},
		{"Stop and Timeout", command.Config{Timeout: time.Millisecond, KillDelay: 10 * time.Millisecond}, func(p *command.Process) {
			p.Stop(looptest.Patience)
		}},
		{"group", command.Config{Group: true}, func(p *command.Process) { p.Stop(10 * time.Millisecond) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fdtest.Check(t)
			loop, log := looptest.New(t)
			var ends exits
			var p *command.Process
			c := tt.c
			c.Input, c.Exit = true, ends.exit
			// The command's first line is awaited before the loop runs, so that no signal comes before it ignores them.
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := shell(stubborn)
			cmd.Stdout = w
			p = start(t, loop, cmd, c)
			_ = w.Close()
			if line, err := io.ReadAll(io.LimitReader(r, 6)); string(line) != "ready\n" || err != nil {
				t.Fatalf("it wrote %q, %v", line, err)
			}
			_ = r.Close()
			if tt.stop != nil {
				tt.stop(p)
			}
			looptest.Run(t, loop)
			ends.expect(t, procwatch.Killed, 0, syscall.SIGKILL)
			if p.TimedOut() != (c.Timeout > 0) || len(log.Records()) > 0 {
				t.Errorf("timed out: %v; logged: %q", p.TimedOut(), log.Records())
			}
			p.Stop(0) // means nothing any more
		})
	}
}

// TestStopEnds: a command that ends in time is not killed.
func TestStopEnds(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var ends exits
	var p *command.Process
	out := lines(func(line string) error {
		if line == "ready" {
			p.Stop(looptest.Patience)
		}
		return nil
	})
	p = start(t, loop, shell("trap 'exit 7' TERM; echo ready; while :; do read line; done"), command.Config{Input: true, Stdout: out, Exit: ends.exit})
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 7, 0)
}

// TestStopTwice: there is one SIGTERM, however often a command is stopped.
func TestStopTwice(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var got []string
	var p *command.Process
	out := lines(func(line string) error {
		switch got = append(got, line); line {
		case "ready":
			p.Stop(looptest.Patience)
		case "term":
			p.Stop(looptest.Patience)
			fmt.Fprintln(p.Stdin(), "text")
		case "text":
			p.Stop(0)
		}
		return nil
	})
	p = start(t, loop, shell("trap 'echo term' TERM; echo ready; while :; do if read line; then echo $line; fi; done"), command.Config{Input: true, Stdout: out})
	looptest.Run(t, loop)
	if want := []string{"ready", "term", "text"}; !slices.Equal(got, want) {
		t.Errorf("it wrote %q, want %q", got, want)
	}
}

func TestSignal(t *testing.T) {
	for _, group := range []bool{false, true} {
		t.Run(fmt.Sprint("group ", group), func(t *testing.T) {
			fdtest.Check(t)
			loop, _ := looptest.New(t)
			var ends exits
			var p *command.Process
			exit := func(_ *command.Process, e procwatch.Event) error {
				if err := p.Signal(syscall.SIGUSR1); err != os.ErrProcessDone { //nolint:errorlint // the sentinel itself
					t.Errorf("a signal after the end: %v", err)
				}
				return ends.exit(p, e)
			}
			p = start(t, loop, exec.Command("cat"), command.Config{Input: true, Group: group, Exit: exit})
			if err := p.Signal(12345); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("a signal that there is none: %v", err)
			}
			for _, sig := range []syscall.Signal{0, syscall.SIGSTOP, syscall.SIGCONT, syscall.SIGUSR1} {
				if err := p.Signal(sig); err != nil {
					t.Errorf("signal %d: %v", sig, err)
				}
			}
			looptest.Run(t, loop)
			ends.expect(t, procwatch.Killed, 0, syscall.SIGUSR1)
		})
	}
}

// TestGroup: a signal goes to what the command has started too. That its output ends says that all have ended.
func TestGroup(t *testing.T) {
	for name, attr := range map[string]*syscall.SysProcAttr{"plain": nil, "session": {Setsid: true}, "other": {Pgid: 1}} {
		t.Run(name, func(t *testing.T) {
			fdtest.Check(t)
			loop, _ := looptest.New(t)
			var ends exits
			var p *command.Process
			ready := 0
			out := lines(func(string) error {
				if ready++; ready == 2 {
					p.Stop(looptest.Patience)
				}
				return nil
			})
			cmd := shell("sh -c 'echo ready; while :; do sleep 1; done' & echo ready; wait")
			cmd.SysProcAttr = attr
			p = start(t, loop, cmd, command.Config{Stdout: out, Group: true, WaitDelay: looptest.Patience, Exit: ends.exit})
			looptest.Run(t, loop)
			ends.expect(t, procwatch.Killed, 0, syscall.SIGTERM)
			if attr != nil && attr.Setpgid {
				t.Error("the caller's attributes were changed")
			}
		})
	}
}

// TestGrandchild holds the output for longer than is waited for.
func TestGrandchild(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var out output
	var ends exits
	closed := 0
	exit := func(p *command.Process, e procwatch.Event) error {
		closed = out.closed
		return ends.exit(p, e)
	}
	start(t, loop, shell("sleep 100 & echo $!; exit 3"), command.Config{Stdout: &out, WaitDelay: 50 * time.Millisecond, Exit: exit})
	looptest.Run(t, loop)
	pid := number(t, out.String())
	kill(t, pid)
	ends.expect(t, procwatch.Exited, 3, 0)
	out.expect(t, fmt.Sprintln(pid), command.ErrWaitDelay)
	if closed != 1 {
		t.Errorf("at Exit the output was closed %d times", closed)
	}
}

// TestLate: what a grandchild writes in time comes before Exit.
func TestLate(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out output
	var ends exits
	cmd := shell("{ cat <&3; echo late; } & exit 3")
	cmd.ExtraFiles = []*os.File{r}
	atEnd := ""
	exit := func(p *command.Process, e procwatch.Event) error {
		atEnd = out.String()
		return ends.exit(p, e)
	}
	p := start(t, loop, cmd, command.Config{Stdout: &out, WaitDelay: looptest.Patience, Exit: exit})
	_, err = timer.Every(loop, time.Millisecond, func(tick *timer.Timer, _ int) error {
		if !p.Running() {
			tick.Stop()
			if len(ends) > 0 {
				t.Error("Exit was called while the output was open")
			}
			_ = w.Close()
		}
		return nil
	}, communicator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 3, 0)
	out.expect(t, "late\n", nil)
	if atEnd != "late\n" {
		t.Errorf("at Exit the output was %q", atEnd)
	}
}

// TestNoWait: with a negative delay nobody waits.
func TestNoWait(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out output
	var ends exits
	cmd := shell("cat <&3 & exit 3")
	cmd.ExtraFiles = []*os.File{r}
	start(t, loop, cmd, command.Config{Stdout: &out, WaitDelay: -1, Exit: ends.exit})
	looptest.Run(t, loop)
	_ = w.Close() // the grandchild ends
	ends.expect(t, procwatch.Exited, 3, 0)
	out.expect(t, "", command.ErrWaitDelay)
}

// TestShutdown: a command is told to end, and Run waits for it.
func TestShutdown(t *testing.T) {
	fdtest.Check(t)
	loop, log := looptest.New(t)
	var ends exits
	out := lines(func(string) error {
		loop.Shutdown(looptest.Patience)
		return nil
	})
	cmd := shell("sleep 100 >&- & trap 'kill $!; exit 5' TERM; echo ready; wait")
	start(t, loop, cmd, command.Config{Stdout: out, Exit: ends.exit})
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 5, 0)
	if len(log.Records()) > 0 {
		t.Errorf("logged: %q", log.Records())
	}
}

// TestShutdownKills: one that doesn't end is killed, by its own delay or by the limit.
func TestShutdownKills(t *testing.T) {
	for _, c := range []command.Config{{KillDelay: 10 * time.Millisecond}, {KillDelay: 2 * looptest.Patience}} {
		t.Run(c.KillDelay.String(), func(t *testing.T) {
			fdtest.Check(t)
			loop, _ := looptest.New(t)
			var ends exits
			limit := looptest.Patience
			if c.KillDelay > limit {
				limit = 50 * time.Millisecond
			}
			c.Exit = ends.exit
			c.Stdout = lines(func(string) error {
				loop.Shutdown(limit)
				return nil
			})
			p := start(t, loop, shell("trap '' TERM; echo ready; exec sleep 100"), c)
			err := loop.Run(context.Background())
			if limit == looptest.Patience {
				ends.expect(t, procwatch.Killed, 0, syscall.SIGKILL)
			} else if !errors.Is(err, communicator.ErrShutdownTimeout) || len(ends) != 0 {
				t.Errorf("Run: %v; the ends: %v", err, ends)
			}
			await(t, "the process is gone", func() bool { return gone(p.PID()) })
		})
	}
}

// TestLoopEnds: the command is killed, and no zombie is left.
func TestLoopEnds(t *testing.T) {
	for _, group := range []bool{false, true} {
		t.Run(fmt.Sprint("group ", group), func(t *testing.T) {
			fdtest.Check(t)
			loop, _ := looptest.New(t)
			var out output
			var ends exits
			p := start(t, loop, exec.Command("sleep", "100"), command.Config{Input: true, Stdout: &out, Group: group, Exit: ends.exit})
			loop.Stop(nil)
			looptest.Run(t, loop)
			await(t, "the process is gone", func() bool { return gone(p.PID()) })
			if len(ends) > 0 || p.Running() {
				t.Errorf("%d ends, running: %v", len(ends), p.Running())
			}
			out.expect(t, "", communicator.ErrClosed)
		})
	}
}

// TestLeave: the command goes on, and is nobody's any more.
func TestLeave(t *testing.T) {
	for _, how := range []string{"Stop", "Shutdown"} {
		t.Run(how, func(t *testing.T) {
			fdtest.Check(t)
			loop, _ := looptest.New(t)
			var ends exits
			cmd := exec.Command("sleep", "100")
			p := start(t, loop, cmd, command.Config{Leave: true, Exit: ends.exit})
			if how == "Stop" {
				loop.Stop(nil)
			} else {
				_ = loop.Post(func() { loop.Shutdown(looptest.Patience) })
			}
			looptest.Run(t, loop)
			if err := p.Signal(0); !errors.Is(err, procwatch.ErrClosed) || p.Running() {
				t.Errorf("Signal: %v; running: %v", err, p.Running())
			}
			p.Stop(0) // means nothing any more
			if err := p.Signal(0); errors.Is(err, os.ErrProcessDone) {
				t.Error("it is said to have ended")
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			if state, err := cmd.Process.Wait(); err != nil || state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Errorf("it ended with %v, %v", state, err)
			}
			if len(ends) > 0 {
				t.Errorf("its end was told: %v", ends)
			}
		})
	}
}
