package fdtest_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

// leakEnv names the case of TestLeak that a child process runs.
const leakEnv = "FDTEST_LEAK"

// kept holds what TestLeak leaves open, out of the garbage collector's reach.
var kept []any

func TestMain(m *testing.M) { fdtest.Main(m) }

// cases are what a test may leave behind. want is a part of the report; with
// none, the process has to end well.
var cases = []struct {
	name  string
	leave func(t *testing.T)
	want  string
}{
	{"nothing", func(*testing.T) {}, ""},
	{"closed", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}, ""},
	{"signals", func(*testing.T) {
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt)
		signal.Stop(c)
	}, ""},
	{"ending", func(*testing.T) {
		gate := make(chan struct{})
		go func() { <-gate }()
		time.AfterFunc(50*time.Millisecond, func() { close(gate) })
	}, ""},
	{"file", func(t *testing.T) {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, f)
	}, "/dev/null"},
	{"socket", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, l)
	}, "socket:["},
	{"goroutine", func(*testing.T) {
		never := make(chan struct{})
		kept = append(kept, never)
		go func() { <-never }()
	}, "[chan receive]"},
}

// TestLeak does nothing by itself: TestMainReports runs it in a process of its
// own, where it leaves something behind.
func TestLeak(t *testing.T) {
	for _, c := range cases {
		if c.name == os.Getenv(leakEnv) {
			c.leave(t)
		}
	}
}

func TestMainReports(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // a leak is only reported when the grace is over
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestLeak$")
			cmd.Env = append(os.Environ(), leakEnv+"="+c.name, "GORACE=atexit_sleep_ms=0")
			out, err := cmd.CombinedOutput()
			code := cmd.ProcessState.ExitCode()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("a clean process ended with %v:\n%s", err, out)
			case c.want != "" && code != 1:
				t.Errorf("status %d after a leak, want 1:\n%s", code, out)
			case !strings.Contains(string(out), c.want):
				t.Errorf("the report lacks %q:\n%s", c.want, out)
			}
		})
	}
}

// recorder is a testing.TB that keeps cleanups and errors for inspection.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (*recorder) Helper()            {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestCheck(t *testing.T) {
	f, err := os.Open(os.DevNull) // open before, so none of Check's business
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	for _, leak := range []bool{false, true} {
		rec := &recorder{TB: t}
		fdtest.Check(rec)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		if !leak {
			w.Close()
		}
		for _, cleanup := range rec.cleanups {
			cleanup()
		}
		w.Close()

		if got := len(rec.errors) > 0; got != leak {
			t.Errorf("leak %v: reported %q", leak, rec.errors)
		}
		if leak && !strings.Contains(strings.Join(rec.errors, ""), "pipe:[") {
			t.Errorf("the report doesn't say what was left: %q", rec.errors)
		}
	}
}
