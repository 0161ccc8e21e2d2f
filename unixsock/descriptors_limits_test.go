//go:build linux

package unixsock_test

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// causes serves each connection by a handler that consumes nothing, and sends the causes of their ends.
type causes struct {
	ends   chan error
	opened func(s *connection.Stream)
}

func (c causes) HandleOpen(s *connection.Stream) error {
	if c.opened != nil {
		c.opened(s)
	}
	return nil
}

func (c causes) HandleData(*connection.Stream, []byte) (int, error) { return 0, nil }

func (c causes) HandleClose(_ *connection.Stream, cause error) { c.ends <- cause }

// TestTooManyDescriptors: the connection ends, and nothing stays open.
func TestTooManyDescriptors(t *testing.T) {
	const limit = 3
	for name, sizes := range map[string][]int{
		"at once": {4}, "far too many": {250}, "one by one": {1, 1, 1, 1}, "in two pieces": {2, 2}, "after the limit": {3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			fdtest.Check(t)
			handler := causes{ends: make(chan error, 1)}
			server := newPassLoop(t, connection.Streams(handler, connection.StreamConfig{}), limit)
			p := newPipes(t, 1)
			peer := server.peer()
			for _, n := range sizes {
				peer.send("x", slices.Repeat(p.writers, n)...)
			}
			err := looptest.Await(t, handler.ends, "the end")
			var opError *net.OpError
			if !errors.Is(err, unixsock.ErrDescriptors) || !errors.As(err, &opError) || opError.Op != "read" {
				t.Errorf("ended with %v, want a *net.OpError of read with %v", err, unixsock.ErrDescriptors)
			}
			peer.expectEnd()
			p.expect(0, "")
		})
	}
}

// TestDescriptorsOfAClosedConnection: what nobody has taken is closed with it.
func TestDescriptorsOfAClosedConnection(t *testing.T) {
	fdtest.Check(t)
	handler := causes{ends: make(chan error, 1)}
	server := newPassLoop(t, connection.Streams(handler, connection.StreamConfig{}), 2)
	p := newPipes(t, 2)
	peer := server.peer()
	peer.send("x", p.writers...)
	_ = peer.CloseWrite()
	if err := looptest.Await(t, handler.ends, "the end"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("ended with %v", err)
	}
	p.expect(0, "")
	p.expect(1, "")
}

// TestClosedBeforeSent: a peer doesn't read, and what waits for it is closed with the connection.
func TestClosedBeforeSent(t *testing.T) {
	fdtest.Check(t)
	p := newPipes(t, 2)
	reason := errors.New("a reason of the test")
	handler := causes{ends: make(chan error, 1), opened: func(s *connection.Stream) {
		if _, err := s.Write(make([]byte, 4<<20)); err != nil {
			t.Error(err)
		}
		if s.QueuedBytes() == 0 {
			t.Error("nothing waits")
		}
		for _, w := range p.writers {
			if err := unixsock.Write(s, []byte("x"), w); err != nil {
				t.Error(err)
			}
		}
		if err := unixsock.Write(s, []byte("x"), p.writers...); !errors.Is(err, unixsock.ErrDescriptors) {
			t.Errorf("Write of more than the limit: %v", err)
		}
		s.Abort(reason)
		if err := unixsock.Write(s, []byte("x"), p.writers[0]); !errors.Is(err, unixsock.ErrDescriptors) {
			t.Errorf("Write after Abort: %v", err)
		}
	}}
	server := newPassLoop(t, connection.Streams(handler, connection.StreamConfig{}), 2)
	server.peer()
	if err := looptest.Await(t, handler.ends, "the end"); !errors.Is(err, reason) {
		t.Errorf("ended with %v", err)
	}
	p.expect(0, "")
	p.expect(1, "")
}

// TestWriteErrors: what can't be passed along leaves the stream as it was, and the descriptors too.
func TestWriteErrors(t *testing.T) {
	fdtest.Check(t)
	p := newPipes(t, 1)
	file := p.writers[0]
	closed, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	done := make(chan struct{})
	handler := causes{ends: make(chan error, 1), opened: func(s *connection.Stream) {
		defer close(done)
		for what, c := range map[string]struct {
			data  string
			files []*os.File
			want  error
		}{
			"no data":    {"", []*os.File{file}, unixsock.ErrNoDescriptors},
			"two":        {"x", []*os.File{file, file}, unixsock.ErrDescriptors},
			"many":       {"x", slices.Repeat([]*os.File{file}, 300), unixsock.ErrDescriptors},
			"closed one": {"x", []*os.File{closed}, os.ErrClosed},
			"nil":        {"x", []*os.File{nil}, os.ErrInvalid},
		} {
			if err := unixsock.Write(s, []byte(c.data), c.files...); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", what, err, c.want)
			}
		}
		if s.Written() != 0 || !s.Handle().Active() {
			t.Errorf("%d bytes were written", s.Written())
		}
		if err := errors.Join(unixsock.Write(s, nil), unixsock.Write(s, []byte("plain "))); err != nil {
			t.Error(err)
		}
		if err := unixsock.Write(s, []byte("passed"), file); err != nil {
			t.Error(err)
		}
		s.Close()
		if err := unixsock.Write(s, []byte("late"), file); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := unixsock.Write(s, []byte("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close, without a file: %v", err)
		}
	}}
	server := newPassLoop(t, connection.Streams(handler, connection.StreamConfig{}), 1)
	peer := server.peer()
	looptest.Await(t, done, "the connection")
	text, fds := peer.receive(100)
	if text != "plain passed" || len(fds) != 1 {
		t.Errorf("got %q and %d descriptors", text, len(fds))
	}
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// TestWithoutDescriptors: a connection that doesn't carry any says so, and the kernel refuses, or closes,
// what a peer sends.
func TestWithoutDescriptors(t *testing.T) {
	fdtest.Check(t)
	p := newPipes(t, 1)
	writer := p.writers[0]
	server := newPassLoop(t, lines(func(s *connection.Stream, line string) error {
		if files := unixsock.Descriptors(s); files != nil {
			t.Errorf("%d files came", len(files))
		}
		if err := unixsock.Write(s, []byte("x"), writer); !errors.Is(err, unixsock.ErrNoDescriptors) {
			t.Errorf("Write: %v", err)
		}
		return unixsock.Write(s, []byte(line+"\n"))
	}, connection.StreamConfig{}), 0)
	peer := server.peer()
	_, _, err := peer.WriteMsgUnix([]byte("hello\n"), unix.UnixRights(int(p.writers[0].Fd())), nil)
	if errors.Is(err, unix.EPERM) { // since Linux 6.16
		_, err = peer.Write([]byte("hello\n"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if text, fds := peer.receive(100); text != "hello\n" || len(fds) != 0 {
		t.Errorf("got %q and %d descriptors", text, len(fds))
	}
	p.expect(0, "")

	loop := looptest.NewLogging(t, slog.DiscardHandler)
	c := &client{}
	s, err := connection.DialStream(loop, unixsock.Dialer{Path: server.path, Descriptors: 1}, c, connection.StreamConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := unixsock.Write(s, []byte("x"), os.Stdin); !errors.Is(err, unixsock.ErrDialling) {
		t.Errorf("Write while dialling: %v", err)
	}
	if files := unixsock.Descriptors(s); files != nil {
		t.Errorf("%d files came while dialling", len(files))
	}
}

// TestDescriptorsOfARefusedPiece: a message that came in two pieces and is refused doesn't leave its own to the next one, which is
// read together with the second piece.
func TestDescriptorsOfARefusedPiece(t *testing.T) {
	fdtest.Check(t)
	p := newPipes(t, 2)
	arrived, done := make(chan struct{}), make(chan struct{})
	var stream *connection.Stream
	frames := connection.Split(bufio.ScanLines, connection.FrameFunc(func(s *connection.Stream, line []byte) error {
		if string(line) == "good" {
			giveAway(t, unixsock.Descriptors(s), string(line))
			close(done)
		}
		return nil
	}))
	server := newPassLoop(t, connection.Streams(connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) {
		if stream == nil {
			stream = s
			s.Pause() // the rest comes together
			close(arrived)
		}
		return frames.HandleData(s, data)
	}), connection.StreamConfig{}), 2)
	peer := server.peer()
	peer.send("refu", p.writers[0])
	looptest.Await(t, arrived, "the first piece")
	peer.send("sed\n")
	peer.send("good\n", p.writers[1])
	looptest.Do(t, server.loop, func() { stream.Resume() })
	looptest.Await(t, done, "the good line")
	p.expect(0, "")
	p.expect(1, "good")
}
