//go:build linux

package filewatch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// What happens while a directory is being taken in: after it was made and before it is watched, with the loop kept
// busy; and after it is watched and before it is read, in the callback that tells of it.

// renaming are the operations of which a program can keep a list of files.
const renaming = filewatch.Created | filewatch.Removed | filewatch.Renamed

// during runs f in the callback that tells of a name.
func (r *rig) during(name string, f func()) {
	r.handle = func(e filewatch.Event) error {
		if e.Path == r.path(name) && e.Op.Has(filewatch.Created) && f != nil {
			f()
			f = nil
		}
		return nil
	}
}

// compareAfter compares, makes something in each directory, and compares again.
func (r *rig) compareAfter() {
	r.Helper()
	r.settle()
	r.settle() // what was done in a callback came after the first mark
	r.compare()
	for name := range present(r, r.dir) {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			r.check(os.WriteFile(filepath.Join(name, "after"), nil, 0o600))
		}
	}
	r.settle()
	r.compare()
	looptest.Do(r, r.loop, func() {
		dirs := 3
		for name := range present(r, r.dir) {
			if info, err := os.Stat(name); err == nil && info.IsDir() {
				dirs++
			}
		}
		if r.w.Directories() != dirs {
			r.Errorf("%d directories are watched, want %d", r.w.Directories(), dirs)
		}
	})
}

// TestWindow runs each course of events with each kind of watch.
func TestWindow(t *testing.T) {
	for name, c := range map[string]struct {
		before []string     // directories
		made   string       // while the loop is blocked
		late   func(r *rig) // after that, while it still is
		during func(r *rig) // in the callback that tells of what was made
	}{
		"moved before it is read": {made: "d", during: func(r *rig) {
			r.mkdir("d/sub/more")
			r.write("d/sub/f")
			r.rename("d", "e")
		}},
		"filled, and moved before it is read": {made: "d", late: func(r *rig) {
			r.mkdir("d/sub/more")
			r.write("d/sub/f")
		}, during: func(r *rig) { r.rename("d", "e") }},
		"moved twice before it is read": {made: "d", during: func(r *rig) {
			r.mkdir("d/sub")
			r.rename("d", "e")
			r.write("e/f")
			r.rename("e", "d")
			r.write("d/g")
		}},
		"removed before it is read": {made: "d", during: func(r *rig) { r.remove("d") }},
		"replaced before it is read": {made: "d", during: func(r *rig) {
			r.mkdir("d/old")
			r.rename("d", "e")
			r.mkdir("d/new")
			r.write("d/new/f")
		}},
		"a name used twice": {before: []string{"e"}, made: "d", during: func(r *rig) {
			r.mkdir("d/x")
			r.write("d/x/one")
			r.rename("d/x", "e/y")
			r.mkdir("d/x")
			r.write("d/x/two")
		}},
		"a name used twice and moved again": {before: []string{"e"}, made: "d", during: func(r *rig) {
			r.mkdir("d/x")
			r.write("d/x/one")
			r.rename("d/x", "e/y")
			r.mkdir("d/x")
			r.write("d/x/two")
			r.rename("d/x", "e/z")
		}},
		"moved into one that isn't watched": {before: []string{"p/old/sub"}, made: "q", late: func(r *rig) {
			r.rename("p/old", "q/new")
			r.write("q/new/sub/f")
		}},
		"made in one that is moved": {before: []string{"p"}, made: "p/x", late: func(r *rig) {
			r.write("p/x/f")
			r.rename("p", "q")
		}},
		"moved to and fro": {before: []string{"p/x"}, made: "q", late: func(r *rig) {
			for range 5 {
				r.rename("p/x", "q/x")
				r.write("q/x/f")
				r.rename("q/x", "p/x")
				r.write("p/x/g")
			}
		}},
	} {
		for source, ops := range kinds {
			t.Run(name+" "+source, func(t *testing.T) {
				r := newRig(t, filewatch.Config{})
				for _, dir := range c.before {
					r.mkdir(dir)
				}
				r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true, Exists: true})
				if c.during != nil {
					r.during(c.made, func() { c.during(r) })
				}
				r.start()
				r.settle()
				release := r.block()
				r.mkdir(c.made)
				if c.late != nil {
					c.late(r)
				}
				release()
				r.compareAfter()
			})
		}
	}
}

// TestMovedOut: that nothing follows which would say where to is found out by waiting.
func TestMovedOut(t *testing.T) {
	r := newRig(t, filewatch.Config{})
	r.write("a")
	r.add(r.dir, filewatch.Watch{Ops: renaming})
	r.start()
	r.check(os.Rename(r.path("a"), filepath.Join(t.TempDir(), "a")))
	r.await(filewatch.Removed, "a")
}

// TestBetweenWatches: what is moved from one watch to another has gone from one and come to the other.
func TestBetweenWatches(t *testing.T) {
	r := newRig(t, filewatch.Config{})
	r.mkdir("a/sub")
	r.write("a/f")
	r.mkdir("b")
	r.mkdir("c")
	for _, name := range []string{"a", "b"} {
		r.add(r.path(name), filewatch.Watch{Ops: renaming | filewatch.Finished, Recursive: true})
	}
	r.add(r.path("c"), filewatch.Watch{Ops: filewatch.Renamed})
	r.start()
	r.rename("a/f", "b/f")
	r.rename("a/sub", "b/sub")
	r.rename("b/f", "c/f")
	r.settle()
	r.mkdir("b/sub/more")
	r.expect("removed a/f", "created+finished b/f", "removed a/sub", "created b/sub", "removed b/f", "created b/sub/more")
}

// TestMovedAndDeleted: fsnotify fails to end the watch of a directory that has gone by then, which means nothing.
func TestMovedAndDeleted(t *testing.T) {
	r := newRig(t, filewatch.Config{})
	outside := t.TempDir()
	r.add(r.dir, filewatch.Watch{Recursive: true})
	r.start()
	var want []string
	for i := range 100 {
		r.mkdir(fmt.Sprint(i))
		want = append(want, fmt.Sprint("removed ", i))
	}
	r.settle()
	r.take()
	for i := range 100 {
		name := filepath.Join(outside, fmt.Sprint(i))
		r.check(os.Rename(r.path(fmt.Sprint(i)), name))
		r.check(os.Remove(name))
	}
	r.expectSet(want...)
}

// TestRootAttributes: those of the root itself come once, those of a directory below at least once.
func TestRootAttributes(t *testing.T) {
	for _, ops := range []filewatch.Op{filewatch.Attributes, filewatch.Attributes | filewatch.Finished} {
		r := newRig(t, filewatch.Config{})
		r.mkdir("a")
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true})
		r.start()
		r.check(os.Chmod(r.dir, 0o700))
		r.settle()
		r.check(os.Chmod(r.path("a"), 0o700))
		r.settle()
		if got, want := slices.Compact(r.take()), []string{"attributes " + r.dir, "attributes a"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

// TestOverflowAndGone: the root has gone when everything is to be watched again.
func TestOverflowAndGone(t *testing.T) {
	r := newRig(t, filewatch.Config{MaxEvents: 50})
	r.mkdir("a")
	r.add(r.path("a"), filewatch.Watch{Recursive: true, Exists: true})
	r.start()
	release := r.block()
	for i := range 200 {
		r.mkdir(fmt.Sprint("a/", i))
	}
	r.remove("a")
	release()
	r.settleAfter(filewatch.Gone, r.path("a"))
	events := r.take()
	if last := events[len(events)-2:]; !slices.Equal(last, []string{"overflow a", "gone a"}) {
		t.Errorf("at the end was told %q", last)
	}
	looptest.Do(t, r.loop, func() {
		if r.w.Len() != 2 || r.w.Directories() != 2 {
			t.Errorf("%q, %d directories are watched", r.w.Watched(), r.w.Directories())
		}
	})
}
