// Package fdtest finds what tests leave behind: open file descriptors and
// goroutines that never end. A library whose whole job is to own descriptors
// has to close every one of them exactly once, and a forgotten close shows in
// no assertion.
//
// A test package hands its TestMain over:
//
//	func TestMain(m *testing.M) { fdtest.Main(m) }
//
// and a single test that wants to know at once calls [Check] first:
//
//	fdtest.Check(t)
//
// It is for tests only; nothing that ships imports it. Don't use it for tests
// that inherit descriptors on purpose, or call Check in parallel tests: the
// table of descriptors belongs to the whole process.
//
// Descriptors are read from /proc/self/fd. Where the kernel has no such folder
// only goroutines are looked at, so that the tests of the portable packages
// run anywhere.
package fdtest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// grace is how long goroutines and descriptors may take to go away by
	// themselves: a goroutine that has just been told to end needs a turn of
	// the scheduler, under the race detector on a busy machine many of them.
	grace = time.Second

	// pause is the time between two looks within grace.
	pause = 2 * time.Millisecond
)

// Main runs the tests of a package and ends the process with their status. If
// they pass but have left a descriptor or a goroutine that wasn't there
// before, it prints each of them and the status is 1. After a failure nothing
// is looked for: a test that stops half-way leaves things open, and its own
// message matters more.
//
// Main doesn't return; work that has to follow the tests belongs in a
// [testing.TB.Cleanup].
func Main(m *testing.M) {
	os.Exit(run(m, os.Stderr))
}

func run(m *testing.M, w io.Writer) int {
	fdsBefore, err := descriptors()
	if err != nil {
		fmt.Fprintf(w, "fdtest: %v\n", err)
		return 1
	}
	idsBefore := goroutines()

	if code := m.Run(); code != 0 {
		return code
	}

	leaks := settle(func() []string {
		return append(newDescriptors(fdsBefore), newGoroutines(idsBefore)...)
	})
	if len(leaks) == 0 {
		return 0
	}
	fmt.Fprintf(w, "fdtest: the tests passed but left behind:\n%s\nFAIL\n", strings.Join(leaks, "\n"))
	return 1
}

// Check fails tb at its end when it leaves a descriptor open that wasn't open
// when Check was called. Call it before anything that registers a cleanup:
// cleanups run last in, first out. Goroutines are left to [Main].
func Check(tb testing.TB) {
	tb.Helper()
	before, err := descriptors()
	if err != nil {
		tb.Fatalf("fdtest: %v", err)
	}
	tb.Cleanup(func() {
		tb.Helper()
		leaks := settle(func() []string { return newDescriptors(before) })
		if len(leaks) > 0 {
			tb.Errorf("fdtest: left open:\n%s", strings.Join(leaks, "\n"))
		}
	})
}

// settle calls look until it finds nothing or the grace is over, and returns
// what it found last.
func settle(look func() []string) []string {
	deadline := time.Now().Add(grace)
	for {
		found := look()
		if len(found) == 0 || time.Now().After(deadline) {
			return found
		}
		<-time.After(pause)
	}
}

// descriptors returns the open descriptors and what each refers to, as in
// "socket:[4711]". The first pipe of a process makes the runtime open an epoll
// instance and an eventfd for its poller, which stay open; that happens here
// before the first count, so that every one counted later is the tests' own.
func descriptors() (map[int]string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(r.Close(), w.Close()); err != nil {
		return nil, err
	}

	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	open := make(map[int]string, len(entries))
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, err
		}
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // closed since, such as the one that read the folder
		}
		if err != nil {
			return nil, err
		}
		open[fd] = target
	}
	return open, nil
}

// newDescriptors lists what is open now and wasn't before. A number that was
// open before counts as new when it refers to something else now.
func newDescriptors(before map[int]string) []string {
	now, err := descriptors()
	if err != nil {
		return []string{err.Error()}
	}
	var leaks []string
	for _, fd := range slices.Sorted(maps.Keys(now)) {
		if was, ok := before[fd]; !ok || was != now[fd] {
			leaks = append(leaks, fmt.Sprintf("descriptor %d: %s", fd, now[fd]))
		}
	}
	return leaks
}
