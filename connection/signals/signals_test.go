//go:build linux

package signals_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

var errTest = errors.New("an error of the test")

func newLoop(tb testing.TB) (*communicator.Communicator, *strings.Builder) {
	tb.Helper()
	log := &strings.Builder{}
	return looptest.NewLogging(tb, slog.NewTextHandler(log, nil)), log
}

func notify(tb testing.TB, loop *communicator.Communicator, f func(os.Signal, int) error, set ...os.Signal) *signals.Signals {
	tb.Helper()
	s, err := signals.Notify(loop, f, communicator.Options{}, set...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// raise sends a signal to this process.
func raise(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		tb.Error(err)
	}
}

// raiseHere sends a signal to this thread, which has it before the call returns. For one that nobody waits for: it
// would come to a later test.
func raiseHere(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Tgkill(unix.Getpid(), unix.Gettid(), sig); err != nil {
		tb.Error(err)
	}
}

// TestOrder raises each signal when the one before has come.
func TestOrder(t *testing.T) {
	loop, _ := newLoop(t)
	order := []os.Signal{syscall.SIGUSR2, syscall.SIGUSR1, syscall.SIGWINCH, syscall.SIGUSR1, syscall.SIGUSR2}
	var got []os.Signal
	var s *signals.Signals
	s = notify(t, loop, func(sig os.Signal, count int) error {
		if count != 1 {
			t.Errorf("%v came %d times", sig, count)
		}
		if got = append(got, sig); len(got) == len(order) {
			s.Close()
		} else {
			raise(t, order[len(got)].(syscall.Signal))
		}
		return nil
	}, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	if want := "signals user defined signal 1, user defined signal 2, window changed"; s.Handle().Name() != want {
		t.Errorf("it is called %q, want %q", s.Handle().Name(), want)
	}
	raise(t, syscall.SIGUSR2)
	looptest.Run(t, loop)
	if !slices.Equal(got, order) {
		t.Errorf("got %v, want %v", got, order)
	}
}

// TestCount: what comes while the loop is busy is told once, with its number.
func TestCount(t *testing.T) {
	loop, _ := newLoop(t)
	counts := map[os.Signal]int{}
	calls := 0
	var s *signals.Signals
	s = notify(t, loop, func(sig os.Signal, count int) error {
		calls++
		counts[sig] += count
		if counts[syscall.SIGUSR1] == 5 && counts[syscall.SIGUSR2] == 3 {
			s.Close()
		}
		return nil
	}, syscall.SIGUSR1, syscall.SIGUSR2)
	// The kernel and os/signal make one of those that haven't been delivered yet, so each waits for the one before.
	seen := make(chan os.Signal, 1)
	signal.Notify(seen, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(seen)
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGUSR1, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGUSR1} {
		raise(t, sig)
		<-seen
	}
	looptest.Run(t, loop)
	if calls > 8 || len(counts) != 2 {
		t.Errorf("%d calls, %v", calls, counts)
	}
}

// TestError: an error ends the source, is logged, and leaves the loop running.
func TestError(t *testing.T) {
	loop, log := newLoop(t)
	calls := 0
	notify(t, loop, func(os.Signal, int) error {
		calls++
		return errTest
	}, syscall.SIGUSR1)
	raise(t, syscall.SIGUSR1)
	looptest.Run(t, loop) // it ends because nothing is left
	if calls != 1 || strings.Count(log.String(), errTest.Error()) != 1 {
		t.Errorf("%d calls, logged %s", calls, log)
	}
}

// TestCloseGivesBack: afterwards a signal has its usual effect, here none.
func TestCloseGivesBack(t *testing.T) {
	loop, _ := newLoop(t)
	calls := 0
	var s *signals.Signals
	s = notify(t, loop, func(os.Signal, int) error {
		calls++
		s.Close()
		s.Close() // once more means nothing
		raiseHere(t, syscall.SIGWINCH)
		return nil
	}, syscall.SIGWINCH)
	raise(t, syscall.SIGWINCH)
	looptest.Run(t, loop)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
	if s.Handle().Active() {
		t.Error("still in the loop")
	}
	raiseHere(t, syscall.SIGWINCH)
}

// TestTwo: both are told of a signal that both want; one that goes takes nothing from the other.
func TestTwo(t *testing.T) {
	loop, _ := newLoop(t)
	var a, b *signals.Signals
	first := map[string]bool{}
	came := func(who string) {
		if first[who] = true; len(first) == 2 { // only b is left
			_ = loop.Post(func() { raise(t, syscall.SIGUSR1) })
		}
	}
	a = notify(t, loop, func(os.Signal, int) error {
		a.Close()
		came("a")
		return nil
	}, syscall.SIGUSR1)
	b = notify(t, loop, func(os.Signal, int) error {
		if len(first) == 2 {
			b.Close()
			return nil
		}
		came("b")
		return nil
	}, syscall.SIGUSR1)
	raise(t, syscall.SIGUSR1)
	looptest.Run(t, loop)
}

// TestPriority: an urgent signal comes before other work of the same turn.
func TestPriority(t *testing.T) {
	loop, _ := newLoop(t)
	var s *signals.Signals
	s, err := signals.Notify(loop, func(os.Signal, int) error {
		s.Close()
		return nil
	}, communicator.Options{Name: "hang up", Priority: communicator.PriorityUrgent}, syscall.SIGHUP)
	if err != nil {
		t.Fatal(err)
	}
	if s.Handle().Name() != "hang up" || s.Handle().Priority() != communicator.PriorityUrgent {
		t.Errorf("name %q, priority %d", s.Handle().Name(), s.Handle().Priority())
	}
	raise(t, syscall.SIGHUP)
	looptest.Run(t, loop)
}

// TestDisabled: signals are kept until the source is enabled again.
func TestDisabled(t *testing.T) {
	loop, _ := newLoop(t)
	var s *signals.Signals
	enabled, calls := false, 0
	s = notify(t, loop, func(os.Signal, int) error {
		if calls++; !enabled {
			t.Error("called while disabled")
		}
		s.Close()
		return nil
	}, syscall.SIGUSR1)
	s.Handle().SetEnabled(false)
	seen := make(chan os.Signal, 1)
	signal.Notify(seen, syscall.SIGUSR1)
	defer signal.Stop(seen)
	raise(t, syscall.SIGUSR1)
	<-seen
	turns := 0
	var wait func()
	wait = func() {
		if turns++; turns < 5 {
			_ = loop.Post(wait)
			return
		}
		enabled = true
		s.Handle().SetEnabled(true)
	}
	_ = loop.Post(wait)
	looptest.Run(t, loop)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

// TestWant: what the descriptor is watched for is not the user's to say.
func TestWant(t *testing.T) {
	loop, _ := newLoop(t)
	calls := 0
	var s *signals.Signals
	s, err := signals.Notify(loop, func(os.Signal, int) error {
		calls++
		s.Close()
		return nil
	}, communicator.Options{Want: communicator.Write}, syscall.SIGUSR1)
	if err != nil {
		t.Fatal(err)
	}
	raise(t, syscall.SIGUSR1)
	looptest.Run(t, loop)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

// TestEndsWithLoop: Main counts the goroutines and descriptors that are left.
func TestEndsWithLoop(t *testing.T) {
	loop, _ := newLoop(t)
	f := func(os.Signal, int) error { return nil }
	s := notify(t, loop, f, syscall.SIGWINCH)
	_ = loop.Post(func() { loop.Stop(nil) })
	looptest.Run(t, loop)
	if s.Handle().Active() {
		t.Error("still in the loop")
	}
	if _, err := signals.Notify(loop, f, communicator.Options{}, syscall.SIGWINCH); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("Notify: %v", err)
	}
}

func ExampleNotify() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	stop := func(sig os.Signal, count int) error {
		fmt.Println("got", sig)
		loop.Stop(nil)
		return nil
	}
	if _, err := signals.Notify(loop, stop, communicator.Options{}, os.Interrupt, syscall.SIGTERM); err != nil {
		fmt.Println(err)
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // as systemd does
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// got terminated
	// <nil>
}

func TestNone(t *testing.T) {
	loop, _ := newLoop(t)
	f := func(os.Signal, int) error { return nil }
	if _, err := signals.Notify(loop, f, communicator.Options{}); !errors.Is(err, signals.ErrNoSignals) {
		t.Errorf("Notify of no signals answers %v", err)
	}
}

// TestDisabledByHandler: what came together with a signal whose handler disables the source waits.
func TestDisabledByHandler(t *testing.T) {
	loop, _ := newLoop(t)
	set := []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2}
	came := make(chan os.Signal, 8)
	signal.Notify(came, set...)
	defer signal.Stop(came)
	seen := map[os.Signal]int{}
	var s *signals.Signals
	s = notify(t, loop, func(sig os.Signal, count int) error {
		if !s.Handle().Enabled() {
			t.Errorf("%v came to a disabled source", sig)
		}
		seen[sig] += count
		if len(seen) == len(set) {
			s.Close()
			return nil
		}
		s.Handle().SetEnabled(false)
		return loop.Post(func() {
			if len(seen) != 1 {
				t.Errorf("%v came before the source was enabled", seen)
			}
			s.Handle().SetEnabled(true)
		})
	}, set...)
	for _, sig := range set { // before the loop runs, so that they come together
		raise(t, sig.(syscall.Signal))
		<-came
	}
	looptest.Run(t, loop)
	if seen[set[0]] != 1 || seen[set[1]] != 1 {
		t.Errorf("came: %v", seen)
	}
}
