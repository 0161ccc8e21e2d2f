//go:build linux

package fifo_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func TestSessions(t *testing.T) {
	fdtest.Check(t)
	h := newSessions()
	_, path, _ := listening(t, h, fifo.ListenConfig{})
	for _, text := range []string{"a line\n", "two\nlines\n", strings.Repeat("long ", 100_000)} {
		if err := put(path, text); err != nil {
			t.Fatal(err)
		}
		h.expect(t, text, nil)
	}
	// Several writers that overlap are one connection.
	first, second := openWriter(t, path), openWriter(t, path)
	fmt.Fprintln(first, "one")
	fmt.Fprintln(second, "two")
	_ = first.Close()
	fmt.Fprintln(second, "three")
	_ = second.Close()
	h.expect(t, "one\ntwo\nthree\n", nil)
}

// TestUnfinished: what a writer has not ended is not mixed up with what the next one writes.
func TestUnfinished(t *testing.T) {
	fdtest.Check(t)
	h := newSessions()
	h.partial = true
	_, path, _ := listening(t, h, fifo.ListenConfig{})
	for range 20 {
		if err := put(path, "no end"); err != nil {
			t.Fatal(err)
		}
		h.expect(t, "", io.ErrUnexpectedEOF)
		if err := put(path, "STOP\n"); err != nil {
			t.Fatal(err)
		}
		h.expect(t, "STOP\n", nil)
	}
}

// TestIdle: a FIFO without writers, one whose writers have gone, and one whose writer says nothing
// cost no turn.
func TestIdle(t *testing.T) {
	fdtest.Check(t)
	h := newSessions()
	r, path, _ := listening(t, h, fifo.ListenConfig{})
	quiet := func(when string) {
		t.Helper()
		r.turns()
		before := r.callbacks()
		for range 50 {
			r.turns()
		}
		if n := r.callbacks() - before; n > 0 {
			t.Errorf("%s: %d callbacks", when, n)
		}
	}
	quiet("before the first writer")
	if err := put(path, "x\n"); err != nil {
		t.Fatal(err)
	}
	h.expect(t, "x\n", nil)
	quiet("after the first writer")
	silent := openWriter(t, path)
	quiet("with a silent writer")
	_ = silent.Close()
	quiet("after a silent writer")
	talking := openWriter(t, path)
	fmt.Fprintln(talking, "y")
	looptest.Await(t, h.begun, "the first connection")
	looptest.Await(t, h.begun, "the second connection")
	quiet("within a connection")
	_ = talking.Close()
	h.expect(t, "y\n", nil)
	quiet("at the end")
}

// TestNothingIsLost: of thousands of writers, one after the other and at the same time, each line
// arrives exactly once and whole.
func TestNothingIsLost(t *testing.T) {
	fdtest.Check(t)
	const writers = 4
	each := 1000
	if testing.Short() {
		each = 200
	}
	seen := map[string]int{}
	count := 0
	all := make(chan bool, 1)
	path := filepath.Join(t.TempDir(), "fifo")
	r := newRunning(t)
	lines := connection.Split(bufio.ScanLines, connection.FrameFunc(func(_ *connection.Stream, line []byte) error {
		seen[string(line)]++
		if count++; count == writers*each {
			all <- true
		}
		return nil
	}))
	l, err := fifo.Listen(r.loop, path, connection.Streams(lines, connection.StreamConfig{}), fifo.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	r.run()
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				if err := put(path, fmt.Sprintf("line %d of %d\n", i, w)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	looptest.Await(t, all, "the last line")
	// The last connection ends, too, however its writers came and went.
	for live, start := 0, time.Now(); live != 1 && time.Since(start) < looptest.Patience; {
		r.do(func() { live = r.loop.Stats().Live })
	}
	r.do(func() {
		if len(seen) != writers*each || count != writers*each {
			t.Errorf("%d different lines, %d in all, want %d", len(seen), count, writers*each)
		}
		if n := r.loop.Stats().Live; n != 1 || l.Accepted() < 1 {
			t.Errorf("%d sources are left after %d connections, want the listener", n, l.Accepted())
		}
	})
}

func TestListenMakesTheFile(t *testing.T) {
	fdtest.Check(t)
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for want, config := range map[os.FileMode]fifo.ListenConfig{
		0o600: {},
		0o622: {Mode: 0o622},
		0o660: {Mode: 0o660, Group: fmt.Sprint(os.Getgid()), Owner: fmt.Sprint(os.Getuid())},
	} {
		path := filepath.Join(t.TempDir(), "fifo")
		loop, _ := looptest.New(t)
		l, err := fifo.Listen(loop, path, connection.Streams(newSessions(), connection.StreamConfig{}), config)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != os.ModeNamedPipe|want {
			t.Errorf("the file is %v, %v, want %v", info, err, want)
		}
		if l.Addr().Network() != "fifo" || l.Addr().String() != path {
			t.Errorf("the address is %v", l.Addr())
		}
		l.Close()
		looptest.Run(t, loop)
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after the end: %v", err)
		}
	}
}

// TestListenKeepsTheFile: one that was there before stays, and one that somebody else has put in the
// place of ours too.
func TestListenKeepsTheFile(t *testing.T) {
	fdtest.Check(t)
	listen := func(path string, config fifo.ListenConfig) (end func()) {
		t.Helper()
		loop, _ := looptest.New(t)
		l, err := fifo.Listen(loop, path, connection.Streams(newSessions(), connection.StreamConfig{}), config)
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			l.Close()
			looptest.Run(t, loop)
		}
	}
	mode := func(path string, want os.FileMode) {
		t.Helper()
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("the file is %v, %v, want mode %v", info, err, want)
		}
	}
	there := filepath.Join(t.TempDir(), "there")
	if err := syscall.Mkfifo(there, 0o640); err != nil {
		t.Fatal(err)
	}
	end := listen(there, fifo.ListenConfig{})
	mode(there, 0o640)
	end()
	end = listen(there, fifo.ListenConfig{Mode: 0o620})
	end()
	mode(there, 0o620)

	other := filepath.Join(t.TempDir(), "other")
	end = listen(other, fifo.ListenConfig{})
	if err := errors.Join(os.Remove(other), os.WriteFile(other, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	end()
	mode(other, 0o644)

	// A change of the working directory does not make it forget where the file is.
	folder := t.TempDir()
	t.Chdir(folder)
	end = listen("relative", fifo.ListenConfig{})
	t.Chdir(t.TempDir())
	end()
	if _, err := os.Stat(filepath.Join(folder, "relative")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a relative path: %v", err)
	}
}

func TestListenErrors(t *testing.T) {
	fdtest.Check(t)
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	if err := errors.Join(os.WriteFile(in("file"), []byte("x"), 0o600), syscall.Mkfifo(in("read"), 0o600), syscall.Mkfifo(in("fifo"), 0o600),
		os.Symlink(in("fifo"), in("link"))); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(in("read"), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	loop, _ := looptest.New(t)
	for _, c := range []struct {
		path   string
		config fifo.ListenConfig
		want   error
	}{
		{in("file"), fifo.ListenConfig{}, fifo.ErrNotFIFO},
		{in("link"), fifo.ListenConfig{}, fifo.ErrNotFIFO},
		{folder, fifo.ListenConfig{}, fifo.ErrNotFIFO},
		{"/dev/null", fifo.ListenConfig{}, fifo.ErrNotFIFO},
		{in("read"), fifo.ListenConfig{}, fifo.ErrInUse},
		{in("read"), fifo.ListenConfig{}, syscall.EADDRINUSE},
		{in("no/folder"), fifo.ListenConfig{}, os.ErrNotExist},
		{"", fifo.ListenConfig{}, os.ErrNotExist},
		{in("new"), fifo.ListenConfig{Reply: in("file")}, fifo.ErrNotFIFO},
		{in("new"), fifo.ListenConfig{Owner: "nobody of that name"}, nil},
		{in("new"), fifo.ListenConfig{Group: "4294967295"}, nil},
	} {
		l, err := fifo.Listen(loop, c.path, connection.Streams(newSessions(), connection.StreamConfig{}), c.config)
		if err == nil {
			t.Errorf("%s: no error", c.path)
			l.Close()
			continue
		}
		var opError *net.OpError
		if !errors.As(err, &opError) || opError.Op != "listen" || opError.Net != "fifo" || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.path, err, c.want)
		}
	}
	if _, err := os.Lstat(in("new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a FIFO was left behind: %v", err)
	}
}
