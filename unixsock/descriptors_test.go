//go:build linux

package unixsock_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// pipes are pipes whose ends for writing are to be passed along. A read from one ends when nobody
// has its other end any more.
type pipes struct {
	tb      testing.TB
	readers []*os.File
	writers []*os.File
}

func newPipes(tb testing.TB, n int) *pipes {
	tb.Helper()
	p := &pipes{tb: tb}
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			tb.Fatal(err)
		}
		_ = r.SetReadDeadline(time.Now().Add(looptest.Patience))
		p.readers, p.writers = append(p.readers, r), append(p.writers, w)
	}
	tb.Cleanup(func() {
		p.closeWriters()
		for _, r := range p.readers {
			_ = r.Close()
		}
	})
	return p
}

// closeWriters closes the test's own ends for writing.
func (p *pipes) closeWriters() {
	for _, w := range p.writers {
		_ = w.Close()
	}
	p.writers = nil
}

// expect reads a pipe to its end.
func (p *pipes) expect(i int, want string) {
	p.tb.Helper()
	p.closeWriters()
	if got, err := io.ReadAll(p.readers[i]); string(got) != want || err != nil {
		p.tb.Errorf("pipe %d has %q, %v, want %q", i, got, err, want)
	}
}

// giveAway writes a text to each file and closes it.
func giveAway(tb testing.TB, files []*os.File, text string) {
	tb.Helper()
	for _, f := range files {
		if _, err := io.WriteString(f, text); err != nil {
			tb.Error(err)
		}
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	}
}

// passLoop is a loop that listens with descriptors and runs on a goroutine of its own until the
// test ends.
type passLoop struct {
	*looptest.Log
	tb   testing.TB
	loop connection.Loop
	path string
}

func newPassLoop(tb testing.TB, serve connection.Serve, limit int) *passLoop {
	tb.Helper()
	p := &passLoop{tb: tb, path: socketPath(tb)}
	p.loop, p.Log = looptest.New(tb)
	if _, err := unixsock.Listen(p.loop, p.path, serve, unixsock.ListenConfig{Descriptors: limit}); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.loop.Run(tb.Context()) }()
	tb.Cleanup(func() {
		p.loop.Stop(nil)
		looptest.Await(tb, ended, "the end of the loop")
	})
	return p
}

// peer is a blocking connection to it.
func (p *passLoop) peer() *passPeer {
	p.tb.Helper()
	conn, err := net.Dial("unix", p.path)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
	return &passPeer{conn.(*net.UnixConn), p.tb}
}

// passPeer passes descriptors along by package net.
type passPeer struct {
	*net.UnixConn
	tb testing.TB
}

func (p *passPeer) send(text string, files ...*os.File) {
	p.tb.Helper()
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	var control []byte
	if len(fds) > 0 {
		control = unix.UnixRights(fds...)
	}
	if _, _, err := p.WriteMsgUnix([]byte(text), control, nil); err != nil {
		p.tb.Fatal(err)
	}
}

// receive reads once and returns what came, and the descriptors that came along.
func (p *passPeer) receive(size int) (string, []int) {
	p.tb.Helper()
	buf, control := make([]byte, size), make([]byte, unix.CmsgSpace(4*300))
	n, nc, flags, _, err := p.ReadMsgUnix(buf, control)
	if err != nil || n == 0 || flags&unix.MSG_CTRUNC != 0 {
		p.tb.Fatalf("read %d bytes, flags %#x, %v", n, flags, err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:nc])
	if err != nil {
		p.tb.Fatal(err)
	}
	var fds []int
	for _, m := range messages {
		some, err := unix.ParseUnixRights(&m)
		if err != nil {
			p.tb.Fatal(err)
		}
		fds = append(fds, some...)
	}
	return string(buf[:n]), fds
}

// expectEnd reads the end, or the reset that follows when the other side has left bytes unread.
func (p *passPeer) expectEnd() {
	p.tb.Helper()
	_, err := io.Copy(io.Discard, p.UnixConn)
	var netError net.Error
	if errors.As(err, &netError) && netError.Timeout() {
		p.tb.Fatal("the connection lives on")
	}
}

// lines serves each connection by a function for each line.
func lines(f func(s *connection.Stream, line string) error, config connection.StreamConfig) connection.Serve {
	return connection.Streams(connection.Split(bufio.ScanLines, connection.FrameFunc(
		func(s *connection.Stream, line []byte) error { return f(s, string(line)) })), config)
}

// TestDescriptorsBothWays: a client passes two pipes along with one message, and the server passes
// one back with its answer, all of them over message connections.
func TestDescriptorsBothWays(t *testing.T) {
	fdtest.Check(t)
	path := socketPath(t)
	there, back := newPipes(t, 2), newPipes(t, 1)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	var l *connection.Listener
	server := handleMessage(func(c *connection.MessageConn, m *message.Message) error {
		files := unixsock.Descriptors(c.Stream())
		if len(files) != 2 {
			t.Errorf("%d files came", len(files))
		}
		for _, f := range files {
			if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("flags %#x, %v, want close-on-exec", flags, err)
			}
		}
		giveAway(t, files, "from the server")
		if again := unixsock.Descriptors(c.Stream()); again != nil {
			t.Errorf("%d files were taken twice", len(again))
		}
		return unixsock.Send(c, message.New("ANSWER"), back.writers...)
	})
	l, err := unixsock.Listen(loop, path, connection.Messages(server, connection.MessageConfig{}), unixsock.ListenConfig{Descriptors: 2})
	if err != nil {
		t.Fatal(err)
	}
	client := handleMessage(func(c *connection.MessageConn, m *message.Message) error {
		files := unixsock.Descriptors(c.Stream())
		if len(files) != 1 || m.Command() != "ANSWER" {
			t.Errorf("%s came with %d files", m.Command(), len(files))
		}
		giveAway(t, files, "from the client")
		c.Close()
		l.Close()
		return nil
	})
	_, err = connection.DialMessages(loop, unixsock.Dialer{Path: path, Descriptors: 2}, client, connection.MessageConfig{
		Opened: func(c *connection.MessageConn) error {
			if err := unixsock.Send(c, message.New("no command"), there.writers...); err == nil {
				t.Error("sent what is no message")
			}
			return unixsock.Send(c, message.New("PIPES"), there.writers...)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	there.expect(0, "from the server")
	there.expect(1, "from the server")
	back.expect(0, "from the client")
}

// TestDescriptorsGoWithTheirByte: whatever waits in front of them, also when it was collected for one
// write or the kernel takes it piece by piece.
func TestDescriptorsGoWithTheirByte(t *testing.T) {
	fdtest.Check(t)
	const limit = 20
	p := newPipes(t, 3)
	want := map[int]int{} // how many go with which byte
	var text bytes.Buffer
	frames := []struct{ size, files int }{{1, 0}, {5, 1}, {1, 1}, {1, 2}, {3000, 0}, {2, 3}, {9000, 1}, {4, 0}, {4, 1}, {20000, 1}, {70000, 0}, {1, 1}, {100, 0}}
	for i, f := range frames {
		if f.files > 0 {
			want[text.Len()] = f.files
		}
		text.Write(bytes.Repeat([]byte{byte('a' + i)}, f.size))
	}
	server := newPassLoop(t, connection.Streams(connection.Split(bufio.ScanLines, connection.FrameFunc(
		func(s *connection.Stream, line []byte) error {
			if len(line) == 0 {
				return nil
			}
			_ = unix.SetsockoptInt(s.Transport().FD(), unix.SOL_SOCKET, unix.SO_SNDBUF, smallBuffer)
			before := s.Written()
			for i, f := range frames {
				if err := unixsock.Write(s, bytes.Repeat([]byte{byte('a' + i)}, f.size), p.writers[:f.files]...); err != nil {
					return err
				}
			}
			if got := s.Written() - before; got != uint64(text.Len()) {
				t.Errorf("%d bytes written, want %d", got, text.Len())
			}
			return nil
		})), connection.StreamConfig{}), limit)

	for _, size := range []int{1, 7, 1 << 20} {
		peer := server.peer()
		peer.send("\ngo\n\n") // the answer is collected until the last line is handled
		var got bytes.Buffer
		came := map[int]int{}
		for got.Len() < text.Len() {
			piece, fds := peer.receive(size)
			if len(fds) > 0 {
				came[got.Len()] += len(fds)
				for _, fd := range fds {
					_ = unix.Close(fd)
				}
			}
			got.WriteString(piece)
		}
		if !bytes.Equal(got.Bytes(), text.Bytes()) {
			t.Errorf("in pieces of %d: another text came", size)
		}
		if size == 1 && fmt.Sprint(came) != fmt.Sprint(want) {
			t.Errorf("descriptors came with the bytes %v, want %v", came, want)
		}
		if sum(came) != sum(want) {
			t.Errorf("in pieces of %d: %d descriptors came, want %d", size, sum(came), sum(want))
		}
		_ = peer.Close()
	}
}

func sum(counts map[int]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// TestDescriptorsOfPieces: a message that comes in two pieces, with another behind it, keeps its own.
func TestDescriptorsOfPieces(t *testing.T) {
	fdtest.Check(t)
	p := newPipes(t, 3)
	done := make(chan struct{})
	server := newPassLoop(t, lines(func(s *connection.Stream, line string) error {
		giveAway(t, unixsock.Descriptors(s), line)
		if line == "third" {
			close(done)
		}
		return nil
	}, connection.StreamConfig{}), 2)
	peer := server.peer()
	peer.send("fir", p.writers[0])
	looptest.Do(t, server.loop, func() {}) // may be read on its own
	peer.send("st\n")
	peer.send("second\n", p.writers[1])
	peer.send("third\n", p.writers[2])
	looptest.Await(t, done, "the third line")
	p.expect(0, "first")
	p.expect(1, "second")
	p.expect(2, "third")
}

// TestDescriptorsOfRefusedMessages: what no handler has asked for doesn't stay open, nor get into
// the hands of the next.
func TestDescriptorsOfRefusedMessages(t *testing.T) {
	fdtest.Check(t)
	const rounds = 1000
	taken := 0
	server := newPassLoop(t, connection.Messages(handleMessage(func(c *connection.MessageConn, _ *message.Message) error {
		files := unixsock.Descriptors(c.Stream())
		taken += len(files)
		for _, f := range files {
			_ = f.Close()
		}
		return unixsock.Send(c, message.New("TAKEN"))
	}), connection.MessageConfig{}), 2)
	p := newPipes(t, 2)
	peer := server.peer()
	answers := bufio.NewScanner(peer)
	ask := func(text, want string, files ...*os.File) {
		t.Helper()
		peer.send(text, files...)
		if !answers.Scan() || !bytes.HasPrefix(answers.Bytes(), []byte(want)) {
			t.Fatalf("the answer is %q, %v, want %s", answers.Text(), answers.Err(), want)
		}
	}
	var before int
	for round := range rounds {
		ask("no message \x00 at all\n", "INVALID", p.writers...)
		ask("GOOD\n", "TAKEN", p.writers[0])
		ask("NONE\n", "TAKEN")
		if round == 0 {
			before = countDescriptors(t)
		}
	}
	looptest.Do(t, server.loop, func() {}) // the last delivery has ended
	if now := countDescriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d were", now, before)
	}
	if taken != rounds {
		t.Errorf("%d descriptors came into the hands of a handler, want %d", taken, rounds)
	}
	p.expect(0, "") // all the others have been closed
	p.expect(1, "")
}

func countDescriptors(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Skip(err)
	}
	return len(entries)
}

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

// TestWithoutDescriptors: a connection that doesn't carry any says so, and the kernel closes what a
// peer sends.
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
	peer.send("hello\n", p.writers...)
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
	if err := unixsock.Write(s, []byte("x"), os.Stdin); !errors.Is(err, unixsock.ErrNoDescriptors) {
		t.Errorf("Write while dialling: %v", err)
	}
	if files := unixsock.Descriptors(s); files != nil {
		t.Errorf("%d files came while dialling", len(files))
	}
}

// TestThousandRounds passes a thousand descriptors there and back.
func TestThousandRounds(t *testing.T) {
	fdtest.Check(t)
	const rounds = 1000
	path := socketPath(t)
	p := newPipes(t, 1)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	before, round := 0, 0
	var l *connection.Listener
	bounce := func(s *connection.Stream, line string) error {
		files := unixsock.Descriptors(s)
		if len(files) != 1 {
			return fmt.Errorf("%d files came in round %d", len(files), round)
		}
		defer files[0].Close()
		switch round++; round {
		case 2:
			before = countDescriptors(t)
		case rounds:
			if now := countDescriptors(t); now != before {
				t.Errorf("%d descriptors are open, %d were", now, before)
			}
			s.Close()
			l.Close()
			return nil
		}
		return unixsock.Write(s, []byte(line+"\n"), files...)
	}
	l, err := unixsock.Listen(loop, path, lines(bounce, connection.StreamConfig{}), unixsock.ListenConfig{Descriptors: 1})
	if err != nil {
		t.Fatal(err)
	}
	handler := connection.Split(bufio.ScanLines, &opening{open: func(s *connection.Stream) error {
		return unixsock.Write(s, []byte("ball\n"), p.writers...)
	}, frame: bounce})
	if _, err := connection.DialStream(loop, unixsock.Dialer{Path: path, Descriptors: 1}, handler, connection.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if round != rounds {
		t.Errorf("%d rounds", round)
	}
	p.expect(0, "")
}

// opening is a FrameHandler that begins.
type opening struct {
	open  func(*connection.Stream) error
	frame func(*connection.Stream, string) error
}

func (o *opening) HandleOpen(s *connection.Stream) error { return o.open(s) }

func (o *opening) HandleFrame(s *connection.Stream, frame []byte) error {
	return o.frame(s, string(frame))
}
