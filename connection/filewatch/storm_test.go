//go:build linux

package filewatch_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// block keeps the loop busy until it is let go.
func (r *rig) block() (release func()) {
	r.Helper()
	blocked, released := make(chan bool), make(chan bool)
	r.check(r.loop.Post(func() {
		blocked <- true
		<-released
	}))
	looptest.Await(r, blocked, "the loop")
	return func() { close(released) }
}

// maxQueued is how many events the kernel keeps.
func maxQueued(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if n > 1<<15 {
		t.Skipf("fs.inotify.max_queued_events is %d: that many take too long", n)
	}
	return n
}

// compare compares what was learnt from the events with what there is.
func (r *rig) compare() { r.Helper(); r.compareWith(present(r, r.dir)) }

func (r *rig) compareWith(want map[string]bool) {
	r.Helper()
	set := map[string]bool{}
	r.mu.Lock()
	for _, e := range r.events {
		learnt(set, e)
	}
	r.mu.Unlock()
	if diff := cmp.Diff(want, set); diff != "" {
		r.Errorf("learnt (-present +learnt):\n%s", diff)
	}
}

// TestStorm: while the loop does something else more happens than the kernel or the Watcher keeps, above all
// directories change names.
func TestStorm(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{MaxEvents: 1000}) // for fsnotify; inotify has its own limit
		r.mkdir("a/b")
		r.write("a/before")
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true, Exists: true})
		r.start()
		r.settle()
		release := r.block()
		r.mkdir("c/d")
		n := 600
		if ops.Has(filewatch.Finished) {
			n = maxQueued(t)/5 + 300
		}
		for range n { // at five or six events each
			r.rename("a/b", "a/e")
			r.rename("a/e", "a/b")
		}
		r.mkdir("e/f")
		r.write("e/f/unwatched")
		r.remove("a/before")
		release()
		r.settleAfter(filewatch.Overflow, r.dir)
		r.write("e/f/after")
		r.mkdir("c/d/more")
		r.settle()
		overflows := 0
		for _, e := range r.events {
			if e.Op.Has(filewatch.Overflow) {
				overflows++
			}
		}
		most := 1
		if !ops.Has(filewatch.Finished) {
			most = 8 // it may still have been reading when the loop was let go
		}
		if overflows < 1 || overflows > most {
			t.Errorf("%d overflows", overflows)
		}
		r.compare()
	})
}

// settleAfter waits for an event, and then as settle does.
func (r *rig) settleAfter(op filewatch.Op, name string) {
	r.Helper()
	for {
		r.mu.Lock()
		found := slices.ContainsFunc(r.events, func(e filewatch.Event) bool { return e.Op.Has(op) && e.Path == name })
		r.mu.Unlock()
		if found {
			break
		}
		looptest.Await(r, r.came, op.String())
	}
	r.settle()
}

// TestOverflowWithoutExists: what appears after it is told of, what was there is not.
func TestOverflowWithoutExists(t *testing.T) {
	r := newRig(t, filewatch.Config{MaxEvents: 50})
	r.add(r.dir, filewatch.Watch{Recursive: true})
	r.start()
	release := r.block()
	for i := range 200 {
		r.mkdir(fmt.Sprint(i))
	}
	release()
	r.settleAfter(filewatch.Overflow, r.dir)
	r.take()
	r.mkdir("199/after")
	r.expect("created 199/after")
}

// TestDisabledOverflow: of a source that is disabled no more than the limit waits.
func TestDisabledOverflow(t *testing.T) {
	r := newRig(t, filewatch.Config{MaxEvents: 10})
	r.add(r.dir, filewatch.Watch{Exists: true})
	r.start()
	looptest.Do(t, r.loop, func() { r.w.Handle().SetEnabled(false) })
	for i := range 500 {
		r.mkdir(fmt.Sprint(i))
	}
	looptest.Do(t, r.loop, func() {
		if got := r.take(); len(got) != 0 {
			t.Errorf("told %q", got)
		}
		r.w.Handle().SetEnabled(true)
	})
	r.settleAfter(filewatch.Overflow, r.dir)
	r.compare()
}
