//go:build linux

package procwatch_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

// roleVariable makes of the test's program another that a test needs.
const roleVariable = "PROCWATCH_TEST_ROLE"

var roles = map[string]func() error{
	"exhausted": exhausted, "machine": machineRole, "stamp": stamp, "stranger": stranger, "trace": trace,
}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := roles[role](); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	fdtest.Main(m)
}

// role is a command that runs this program in a role.
func role(tb testing.TB, name string, args ...string) *exec.Cmd {
	tb.Helper()
	if roles[name] == nil {
		tb.Fatalf("no role %s", name)
	}
	c := exec.Command("/proc/self/exe", args...) // which also another user may run
	c.Env = append(os.Environ(), roleVariable+"="+name, "GORACE=atexit_sleep_ms=0")
	return c
}

// start starts a command that is killed and waited for at the end of the test, if nobody has before.
func start(tb testing.TB, c *exec.Cmd) *os.Process {
	tb.Helper()
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c.Process
}

// shell starts a script.
func shell(tb testing.TB, script string) *os.Process {
	tb.Helper()
	return start(tb, exec.Command("sh", "-c", script))
}

// sleeper starts a child that ends with status 0 when its standard input is closed.
func sleeper(tb testing.TB) (*os.Process, io.Closer) {
	tb.Helper()
	c := exec.Command("cat")
	in, err := c.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	return start(tb, c), in
}

// child watches a child.
func child(tb testing.TB, loop *communicator.Communicator, p *os.Process, f func(*procwatch.Watch, procwatch.Event) error, o procwatch.Options) *procwatch.Watch {
	tb.Helper()
	w, err := procwatch.Child(loop, p, f, o)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// keep is a callback that keeps the events.
func keep(events *[]procwatch.Event) func(*procwatch.Watch, procwatch.Event) error {
	return func(_ *procwatch.Watch, e procwatch.Event) error {
		*events = append(*events, e)
		return nil
	}
}
