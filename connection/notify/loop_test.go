//go:build linux

package notify_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/notify"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

var options communicator.Options

// period is a watchdog's that tests don't wait for long.
const period = 20 * time.Millisecond

// run runs a loop on another goroutine until the test ends.
func run(tb testing.TB, loop *communicator.Communicator) (ended <-chan error) {
	tb.Helper()
	done := make(chan error, 1)
	hold, err := loop.Hold()
	if err != nil {
		tb.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		done <- loop.Run(context.Background())
	}()
	tb.Cleanup(func() {
		hold()
		loop.Stop(nil)
		looptest.Await(tb, gone, "the end of the loop")
	})
	return done
}

// TestAttach: ready once when the loop runs, stopping once when it is shut down, although it goes on for a while.
func TestAttach(t *testing.T) {
	fdtest.Check(t)
	n, m := managed(t, 0)
	loop, log := looptest.New(t)
	if err := n.Attach(loop); err != nil {
		t.Fatal(err)
	}
	if texts := m.waiting(); texts != nil {
		t.Errorf("before Run it hears %q", texts)
	}
	hold, err := loop.Hold()
	if err != nil {
		t.Fatal(err)
	}
	done := run(t, loop)
	m.expects("READY=1")
	looptest.Do(t, loop, func() { loop.Shutdown(looptest.Patience) })
	m.expects("STOPPING=1")
	looptest.Do(t, loop, func() {}) // it still runs
	hold()
	looptest.Do(t, loop, func() { loop.Stop(nil) })
	if err := looptest.Await(t, done, "the end of the loop"); err != nil {
		t.Error(err)
	}
	if texts := m.waiting(); texts != nil || len(log.Records()) != 0 {
		t.Errorf("it hears %q, too; logged %q", texts, log.Records())
	}
}

// TestAttachEnds: a loop that ends without a shutdown says so as well, and the source doesn't keep it from ending.
func TestAttachEnds(t *testing.T) {
	fdtest.Check(t)
	n, m := managed(t, 0)
	loop, _ := looptest.New(t)
	if err := n.Attach(loop); err != nil {
		t.Fatal(err)
	}
	work := func(*timer.Timer) error { m.expects("READY=1"); return nil }
	if _, err := timer.After(loop, 0, work, options); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	m.expects("STOPPING=1")
	if err := n.Attach(loop); !errors.Is(err, communicator.ErrClosed) {
		t.Error(err)
	}
}

// TestAttachFull: the manager is told that the service is ready as soon as it reads again.
func TestAttachFull(t *testing.T) {
	fdtest.Check(t)
	n, m := managed(t, 0)
	for n.Status("full") == nil {
	}
	loop, log := looptest.New(t)
	if err := n.Attach(loop); err != nil {
		t.Fatal(err)
	}
	calls := func() (c uint64) {
		looptest.Do(t, loop, func() { c = loop.Sources()[0].Calls })
		return c
	}
	run(t, loop)
	for calls() == 0 { // it has tried in vain
	}
	m.waiting()
	m.expects("READY=1")
	if len(log.Records()) != 0 {
		t.Errorf("logged %q", log.Records())
	}
}

// TestAttachGone: a manager that isn't there is logged, and changes nothing else.
func TestAttachGone(t *testing.T) {
	fdtest.Check(t)
	n, m := managed(t, period)
	if err := m.conn.Close(); err != nil {
		t.Fatal(err)
	}
	loop, log := looptest.New(t)
	if err := errors.Join(n.Attach(loop), n.Watchdog(loop, options)); err != nil {
		t.Fatal(err)
	}
	left := 5
	if _, err := timer.Every(loop, period, func(timer *timer.Timer, _ int) error {
		if left--; left == 0 {
			timer.Stop()
		}
		return nil
	}, options); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	for _, what := range []string{"READY=1", "STOPPING=1", "WATCHDOG=1"} {
		if n := len(log.Containing(what)); n != 1 {
			t.Errorf("%s is logged %d times: %q", what, n, log.Records())
		}
	}
}

// TestAttachComesBack: a manager that is started anew hears that the service is ready, whatever was there meanwhile.
func TestAttachComesBack(t *testing.T) {
	for _, leaves := range []bool{false, true} { // its socket: ECONNREFUSED, or else ENOENT
		t.Run(fmt.Sprint("leaves its socket ", leaves), func(t *testing.T) {
			fdtest.Check(t)
			n, m := managed(t, 0)
			path := m.conn.LocalAddr().String()
			if err := m.conn.Close(); err != nil {
				t.Fatal(err)
			}
			if !leaves {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			loop, log := looptest.New(t)
			if err := n.Attach(loop); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			run(t, loop)
			var info communicator.Info
			ask := func() { looptest.Do(t, loop, func() { info = loop.Sources()[0] }) }
			for ask(); info.Calls < 2; ask() {
			}
			pauses := 100 * time.Millisecond * (1<<min(info.Calls, 6) - 1) // all so far, and each twice the one before
			if took := info.Deadline.Sub(began); took < pauses || time.Until(info.Deadline) > 5*time.Second {
				t.Errorf("try %d comes after %v, want %v", info.Calls+1, took, pauses)
			}
			if leaves {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			listen(t, path).expects("READY=1")
			if ask(); !info.Deadline.IsZero() {
				t.Errorf("next it is sent at %v", info.Deadline)
			}
			if records := log.Records(); len(records) != 1 || len(log.Containing("READY=1")) != 1 {
				t.Errorf("logged %q", records)
			}
		})
	}
}

// TestWatchdog: a loop that is stuck goes silent, while another goes on; a shutdown doesn't silence it.
func TestWatchdog(t *testing.T) {
	fdtest.Check(t)
	n, m := managed(t, period)
	other, hears := managed(t, period)
	loop, _ := looptest.New(t)
	reference, _ := looptest.New(t)
	if err := errors.Join(n.Watchdog(loop, options), other.Watchdog(reference, communicator.Options{Name: "reference"})); err != nil {
		t.Fatal(err)
	}
	if name := reference.Sources()[0].Name; name != "reference" || loop.Sources()[0].Name != "watchdog" {
		t.Errorf("they are called %s and %s", name, loop.Sources()[0].Name)
	}
	hold, err := loop.Hold() // so that the shutdown lasts
	if err != nil {
		t.Fatal(err)
	}
	defer hold()
	run(t, loop)
	run(t, reference)
	for range 3 {
		m.expects("WATCHDOG=1")
	}
	stuck, free := make(chan struct{}), make(chan struct{})
	if err := loop.Post(func() { close(stuck); <-free }); err != nil {
		t.Fatal(err)
	}
	looptest.Await(t, stuck, "the loop to be stuck")
	m.waiting()
	hears.waiting()
	for range 5 {
		hears.expects("WATCHDOG=1")
	}
	if texts := m.waiting(); texts != nil {
		t.Errorf("a loop that is stuck says %q", texts)
	}
	close(free)
	m.expects("WATCHDOG=1")
	looptest.Do(t, loop, func() { loop.Shutdown(looptest.Patience) })
	m.waiting()
	m.expects("WATCHDOG=1")
}

// TestWatchdogFull: being behind is logged once and doesn't end the watchdog.
func TestWatchdogFull(t *testing.T) {
	fdtest.Check(t)
	n, m := managed(t, period)
	for n.Status("full") == nil {
	}
	loop, log := looptest.New(t)
	if err := n.Watchdog(loop, options); err != nil {
		t.Fatal(err)
	}
	run(t, loop)
	calls := func() (c uint64) {
		looptest.Do(t, loop, func() { c = loop.Sources()[0].Calls })
		return c
	}
	for calls() < 3 { // it has tried in vain
	}
	if found := log.Containing(notify.ErrFull.Error()); len(found) != 1 {
		t.Errorf("logged %q", found)
	}
	m.waiting()
	m.expects("WATCHDOG=1")
}

// A service that tells systemd how it is. From a shell it runs unchanged.
func Example() {
	dir, err := os.MkdirTemp("", "notify-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()
	os.Setenv("NOTIFY_SOCKET", manager.LocalAddr().String()) // as systemd does

	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := notify.FromEnvironment()
	if err == nil {
		err = errors.Join(n.Attach(loop), n.Watchdog(loop, communicator.Options{}))
	}
	if err != nil {
		fmt.Println(err) // it will do without
	}
	work := func(*timer.Timer) error { return n.Status("working") }
	if _, err := timer.After(loop, 0, work, communicator.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))

	buf := make([]byte, notify.MaxSize)
	for range 3 {
		size, err := manager.Read(buf)
		fmt.Println(string(buf[:size]), err)
	}
	// Output:
	// <nil>
	// READY=1 <nil>
	// STATUS=working <nil>
	// STOPPING=1 <nil>
}

// A service that reads its configuration again, with Type=notify-reload.
func ExampleNotifier_Reloading() {
	n := &notify.Notifier{} // of FromEnvironment
	reload := func() error {
		err := n.Reloading()
		// ... read the files
		return errors.Join(err, n.Ready())
	}
	fmt.Println(reload())
	// Output: <nil>
}
