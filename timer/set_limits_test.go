//go:build linux

package timer_test

import (
	"errors"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

func TestEntrySize(t *testing.T) {
	if size := unsafe.Sizeof(timer.Entry{}); size > 48 {
		t.Errorf("an entry has %d bytes, want 48 at most", size)
	}
}

// TestSetFarAway: moments that can't be counted are far away, and cost no wake-up.
func TestSetFarAway(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	set := newSet(t, loop, zero)
	for _, d := range []time.Duration{math.MaxInt64, math.MaxInt64 - 1, 1 << 62, 100 * 365 * 24 * time.Hour} {
		e := set.After(d, neverEntry(t))
		if left := time.Until(e.Due()); left < 99*365*24*time.Hour {
			t.Errorf("due in %v, want %v", left, d)
		}
	}
	after(t, loop, 5*time.Millisecond, func(*timer.Timer) error { set.Close(); return nil }, zero)
	run(t, loop)
	if turns := loop.Stats().Turns; turns > 5 {
		t.Errorf("%d turns", turns)
	}
}

func TestSetOptions(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	named := newSet(t, loop, communicator.Options{Name: "waits", Priority: 4, Deadline: time.Now()})
	set := newSet(t, loop, zero)
	set.After(time.Hour, neverEntry(t))
	if i := loop.Sources()[0]; i.Name != "waits" || i.Priority != 4 || !i.Deadline.IsZero() || named.Handle().Name() != "waits" {
		t.Errorf("listed as %v", i)
	}
	if i := loop.Sources()[1]; !strings.Contains(i.Name, "1 timer") || time.Until(i.Deadline) > time.Hour {
		t.Errorf("listed as %v", i)
	}
	set.Close()
	run(t, loop)
	if set, err := timer.NewSet(loop, zero); !errors.Is(err, communicator.ErrClosed) || set != nil {
		t.Errorf("NewSet answers %v, %v", set, err)
	}
}

// TestSetCosts: ten thousand entries are no descriptor, no goroutine and one source; one of the caller's costs
// no allocation, one of After's a single one.
func TestSetCosts(t *testing.T) {
	const entries = 10_000
	loop := newLoop(t, communicator.Config{})
	set := newSet(t, loop, zero)
	descriptors := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	mallocs := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.Mallocs
	}
	fired := 0
	f := func(*timer.Entry) { fired++ }
	mine := make([]timer.Entry, entries)
	before, goroutines, begin := descriptors(), runtime.NumGoroutine(), mallocs()
	for i := range mine {
		set.Start(&mine[i], time.Duration(i)*time.Microsecond, f)
	}
	started := mallocs()
	for i := range mine {
		set.After(time.Duration(i)*time.Microsecond, f)
	}
	added := mallocs()
	// A few are the runtime's own.
	if n := started - begin; n > entries/100 {
		t.Errorf("%d allocations to start %d entries", n, entries)
	}
	if n := added - started; n < entries || n > entries+entries/100 {
		t.Errorf("%d allocations to add %d entries", n, entries)
	}
	if descriptors() != before || runtime.NumGoroutine() > goroutines || len(loop.Sources()) != 1 {
		t.Errorf("%d descriptors, %d before; %d goroutines, %d before; %d sources",
			descriptors(), before, runtime.NumGoroutine(), goroutines, len(loop.Sources()))
	}
	run(t, loop)
	if fired != 2*entries {
		t.Errorf("%d fired", fired)
	}
}

// TestEntryMisuse: a nil function is a mistake of the caller's.
func TestEntryMisuse(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	set := newSet(t, loop, zero)
	for name, f := range map[string]func(){
		"After": func() { set.After(0, nil) },
		"At":    func() { _, _ = timer.At(loop, time.Now(), nil, zero) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s takes a nil function", name)
				}
			}()
			f()
		}()
	}
	run(t, loop)
}
