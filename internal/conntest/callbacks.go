//go:build linux

package conntest

import (
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var callbackCases = []testCase{
	{"Close", testCloseInCallback},
	{"Abort", testAbortInCallback},
	{"Error", testErrorInCallback},
	{"CloseInHandleClose", testCloseInHandleClose},
	{"CloseAnother", testCloseAnother},
	{"Drain", testDrain},
}

// inEach runs a test once for each callback, in which the stream does what do says. Nothing may be called after
// that but HandleClose, once.
func inEach(t *testing.T, env Env, do func(s *connection.Stream) error, check func(t *testing.T, p *probe, peer *peer)) {
	for _, where := range []string{"HandleOpen", "HandleData", "HandleEOF", "HandleDrain"} {
		t.Run(where, func(t *testing.T) {
			p := newProbe(t)
			at := func(callback string, s *connection.Stream) error {
				if callback != where {
					return nil
				}
				err := do(s)
				p.mute(s, where)
				return err
			}
			const queued = 4 << 20
			p.open = func(s *connection.Stream) error {
				if where == "HandleDrain" {
					if _, err := s.Write(make([]byte, queued)); err != nil {
						t.Error(err)
					}
				}
				return at("HandleOpen", s)
			}
			p.data = func(s *connection.Stream, data []byte) (int, error) { return len(data), at("HandleData", s) }
			p.eof = func(s *connection.Stream, _ []byte) error { return at("HandleEOF", s) }
			p.drain = func(s *connection.Stream) error { return at("HandleDrain", s) }
			r := serveSmall(t, env, eofProbe{p}, connection.StreamConfig{})
			peer := r.peer()
			switch where {
			case "HandleDrain":
				peer.expect(string(make([]byte, queued)))
			case "HandleData":
				peer.send("data")
			case "HandleEOF":
				peer.endWriting()
			}
			check(t, p, peer)
			r.turns()
			r.do(func() {
				if n := r.loop.Stats().Live; n != 1 {
					t.Errorf("%d sources left in the loop, want the listener", n)
				}
			})
		})
	}
}

func testCloseInCallback(t *testing.T, env Env) {
	inEach(t, env, func(s *connection.Stream) error {
		s.Close()
		return nil
	}, func(_ *testing.T, p *probe, peer *peer) {
		peer.tb.Helper()
		peer.expectEOF()
		peer.close()
		p.endsWith(nil)
	})
}

func testAbortInCallback(t *testing.T, env Env) {
	inEach(t, env, func(s *connection.Stream) error {
		s.Abort(errTest)
		return nil
	}, func(_ *testing.T, p *probe, peer *peer) {
		peer.tb.Helper()
		p.endsWith(errTest)
		peer.expectEnd()
	})
}

func testErrorInCallback(t *testing.T, env Env) {
	inEach(t, env, func(*connection.Stream) error {
		return errTest
	}, func(_ *testing.T, p *probe, peer *peer) {
		peer.tb.Helper()
		p.endsWith(errTest)
		peer.expectEnd()
	})
}

// testCloseInHandleClose: a stream that has ended stays ended.
func testCloseInHandleClose(t *testing.T, env Env) {
	p := newProbe(t)
	p.close = func(s *connection.Stream, _ error) {
		s.Close()
		s.Abort(errTest)
		s.Resume()
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	r.do(func() { s.Abort(nil) })
	p.endsWith(nil)
	peer.expectEnd()
	r.turns()
}

// testCloseAnother closes, in a callback of one stream, others that have data waiting in the same turn: they
// get none of it.
func testCloseAnother(t *testing.T, env Env) {
	p := newProbe(t)
	const n = 10
	var streams []*connection.Stream
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		for _, other := range streams {
			if other != s {
				other.Abort(errTest)
				p.mute(other, "Abort")
			}
		}
		return len(data), nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peers := make([]*peer, n)
	for i := range peers {
		peers[i] = r.peer()
		s := p.stream()
		r.do(func() { streams = append(streams, s) })
	}
	r.do(func() { // so that all of it is found in one turn
		for _, peer := range peers {
			if _, err := peer.Write([]byte("data")); err != nil {
				t.Error(err)
			}
		}
	})
	for range n - 1 {
		p.endsWith(errTest)
	}
	r.do(func() {
		if !streams[0].Handle().Active() || len(p.endings) != 0 {
			t.Error("the stream that closed the others has ended too")
		}
	})
}

// testDrain: HandleDrain comes once each time that output had to wait, and not for what goes at once.
func testDrain(t *testing.T, env Env) {
	p := newProbe(t)
	const size = 2 << 20
	drains := make(chan bool, 10)
	p.drain = func(*connection.Stream) error {
		drains <- true
		return nil
	}
	r := serveSmall(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	for range 3 {
		r.do(func() {
			n, err := s.Write(make([]byte, size))
			if n != size || err != nil || s.QueuedBytes() == 0 {
				t.Errorf("Write: %d, %v, %d bytes wait", n, err, s.QueuedBytes())
			}
		})
		peer.expect(string(make([]byte, size)))
		looptest.Await(t, drains, "HandleDrain")
	}
	r.do(func() {
		if _, err := s.Write([]byte("small")); err != nil || s.QueuedBytes() != 0 {
			t.Errorf("Write: %v, %d bytes wait", err, s.QueuedBytes())
		}
	})
	peer.expect("small")
	r.turns()
	if len(drains) > 0 {
		t.Error("HandleDrain for what didn't wait")
	}
}
