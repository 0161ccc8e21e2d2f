//go:build linux

package signals_test

import (
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// The storm of TestStorm: as many signals as can be sent in the time, and no more than the number.
const (
	stormTime = 600 * time.Millisecond
	stormMost = 1_000_000
)

// TestStorm: a storm of one signal neither stops the loop nor takes memory, nor keeps another signal from
// being seen, and its own last one is seen as well.
func TestStorm(t *testing.T) {
	loop, _ := newLoop(t)
	var sent, others atomic.Int64
	var lastSent atomic.Bool
	seen, calls, posted := 0, 0, 0
	afterLast := false
	var s *signals.Signals
	s = notify(t, loop, func(sig os.Signal, count int) error {
		if sig == syscall.SIGUSR2 {
			others.Add(1)
			return nil
		}
		last := lastSent.Load() // before this call, so that what it counts may be the last
		calls++
		seen += count
		if int64(seen) > sent.Load() {
			t.Errorf("%d signals of %d", seen, sent.Load())
		}
		if last {
			afterLast = true
			s.Close()
		}
		return nil
	}, syscall.SIGUSR1, syscall.SIGUSR2)
	var again func()
	again = func() {
		if posted++; s.Handle().Active() {
			_ = loop.Post(again)
		}
	}
	_ = loop.Post(again)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	go func() {
		defer close(done)
		end := time.Now().Add(stormTime)
		for n := 1; n < stormMost && time.Now().Before(end); n++ {
			sent.Add(1)
			raise(t, syscall.SIGUSR1)
			if n == 1000 {
				raise(t, syscall.SIGUSR2)
			}
		}
		for others.Load() == 0 { // in the midst of the storm it has had its turn, or else it comes now
			runtime.Gosched()
		}
		lastSent.Store(true)
		sent.Add(1)
		raise(t, syscall.SIGUSR1)
	}()
	looptest.Run(t, loop)
	<-done
	runtime.GC()
	runtime.ReadMemStats(&after)
	if !afterLast || seen < 1 || others.Load() != 1 || posted < 2 {
		t.Errorf("the last was seen: %v; %d signals, %d of the other kind, %d turns of the loop", afterLast, seen, others.Load(), posted)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	t.Logf("%d signals sent, %d counted in %d calls, %d turns of the loop", sent.Load(), seen, calls, posted)
}

// strange is a signal of nobody.
type strange struct{}

func (strange) Signal()        {}
func (strange) String() string { return "strange" }

func TestUncatchable(t *testing.T) {
	loop, _ := newLoop(t)
	f := func(os.Signal, int) error { return nil }
	never := []os.Signal{
		os.Kill, syscall.SIGSTOP, syscall.SIGSEGV, syscall.SIGPROF, syscall.Signal(0), syscall.Signal(-1),
		syscall.Signal(33), syscall.Signal(65), strange{},
	}
	for _, sig := range never {
		s, err := signals.Notify(loop, f, communicator.Options{}, syscall.SIGUSR1, sig)
		if !errors.Is(err, signals.ErrUncatchable) || !strings.Contains(err.Error(), sig.String()) || s != nil {
			t.Errorf("%v: %v, %v", sig, s, err)
		}
	}
	if n := loop.Stats().Live; n != 0 {
		t.Errorf("%d sources are left", n)
	}
}

// TestAll asks for each signal that can be had, and raises those that do no harm to the test.
func TestAll(t *testing.T) {
	loop, _ := newLoop(t)
	var set, want, got []os.Signal
	for n := syscall.Signal(1); n <= 64; n++ {
		set = append(set, n)
		if n != syscall.SIGURG && n != syscall.SIGPIPE && n != syscall.SIGCHLD { // raised by others, too
			want = append(want, n)
		}
	}
	refused := func(sig os.Signal) bool {
		s, err := signals.Notify(loop, func(os.Signal, int) error { return nil }, communicator.Options{}, sig)
		if err == nil {
			s.Close()
		}
		return err != nil
	}
	set, want = slices.DeleteFunc(set, refused), slices.DeleteFunc(want, refused)
	if len(set) != 64-13 {
		t.Errorf("%d signals can be had", len(set))
	}
	var s *signals.Signals
	s = notify(t, loop, func(sig os.Signal, count int) error {
		if slices.Contains(want, sig) {
			got = append(got, sig)
			if len(got) == len(want) {
				s.Close()
			} else {
				raise(t, want[len(got)].(syscall.Signal))
			}
		}
		return nil
	}, set...)
	for _, sig := range set {
		if !strings.Contains(s.Handle().Name(), sig.String()) {
			t.Errorf("%v isn't in the name %q", sig, s.Handle().Name())
		}
	}
	raise(t, want[0].(syscall.Signal))
	looptest.Run(t, loop)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestTwice: a signal that is named twice comes once, and the caller's slice may change.
func TestTwice(t *testing.T) {
	loop, _ := newLoop(t)
	set := []os.Signal{syscall.SIGUSR1, syscall.SIGUSR1}
	calls := 0
	var s *signals.Signals
	s = notify(t, loop, func(_ os.Signal, count int) error {
		calls += count
		s.Close()
		return nil
	}, set...)
	set[0] = syscall.SIGKILL
	if want := "signals user defined signal 1, user defined signal 1"; s.Handle().Name() != want {
		t.Errorf("it is called %q", s.Handle().Name())
	}
	came := make(chan os.Signal, 1)
	signal.Notify(came, syscall.SIGUSR1)
	defer signal.Stop(came)
	raise(t, syscall.SIGUSR1)
	<-came
	looptest.Run(t, loop)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

// TestShutdown: a plain source ends with the shutdown, one in the background with the loop.
func TestShutdown(t *testing.T) {
	loop, _ := newLoop(t)
	f := func(os.Signal, int) error { return nil }
	plain := notify(t, loop, f, syscall.SIGWINCH)
	behind, err := signals.Notify(loop, f, communicator.Options{Background: true}, syscall.SIGWINCH)
	if err != nil {
		t.Fatal(err)
	}
	_ = loop.Post(func() {
		loop.Shutdown(looptest.Patience)
		if plain.Handle().Active() || !behind.Handle().Active() {
			t.Errorf("plain: %v, in the background: %v", plain.Handle().Active(), behind.Handle().Active())
		}
	})
	looptest.Run(t, loop)
	if behind.Handle().Active() {
		t.Error("still in the loop")
	}
}

// BenchmarkLatency measures the time from kill(2) to the callback.
func BenchmarkLatency(b *testing.B) {
	loop := looptest.NewLogging(b, slog.DiscardHandler)
	var began time.Time
	took := make([]time.Duration, 0, b.N)
	came := make(chan struct{}, 1)
	if _, err := signals.Notify(loop, func(os.Signal, int) error {
		took = append(took, time.Since(began))
		came <- struct{}{}
		return nil
	}, communicator.Options{}, syscall.SIGUSR1); err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- loop.Run(b.Context()) }()
	looptest.Do(b, loop, func() {})
	for b.Loop() {
		began = time.Now()
		raise(b, syscall.SIGUSR1)
		<-came
	}
	loop.Stop(nil)
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-µs")
}
