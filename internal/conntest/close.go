//go:build linux

package conntest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
)

var closeCases = []testCase{
	{"LosesNothing", testCloseLosesNothing},
	{"PeerWritesFirst", testClosePeerWritesFirst},
	{"PeerNeverReads", testClosePeerNeverReads},
	{"PeerNeverEnds", testClosePeerNeverEnds},
	{"PeerKeepsSending", testClosePeerKeepsSending},
	{"WriteAfterClose", testWriteAfterClose},
	{"Abort", testAbort},
	{"AbortWithOutput", testAbortWithOutput},
	{"AddressesAfterClose", testAddressesAfterClose},
}

// testCloseLosesNothing closes with much output waiting and input of the peer that nobody will read: closing the
// socket then would be a reset, and destroy what the peer hasn't read.
func testCloseLosesNothing(t *testing.T, env Env) {
	text := noise(4<<20, 1)
	p := newProbe(t)
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		if _, err := s.Write(text); err != nil {
			t.Error(err)
		}
		s.Close()
		s.Close() // once more means nothing
		p.mute(s, "Close")
		return 1, nil
	}
	r := serveSmall(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	peer.send("first")
	r.do(func() {})
	peer.send("unread")
	got, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, text) {
		t.Errorf("the peer got %d bytes that are not the %d written before Close", len(got), len(text))
	}
	select {
	case cause := <-p.endings:
		t.Errorf("ended with %v before the peer did", cause)
	default:
	}
	peer.close()
	p.endsWith(nil)
}

// testClosePeerWritesFirst: the peer doesn't read before it has written all that it has, as a simple client does. A
// stream that closes has to take that away, or both wait for ever.
func testClosePeerWritesFirst(t *testing.T, env Env) {
	text := noise(4<<20, 2)
	p := newProbe(t)
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		_, err := s.Write(text)
		s.Close()
		p.mute(s, "Close")
		return len(data), err
	}
	r := serveSmall(t, env, p, connection.StreamConfig{CloseTimeout: time.Second})
	peer := r.peer()
	if _, err := peer.Write(noise(4<<20, 3)); err != nil {
		t.Fatalf("peer: %v", err)
	}
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, text) {
		t.Errorf("the peer got %d of %d bytes, %v", len(got), len(text), err)
	}
	peer.close()
	p.endsWith(nil)
}

func testClosePeerNeverReads(t *testing.T, env Env) {
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		_, err := s.Write(noise(4<<20, 4))
		s.Close()
		p.mute(s, "Close")
		return err
	}
	r := serveSmall(t, env, p, connection.StreamConfig{CloseTimeout: 50 * time.Millisecond})
	start := time.Now()
	r.peer()
	cause := p.ending()
	if !errors.Is(cause, connection.ErrCloseTimeout) || !errors.Is(cause, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %v, want %v", cause, connection.ErrCloseTimeout)
	}
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("ended after %v", took)
	}
}

func testClosePeerNeverEnds(t *testing.T, env Env) {
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		_, err := s.Write([]byte("bye"))
		s.Close()
		p.mute(s, "Close")
		return err
	}
	r := serveStream(t, env, p, connection.StreamConfig{CloseTimeout: 50 * time.Millisecond})
	start := time.Now()
	peer := r.peer()
	peer.expect("bye")
	peer.expectEOF()
	p.endsWith(nil)
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("ended after %v, though the peer hasn't", took)
	}
}

// testClosePeerKeepsSending: what the peer sends while a stream closes is thrown away, and doesn't
// keep it.
func testClosePeerKeepsSending(t *testing.T, env Env) {
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		s.Close()
		p.mute(s, "Close")
		return nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{CloseTimeout: 50 * time.Millisecond})
	peer := r.peer()
	wait := beside(t, func() error {
		for {
			if _, err := peer.Write(make([]byte, 10_000)); err != nil {
				return nil //nolint:nilerr // that is how it has to end
			}
		}
	})
	p.endsWith(nil)
	wait()
}

func testWriteAfterClose(t *testing.T, env Env) {
	p := newProbe(t)
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	r.do(func() {
		s.Close()
		n, err := s.Write([]byte("late"))
		if n != 0 || !errors.Is(err, net.ErrClosed) || !errors.Is(err, connection.ErrClosed) {
			t.Errorf("Write: %d, %v", n, err)
		}
		s.CloseWrite() // nothing of this means anything
		s.Pause()
		s.Resume()
	})
	peer.expectEOF()
	peer.close()
	p.endsWith(nil)
	r.do(func() {
		s.Abort(errTest)
		s.Close()
		s.CloseWrite()
		s.Pause()
		s.Resume()
		if s.Reading() || s.QueuedBytes() != 0 {
			t.Error("reads, or has output, after its end")
		}
	})
	r.turns()
}

func testAbort(t *testing.T, env Env) {
	p := newProbe(t)
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	r.do(func() {
		s.Abort(errTest)
		p.mute(s, "Abort")
		s.Abort(nil) // the first cause counts
		if len(p.endings) > 0 {
			t.Error("HandleClose before the end of the turn")
		}
		if _, err := s.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Abort: %v", err)
		}
	})
	p.endsWith(errTest)
	peer.expectEnd()
}

// testAbortWithOutput: Abort waits for nobody.
func testAbortWithOutput(t *testing.T, env Env) {
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		_, err := s.Write(noise(4<<20, 5))
		return err
	}
	r := serveSmall(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	r.do(func() {
		if s.QueuedBytes() == 0 {
			t.Error("nothing waits to be written")
		}
		s.Close()
		s.Abort(errTest) // also of a stream that closes already
	})
	p.endsWith(errTest)
	r.do(func() {
		if n := s.QueuedBytes(); n != 0 {
			t.Errorf("%d bytes of output are kept after the end", n)
		}
	})
	peer.expectEnd()
}

// testAddressesAfterClose: a descriptor's number is used again at once, so a closed stream mustn't look at it.
func testAddressesAfterClose(t *testing.T, env Env) {
	p := newProbe(t)
	var others []net.Listener
	p.close = func(s *connection.Stream, _ error) {
		for i := range 4 { // one of them gets the number
			network, address := "tcp", "127.0.0.1:0"
			if i%2 == 1 {
				network, address = "unix", fmt.Sprintf("@conntest-%d-%d", os.Getpid(), i)
			}
			other, err := net.Listen(network, address)
			if err != nil {
				t.Error(err)
				return
			}
			others = append(others, other)
			if local := s.LocalAddr(); local != nil && local.String() == other.Addr().String() {
				t.Errorf("a closed stream has the address of another socket, %v", local)
			}
		}
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	p.stream()
	peer.close()
	p.endsWith(nil)
	for _, other := range others {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
}
