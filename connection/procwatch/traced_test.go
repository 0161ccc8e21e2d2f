//go:build linux

package procwatch_test

import (
	"bufio"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// trace is a debugger: it traces a process until its standard input ends, and never looks at it.
func trace() error {
	runtime.LockOSThread()
	pid, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	if _, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, err := os.Stdout.WriteString("traced\n"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// TestTraced: a child whose end goes to its tracer first blocks nobody, and is told of when the tracer lets it go.
func TestTraced(t *testing.T) {
	loop, _ := looptest.New(t)
	p, _ := sleeper(t)
	tracer := role(t, "trace", strconv.Itoa(p.Pid))
	in, err := tracer.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := tracer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, tracer)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "traced\n" {
		t.Skipf("a process can't be traced here: %q, %v", line, err)
	}
	began, released := time.Now(), false
	var got []procwatch.Event
	w := child(t, loop, p, func(_ *procwatch.Watch, e procwatch.Event) error {
		if got = append(got, e); !released {
			t.Errorf("told while it is traced: %v", e)
		}
		return nil
	}, procwatch.Options{})
	if err := w.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := procwatch.PID(loop, p.Pid, func(*procwatch.Watch, procwatch.Event) error {
		released = true
		return in.Close()
	}, procwatch.Options{}); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if len(got) != 1 || got[0].Kind != procwatch.Killed || got[0].Signal != syscall.SIGKILL {
		t.Errorf("got %v", got)
	}
	// It is looked at every 10 ms, with two callbacks.
	if calls, took := loop.Stats().Callbacks, time.Since(began); calls > 10+2*uint64(took/(10*time.Millisecond)) {
		t.Errorf("%d callbacks in %v", calls, took)
	}
}
