//go:build linux

package connection_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// handler is a StreamHandler of functions; one that is nil does nothing.
type handler struct {
	open, drain func(*connection.Stream) error
	data        func(*connection.Stream, []byte) (int, error)
	close       func(*connection.Stream, error)
}

func (h *handler) HandleOpen(s *connection.Stream) error {
	if h.open == nil {
		return nil
	}
	return h.open(s)
}

func (h *handler) HandleData(s *connection.Stream, data []byte) (int, error) {
	if h.data == nil {
		return len(data), nil
	}
	return h.data(s, data)
}

func (h *handler) HandleDrain(s *connection.Stream) error {
	if h.drain == nil {
		return nil
	}
	return h.drain(s)
}

func (h *handler) HandleClose(s *connection.Stream, cause error) {
	if h.close != nil {
		h.close(s, cause)
	}
}

func newStream(tb testing.TB, loop connection.Loop, t connection.Transport, h connection.StreamHandler, config connection.StreamConfig) *connection.Stream {
	tb.Helper()
	s, err := connection.NewStream(loop, t, h, config)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestPartialWrites lets the transport take little at a time.
func TestPartialWrites(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPieces(t)
	p.end = connection.ErrWouldBlock
	p.quiet()
	p.room = 3
	var drains, room int
	h := &handler{}
	h.drain = func(s *connection.Stream) error {
		drains++
		s.Close()
		return nil
	}
	s := newStream(t, loop, p, h, connection.StreamConfig{})
	text := strings.Repeat("0123456789", 50)
	for _, part := range cut(text, 1, 2, 100, 101) {
		if n, err := s.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	if s.QueuedBytes() != len(text)-3 || s.Sent() != 3 {
		t.Errorf("%d bytes queued, %d sent", s.QueuedBytes(), s.Sent())
	}
	var more func()
	more = func() { // an eventfd is writable all the time, so each turn writes what there is room for
		if s.QueuedBytes() > 0 {
			room++
			p.room = room
			_ = loop.Post(more)
		}
	}
	_ = loop.Post(more)
	run(t, loop)
	if p.out.String() != text || drains != 1 || p.closed != 1 {
		t.Errorf("wrote %q, %d drains, closed %d times", p.out.String(), drains, p.closed)
	}
}

// TestWriteErrors: an error of the transport ends the stream with it, whoever writes.
func TestWriteErrors(t *testing.T) {
	for _, queued := range []bool{false, true} {
		loop, _ := looptest.New(t)
		p := &failing{pieces: newPieces(t)}
		p.end = connection.ErrWouldBlock
		p.room = 0
		var cause error
		h := &handler{close: func(_ *connection.Stream, err error) { cause = err }}
		s := newStream(t, loop, p, h, connection.StreamConfig{})
		if queued {
			if _, err := s.Write([]byte("waits")); err != nil {
				t.Fatal(err)
			}
			p.fails = true
		} else {
			p.fails = true
			if _, err := s.Write([]byte("fails")); !errors.Is(err, errTest) {
				t.Errorf("Write: %v", err)
			}
			if _, err := s.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write: %v", err)
			}
		}
		run(t, loop)
		if !errors.Is(cause, errTest) || p.closed != 1 {
			t.Errorf("ended with %v, closed %d times", cause, p.closed)
		}
	}
}

type failing struct {
	*pieces
	fails bool
}

func (f *failing) Write(b []byte) (int, error) {
	if f.fails {
		return 0, errTest
	}
	return f.pieces.Write(b)
}

// TestReadError ends the stream with that cause, and so does data that comes with it, unseen by nobody.
func TestReadError(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPieces(t, "data")
	p.end = errTest
	var cause error
	h := &handler{close: func(_ *connection.Stream, err error) { cause = err }}
	s := newStream(t, loop, p, h, connection.StreamConfig{})
	run(t, loop)
	if !errors.Is(cause, errTest) || s.Received() != 4 {
		t.Errorf("ended with %v after %d bytes", cause, s.Received())
	}
}

// TestDataWithEOF: an io.Reader may give its last bytes together with the end.
func TestDataWithEOF(t *testing.T) {
	loop, _ := looptest.New(t)
	p := &lastWithEOF{newPieces(t, "all of ", "it")}
	var got string
	h := &handler{data: func(_ *connection.Stream, data []byte) (int, error) {
		got += string(data)
		return len(data), nil
	}}
	newStream(t, loop, p, h, connection.StreamConfig{})
	run(t, loop)
	if got != "all of it" {
		t.Errorf("got %q", got)
	}
}

type lastWithEOF struct{ *pieces }

func (l *lastWithEOF) Read(b []byte) (int, error) {
	n, err := l.pieces.Read(b)
	if err == nil && len(l.in) == 0 {
		err = io.EOF
	}
	return n, err
}

// TestNoHalfClose: a transport that can't end one side alone closes when all is written.
func TestNoHalfClose(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPieces(t)
	p.end = connection.ErrWouldBlock
	p.quiet()
	p.room = 2
	var cause error
	closed := false
	h := &handler{close: func(_ *connection.Stream, err error) { closed, cause = true, err }}
	s := newStream(t, loop, p, h, connection.StreamConfig{})
	if _, err := s.Write([]byte("bye")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if s.LocalAddr() != nil || s.RemoteAddr() != nil || s.Handle().Name() == "" {
		t.Errorf("addresses %v, %v, name %q", s.LocalAddr(), s.RemoteAddr(), s.Handle().Name())
	}
	p.room = 1
	run(t, loop)
	if !closed || cause != nil || p.out.String() != "bye" {
		t.Errorf("closed: %v, with %v, %q written", closed, cause, p.out.String())
	}
}

// TestOwnership: NewStream owns the transport also when it fails.
func TestOwnership(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPieces(t)
	var causes []error
	h := &handler{
		open:  func(*connection.Stream) error { return errTest },
		close: func(_ *connection.Stream, cause error) { causes = append(causes, cause) },
	}
	newStream(t, loop, p, h, connection.StreamConfig{})
	run(t, loop)
	if p.closed != 1 || len(causes) != 1 || !errors.Is(causes[0], errTest) {
		t.Errorf("the transport was closed %d times, HandleClose called with %v", p.closed, causes)
	}

	p = newPieces(t) // the loop has ended
	if _, err := connection.NewStream(loop, p, h, connection.StreamConfig{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("NewStream: %v", err)
	}
	if err := connection.Streams(h, connection.StreamConfig{})(loop, newPieces(t)); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if p.closed != 1 {
		t.Errorf("the transport was closed %d times", p.closed)
	}
}

// TestLoopsBuffer: what a handler leaves is kept apart from the buffer that all streams share.
func TestLoopsBuffer(t *testing.T) {
	loop, _ := looptest.New(t)
	const n = 5
	var want, got [n][]string
	for i := range n {
		letter := string(rune('a' + i))
		p := newPieces(t, letter, letter+letter, strings.Repeat(letter, 70_000), letter)
		want[i] = []string{letter, strings.Repeat(letter, 3)}
		newStream(t, loop, p, &handler{data: func(_ *connection.Stream, data []byte) (int, error) {
			if strings.Trim(string(data), letter) != "" {
				t.Errorf("stream %s got bytes of another", letter)
			}
			if len(got[i]) < 2 {
				got[i] = append(got[i], string(data))
			}
			if len(data) < 70_004 {
				return 0, nil
			}
			return len(data), nil
		}}, connection.StreamConfig{})
	}
	run(t, loop)
	for i := range n {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("stream %d was given %q, want %q", i, got[i], want[i])
		}
	}
}

// TestFairness: one stream with endless input doesn't keep another of the same priority waiting.
func TestFairness(t *testing.T) {
	loop, _ := looptest.New(t)
	endless := newPieces(t, strings.Repeat("x", 100*communicator.BufferSize))
	reads := 0
	newStream(t, loop, endless, &handler{data: func(s *connection.Stream, data []byte) (int, error) {
		reads++
		return len(data), nil
	}}, connection.StreamConfig{})
	newStream(t, loop, newPieces(t, "short"), &handler{data: func(s *connection.Stream, data []byte) (int, error) {
		if reads > 1 {
			t.Errorf("served after %d reads of the other", reads)
		}
		return len(data), nil
	}}, connection.StreamConfig{})
	run(t, loop)
	if reads != 100 {
		t.Errorf("%d reads, want 100 of one buffer each", reads)
	}
}

func TestDataFunc(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPieces(t, "one", "two")
	newStream(t, loop, p, connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) {
		return s.Write(bytes.ToUpper(data))
	}), connection.StreamConfig{})
	run(t, loop)
	if p.out.String() != "ONETWO" {
		t.Errorf("wrote %q", p.out.String())
	}
}
