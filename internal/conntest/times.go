//go:build linux

package conntest

import (
	"bufio"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var timeCases = []testCase{
	{"Idle", testIdle},
	{"IdlePeerNeverReads", testIdlePeerNeverReads},
	{"IdlePaused", testIdlePaused},
	{"ReadSlowPeer", testReadSlowPeer},
	{"ReadWholeFrames", testReadWholeFrames},
	{"ReadPaused", testReadPaused},
	{"ReadDeadline", testReadDeadline},
	{"ReadDeadlineMoved", testReadDeadlineMoved},
	{"ReadDeadlinePaused", testReadDeadlinePaused},
	{"CloseTimeoutHolds", testCloseTimeoutHolds},
}

const (
	soon = 40 * time.Millisecond
	long = time.Hour
)

// pace runs f in a goroutine, again and again with a short pause, until it fails or the test ends.
func pace(tb testing.TB, f func() error) {
	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		ticker := time.NewTicker(soon / 8)
		defer ticker.Stop()
		for f() == nil {
			select {
			case <-ticker.C:
			case <-stop:
				return
			}
		}
	}()
	tb.Cleanup(func() {
		close(stop)
		<-done
	})
}

// pass waits until that time has passed on the loop, and whatever was due in it has been called.
func (r *rig) pass(d time.Duration) {
	r.tb.Helper()
	passed := make(chan bool)
	timer := time.AfterFunc(d, func() { close(passed) })
	defer timer.Stop()
	looptest.Await(r.tb, passed, "a time to pass")
	r.turns()
}

// timedOut expects the end of a connection by a limit of time, not before.
func (p *probe) timedOut(want error, start time.Time, limit time.Duration) {
	p.tb.Helper()
	cause := p.ending()
	if !errors.Is(cause, want) || !errors.Is(cause, os.ErrDeadlineExceeded) {
		p.tb.Errorf("ended with %v, want %v", cause, want)
	}
	if took := time.Since(start); took < limit {
		p.tb.Errorf("ended after %v, want %v at least", took, limit)
	}
}

// lives fails the test if the stream has ended.
func (r *rig) lives(p *probe, s *connection.Stream, when string) {
	r.tb.Helper()
	r.do(func() {
		if !s.Handle().Active() {
			select {
			case cause := <-p.endings:
				r.tb.Errorf("%s: the stream has ended with %v", when, cause)
			default:
				r.tb.Errorf("%s: the stream has ended", when)
			}
		}
	})
}

// testIdle: what comes and what goes both keep a stream alive.
func testIdle(t *testing.T, env Env) {
	p := newProbe(t)
	last := make(chan time.Time, 1000)
	p.data = func(s *connection.Stream, data []byte) (int, error) {
		last <- time.Now()
		return s.Write(data)
	}
	start := time.Now()
	r := serveStream(t, env, p, connection.StreamConfig{IdleTimeout: soon})
	peer := r.peer()
	p.timedOut(connection.ErrIdleTimeout, start, soon)
	peer.expectEnd()

	peer = r.peer()
	n := 0
	pace(t, func() error {
		if n++; n > 20 {
			return errTest
		}
		_, err := peer.Write([]byte("x"))
		return err
	})
	_ = p.ending() // late ticks may have let it end before the last byte
	end := time.Now()
	var latest time.Time
	for len(last) > 0 {
		latest = <-last
	}
	if idle := end.Sub(latest); !latest.IsZero() && idle < soon {
		t.Errorf("ended %v after the last byte, want %v at least", idle, soon)
	}
}

// testIdlePeerNeverReads: output that waits is no activity, paused or not.
func testIdlePeerNeverReads(t *testing.T, env Env) {
	for _, pausing := range []bool{false, true} {
		p := newProbe(t)
		p.open = func(s *connection.Stream) error {
			if pausing {
				s.Pause()
			}
			write(t, s, noise(4<<20, 1))
			return nil
		}
		r := serveSmall(t, env, p, connection.StreamConfig{IdleTimeout: soon})
		start := time.Now()
		peer := r.peer()
		p.timedOut(connection.ErrIdleTimeout, start, soon)
		peer.expectEnd()
	}
}

func testIdlePaused(t *testing.T, env Env) {
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		s.Pause()
		return nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{IdleTimeout: soon})
	r.peer()
	s := p.stream()
	r.pass(3 * soon)
	r.lives(p, s, "paused")
	start := time.Now()
	r.do(s.Resume)
	p.timedOut(connection.ErrIdleTimeout, start, soon)
}

// testReadSlowPeer: a peer that sends a byte now and then is never idle. A frame that it doesn't finish in time
// ends it.
func testReadSlowPeer(t *testing.T, env Env) {
	p := newProbe(t)
	f := frames{p, func(*connection.Stream, []byte) error {
		t.Error("a frame that was never finished")
		return nil
	}}
	r := serveStream(t, env, connection.Split(bufio.ScanLines, f), connection.StreamConfig{IdleTimeout: long, ReadTimeout: 2 * soon})
	silent := r.peer()
	s := p.stream()
	r.pass(3 * soon)
	r.lives(p, s, "without a byte") // nothing was begun
	silent.close()
	p.endsWith(nil)
	start := time.Now()
	peer := r.peer()
	pace(t, func() error {
		_, err := peer.Write([]byte("x"))
		return err
	})
	p.timedOut(connection.ErrReadTimeout, start, 2*soon)
	peer.expectEnd()
}

// testReadWholeFrames: a peer that finishes what it begins has all the time in between.
func testReadWholeFrames(t *testing.T, env Env) {
	p := newProbe(t)
	seen := make(chan bool, 100)
	f := frames{p, func(*connection.Stream, []byte) error {
		seen <- true
		return nil
	}}
	r := serveStream(t, env, connection.Split(bufio.ScanLines, f), connection.StreamConfig{ReadTimeout: soon})
	peer := r.peer()
	s := p.stream()
	for range 3 {
		peer.send("a line\n")
		looptest.Await(t, seen, "a frame")
		r.pass(3 * soon / 2)
	}
	r.lives(p, s, "between frames")
	start := time.Now()
	peer.send("a line\nand a beginning")
	p.timedOut(connection.ErrReadTimeout, start, soon)
}

// testReadPaused: a handler that takes its time is no fault of the peer's.
func testReadPaused(t *testing.T, env Env) {
	for _, wait := range waits {
		p := newProbe(t)
		seen := make(chan bool, 1)
		p.data = func(s *connection.Stream, data []byte) (int, error) {
			if len(data) == 10 {
				wait.begin(s)
				seen <- true
			}
			return 0, nil
		}
		r := serveStream(t, env, p, connection.StreamConfig{ReadTimeout: soon})
		peer := r.peer()
		s := p.stream()
		peer.send("ten bytes.")
		looptest.Await(t, seen, "data")
		r.pass(2 * soon)
		r.lives(p, s, wait.name)
		start := time.Now()
		r.do(func() {
			p.data = func(_ *connection.Stream, data []byte) (int, error) { return len(data) - 5, nil }
			wait.goesOn(s)
		})
		p.timedOut(connection.ErrReadTimeout, start, soon)
	}
}

func testReadDeadline(t *testing.T, env Env) {
	for _, config := range []connection.StreamConfig{{}, {IdleTimeout: long, ReadTimeout: long}} {
		p := newProbe(t)
		start := time.Now()
		p.open = func(s *connection.Stream) error {
			s.SetReadDeadline(time.Now().Add(soon))
			return nil
		}
		r := serveStream(t, env, p, config)
		peer := r.peer()
		p.stream()
		pace(t, func() error { // what comes makes no difference
			_, err := peer.Write([]byte("x"))
			return err
		})
		p.timedOut(connection.ErrReadTimeout, start, soon)
		peer.expectEnd()

		// One that has passed already.
		r.do(func() { p.open = nil })
		late := r.peer()
		s := p.stream()
		r.do(func() { s.SetReadDeadline(time.Now().Add(-time.Second)) })
		p.endsWith(connection.ErrReadTimeout)
		late.expectEnd()
		r.do(func() { s.SetReadDeadline(time.Now()) }) // of a stream that has gone
		r.turns()
	}
}

// testReadDeadlineMoved: the last one counts, and none.
func testReadDeadlineMoved(t *testing.T, env Env) {
	p := newProbe(t)
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	set := func(at time.Time) { r.do(func() { s.SetReadDeadline(at) }) }
	set(time.Time{})
	set(time.Now().Add(soon))
	set(time.Now().Add(long))
	r.pass(2 * soon)
	r.lives(p, s, "moved to later")
	set(time.Now().Add(soon))
	set(time.Time{})
	r.pass(2 * soon)
	r.lives(p, s, "cleared")
	set(time.Now().Add(long))
	start := time.Now()
	set(start.Add(soon))
	p.timedOut(connection.ErrReadTimeout, start, soon)
	peer.expectEnd()
}

func testReadDeadlinePaused(t *testing.T, env Env) {
	p := newProbe(t)
	p.open = func(s *connection.Stream) error {
		s.Pause()
		s.SetReadDeadline(time.Now().Add(soon))
		return nil
	}
	r := serveStream(t, env, p, connection.StreamConfig{})
	peer := r.peer()
	s := p.stream()
	r.pass(2 * soon)
	r.lives(p, s, "paused")
	r.do(s.Resume)
	peer.endWriting()
	peer.expectEOF()
	p.endsWith(nil)
}

// testCloseTimeoutHolds: whatever other limits there are, a stream that closes has CloseTimeout.
func testCloseTimeoutHolds(t *testing.T, env Env) {
	for _, config := range []connection.StreamConfig{
		{CloseTimeout: 3 * soon, IdleTimeout: soon, ReadTimeout: soon},
		{CloseTimeout: 3 * soon},
	} {
		p := newProbe(t)
		var start time.Time
		p.open = func(s *connection.Stream) error {
			s.SetReadDeadline(time.Now().Add(soon))
			start = time.Now()
			s.Close()
			p.mute(s, "Close")
			return nil
		}
		r := serveStream(t, env, p, config)
		peer := r.peer()
		peer.expectEOF()
		cause := p.ending()
		if took := time.Since(start); took < 3*soon || cause != nil {
			t.Errorf("ended after %v with %v, want nil and %v at least", took, cause, 3*soon)
		}
	}
}
