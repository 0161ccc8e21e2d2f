//go:build linux

package filewatch_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
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

// compare compares what was learnt from the events with what there is.
func (r *rig) compare() {
	r.Helper()
	set := map[string]bool{}
	r.mu.Lock()
	for _, e := range r.events {
		learnt(set, e)
	}
	r.mu.Unlock()
	if diff := cmp.Diff(present(r, r.dir), set); diff != "" {
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
			n = 3600
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
		if overflows != 1 {
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

// TestRandom does all sorts of things, and compares what was learnt with what there is.
func TestRandom(t *testing.T) {
	const rounds, steps = 8, 30
	for name, watch := range map[string]filewatch.Watch{
		"fsnotify": {Recursive: true, Exists: true},
		"inotify":  {Recursive: true, Exists: true, Ops: filewatch.Created | filewatch.Removed | filewatch.Finished},
		"renamed":  {Recursive: true, Exists: true, Ops: filewatch.Created | filewatch.Removed | filewatch.Renamed},
	} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 1))
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
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
