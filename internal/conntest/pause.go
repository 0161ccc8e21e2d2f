//go:build linux

package conntest

import (
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var pauseCases = []testCase{
	{"NothingComes", testPauseNothingComes},
	{"ResumeHandsOverTheRest", testResumeHandsOverTheRest},
	{"ResumeBeforeNewData", testResumeBeforeNewData},
	{"ResumeInHandleData", testResumeInHandleData},
	{"RestThenEOF", testResumeRestThenEOF},
	{"WhileOpening", testPauseWhileOpening},
	{"WritesGoOn", testPauseWritesGoOn},
	{"WaitAfterFirst", testWaitAfterFirst},
	{"CloseWhileWaiting", testCloseWhileWaiting},
}

func testPauseNothingComes(t *testing.T, env Env) {
	p := newProbe(t)
	seen := make(chan string, 10)
	p.data = func(_ *connection.Stream, data []byte) (int, error) {
		seen <- string(data)
		return len(data), nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	r.do(func() {
		s.Pause()
		s.Pause() // once more means nothing
		if i := s.Handle().Interest(); s.Reading() || i != communicator.Nothing && i&communicator.EdgeTriggered == 0 {
			t.Errorf("paused, and reading: %v, waiting for %v", s.Reading(), i)
		}
	})
	peer.send("while paused")
	before := r.loopTurns()
	r.turns()
	if got := r.loopTurns() - before; got > 20 {
		t.Errorf("a paused stream with data makes the loop turn: %d turns", got)
	}
	if len(seen) > 0 {
		t.Fatalf("handed over %q while paused", <-seen)
	}
	r.do(s.Resume)
	if got := looptest.Await(t, seen, "data"); got != "while paused" {
		t.Errorf("handed over %q", got)
	}
}

// loopTurns is how many turns the loop has made.
func (r *rig) loopTurns() (turns uint64) {
	r.tb.Helper()
	r.do(func() { turns = r.loop.Stats().Turns })
	return turns
}

// takeOne is a handler that takes one byte of what it is given, and pauses.
func takeOne(seen chan<- string) func(*connection.Stream, []byte) (int, error) {
	return func(s *connection.Stream, data []byte) (int, error) {
		s.Pause()
		seen <- string(data)
		return 1, nil
	}
}

func testResumeHandsOverTheRest(t *testing.T, env Env) {
	p := newProbe(t)
	seen := make(chan string, 10)
	p.data = takeOne(seen)
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	peer.send("abcd")
	s := p.stream()
	for _, want := range []string{"abcd", "bcd", "cd", "d"} {
		if got := looptest.Await(t, seen, "data"); got != want {
			t.Fatalf("handed over %q, want %q", got, want)
		}
		r.turns()
		if len(seen) > 0 {
			t.Fatalf("handed over %q while paused", <-seen)
		}
		r.do(s.Resume)
	}
	r.turns()
	if len(seen) > 0 {
		t.Fatalf("handed over %q when nothing was left", <-seen)
	}
}

func testResumeBeforeNewData(t *testing.T, env Env) {
	p := newProbe(t)
	seen := make(chan string, 10)
	p.data = takeOne(seen)
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	peer.send("ab")
	s := p.stream()
	looptest.Await(t, seen, "data")
	peer.send("cd")
	for _, want := range []byte("bcd") { // the rest comes in front of the new, together with it or alone
		r.do(s.Resume)
		if got := looptest.Await(t, seen, "data"); got[0] != want {
			t.Errorf("handed over %q, want %q in front", got, want)
		}
	}
}

// testResumeInHandleData: what a handler waited for may be there at once.
func testResumeInHandleData(t *testing.T, env Env) {
	p := newProbe(t)
	seen := make(chan string, 10)
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		s.Pause()
		seen <- string(data)
		s.Resume()
		return 1, nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	peer.send("abc")
	for _, want := range []string{"abc", "bc", "c"} {
		if got := looptest.Await(t, seen, "the rest after Resume"); got != want {
			t.Fatalf("handed over %q, want %q", got, want)
		}
	}
}

// testResumeRestThenEOF: a peer that has ended its side meanwhile doesn't shorten what is handed over.
func testResumeRestThenEOF(t *testing.T, env Env) {
	p := newProbe(t)
	seen := make(chan string, 10)
	p.data = takeOne(seen)
	p.eof = func(s *connection.Stream, rest []byte) error {
		seen <- "EOF " + string(rest)
		s.Close()
		return nil
	}
	r := serveStream(t, env, eofProbe{p}, connection.StreamConfig{})
	peer := r.peer()
	peer.send("abc")
	peer.endWriting()
	s := p.stream()
	for _, want := range []string{"abc", "bc", "c", "EOF "} {
		if got := looptest.Await(t, seen, "data"); got != want {
			t.Fatalf("handed over %q, want %q", got, want)
		}
		r.do(s.Resume)
	}
	p.endsWith(nil)
}

func testPauseWhileOpening(t *testing.T, env Env) {
	p := newProbe(t)
	seen := make(chan string, 1)
	p.open = func(s *connection.Stream) error {
		s.Pause()
		return nil
	}
	p.data = func(_ *connection.Stream, data []byte) (int, error) {
		seen <- string(data)
		return len(data), nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	peer.send("data")
	s := p.stream()
	r.turns()
	r.do(s.Resume)
	if got := looptest.Await(t, seen, "data"); got != "data" {
		t.Errorf("handed over %q", got)
	}
}

func testPauseWritesGoOn(t *testing.T, env Env) {
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		s.Pause()
		_, err := s.Write(noise(4<<20, 1))
		return err
	}
	r := serveSmall(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	peer.expect(string(noise(4<<20, 1)))
	s := p.stream()
	r.do(func() {
		if s.Reading() {
			t.Error("reading again, though nobody has resumed it")
		}
		s.Close()
	})
	peer.expectEOF()
	peer.close()
	p.endsWith(nil) // the end is waited for, paused or not
}
