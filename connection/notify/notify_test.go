//go:build linux

package notify_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection/notify"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// manager is a service manager's socket.
type manager struct {
	tb   testing.TB
	conn *net.UnixConn
}

func listen(tb testing.TB, path string) *manager {
	tb.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(looptest.Patience)); err != nil {
		tb.Fatal(err)
	}
	return &manager{tb, conn}
}

// hears waits for the next notification.
func (m *manager) hears() string {
	m.tb.Helper()
	var buf [notify.MaxSize + 1]byte
	n, err := m.conn.Read(buf[:])
	if err != nil {
		m.tb.Fatal(err)
	}
	return string(buf[:n])
}

func (m *manager) expects(want string) {
	m.tb.Helper()
	if got := m.hears(); got != want {
		m.tb.Errorf("the manager hears %q, want %q", got, want)
	}
}

// waiting takes what is there, without waiting for more.
func (m *manager) waiting() (texts []string) {
	m.tb.Helper()
	raw, err := m.conn.SyscallConn()
	if err != nil {
		m.tb.Fatal(err)
	}
	err = raw.Read(func(fd uintptr) bool {
		var buf [notify.MaxSize + 1]byte
		for {
			n, _, err := unix.Recvfrom(int(fd), buf[:], unix.MSG_DONTWAIT)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return true
			}
			texts = append(texts, string(buf[:n]))
		}
	})
	if err != nil {
		m.tb.Fatal(err)
	}
	return texts
}

// set gives the variables values for this test; what isn't named is not set.
func set(tb testing.TB, variables map[string]string) {
	tb.Helper()
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		tb.Setenv(name, "") // so that it is as it was when the test ends
		if value, ok := variables[name]; ok {
			tb.Setenv(name, value)
		} else if err := os.Unsetenv(name); err != nil {
			tb.Fatal(err)
		}
	}
}

// managed makes a Notifier for a manager; a watchdog of 0 is none.
func managed(tb testing.TB, watchdog time.Duration) (*notify.Notifier, *manager) {
	tb.Helper()
	m := listen(tb, filepath.Join(tb.TempDir(), "notify"))
	variables := map[string]string{"NOTIFY_SOCKET": m.conn.LocalAddr().String()}
	if watchdog != 0 {
		variables["WATCHDOG_USEC"] = strconv.FormatInt(watchdog.Microseconds(), 10)
	}
	set(tb, variables)
	n, err := notify.FromEnvironment()
	if err != nil || !n.Wanted() || n.WatchdogTimeout() != watchdog {
		tb.Fatalf("wanted %v, watchdog %v, %v", n.Wanted(), n.WatchdogTimeout(), err)
	}
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "NOTIFY_") || strings.HasPrefix(variable, "WATCHDOG_") {
			tb.Errorf("%s is still set", variable)
		}
	}
	return n, m
}

// TestNone: without a manager everything succeeds and does nothing.
func TestNone(t *testing.T) {
	fdtest.Check(t)
	set(t, map[string]string{"WATCHDOG_USEC": "nonsense", "WATCHDOG_PID": "1"})
	n, err := notify.FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*notify.Notifier{n, {}} {
		loop, _ := looptest.New(t)
		err := errors.Join(n.Ready(), n.Reloading(), n.Stopping(), n.Status("idle"), n.Send("ERRNO", "2"), n.Attach(loop), n.Watchdog(loop, options))
		if err != nil || n.Wanted() || n.WatchdogTimeout() != 0 || loop.Stats().Live != 0 {
			t.Errorf("%v, wanted: %v, %d sources", err, n.Wanted(), loop.Stats().Live)
		}
	}
}

func TestText(t *testing.T) {
	fdtest.Check(t)
	n, m := managed(t, 0)
	if err := errors.Join(n.Ready(), n.Stopping(), n.Status("3 größere = gut"), n.Status(""), n.Send("EXTEND_TIMEOUT_USEC", "5000000")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"READY=1", "STOPPING=1", "STATUS=3 größere = gut", "STATUS=", "EXTEND_TIMEOUT_USEC=5000000"} {
		m.expects(want)
	}
	longest := strings.Repeat("x", notify.MaxSize-len("STATUS="))
	if err := n.Status(longest); err != nil {
		t.Error(err)
	}
	m.expects("STATUS=" + longest)
	if texts := m.waiting(); texts != nil {
		t.Errorf("besides, it hears %q", texts)
	}
}

// TestReloading: the time is that of the monotonic clock, which the manager compares.
func TestReloading(t *testing.T) {
	fdtest.Check(t)
	n, m := managed(t, 0)
	before := monotonic(t)
	if err := n.Reloading(); err != nil {
		t.Fatal(err)
	}
	var usec int64
	text := m.hears()
	if _, err := fmt.Sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%d", &usec); err != nil || usec < before || usec > monotonic(t) {
		t.Errorf("%q after %d: %v", text, before, err)
	}
}

func monotonic(tb testing.TB) int64 {
	tb.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		tb.Fatal(err)
	}
	return ts.Nano() / 1e3
}

func TestRefused(t *testing.T) {
	fdtest.Check(t)
	n, m := managed(t, 0)
	for _, tt := range [][2]string{
		{"STATUS", "two\nREADY=1"}, {"STATUS", "nul\x00"}, {"STATUS", "\xff"}, {"STATUS", strings.Repeat("x", notify.MaxSize-6)},
		{"", "1"}, {"A=B", "1"}, {"READY\n", "1"}, {"ready", "1"}, {"Ü", "1"},
	} {
		if err := n.Send(tt[0], tt[1]); !errors.Is(err, notify.ErrValue) {
			t.Errorf("%.20q: %v", tt, err)
		}
	}
	if err := n.Status("\n"); !errors.Is(err, notify.ErrValue) {
		t.Error(err)
	}
	if texts := m.waiting(); texts != nil {
		t.Errorf("it hears %q", texts)
	}
}

// TestAbstract: a name without a file.
func TestAbstract(t *testing.T) {
	fdtest.Check(t)
	m := listen(t, "") // the kernel chooses a name
	set(t, map[string]string{"NOTIFY_SOCKET": m.conn.LocalAddr().String()})
	n, err := notify.FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(); err != nil {
		t.Fatal(err)
	}
	m.expects("READY=1")
}

func TestAddress(t *testing.T) {
	fdtest.Check(t)
	for path, want := range map[string]error{
		"vsock:2:1234": notify.ErrVsock, "vsock-stream:2:1234": errors.ErrUnsupported, "run/notify": notify.ErrAddress,
		"/": notify.ErrAddress, "@": notify.ErrAddress, "/" + strings.Repeat("x", 107): notify.ErrAddress,
	} {
		set(t, map[string]string{"NOTIFY_SOCKET": path})
		n, err := notify.FromEnvironment()
		if !errors.Is(err, want) || !strings.Contains(err.Error(), strconv.Quote(path)) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		if err := n.Ready(); err != nil || n.Wanted() {
			t.Errorf("%s: it is used all the same: %v", path, err)
		}
	}
}

func TestWatchdogVariables(t *testing.T) {
	fdtest.Check(t)
	me, other := strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid())
	for _, tt := range []struct {
		timeout, pid string
		want         time.Duration
		err          error
	}{
		{"30000000", me, 30 * time.Second, nil},
		{"1", "", time.Microsecond, nil},
		{"30000000", other, 0, nil},
		{"x", other, 0, nil},
		{"", me, 0, nil},
		{"0", "", 0, notify.ErrWatchdog},
		{"-1", "", 0, notify.ErrWatchdog},
		{"1.5", "", 0, notify.ErrWatchdog},
		{"9223372036854776", "", 0, notify.ErrWatchdog},
		{"18446744073709551615", me, 0, notify.ErrWatchdog},
		{"1", "0", 0, notify.ErrWatchdog},
		{"1", "x", 0, notify.ErrWatchdog},
	} {
		set(t, map[string]string{"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": tt.timeout, "WATCHDOG_PID": tt.pid})
		n, err := notify.FromEnvironment()
		if n.WatchdogTimeout() != tt.want || !errors.Is(err, tt.err) || !n.Wanted() {
			t.Errorf("WATCHDOG_USEC=%s, WATCHDOG_PID=%s: %v, %v", tt.timeout, tt.pid, n.WatchdogTimeout(), err)
		}
	}
}

// TestFull: a manager that doesn't read is an error, and is told again when it reads.
func TestFull(t *testing.T) {
	fdtest.Check(t)
	n, m := managed(t, 0)
	sent := 0
	var err error
	for ; err == nil && sent < 1_000_000; sent++ {
		err = n.Status("again")
	}
	if !errors.Is(err, notify.ErrFull) || sent < 2 {
		t.Fatalf("after %d: %v", sent, err)
	}
	if texts := m.waiting(); len(texts) != sent-1 {
		t.Errorf("%d of %d have come", len(texts), sent-1)
	}
	if err := n.Ready(); err != nil {
		t.Error(err)
	}
	m.expects("READY=1")
}

// TestGone: a manager that has gone is an error; one that comes again at the same place is found.
func TestGone(t *testing.T) {
	fdtest.Check(t)
	n, m := managed(t, 0)
	path := m.conn.LocalAddr().String()
	if err := m.conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(); !errors.Is(err, syscall.ECONNREFUSED) { // the file is still there
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	again := listen(t, path)
	if err := n.Ready(); err != nil {
		t.Error(err)
	}
	again.expects("READY=1")
}
