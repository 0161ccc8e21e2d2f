//go:build linux

package command_test

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestShutdownFull: a shutdown needs no descriptor; the command ends in its own way, and can be stopped meanwhile.
func TestShutdownFull(t *testing.T) {
	fdtest.Check(t)
	loop, log := looptest.New(t)
	var ends exits
	var p *command.Process
	words := ""
	giveBack := func() {}
	out := lines(func(line string) error {
		if words += line + " "; line != "ready" {
			return nil
		}
		giveBack = only(t, 0)
		loop.Shutdown(looptest.Patience)
		p.Stop(looptest.Patience)
		if err := p.Signal(0); err != nil {
			t.Errorf("Signal: %v", err)
		}
		return nil
	})
	exit := func(p *command.Process, e procwatch.Event) error {
		giveBack()
		return ends.exit(p, e)
	}
	cmd := shell("sleep 100 >&- & trap 'kill $!; echo term; exit 5' TERM; echo ready; wait")
	p = start(t, loop, cmd, command.Config{Stdout: out, Exit: exit, KillDelay: looptest.Patience})
	looptest.Run(t, loop)
	giveBack()
	ends.expect(t, procwatch.Exited, 5, 0)
	if words != "ready term " || len(log.Records()) > 0 {
		t.Errorf("it wrote %q; logged: %q", words, log.Records())
	}
}

// TestShutdownReaped: somebody else has waited for the command, and nobody has seen it yet.
func TestShutdownReaped(t *testing.T) {
	for _, group := range []bool{false, true} {
		fdtest.Check(t)
		loop, log := looptest.New(t)
		var ends exits
		cmd := exec.Command("cat")
		p := start(t, loop, cmd, command.Config{Input: true, Group: group, Exit: ends.exit})
		_ = loop.Post(func() {
			_ = cmd.Process.Kill()
			if _, err := syscall.Wait4(p.PID(), nil, 0, nil); err != nil {
				t.Error(err)
			}
			loop.Shutdown(looptest.Patience)
		})
		looptest.Run(t, loop)
		_ = cmd.Process.Release()
		ends.expect(t, procwatch.Gone, 0, 0)
		if len(ends) == 1 && !errors.Is(ends[0].Err, procwatch.ErrReaped) || len(log.Records()) > 0 {
			t.Errorf("the end is %v; logged: %q", ends, log.Records())
		}
	}
}

// TestHandle: the handle is that of the command and of the watch of its end, but not of its streams.
func TestHandle(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var ends exits
	var out output
	p := start(t, loop, shell("exit 3"), command.Config{Stdout: &out, Priority: 7, Exit: ends.exit})
	name := fmt.Sprint("sh ", p.PID())
	if p.Name() != "sh" || p.Handle().Name() != name || p.Handle().Priority() != 7 {
		t.Errorf("name %q, priority %d", p.Handle().Name(), p.Handle().Priority())
	}
	p.Handle().SetPriority(9)
	for _, info := range loop.Sources() {
		if want := map[string]int{name: 9, name + " process": 9, name + " stdout": 7}[info.Name]; info.Priority != want {
			t.Errorf("%s has the priority %d, want %d", info.Name, info.Priority, want)
		}
	}
	p.Handle().SetEnabled(false)
	var wait func()
	wait = func() {
		if out.closed == 0 {
			_ = loop.Post(wait)
			return
		}
		if !p.Running() || len(ends) > 0 {
			t.Errorf("running: %v, ends: %v", p.Running(), ends)
		}
		p.Handle().SetEnabled(true)
	}
	_ = loop.Post(wait)
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 3, 0)
}

// TestHandleRemoved: it is as if the loop ended.
func TestHandleRemoved(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var ends exits
	var out output
	p := start(t, loop, exec.Command("sleep", "100"), command.Config{Stdout: &out, Exit: ends.exit})
	_ = loop.Post(func() { p.Handle().Remove(nil) })
	looptest.Run(t, loop)
	await(t, "the process is gone", func() bool { return gone(p.PID()) })
	if len(ends) > 0 || p.Running() {
		t.Errorf("%d ends, running: %v", len(ends), p.Running())
	}
	out.expect(t, "", nil)
}

// TestInBackground: such a command lets Run return, and is killed then.
func TestInBackground(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	p := start(t, loop, exec.Command("sleep", "100"), command.Config{})
	p.Handle().SetBackground(true)
	looptest.Run(t, loop)
	await(t, "the process is gone", func() bool { return gone(p.PID()) })
	if err := p.Handle().Rebind(); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("it is in the loop: %v", err)
	}
}
