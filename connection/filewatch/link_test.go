//go:build linux

package filewatch_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// kinds are the ways in which a program can keep a list of files.
var kinds = map[string]filewatch.Op{
	"fsnotify": sources["fsnotify"], "inotify": sources["inotify"], "renamed": renaming,
}

// linked is a rig in which the link "data" leads to a directory elsewhere, with a file in it, and is followed; and
// the directory beside that.
func linked(t *testing.T, ops filewatch.Op) (r *rig, one, two string) {
	t.Helper()
	r = newRig(t, filewatch.Config{})
	outside := t.TempDir()
	one, two = filepath.Join(outside, "1"), filepath.Join(outside, "2")
	for _, dir := range []string{one, two} {
		r.check(os.Mkdir(dir, 0o755))
		r.check(os.WriteFile(filepath.Join(dir, filepath.Base(dir)), nil, 0o600))
	}
	r.check(os.Symlink(one, r.path("data")))
	r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true, FollowSymlinks: true, Exists: true})
	r.start()
	r.settle()
	return r, one, two
}

// swap lets the link lead elsewhere in one go, as a program does that mustn't ever be without.
func (r *rig) swap(target string) {
	r.Helper()
	r.check(os.Symlink(target, r.path("next")))
	r.rename("next", "data")
}

// learnt is what was learnt from the events so far.
func (r *rig) learnt() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	set := map[string]bool{}
	for _, e := range r.events {
		learnt(set, e)
	}
	var names []string
	for name := range set {
		name, err := filepath.Rel(r.dir, name)
		r.check(err)
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (r *rig) expectLearnt(want ...string) {
	r.Helper()
	r.settle()
	if diff := cmp.Diff(want, r.learnt()); diff != "" {
		r.Errorf("learnt (-want +got):\n%s\nfrom %q", diff, r.take())
	}
}

// TestLinkSwapped: a link that another takes the place of leads elsewhere from then on, whether the loop comes to it
// at once or late.
func TestLinkSwapped(t *testing.T) {
	for name, ops := range kinds {
		for _, late := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				r, one, two := linked(t, ops)
				r.expectLearnt("data", "data/1")
				release := func() {}
				if late {
					release = r.block()
				}
				r.swap(two)
				release()
				r.expectLearnt("data", "data/2")
				r.check(os.WriteFile(filepath.Join(one, "unseen"), nil, 0o600))
				r.check(os.WriteFile(filepath.Join(two, "seen"), nil, 0o600))
				r.expectLearnt("data", "data/2", "data/seen")
				r.swap(one)
				r.expectLearnt("data", "data/1", "data/unseen")
			})
		}
	}
}

// TestLinkSwappedKnown: the new link was followed under its first name.
func TestLinkSwappedKnown(t *testing.T) {
	for name, ops := range kinds {
		t.Run(name, func(t *testing.T) {
			r, one, two := linked(t, ops)
			r.check(os.Symlink(two, r.path("next")))
			r.expectLearnt("data", "data/1", "next", "next/2")
			r.rename("next", "data")
			r.expectLearnt("data", "data/2")
			r.check(os.WriteFile(filepath.Join(one, "unseen"), nil, 0o600))
			r.check(os.WriteFile(filepath.Join(two, "seen"), nil, 0o600))
			r.expectLearnt("data", "data/2", "data/seen")
		})
	}
}

// TestLinkToWatched: the link leads to a directory that is watched already, under its own name.
func TestLinkToWatched(t *testing.T) {
	for name, ops := range kinds {
		t.Run(name, func(t *testing.T) {
			r, one, _ := linked(t, ops)
			r.mkdir("here")
			r.settle()
			r.swap("here")
			r.settle()
			r.check(os.WriteFile(filepath.Join(one, "unseen"), nil, 0o600))
			r.write("here/f")
			r.expectLearnt("data", "here", "here/f")
		})
	}
}

// TestLinkReplaced: a file or nothing takes the place of a link.
func TestLinkReplaced(t *testing.T) {
	for name, ops := range kinds {
		t.Run(name, func(t *testing.T) {
			r, one, two := linked(t, ops)
			r.write("file")
			r.settle()
			r.rename("file", "data")
			r.expectLearnt("data")
			r.check(os.WriteFile(filepath.Join(one, "unseen"), nil, 0o600))
			r.expectLearnt("data")
			looptest.Do(t, r.loop, func() {
				if r.w.Directories() != 3 {
					t.Errorf("%d directories are watched", r.w.Directories())
				}
			})
			r.swap(two)
			r.expectLearnt("data", "data/2")
			r.swap("nowhere")
			r.expectLearnt("data")
		})
	}
}

// TestRenamedAndLinked: before a directory is read it has another name, and a link leads from the old name to the new.
func TestRenamedAndLinked(t *testing.T) {
	for name, ops := range kinds {
		for _, follow := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				r := newRig(t, filewatch.Config{})
				r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true, FollowSymlinks: follow})
				outside := filepath.Join(t.TempDir(), "d")
				r.check(os.MkdirAll(filepath.Join(outside, "sub"), 0o755))
				r.check(os.WriteFile(filepath.Join(outside, "f"), nil, 0o600))
				r.during("d", func() {
					r.rename("d", "e")
					r.check(os.Symlink("e", r.path("d")))
				})
				r.start()
				r.check(os.Rename(outside, r.path("d")))
				r.settle()
				r.settle() // what was done in the callback came after the first mark
				r.write("e/sub/later")
				r.expectLearnt("d", "e", "e/f", "e/sub", "e/sub/later")
			})
		}
	}
}
