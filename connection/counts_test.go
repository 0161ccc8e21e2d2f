//go:build linux

package connection_test

import (
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestListingCountsBytes: the loop's listing says how many bytes a stream has read and written: what its handler
// has left unconsumed is read, and what waits for room is not written, but queued.
func TestListingCountsBytes(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPieces(t, "hello, ", "world")
	p.end = connection.ErrWouldBlock
	p.room = 4
	of := func(s *connection.Stream) (found communicator.Info) {
		for _, info := range loop.Sources() {
			if info.Name == s.Handle().Name() {
				found = info
			}
		}
		return found
	}
	check := func(s *connection.Stream, read, written uint64, queued int) {
		t.Helper()
		info := of(s)
		if info.Read != read || info.Written != written || info.Queued != queued {
			t.Errorf("%d bytes read, %d written, %d queued; want %d, %d, %d", info.Read, info.Written, info.Queued, read, written, queued)
		}
		if info.Read != s.Received() || info.Written != s.Sent() {
			t.Errorf("the stream itself says %d and %d", s.Received(), s.Sent())
		}
	}
	deliveries := 0
	h := &handler{}
	h.data = func(s *connection.Stream, data []byte) (int, error) {
		if deliveries++; deliveries == 1 {
			check(s, 7, 0, 0)
			return 5, nil // the rest comes again
		}
		if string(data) != ", world" {
			t.Errorf("delivered %q", data)
		}
		p.quiet()
		if _, err := s.Write([]byte("answer")); err != nil {
			t.Error(err)
		}
		return len(data), nil
	}
	s := newStream(t, loop, p, h, connection.StreamConfig{})
	check(s, 0, 0, 0)
	looks := 0
	var look func()
	look = func() {
		switch looks++; {
		case s.Received() < 12 || s.QueuedBytes() == 0:
			_ = loop.Post(look)
		case p.room == 0:
			check(s, 12, 4, 2)
			if text := of(s).String(); !strings.Contains(text, "2 bytes queued, 12 bytes read, 4 written") {
				t.Errorf("listed as %q", text)
			}
			p.room = -1
			h.drain = func(s *connection.Stream) error {
				check(s, 12, 6, 0)
				s.Handle().Remove(nil)
				return nil
			}
		}
	}
	_ = loop.Post(look)
	run(t, loop)
	if deliveries != 2 || p.out.String() != "answer" || looks == 0 {
		t.Errorf("%d deliveries, wrote %q", deliveries, p.out.String())
	}
}
