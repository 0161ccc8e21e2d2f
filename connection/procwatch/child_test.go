//go:build linux

package procwatch_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

var errTest = errors.New("an error of the test")

// waited fails unless somebody has waited for the process: then it is no zombie.
func waited(tb testing.TB, p *os.Process) {
	tb.Helper()
	if _, err := p.Wait(); !errors.Is(err, syscall.ECHILD) {
		tb.Errorf("process %d was not waited for: %v", p.Pid, err)
	}
}

func TestEnds(t *testing.T) {
	fdtest.Check(t)
	for _, c := range []struct {
		script string
		want   procwatch.Event
		text   string
	}{
		{"exit 0", procwatch.Event{Kind: procwatch.Exited}, "exited with status 0"},
		{"exit 3", procwatch.Event{Kind: procwatch.Exited, Code: 3}, "exited with status 3"},
		{"exit 255", procwatch.Event{Kind: procwatch.Exited, Code: 255}, "exited with status 255"},
		{"kill -TERM $$", procwatch.Event{Kind: procwatch.Killed, Code: -1, Signal: syscall.SIGTERM}, "killed by signal 15 (terminated)"},
		{"ulimit -c 0; kill -SEGV $$", procwatch.Event{Kind: procwatch.Killed, Code: -1, Signal: syscall.SIGSEGV}, "killed by signal 11 (segmentation fault)"},
	} {
		t.Run(c.script, func(t *testing.T) {
			loop, log := looptest.New(t)
			p := shell(t, c.script)
			var got []procwatch.Event
			w := child(t, loop, p, keep(&got), procwatch.Options{})
			if name := fmt.Sprintf("child %d", p.Pid); w.PID() != p.Pid || w.Handle().Name() != name {
				t.Errorf("PID %d, name %q", w.PID(), w.Handle().Name())
			}
			looptest.Run(t, loop) // it ends because nothing is left
			if len(got) != 1 {
				t.Fatalf("%d events: %v", len(got), got)
			}
			e := got[0]
			state := e.State
			e.State = nil
			if c.want.PID = p.Pid; e != c.want {
				t.Errorf("got %+v, want %+v", e, c.want)
			}
			if text := fmt.Sprintf("process %d %s", p.Pid, c.text); e.String() != text || e.Success() != (c.script == "exit 0") {
				t.Errorf("%q, want %q; success %v", e, text, e.Success())
			}
			if state == nil || state.Pid() != p.Pid || state.ExitCode() != c.want.Code || state.UserTime()+state.SystemTime() <= 0 {
				t.Errorf("state %v", state)
			}
			waited(t, p)
			if w.Handle().Active() || len(log.Records()) > 0 {
				t.Errorf("active %v, logged %v", w.Handle().Active(), log.Records())
			}
			if err := w.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("Signal: %v", err)
			}
		})
	}
}

// TestAlreadyEnded: the end of a child that nobody has waited for is not lost.
func TestAlreadyEnded(t *testing.T) {
	loop, _ := looptest.New(t)
	c := exec.Command("sh", "-c", "exit 7")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, c)
	if _, err := io.ReadAll(out); err != nil { // which ends with the child, or just before
		t.Fatal(err)
	}
	var got []procwatch.Event
	child(t, loop, p, keep(&got), procwatch.Options{Stops: true})
	looptest.Run(t, loop)
	if len(got) != 1 || got[0].Code != 7 {
		t.Errorf("got %v", got)
	}
	waited(t, p)
}

func TestSignal(t *testing.T) {
	loop, _ := looptest.New(t)
	p, _ := sleeper(t)
	var got []procwatch.Event
	w := child(t, loop, p, func(w *procwatch.Watch, e procwatch.Event) error {
		got = append(got, e)
		if err := w.Signal(0); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("Signal in the callback: %v", err)
		}
		return nil
	}, procwatch.Options{})
	if err := w.Signal(0); err != nil {
		t.Errorf("Signal 0: %v", err)
	}
	if err := w.Signal(1000); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Signal 1000: %v", err)
	}
	if err := w.Signal(syscall.SIGUSR1); err != nil {
		t.Errorf("Signal: %v", err)
	}
	looptest.Run(t, loop)
	if len(got) != 1 || got[0].Kind != procwatch.Killed || got[0].Signal != syscall.SIGUSR1 {
		t.Errorf("got %v", got)
	}
}

// TestReapedElsewhere: a child that somebody else has waited for is gone, and nothing hangs.
func TestReapedElsewhere(t *testing.T) {
	for _, stops := range []bool{false, true} {
		loop, _ := looptest.New(t)
		p := shell(t, "exit 5")
		var got []procwatch.Event
		child(t, loop, p, keep(&got), procwatch.Options{Stops: stops})
		if state, err := p.Wait(); err != nil || state.ExitCode() != 5 {
			t.Fatalf("Wait: %v, %v", state, err)
		}
		looptest.Run(t, loop)
		if len(got) != 1 || got[0].Kind != procwatch.Gone || !errors.Is(got[0].Err, procwatch.ErrReaped) || got[0].Code != -1 || got[0].Success() {
			t.Errorf("got %v", got)
		}
		if text := fmt.Sprintf("process %d gone (procwatch: somebody else has waited for the child)", p.Pid); got[0].String() != text {
			t.Errorf("%q, want %q", got[0], text)
		}
		if _, err := procwatch.Child(loop, p, keep(&got), procwatch.Options{}); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("Child afterwards: %v", err)
		}
	}
}

// TestTwoWatches: one of two watches of a child learns how it ended, the other that it did.
func TestTwoWatches(t *testing.T) {
	loop, _ := looptest.New(t)
	p := shell(t, "exit 5")
	var got []procwatch.Event
	child(t, loop, p, keep(&got), procwatch.Options{})
	child(t, loop, p, keep(&got), procwatch.Options{})
	looptest.Run(t, loop)
	if len(got) != 2 || got[0].Code != 5 || got[1].Kind != procwatch.Gone || got[1].Err != procwatch.ErrReaped { //nolint:errorlint // it is said to be this
		t.Errorf("got %v", got)
	}
}

// TestCloseLeavesChild: a closed watch leaves the child alone, which can be waited for and watched again.
func TestCloseLeavesChild(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	p, in := sleeper(t)
	w := child(t, loop, p, func(*procwatch.Watch, procwatch.Event) error {
		t.Error("called after Close")
		return nil
	}, procwatch.Options{Stops: true})
	w.Close()
	w.Close() // once more means nothing
	var got []procwatch.Event
	signal := func() {
		if err := w.Signal(syscall.SIGTERM); !errors.Is(err, procwatch.ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Signal after Close: %v", err)
		}
	}
	signal()
	if _, err := timer.After(loop, 0, func(*timer.Timer) error { // in a later turn, when the descriptors are closed
		signal()
		child(t, loop, p, keep(&got), procwatch.Options{})
		return in.Close()
	}, communicator.Options{}); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if len(got) != 1 || got[0].Code != 0 {
		t.Errorf("got %v", got)
	}
}

// TestEndsWithLoop: a loop that ends leaves the children alone.
func TestEndsWithLoop(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	p, in := sleeper(t)
	f := func(_ *procwatch.Watch, e procwatch.Event) error {
		t.Errorf("called: %v", e)
		return nil
	}
	w := child(t, loop, p, f, procwatch.Options{Stops: true})
	_ = loop.Post(func() { loop.Stop(nil) })
	looptest.Run(t, loop)
	if w.Handle().Active() {
		t.Error("still in the loop")
	}
	if _, err := procwatch.Child(loop, p, f, procwatch.Options{Stops: true}); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("Child: %v", err)
	}
	_ = in.Close()
	if state, err := p.Wait(); err != nil || !state.Success() {
		t.Errorf("the child ended with %v, %v", state, err)
	}
}

// TestError: an error from the callback ends the watch and is logged; the loop goes on.
func TestError(t *testing.T) {
	loop, log := looptest.New(t)
	p := shell(t, "exit 1")
	calls := 0
	child(t, loop, p, func(*procwatch.Watch, procwatch.Event) error {
		calls++
		return errTest
	}, procwatch.Options{})
	looptest.Run(t, loop)
	if calls != 1 || len(log.Containing(errTest.Error())) != 1 {
		t.Errorf("%d calls, logged %v", calls, log.Records())
	}
	waited(t, p)
}

// TestDisabled: the end of a child is kept until the watch is enabled.
func TestDisabled(t *testing.T) {
	loop, _ := looptest.New(t)
	p := shell(t, "exit 6")
	enabled := false
	var got []procwatch.Event
	o := procwatch.Options{}
	o.Disabled, o.Name, o.Priority = true, "the worker", -5
	w := child(t, loop, p, func(_ *procwatch.Watch, e procwatch.Event) error {
		if got = append(got, e); !enabled {
			t.Error("called while disabled")
		}
		return nil
	}, o)
	if w.Handle().Name() != "the worker" || w.Handle().Priority() != -5 {
		t.Errorf("name %q, priority %d", w.Handle().Name(), w.Handle().Priority())
	}
	other := shell(t, "exit 0")
	child(t, loop, other, func(*procwatch.Watch, procwatch.Event) error {
		enabled = true
		w.Handle().SetEnabled(true)
		return nil
	}, procwatch.Options{})
	looptest.Run(t, loop)
	if len(got) != 1 || got[0].Code != 6 {
		t.Errorf("got %v", got)
	}
}

// TestBackground: a watch in the background doesn't keep Run from returning.
func TestBackground(t *testing.T) {
	loop, _ := looptest.New(t)
	p, _ := sleeper(t)
	o := procwatch.Options{}
	o.Background = true
	child(t, loop, p, func(_ *procwatch.Watch, e procwatch.Event) error {
		t.Errorf("called: %v", e)
		return nil
	}, o)
	looptest.Run(t, loop)
}

func TestCoreDumped(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || strings.ContainsAny(string(pattern), "/|") {
		t.Skipf("a core would go elsewhere: %q, %v", pattern, err)
	}
	loop, _ := looptest.New(t)
	c := exec.Command("sh", "-c", "ulimit -c unlimited; kill -SEGV $$")
	c.Dir = t.TempDir()
	p := start(t, c)
	var got []procwatch.Event
	child(t, loop, p, keep(&got), procwatch.Options{})
	looptest.Run(t, loop)
	if len(got) != 1 || got[0].Signal != syscall.SIGSEGV {
		t.Fatalf("got %v", got)
	}
	if cores, err := os.ReadDir(c.Dir); err != nil || len(cores) == 0 {
		t.Skipf("no core is made here: %v", err)
	}
	if want := fmt.Sprintf("process %d killed by signal 11 (segmentation fault), core dumped", p.Pid); !got[0].CoreDumped || got[0].String() != want {
		t.Errorf("got %q, want %q", got[0], want)
	}
}

func TestKind(t *testing.T) {
	for kind, want := range map[procwatch.Kind]string{
		procwatch.Exited: "exited", procwatch.Killed: "killed", procwatch.Stopped: "stopped", procwatch.Continued: "continued",
		procwatch.Gone: "gone", 0: "kind 0", 9: "kind 9",
	} {
		if got := kind.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestRemovesAll: the callback of one closes its own watch and that of all others; no other is called, and the
// children wait for their parent.
func TestRemovesAll(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	var all []*procwatch.Watch
	var children []*os.Process
	calls := 0
	for range 10 {
		c := exec.Command("true")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, c.Process)
		all = append(all, child(t, loop, c.Process, func(*procwatch.Watch, procwatch.Event) error {
			calls++
			for _, w := range all {
				w.Close()
			}
			return nil
		}, procwatch.Options{Stops: len(all)%2 == 0}))
	}
	looptest.Run(t, loop)
	left := 0
	for _, p := range children {
		if _, err := p.Wait(); err == nil {
			left++
		}
	}
	if calls != 1 || left != len(children)-1 {
		t.Errorf("%d calls, %d children were left", calls, left)
	}
}

// TestStorm: the ends of very many children, many at once, are each seen exactly once.
func TestStorm(t *testing.T) {
	fdtest.Check(t)
	const total, atOnce = 500, 50
	loop, _ := looptest.New(t)
	codes := map[int]int{} // by number, and a number can come again
	seen := make([]int, total)
	children := make([]*os.Process, 0, total)
	var next func()
	next = func() {
		i := len(children)
		if i == total {
			return
		}
		c := exec.Command("true")
		want := 0
		if i%3 == 0 {
			c, want = exec.Command("false"), 1
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, c.Process)
		child(t, loop, c.Process, func(w *procwatch.Watch, e procwatch.Event) error {
			if seen[i]++; e.Kind != procwatch.Exited || e.Code != want || e.PID != c.Process.Pid || w.PID() != e.PID {
				t.Errorf("child %d: %v, want status %d of %d", i, e, want, c.Process.Pid)
			}
			codes[e.Code]++
			next()
			return nil
		}, procwatch.Options{})
	}
	for range atOnce {
		next()
	}
	looptest.Run(t, loop)
	for i, n := range seen {
		if n != 1 {
			t.Errorf("child %d was seen %d times", i, n)
		}
	}
	for _, p := range children {
		waited(t, p)
	}
	if codes[1] != (total+2)/3 || codes[0] != total-codes[1] {
		t.Errorf("statuses %v", codes)
	}
}
