//go:build linux

package filewatch_test

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
)

// newRandom is logged by its seed when the test fails.
func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

// TestRandom does all sorts of things, and compares what was learnt with what there is.
func TestRandom(t *testing.T) {
	const rounds, steps = 8, 30
	for name, watch := range map[string]filewatch.Watch{
		"fsnotify": {Recursive: true, Exists: true},
		"inotify":  {Recursive: true, Exists: true, Ops: filewatch.Created | filewatch.Removed | filewatch.Finished},
		"renamed":  {Recursive: true, Exists: true, Ops: filewatch.Created | filewatch.Removed | filewatch.Renamed},
	} {
		t.Run(name, func(t *testing.T) {
			random := newRandom(t)
			r := newRig(t, filewatch.Config{})
			outside := t.TempDir()
			r.mkdir("a/b")
			r.add(r.dir, watch)
			r.start()
			names := 0
			fresh := func() string { // no name twice: see the package's section "Two sources"
				names++
				return fmt.Sprint("n", names)
			}
			for range rounds {
				for range steps {
					r.random(random, fresh, outside, name != "fsnotify")
				}
				r.settle()
				if r.compare(); t.Failed() {
					return
				}
			}
		})
	}
}

// random changes something in the folder.
func (r *rig) random(random *rand.Rand, fresh func() string, outside string, reuse bool) {
	r.Helper()
	all := slices.Sorted(maps.Keys(present(r, r.dir)))
	var dirs []string
	for _, name := range all {
		if info, err := os.Lstat(name); err == nil && info.IsDir() {
			dirs = append(dirs, name)
		}
	}
	dirs = append(dirs, r.dir)
	dir := dirs[random.IntN(len(dirs))]
	if strings.Count(dir, "/") > strings.Count(r.dir, "/")+5 {
		dir = r.dir
	}
	if reuse {
		old := fresh
		fresh = func() string {
			if random.IntN(2) == 0 {
				return fmt.Sprint("r", random.IntN(4))
			}
			return old()
		}
	}
	some := func() string {
		if len(all) == 0 {
			return dir
		}
		return all[random.IntN(len(all))]
	}
	switch k := random.IntN(10); {
	case k < 3:
		_ = os.WriteFile(path.Join(dir, fresh()), nil, 0o600) // where a directory is it fails
	case k < 6:
		_ = os.MkdirAll(path.Join(dir, fresh(), fresh()), 0o755)
	case k < 7:
		if name := some(); name != r.dir {
			_ = os.RemoveAll(name)
		}
	case k < 9:
		if name := some(); name != r.dir {
			_ = os.Rename(name, path.Join(dir, fresh())) // fails into itself
		}
	default:
		if name := some(); name != r.dir && random.IntN(3) == 0 {
			_ = os.Rename(name, path.Join(outside, fresh()))
		} else if entries, err := os.ReadDir(outside); err == nil && len(entries) > 0 {
			_ = os.Rename(path.Join(outside, entries[0].Name()), path.Join(dir, fresh()))
		}
	}
}

// TestRandomTwice has one directory watched by both sources at once, under two paths.
func TestRandomTwice(t *testing.T) {
	const rounds, steps = 6, 30
	random := newRandom(t)
	r := newRig(t, filewatch.Config{})
	outside := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	r.check(os.Symlink(r.dir, link))
	r.add(r.dir, filewatch.Watch{Recursive: true, Exists: true, Ops: sources["fsnotify"]})
	r.add(link, filewatch.Watch{Recursive: true, Exists: true, Ops: sources["inotify"] | filewatch.Renamed})
	r.start()
	names := 0
	fresh := func() string {
		names++
		return fmt.Sprint("n", names)
	}
	for range rounds {
		for range steps {
			r.random(random, fresh, outside, false)
		}
		r.settle()
		want := present(t, r.dir)
		for _, root := range []string{r.dir, link} {
			set := map[string]bool{}
			r.mu.Lock()
			for _, e := range r.events {
				if e.Root == root {
					learnt(set, e)
				}
			}
			r.mu.Unlock()
			got := map[string]bool{}
			for name := range set {
				got[r.dir+strings.TrimPrefix(name, root)] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("learnt of %s (-present +learnt):\n%s", root, diff)
			}
		}
	}
}

// TestRandomLinks has links that come to lead from one directory to another, which change meanwhile.
func TestRandomLinks(t *testing.T) {
	const rounds, steps, links = 8, 30, 3
	for name, ops := range kinds {
		if name == "fsnotify" {
			continue // see the package's section "Two sources"
		}
		t.Run(name, func(t *testing.T) {
			random := newRandom(t)
			r := newRig(t, filewatch.Config{})
			outside := t.TempDir()
			var free []string // directories to which no link leads
			for i := range links + 2 {
				dir := filepath.Join(outside, fmt.Sprint(i))
				r.check(os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
				free = append(free, dir)
			}
			r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true, FollowSymlinks: true, Exists: true})
			r.start()
			leads := map[string]string{}
			for range rounds {
				for range steps {
					link := r.path(fmt.Sprint("l", random.IntN(links)))
					old := leads[link]
					switch k := random.IntN(10); {
					case k < 3:
						target := free[0]
						free = free[1:]
						r.check(os.Symlink(target, r.path("next")))
						r.check(os.Rename(r.path("next"), link))
						leads[link] = target
					case k < 4:
						r.check(os.RemoveAll(link))
						delete(leads, link)
					case k < 5:
						r.write("next")
						r.check(os.Rename(r.path("next"), link))
						delete(leads, link)
					default:
						_, dir := randomEntry(random, outside)
						_ = os.Mkdir(filepath.Join(dir, fmt.Sprint("d", random.IntN(3))), 0o755)
						_ = os.WriteFile(filepath.Join(dir, fmt.Sprint("f", random.IntN(3))), nil, 0o600)
						name, dir := randomEntry(random, outside)
						_ = os.Remove(filepath.Join(dir, name))
						continue
					}
					if old != "" {
						free = append(free, old)
					}
				}
				r.settle()
				want := map[string]bool{}
				entries, err := os.ReadDir(r.dir)
				r.check(err)
				for _, e := range entries {
					want[r.path(e.Name())] = true
				}
				for link, target := range leads {
					for name := range present(t, target) {
						want[link+strings.TrimPrefix(name, target)] = true
					}
				}
				r.compareWith(want)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// randomEntry is a name and the directory that it is in, at least two levels below.
func randomEntry(random *rand.Rand, top string) (name, dir string) {
	var names []string
	_ = filepath.WalkDir(top, func(name string, _ fs.DirEntry, err error) error {
		if rel, e := filepath.Rel(top, name); e == nil && err == nil && strings.Contains(rel, "/") {
			names = append(names, name)
		}
		return nil
	})
	if len(names) == 0 {
		return "", filepath.Join(top, "0")
	}
	dir, name = filepath.Split(names[random.IntN(len(names))])
	return name, filepath.Clean(dir)
}
