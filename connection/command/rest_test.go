//go:build linux

package command_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// leader leaves a process behind that ignores SIGTERM and holds the output, when it ends by itself or by SIGTERM.
const leader = "trap 'exit 4' TERM; (trap '' TERM; echo ready >&2; exec sleep 100) & read line; exit 3"

// TestKillRest: what a command leaves behind in its group is killed. That the output ends says that it has gone.
func TestKillRest(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		t.Run(fmt.Sprint("stopped ", stopped), func(t *testing.T) {
			fdtest.Check(t)
			loop, log := looptest.New(t)
			var out output
			var ends exits
			var p *command.Process
			errs := lines(func(string) error { // the process is there, and ignores SIGTERM
				if stopped {
					p.Stop(looptest.Patience)
				}
				p.Stdin().Close()
				return nil
			})
			p = start(t, loop, shell(leader), command.Config{
				Input: true, Stdout: &out, Stderr: errs, Group: true, KillRest: true, WaitDelay: 10 * looptest.Patience, Exit: ends.exit,
			})
			looptest.Run(t, loop)
			if len(ends) != 1 || ends[0].Kind != procwatch.Exited || ends[0].Code != 3 && !(stopped && ends[0].Code == 4) {
				t.Errorf("the ends: %v", ends) // when it is stopped, its input may still end first
			}
			out.expect(t, "", nil)
			if len(log.Records()) > 0 {
				t.Errorf("logged: %q", log.Records())
			}
		})
	}
}

// TestKillRestAlone: without a group nothing else is killed, and nothing goes wrong when nothing is left.
func TestKillRestAlone(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var ends exits
	var out output
	cmd, end := holder(t, "exit 3")
	late := func(p *command.Process, e procwatch.Event) error {
		_ = end.Close()
		return ends.exit(p, e)
	}
	start(t, loop, cmd, command.Config{Stdout: &out, KillRest: true, WaitDelay: -1, Exit: late})
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 3, 0)
	out.expect(t, "", command.ErrWaitDelay) // it was still held
	loop, log := looptest.New(t)
	start(t, loop, shell("exit 5"), command.Config{Group: true, KillRest: true, Exit: ends.exit})
	looptest.Run(t, loop)
	if len(ends) != 2 || ends[1].Code != 5 || len(log.Records()) > 0 {
		t.Errorf("ends %v, logged %q", ends, log.Records())
	}
}

// TestGroupReaped: when somebody else has taken the command's status its group gets no signal any more.
func TestGroupReaped(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var out output
	var ends exits
	cmd, end := holder(t, "echo ready >&2; wait")
	var p *command.Process
	errs := lines(func(string) error {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		if _, err := syscall.Wait4(p.PID(), nil, 0, nil); err != nil {
			t.Error(err)
		}
		if err := syscall.Kill(-p.PID(), 0); err != nil {
			t.Errorf("the rest of the group: %v", err)
		}
		for _, sig := range []syscall.Signal{0, syscall.SIGKILL} {
			if err := p.Signal(sig); err != os.ErrProcessDone { //nolint:errorlint // the sentinel itself
				t.Errorf("signal %d: %v", sig, err)
			}
		}
		p.Stop(0)
		if _, err := fmt.Fprint(end, "alive"); err != nil {
			t.Error(err)
		}
		return end.Close()
	})
	p = start(t, loop, cmd, command.Config{
		Stdout: &out, Stderr: errs, Group: true, KillRest: true, WaitDelay: 10 * looptest.Patience, Exit: ends.exit,
	})
	looptest.Run(t, loop)
	_ = cmd.Process.Release()
	ends.expect(t, procwatch.Gone, 0, 0)
	out.expect(t, "alive", nil)
}
