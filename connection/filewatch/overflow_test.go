//go:build linux

package filewatch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// What the kernel's queue has no room for, and what fills it.

// fill makes that many events of inotify in a directory.
func (r *rig) fill(dir string, events int) {
	r.Helper()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	r.check(os.WriteFile(a, nil, 0o600))
	for range events / 2 {
		r.check(os.Rename(a, b))
		a, b = b, a
	}
}

// mount puts a file system of its own on a name in the folder.
func (r *rig) mount(name string) {
	r.Helper()
	r.mkdir(name)
	if err := syscall.Mount("none", r.path(name), "tmpfs", 0, ""); err != nil {
		r.Skipf("mount: %v", err)
	}
}

func (r *rig) count(op filewatch.Op, root string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Op.Has(op) && e.Root == root {
			n++
		}
	}
	return n
}

// awaitDirectories waits until only so many are watched.
func (r *rig) awaitDirectories(want int) {
	r.Helper()
	for began := time.Now(); ; {
		got := 0
		looptest.Do(r, r.loop, func() { got = r.w.Directories() })
		switch {
		case got == want:
			return
		case time.Since(began) > looptest.Patience:
			r.Fatalf("%d directories are watched, want %d", got, want)
		}
	}
}

// TestOverflowEnds: that everything is watched anew makes no events that crowd out others.
func TestOverflowEnds(t *testing.T) {
	const n = 1000
	queued := maxQueued(t)
	r := newRig(t, filewatch.Config{})
	for i := range n {
		r.mkdir(fmt.Sprint("tree/", i))
	}
	r.mkdir("other")
	r.add(r.path("tree"), filewatch.Watch{Ops: sources["inotify"], Recursive: true})
	r.add(r.path("other"), filewatch.Watch{Ops: filewatch.Renamed})
	once := true
	r.handle = func(e filewatch.Event) error {
		if e.Op.Has(filewatch.Overflow) && e.Root == r.path("other") && once {
			once = false
			r.fill(r.path("other"), queued-n/2)
		}
		return nil
	}
	r.start()
	r.settle()
	release := r.block()
	r.fill(r.path("other"), queued+500)
	release()
	r.settleAfter(filewatch.Overflow, r.path("tree"))
	r.write("tree/7/f")
	r.settle()
	for _, name := range []string{"tree", "other"} {
		if n := r.count(filewatch.Overflow, r.path(name)); n != 1 {
			t.Errorf("%d overflows of %s", n, name)
		}
	}
	if n := r.count(filewatch.Created, r.path("tree")); n != 1 {
		t.Errorf("%d files created", n)
	}
	r.awaitDirectories(n + 4)
}

// TestEndedWatches make events, too: when there are many, these don't crowd out those of another watch.
func TestEndedWatches(t *testing.T) {
	const n = 600
	queued := maxQueued(t)
	outside := t.TempDir()
	for name, c := range map[string]struct {
		end  func(r *rig) error
		left int
	}{
		"removed":   {func(r *rig) error { return r.w.Remove(r.path("tree")) }, 3},
		"moved out": {func(r *rig) error { return os.Rename(r.path("tree/0"), filepath.Join(outside, "0")) }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, filewatch.Config{})
			for i := range n {
				r.mkdir(fmt.Sprint("tree/0/", i))
			}
			r.mkdir("other")
			r.add(r.path("tree"), filewatch.Watch{Ops: sources["inotify"], Recursive: true})
			r.add(r.path("other"), filewatch.Watch{Ops: filewatch.Renamed})
			r.start()
			r.settle()
			before := 0
			looptest.Do(t, r.loop, func() {
				r.fill(r.path("other"), queued-n/2)
				r.check(c.end(r))
				before = r.w.Directories()
			})
			r.settle()
			if n := r.count(filewatch.Overflow, r.path("other")); n != 0 {
				t.Errorf("%d overflows", n)
			}
			if got, want := r.count(filewatch.Renamed, r.path("other")), (queued-n/2)/2; got != want {
				t.Errorf("%d renames were told, want %d", got, want)
			}
			if before < n/2 {
				t.Errorf("%d directories were watched at first", before)
			}
			r.awaitDirectories(c.left)
		})
	}
}

// TestMovedOutAtOnce: of what was moved out nothing is told any more, though all of it is still watched.
func TestMovedOutAtOnce(t *testing.T) {
	const n = 200
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		outside := filepath.Join(t.TempDir(), "d")
		for i := range n {
			r.mkdir(fmt.Sprint("d/", i))
		}
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true})
		r.start()
		r.settle()
		release := r.block()
		r.check(os.Rename(r.path("d"), outside))
		for i := range n {
			r.check(os.WriteFile(filepath.Join(outside, fmt.Sprint(i), "f"), nil, 0o600))
		}
		release()
		r.settle()
		got := r.take()
		if len(got) == 0 || got[0] != "removed d" {
			t.Errorf("told %q", got)
		}
		if ops.Has(filewatch.Finished) && len(got) > 1 { // fsnotify tells these by their old paths
			t.Errorf("told %q", got)
		}
		r.awaitDirectories(3)
	})
}

// TestRoomOfEnded: a watch that is still to be ended doesn't keep a new one from its place.
func TestRoomOfEnded(t *testing.T) {
	const n = 300
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{MaxDirectories: n + 4})
		for i := range n {
			r.mkdir(fmt.Sprint("a/", i))
			r.mkdir(fmt.Sprint("b/", i))
		}
		for range 3 {
			for _, name := range []string{"a", "b"} {
				r.add(r.path(name), filewatch.Watch{Ops: ops, Recursive: true})
				r.check(r.w.Remove(r.path(name)))
			}
		}
		r.add(r.path("b"), filewatch.Watch{Ops: ops, Recursive: true})
		r.start()
		r.mkdir("b/7/c")
		r.expect("created b/7/c")
	})
}

// TestUnmountInOverflow: that the root of a watch was unmounted got lost in a storm elsewhere.
func TestUnmountInOverflow(t *testing.T) {
	if !inChild(t, namespaces()) {
		return
	}
	queued := maxQueued(t)
	r := newRig(t, filewatch.Config{})
	r.mount("a")
	r.mount("b")
	r.mkdir("other")
	r.add(r.path("a"), filewatch.Watch{Ops: filewatch.Created})
	r.add(r.path("b"), filewatch.Watch{Ops: filewatch.Created})
	r.add(r.path("other"), filewatch.Watch{Ops: filewatch.Created | filewatch.Finished})
	r.start()
	r.settle()
	release := r.block()
	r.fill(r.path("other"), queued+500)
	r.check(syscall.Unmount(r.path("a"), 0))
	release()
	r.await(filewatch.Gone, "a")
	r.settleAfter(filewatch.Overflow, r.path("other"))
	r.take()
	r.write("b/f")
	r.expect("created b/f")
	r.check(syscall.Unmount(r.path("b"), 0)) // is still noticed
	r.await(filewatch.Gone, "b")
	r.mkdir("a/x")
	r.settle()
	if got := r.take(); slices.ContainsFunc(got, func(text string) bool { return strings.HasPrefix(text, "created a/") }) {
		t.Errorf("told %q", got)
	}
}
