//go:build linux

package filewatch_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// sources are the two that serve watches, by operations that each of them takes.
var sources = map[string]filewatch.Op{
	"fsnotify": filewatch.Created | filewatch.Removed,
	"inotify":  filewatch.Created | filewatch.Removed | filewatch.Finished,
}

// forEach runs a test with either source.
func forEach(t *testing.T, f func(t *testing.T, ops filewatch.Op)) {
	t.Helper()
	for name, ops := range sources {
		t.Run(name, func(t *testing.T) { f(t, ops) })
	}
}

// rig is a Watcher on a loop that runs beside the test, a folder to watch, and what was told.
type rig struct {
	testing.TB
	loop    *communicator.Communicator
	w       *filewatch.Watcher
	dir     string
	markers []string // folders whose events say that all before them have come
	marked  chan string
	marks   int
	handle  func(filewatch.Event) error // called on the loop, if not nil

	mu     sync.Mutex
	events []filewatch.Event
	came   chan struct{} // given something when there may be more events
}

func newRig(tb testing.TB, c filewatch.Config) *rig {
	tb.Helper()
	loop, _ := looptest.New(tb)
	r := &rig{TB: tb, loop: loop, dir: tb.TempDir(), marked: make(chan string, 16), came: make(chan struct{}, 1)}
	var err error
	if r.w, err = filewatch.New(loop, r.told, c); err != nil {
		tb.Fatal(err)
	}
	for _, ops := range []filewatch.Op{filewatch.Created, filewatch.Created | filewatch.Finished} {
		marker := tb.TempDir()
		r.add(marker, filewatch.Watch{Ops: ops})
		r.markers = append(r.markers, marker)
	}
	return r
}

// start runs the loop beside the test, until the test ends.
func (r *rig) start() *rig {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.loop.Run(ctx)
	}()
	r.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

func (r *rig) told(e filewatch.Event) error {
	if slices.Contains(r.markers, e.Root) {
		if e.Op.Has(filewatch.Created | filewatch.Overflow) {
			r.marked <- e.Path
		}
		return nil
	}
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
	select {
	case r.came <- struct{}{}:
	default:
	}
	if r.handle != nil {
		return r.handle(e)
	}
	return nil
}

func (r *rig) add(name string, watch filewatch.Watch) {
	r.Helper()
	if err := r.w.Add(name, watch); err != nil {
		r.Fatal(err)
	}
}

// path is that of a name in the folder.
func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) check(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) mkdir(name string) { r.Helper(); r.check(os.MkdirAll(r.path(name), 0o755)) }
func (r *rig) remove(name string) {
	r.Helper()
	r.check(os.RemoveAll(r.path(name)))
}

func (r *rig) write(name string) {
	r.Helper()
	r.check(os.WriteFile(r.path(name), []byte("text"), 0o600))
}

func (r *rig) rename(from, to string) {
	r.Helper()
	r.check(os.Rename(r.path(from), r.path(to)))
}

// settle waits until all that has happened so far was told: the events of one source are in order.
func (r *rig) settle() {
	r.Helper()
	for _, marker := range r.markers {
		for name, got := "", marker; got != name; got = looptest.Await(r, r.marked, "the mark") {
			if got == marker { // to begin with, or because what was marked may be lost
				r.marks++
				name = filepath.Join(marker, fmt.Sprint(r.marks))
				r.check(os.WriteFile(name, nil, 0o600))
			}
		}
	}
}

// take returns what was told since it was called last, with paths as they are in the folder.
func (r *rig) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var texts []string
	for _, e := range r.events {
		texts = append(texts, strings.ReplaceAll(e.String(), r.dir+"/", ""))
	}
	r.events = nil
	return texts
}

// await waits for an event.
func (r *rig) await(op filewatch.Op, name string) {
	r.Helper()
	for {
		r.mu.Lock()
		found := slices.ContainsFunc(r.events, func(e filewatch.Event) bool {
			return e.Op.Has(op) && e.Path == r.path(name)
		})
		r.mu.Unlock()
		if found {
			return
		}
		looptest.Await(r, r.came, op.String()+" "+name)
	}
}

// expect compares what was told, in order.
func (r *rig) expect(want ...string) {
	r.Helper()
	r.settle()
	if diff := cmp.Diff(want, r.take()); diff != "" {
		r.Errorf("told (-want +got):\n%s", diff)
	}
}

// expectSet compares what was told, in any order but each once.
func (r *rig) expectSet(want ...string) {
	r.Helper()
	r.settle()
	got := r.take()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		r.Errorf("told (-want +got):\n%s", diff)
	}
}

// learnt is what a program that keeps a list of files makes of the events.
func learnt(set map[string]bool, e filewatch.Event) {
	below := func(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }
	switch {
	case e.Op.Has(filewatch.Overflow):
		clear(set)
	case e.Op.Has(filewatch.Removed | filewatch.Gone):
		for name := range set {
			if below(name, e.Path) {
				delete(set, name)
			}
		}
	case e.Op.Has(filewatch.Renamed):
		for _, name := range slices.Collect(mapKeys(set)) {
			if below(name, e.From) {
				delete(set, name)
				set[e.Path+strings.TrimPrefix(name, e.From)] = true
			}
		}
		set[e.Path] = true
	case e.Op.Has(filewatch.Created | filewatch.Exists):
		set[e.Path] = true
	}
}

func mapKeys(set map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		names := make([]string, 0, len(set))
		for name := range set {
			names = append(names, name)
		}
		for _, name := range names {
			if !yield(name) {
				return
			}
		}
	}
}

// present is what there is.
func present(tb testing.TB, dir string) map[string]bool {
	tb.Helper()
	set := map[string]bool{}
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if name != dir {
			set[name] = true
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// newWatcher makes a Watcher that nobody listens to.
func newWatcher(tb testing.TB) *filewatch.Watcher {
	tb.Helper()
	loop, _ := looptest.New(tb)
	w, err := filewatch.New(loop, func(filewatch.Event) error { return nil }, filewatch.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return w
}
