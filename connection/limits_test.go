//go:build linux

package connection_test

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestWritten counts what Write has taken: what has gone and what waits, also while dialling and while a
// layer collects.
func TestWritten(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPieces(t, "one\ntwo\n")
	p.room = 5
	p.end = connection.ErrWouldBlock
	var s *connection.Stream
	written := func(where string, want, sent uint64) {
		t.Helper()
		if s.Written() != want || s.Sent() != sent {
			t.Errorf("%s: %d written, %d sent; want %d, %d", where, s.Written(), s.Sent(), want, sent)
		}
	}
	frames := 0
	h := connection.Split(scanLines, connection.FrameFunc(func(s *connection.Stream, frame []byte) error {
		before := uint64(9 + 4*frames)
		written("before", before, 5)
		_, err := s.Write([]byte("abcd"))
		written("after", before+4, 5) // collected, or behind what waits
		if frames++; frames == 2 {
			p.room = -1
			s.Close()
		}
		return err
	}))
	s = newStream(t, loop, p, h, connection.StreamConfig{})
	written("new", 0, 0)
	if _, err := s.Write([]byte("123456789")); err != nil {
		t.Fatal(err)
	}
	written("partly", 9, 5)
	run(t, loop)
	written("closed", 17, 17)
	if got := p.out.String(); got != "123456789abcdabcd" {
		t.Errorf("wrote %q", got)
	}
}

// scanLines is bufio.ScanLines for lines that all have an end.
func scanLines(data []byte, _ bool) (int, []byte, error) {
	line, _, found := strings.Cut(string(data), "\n")
	if !found {
		return 0, nil, nil
	}
	return len(line) + 1, []byte(line), nil
}

// TestWrittenWhileDialling: what waits for the connection counts; what was lost with one that never stood
// was never sent.
func TestWrittenWhileDialling(t *testing.T) {
	for _, fails := range []bool{false, true} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t}
		if fails {
			d.fail = func(int) error { return errTest }
		}
		s, err := connection.DialStream(loop, d, &handler{}, connection.StreamConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(s, "hello"); err != nil {
			t.Fatal(err)
		}
		if s.Written() != 5 || s.Sent() != 0 || s.QueuedBytes() != 5 {
			t.Errorf("%d written, %d sent, %d queued", s.Written(), s.Sent(), s.QueuedBytes())
		}
		s.Close()
		run(t, loop)
		want := uint64(5)
		if fails {
			want = 0
		}
		if s.Sent() != want || s.Written() != want {
			t.Errorf("fails %v: %d written, %d sent", fails, s.Written(), s.Sent())
		}
	}
}

// ending dials a pair, whose peer is paused, with the limits given.
func ending(t *testing.T, config connection.StreamConfig, opened func(s *connection.Stream, p *peer)) (took time.Duration, cause error) {
	t.Helper()
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, room: 1, serve: func(p *peer) { p.Pause() }}
	began := time.Now()
	_, err := connection.DialStream(loop, d, &handler{
		data: func(*connection.Stream, []byte) (int, error) { return 0, nil },
		open: func(s *connection.Stream) error {
			began = s.Loop().Now()
			opened(s, d.peers[0])
			return nil
		},
		close: func(_ *connection.Stream, err error) {
			cause, took = err, time.Since(began)
			d.peers[0].Abort(nil)
		},
	}, config)
	if err != nil {
		t.Fatal(err)
	}
	run(t, loop)
	return took, cause
}

// TestLimitsWhileClosing: while it closes a stream has the limit of closing alone, whatever other limits
// it had, and whether it had any; those that are set then change nothing.
func TestLimitsWhileClosing(t *testing.T) {
	const limit = 12 * ms
	lots := strings.Repeat("x", 50_000)
	for name, config := range map[string]connection.StreamConfig{
		"none":         {},
		"idle":         {IdleTimeout: ms},
		"read":         {ReadTimeout: ms},
		"rates":        {ReadRate: 1 << 20, WriteRate: 1 << 20},
		"slow writing": {WriteRate: 1000},
		"all":          {IdleTimeout: ms, ReadTimeout: ms, ReadRate: 1 << 20, WriteRate: 1 << 20},
	} {
		config.CloseTimeout = limit
		for _, deadline := range []string{"none", "before", "after", "cleared"} {
			for _, unsent := range []bool{false, true} {
				took, cause := ending(t, config, func(s *connection.Stream, p *peer) {
					if deadline == "before" {
						s.SetReadDeadline(time.Now().Add(ms))
					}
					p.say("half") // no handler consumes it
					if unsent {
						_, _ = io.WriteString(s, lots)
					}
					s.Close()
					switch deadline {
					case "after":
						s.SetReadDeadline(time.Now().Add(ms))
					case "cleared":
						s.SetReadDeadline(time.Time{})
					}
				})
				var want error
				if unsent {
					want = connection.ErrCloseTimeout
				}
				if !errors.Is(cause, want) || took < limit {
					t.Errorf("%s, deadline %s, unsent %v: ended with %v after %v", name, deadline, unsent, cause, took)
				}
			}
		}
	}
}

// TestLimitsWhileDialling: the times begin when the connection stands.
func TestLimitsWhileDialling(t *testing.T) {
	loop, _ := looptest.New(t)
	var told []string
	s, err := connection.DialStream(loop, blackHoleDialer{}, &handler{
		close: func(_ *connection.Stream, cause error) { told = append(told, short(cause)) },
	}, connection.StreamConfig{IdleTimeout: 1, ReadTimeout: 1, ReadRate: 1, WriteRate: 1, CloseTimeout: 20 * ms})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, "waits"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Close()
	run(t, loop)
	if took := time.Since(began); took < 20*ms || !slices.Equal(told, []string{"timeout"}) {
		t.Errorf("ended with %q after %v", told, took)
	}
}

// TestIdleAfterDialling: a dialled stream is idle from when it stands, and errors of time are those of package os.
func TestIdleAfterDialling(t *testing.T) {
	took, cause := ending(t, connection.StreamConfig{IdleTimeout: 10 * ms}, func(*connection.Stream, *peer) {})
	if !errors.Is(cause, connection.ErrIdleTimeout) || !errors.Is(cause, os.ErrDeadlineExceeded) || took < 10*ms {
		t.Errorf("ended with %v after %v", cause, took)
	}
}
