//go:build linux

package procwatch_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// machine watches the machine, with room for all that happens on it during a test.
func machine(tb testing.TB, loop *communicator.Communicator, f func(procwatch.MachineEvent) error, o procwatch.MachineOptions) *procwatch.MachineWatch {
	tb.Helper()
	if o.Buffer == 0 {
		o.Buffer = 64 << 20
	}
	m, err := procwatch.Machine(loop, f, o)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		tb.Skipf("no events of the machine here: %v", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// events starts a process while the machine is watched, and returns what it did until it has ended.
func events(t *testing.T, c *exec.Cmd, o procwatch.MachineOptions) (pid int, list []procwatch.MachineEvent) {
	t.Helper()
	loop, _ := looptest.New(t)
	var m *procwatch.MachineWatch
	m = machine(t, loop, func(e procwatch.MachineEvent) error {
		switch {
		case e.Kind == procwatch.Lost:
			t.Error("events were lost")
			m.Close()
		case e.PID != pid:
			return nil
		}
		list = append(list, e)
		if e.Kind == procwatch.Exit && e.TID == e.PID {
			m.Close()
		}
		return nil
	}, o)
	p := start(t, c)
	pid = p.Pid
	looptest.Run(t, loop)
	return pid, list
}

// find is the events of a kind.
func find(list []procwatch.MachineEvent, kind procwatch.MachineKind) (found []procwatch.MachineEvent) {
	for _, e := range list {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// plain is an event without what a test can't know.
func plain(e procwatch.MachineEvent) procwatch.MachineEvent {
	e.CPU, e.Time = 0, 0
	return e
}

func TestMachine(t *testing.T) {
	fdtest.Check(t)
	c := exec.Command("sh", "-c", "printf procwatch-test > /proc/$$/comm; exit 3")
	pid, list := events(t, c, procwatch.MachineOptions{})
	me := os.Getpid()
	want := []procwatch.MachineEvent{
		{Kind: procwatch.Fork, PID: pid, TID: pid, Parent: me, Code: -1},
		{Kind: procwatch.Exec, PID: pid, TID: pid, Code: -1},
		{Kind: procwatch.Comm, PID: pid, TID: pid, Code: -1, Name: "procwatch-test"},
		{Kind: procwatch.Exit, PID: pid, TID: pid, Parent: me, Code: 3},
	}
	var got []procwatch.MachineEvent
	for _, e := range list {
		if e.Kind != procwatch.Comm || e.Name == "procwatch-test" { // a kernel may tell of the name that exec gives
			got = append(got, plain(e))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, e := range list {
		if e.CPU < 0 || e.CPU >= 8192 || e.Time <= 0 {
			t.Errorf("event %+v", e)
		}
	}
}

func TestMachineKilled(t *testing.T) {
	pid, list := events(t, exec.Command("sh", "-c", "ulimit -c 0; kill -SEGV $$"), procwatch.MachineOptions{})
	exit := procwatch.MachineEvent{Kind: procwatch.Exit, PID: pid, TID: pid, Parent: os.Getpid(), Code: -1, Signal: syscall.SIGSEGV}
	if got := find(list, procwatch.Exit); len(got) != 1 || plain(got[0]) != exit {
		t.Errorf("got %+v, want %+v", got, exit)
	}
	dump := procwatch.MachineEvent{Kind: procwatch.CoreDump, PID: pid, TID: pid, Parent: os.Getpid(), Code: -1}
	if got := find(list, procwatch.CoreDump); len(got) != 1 || plain(got[0]) != dump {
		t.Errorf("got %+v, want %+v", got, dump)
	}
}

func TestMachineCredentials(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	c := exec.Command("true")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: 65534, Gid: 65533}}
	pid, list := events(t, c, procwatch.MachineOptions{})
	for _, want := range []procwatch.MachineEvent{
		{Kind: procwatch.SetSID, PID: pid, TID: pid, Code: -1},
		{Kind: procwatch.SetGID, PID: pid, TID: pid, Code: -1, Real: 65533, Effective: 65533},
		{Kind: procwatch.SetUID, PID: pid, TID: pid, Code: -1, Real: 65534, Effective: 65534},
	} {
		if got := find(list, want.Kind); len(got) != 1 || plain(got[0]) != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestMachineTraced(t *testing.T) {
	loop, _ := looptest.New(t)
	p, end := sleeper(t)
	tracer := role(t, "trace", strconv.Itoa(p.Pid))
	in, err := tracer.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := tracer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var m *procwatch.MachineWatch
	var tracers []int
	m = machine(t, loop, func(e procwatch.MachineEvent) error {
		switch {
		case e.Kind != procwatch.Ptrace && e.Kind != procwatch.Exit:
			t.Errorf("told of %+v", e)
		case e.PID != p.Pid:
		case e.Kind == procwatch.Ptrace:
			tracers = append(tracers, e.Tracer)
		default:
			m.Close()
		}
		return nil
	}, procwatch.MachineOptions{Kinds: procwatch.Ptrace | procwatch.Exit})
	start(t, tracer)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "traced\n" {
		t.Skipf("a process can't be traced here: %q, %v", line, err)
	}
	_ = in.Close()
	if _, err := tracer.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	_ = end.Close()
	looptest.Run(t, loop)
	// A tracer that ends is not told of on its own by all kernels.
	if len(tracers) == 0 || tracers[0] != tracer.Process.Pid || len(tracers) > 2 || len(tracers) == 2 && tracers[1] != 0 {
		t.Errorf("traced by %v, want %d", tracers, tracer.Process.Pid)
	}
}

// TestMachineKinds: nothing else is told than what was asked for.
func TestMachineKinds(t *testing.T) {
	pid, list := events(t, exec.Command("sh", "-c", "true; exit 1"), procwatch.MachineOptions{Kinds: procwatch.Exec | procwatch.Exit})
	if len(list) != 2 || list[0].Kind != procwatch.Exec || list[1].Kind != procwatch.Exit || list[1].PID != pid {
		t.Errorf("got %+v", list)
	}
	for kind, want := range map[procwatch.MachineKind]string{
		procwatch.Exec: "exec", procwatch.Exit | procwatch.Fork: "fork+exit", 0: "0x0", procwatch.Lost | 1<<20: "lost+0x100000",
		procwatch.CoreDump | procwatch.SetUID: "core dump+setuid",
	} {
		if got := kind.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// endThread lets a thread of this process end that is not its first, and returns its number.
func endThread() int {
	tid := make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		id := unix.Gettid()
		if id == os.Getpid() {
			id = endThread() // on another, as this one is taken
			runtime.UnlockOSThread()
		}
		tid <- id
	}()
	return <-tid
}

// TestMachineThreads: of two watches that get the same only the one that asked for threads tells of one.
func TestMachineThreads(t *testing.T) {
	loop, _ := looptest.New(t)
	p, in := sleeper(t)
	thread, told := 0, false
	watch := func(threads bool) {
		var m *procwatch.MachineWatch
		m = machine(t, loop, func(e procwatch.MachineEvent) error {
			switch {
			case e.PID != e.TID && !threads:
				t.Errorf("told of %+v", e)
			case e.PID == os.Getpid() && e.TID == thread:
				told = true
				return in.Close()
			case e.PID == p.Pid:
				m.Close()
			}
			return nil
		}, procwatch.MachineOptions{Threads: threads, Kinds: procwatch.Exit})
	}
	watch(true)
	watch(false)
	thread = endThread()
	looptest.Run(t, loop)
	if !told {
		t.Error("not told of the thread")
	}
}

// TestMachineForged: only the kernel is believed.
func TestMachineForged(t *testing.T) {
	loop, _ := looptest.New(t)
	const forged = 1<<31 - 7 // no process has that number
	p, in := sleeper(t)
	var m *procwatch.MachineWatch
	m = machine(t, loop, func(e procwatch.MachineEvent) error {
		if e.PID == forged || e.TID == forged {
			t.Errorf("believes %+v", e)
		}
		if e.PID == p.Pid && e.Kind == procwatch.Exit {
			m.Close()
		}
		return nil
	}, procwatch.MachineOptions{})
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	name, err := unix.Getsockname(loop.Sources()[0].FD)
	if err != nil {
		t.Fatal(err)
	}
	words := []uint32{76, unix.NLMSG_DONE, 0, 0, 1, 1, 0, 0, 40, uint32(procwatch.Exec), 0, 0, 0, forged, forged, 0, 0, 0, 0}
	var message []byte
	for _, w := range words {
		message = binary.NativeEndian.AppendUint32(message, w)
	}
	if err := unix.Sendto(fd, message, 0, name); err != nil {
		t.Skipf("the kernel lets nobody send it: %v", err)
	}
	_ = in.Close()
	looptest.Run(t, loop)
}

// TestMachineError: an error of the callback ends the watch and is logged, and the second watch doesn't mind.
func TestMachineError(t *testing.T) {
	fdtest.Check(t)
	loop, log := looptest.New(t)
	calls := 0
	machine(t, loop, func(procwatch.MachineEvent) error {
		calls++
		return errTest
	}, procwatch.MachineOptions{})
	p, in := sleeper(t)
	var m *procwatch.MachineWatch
	m = machine(t, loop, func(e procwatch.MachineEvent) error {
		if e.PID == p.Pid && e.Kind == procwatch.Exit {
			m.Close()
		}
		return nil
	}, procwatch.MachineOptions{Kinds: procwatch.Exit})
	if m.Handle().Name() != "processes of the machine" {
		t.Errorf("name %q", m.Handle().Name())
	}
	_ = in.Close()
	looptest.Run(t, loop)
	if calls != 1 || len(log.Containing(errTest.Error())) != 1 {
		t.Errorf("%d calls, logged %v", calls, log.Records())
	}
	_ = loop.Close()
	if _, err := procwatch.Machine(loop, func(procwatch.MachineEvent) error { return nil }, procwatch.MachineOptions{}); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("Machine on a loop that has ended: %v", err)
	}
}

// TestMachineDisabled: nothing is told while the watch is disabled, and nothing is lost by it.
func TestMachineDisabled(t *testing.T) {
	loop, _ := looptest.New(t)
	p, in := sleeper(t)
	var pids []int
	var got []procwatch.MachineEvent
	enabled := true
	var m *procwatch.MachineWatch
	m = machine(t, loop, func(e procwatch.MachineEvent) error {
		if !enabled {
			t.Errorf("told of %+v while disabled", e)
		}
		enabled = false
		m.Handle().SetEnabled(false)
		if slices.Contains(pids, e.PID) {
			got = append(got, e)
		}
		if e.PID == p.Pid && e.Kind == procwatch.Exit {
			m.Close()
			return nil
		}
		return loop.Post(func() {
			enabled = true
			m.Handle().SetEnabled(true)
		})
	}, procwatch.MachineOptions{Kinds: procwatch.Fork | procwatch.Exec | procwatch.Exit})
	const n = 10
	for range n {
		c := exec.Command("true")
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, c.Process.Pid)
	}
	_ = in.Close()
	looptest.Run(t, loop)
	if len(got) != 3*n {
		t.Errorf("%d events of %d: %+v", len(got), 3*n, got)
	}
}
