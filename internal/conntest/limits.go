//go:build linux

package conntest

import (
	"errors"
	"io"
	"math"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var limitCases = []testCase{
	{"Input", testInputLimit},
	{"InputDefault", testInputLimitDefault},
	{"HighWater", testHighWater},
	{"HeldAtEOF", testHeldAtEOF},
	{"HonestPeer", testHonestPeer},
	{"HonestPeerHeld", testHonestPeerHeld},
	{"Output", testOutputLimit},
	{"OutputBelowHighWater", testOutputBelowHighWater},
	{"BadConsumed", testBadConsumed},
}

// testInputLimit: as much as the limit may be left, one byte more may not.
func testInputLimit(t *testing.T, env Env) {
	for _, limit := range []int{10, 1000, communicator.BufferSize, 3 * communicator.BufferSize} {
		p := newProbe(t)
		all := make(chan bool, 1)
		p.data = func(_ *connection.Stream, data []byte) (int, error) {
			if len(data) == limit {
				all <- true
			}
			return 0, nil
		}
		r := serveStream(t, env, p, connection.StreamConfig{MaxInput: limit})
		peer := r.peer()
		peer.send(string(noise(limit, 1)))
		looptest.Await(t, all, "all the input")
		r.turns()
		select {
		case cause := <-p.endings:
			t.Fatalf("limit %d: ended with %v by no more than the limit", limit, cause)
		default:
		}
		peer.send("x")
		p.endsWith(connection.ErrInputLimit)
		peer.expectEnd()
	}
}

func testInputLimitDefault(t *testing.T, env Env) {
	p := newProbe(t)
	most := 0
	p.data = func(_ *connection.Stream, data []byte) (int, error) {
		most = max(most, len(data))
		return 0, nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	_, _ = peer.Write(noise(2*connection.DefaultMaxInput, 2)) // it may be cut off before all is written
	p.endsWith(connection.ErrInputLimit)
	if most != connection.DefaultMaxInput+1 {
		t.Errorf("the handler was last given %d bytes, want %d", most, connection.DefaultMaxInput+1)
	}
}

// testHighWater: a peer that asks without reading the answers is not read from until it does.
func testHighWater(t *testing.T, env Env) {
	const highWater = 100_000
	text := noise(4<<20, 3)
	p := newProbe(t)
	held := make(chan bool, 1)
	var most int
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		n, err := s.Write(data)
		most = max(most, s.QueuedBytes())
		if above := s.QueuedBytes() > highWater; above == s.Reading() {
			t.Errorf("%d bytes queued, reading: %v", s.QueuedBytes(), s.Reading())
		}
		if !s.Reading() {
			select {
			case held <- true:
			default:
			}
		}
		return n, err
	}
	r := serveSmall(t, env, p, connection.StreamConfig{HighWater: highWater})
	peer := r.peer()
	wait := beside(t, func() error {
		_, err := peer.Write(text)
		return err
	})
	looptest.Await(t, held, "the high-water mark")
	s := p.stream()
	var received uint64
	r.do(func() { received = s.Received() })
	r.turns()
	r.do(func() {
		if s.Reading() || s.Received() != received {
			t.Errorf("reads on above the high-water mark: %d bytes, then %d", received, s.Received())
		}
		if received > 1<<20 {
			t.Errorf("%d bytes were read before the peer read any", received)
		}
	})
	got := make([]byte, len(text))
	if _, err := io.ReadFull(peer, got); err != nil {
		t.Fatal(err)
	}
	wait()
	if sum(got) != sum(text) {
		t.Error("the echo differs from what was sent")
	}
	peer.send("on")
	peer.expect("on")
	r.do(func() {
		if !s.Reading() {
			t.Error("still not reading when all has gone")
		}
		if most > highWater+communicator.BufferSize {
			t.Errorf("up to %d bytes were queued", most)
		}
	})
}

// testHeldAtEOF: the peer has asked for much and ended its side before it reads. Nothing of what it asked may
// be dropped for that.
func testHeldAtEOF(t *testing.T, env Env) {
	const n, size = 40, 100_000
	p := newProbe(t)
	answer := noise(size, 4)
	asked := 0
	p.data = func(s *connection.Stream, data []byte) (consumed int, err error) {
		for consumed < len(data) && s.Reading() && err == nil { // one byte is one question
			_, err = s.Write(answer)
			consumed++
		}
		asked += consumed
		return consumed, err
	}
	r := serveSmall(t, env, p, connection.StreamConfig{HighWater: size / 2})
	peer := r.peer()
	peer.send(string(noise(n, 5)))
	peer.endWriting()
	got, err := io.ReadAll(peer)
	if err != nil || len(got) != n*size {
		t.Errorf("the peer got %d of %d answers, %v", len(got)/size, n, err)
	}
	p.endsWith(nil)
	if asked != n {
		t.Errorf("%d of %d questions were handed over", asked, n)
	}
}

func testOutputLimit(t *testing.T, env Env) {
	const limit = 300_000
	p := newProbe(t)
	accepted := make(chan int, 1)
	p.open = func(s *connection.Stream) error {
		total := 0
		for {
			n, err := s.Write(noise(50_000, 6))
			total += n
			if err == nil {
				if s.QueuedBytes() > limit {
					t.Errorf("%d bytes queued, more than the limit", s.QueuedBytes())
				}
				continue
			}
			if !errors.Is(err, connection.ErrOutputLimit) {
				t.Errorf("Write: %v", err)
			}
			if _, err := s.Write(nil); !errors.Is(err, connection.ErrClosed) {
				t.Errorf("Write once more: %v", err)
			}
			break
		}
		p.mute(s, "the output limit")
		accepted <- total
		return nil
	}
	r := serveSmall(t, env, p, connection.StreamConfig{MaxOutput: limit})
	peer := r.peer()
	if n := looptest.Await(t, accepted, "the limit"); n < limit || n > limit+2<<20 {
		t.Errorf("%d bytes were taken", n)
	}
	p.endsWith(connection.ErrOutputLimit)
	peer.expectEnd()
}

func testBadConsumed(t *testing.T, env Env) {
	for _, consumed := range []int{-1, 4, math.MaxInt} {
		p := newProbe(t)
		p.data = func(*connection.Stream, []byte) (int, error) { return consumed, nil }
		r := serveStream(t, env, p, connection.StreamConfig{})
		peer := r.peer()
		peer.send("abc")
		p.endsWith(connection.ErrConsumed)
		peer.expectEnd()
	}
}
