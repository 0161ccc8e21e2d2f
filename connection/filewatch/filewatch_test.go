//go:build linux

package filewatch_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestFlat: what happens in a directory, by either source, in order.
func TestFlat(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.mkdir("old")
		r.add(r.dir, filewatch.Watch{Ops: ops | filewatch.Written})
		r.start()
		r.write("a")
		r.settle()
		r.mkdir("d")
		r.write("d/unseen")
		r.write("old/unseen")
		r.settle()
		r.remove("a")
		if ops.Has(filewatch.Finished) {
			r.expect("created a", "written a", "finished a", "created d", "removed a")
		} else {
			r.expect("created a", "written a", "created d", "removed a")
		}
	})
}

// TestEveryOp: each operation alone, of one file.
func TestEveryOp(t *testing.T) {
	for op, want := range map[filewatch.Op][]string{
		filewatch.Created:                     {"created a", "created b"},
		filewatch.Written:                     {"written a"},
		filewatch.Finished:                    {"finished a", "finished b"},
		filewatch.Removed:                     {"removed a", "removed b"},
		filewatch.Renamed:                     {"renamed b from a"},
		filewatch.Attributes:                  {"attributes b"},
		filewatch.Opened:                      {"opened a", "opened b"},
		filewatch.Accessed:                    {"accessed b"},
		filewatch.Closed:                      {"closed b"},
		filewatch.Renamed | filewatch.Created: {"created a", "renamed b from a"},
		filewatch.Renamed | filewatch.Removed | filewatch.Finished: {
			"finished a", "finished+renamed b from a", "removed b",
		},
	} {
		t.Run(op.String(), func(t *testing.T) {
			r := newRig(t, filewatch.Config{})
			r.add(r.dir, filewatch.Watch{Ops: op})
			r.start()
			r.write("a")
			r.settle()
			r.rename("a", "b")
			r.check(os.Chmod(r.path("b"), 0o640))
			if _, err := os.ReadFile(r.path("b")); err != nil {
				t.Fatal(err)
			}
			r.settle()
			r.remove("b")
			r.settle()
			if got := slices.Compact(r.take()); !slices.Equal(got, want) { // written once or twice
				t.Errorf("told %q, want %q", got, want)
			}
		})
	}
}

// TestSingle: a file is followed by name, through its removal and renames over it.
func TestSingle(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.write("conf")
		r.write("other")
		r.add(r.path("conf"), filewatch.Watch{Ops: ops, Exists: true})
		r.add(r.path("other"), filewatch.Watch{Ops: filewatch.Removed}) // in the same directory
		r.start()
		r.settle()
		r.write("new")
		r.rename("new", "conf")
		r.settle()
		r.remove("conf")
		r.settle()
		r.write("conf")
		r.remove("other")
		if ops.Has(filewatch.Finished) {
			r.expectSet("exists conf", "created+finished conf", "removed conf", "created conf", "finished conf", "removed other")
		} else {
			r.expectSet("exists conf", "created conf", "removed conf", "created conf", "removed other")
		}
		looptest.Do(t, r.loop, func() {
			if r.w.Len() != 4 {
				t.Errorf("watched are %q", r.w.Watched())
			}
		})
	})
}

// TestSingleGone: a watch of a file ends with its directory.
func TestSingleGone(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.mkdir("d")
		r.write("d/conf")
		r.add(r.path("d/conf"), filewatch.Watch{Ops: ops})
		r.start()
		r.remove("d")
		r.await(filewatch.Gone, "d/conf")
		r.expect("removed d/conf", "gone d/conf")
	})
}

// TestPatterns are for what is told, not for what is descended into.
func TestPatterns(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.mkdir("d")
		r.write("d/a.conf")
		r.write("d/a.txt")
		r.add(r.dir, filewatch.Watch{
			Ops: ops, Recursive: true, Exists: true,
			Patterns: []string{"*.conf", "[0-9]"},
		})
		r.start()
		r.settle()
		r.expect("exists d/a.conf")
		r.mkdir("e/f")
		r.write("e/f/b.txt")
		r.check(os.Symlink("nowhere", r.path("e/f/b.conf"))) // never written
		r.check(os.Symlink("nowhere", r.path("e/7")))
		r.settle()
		r.remove("d/a.txt")
		r.remove("d/a.conf")
		got := []string{}
		r.settle()
		for _, text := range r.take() {
			got = append(got, strings.Replace(text, "created+finished", "created", 1))
		}
		slices.Sort(got)
		if want := []string{"created e/7", "created e/f/b.conf", "removed d/a.conf"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

// TestPatternRename: a rename from or to a name that isn't wanted is one side of it.
func TestPatternRename(t *testing.T) {
	r := newRig(t, filewatch.Config{})
	r.write("a.tmp")
	r.add(r.dir, filewatch.Watch{
		Ops:      filewatch.Created | filewatch.Removed | filewatch.Renamed,
		Patterns: []string{"*.conf"},
	})
	r.start()
	r.rename("a.tmp", "a.conf")
	r.rename("a.conf", "b.conf")
	r.rename("b.conf", "b.tmp")
	r.rename("b.tmp", "c.tmp")
	r.expect("created a.conf", "renamed b.conf from a.conf", "removed b.conf")
}

// TestErrors of Add and Remove.
func TestErrors(t *testing.T) {
	r := newRig(t, filewatch.Config{MaxDirectories: 4}) // two are taken by marks
	r.mkdir("a/b/c")
	for _, c := range []struct {
		name  string
		watch filewatch.Watch
		want  error
	}{
		{"none", filewatch.Watch{}, fs.ErrNotExist},
		{"none", filewatch.Watch{Ops: filewatch.Finished}, fs.ErrNotExist},
		{"none/none", filewatch.Watch{}, fs.ErrNotExist},
		{"", filewatch.Watch{}, fs.ErrNotExist},
		{"a", filewatch.Watch{Patterns: []string{"*", "[a"}}, path.ErrBadPattern},
		{"a", filewatch.Watch{Ops: filewatch.Created | filewatch.Overflow}, filewatch.ErrOps},
		{"a", filewatch.Watch{Ops: 1 << 15}, filewatch.ErrOps},
		{"a", filewatch.Watch{Recursive: true}, filewatch.ErrTooMany},
		{"a", filewatch.Watch{Recursive: true, Ops: filewatch.Finished}, filewatch.ErrTooMany},
	} {
		name := c.name
		if name != "" {
			name = r.path(name)
		}
		err := r.w.Add(name, c.watch)
		var pathError *fs.PathError
		if !errors.Is(err, c.want) || !errors.As(err, &pathError) {
			t.Errorf("Add of %s answers %v, want %v", c.name, err, c.want)
		}
		if r.w.Len() != 2 || r.w.Directories() != 2 {
			t.Fatalf("after %v there are %q, %d directories", err, r.w.Watched(), r.w.Directories())
		}
	}
	r.add(r.path("a/b"), filewatch.Watch{Recursive: true}) // as many as may be
	if err := r.w.Add(r.path("a//b"), filewatch.Watch{}); !errors.Is(err, filewatch.ErrWatched) {
		t.Errorf("Add once more: %v", err)
	}
	want := append([]string{r.path("a/b")}, r.markers...)
	slices.Sort(want)
	if got := r.w.Watched(); !slices.Equal(got, want) {
		t.Errorf("Watched: %q, want %q", got, want)
	}
	if err := r.w.Remove(r.path("a")); !errors.Is(err, filewatch.ErrNotWatched) {
		t.Errorf("Remove: %v", err)
	}
	if err := r.w.Remove(r.path("a") + "/./b"); err != nil || r.w.Directories() != 2 {
		t.Errorf("Remove: %v, %d directories", err, r.w.Directories())
	}
	for _, err := range []error{filewatch.ErrWatches, filewatch.ErrInstances} {
		if !strings.Contains(err.Error(), "fs.inotify.max_user_") {
			t.Errorf("%v doesn't name the sysctl", err)
		}
	}
	r.w.Close()
	if err := r.w.Add(r.dir, filewatch.Watch{}); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
}

// TestGone: the root was removed or moved.
func TestGone(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		for _, above := range []bool{false, true} { // with its parent watched, too
			r := newRig(t, filewatch.Config{})
			r.mkdir("a/sub")
			r.mkdir("b/sub")
			if above {
				r.add(r.dir, filewatch.Watch{Ops: ops})
			}
			r.add(r.path("a"), filewatch.Watch{Ops: ops, Recursive: true})
			r.add(r.path("b"), filewatch.Watch{Ops: ops, Recursive: true})
			r.start()
			r.remove("a")
			r.rename("b", "c")
			r.await(filewatch.Gone, "a")
			r.await(filewatch.Gone, "b")
			r.write("c/unseen")
			want := []string{"removed a/sub", "gone a", "gone b"}
			if above {
				want = append(want, "removed a", "removed b", "created c")
			}
			r.expectSet(want...)
			looptest.Do(t, r.loop, func() {
				watched := 2
				if above {
					watched = 3
				}
				if r.w.Len() != watched || r.w.Directories() != watched {
					t.Errorf("left: %q, %d directories", r.w.Watched(), r.w.Directories())
				}
				r.add(r.path("c"), filewatch.Watch{Ops: ops}) // it can be watched again
			})
			r.write("c/seen")
			r.await(filewatch.Created, "c/seen")
		}
	})
}

// watches counts the watches of a directory that this process has, whoever in it.
func watches(tb testing.TB, dir string) int {
	tb.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		tb.Fatal(err)
	}
	inode := fmt.Sprintf(" ino:%x ", info.Sys().(*syscall.Stat_t).Ino)
	files, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		tb.Fatal(err)
	}
	n := 0
	for _, file := range files {
		text, _ := os.ReadFile(file) // closed since, at worst
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "inotify ") && strings.Contains(line, inode) {
				n++
			}
		}
	}
	return n
}

// TestNewUnderOldName: what is told late of a directory that was moved away isn't taken for the one that was made in
// its place and added.
func TestNewUnderOldName(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.mkdir("a")
		r.add(r.path("a"), filewatch.Watch{Ops: ops})
		r.start()
		r.settle()
		looptest.Do(t, r.loop, func() {
			n := watches(t, r.path("a"))
			r.rename("a", "b")
			// fsnotify ends its watch when it reads of the move, and tells of it.
			for began := time.Now(); !ops.Has(filewatch.Finished) && watches(t, r.path("b")) == n; {
				if time.Since(began) > looptest.Patience {
					t.Fatal("fsnotify hasn't noticed")
				}
			}
			r.check(r.w.Remove(r.path("a")))
			r.mkdir("a")
			r.add(r.path("a"), filewatch.Watch{Ops: ops})
		})
		r.settle()
		r.mkdir("a/x")
		r.expect("created a/x")
	})
}

// TestMovedAndBack: a root that was moved isn't watched any more when it is back, and that is told.
func TestMovedAndBack(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.mkdir("a")
		r.add(r.path("a"), filewatch.Watch{Ops: ops})
		r.start()
		r.settle()
		release := r.block()
		r.rename("a", "b")
		r.rename("b", "a")
		release()
		r.await(filewatch.Gone, "a")
		r.expect("gone a")
	})
}
