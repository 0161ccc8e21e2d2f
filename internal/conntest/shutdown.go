//go:build linux

package conntest

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var shutdownCases = []testCase{
	{"DeliversOutput", testShutdownDelivers},
	{"Idle", testShutdownIdle},
	{"Paused", testShutdownPaused},
	{"PeerNeverReads", testShutdownPeerNeverReads},
	{"InHandler", testShutdownInHandler},
	{"AtOnce", testShutdownAtOnce},
	{"Dialling", testShutdownDialling},
}

// ended waits for the end of Run.
func (r *rig) ended(want error) {
	r.tb.Helper()
	looptest.Await(r.tb, r.done, "the end of Run")
	if !errors.Is(r.err, want) {
		r.tb.Errorf("Run: %v, want %v", r.err, want)
	}
}

func testShutdownDelivers(t *testing.T, env Env) {
	p := newProbe(t)
	text := noise(4<<20, 1)
	p.open = func(s *connection.Stream) error {
		write(t, s, text)
		return nil
	}
	r := serveSmall(t, env, p, connection.StreamConfig{})
	peers := []*peer{r.peer(), r.peer(), r.peer()}
	for range peers {
		p.stream()
	}
	r.do(func() {
		r.loop.Shutdown(looptest.Patience)
		r.loop.Shutdown(time.Nanosecond) // the first limit counts
		if r.Listener.Handle().Active() {
			t.Error("the listener goes on")
		}
	})
	for _, peer := range peers {
		got, err := io.ReadAll(peer)
		if err != nil || sum(got) != sum(text) {
			t.Errorf("the peer got %d of %d bytes, %v", len(got), len(text), err)
		}
		peer.close()
		p.endsWith(nil)
	}
	r.ended(nil)
}

func testShutdownIdle(t *testing.T, env Env) {
	p := newProbe(t)
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	r.do(func() {
		r.loop.Shutdown(looptest.Patience)
		p.mute(s, "Shutdown")
	})
	peer.expectEOF()
	peer.close()
	p.endsWith(nil)
	r.ended(nil)
}

// testShutdownPaused: a stream that takes nothing ends too, with output and without.
func testShutdownPaused(t *testing.T, env Env) {
	for _, wait := range waits {
		p := newProbe(t)
		text := noise(1<<20, 2)
		p.open = func(s *connection.Stream) error {
			write(t, s, text)
			wait.begin(s)
			return nil
		}
		r := serveSmall(t, env, p, connection.StreamConfig{})
		peer := r.peer()
		p.stream()
		r.do(func() { r.loop.Shutdown(looptest.Patience) })
		peer.expect(string(text))
		peer.expectEOF()
		peer.close()
		p.endsWith(nil)
		r.ended(nil)
	}
}

func testShutdownPeerNeverReads(t *testing.T, env Env) {
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		write(t, s, noise(4<<20, 3))
		return nil
	}
	r := serveSmall(t, env, p, connection.StreamConfig{CloseTimeout: long})
	r.peer()
	p.stream()
	start := time.Now()
	r.do(func() { r.loop.Shutdown(soon) })
	r.ended(communicator.ErrShutdownTimeout)
	p.endsWith(communicator.ErrShutdownTimeout)
	if took := time.Since(start); took < soon {
		t.Errorf("ended after %v, want %v at least", took, soon)
	}
}

// testShutdownInHandler: what a handler writes before is delivered, after it nothing is handed over.
func testShutdownInHandler(t *testing.T, env Env) {
	p := newProbe(t)
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		write(t, s, []byte("goodbye"))
		s.Loop().Shutdown(looptest.Patience)
		p.mute(s, "Shutdown")
		return len(data), nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	peer.send("STOP")
	peer.expect("goodbye")
	peer.expectEOF()
	peer.close()
	p.endsWith(nil)
	r.ended(nil)
}

func testShutdownAtOnce(t *testing.T, env Env) {
	p := newProbe(t)
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	p.stream()
	r.do(func() { r.loop.Shutdown(0) })
	r.ended(nil)
	p.endsWith(communicator.ErrClosed)
	peer.expectEnd()
}

// testShutdownDialling: a connection that is being made is given up.
func testShutdownDialling(t *testing.T, env Env) {
	r := serveStream(t, env, newProbe(t), connection.StreamConfig{})
	client := newProbe(t)
	s := r.dial(env.Stuck(t, time.Hour), client, connection.StreamConfig{}, nil)
	r.turns()
	r.do(func() {
		r.loop.Shutdown(looptest.Patience)
		client.mute(s, "Shutdown")
	})
	client.endsWith(nil)
	r.ended(nil)
}
