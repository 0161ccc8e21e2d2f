//go:build linux

package conntest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var bytesCases = []testCase{
	{"WholeAndInOrder", testWholeAndInOrder},
	{"LargeBothWays", testLargeBothWays},
	{"BothWaysSmallBuffers", testBothWaysSmall},
	{"PartialReads", testPartialReads},
	{"LargeRest", testLargeRest},
	{"HalfCloseByPeer", testHalfCloseByPeer},
	{"HalfCloseHere", testHalfCloseHere},
	{"HalfCloseWithOutput", testHalfCloseWithOutput},
	{"Reset", testReset},
	{"PeerClosesAtOnce", testPeerClosesAtOnce},
	{"PeerClosesWhileWriting", testPeerClosesWhileWriting},
	{"Counters", testCounters},
}

func testWholeAndInOrder(t *testing.T, env Env) {
	p := newProbe(t)
	p.data = echo
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	text := noise(1<<20, 1)
	wait := beside(t, func() error {
		for rest, n := text, 1; len(rest) > 0; n = n*3%20011 + 1 {
			n = min(n, len(rest))
			if _, err := peer.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
	got := make([]byte, len(text))
	if _, err := io.ReadFull(peer, got); err != nil {
		t.Fatal(err)
	}
	wait()
	if !bytes.Equal(got, text) {
		t.Error("the echo differs from what was sent")
	}
	peer.endWriting()
	peer.expectEOF()
	p.endsWith(nil)
}

// largeSize is what is sent each way at once.
func largeSize() int {
	if raced || testing.Short() {
		return 8 << 20
	}
	return 64 << 20
}

// testLargeBothWays sends much each way at once.
func testLargeBothWays(t *testing.T, env Env) {
	size := largeSize()
	here, there := noise(size, 2), noise(size, 3)
	p := newProbe(t)
	sending := &source{text: here, piece: 300_000, done: (*connection.Stream).CloseWrite}
	p.open, p.drain = sending.pump, sending.pump
	received, length := crc32.NewIEEE(), 0
	p.data = func(_ *connection.Stream, data []byte) (int, error) {
		length += len(data)
		return received.Write(data)
	}
	r := serveStream(t, env, p, connection.StreamConfig{HighWater: 1 << 20})
	peer := r.peer()
	wait := beside(t, func() error {
		_, err := peer.Write(there)
		return err
	})
	got := crc32.NewIEEE()
	n, err := io.Copy(got, peer)
	if err != nil {
		t.Fatal(err)
	}
	wait()
	peer.close()
	p.endsWith(nil)
	if got.Sum32() != sum(here) {
		t.Errorf("the peer got %d bytes that are not the %d sent", n, size)
	}
	if received.Sum32() != sum(there) {
		t.Errorf("got %d bytes that are not the %d sent", length, size)
	}
}

// testBothWaysSmall is the same with little, through small buffers.
func testBothWaysSmall(t *testing.T, env Env) {
	here, there := noise(4<<20, 4), noise(4<<20, 5)
	p, received := collector(t)
	sending := &source{text: here, piece: 300_000, done: (*connection.Stream).CloseWrite}
	p.open, p.drain = sending.pump, sending.pump
	r := serveSmall(t, env, p, connection.StreamConfig{HighWater: 1 << 20})
	peer := r.peer()
	wait := beside(t, func() error {
		_, err := peer.Write(there)
		return err
	})
	got, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	wait()
	peer.close()
	p.endsWith(nil)
	if sum(got) != sum(here) {
		t.Errorf("the peer got %d bytes that are not the %d sent", len(got), len(here))
	}
	r.do(func() {
		if sum(received.Bytes()) != sum(there) {
			t.Errorf("got %d bytes that are not the %d sent", received.Len(), len(there))
		}
	})
}

func testPartialReads(t *testing.T, env Env) {
	p := newProbe(t)
	seen := make(chan string, 1)
	p.data = func(_ *connection.Stream, data []byte) (int, error) {
		seen <- string(data)
		return 2, nil
	}
	p.eof = func(s *connection.Stream, rest []byte) error {
		seen <- "EOF " + string(rest)
		s.Close()
		return nil
	}
	r := serveStream(t, env, eofProbe{p}, connection.StreamConfig{})
	peer := r.peer()
	for _, step := range []struct{ send, want string }{
		{"abcde", "abcde"}, {"f", "cdef"}, {"ghi", "efghi"}, {"j", "ghij"},
	} {
		peer.send(step.send)
		if got := looptest.Await(t, seen, "data"); got != step.want {
			t.Fatalf("handed over %q, want %q", got, step.want)
		}
	}
	peer.endWriting()
	if got := looptest.Await(t, seen, "the end"); got != "EOF ij" {
		t.Errorf("handed over %q, want the rest", got)
	}
	p.endsWith(nil)
}

// testLargeRest lets a rest grow from nothing to many times the loop's buffer, and begin anew.
func testLargeRest(t *testing.T, env Env) {
	const size = 10*communicator.BufferSize + 17
	text := noise(2*size, 4)
	p := newProbe(t)
	var whole [][]byte
	largest := 0
	p.data = func(_ *connection.Stream, data []byte) (int, error) {
		largest = max(largest, len(data))
		if len(data) < size {
			return 0, nil
		}
		whole = append(whole, bytes.Clone(data[:size]))
		return size, nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	peer.send(string(text))
	peer.endWriting()
	peer.expectEOF()
	p.endsWith(nil)
	if got := bytes.Join(whole, nil); !bytes.Equal(got, text) {
		t.Errorf("%d pieces, %d bytes, are not the 2 pieces of %d sent", len(whole), len(got), size)
	}
	if largest > connection.DefaultMaxInput+1 {
		t.Errorf("%d bytes were handed over, more than the limit of %d and one", largest, connection.DefaultMaxInput)
	}
}

func testHalfCloseByPeer(t *testing.T, env Env) {
	p := newProbe(t)
	p.data = func(_ *connection.Stream, data []byte) (int, error) { return len(data) - 2, nil }
	answer := string(noise(1<<20, 5))
	p.eof = func(s *connection.Stream, rest []byte) error {
		if string(rest) != "lo" {
			t.Errorf("rest %q, want %q", rest, "lo")
		}
		if s.Reading() {
			t.Error("still reading after the end")
		}
		if _, err := s.Write([]byte(answer)); err != nil {
			t.Error(err)
		}
		s.Close()
		return nil
	}
	r := serveStream(t, env, eofProbe{p}, connection.StreamConfig{})
	peer := r.peer()
	peer.send("hello")
	peer.endWriting()
	peer.expect(answer)
	peer.expectEOF()
	p.endsWith(nil)

	// Without HandleEOF the stream closes by itself: gracefully, but a rest is an unexpected end.
	q := newProbe(t)
	q.data = p.data
	r = serveStream(t, env, q, connection.StreamConfig{})
	peer = r.peer()
	peer.send("hello")
	peer.endWriting()
	peer.expectEOF()
	q.endsWith(io.ErrUnexpectedEOF)
}

func testHalfCloseHere(t *testing.T, env Env) {
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		if _, err := s.Write([]byte("all I say")); err != nil {
			t.Error(err)
		}
		s.CloseWrite()
		s.CloseWrite() // once more means nothing
		if _, err := s.Write([]byte("no more")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after CloseWrite: %v", err)
		}
		return nil
	}
	var received bytes.Buffer
	p.data = func(_ *connection.Stream, data []byte) (int, error) { return received.Write(data) }
	r := serveStream(t, env, eofProbe{p}, connection.StreamConfig{})
	peer := r.peer()
	peer.expect("all I say")
	peer.expectEOF()
	text := string(noise(500_000, 6))
	peer.send(text)
	peer.endWriting()
	p.endsWith(nil)
	if received.String() != text {
		t.Errorf("got %d bytes that are not the %d sent", received.Len(), len(text))
	}
}

// testHalfCloseWithOutput ends the writing side while much waits to be written: the end comes behind it.
func testHalfCloseWithOutput(t *testing.T, env Env) {
	text := string(noise(4<<20, 7))
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		_, err := s.Write([]byte(text))
		s.CloseWrite()
		return err
	}
	r := serveSmall(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	peer.expect(text)
	peer.expectEOF()
	r.do(func() {
		if s := p.stream(); !s.Handle().Active() || !s.Reading() {
			t.Error("the other direction has ended too")
		}
	})
	peer.close()
	p.endsWith(nil)
}

func testReset(t *testing.T, env Env) {
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		_, err := s.Write([]byte("never read"))
		return err
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	p.stream()
	peer.reset()
	cause := p.ending()
	var opError *net.OpError
	if !errors.As(cause, &opError) || !errors.Is(cause, syscall.ECONNRESET) {
		t.Fatalf("ended with %v, want a *net.OpError with ECONNRESET", cause)
	}
	if opError.Op != "read" || opError.Net != r.Listener.Addr().Network() {
		t.Errorf("ended with the error of %s %s", opError.Op, opError.Net)
	}
}

func testPeerClosesAtOnce(t *testing.T, env Env) {
	p := newProbe(t)
	r := serveStream(t, env, p, connection.StreamConfig{})
	const n = 20
	for range n {
		r.peer().close()
	}
	for range n {
		p.stream()
		p.endsWith(nil)
	}
	r.do(func() {
		if got := r.Listener.Accepted(); got != n {
			t.Errorf("%d connections accepted, want %d", got, n)
		}
	})
}

func testPeerClosesWhileWriting(t *testing.T, env Env) {
	p := newProbe(t)
	endless := bytes.Repeat([]byte("x"), 200_000)
	pump := func(s *connection.Stream) error {
		for s.QueuedBytes() == 0 {
			if _, err := s.Write(endless); err != nil {
				return nil //nolint:nilerr // the stream has ended with that cause
			}
		}
		return nil
	}
	p.open, p.drain = pump, pump
	r := serveSmall(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	peer.expect(string(endless))
	peer.reset()
	cause := p.ending()
	var opError *net.OpError
	if !errors.As(cause, &opError) || !errors.Is(cause, syscall.EPIPE) && !errors.Is(cause, syscall.ECONNRESET) {
		t.Errorf("ended with %v, want a *net.OpError with EPIPE or ECONNRESET", cause)
	}
}

func testCounters(t *testing.T, env Env) {
	p := newProbe(t)
	p.data = echo
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	total := uint64(0)
	for _, n := range []int{1, 100, 10_000} {
		text := string(noise(n, 8))
		peer.send(text)
		peer.expect(text)
		total += uint64(n)
		r.do(func() {
			if s.Received() != total || s.Sent() != total || s.QueuedBytes() != 0 {
				t.Errorf("counted %d received, %d sent, %d queued; want %d, %[4]d, 0", s.Received(), s.Sent(), s.QueuedBytes(), total)
			}
		})
	}
	r.do(func() {
		if r.Listener.Accepted() != 1 || r.Listener.Refused() != 0 {
			t.Errorf("the listener counted %d, %d", r.Listener.Accepted(), r.Listener.Refused())
		}
		local, remote := s.LocalAddr(), s.RemoteAddr()
		if got, want := fmt.Sprint(local, remote), fmt.Sprint(peer.RemoteAddr(), peer.LocalAddr()); got != want && env.NoAddresses == "" && local.Network() != "unix" {
			t.Errorf("addresses %s, the peer's are %s", got, want)
		}
	})
}
