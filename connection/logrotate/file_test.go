//go:build linux

package logrotate_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection/logrotate"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

// open opens a log file in a folder of the test, which closes it at its end.
func open(tb testing.TB) *logrotate.File {
	tb.Helper()
	return openAs(tb, filepath.Join(tb.TempDir(), "log"))
}

func openAs(tb testing.TB, name string) *logrotate.File {
	tb.Helper()
	f, err := logrotate.Open(name, logrotate.FileConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	return f
}

func write(tb testing.TB, f *logrotate.File, text string) {
	tb.Helper()
	if n, err := f.Write([]byte(text)); n != len(text) || err != nil {
		tb.Errorf("wrote %d bytes of %.40q, %v", n, text, err)
	}
}

// holds holds that a file has that text.
func holds(tb testing.TB, name, want string) {
	tb.Helper()
	if got, err := os.ReadFile(name); string(got) != want || err != nil {
		tb.Errorf("%s holds %.200q, %v, want %.200q", filepath.Base(name), got, err, want)
	}
}

func rename(tb testing.TB, from, to string) {
	tb.Helper()
	if err := os.Rename(from, to); err != nil {
		tb.Fatal(err)
	}
}

// TestLines: many goroutines write numbered lines while the file is renamed and opened again 200 times, by one of them
// while the others write. Every line is there once, whole, and in its goroutine's order.
func TestLines(t *testing.T) {
	const writers, each, rotations = 8, 1000, 200
	f := open(t)
	var all, rotated atomic.Int64
	var rotating sync.Mutex // as logrotate, which runs once
	rotate := func() {
		rotating.Lock()
		defer rotating.Unlock()
		rename(t, f.Name(), f.Name()+"."+strconv.FormatInt(rotated.Add(1), 10))
		if err := f.Reopen(); err != nil {
			t.Error(err)
		}
	}
	rest := func(w, i int) string { return strings.Repeat(string(rune('a'+w)), i%100) }
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				if _, err := fmt.Fprintf(f, "%d %d %s\n", w, i, rest(w, i)); err != nil {
					t.Error(err)
				}
				if all.Add(1)%(writers*each/rotations) == 0 {
					rotate()
				}
			}
		})
	}
	group.Wait()
	if rotated.Load() != rotations {
		t.Fatalf("%d rotations", rotated.Load())
	}

	var next [writers]int
	check := func(name string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		for line := range bytes.Lines(text) {
			var w, i int
			if _, err := fmt.Sscanf(string(line), "%d %d ", &w, &i); err != nil || w < 0 || w >= writers {
				t.Fatalf("%s has the line %q", name, line)
			}
			if want := fmt.Sprintf("%d %d %s\n", w, next[w], rest(w, next[w])); string(line) != want {
				t.Fatalf("%s has the line %q, want %q", name, line, want)
			}
			next[w]++
		}
	}
	for i := range rotations {
		check(f.Name() + "." + strconv.Itoa(i+1))
	}
	check(f.Name())
	for w, n := range next {
		if n != each {
			t.Errorf("%d lines of goroutine %d", n, w)
		}
	}
}

// TestReopenAtOnce: a Reopen that takes long doesn't put what it has opened in the place of what a later one has.
func TestReopenAtOnce(t *testing.T) {
	f := open(t)
	old := f.Name() + ".1"
	var second sync.WaitGroup
	err := f.ReopenAfter(func() {
		rename(t, f.Name(), old)
		var over atomic.Bool
		second.Go(func() {
			defer over.Store(true)
			if err := f.Reopen(); err != nil {
				t.Error(err)
			}
		})
		for i := 0; i < 10_000 && !over.Load(); i++ { // it has to wait, which can't be waited for
			runtime.Gosched()
		}
	})
	if err != nil {
		t.Error(err)
	}
	second.Wait()
	write(t, f, "after\n")
	holds(t, f.Name(), "after\n")
	holds(t, old, "")
}

// TestReopenFails: the old file goes on being written.
func TestReopenFails(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	f := openAs(t, filepath.Join(folder, "log"))
	write(t, f, "one\n")

	elsewhere := folder + "2"
	rename(t, folder, elsewhere)
	if err := f.Reopen(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without its folder: %v", err)
	}
	write(t, f, "two\n")
	rename(t, elsewhere, folder)

	old := f.Name() + ".1"
	rename(t, f.Name(), old)
	if err := os.Mkdir(f.Name(), 0o700); err != nil {
		t.Fatal(err)
	}
	err := f.Reopen()
	var pathError *os.PathError
	if !errors.As(err, &pathError) || pathError.Op != "open" || pathError.Path != f.Name() || !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a folder in its place: %v", err)
	}
	write(t, f, "three\n")
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(f.Name(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("a FIFO that nobody reads in its place: %v", err)
	}
	write(t, f, "four\n")
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}

	if err := f.Reopen(); err != nil {
		t.Error(err)
	}
	write(t, f, "five\n")
	holds(t, old, "one\ntwo\nthree\nfour\n")
	holds(t, f.Name(), "five\n")
}

// TestNames: what is there is appended to, a link is followed each time, and a name is one of the folder in which it was
// opened.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("first", []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("first", "link"); err != nil {
		t.Fatal(err)
	}
	f := openAs(t, "link")
	if f.Name() != filepath.Join(dir, "link") {
		t.Errorf("its name is %q", f.Name())
	}
	t.Chdir(t.TempDir())
	write(t, f, "one\n")
	if err := f.Reopen(); err != nil { // without a reason
		t.Error(err)
	}
	write(t, f, "two\n")
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("second", f.Name()); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err != nil {
		t.Error(err)
	}
	write(t, f, "three\n")
	holds(t, filepath.Join(dir, "first"), "before\none\ntwo\n")
	holds(t, filepath.Join(dir, "second"), "three\n")
}

func TestOpenFails(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"":                              os.ErrNotExist,
		dir:                             syscall.EISDIR,
		filepath.Join(dir, "no", "log"): os.ErrNotExist,
		filepath.Join(dir, "a\x00b"):    syscall.EINVAL,
		fifo:                            syscall.ENXIO,
	} {
		f, err := logrotate.Open(name, logrotate.FileConfig{})
		if f != nil || !errors.Is(err, want) {
			t.Errorf("%q: %v, %v, want %v", name, f, err, want)
		}
	}
}

// TestMode: new files have the mode asked for without what the umask forbids, others keep theirs.
func TestMode(t *testing.T) {
	before := syscall.Umask(0o022)
	defer syscall.Umask(before)
	for _, tt := range []struct {
		umask      int
		mode, want os.FileMode
	}{
		{0o022, 0, 0o640}, {0o077, 0, 0o600}, {0o022, 0o600, 0o600}, {0, 0o666, 0o666}, {0o027, 0o666, 0o640},
	} {
		syscall.Umask(tt.umask)
		name := filepath.Join(t.TempDir(), "log")
		f, err := logrotate.Open(name, logrotate.FileConfig{Mode: tt.mode})
		if err != nil {
			t.Fatal(err)
		}
		has := func(want os.FileMode) {
			t.Helper()
			if info, err := os.Stat(name); err != nil || info.Mode() != want {
				t.Errorf("umask %#o, mode %v: the file has %v, %v", tt.umask, tt.mode, info.Mode(), err)
			}
		}
		has(tt.want)
		if err := errors.Join(os.Remove(name), f.Reopen()); err != nil {
			t.Error(err)
		}
		has(tt.want)
		if err := errors.Join(os.Chmod(name, 0o620), f.Reopen()); err != nil {
			t.Error(err)
		}
		has(0o620)
		_ = f.Close()
	}
}

// TestDescriptor: no child inherits it, and there is one.
func TestDescriptor(t *testing.T) {
	f := open(t)
	for range 3 {
		if err := f.Reopen(); err != nil {
			t.Error(err)
		}
		fds := descriptors(t, f.Name())
		if len(fds) != 1 {
			t.Fatalf("descriptors %v", fds)
		}
		if flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); flags != unix.FD_CLOEXEC || err != nil {
			t.Errorf("its flags are %#x, %v", flags, err)
		}
	}
}

// descriptors are those of this process that a file is open by.
func descriptors(tb testing.TB, name string) (fds []int) {
	tb.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		tb.Fatal(err)
	}
	for _, link := range links {
		if target, _ := os.Readlink(link); target == name {
			fd, err := strconv.Atoi(filepath.Base(link))
			if err != nil {
				tb.Fatal(err)
			}
			fds = append(fds, fd)
		}
	}
	return fds
}

func TestClosed(t *testing.T) {
	f := open(t)
	write(t, f, "one\n")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	old := f.Name() + ".1"
	rename(t, f.Name(), old)
	n, err := f.Write([]byte("two\n"))
	for op, err := range map[string]error{"write": err, "open": f.Reopen(), "close": f.Close()} {
		var pathError *os.PathError
		if !errors.As(err, &pathError) || pathError.Op != op || !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if n != 0 {
		t.Errorf("wrote %d bytes", n)
	}
	holds(t, old, "one\n")
	if _, err := os.Stat(f.Name()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file was made again: %v", err)
	}
}

// TestCloseMeanwhile: a Reopen during which the file is closed leaves nothing open.
func TestCloseMeanwhile(t *testing.T) {
	f := open(t)
	err := f.ReopenAfter(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if fds := descriptors(t, f.Name()); len(fds) > 0 {
		t.Errorf("descriptors %v are open", fds)
	}
}

// TestEmptyWrite: nothing is nothing.
func TestEmptyWrite(t *testing.T) {
	f := open(t)
	for _, text := range []string{"", "a", "", "b\n", ""} {
		write(t, f, text)
	}
	holds(t, f.Name(), "ab\n")
	if names, err := os.ReadDir(filepath.Dir(f.Name())); len(names) != 1 || err != nil {
		t.Errorf("there are %v, %v", names, err)
	}
}
