//go:build linux

package filewatch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// created strips from the texts that a file is finished, which may come with Created or once more.
func created(texts []string) []string {
	var names []string
	for _, text := range texts {
		if name, ok := strings.CutPrefix(strings.Replace(text, "created+finished ", "created ", 1), "created "); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestBurst: what is made in directories that aren't watched yet is told once.
func TestBurst(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{}).start()
		looptest.Do(t, r.loop, func() { r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true}) })
		for round := range 20 {
			top := fmt.Sprint(round)
			r.mkdir(top + "/b/c")
			var want []string
			for i := range 5 {
				name := fmt.Sprintf("%s/b/c/f%d", top, i)
				r.write(name)
				want = append(want, name)
			}
			r.settle()
			got := r.take()
			want = append([]string{top, top + "/b", top + "/b/c"}, want...)
			if names := created(got); !slices.Equal(names, want) {
				t.Fatalf("created were %q, want %q; all: %q", names, want, got)
			}
			for _, name := range want[3:] {
				if ops.Has(filewatch.Finished) && !slices.Contains(got, "finished "+name) && !slices.Contains(got, "created+finished "+name) {
					t.Fatalf("%s was not finished: %q", name, got)
				}
			}
		}
	})
}

// TestLate is TestBurst where the loop comes to it when all is made.
func TestLate(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true})
		r.mkdir("a/b")
		r.write("a/f")
		r.write("a/b/g")
		r.start()
		r.settle()
		if got := created(r.take()); !slices.Equal(got, []string{"a", "a/b", "a/b/g", "a/f"}) {
			t.Errorf("created were %q", got)
		}
		r.rename("a/f", "a/g") // and from now on the kernel's events count
		r.rename("a/g", "a/f")
		r.remove("a/f")
		r.write("a/f")
		r.settle()
		if got := created(r.take()); !slices.Equal(got, []string{"a/f", "a/f", "a/g"}) && ops.Has(filewatch.Finished) {
			t.Errorf("created were %q", got)
		}
	})
}

// TestReplacedAfterScan: a file that takes the place of one which was told after reading is told.
func TestReplacedAfterScan(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.write("conf")
		r.add(r.dir, filewatch.Watch{Ops: ops, Exists: true, Patterns: []string{"conf"}})
		r.start()
		r.expect("exists conf")
		r.write("new")
		r.rename("new", "conf")
		r.settle()
		if got := created(r.take()); !slices.Equal(got, []string{"conf"}) {
			t.Errorf("created were %q", got)
		}
	})
}

// TestExists: what is there is told first, and not again as Created.
func TestExists(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.mkdir("a/b")
		r.write("a/f")
		r.add(r.dir, filewatch.Watch{Ops: ops, Exists: true, Recursive: true})
		r.write("a/b/g") // told of by the kernel as well
		r.mkdir("a/c")   // not watched by Add
		r.write("a/c/h")
		r.start()
		r.settle()
		got := slices.DeleteFunc(r.take(), func(text string) bool { return strings.HasPrefix(text, "finished ") })
		slices.Sort(got)
		want := []string{"exists a", "exists a/b", "exists a/b/g", "exists a/c", "exists a/c/h", "exists a/f"}
		if !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

// TestMovedTrees: directories that are moved within, out of and into what is watched.
func TestMovedTrees(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		outside := t.TempDir()
		r.mkdir("a/b/c")
		r.write("a/b/c/f")
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true})
		r.start()
		directories := func(want int) {
			t.Helper()
			r.settle()
			looptest.Do(t, r.loop, func() {
				if got := r.w.Directories() - 2; got != want {
					t.Errorf("%d directories are watched, want %d", got, want)
				}
			})
		}
		directories(4)
		r.rename("a", "z") // within
		directories(4)
		if got := r.take(); !slices.Contains(got, "removed a") {
			t.Errorf("told %q", got)
		} else if names := created(got); !slices.Equal(names, []string{"z", "z/b", "z/b/c", "z/b/c/f"}) {
			t.Errorf("created were %q", names)
		}
		r.write("z/b/c/g")
		r.settle()
		if names := created(r.take()); !slices.Equal(names, []string{"z/b/c/g"}) {
			t.Errorf("created were %q", names)
		}
		r.check(os.Rename(r.path("z"), filepath.Join(outside, "z"))) // out
		directories(1)
		r.check(os.WriteFile(filepath.Join(outside, "z/b/c/unseen"), nil, 0o600))
		r.expect("removed z")
		r.check(os.Rename(filepath.Join(outside, "z/b"), r.path("y"))) // in
		directories(3)
		if names := created(r.take()); !slices.Equal(names, []string{"y", "y/c", "y/c/f", "y/c/g", "y/c/unseen"}) {
			t.Errorf("created were %q", names)
		}
		r.write("y/c/h")
		r.settle()
		if names := created(r.take()); !slices.Equal(names, []string{"y/c/h"}) {
			t.Errorf("created were %q", names)
		}
	})
}

// TestRenamed: with Renamed a directory takes along what is in it, and patterns don't hide that.
func TestRenamed(t *testing.T) {
	r := newRig(t, filewatch.Config{})
	r.mkdir("a/b")
	r.write("a/b/f.conf")
	r.mkdir("other")
	r.add(r.dir, filewatch.Watch{Ops: filewatch.Created | filewatch.Renamed, Recursive: true, Patterns: []string{"*.conf"}})
	r.start()
	r.rename("a", "other/z")
	r.settle()
	r.write("other/z/b/g.conf")
	r.rename("other/z/b/g.conf", "h.conf")
	r.settle()
	r.mkdir("a") // the old name is free
	r.write("a/f.conf")
	r.settle()
	r.rename("other/z/b", "a/b")
	r.settle()
	r.write("a/b/i.conf")
	r.expect("renamed other/z from a", "created other/z/b/g.conf", "renamed h.conf from other/z/b/g.conf",
		"created a/f.conf", "renamed a/b from other/z/b", "created a/b/i.conf")
}

// TestManyDirectories come and go at once.
func TestManyDirectories(t *testing.T) {
	const n = 300
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		for i := range n / 2 {
			r.mkdir(fmt.Sprintf("before/%d", i))
		}
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true})
		r.start()
		for i := range n / 2 {
			r.mkdir(fmt.Sprintf("after/%d", i))
		}
		r.settle()
		r.take()
		var want []string
		for i := range n / 2 {
			for _, name := range []string{"before", "after"} {
				r.write(fmt.Sprintf("%s/%d/f", name, i))
				want = append(want, fmt.Sprintf("%s/%d/f", name, i))
			}
		}
		r.settle()
		slices.Sort(want)
		if got := created(r.take()); !slices.Equal(got, want) {
			t.Errorf("%d were created, want %d", len(got), len(want))
		}
		r.remove("before")
		r.remove("after")
		r.settle()
		got := r.take()
		for _, name := range want {
			if !slices.Contains(got, "removed "+name) || !slices.Contains(got, "removed "+filepath.Dir(name)) {
				t.Fatalf("%s was not removed", name)
			}
		}
		looptest.Do(t, r.loop, func() {
			if r.w.Directories() != 3 {
				t.Errorf("%d directories are watched", r.w.Directories())
			}
		})
	})
}

// TestSymlinks: circles end, a directory is told of once, and without FollowSymlinks a link is a file.
func TestSymlinks(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		for _, follow := range []bool{false, true} {
			r := newRig(t, filewatch.Config{})
			outside := t.TempDir()
			r.check(os.Mkdir(filepath.Join(outside, "sub"), 0o755))
			r.check(os.Symlink(r.dir, filepath.Join(outside, "sub", "back")))
			r.check(os.Symlink(outside, r.path("a")))
			r.check(os.Symlink(".", r.path("self")))
			r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true, FollowSymlinks: follow, Exists: true})
			r.start()
			if follow {
				r.expectSet("exists a", "exists self", "exists a/sub", "exists a/sub/back")
			} else {
				r.expectSet("exists a", "exists self")
			}
			r.check(os.WriteFile(filepath.Join(outside, "sub", "f"), nil, 0o600))
			r.check(os.Symlink(filepath.Join(outside, "sub"), r.path("again")))
			r.settle()
			want := []string{"again"}
			if follow {
				want = []string{"a/sub/f", "again"}
			}
			if got := created(r.take()); !slices.Equal(got, want) {
				t.Errorf("created were %q, want %q", got, want)
			}
			r.remove("a") // the link, not what it stands for
			r.settle()
			if got := r.take(); !slices.Equal(got, []string{"removed a"}) {
				t.Errorf("told %q", got)
			}
			looptest.Do(t, r.loop, func() {
				if r.w.Directories() != 3 {
					t.Errorf("%d directories are watched", r.w.Directories())
				}
			})
		}
	})
}

// TestLinkGone: a directory that is reached by a link goes, and the link stays.
func TestLinkGone(t *testing.T) {
	r := newRig(t, filewatch.Config{})
	outside := t.TempDir()
	for _, name := range []string{"a", "b"} {
		r.check(os.MkdirAll(filepath.Join(outside, name, "sub"), 0o755))
		r.check(os.Symlink(filepath.Join(outside, name), r.path(name)))
	}
	r.add(r.dir, filewatch.Watch{Ops: filewatch.Removed | filewatch.Finished, Recursive: true, FollowSymlinks: true})
	r.start()
	r.check(os.RemoveAll(filepath.Join(outside, "a")))
	r.check(os.Rename(filepath.Join(outside, "b"), filepath.Join(outside, "c")))
	r.check(os.Remove(filepath.Join(outside, "c", "sub")))
	r.remove("a")
	r.remove("b")
	r.expect("removed a/sub", "gone a", "gone b", "removed a", "removed b")
	looptest.Do(t, r.loop, func() {
		if r.w.Directories() != 3 {
			t.Errorf("%d directories are watched", r.w.Directories())
		}
	})
}

// TestOverlap: each watch has its own events, though the kernel watches a directory once.
func TestOverlap(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.mkdir("a/b")
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true})
		r.add(r.path("a/b"), filewatch.Watch{Ops: ops})
		r.add(r.path("a"), filewatch.Watch{Ops: ops &^ filewatch.Created})
		r.start()
		r.mkdir("a/b/c")
		r.expectSet("created a/b/c", "created a/b/c")
		looptest.Do(t, r.loop, func() {
			if err := r.w.Remove(r.dir); err != nil {
				t.Error(err)
			}
		})
		r.mkdir("a/b/d")
		r.mkdir("a/e")
		r.remove("a/e")
		r.expectSet("created a/b/d", "removed a/e")
	})
}

// TestMaxDirectories: one that appears beyond the limit is told, and the rest goes on.
func TestMaxDirectories(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{MaxDirectories: 4})
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true})
		r.start()
		r.mkdir("a")
		r.settle()
		r.mkdir("b")
		r.expect("created a", "created b", "failed b: watch "+r.path("b")[len(r.dir)+1:]+": "+filewatch.ErrTooMany.Error())
		r.remove("a")
		r.settle()
		r.mkdir("c/d") // a place is free
		r.settle()
		if got := created(r.take()); !slices.Equal(got, []string{"c", "c/d"}) {
			t.Errorf("created were %q", got)
		}
	})
}
