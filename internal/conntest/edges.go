//go:build linux

package conntest

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var edgeCases = []testCase{
	{"RateSleeps", testRateSleeps},
	{"ReadDeadlineAfterClose", testReadDeadlineAfterClose},
	{"ReadDeadlineWhileDialling", testReadDeadlineWhileDialling},
	{"NoDrainAfterAbort", testNoDrainAfterAbort},
	{"NoDrainWhileDisabled", testNoDrainWhileDisabled},
	{"PriorityOfBothWays", testPriorityOfBothWays},
}

// callbacks is how many callbacks the loop has made.
func (r *rig) callbacks() (n uint64) {
	r.tb.Helper()
	r.do(func() { n = r.loop.Stats().Callbacks })
	return n
}

// testRateSleeps: while a stream waits for its rate the loop does nothing.
func testRateSleeps(t *testing.T, env Env) {
	few := uint64(300)
	if env.Room > 0 {
		few += 2 * testBytes / uint64(env.Room) // there and back
	}
	for _, config := range []connection.StreamConfig{{ReadRate: testRate}, {WriteRate: testRate}} {
		p := newProbe(t)
		p.data = echo
		r := serveStream(t, env, p, config)
		peer := r.peer()
		text := noise(testBytes, 5)
		wait := beside(t, func() error {
			_, err := peer.Write(text)
			return err
		})
		peer.expect(string(text))
		wait()
		if n := r.callbacks(); n > few {
			t.Errorf("%d callbacks for what needs a few", n)
		}
		peer.close()
		p.endsWith(nil)
	}
}

// testReadDeadlineAfterClose: a stream that closes doesn't read any more, so the deadline means nothing.
func testReadDeadlineAfterClose(t *testing.T, env Env) {
	for _, config := range []connection.StreamConfig{{CloseTimeout: long}, {CloseTimeout: long, IdleTimeout: long}} {
		p := newProbe(t)
		r := serveStream(t, env, p, config)
		peer := r.peer()
		s := p.stream()
		r.do(func() {
			s.Close()
			s.SetReadDeadline(time.Now().Add(soon / 4))
			p.mute(s, "Close")
		})
		before := r.callbacks()
		r.pass(soon)
		if n := r.callbacks() - before; n > 20 {
			t.Errorf("%d callbacks of a stream that only waits", n)
		}
		r.lives(p, s, "closing")
		peer.expectEOF()
		peer.close()
		p.endsWith(nil)
	}
}

// testReadDeadlineWhileDialling: a deadline can be set before the connection stands.
func testReadDeadlineWhileDialling(t *testing.T, env Env) {
	for _, config := range []connection.StreamConfig{{}, {IdleTimeout: long}} {
		server, client := newProbe(t), newProbe(t)
		r := serveStream(t, env, server, connection.StreamConfig{})
		start := time.Now()
		s := r.dial(r.Dialer, client, config, func(s *connection.Stream) { s.SetReadDeadline(time.Now().Add(soon)) })
		client.stream()
		r.pass(2 * soon)
		r.do(func() {
			if s.Handle().Active() {
				t.Error("the stream lives on after its deadline")
				s.Abort(connection.ErrReadTimeout)
			}
		})
		client.timedOut(connection.ErrReadTimeout, start, soon)
	}
}

// fill writes until a little waits.
func fill(tb testing.TB, s *connection.Stream) {
	tb.Helper()
	for s.QueuedBytes() == 0 {
		write(tb, s, make([]byte, 1000))
	}
}

// readSome reads what there is.
func (p *peer) readSome() {
	p.tb.Helper()
	err := p.SetReadDeadline(time.Now().Add(soon / 2))
	_, _ = io.Copy(io.Discard, p) // until it has waited in vain
	if err = errors.Join(err, p.SetReadDeadline(time.Now().Add(looptest.Patience))); err != nil {
		p.tb.Error(err)
	}
}

// testNoDrainAfterAbort: a stream that is aborted, when its output could go on in the same turn, is told nothing.
func testNoDrainAfterAbort(t *testing.T, env Env) {
	p := newProbe(t)
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		s.Abort(errTest)
		p.mute(s, "Abort")
		return len(data), nil
	}
	r := serveSmall(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	r.do(func() { fill(t, s) })
	r.do(func() { // so that both are found in one turn
		peer.readSome()
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	})
	p.endsWith(errTest)
}

// testNoDrainWhileDisabled: no callback of a stream that is switched off.
func testNoDrainWhileDisabled(t *testing.T, env Env) {
	p := newProbe(t)
	drained := make(chan bool, 1)
	p.drain = func(s *connection.Stream) error {
		if !s.Handle().Enabled() {
			t.Error("HandleDrain while disabled")
		}
		drained <- true
		return nil
	}
	r := serveSmall(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	r.do(func() {
		fill(t, s)
		s.Handle().SetEnabled(false)
	})
	peer.readSome()
	before := r.callbacks()
	r.pass(soon)
	if n := r.callbacks() - before; n > 5 {
		t.Errorf("%d callbacks while disabled", n)
	}
	r.do(func() { s.Handle().SetEnabled(true) })
	looptest.Await(t, drained, "HandleDrain")
}

// testPriorityOfBothWays: the priority of a stream is that of all its descriptors.
func testPriorityOfBothWays(t *testing.T, env Env) {
	p := newProbe(t)
	r := serveStream(t, env, p, connection.StreamConfig{Priority: 3})
	r.peer()
	s := p.stream()
	count := func(priority int) {
		t.Helper()
		n := 0
		for _, info := range r.loop.Sources() {
			if info.Priority == priority {
				n++
			}
		}
		if want := env.sources(1) - 1 - env.Background; n != want {
			t.Errorf("%d sources have priority %d, want %d", n, priority, want)
		}
	}
	r.do(func() {
		count(3)
		s.Handle().SetPriority(5)
		count(5)
	})
}
