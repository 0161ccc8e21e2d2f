//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/tooltest"
)

// world is what a script has started.
type world struct {
	victims map[string]*running
	peers   map[string]*peer
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value("world").(*world) }

func (w *world) victim(ts *testscript.TestScript, name string) *running {
	if w.victims[name] == nil {
		ts.Fatalf("no process %s", name)
	}
	return w.victims[name]
}

// setup gives a script its folder of a fake systemctl, fake, and two names for processes, which no other has: NAME is
// longer than the kernel keeps, SHORT is not.
func setup(env *testscript.Env) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fake := filepath.Join(env.WorkDir, "fake")
	if err := os.MkdirAll(fake, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(fake, "systemctl")); err != nil {
		return err
	}
	env.Setenv("PATH", fake+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv(fakeVariable, fake)
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	id := fmt.Sprintf("%d%s", os.Getpid(), strings.ReplaceAll(filepath.Base(env.WorkDir), "script-", ""))
	env.Setenv("NAME", "ed-stop-test-victim-"+id)
	env.Setenv("SHORT", "v"+id[:min(len(id), 12)])
	env.Values["world"] = &world{victims: map[string]*running{}, peers: map[string]*peer{}}
	return nil
}

// commands are those of the scripts.
//
//	start VAR [-as NAME] [heir] SIGNAL...  starts a process that ends after one of the signals; VAR is its number
//	got VAR SIGNAL...                      it has ended after exactly these signals
//	ended VAR                              it has ended: signals that come fast may do so in any order, or not before its end
//	alive VAR SIGNAL...                    it runs, and got these signals, in any order
//	heir VAR OTHER                         it has started another of its name, number OTHER, which runs and got no signal
//	stopped VAR                            stops it
//	zombie VAR                             kills it, and leaves it to its parent, who does not wait for it
//	peer VAR NETWORK ADDRESS [VICTIM]      listens; a message makes VICTIM get USR1
//	received VAR TEXT                      what it got
func commands() map[string]tooltest.Command {
	return map[string]tooltest.Command{
		"start": start, "got": got, "ended": ended, "alive": alive, "heir": heir, "stopped": stopped, "zombie": zombie,
		"peer": listen, "received": received,
	}
}

func start(ts *testscript.TestScript, _ bool, args []string) {
	name, args := args[0], args[1:]
	program := "/proc/self/exe"
	if len(args) > 1 && args[0] == "-as" {
		self, err := os.Executable()
		ts.Check(err)
		program = ts.MkAbs(args[1])
		if _, err := os.Lstat(program); err != nil {
			ts.Check(os.Symlink(self, program))
		}
		args = args[2:]
	}
	r, err := startVictim(program, args...)
	ts.Check(err)
	ts.Defer(r.end)
	worldOf(ts).victims[name] = r
	ts.Setenv(name, strconv.Itoa(r.pid()))
}

func got(ts *testscript.TestScript, _ bool, args []string) {
	r := worldOf(ts).victim(ts, args[0])
	if signals := r.signals(100); !slices.Equal(signals, args[1:]) {
		ts.Fatalf("%s got %q, want %q", args[0], signals, args[1:])
	}
	if !r.ended() {
		ts.Fatalf("%s has not ended", args[0])
	}
}

func ended(ts *testscript.TestScript, _ bool, args []string) {
	if !worldOf(ts).victim(ts, args[0]).ended() {
		ts.Fatalf("%s has not ended", args[0])
	}
}

func alive(ts *testscript.TestScript, _ bool, args []string) {
	r := worldOf(ts).victim(ts, args[0])
	signals, want := r.signals(len(args)-1), args[1:]
	slices.Sort(signals)
	if slices.Sort(want); !slices.Equal(signals, want) {
		ts.Fatalf("%s got %q, want %q", args[0], signals, want)
	}
	ts.Check(r.cmd.Process.Signal(mark))
	if signals := r.signals(1); r.ended() || !slices.Equal(signals, []string{"WINCH"}) {
		ts.Fatalf("%s has ended, or got %q too", args[0], signals)
	}
}

func heir(ts *testscript.TestScript, _ bool, args []string) {
	r := worldOf(ts).victim(ts, args[0])
	for {
		line := r.line()
		if pid, found := strings.CutPrefix(line, "heir "); found {
			ts.Setenv(args[1], pid)
			break
		}
		if line == "" || line == "nothing" {
			ts.Fatalf("%s has no heir", args[0])
		}
	}
	if line := r.line(); line != "ready" {
		ts.Fatalf("the heir of %s printed %q", args[0], line)
	}
	pid, err := strconv.Atoi(ts.Getenv(args[1]))
	ts.Check(err)
	ts.Check(unix.Kill(pid, mark))
	if signals := r.signals(1); !slices.Equal(signals, []string{"WINCH"}) {
		ts.Fatalf("the heir of %s got %q", args[0], signals)
	}
}

func stopped(ts *testscript.TestScript, _ bool, args []string) {
	r := worldOf(ts).victim(ts, args[0])
	ts.Check(r.cmd.Process.Signal(syscall.SIGSTOP))
	ts.Check(r.await(unix.WSTOPPED))
}

func zombie(ts *testscript.TestScript, _ bool, args []string) {
	r := worldOf(ts).victim(ts, args[0])
	ts.Check(r.cmd.Process.Kill())
	ts.Check(r.await(unix.WEXITED))
}

func listen(ts *testscript.TestScript, _ bool, args []string) {
	var v *running
	if len(args) > 3 {
		v = worldOf(ts).victim(ts, args[3])
	}
	address := args[2]
	if args[1] != receiver.UDP && args[1] != receiver.TCP && !strings.HasPrefix(address, "@") {
		address = ts.MkAbs(address)
	}
	p, err := newPeer(args[1], address, v)
	ts.Check(err)
	ts.Defer(p.close)
	worldOf(ts).peers[args[0]] = p
	ts.Setenv(args[0], p.address)
}

func received(ts *testscript.TestScript, _ bool, args []string) {
	select {
	case text := <-worldOf(ts).peers[args[0]].received:
		if text = strings.TrimSuffix(text, "\n"); text != args[1] {
			ts.Fatalf("%s received %q, want %q", args[0], text, args[1])
		}
	case <-time.After(patience):
		ts.Fatalf("%s has received nothing", args[0])
	}
}
