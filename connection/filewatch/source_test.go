//go:build linux

package filewatch_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// The Watcher as a source in its loop.

// TestRemoveInCallback: after Remove there is no event of that root, though more were read with it.
func TestRemoveInCallback(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.add(r.dir, filewatch.Watch{Ops: ops, Exists: true})
		r.handle = func(filewatch.Event) error { return r.w.Remove(r.dir) }
		for _, name := range []string{"a", "b", "c"} {
			r.write(name)
		}
		r.start()
		r.settle()
		if got := r.take(); len(got) != 1 || !strings.HasPrefix(got[0], "exists ") {
			t.Errorf("told %q", got)
		}
	})
}

// TestCloseInCallback: after Close there is no event at all, and the loop ends.
func TestCloseInCallback(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.add(r.dir, filewatch.Watch{Ops: ops})
		r.handle = func(filewatch.Event) error {
			r.w.Close()
			r.w.Close()
			return nil
		}
		for _, name := range []string{"a", "b", "c"} {
			r.write(name)
		}
		looptest.Run(t, r.loop)
		if got := r.take(); !slices.Equal(got, []string{"created a"}) {
			t.Errorf("told %q", got)
		}
		if r.w.Len() != 0 || r.w.Directories() != 0 || r.w.Handle().Active() {
			t.Errorf("left are %q", r.w.Watched())
		}
	})
}

// TestHandlerError: an error closes the Watcher with that cause.
func TestHandlerError(t *testing.T) {
	loop, log := looptest.New(t)
	dir := t.TempDir()
	calls := 0
	w, err := filewatch.New(loop, func(filewatch.Event) error {
		calls++
		return errors.New("no more of this")
	}, filewatch.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(dir, filewatch.Watch{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	looptest.Run(t, loop)
	if calls != 1 || len(log.Containing("no more of this")) != 1 {
		t.Errorf("%d calls, logged %q", calls, log.Records())
	}
}

// TestDisabled: events wait, also those that were read together with one whose handler disables the source.
func TestDisabled(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.add(r.dir, filewatch.Watch{Ops: ops})
		calls := 0
		r.handle = func(filewatch.Event) error {
			if calls++; !r.w.Handle().Enabled() {
				t.Error("called while disabled")
			}
			r.w.Handle().SetEnabled(false)
			return r.loop.Post(func() { r.w.Handle().SetEnabled(true) })
		}
		r.mkdir("a")
		r.mkdir("b")
		r.mkdir("c")
		r.start()
		r.expect("created a", "created b", "created c")
		if calls != 3 {
			t.Errorf("%d calls", calls)
		}
	})
}

// TestEndsWithLoop: Main counts the goroutines and descriptors that are left.
func TestEndsWithLoop(t *testing.T) {
	r := newRig(t, filewatch.Config{})
	_ = r.loop.Post(func() { r.loop.Stop(nil) })
	looptest.Run(t, r.loop)
	if r.w.Handle().Active() {
		t.Error("still in the loop")
	}
	if _, err := filewatch.New(r.loop, r.told, filewatch.Config{}); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("New: %v", err)
	}
}

// TestOptions: those of the source are its own, also when it is urgent and in the background.
func TestOptions(t *testing.T) {
	loop, _ := looptest.New(t)
	dir := t.TempDir()
	var w *filewatch.Watcher
	var got []string
	c := filewatch.Config{Options: communicator.Options{Priority: communicator.PriorityUrgent}}
	w, err := filewatch.New(loop, func(e filewatch.Event) error {
		got = append(got, e.String())
		w.Handle().SetBackground(true) // nothing else keeps the loop
		return nil
	}, c)
	if err != nil {
		t.Fatal(err)
	}
	if name := w.Handle().Name(); name != "filewatch of 0 paths" {
		t.Errorf("it is called %q", name)
	}
	if err := w.Add(dir, filewatch.Watch{Ops: filewatch.Finished}); err != nil {
		t.Fatal(err)
	}
	if name := w.Handle().Name(); name != "filewatch "+dir {
		t.Errorf("it is called %q", name)
	}
	if w.Handle().Priority() != communicator.PriorityUrgent {
		t.Errorf("priority %d", w.Handle().Priority())
	}
	name := filepath.Join(dir, "a")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if want := []string{"finished " + name}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestString: names for logs.
func TestString(t *testing.T) {
	for op, want := range map[filewatch.Op]string{
		0: "none", filewatch.Created | filewatch.Failed: "created+failed", 1 << 14: "unknown",
		filewatch.Exists: "exists", filewatch.Overflow: "overflow", filewatch.Gone: "gone",
	} {
		if got := op.String(); got != want {
			t.Errorf("%d is %q, want %q", op, got, want)
		}
	}
}

// TestRateOfOne: what a Watcher has to do besides telling doesn't keep it from that.
func TestRateOfOne(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		loop, _ := looptest.New(t)
		dir := t.TempDir()
		names := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
		for _, name := range names {
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var w *filewatch.Watcher
		var got []string
		rate := communicator.Rate{Events: 1, Interval: time.Millisecond}
		w, err := filewatch.New(loop, func(e filewatch.Event) error {
			if got = append(got, e.Path); len(got) == len(names) {
				w.Close()
			}
			return nil
		}, filewatch.Config{Options: communicator.Options{Rate: rate}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(dir, filewatch.Watch{Ops: ops, Exists: true}); err != nil {
			t.Fatal(err)
		}
		looptest.Run(t, loop)
		if slices.Sort(got); !slices.Equal(got, names) {
			t.Errorf("told of %q, want %q", got, names)
		}
	})
}

// idler is a source that is always ready.
type idler struct{ f func() }

func (*idler) FD() int { return communicator.NoFD }

func (i *idler) HandleRead(h *communicator.Handle) error {
	i.f()
	h.MarkReadable()
	return nil
}

// TestPriority: what is less important waits until all is told, though that takes many callbacks.
func TestPriority(t *testing.T) {
	const n = 300
	loop, _ := looptest.New(t)
	dir := t.TempDir()
	told, between := 0, 0
	w, err := filewatch.New(loop, func(filewatch.Event) error {
		told++
		for began := time.Now(); time.Since(began) < 30*time.Microsecond; {
			continue
		}
		if told == n {
			loop.Stop(nil)
		}
		return nil
	}, filewatch.Config{})
	if err != nil {
		t.Fatal(err)
	}
	// Of these all waits in the kernel when the loop begins.
	if err := w.Add(dir, filewatch.Watch{Ops: filewatch.Created | filewatch.Finished}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h, err := loop.Add(&idler{func() {
		if told > 0 && told < n {
			between++
		}
	}}, communicator.Options{Priority: 10})
	if err != nil {
		t.Fatal(err)
	}
	h.MarkReadable()
	looptest.Run(t, loop)
	if told != n || between > 0 {
		t.Errorf("of %d events %d were told, with %d other callbacks in between", n, told, between)
	}
}

// TestStormElsewhere: however much happens in a watch that one of the two sources serves, those of the other have
// their turn.
func TestStormElsewhere(t *testing.T) {
	for stormy := range sources {
		t.Run(stormy, func(t *testing.T) {
			loop, _ := looptest.New(t)
			storm, calm := t.TempDir(), t.TempDir()
			var w *filewatch.Watcher
			files := 0
			file := func() string { return filepath.Join(storm, fmt.Sprint(files)) }
			w, err := filewatch.New(loop, func(e filewatch.Event) error {
				if e.Root == calm {
					w.Close()
					return nil
				}
				_ = os.Remove(file())
				files++
				return os.WriteFile(file(), nil, 0o600) // there is always one more
			}, filewatch.Config{})
			if err != nil {
				t.Fatal(err)
			}
			for name, o := range sources {
				dir := calm
				if name == stormy {
					dir = storm
				}
				if err := w.Add(dir, filewatch.Watch{Ops: o}); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{file(), filepath.Join(calm, "a")} {
				if err := os.WriteFile(name, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			looptest.Run(t, loop)
		})
	}
}

// TestLimitsBelowZero are the defaults.
func TestLimitsBelowZero(t *testing.T) {
	r := newRig(t, filewatch.Config{MaxDirectories: -1, MaxEvents: -1})
	r.add(r.dir, filewatch.Watch{})
	r.start()
	r.mkdir("a")
	r.mkdir("b")
	r.expect("created a", "created b")
}
