//go:build linux

package pressure_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/pressure"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

var errTest = errors.New("an error of the test")

func nothing() error { return nil }

// unavailable skips a test where the kernel, or the container, has no pressure files that may be written to.
func unavailable(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, pressure.ErrUnsupported) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		t.Skip(err)
	}
}

// TestKernel arms the real files.
func TestKernel(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	for i, r := range []pressure.Resource{pressure.Memory, pressure.CPU, pressure.IO} {
		w, err := pressure.Watch(loop, r, nothing, pressure.Config{Stall: 2 * time.Second})
		unavailable(t, err)
		if err != nil {
			t.Fatal(err)
		}
		info := loop.Sources()[i]
		want := []string{"memory pressure", "cpu pressure", "io pressure"}[i]
		if info.Name != want || info.Want != communicator.Exceptional || w.Handle().Name() != want {
			t.Errorf("the loop has %v, want %q", info, want)
		}
		_ = loop.Post(func() {
			w.Close()
			w.Close() // once more means nothing
		})
	}
	looptest.Run(t, loop)
}

// TestCgroup: a cgroup that is removed ends its source.
func TestCgroup(t *testing.T) {
	fdtest.Check(t)
	dir := cgroup(t)
	file := filepath.Join(dir, "memory.pressure")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	loop, log := looptest.New(t)
	w, err := pressure.Watch(loop, pressure.Memory, nothing, pressure.Config{File: file})
	unavailable(t, err)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if found := log.Containing(pressure.ErrGone.Error()); len(found) != 1 || w.Handle().Active() {
		t.Errorf("logged %q, in the loop: %v", log.Records(), w.Handle().Active())
	}
}

// TestCgroupOff: a cgroup that is switched off ends its source, and takes no other.
func TestCgroupOff(t *testing.T) {
	fdtest.Check(t)
	dir := cgroup(t)
	file, switched := filepath.Join(dir, "memory.pressure"), filepath.Join(dir, "cgroup.pressure")
	if _, err := os.Stat(switched); errors.Is(err, fs.ErrNotExist) {
		t.Skip(err) // before Linux 6.1
	}
	loop, _ := looptest.New(t)
	var cause error
	_, err := pressure.Watch(loop, pressure.Memory, nothing, pressure.Config{File: file, OnClose: func(c error) { cause = c }})
	unavailable(t, err)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(switched, []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := pressure.Watch(loop, pressure.Memory, nothing, pressure.Config{File: file}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another: %v", err)
	}
	looptest.Run(t, loop)
	if !errors.Is(cause, pressure.ErrGone) {
		t.Errorf("closed with %v", cause)
	}
}

// cgroup makes a cgroup of version 2, where that is possible.
func cgroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "cgroup2" {
			continue
		}
		dir, err := os.MkdirTemp(fields[1], "pressure-test-") //nolint:usetesting // it has to be a cgroup
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		return dir
	}
	t.Skip("no cgroups of version 2")
	return ""
}

// fake is a TCP connection whose one end stands for a pressure file: out-of-band data are an event.
type fake struct {
	tb   testing.TB
	conn *net.TCPConn
}

// injected lets the next pressure file be a fake.
func injected(tb testing.TB) *fake {
	tb.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	conn, err := net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(looptest.Patience)); err != nil {
		tb.Fatal(err)
	}
	file, err := l.AcceptTCP()
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	fmt.Fprint(conn, figures)
	fd := -1
	raw, err := file.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(n uintptr) { fd, err = sys.Dup(int(n)) }), err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(ready, int(looptest.Patience.Milliseconds())); n == 1 {
			break
		} else if err != unix.EINTR {
			tb.Fatal(n, err)
		}
	}
	sys.PressureHooks.Open = func(string) (int, error) { return fd, nil }
	tb.Cleanup(func() { sys.PressureHooks.Open = nil })
	return &fake{tb, conn}
}

// event says that there is pressure; it lasts.
func (f *fake) event() {
	f.tb.Helper()
	raw, err := f.conn.SyscallConn()
	if err != nil {
		f.tb.Fatal(err)
	}
	sent := raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil)
		return true
	})
	if err := errors.Join(sent, err); err != nil {
		f.tb.Error(err)
	}
}

// TestEvent: the trigger is written as the kernel wants it, ordinary data mean nothing, pressure calls.
func TestEvent(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	file := injected(t)
	calls, asked := 0, false
	var causes []error
	var w *pressure.Watcher
	w, err := pressure.Watch(loop, pressure.IO, func() error {
		if !asked {
			t.Error("called without pressure")
		}
		if calls++; calls == 3 {
			w.Close()
		}
		return nil
	}, pressure.Config{
		Kind: pressure.Full, Stall: 150 * time.Millisecond, Window: 4 * time.Second,
		Options: communicator.Options{Name: "io", Priority: 10},
		OnClose: func(cause error) { causes = append(causes, cause) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.Handle().Name() != "io" || w.Handle().Priority() != 10 {
		t.Errorf("name %q, priority %d", w.Handle().Name(), w.Handle().Priority())
	}
	trigger := make([]byte, 20)
	n, err := io.ReadFull(file.conn, trigger)
	if want := "full 150000 4000000\x00"; string(trigger[:n]) != want || err != nil {
		t.Errorf("the trigger is %q, %v, want %q", trigger[:n], err, want)
	}
	fmt.Fprint(file.conn, "readable, and nothing else")
	turns := 0
	var again func()
	again = func() {
		if turns++; turns < 5 {
			_ = loop.Post(again)
			return
		}
		asked = true
		file.event()
	}
	_ = loop.Post(again)
	looptest.Run(t, loop)
	if calls != 3 || len(causes) != 1 || causes[0] != nil {
		t.Errorf("%d calls, closed with %v", calls, causes)
	}
}

// TestDefault: the zero Config is the default of systemd.
func TestDefault(t *testing.T) {
	fdtest.Check(t)
	loop, log := looptest.New(t)
	file := injected(t)
	if _, err := pressure.Watch(loop, pressure.Memory, func() error { return errTest }, pressure.Config{}); err != nil {
		t.Fatal(err)
	}
	trigger := make([]byte, 20)
	if n, err := io.ReadFull(file.conn, trigger); string(trigger[:n]) != "some 200000 2000000\x00" || err != nil {
		t.Errorf("the trigger is %q, %v", trigger[:n], err)
	}
	file.event()
	looptest.Run(t, loop) // until the error has removed the source
	if found := log.Containing(errTest.Error()); len(found) != 1 {
		t.Errorf("logged %q", log.Records())
	}
}

// TestGone: a descriptor in error ends the source with ErrGone, without a call.
func TestGone(t *testing.T) {
	fdtest.Check(t)
	loop, log := looptest.New(t)
	file := injected(t)
	var cause error
	f := func() error { t.Error("called"); return nil }
	_, err := pressure.Watch(loop, pressure.Memory, f, pressure.Config{OnClose: func(c error) { cause = c }})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.conn.SetLinger(0), file.conn.Close()); err != nil { // which resets
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if !errors.Is(cause, pressure.ErrGone) || !errors.Is(cause, fs.ErrNotExist) || len(log.Records()) != 0 {
		t.Errorf("closed with %v, logged %q", cause, log.Records())
	}
}

func TestConfig(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	for _, c := range []pressure.Config{
		{Stall: -1}, {Stall: 999 * time.Nanosecond}, {Stall: 2*time.Second + 1}, {Window: 199 * time.Millisecond},
		{Window: 10*time.Second + 1}, {Window: -1}, {Stall: time.Second, Window: time.Millisecond},
	} {
		if w, err := pressure.Watch(loop, pressure.Memory, nothing, c); !errors.Is(err, pressure.ErrConfig) || w != nil {
			t.Errorf("%v in %v: %v", c.Stall, c.Window, err)
		}
	}
	urgent := pressure.Config{Options: communicator.Options{Priority: communicator.PriorityUrgent}}
	if _, err := pressure.Watch(loop, pressure.Memory, nothing, urgent); !errors.Is(err, pressure.ErrPriority) {
		t.Errorf("an urgent source: %v", err)
	}
	if _, err := pressure.Watch(loop, pressure.Resource(7), nothing, pressure.Config{}); !errors.Is(err, pressure.ErrUnsupported) {
		t.Errorf("an unknown resource: %v", err)
	}
}

// TestKernelRefuses: a window of 3 s needs CAP_SYS_RESOURCE.
func TestKernelRefuses(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	_, err := pressure.Watch(loop, pressure.Memory, nothing, pressure.Config{Window: 3 * time.Second, Options: communicator.Options{Background: true}})
	unavailable(t, err)
	if err == nil {
		t.Skip("this process may have any window")
	}
	if !errors.Is(err, pressure.ErrConfig) || !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "some 200000 3000000") {
		t.Error(err)
	}
}

// TestNotPressure: what is no pressure file is not touched.
func TestNotPressure(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": "", "letter": "dear Sir", "copy": figures} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := pressure.Watch(loop, pressure.Memory, nothing, pressure.Config{File: path})
		if !errors.Is(err, pressure.ErrUnsupported) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(path); string(now) != content || err != nil {
			t.Errorf("%s is now %q, %v", name, now, err)
		}
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, os.DevNull} { // systemd says by the latter that a service is not to watch
		if _, err := pressure.Watch(loop, pressure.Memory, nothing, pressure.Config{File: path}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err := pressure.Watch(loop, pressure.Memory, nothing, pressure.Config{File: filepath.Join(dir, "none")})
	if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, pressure.ErrUnsupported) {
		t.Errorf("no such cgroup: %v", err)
	}
	for _, errno := range []syscall.Errno{syscall.EACCES, syscall.EPERM, syscall.EOPNOTSUPP} {
		sys.PressureHooks.Open = func(string) (int, error) { return -1, os.NewSyscallError("open", errno) }
		_, err := pressure.Watch(loop, pressure.Memory, nothing, pressure.Config{})
		sys.PressureHooks.Open = nil
		if !errors.Is(err, errno) || errors.Is(err, os.ErrPermission) != (errno != syscall.EOPNOTSUPP) {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

// TestClosedLoop: nothing is left of a watch that the loop doesn't take.
func TestClosedLoop(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	injected(t)
	looptest.Run(t, loop)
	if _, err := pressure.Watch(loop, pressure.Memory, nothing, pressure.Config{}); !errors.Is(err, communicator.ErrClosed) {
		t.Error(err)
	}
}
