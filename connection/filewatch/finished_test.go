//go:build linux

package filewatch_test

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// leases skips a test where the kernel doesn't say whether a file is being written.
func leases(t *testing.T) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sys.HasWriter(name); err != nil {
		t.Skipf("no leases here: %v", err)
	}
}

// appear moves a directory in that has been filled elsewhere.
func (r *rig) appear(fill func(dir string)) {
	r.Helper()
	dir := filepath.Join(r.TempDir(), "d")
	r.check(os.Mkdir(dir, 0o755))
	fill(dir)
	r.check(os.Rename(dir, r.path("d")))
}

// TestFinishedWhenFound: a file that is found is finished when nobody writes to it any more.
func TestFinishedWhenFound(t *testing.T) {
	leases(t)
	for _, ops := range []filewatch.Op{sources["inotify"], sources["inotify"] | filewatch.Renamed} {
		r := newRig(t, filewatch.Config{})
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true})
		r.start()
		var open *os.File
		r.appear(func(dir string) {
			var err error
			open, err = os.Create(filepath.Join(dir, "half"))
			r.check(err)
			_, err = open.WriteString("half")
			r.check(err)
			r.check(os.WriteFile(filepath.Join(dir, "whole"), nil, 0o600))
		})
		r.expectSet("created d", "created d/half", "created+finished d/whole")
		_, err := open.WriteString(" of it")
		r.check(err)
		r.expect()
		r.check(open.Close())
		r.expect("finished d/half")
	}
}

// TestFinishedElsewhere: of a file that is being written and has two names it is told at which the writer closes it,
// so the other can't wait for that.
func TestFinishedElsewhere(t *testing.T) {
	leases(t)
	r := newRig(t, filewatch.Config{})
	r.add(r.dir, filewatch.Watch{Ops: filewatch.Finished, Recursive: true})
	r.start()
	r.appear(func(dir string) {
		open, err := os.Create(filepath.Join(filepath.Dir(dir), "first"))
		r.check(err)
		t.Cleanup(func() { _ = open.Close() })
		r.check(os.Link(open.Name(), filepath.Join(dir, "second")))
	})
	r.settle()
	if len(r.events) != 1 || r.events[0].Path != r.path("d/second") || !r.events[0].Guessed {
		t.Errorf("told %+v", r.events)
	}
}

// TestFinishedGuessed: a watch that would be told of the asking isn't disturbed by it.
func TestFinishedGuessed(t *testing.T) {
	r := newRig(t, filewatch.Config{})
	r.add(r.dir, filewatch.Watch{Ops: filewatch.Opened | filewatch.Closed | filewatch.Finished, Recursive: true})
	r.start()
	var open *os.File
	r.appear(func(dir string) {
		var err error
		open, err = os.Create(filepath.Join(dir, "half"))
		r.check(err)
	})
	r.settle()
	r.check(open.Close())
	r.settle()
	var guessed []bool
	for _, e := range r.events {
		guessed = append(guessed, e.Guessed)
	}
	if got := r.take(); !slices.Equal(got, []string{"finished d/half", "finished d/half"}) || !slices.Equal(guessed, []bool{true, false}) {
		t.Errorf("told %q, guessed were %v", got, guessed)
	}
}

// TestFinishedAfterExists: a file that is moved in before the directory is read is told as both.
func TestFinishedAfterExists(t *testing.T) {
	r := newRig(t, filewatch.Config{})
	outside := filepath.Join(t.TempDir(), "a")
	r.check(os.WriteFile(outside, nil, 0o600))
	r.add(r.dir, filewatch.Watch{Ops: filewatch.Created | filewatch.Finished, Exists: true})
	r.check(os.Rename(outside, r.path("a")))
	r.start()
	r.expect("exists a", "finished a")
}

// TestFinishedOnce: a file that was moved into a directory while that appeared is told once.
func TestFinishedOnce(t *testing.T) {
	leases(t)
	r := newRig(t, filewatch.Config{})
	outside := filepath.Join(t.TempDir(), "a")
	r.check(os.WriteFile(outside, nil, 0o600))
	r.add(r.dir, filewatch.Watch{Ops: filewatch.Created | filewatch.Finished, Recursive: true})
	r.during("d", func() { r.check(os.Rename(outside, r.path("d/a"))) }) // it is watched, and not read yet
	r.start()
	r.mkdir("d")
	r.settle()
	r.expect("created d", "created+finished d/a")
}

// TestFinishedKinds: only regular files are, however they come.
func TestFinishedKinds(t *testing.T) {
	r := newRig(t, filewatch.Config{})
	outside := t.TempDir()
	r.add(r.dir, filewatch.Watch{Ops: filewatch.Created | filewatch.Finished | filewatch.Renamed, Recursive: true})
	r.start()
	fill := func(dir string) {
		r.check(syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
		r.check(os.Symlink("nowhere", filepath.Join(dir, "link")))
		r.check(os.Mkdir(filepath.Join(dir, "dir"), 0o755))
	}
	fill(outside)
	for _, name := range []string{"fifo", "link", "dir"} {
		r.check(os.Rename(filepath.Join(outside, name), r.path(name)))
	}
	r.expect("created fifo", "created link", "created dir")
	fifo, err := os.OpenFile(r.path("fifo"), os.O_RDWR, 0)
	r.check(err)
	r.check(fifo.Close())
	r.settle()
	for _, name := range []string{"fifo", "link", "dir"} {
		r.rename(name, name+"2")
	}
	r.expect("renamed fifo2 from fifo", "renamed link2 from link", "renamed dir2 from dir")
	r.appear(fill)
	r.expectSet("created d", "created d/fifo", "created d/link", "created d/dir")
	r.write("file")
	r.check(os.Link(r.path("file"), r.path("hard")))
	r.expect("created file", "finished file", "created hard")
}
