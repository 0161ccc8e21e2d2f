//go:build linux

package communicator_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// logTo returns a logger that writes its records into a buffer.
func logTo(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// logged returns the lines of a log that contain all of the words.
func logged(b *bytes.Buffer, words ...string) (lines []string) {
next:
	for line := range strings.Lines(b.String()) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue next
			}
		}
		lines = append(lines, line)
	}
	return lines
}

const slow = 5 * time.Millisecond

// TestSlowCallbacks: each is reported by name, with the time that it took.
func TestSlowCallbacks(t *testing.T) {
	var log bytes.Buffer
	var order journal
	loop := newLoop(t, communicator.Config{
		Logger: logTo(&log), SlowCallback: slow,
		OnSlow: func(h *communicator.Handle, took time.Duration) {
			if took <= slow {
				t.Errorf("%v is not slow", took)
			}
			if h == nil {
				order.note("posted")
			} else {
				order.note(h.Name())
			}
		},
	})
	p := &probe{t: t, file: signalled(t)}
	p.read = func(*communicator.Handle) error { spin(2 * slow); return nil }
	p.timeout = func(h *communicator.Handle) error { spin(2 * slow); return remove(h) }
	p.closed = func(*communicator.Handle, error) { spin(2 * slow) }
	add(t, loop, p, communicator.Options{Name: "snail", Deadline: time.Now()})
	post(t, loop, func() { spin(2 * slow) })
	run(t, loop)
	// On a machine that stands still for a while, more of them may have been slow.
	for _, want := range []struct {
		name string
		n    int
	}{{"snail", 3}, {"posted", 1}} {
		n := 0
		for _, name := range order {
			if name == want.name {
				n++
			}
		}
		if n < want.n {
			t.Errorf("%s was reported %d times, want %d", want.name, n, want.n)
		}
	}
	lines := logged(&log, "slow callback", "level=WARN", "took=")
	if len(lines) != len(order) || loop.Stats().Slow != uint64(len(order)) {
		t.Errorf("%d reports, %d in the log, %d counted", len(order), len(lines), loop.Stats().Slow)
	}
	if len(logged(&log, "slow callback", "source=snail")) < 3 || len(logged(&log, "slow callback", `source="a posted function"`)) < 1 {
		t.Errorf("the log says:\n%s", log.String())
	}
}

// TestSlowNever: a negative time turns the reports off.
func TestSlowNever(t *testing.T) {
	loop := newLoop(t, communicator.Config{
		SlowCallback: -1,
		OnSlow:       func(*communicator.Handle, time.Duration) { t.Error("reported") },
	})
	post(t, loop, func() { spin(time.Millisecond) })
	run(t, loop)
}

// TestSleepIsNotSlow: the time that a loop waits, in the kernel or for Run or Close, is nobody's.
func TestSleepIsNotSlow(t *testing.T) {
	const limit = 250 * time.Millisecond // far above what a callback takes even on a busy machine
	for _, end := range []string{"Run", "Close"} {
		t.Run(end, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{
				SlowCallback: limit,
				OnSlow: func(h *communicator.Handle, took time.Duration) {
					t.Errorf("%v was reported, it took %v", h, took)
				},
			})
			p := &probe{t: t, timeout: remove}
			pass(t, limit+limit/4)
			add(t, loop, p, communicator.Options{Deadline: time.Now().Add(limit + limit/4)})
			if end == "Run" {
				run(t, loop)
			} else if err := loop.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSlowHookIsNotBilled: the time that OnSlow takes isn't that of the callback after. On a machine that stands
// still for a while that one may be slow itself, so there are a few attempts.
func TestSlowHookIsNotBilled(t *testing.T) {
	reports := 0
	for range 4 {
		reports = 0
		loop := newLoop(t, communicator.Config{
			SlowCallback: 20 * time.Millisecond,
			OnSlow: func(*communicator.Handle, time.Duration) {
				reports++
				spin(30 * time.Millisecond)
			},
		})
		post(t, loop, func() { spin(30 * time.Millisecond) })
		post(t, loop, func() {})
		post(t, loop, func() {})
		run(t, loop)
		if reports == 1 {
			return
		}
	}
	t.Errorf("%d reports, want 1", reports)
}

// TestRemovalLog: every removal is logged, as a warning when nobody else hears of the failure.
func TestRemovalLog(t *testing.T) {
	var log bytes.Buffer
	loop := newLoop(t, communicator.Config{Logger: logTo(&log)})
	add(t, loop, &probe{t: t}, communicator.Options{Name: "well", Priority: -3}).Remove(nil)
	add(t, loop, &probe{t: t}, communicator.Options{Name: "told"}).Remove(errTest)
	add(t, loop, &sleeper{eventfd(t)}, communicator.Options{Name: "mute"}).Remove(errTest)
	add(t, loop, &sleeper{eventfd(t)}, communicator.Options{Name: "last"})
	post(t, loop, func() { loop.Stop(errTest) }) // which Run answers, so it is no news of each source
	if err := runError(t, loop); !errors.Is(err, errTest) {
		t.Errorf("Run answers %v", err)
	}
	for _, test := range [][]string{
		{"level=DEBUG", "source.name=well", "source.fd=-1", "source.priority=-3", "cause=<nil>"},
		{"level=DEBUG", "source.name=told", `cause="an error of the test"`},
		{"level=WARN", "source.name=mute", `cause="an error of the test"`},
		{"level=DEBUG", "source.name=last"},
	} {
		if n := len(logged(&log, append(test, "source removed")...)); n != 1 {
			t.Errorf("%d lines with %q", n, test)
		}
	}
	if n := len(logged(&log, "source removed")); n != 4 {
		t.Errorf("%d lines", n)
	}
	if t.Failed() {
		t.Log(log.String())
	}
}

// TestCloseErrorLog: a Close that fails is logged.
func TestCloseErrorLog(t *testing.T) {
	var log bytes.Buffer
	loop := newLoop(t, communicator.Config{Logger: logTo(&log)})
	add(t, loop, &stubborn{}, communicator.Options{Deadline: time.Now()})
	run(t, loop)
	if n := len(logged(&log, "level=WARN", "source.name=stubborn", `error="an error of the test"`)); n != 1 {
		t.Errorf("%d lines in:\n%s", n, log.String())
	}
}

// stubborn is a source that doesn't close well.
type stubborn struct{}

func (*stubborn) FD() int                                    { return communicator.NoFD }
func (*stubborn) HandleTimeout(h *communicator.Handle) error { return remove(h) }
func (*stubborn) Close() error                               { return errTest }
func (*stubborn) String() string                             { return "stubborn" }

// TestDetachWithAnErrorLog: an error that nobody can be told of otherwise is in the log.
func TestDetachWithAnErrorLog(t *testing.T) {
	var log bytes.Buffer
	loop := newLoop(t, communicator.Config{Logger: logTo(&log)})
	p := &probe{t: t, file: signalled(t), read: func(h *communicator.Handle) error {
		h.Detach()
		return errTest
	}}
	add(t, loop, p, communicator.Options{})
	run(t, loop)
	if n := len(logged(&log, errTest.Error())); n != 1 || p.closes != 0 {
		t.Errorf("%d lines, %d closes; the log says:\n%s", n, p.closes, log.String())
	}
}
