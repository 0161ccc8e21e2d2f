//go:build linux

package unixsock_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

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

// TestDescriptorsOfPieces: a message that comes in two pieces keeps its own, though the next is read
// together with the second piece.
func TestDescriptorsOfPieces(t *testing.T) {
	fdtest.Check(t)
	p := newPipes(t, 3)
	arrived, done := make(chan struct{}), make(chan struct{})
	frames := connection.Split(bufio.ScanLines, connection.FrameFunc(func(s *connection.Stream, line []byte) error {
		if string(line) != "plain" {
			giveAway(t, unixsock.Descriptors(s), string(line))
		}
		if string(line) == "third" {
			close(done)
		}
		return nil
	}))
	var stream *connection.Stream
	server := newPassLoop(t, connection.Streams(connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) {
		if stream == nil {
			stream = s
			s.Pause() // the rest comes together
			close(arrived)
		}
		return frames.HandleData(s, data)
	}), connection.StreamConfig{}), 2)
	peer := server.peer()
	peer.send("fir", p.writers[0])
	looptest.Await(t, arrived, "the first piece")
	peer.send("st\nplain\n")
	peer.send("second\npla", p.writers[1])
	peer.send("in\n")
	peer.send("third\n", p.writers[2])
	looptest.Do(t, server.loop, func() { stream.Resume() })
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
