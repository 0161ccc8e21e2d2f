//go:build linux

package logrotate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/logrotate"
)

// reader opens a FIFO, which it makes if need be, for reading, without waiting.
func reader(tb testing.TB, name string) *os.File {
	tb.Helper()
	if err := unix.Mkfifo(name, 0o600); err != nil && !errors.Is(err, os.ErrExist) {
		tb.Fatal(err)
	}
	r, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

// take reads what waits in a FIFO.
func take(tb testing.TB, r *os.File) string {
	tb.Helper()
	buf := make([]byte, 1<<20)
	n, err := r.Read(buf)
	if err != nil {
		tb.Fatal(err)
	}
	return string(buf[:n])
}

// TestFIFO: a FIFO that is full, or that nobody reads, holds up nobody, and is written again as soon as it can be.
func TestFIFO(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fifo")
	r := reader(t, name)
	f := openAs(t, name)
	line := strings.Repeat("x", 99) + "\n"
	written := 0
	for {
		n, err := f.Write([]byte(line))
		if errors.Is(err, connection.ErrWouldBlock) {
			var pathError *os.PathError
			if n != 0 || !errors.As(err, &pathError) || pathError.Path != name {
				t.Errorf("full: %d bytes, %v", n, err)
			}
			break
		}
		if n != len(line) || err != nil {
			t.Fatalf("wrote %d bytes, %v", n, err)
		}
		written++
	}
	if got := take(t, r); got != strings.Repeat(line, written) {
		t.Errorf("%d bytes have come of %d lines", len(got), written)
	}
	write(t, f, "room\n")
	if got := take(t, r); got != "room\n" {
		t.Errorf("%q has come", got)
	}

	_ = r.Close()
	if n, err := f.Write([]byte(line)); n != 0 || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("without a reader: %d bytes, %v", n, err)
	}
	r = reader(t, name)
	write(t, f, "back\n")
	if got := take(t, r); got != "back\n" {
		t.Errorf("%q has come", got)
	}
}

// TestTornLine: after a part of a line the next one begins on a line of its own, and so does one after several that had
// no room.
func TestTornLine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fifo")
	r := reader(t, name)
	f := openAs(t, name)
	long := strings.Repeat("x", 1<<20) + "\n" // more than there is room in a pipe
	for range 2 {
		n, err := f.Write([]byte(long))
		if n <= 0 || n >= len(long) || !errors.Is(err, connection.ErrWouldBlock) {
			t.Fatalf("wrote %d bytes, %v", n, err)
		}
		for _, lost := range []string{"lost\n", ""} {
			if n, err := f.Write([]byte(lost)); n != 0 || errors.Is(err, connection.ErrWouldBlock) != (lost != "") {
				t.Errorf("full: %d bytes of %q, %v", n, lost, err)
			}
		}
		if err := f.Reopen(); err != nil { // it is the same file
			t.Error(err)
		}
		if got := take(t, r); got != long[:n] {
			t.Errorf("%d bytes have come of %d", len(got), n)
		}
		write(t, f, "one\n")
		write(t, f, "two\n")
		if got := take(t, r); got != "\none\ntwo\n" {
			t.Errorf("%q has come", got)
		}
	}
}

// TestFullDisk: Write fails at once, and works again when there is room. The largest size of a file stands for a disk.
func TestFullDisk(t *testing.T) {
	f := open(t)
	full := func(size uint64, text string, want int) {
		t.Helper()
		var before unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
		n, err := f.Write([]byte(text))
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
		if n != want || !errors.Is(err, syscall.EFBIG) {
			t.Errorf("wrote %d bytes of %q, %v", n, text, err)
		}
	}
	full(6, "one\ntwo\n", 6)
	full(6, "lost\n", 0)
	full(7, "lost\n", 0) // the line feed before it
	write(t, f, "three\n")
	full(17, "four\nfive\n", 4)
	full(20, "lost\n", 2)
	write(t, f, "six\n")
	full(29, "four\nfive\n", 4)
	full(29, "a\nb\n", 0)
	full(32, "a\nb\n", 2) // whole lines
	write(t, f, "seven\n")
	full(40, "torn\n", 2)
	old := f.Name() + ".1"
	rename(t, f.Name(), old)
	if err := f.Reopen(); err != nil {
		t.Error(err)
	}
	write(t, f, "new\n")
	holds(t, old, "one\ntw\nthree\nfour\nlo\nsix\nfour\na\nseven\nto")
	holds(t, f.Name(), "new\n")
}

// TestNoRoom: a device that has no room says so.
func TestNoRoom(t *testing.T) {
	f, err := logrotate.Open("/dev/full", logrotate.FileConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.Write([]byte("lost\n")); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
}
