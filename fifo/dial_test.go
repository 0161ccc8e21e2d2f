//go:build linux

package fifo_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// makeFIFO makes a FIFO in a folder of its own.
func makeFIFO(tb testing.TB) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// dialling is a running loop with a stream that is being dialled.
func dialling(tb testing.TB, d fifo.Dialer, h connection.StreamHandler) (*running, *connection.Stream) {
	tb.Helper()
	r := newRunning(tb)
	s, err := connection.DialStream(r.loop, d, h, connection.StreamConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	r.run()
	return r, s
}

func TestDialErrors(t *testing.T) {
	fdtest.Check(t)
	unread, missing := makeFIFO(t), filepath.Join(t.TempDir(), "missing")
	ordinary := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(ordinary, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dialer fifo.Dialer
		want   error
	}{
		{fifo.Dialer{Write: unread}, fifo.ErrNoReader},
		{fifo.Dialer{Write: unread}, syscall.ENXIO},
		{fifo.Dialer{Read: makeFIFO(t), Write: unread}, fifo.ErrNoReader},
		{fifo.Dialer{Write: missing}, os.ErrNotExist},
		{fifo.Dialer{Read: missing}, os.ErrNotExist},
		{fifo.Dialer{Write: ordinary}, fifo.ErrNotFIFO},
		{fifo.Dialer{Read: "/dev/null"}, fifo.ErrNotFIFO},
		{fifo.Dialer{}, connection.ErrNoAddress},
	} {
		h := newSessions()
		r, _ := dialling(t, c.dialer, h)
		got := looptest.Await(t, h.ended, "the end")
		var opError *net.OpError
		if !errors.As(got.cause, &opError) || opError.Op != "dial" || opError.Net != "fifo" || !errors.Is(got.cause, c.want) {
			t.Errorf("%+v: %v, want %v", c.dialer, got.cause, c.want)
		}
		if err := looptest.Await(t, r.done, "the end of Run"); err != nil {
			t.Error(err)
		}
		r.done <- nil
	}
}

// TestDialRead: the writer comes later, writes, and goes; a pause before that is no end.
func TestDialRead(t *testing.T) {
	fdtest.Check(t)
	path, h := makeFIFO(t), newSessions()
	r, s := dialling(t, fifo.Dialer{Read: path}, h)
	looptest.Await(t, h.begun, "the connection")
	for range 5 {
		r.do(s.Pause)
		r.do(s.Resume)
	}
	r.do(func() {
		if n, err := s.Write([]byte("unheard")); n != 7 || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		if got, want := s.Handle().Name(), "fifo "+path; got != want {
			t.Errorf("its name is %q, want %q", got, want)
		}
		if got := s.RemoteAddr().String(); got != path {
			t.Errorf("its address is %s", got)
		}
	})
	if err := put(path, "a line\n"); err != nil {
		t.Fatal(err)
	}
	h.expect(t, "a line\n", nil)
}

// TestDialWrite: what is written arrives, and a reader that goes away is the end.
func TestDialWrite(t *testing.T) {
	fdtest.Check(t)
	path, h := makeFIFO(t), newSessions()
	in, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, s := dialling(t, fifo.Dialer{Write: path}, h)
	looptest.Await(t, h.begun, "the connection")
	r.do(func() { fmt.Fprint(s, "hello") })
	got := make([]byte, 5)
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "hello" {
		t.Errorf("read %q, %v", got, err)
	}
	calls := r.callbacks()
	r.turns()
	if n := r.callbacks() - calls; n > 0 {
		t.Errorf("%d callbacks while nothing happens", n)
	}
	_ = in.Close()
	h.expect(t, "", nil)
}

// TestDialWriteBroken: output that waits for a reader who goes away is an error, and no signal.
func TestDialWriteBroken(t *testing.T) {
	fdtest.Check(t)
	path, h := makeFIFO(t), newSessions()
	in, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, s := dialling(t, fifo.Dialer{Write: path}, h)
	looptest.Await(t, h.begun, "the connection")
	r.do(func() {
		if _, err := s.Write(make([]byte, 1<<20)); err != nil || s.QueuedBytes() == 0 {
			t.Errorf("Write: %v, %d bytes wait", err, s.QueuedBytes())
		}
	})
	_ = in.Close()
	got := looptest.Await(t, h.ended, "the end")
	var opError *net.OpError
	if !errors.As(got.cause, &opError) || opError.Op != "write" || !errors.Is(got.cause, syscall.EPIPE) {
		t.Errorf("ended with %v", got.cause)
	}
}

// TestDialService has a client of a service with a FIFO for each direction.
func TestDialService(t *testing.T) {
	fdtest.Check(t)
	folder := t.TempDir()
	commands, answers := filepath.Join(folder, "commands"), filepath.Join(folder, "answers")
	server := newSessions()
	server.data = func(s *connection.Stream, data []byte) {
		if _, err := fmt.Fprintf(s, "re %s", data); err != nil {
			t.Error(err)
		}
	}
	r := newRunning(t)
	_, err := fifo.Listen(r.loop, commands, connection.Streams(server, connection.StreamConfig{}), fifo.ListenConfig{Reply: answers})
	if err != nil {
		t.Fatal(err)
	}
	r.run()
	for range 20 {
		client := newSessions()
		r.do(func() {
			s, err := connection.DialStream(r.loop, fifo.Dialer{Read: answers, Write: commands}, client, connection.StreamConfig{})
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprint(s, "question")
			s.CloseWrite()
		})
		server.expect(t, "question", nil)
		client.expect(t, "re question", nil)
	}
}
