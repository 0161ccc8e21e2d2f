//go:build linux

package fifo_test

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// limit lowers a limit of the process until restore is called.
func limit(tb testing.TB, resource int, value uint64) (restore func()) {
	tb.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(resource, &old); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: value, Max: old.Max}); err != nil {
		tb.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(resource, &old); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestFileFull: a file that takes a part, and no more, ends the stream, which nobody would wake.
func TestFileFull(t *testing.T) {
	fdtest.Check(t)
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	for _, both := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "file")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		var in *os.File
		if both {
			if in, err = os.Open(path); err != nil {
				t.Fatal(err)
			}
		}
		transport, err := fifo.FromFile(in, f)
		if err != nil {
			t.Fatal(err)
		}
		loop, _ := looptest.New(t)
		h := newSessions()
		s, err := connection.NewStream(loop, transport, h, connection.StreamConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("fits")); err != nil {
			t.Errorf("Write: %v", err)
		}
		restore := limit(t, unix.RLIMIT_FSIZE, 5000)
		_, err = s.Write(bytes.Repeat([]byte("x"), 8192))
		restore()
		if !errors.Is(err, syscall.EFBIG) || s.QueuedBytes() != 0 || s.Sent() != 5000 {
			t.Errorf("Write: %v, %d bytes sent, %d wait, want EFBIG after 5000", err, s.Sent(), s.QueuedBytes())
		}
		looptest.Run(t, loop)
		if end := looptest.Await(t, h.ended, "the end"); !errors.Is(end.cause, syscall.EFBIG) {
			t.Errorf("ended with %v", end.cause)
		}
	}
}

// TestNoneLeftBehind: a FIFO that Listen has made doesn't stay when descriptors run out in the middle.
func TestNoneLeftBehind(t *testing.T) {
	fdtest.Check(t)
	loop, _ := looptest.New(t)
	null, err := os.Open(os.DevNull) // the next descriptor would be this one, or the one behind it
	if err != nil {
		t.Fatal(err)
	}
	next := uint64(null.Fd())
	_ = null.Close()
	path := filepath.Join(t.TempDir(), "fifo")
	reply := path + " for answers"
	for room := range uint64(20) {
		restore := limit(t, unix.RLIMIT_NOFILE, next+room)
		l, err := fifo.Listen(loop, path, connection.Streams(newSessions(), connection.StreamConfig{}), fifo.ListenConfig{Reply: reply})
		restore()
		if err == nil {
			l.Close()
			looptest.Run(t, loop)
			if room == 0 {
				t.Error("it has worked with no descriptor")
			}
			return
		}
		if !errors.Is(err, syscall.EMFILE) {
			t.Errorf("with %d descriptors: %v", room, err)
		}
		for _, path := range []string{path, reply} {
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("with %d descriptors %s stays: %v", room, path, err)
				_ = os.Remove(path)
			}
		}
	}
	t.Error("it has never worked")
}
