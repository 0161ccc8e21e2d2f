//go:build linux

package procwatch_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func nothing(*procwatch.Watch, procwatch.Event) error { return nil }

// grandchild is a process that is no child of the test: it ends when its parent, a shell that waits for it, is
// told to by a closed pipe.
func grandchild(tb testing.TB) (pid int, end func()) {
	tb.Helper()
	c := exec.Command("sh", "-c", "exec 3<&0; cat <&3 >/dev/null & echo $!; exec <&- 3<&-; wait")
	in, err := c.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	start(tb, c)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		tb.Fatal(err)
	}
	return pid, func() { _ = in.Close() }
}

func TestPID(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	pid, end := grandchild(t)
	var got []procwatch.Event
	w, err := procwatch.PID(loop, pid, func(w *procwatch.Watch, e procwatch.Event) error {
		got = append(got, e)
		if err := w.Signal(0); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("Signal in the callback: %v", err)
		}
		return nil
	}, procwatch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("process %d", pid); w.Handle().Name() != want || w.PID() != pid {
		t.Errorf("name %q, PID %d", w.Handle().Name(), w.PID())
	}
	if err := w.Signal(0); err != nil {
		t.Errorf("Signal: %v", err)
	}
	_ = loop.Post(end)
	looptest.Run(t, loop)
	if want := (procwatch.Event{PID: pid, Kind: procwatch.Gone, Code: -1}); len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestPIDOfZombie: a process that nobody has waited for has ended all the same, and can be waited for afterwards.
func TestPIDOfZombie(t *testing.T) {
	loop, _ := looptest.New(t)
	p := shell(t, "exit 9")
	var got []procwatch.Event
	for range 2 { // of a process that may still run, and of a zombie
		w, err := procwatch.PID(loop, p.Pid, keep(&got), procwatch.Options{})
		if err != nil {
			t.Fatal(err)
		}
		looptest.Run(t, loop)
		if w.Handle().Active() {
			t.Error("still in the loop")
		}
		loop, _ = looptest.New(t)
	}
	if len(got) != 2 || got[0].Kind != procwatch.Gone || got[1] != got[0] || got[0].Err != nil {
		t.Errorf("got %v", got)
	}
	if state, err := p.Wait(); err != nil || state.ExitCode() != 9 {
		t.Errorf("Wait: %v, %v", state, err)
	}
}

func TestPIDErrors(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	ended := shell(t, "exit 0")
	if _, err := ended.Wait(); err != nil {
		t.Fatal(err)
	}
	pid := func(pid int) func() error {
		return func() error {
			w, err := procwatch.PID(loop, pid, nothing, procwatch.Options{})
			if (w != nil) == (err != nil) {
				t.Errorf("a watch %v with the error %v", w, err)
			}
			return err
		}
	}
	threads, err := os.ReadDir("/proc/self/task") // in the order of their numbers, mostly
	if err != nil {
		t.Fatal(err)
	}
	threads = slices.DeleteFunc(threads, func(e os.DirEntry) bool { return e.Name() == strconv.Itoa(os.Getpid()) })
	tid, err := strconv.Atoi(threads[0].Name()) // one of the runtime's, which stays
	if err != nil {
		t.Fatal(err)
	}
	wide := 32 // no constant, as 1<<32 isn't an int everywhere
	for _, c := range []struct {
		what string
		call func() error
		want error
	}{
		{"0", pid(0), procwatch.ErrNoProcess},
		{"-1", pid(-1), procwatch.ErrNoProcess},
		{"the largest number", pid(1<<31 - 1), procwatch.ErrNoProcess},
		{"one that is too large", pid(math.MaxInt), procwatch.ErrNoProcess},
		{"one whose lower half is this process", pid(1<<wide + os.Getpid()), procwatch.ErrNoProcess},
		{"one that has ended", pid(ended.Pid), procwatch.ErrNoProcess},
		{"this process", pid(os.Getpid()), procwatch.ErrSelf},
		{"a thread of this process", pid(tid), procwatch.ErrThread},
		{"a process that is not ours", func() error {
			p, err := os.FindProcess(os.Getppid())
			if err != nil {
				return err
			}
			defer func() { _ = p.Release() }()
			_, err = procwatch.Child(loop, p, nothing, procwatch.Options{})
			return err
		}, procwatch.ErrNotChild},
		{"a child that was waited for", func() error {
			_, err := procwatch.Child(loop, ended, nothing, procwatch.Options{})
			return err
		}, os.ErrProcessDone},
		{"process 1, and back", func() error {
			w, err := procwatch.PID(loop, 1, nothing, procwatch.Options{})
			if err == nil {
				w.Close()
			}
			return err
		}, nil},
	} {
		if err := c.call(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	looptest.Run(t, loop)
}

// TestStranger: any process may be watched by anybody, and only be signalled with the right to.
func TestStranger(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	c := role(t, "stranger", strconv.Itoa(os.Getpid()))
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// stranger watches a process of another user.
func stranger() error {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	w, err := procwatch.PID(loop, pid, nothing, procwatch.Options{})
	if err != nil {
		return err
	}
	if err := w.Signal(0); !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("signal: %w", err)
	}
	return loop.Close()
}

// TestExhausted: without a descriptor there is no watch, and the child is as it was.
func TestExhausted(t *testing.T) {
	out, err := role(t, "exhausted").CombinedOutput() // on its own, as no other test would find a descriptor either
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// exhausted is a process whose descriptors run out.
func exhausted() error {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	c := exec.Command("sh", "-c", "exit 11")
	if err := c.Start(); err != nil {
		return err
	}
	other := exec.Command("cat")
	in, err := other.StdinPipe()
	if err != nil {
		return err
	}
	if err := other.Start(); err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = 64
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	var fill []int
	for {
		fd, err := unix.Dup(0)
		if err != nil {
			break
		}
		fill = append(fill, fd)
	}
	var got []procwatch.Event
	// With none left, and with less than a watch that tells of stops needs.
	for free := range 3 {
		for _, fd := range fill[:free] {
			_ = unix.Close(fd)
		}
		fill = fill[free:]
		o := procwatch.Options{Stops: free > 0}
		if _, err := procwatch.Child(loop, c.Process, keep(&got), o); !errors.Is(err, syscall.EMFILE) {
			return fmt.Errorf("Child with %d free descriptors: %w", free, err)
		}
		for range free { // give back what is free, to have the next count from none
			fd, err := unix.Dup(0)
			if err != nil {
				return fmt.Errorf("a descriptor was lost: %w", err)
			}
			fill = append(fill, fd)
		}
	}
	if _, err := procwatch.PID(loop, other.Process.Pid, keep(&got), procwatch.Options{}); !errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("PID: %w", err)
	}
	for _, fd := range fill {
		_ = unix.Close(fd)
	}
	for _, p := range []*os.Process{c.Process, other.Process} {
		if _, err := procwatch.Child(loop, p, keep(&got), procwatch.Options{Stops: true}); err != nil {
			return err
		}
	}
	_ = in.Close()
	if err := loop.Run(context.Background()); err != nil {
		return err
	}
	if len(got) != 2 || got[0].Code+got[1].Code != 11 {
		return fmt.Errorf("got %v", got)
	}
	return nil
}
